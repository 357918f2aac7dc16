//! Sets above a dataplane in memory, with a clock that the tests turn.

use std::{fs, path::PathBuf, sync::atomic::Ordering::SeqCst};

use secuxflow::rules::{Action, Address, Matcher, PrefixSet};

use super::*;
use crate::{
    alerts::AlertStore,
    config::{Overrides, load},
    sets::feed,
    testing::Lab,
};

struct Fixture {
    dir: tempfile::TempDir,
    lab: Arc<Lab>,
    admin: Admin,
}

impl Fixture {
    fn new() -> Self {
        Self::with(State::default())
    }

    fn with(state: State) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let overrides = Overrides {
            interfaces: vec!["eth0".into()],
            state: Some(dir.path().join("state.json")),
            ..Overrides::default()
        };
        let config = load(None, &overrides).unwrap();
        let (lab, store) = (Lab::new(), Arc::new(AlertStore::new(1)));
        let admin = Admin::new(&config, lab.backend(), state, store);
        Self { dir, lab, admin }
    }

    fn create(&self, name: &str) {
        self.admin.create_set(&CreateSet { name: name.into(), blocklist: true, comment: None }).unwrap();
    }

    fn add(&self, name: &str, prefixes: &[&str], ttl: Option<&str>) -> Answer<SetChange> {
        let prefixes = prefixes.iter().map(|text| (*text).to_owned()).collect();
        self.admin.add_entries(name, &AddEntries { prefixes, ttl: ttl.map(str::to_owned) }, at(1000))
    }

    fn import(&self, name: &str, text: &str, options: &ImportOptions) -> Answer<SetImported> {
        self.admin.import_feed(name, feed::parse(text), options, at(1000))
    }

    fn entries(&self, name: &str) -> Vec<String> {
        let set = self.admin.set(name, usize::MAX, at(1000)).unwrap();
        set.prefixes.iter().map(|entry| entry.prefix.to_string()).collect()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("sets").join(format!("{name}.set"))
    }

    fn generation(&self) -> u64 {
        self.lab.generation.load(SeqCst)
    }

    /// What the dataplane has of a set.
    fn live(&self, name: &str) -> Option<Arc<PrefixSet>> {
        let rules = self.lab.rules.lock().unwrap();
        rules.as_ref()?.sets.iter().find(|set| set.name() == name).cloned()
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

#[test]
fn what_is_over_leaves_all_sets_in_one_change_and_the_files_need_none() {
    let lab = Fixture::new();
    for name in ["a", "b", "c"] {
        lab.create(name);
        lab.add(name, &["10.0.0.0/8", "fd00::/8"], Some("10s")).unwrap();
        lab.add(name, &["10.1.0.0/16"], (name == "c").then_some("20s")).unwrap();
    }
    let (generation, before) = (lab.generation(), fs::read_to_string(lab.file("a")).unwrap());
    let begun = Instant::now();
    lab.admin.expire_entries(at(1009), begun);
    assert_eq!(lab.generation(), generation, "nothing is over");

    lab.admin.expire_entries(at(1010), begun);
    assert_eq!(lab.generation(), generation + 1, "one change for all");
    assert_eq!((lab.entries("a"), lab.live("a").unwrap().prefixes().len()), (vec!["10.1.0.0/16".to_owned()], 1));
    let expired: Vec<_> = lab.admin.sets().sets.iter().map(|set| set.expired).collect();
    assert_eq!(expired, [2, 2, 2]);
    assert_eq!(fs::read_to_string(lab.file("a")).unwrap(), before);
    let loaded = sets::load(&lab.dir.path().join("sets"), at(1010)).unwrap();
    assert_eq!(loaded["a"].entries().map(|entry| entry.0.to_string()).collect::<Vec<_>>(), lab.entries("a"));

    lab.admin.expire_entries(at(1020), begun + Duration::from_millis(900));
    assert_eq!(lab.entries("c").len(), 1, "a second between two runs");
    lab.admin.expire_entries(at(1020), begun + Duration::from_secs(5));
    assert_eq!((lab.entries("c").len(), lab.generation()), (0, generation + 2));
}

#[test]
fn expiry_takes_a_tenth_of_the_time_at_most() {
    let ms = Duration::from_millis;
    assert_eq!(pause(ms(5), false), ms(1000));
    assert_eq!(pause(ms(700), false), ms(7000));
    assert_eq!(pause(ms(5), true), ms(30_000));
}

#[test]
fn entries_that_the_dataplane_keeps_stay_known_and_are_tried_again_later() {
    let lab = Fixture::new();
    lab.create("a");
    lab.add("a", &["10.0.0.0/8"], Some("10s")).unwrap();
    lab.lab.refuse.store(true, SeqCst);
    let begun = Instant::now();
    lab.admin.expire_entries(at(1010), begun);
    assert_eq!((lab.entries("a").len(), lab.admin.sets().sets[0].expired), (1, 0));
    lab.lab.refuse.store(false, SeqCst);
    lab.admin.expire_entries(at(1011), begun + Duration::from_secs(29));
    assert_eq!(lab.entries("a").len(), 1);
    lab.admin.expire_entries(at(1011), begun + Duration::from_secs(40));
    assert_eq!(lab.entries("a").len(), 0);
}

#[test]
fn the_daemons_tick_takes_out_what_is_over() {
    let lab = Fixture::new();
    lab.create("a");
    // Added in 1970.
    lab.add("a", &["10.0.0.0/8"], Some("10s")).unwrap();
    lab.admin.tick().unwrap();
    assert_eq!(lab.entries("a").len(), 0);
}

#[test]
fn a_change_that_the_dataplane_refuses_leaves_no_trace() {
    let lab = Fixture::new();
    lab.create("a");
    lab.add("a", &["10.0.0.0/8"], None).unwrap();
    let before = (fs::read_to_string(lab.file("a")).unwrap(), lab.live("a").unwrap());
    lab.lab.refuse.store(true, SeqCst);
    let refused = [
        lab.add("a", &["11.0.0.0/8"], None).unwrap_err(),
        lab.import("a", "11.0.0.0/8\n", &ImportOptions { replace: true, ..Default::default() }).unwrap_err(),
        lab.admin.clear_set("a").unwrap_err(),
        lab.admin.delete_set("a").unwrap_err(),
        lab.admin.create_set(&CreateSet { name: "b".into(), ..Default::default() }).unwrap_err(),
    ];
    for error in refused {
        assert_eq!((error.code, &*error.message), (ErrorCode::Dataplane, "the kernel refused the program"));
    }
    assert_eq!((fs::read_to_string(lab.file("a")).unwrap(), lab.entries("a").len()), (before.0, 1));
    assert!(Arc::ptr_eq(&lab.live("a").unwrap(), &before.1) && !lab.file("b").exists());
}

#[test]
fn a_change_that_cannot_be_stored_is_taken_back() {
    let lab = Fixture::new();
    lab.create("a");
    lab.add("a", &["10.0.0.0/8"], None).unwrap();
    let (live, directory) = (lab.live("a").unwrap(), lab.dir.path().join("sets"));
    fs::remove_dir_all(&directory).unwrap();
    fs::write(&directory, "in the way").unwrap();
    let error = lab.add("a", &["11.0.0.0/8"], None).unwrap_err();
    assert_eq!(error.code, ErrorCode::State);
    assert!(
        error.message.contains("a.set cannot be written") && error.message.contains("nothing was changed"),
        "{error}"
    );
    assert_eq!(lab.entries("a"), ["10.0.0.0/8"]);
    assert!(Arc::ptr_eq(&lab.live("a").unwrap(), &live), "the very set is live again");
}

#[test]
fn what_does_not_change_stays_the_same_set_to_the_dataplane() {
    let lab = Fixture::new();
    for name in ["a", "b"] {
        lab.create(name);
        lab.add(name, &["10.0.0.0/8"], Some("10s")).unwrap();
    }
    let (a, b, generation) = (lab.live("a").unwrap(), lab.live("b").unwrap(), lab.generation());
    lab.add("a", &["11.0.0.0/8"], None).unwrap();
    assert!(!Arc::ptr_eq(&a, &lab.live("a").unwrap()) && Arc::ptr_eq(&b, &lab.live("b").unwrap()));
    assert_eq!(lab.generation(), generation + 1);

    let file = fs::metadata(lab.file("b")).unwrap().modified().unwrap();
    let renewed = lab.add("b", &["10.0.0.0/8"], Some("1h")).unwrap();
    assert_eq!((renewed.renewed, renewed.added), (1, 0));
    assert_eq!(lab.generation(), generation + 1, "a later end is no matter of the dataplane");
    assert_ne!(fs::metadata(lab.file("b")).unwrap().modified().unwrap(), file, "but of the file");

    let before = fs::metadata(lab.file("b")).unwrap().modified().unwrap();
    let same =
        lab.import("b", "10.0.0.0/8\n", &ImportOptions { ttl: Some("1h".into()), ..Default::default() }).unwrap();
    assert_eq!((same.change.unchanged, same.change.entries), (1, 1));
    assert_eq!(fs::metadata(lab.file("b")).unwrap().modified().unwrap(), before, "a feed without news writes nothing");
    assert_eq!(lab.admin.rules().unwrap().revision, 0, "sets do not touch the rules' revision");
    assert!(!lab.dir.path().join("state.json").exists());
}

fn rule(id: u32, matcher: Matcher) -> Rule {
    Rule { enabled: id != 2, ..Rule::new(RuleId(id), matcher, Action::Drop) }
}

#[test]
fn a_set_in_use_is_not_deleted_and_its_rules_are_named() {
    let set = || Some(Address::Set("a".into()));
    let rules = vec![
        rule(1, Matcher { src: set(), ..Matcher::default() }),
        rule(2, Matcher { dst: set(), ..Matcher::default() }),
        rule(3, Matcher::default()),
    ];
    let sets = sets::Sets::from([("a".to_owned(), Arc::new(Set::new("a", false, None)))]);
    let lab = Fixture::with(State { next_rule: 4, rules, sets, ..State::default() });
    assert_eq!(lab.admin.sets().sets[0].used_by, 2);
    let error = lab.admin.delete_set("a").unwrap_err();
    assert_eq!((error.code, error.field.as_deref()), (ErrorCode::Conflict, Some("name")));
    assert!(error.message.contains("used by rule-1, rule-2;"), "{error}");
    for id in [1, 2] {
        lab.admin.delete_rule(RuleId(id)).unwrap();
    }
    lab.admin.delete_set("a").unwrap();
    assert_eq!(lab.live("a"), None);
    assert_eq!(lab.admin.delete_set("a").unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn a_rule_whose_set_is_missing_is_found() {
    let rules = vec![
        rule(1, Matcher { src: Some(Address::Set("a".into())), ..Matcher::default() }),
        rule(2, Matcher { dst: Some(Address::Set("b".into())), ..Matcher::default() }),
    ];
    let sets = sets::Sets::from([("a".to_owned(), Arc::new(Set::new("a", false, None)))]);
    let state = State { next_rule: 3, rules, sets, ..State::default() };
    assert_eq!(state.lacking_set(), Some((RuleId(2), "dst", "b")));
    let error = known(&state).unwrap_err();
    assert!(error.message.contains("dst '@b'") && error.message.contains("set create"), "{error}");
}

#[test]
fn a_feed_with_bad_lines_is_imported_without_them_or_refused_as_a_whole() {
    let lab = Fixture::new();
    lab.create("a");
    lab.add("a", &["192.0.2.1"], None).unwrap();
    let feed = "10.0.0.0/8\nburn\n10.1.2.3/16\n10.0.0.0/8\n";
    let error = lab.import("a", feed, &ImportOptions { strict: true, ..Default::default() }).unwrap_err();
    assert_eq!((error.code, error.field.as_deref()), (ErrorCode::Invalid, Some("feed")));
    assert!(error.message.contains("2 bad line(s)") && error.message.contains("\nline 2: 'burn': "), "{error}");
    assert_eq!(error.faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [Some(2), Some(3)]);
    assert_eq!(lab.entries("a"), ["192.0.2.1/32"]);

    let done = lab.import("a", feed, &ImportOptions::default()).unwrap();
    assert_eq!((done.change.added, done.duplicates, done.widened_lines, done.bad_lines), (2, 1, 1, 1));
    assert_eq!((done.bad[0].line, done.widened[0].line), (2, 3));
    assert_eq!(lab.entries("a"), ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.1/32"]);
    assert_eq!(lab.admin.sets().sets[0].imported, 2);
}

#[test]
fn a_feed_replaces_the_entries_only_when_it_is_one() {
    let lab = Fixture::new();
    lab.create("a");
    lab.add("a", &["10.0.0.0/8", "192.0.2.1"], None).unwrap();
    let replace = || ImportOptions { replace: true, ttl: Some("1h".into()), ..Default::default() };
    for (text, words) in [("", "set clear"), ("# nothing today\n", "set clear"), ("<html>\n404\n", "not one line")] {
        let error = lab.import("a", text, &replace()).unwrap_err();
        assert!(error.message.contains(words), "{error}");
    }
    assert_eq!(lab.entries("a").len(), 2);
    let change = lab.import("a", "10.0.0.0/8\n11.0.0.0/8\n", &replace()).unwrap().change;
    assert_eq!((change.added, change.removed, change.renewed, change.entries), (1, 1, 1, 2));
    let shown = lab.admin.set("a", 1, at(1000)).unwrap();
    assert_eq!((shown.set.timed, shown.prefixes.len(), shown.prefixes[0].remaining_seconds), (2, 1, Some(3600)));
    assert_eq!(lab.import("a", "", &ImportOptions::default()).unwrap().change.entries, 2, "adding nothing is fine");
}

#[test]
fn what_remains_is_never_more_than_was_asked_for() {
    let lab = Fixture::new();
    lab.create("a");
    let now = Timestamp::new(1000, 300_000_000).unwrap();
    let request = AddEntries { prefixes: vec!["192.0.2.1".into()], ttl: Some("3s".into()) };
    lab.admin.add_entries("a", &request, now).unwrap();
    let left = |now| lab.admin.set("a", 1, now).unwrap().prefixes[0].remaining_seconds;
    assert_eq!(left(now), Some(3));
    assert_eq!(left(Timestamp::new(1003, 999_999_999).unwrap()), Some(0));
    assert_eq!(left(at(1009)), Some(0), "over, and not yet taken out");
}

#[test]
fn there_are_only_so_many_sets() {
    let lab = Fixture::new();
    for number in 0..MAX_SETS {
        lab.create(&format!("s{number}"));
    }
    let error = lab.admin.create_set(&CreateSet { name: "more".into(), ..Default::default() }).unwrap_err();
    assert!(error.message.contains("65 sets: at most 64 fit"), "{error}");
    assert!(!lab.file("more").exists() && lab.live("more").is_none());
}
