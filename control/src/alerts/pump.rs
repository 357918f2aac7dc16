//! The task that empties the dataplane's alert queue.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use secuxflow::alert::{AlertEvent, AlertQueue};

use super::{AlertStore, EveFile};
use crate::{admin::Admin, backend::Names};

/// How often the queue is looked at.
const INTERVAL: Duration = Duration::from_millis(50);
/// Alerts taken at once, so that one write serves many and memory stays bounded.
const BURST: usize = 4096;

/// Move alerts from `queue` to `store` and `file` until the task is aborted; a look at an empty queue costs a load or two.
pub(crate) async fn run(
    queue: Arc<AlertQueue>,
    admin: Arc<Admin>,
    store: Arc<AlertStore>,
    file: Arc<Mutex<Option<EveFile>>>,
) {
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let Some(first) = queue.pop() else { continue };
        let (queue, admin, store, file) =
            (Arc::clone(&queue), Arc::clone(&admin), Arc::clone(&store), Arc::clone(&file));
        // The file may block, on a full or slow disk for long. Names come with modules and chains, and stay for a while.
        let drained = tokio::task::spawn_blocking(move || {
            drain(Some(first), &queue, &admin.names().unwrap_or_default(), &store, &file);
        });
        let drained = drained.await;
        if let Err(e) = drained {
            tracing::error!("alerts of one round were lost: {e}");
        }
    }
}

/// Take `first` and what is in `queue`, at most some thousand alerts.
pub(crate) fn drain(
    first: Option<AlertEvent>,
    queue: &AlertQueue,
    names: &Names,
    store: &AlertStore,
    file: &Mutex<Option<EveFile>>,
) {
    let mut text = Vec::new();
    let mut lines = 0;
    for event in first.into_iter().chain(std::iter::from_fn(|| queue.pop())).take(BURST) {
        match store.add(&event, names) {
            Ok((line, refused)) => {
                queue.count_fields_dropped(refused.into());
                text.extend_from_slice(line.as_bytes());
                text.push(b'\n');
                lines += 1;
            }
            Err(e) => tracing::error!("an alert cannot be written as JSON: {e}"),
        }
    }
    if let Some(file) = &mut *file.lock().unwrap_or_else(PoisonError::into_inner)
        && lines > 0
        && !file.write(&text)
    {
        store.count_write_errors(lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_reach_ring_and_file_and_lost_lines_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("eve.json");
        let (queue, store) = (AlertQueue::new(4), AlertStore::new(8));
        let file = Mutex::new(Some(EveFile::open(&path).unwrap()));
        for text in ["one", "two", "three", "four", "five"] {
            queue.push(AlertEvent::dataplane(3, text));
        }
        drain(None, &queue, &Names::default(), &store, &file);
        assert_eq!(queue.dropped(), 1);
        assert_eq!(store.latest(8).len(), 4);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 4);

        *file.lock().unwrap() = Some(EveFile::open(std::path::Path::new("/dev/full")).unwrap());
        queue.push(AlertEvent::dataplane(3, "six"));
        drain(None, &queue, &Names::default(), &store, &file);
        assert_eq!(store.write_errors(), 1);
        assert_eq!(queue.fields_dropped(), 0);
        queue.push(AlertEvent { fields: Some(b"{".as_slice().into()), ..AlertEvent::dataplane(3, "seven") });
        drain(None, &queue, &Names::default(), &store, &file);
        assert_eq!((queue.fields_dropped(), store.latest(8).len()), (1, 6), "the alert itself is kept");
        assert_eq!(store.latest(5).len(), 5, "the ring has it all the same");
    }
}
