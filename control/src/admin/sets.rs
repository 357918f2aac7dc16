//! Sets: what may be done to them, and their entries that end by themselves.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use secuxflow::rules::{MAX_SETS, Rule, RuleError, RuleId, Ttl, check_set_name};

use super::{Admin, Answer};
use crate::{
    api::{
        AddEntries, CreateSet, ErrorCode, Fault, ImportOptions, RemoveEntries, SetChange, SetEntries, SetEntry,
        SetImported, SetInfo, Sets,
    },
    error::ApiError,
    sets::{
        self, Delta, End, Set, SetError,
        feed::{BadLine, Feed},
    },
    state::State,
};

/// Shortest time between two runs that take out what is over.
const EXPIRY_PAUSE: Duration = Duration::from_secs(1);
/// The pause is also this many times as long as the run took, so that expiry is a tenth of the work at most.
const EXPIRY_DUTY: u32 = 10;
/// The pause after a run that failed.
const EXPIRY_RETRY: Duration = Duration::from_secs(30);
/// Most rules that are named when a set is in use.
const MAX_NAMED: usize = 10;

impl Admin {
    /// All sets, by name.
    pub(crate) fn sets(&self) -> Sets {
        let state = self.state();
        Sets { sets: state.sets.values().map(|set| info(set, &state.rules)).collect() }
    }

    /// The set `name` with its first `limit` entries.
    ///
    /// # Errors
    /// There is none of that name.
    pub(crate) fn set(&self, name: &str, limit: usize, now: Timestamp) -> Answer<SetEntries> {
        let state = self.state();
        let set = find(&state, name)?;
        // Down to a second, as ends are rounded up to one: never more than was asked for.
        let left = |time: Timestamp| u64::try_from(time.duration_since(now).as_secs()).unwrap_or(0);
        let entry = |(prefix, end): (ipnet::IpNet, End)| SetEntry {
            prefix,
            expires: end.time().map(|time| time.to_string()),
            remaining_seconds: end.time().map(left),
        };
        Ok(SetEntries { set: info(set, &state.rules), prefixes: set.entries().take(limit).map(entry).collect() })
    }

    /// Create an empty set.
    ///
    /// # Errors
    /// The name is not valid or taken, there are too many, or the change cannot be made.
    pub(crate) fn create_set(&self, request: &CreateSet) -> Answer<SetInfo> {
        let CreateSet { name, blocklist, comment } = request;
        check_set_name(name).map_err(|rule| {
            let name: String = name.chars().take(40).collect();
            ApiError::invalid("name", format!("name '{name}': {rule}"))
        })?;
        if let Some(comment) = comment {
            sets::check_comment(comment).map_err(|message| ApiError::invalid("comment", message))?;
        }
        self.change(|state| {
            if state.sets.contains_key(name) {
                let message = format!("there is a set '{name}' already; `set import --replace` replaces its entries");
                return Err(ApiError::field(ErrorCode::Conflict, "name", message));
            }
            let set = Set::new(name, *blocklist, comment.clone());
            let answer = info(&set, &[]);
            state.sets.insert(name.clone(), Arc::new(set));
            let count = state.sets.len();
            if count > MAX_SETS {
                return Err(RuleError::TooManySets { count }.into());
            }
            Ok(answer)
        })
    }

    /// Delete the set `name` with all its entries.
    ///
    /// # Errors
    /// There is none of that name, rules name it, or the change cannot be made.
    pub(crate) fn delete_set(&self, name: &str) -> Answer<usize> {
        self.change(|state| {
            find(state, name)?;
            let users: Vec<RuleId> = state.rules.iter().filter(|rule| uses(rule, name)).map(|rule| rule.id).collect();
            if !users.is_empty() {
                let message = format!("the set '{name}' is used by {}; delete those rules first", named_rules(&users));
                return Err(ApiError::field(ErrorCode::Conflict, "name", message));
            }
            state.sets.remove(name);
            Ok(1)
        })
    }

    /// Add entries to the set `name`.
    ///
    /// # Errors
    /// A prefix or the time is not valid, there is no such set, it would hold too many, or the change cannot be made.
    pub(crate) fn add_entries(&self, name: &str, request: &AddEntries, now: Timestamp) -> Answer<SetChange> {
        let nets = named(&request.prefixes)?;
        let end = End::after(now, ttl(request.ttl.as_deref())?);
        self.change_set(name, |set| set.add(&nets, end))
    }

    /// Remove entries from the set `name`: all of them or none.
    ///
    /// # Errors
    /// A prefix is not valid or not in the set, there is no such set, or the change cannot be made.
    pub(crate) fn remove_entries(&self, name: &str, request: &RemoveEntries) -> Answer<SetChange> {
        let nets = named(&request.prefixes)?;
        self.change_set(name, |set| set.remove(&nets))
    }

    /// Remove every entry of the set `name`.
    ///
    /// # Errors
    /// There is no such set, or the change cannot be made.
    pub(crate) fn clear_set(&self, name: &str) -> Answer<usize> {
        self.change_set(name, |set| set.replace(&[], End::NEVER)).map(|change| change.removed)
    }

    /// Put a feed's prefixes into the set `name`.
    ///
    /// # Errors
    /// The feed is not valid (when `strict`, or when nothing in it is), the time is not, there is no such set, it would
    /// hold too many, or the change cannot be made.
    pub(crate) fn import_feed(
        &self,
        name: &str,
        feed: Feed,
        options: &ImportOptions,
        now: Timestamp,
    ) -> Answer<SetImported> {
        let end = End::after(now, ttl(options.ttl.as_deref())?);
        check_feed(&feed, options)?;
        let change = self.change_set(name, |set| {
            let (mut set, delta) =
                if options.replace { set.replace(&feed.prefixes, end) } else { set.add(&feed.prefixes, end) }?;
            set.imported += u64::try_from(feed.prefixes.len()).unwrap_or(u64::MAX);
            Ok((set, delta))
        })?;
        let Feed { duplicates, widened, widened_lines, bad, bad_lines, .. } = feed;
        Ok(SetImported { change, duplicates, widened_lines, widened, bad_lines, bad })
    }

    fn change_set(&self, name: &str, edit: impl FnOnce(&Set) -> Result<(Set, Delta), SetError>) -> Answer<SetChange> {
        self.change(|state| {
            let (set, delta) = edit(find(state, name)?)?;
            let Delta { added, removed, renewed, unchanged } = delta;
            let entries = set.len();
            state.sets.insert(name.to_owned(), Arc::new(set));
            Ok(SetChange { name: name.to_owned(), entries, added, removed, renewed, unchanged })
        })
    }

    /// Take out what is over by the clock's `now`: of all sets in one change. `at` is the same moment for measuring
    /// pauses; within one nothing is done. What the dataplane refuses is told in the log, and tried again later: until
    /// then the entries stay in force.
    pub(super) fn expire_entries(&self, now: Timestamp, at: Instant) {
        let mut not_before = self.entry_expiry.lock().unwrap_or_else(PoisonError::into_inner);
        if not_before.is_some_and(|not_before| at < not_before) {
            return;
        }
        let begun = Instant::now();
        let done = self.expire(now);
        let took = begun.elapsed();
        match &done {
            Ok(0) => return,
            Ok(gone) => tracing::debug!(gone, ?took, "entries of sets are over"),
            Err(error) => {
                let seconds = EXPIRY_RETRY.as_secs();
                tracing::error!("entries of sets that are over stay in force, tried again in {seconds} s: {error}");
            }
        }
        *not_before = Some(at + took + pause(took, done.is_err()));
    }

    /// Files are left as they are: they hold each entry's end, and what is over is left out when they are read.
    fn expire(&self, now: Timestamp) -> Answer<usize> {
        let mut current = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !current.sets.values().any(|set| set.is_due(now)) {
            return Ok(0);
        }
        let mut next = current.clone();
        let mut gone = 0;
        for set in next.sets.values_mut() {
            if let Some(after) = set.expire(now) {
                gone += set.len() - after.len();
                *set = Arc::new(after);
            }
        }
        self.apply(&current, &next, None)?;
        *current = next;
        Ok(gone)
    }
}

/// Whether the dataplane would see other sets. One whose entries only end at another time is the same to it.
pub(super) fn differ(from: &State, to: &State) -> bool {
    let same = |(a, b): (&Arc<Set>, &Arc<Set>)| Arc::ptr_eq(a.prefixes(), b.prefixes());
    from.sets.len() != to.sets.len() || !from.sets.values().zip(to.sets.values()).all(same)
}

/// Refuse rules that name a set which is not there.
pub(super) fn known(state: &State) -> Answer<()> {
    match state.lacking_set() {
        None => Ok(()),
        Some((id, side, set)) => {
            let message = format!("{side} '@{set}' of {id}: there is no such set; see `set list` and `set create`");
            Err(ApiError::invalid(side, message))
        }
    }
}

/// How long the next run waits after one that took this long.
fn pause(took: Duration, failed: bool) -> Duration {
    let least = if failed { EXPIRY_RETRY } else { EXPIRY_PAUSE };
    least.max(took * EXPIRY_DUTY)
}

impl From<SetError> for ApiError {
    fn from(error: SetError) -> Self {
        let code = match error {
            SetError::TooMany { .. } => ErrorCode::Invalid,
            SetError::Absent { .. } => ErrorCode::NotFound,
        };
        Self::field(code, "prefixes", error.to_string())
    }
}

fn find<'a>(state: &'a State, name: &str) -> Answer<&'a Set> {
    state.sets.get(name).map(|set| &**set).ok_or_else(|| {
        let message = format!("there is no set '{name}'; see `set list` and `set create`");
        ApiError::field(ErrorCode::NotFound, "name", message)
    })
}

/// The first of these rules, and how many more there are.
pub(super) fn named_rules(rules: &[RuleId]) -> String {
    let named: Vec<_> = rules.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    let more = rules.len().saturating_sub(MAX_NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    named.join(", ") + &more
}

fn uses(rule: &Rule, name: &str) -> bool {
    [&rule.matcher.src, &rule.matcher.dst].into_iter().flatten().any(|address| address.set() == Some(name))
}

fn info(set: &Set, rules: &[Rule]) -> SetInfo {
    SetInfo {
        name: set.name().to_owned(),
        blocklist: set.is_blocklist(),
        comment: set.comment.clone(),
        entries: set.len(),
        timed: set.timed(),
        used_by: rules.iter().filter(|rule| uses(rule, set.name())).count(),
        imported: set.imported,
        expired: set.expired,
    }
}

fn named(texts: &[String]) -> Answer<Vec<ipnet::IpNet>> {
    if texts.is_empty() {
        return Err(ApiError::invalid("prefixes", "prefixes: at least one expected"));
    }
    sets::named(texts).map_err(|message| ApiError::invalid("prefixes", format!("prefix {message}")))
}

fn ttl(text: Option<&str>) -> Answer<Option<Ttl>> {
    let Some(text) = text else { return Ok(None) };
    let shown: String = text.chars().take(40).collect();
    text.parse().map(Some).map_err(|rule: String| ApiError::invalid("ttl", format!("ttl '{shown}': {rule}")))
}

/// A feed that is not what it should be: a page that says "not found", or a download that broke off, must not empty a
/// blocklist.
fn check_feed(feed: &Feed, options: &ImportOptions) -> Answer<()> {
    let Feed { prefixes, bad, bad_lines, widened, widened_lines, .. } = feed;
    if options.strict && bad_lines + widened_lines > 0 {
        let mut told: Vec<&BadLine> = bad.iter().chain(widened).collect();
        told.sort_by_key(|bad| bad.line);
        let count = bad_lines + widened_lines;
        return Err(feed_error(format!("{count} bad line(s), so nothing was imported"), &told, count));
    }
    if prefixes.is_empty() && *bad_lines > 0 {
        let told: Vec<&BadLine> = bad.iter().collect();
        return Err(feed_error("not one line is a prefix, so nothing was imported".to_owned(), &told, *bad_lines));
    }
    if prefixes.is_empty() && options.replace {
        let message = "the feed is empty, so the set was left as it is; `set clear` empties a set";
        return Err(ApiError::invalid("feed", message));
    }
    Ok(())
}

fn feed_error(head: String, told: &[&BadLine], count: usize) -> ApiError {
    let mut lines = vec![head];
    lines.extend(told.iter().map(ToString::to_string));
    let more = count - told.len();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    let fault =
        |bad: &&BadLine| Fault { line: Some(bad.line), ..Fault::whole(format!("'{}': {}", bad.text, bad.reason)) };
    ApiError { faults: told.iter().map(fault).collect(), ..ApiError::invalid("feed", lines.join("\n")) }
}

#[cfg(test)]
mod tests;
