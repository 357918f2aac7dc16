//! The state file: rules and services that survive a restart. It is replaced as a whole. Sets have files of their own
//! beside it.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use secuxflow::{
    rules::{Known, Rule, RuleError, RuleId, RuleRecord},
    service::Service,
};
use serde::{Deserialize, Serialize};

use crate::{
    durable::{self, directory},
    modules::{self, Inspection, StoreError, StoredInspection, Trust},
    sets::{self, SetFileError, Sets},
};

/// Version of the file's layout.
const VERSION: u32 = 1;

/// Why the state file could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// Reading failed.
    #[error("state file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Writing failed.
    #[error("state file {} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The content is not what was once written.
    #[error("state file {} is damaged ({reason}); it is left as it is: mend it, or move it away to start empty", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A rule in it is no longer valid under this configuration.
    #[error("state file {}: {id}: {source}; mend the configuration, or remove the rule from the file", path.display())]
    Rule {
        /// The file.
        path: PathBuf,
        /// The rule.
        id: RuleId,
        /// What is wrong with it.
        source: RuleError,
    },
    /// What is kept of modules and chains cannot be used.
    #[error("state file {}: {source}", path.display())]
    Inspection {
        /// The state file.
        path: PathBuf,
        /// What is wrong.
        source: StoreError,
    },
    /// A set's file cannot be used.
    #[error(transparent)]
    Set(#[from] SetFileError),
    /// A rule names a set that has no file.
    #[error("state file {}: {id} names the set '{set}', whose file in {} is gone; bring it back, or remove the rule from the file", path.display(), sets::directory(path).display())]
    NoSet {
        /// The state file.
        path: PathBuf,
        /// The rule.
        id: RuleId,
        /// The set.
        set: String,
    },
}

/// Rules, services and sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// Number that the next rule gets.
    pub(crate) next_rule: u32,
    /// Counts the changes of the rules.
    pub(crate) revision: u64,
    /// Rules, by ascending id.
    pub(crate) rules: Vec<Rule>,
    /// Services, in the order they were added.
    pub(crate) services: Vec<Service>,
    /// Sets; shared, so that a copy of the state is cheap.
    pub(crate) sets: Sets,
    /// Modules and chains.
    pub(crate) inspection: Inspection,
}

impl State {
    /// Whether both are one state file, their sets apart.
    pub(crate) fn same_file(&self, other: &Self) -> bool {
        let Self { next_rule, revision, rules, services, sets: _, inspection } = self;
        (*next_rule, *revision) == (other.next_rule, other.revision)
            && *rules == other.rules
            && *services == other.services
            && *inspection == other.inspection
    }

    /// The first rule that names a set which is not there, and that set.
    pub(crate) fn lacking_set(&self) -> Option<(RuleId, &'static str, &str)> {
        self.rules.iter().find_map(|rule| {
            let sides = [("src", &rule.matcher.src), ("dst", &rule.matcher.dst)];
            let named = sides.into_iter().filter_map(|(side, address)| Some((side, address.as_ref()?.set()?)));
            named.into_iter().find(|(_, set)| !self.sets.contains_key(*set)).map(|(side, set)| (rule.id, side, set))
        })
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            next_rule: 1,
            revision: 0,
            rules: Vec::new(),
            services: Vec::new(),
            sets: Sets::new(),
            inspection: Inspection::default(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredState {
    version: u32,
    next_rule: u32,
    // Absent in files written before there were revisions.
    #[serde(default)]
    revision: u64,
    rules: Vec<RuleRecord>,
    services: Vec<Service>,
    // Absent until the API changes modules or chains.
    #[serde(default, skip_serializing_if = "StoredInspection::is_empty")]
    inspection: StoredInspection,
}

/// Read the state file at `path`, and the sets beside it without entries that are over; files that do not exist are an
/// empty state. Rules whose end has come by `now` are left out, which counts as a change of the rules. `base` are the
/// modules and chains of the configuration, over which those of the state file are put, if `trust` allows.
///
/// # Errors
/// [`StateError`]: unreadable, damaged, or holding a rule that names a chain or set which is not there.
pub(crate) fn load(path: &Path, base: &Inspection, trust: &Trust, now: Timestamp) -> Result<State, StateError> {
    let sets = sets::load(&sets::directory(path), now)?;
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Ok(State { sets, inspection: base.clone(), ..State::default() });
        }
        Err(e) if e.kind() == io::ErrorKind::InvalidData => return Err(damaged(path, "not UTF-8")),
        Err(source) => return Err(StateError::Read { path: path.to_owned(), source }),
    };
    let stored: StoredState = serde_json::from_str(&text).map_err(|e| damaged(path, e.to_string()))?;
    if stored.version != VERSION {
        return Err(damaged(path, format!("version {} where {VERSION} is understood", stored.version)));
    }
    for (i, service) in stored.services.iter().enumerate() {
        let Service { name, ip, .. } = service;
        service.check().map_err(|reason| damaged(path, format!("service '{name}': {reason}")))?;
        if stored.services[..i].iter().any(|other| other.name == *name || other.ip == *ip) {
            return Err(damaged(path, format!("service '{name}': its name or its address {ip} is there twice")));
        }
    }
    let StoredState { next_rule, revision, services, .. } = stored;
    let inspection = modules::restore(base, stored.inspection, &modules::directory(path), trust);
    let inspection = inspection.map_err(|source| StateError::Inspection { path: path.to_owned(), source })?;
    let chains = inspection.chain_names();
    let mut state = State { next_rule, revision, rules: Vec::new(), services, sets, inspection };
    let known = Known { chains: Some(&chains), ..Known::at(now) };
    let (mut before, mut ended) = (None, 0);
    for RuleRecord { id, spec } in stored.rules {
        if before.is_some_and(|before| before >= id) || id.0 >= state.next_rule {
            return Err(damaged(path, format!("{id} is out of order")));
        }
        before = Some(id);
        if spec.expires.is_some()
            && Rule::try_from(RuleRecord { id, spec: spec.clone() }).is_ok_and(|r| r.has_ended(now))
        {
            ended += 1;
            continue;
        }
        let rule = spec.check(id, &known);
        state.rules.push(rule.map_err(|source| StateError::Rule { path: path.to_owned(), id, source })?);
    }
    if let Some((id, _, set)) = state.lacking_set() {
        return Err(StateError::NoSet { path: path.to_owned(), id, set: set.to_owned() });
    }
    if ended > 0 {
        state.revision += 1;
        tracing::info!(rules = ended, "rules whose time was over were left out of the state");
    }
    Ok(state)
}

/// Replace the state file at `path` by `state`, durably. Its sets are left to their own files.
///
/// # Errors
/// [`StateError::Write`]; the old file is then untouched.
pub(crate) fn save(path: &Path, state: &State) -> Result<(), StateError> {
    let rules = state.rules.iter().cloned().map(RuleRecord::from).collect();
    let stored = StoredState {
        version: VERSION,
        next_rule: state.next_rule,
        revision: state.revision,
        rules,
        services: state.services.clone(),
        inspection: StoredInspection::from(&state.inspection),
    };
    let write = || {
        let mut text = serde_json::to_vec_pretty(&stored)?;
        text.push(b'\n');
        durable::replace(path, &text)
    };
    write().map_err(|source| StateError::Write { path: path.to_owned(), source })
}

/// Make the directory of the state file, for root and its group alone.
///
/// # Errors
/// [`StateError::Write`].
pub(crate) fn prepare(path: &Path) -> Result<(), StateError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(directory(path))
        .map_err(|source| StateError::Write { path: path.to_owned(), source })
}

fn damaged(path: &Path, reason: impl Into<String>) -> StateError {
    StateError::Damaged { path: path.to_owned(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use secuxflow::{plane::ChainConfig, rules::RuleSpec};

    use super::*;
    use crate::modules::{LoadedChain, Origin};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// Where nothing is configured.
    fn loaded(path: &Path, now: Timestamp) -> Result<State, StateError> {
        load(path, &Inspection::default(), &Trust::default(), now)
    }

    fn rule(id: u32) -> Rule {
        let spec = RuleSpec {
            action: Some("drop".into()),
            dst: Some("10.0.0.0/8".into()),
            enabled: true,
            ..RuleSpec::default()
        };
        spec.check(RuleId(id), &Known::at(NOW)).unwrap()
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        let service = Service { name: "web".into(), ip: "10.0.0.5".parse().unwrap(), dev: "veth0".into(), mac: None };
        let state = State {
            next_rule: 8,
            revision: 5,
            rules: vec![rule(2), rule(7)],
            services: vec![service],
            ..State::default()
        };
        save(&path, &state).unwrap();
        assert_eq!(loaded(&path, NOW).unwrap(), state);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn an_id_above_those_that_may_be_chosen_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        let state = State { next_rule: u32::MAX, rules: vec![rule(u32::MAX - 1)], ..State::default() };
        save(&path, &state).unwrap();
        assert_eq!(loaded(&path, NOW).unwrap(), state);
    }

    #[test]
    fn rules_that_ended_meanwhile_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        let end = |second| Some(Timestamp::from_second(second).unwrap());
        let rules = vec![Rule { expires: end(100), ..rule(2) }, Rule { expires: end(200), ..rule(4) }, rule(7)];
        let state = State { next_rule: 8, revision: 5, rules: rules.clone(), ..State::default() };
        save(&path, &state).unwrap();
        assert_eq!(loaded(&path, NOW).unwrap(), state, "an end is stored as it was");
        let later = loaded(&path, Timestamp::from_second(100).unwrap()).unwrap();
        assert_eq!((later.rules, later.revision, later.next_rule), (rules[1..].to_vec(), 6, 8));
    }

    #[test]
    fn sets_are_read_from_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        let set = sets::Set::new("drop", true, None);
        sets::save(&dir.path().join("sets"), &set).unwrap();
        let state = loaded(&path, NOW).unwrap();
        assert_eq!(*state.sets["drop"], set);
        save(&path, &state).unwrap();
        assert!(!fs::read_to_string(&path).unwrap().contains("drop"), "they are in no other file");
        assert_eq!(loaded(&path, NOW).unwrap(), state);
        fs::write(dir.path().join("sets/drop.set"), "secux").unwrap();
        let error = loaded(&path, NOW).unwrap_err().to_string();
        assert!(error.contains("drop.set is damaged (line 1"), "{error}");
    }

    #[test]
    fn no_file_is_an_empty_state() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(loaded(&dir.path().join("none"), NOW).unwrap(), State::default());
    }

    #[test]
    fn damage_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        for text in [
            "",
            "{",
            r#"{"version":2,"next_rule":1,"rules":[],"services":[]}"#,
            r#"{"version":1,"next_rule":1,"rules":[{"id":"rule-1","action":"drop"}],"services":[]}"#,
            r#"{"version":1,"next_rule":1,"rules":[],"services":[],"more":0}"#,
            r#"{"version":1,"next_rule":1,"rules":[],"services":[{"name":"a b","ip":"10.0.0.5","dev":"veth0"}]}"#,
            r#"{"version":1,"next_rule":1,"rules":[],"services":[{"name":"a","ip":"10.0.0.5","dev":"veth0"},{"name":"b","ip":"10.0.0.5","dev":"veth1"}]}"#,
            r#"{"version":1,"next_rule":2,"rules":[{"id":"rule-1","action":"drop","more":0}],"services":[]}"#,
        ] {
            fs::write(&path, text).unwrap();
            let error = loaded(&path, NOW).unwrap_err();
            assert!(matches!(error, StateError::Damaged { .. }), "{text}: {error}");
            assert!(error.to_string().contains("state.json"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_rule_whose_chain_is_gone_names_rule_and_chain() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        let spec = RuleSpec { action: Some("inspect".into()), chain: Some("waf".into()), ..RuleSpec::default() };
        let rule = spec.check(RuleId(1), &Known::at(NOW)).unwrap();
        save(&path, &State { next_rule: 2, rules: vec![rule], ..State::default() }).unwrap();
        let config = ChainConfig { name: "default".into(), modules: Vec::new() };
        let chains = vec![LoadedChain { config, origin: Origin::Config }];
        let base = Inspection { chains, ..Inspection::default() };
        let error = load(&path, &base, &Trust::default(), NOW).unwrap_err().to_string();
        assert!(error.contains("rule-1") && error.contains("waf"), "{error}");
    }

    #[test]
    fn a_directory_that_refuses_is_an_error_naming_the_file() {
        let error = save(Path::new("/proc/none/state.json"), &State::default()).unwrap_err().to_string();
        assert!(error.contains("/proc/none/state.json"), "{error}");
    }
}
