//! Rules with an end go by themselves.

use std::sync::{PoisonError, TryLockError};

use jiff::{SignedDuration, Timestamp};
use secuxflow::rules::RuleId;

use super::Admin;

/// How long after a removal that failed the next one is tried.
const RETRY: SignedDuration = SignedDuration::from_secs(10);
/// Most rules that are named in one line of the log.
const MAX_NAMED: usize = 20;

impl Admin {
    /// Take out the rules whose end has come by `now`, as one change. One that is refused is told in the log, and tried
    /// again after a while: until then the rules stay in force.
    pub(super) fn expire_rules(&self, now: Timestamp) {
        let mut failed = self.expiry_failed.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back does not hold up the next try.
        if failed.is_some_and(|at| at <= now && now.duration_since(at) < RETRY) || !self.has_ended_rules(now) {
            return;
        }
        let removed = self.change(|state| {
            let ended = state.rules.extract_if(.., |rule| rule.has_ended(now));
            Ok(ended.map(|rule| rule.id).collect::<Vec<_>>())
        });
        *failed = match removed {
            Ok(ids) => {
                tracing::info!(rules = ids.len(), "{} went: the time was over", names(&ids));
                None
            }
            Err(error) => {
                let seconds = RETRY.as_secs();
                tracing::error!("rules whose time is over stay in force, tried again in {seconds} s: {error}");
                Some(now)
            }
        };
    }

    /// False also while a change is under way: then the next tick looks.
    fn has_ended_rules(&self, now: Timestamp) -> bool {
        let state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        state.rules.iter().any(|rule| rule.has_ended(now))
    }
}

fn names(ids: &[RuleId]) -> String {
    let named: Vec<String> = ids.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    let more = ids.len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::Ordering::SeqCst};

    use super::*;
    use crate::{
        alerts::AlertStore,
        api::AddRule,
        config::{self, Config, Overrides},
        modules::Inspection,
        state::{self, State},
        testing::Lab,
    };

    struct Daemon {
        dir: tempfile::TempDir,
        lab: Arc<Lab>,
        admin: Admin,
    }

    fn config(dir: &std::path::Path) -> Config {
        let interfaces = vec!["eth0".into()];
        let overrides = Overrides { interfaces, state: Some(dir.join("state.json")), ..Overrides::default() };
        config::load(None, &overrides).unwrap()
    }

    impl Daemon {
        /// With rules that live for so many seconds, and one for ever.
        fn with(seconds: &[u32]) -> Self {
            let (dir, lab) = (tempfile::tempdir().unwrap(), Lab::new());
            let store = Arc::new(AlertStore::new(1));
            let config = config(dir.path());
            let inspection = Inspection::configured(&config.plane, &config.trust).unwrap();
            let admin = Admin::new(&config, lab.backend(), State { inspection, ..State::default() }, store);
            let daemon = Self { dir, lab, admin };
            for seconds in seconds {
                daemon.add(serde_json::json!({"action": "drop", "ttl": format!("{seconds}s")}));
            }
            daemon.add(serde_json::json!({"action": "pass"}));
            daemon
        }

        fn add(&self, rule: serde_json::Value) {
            self.admin.add_rule(&serde_json::from_value::<AddRule>(rule).unwrap()).unwrap();
        }

        fn stored(&self) -> State {
            let config = config(self.dir.path());
            let base = Inspection::configured(&config.plane, &config.trust).unwrap();
            state::load(&config.state, &base, &config.trust, Timestamp::UNIX_EPOCH).unwrap()
        }
    }

    fn seconds(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    #[test]
    fn rules_go_when_their_time_is_over_all_of_them_as_one_change() {
        let daemon = Daemon::with(&[60, 60, 3600]);
        let now = Timestamp::now();
        daemon.admin.expire_rules(now + seconds(30));
        assert_eq!((daemon.lab.rule_ids(), daemon.admin.state().revision), (vec![1, 2, 3, 4], 4));
        daemon.admin.expire_rules(now + seconds(120));
        assert_eq!((daemon.lab.rule_ids(), daemon.admin.state().revision), (vec![3, 4], 5));
        assert_eq!(daemon.lab.generation.load(SeqCst), 5, "one publication");
        let stored = daemon.stored();
        assert_eq!((stored.rules.len(), stored.revision, stored.next_rule), (2, 5, 5), "numbers are not used again");
        daemon.admin.expire_rules(now + seconds(121));
        assert_eq!(daemon.lab.generation.load(SeqCst), 5, "nothing to do is nothing done");
        daemon.admin.expire_rules(now + seconds(7200));
        assert_eq!(daemon.lab.rule_ids(), [4]);
    }

    #[test]
    fn a_removal_that_is_refused_is_tried_again_and_not_at_every_tick() {
        let daemon = Daemon::with(&[60]);
        let late = Timestamp::now() + seconds(120);
        daemon.lab.refuse.store(true, SeqCst);
        daemon.admin.expire_rules(late);
        assert_eq!(daemon.admin.state().rules.len(), 2, "memory, file and dataplane still agree");
        assert_eq!(daemon.stored().rules.len(), 2);
        daemon.lab.refuse.store(false, SeqCst);
        daemon.admin.expire_rules(late + seconds(9));
        assert_eq!(daemon.lab.rule_ids(), [1, 2], "not yet");
        daemon.admin.expire_rules(late + seconds(10));
        assert_eq!(daemon.lab.rule_ids(), [2]);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_hold_up_the_next_try() {
        let daemon = Daemon::with(&[60]);
        let late = Timestamp::now() + seconds(120);
        daemon.lab.refuse.store(true, SeqCst);
        daemon.admin.expire_rules(late + seconds(86_400));
        daemon.lab.refuse.store(false, SeqCst);
        daemon.admin.expire_rules(late);
        assert_eq!(daemon.lab.rule_ids(), [2]);
    }

    #[test]
    fn a_tick_takes_rules_out() {
        let daemon = Daemon::with(&[1]);
        for _ in 0..500 {
            daemon.admin.tick().unwrap();
            if daemon.lab.rule_ids() == [2] {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("the rule stayed for 5 s: {:?}", daemon.lab.rule_ids());
    }

    #[test]
    fn many_names_are_cut_short() {
        let ids: Vec<RuleId> = (1..=25).map(RuleId).collect();
        let told = names(&ids);
        assert!(told.starts_with("rule-1, rule-2,") && told.ends_with("rule-20 and 5 more"), "{told}");
    }
}
