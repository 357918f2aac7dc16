//! The latest alerts in memory, and the stream of new ones.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use secuxflow::alert::AlertEvent;
use tokio::sync::broadcast;

use super::eve;
use crate::backend::Names;

/// Alerts that a follower may lag behind before it misses some.
const FOLLOW_BUFFER: usize = 1024;

/// One record as a line of JSON, shared by ring, file and followers.
pub(crate) type Line = Arc<str>;

/// Bounded ring of the latest alerts, and who follows them.
#[derive(Debug)]
pub(crate) struct AlertStore {
    capacity: usize,
    ring: Mutex<VecDeque<Line>>,
    // None once the daemon stops, which ends every follower's stream.
    followers: Mutex<Option<broadcast::Sender<Line>>>,
    write_errors: AtomicU64,
}

impl AlertStore {
    /// A store that keeps the last `capacity` alerts.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            ring: Mutex::new(VecDeque::new()),
            followers: Mutex::new(Some(broadcast::Sender::new(FOLLOW_BUFFER))),
            write_errors: AtomicU64::new(0),
        }
    }

    /// Keep `event` and send it to the followers; returns its line, for the file, and whether some of the fields that its
    /// module gave it were left out.
    pub(super) fn add(&self, event: &AlertEvent, names: &Names) -> serde_json::Result<(Line, bool)> {
        let eve = eve::eve(event, names);
        let line: Line = serde_json::to_string(&eve)?.into();
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.len() >= self.capacity {
            ring.pop_front();
        }
        ring.push_back(Arc::clone(&line));
        drop(ring);
        if let Some(followers) = &*self.followers.lock().unwrap_or_else(PoisonError::into_inner) {
            // An error says that nobody follows.
            let _nobody = followers.send(Arc::clone(&line));
        }
        Ok((line, eve.refused))
    }

    /// The latest alerts, at most `limit`, oldest first.
    pub(crate) fn latest(&self, limit: usize) -> Vec<serde_json::Value> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = ring.len().saturating_sub(limit);
        ring.iter().skip(skip).filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// New alerts from now on; none when the daemon is stopping.
    pub(crate) fn follow(&self) -> Option<broadcast::Receiver<Line>> {
        let followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.as_ref().map(broadcast::Sender::subscribe)
    }

    /// End every follower's stream.
    pub(crate) fn close(&self) {
        self.followers.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Alerts that could not be written to the file.
    pub(crate) fn write_errors(&self) -> u64 {
        self.write_errors.load(Relaxed)
    }

    /// Count alerts that could not be written to the file.
    pub(super) fn count_write_errors(&self, lines: u64) {
        self.write_errors.fetch_add(lines, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(store: &AlertStore, text: &str) {
        store.add(&AlertEvent::dataplane(3, text), &Names::default()).unwrap();
    }

    fn texts(store: &AlertStore, limit: usize) -> Vec<String> {
        let text = |alert: &serde_json::Value| alert["alert"]["signature"].as_str().unwrap().to_owned();
        store.latest(limit).iter().map(text).collect()
    }

    #[test]
    fn the_ring_keeps_the_latest_in_order() {
        let store = AlertStore::new(3);
        for text in ["a", "b", "c", "d"] {
            add(&store, text);
        }
        assert_eq!(texts(&store, 10), ["b", "c", "d"]);
        assert_eq!(texts(&store, 2), ["c", "d"]);
    }

    #[test]
    fn a_follower_gets_what_comes_after_it_and_the_end() {
        let store = AlertStore::new(3);
        add(&store, "before");
        let mut follower = store.follow().unwrap();
        add(&store, "after");
        assert!(follower.try_recv().unwrap().contains("after"));
        store.close();
        assert_eq!(follower.try_recv().unwrap_err(), broadcast::error::TryRecvError::Closed);
        assert!(store.follow().is_none());
    }

    #[test]
    fn a_slow_follower_learns_how_much_it_missed() {
        let store = AlertStore::new(3);
        let mut follower = store.follow().unwrap();
        for _ in 0..FOLLOW_BUFFER + 5 {
            add(&store, "x");
        }
        assert_eq!(follower.try_recv().unwrap_err(), broadcast::error::TryRecvError::Lagged(5));
    }
}
