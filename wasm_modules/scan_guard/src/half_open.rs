//! Connections that were begun and not gone on with.

use alloc::string::String;

use secuxflow_sdk::{FlowStates, Table};

/// Attempts that are too old are looked for at so many of the oldest for each new one, so that they go faster than they come.
const EXPIRED_AT_ONCE: usize = 4;

/// Which flows are half open, and how many of each host and source.
#[derive(Debug)]
pub struct HalfOpen {
    flows: FlowStates<Attempt>,
    hosts: Table<u128, u32>,
    sources: Table<u128, u32>,
    time_ns: u64,
}

#[derive(Debug)]
struct Attempt {
    host: u128,
    source: u128,
    since: u64,
}

impl HalfOpen {
    /// Room for so many attempts at a time, and for so many hosts and sources; an attempt counts for `seconds`.
    ///
    /// # Errors
    /// There is not that much heap.
    pub fn new(attempts: usize, hosts: usize, seconds: u32) -> Result<Self, String> {
        let flows = FlowStates::new(attempts)?;
        let time_ns = u64::from(seconds) * 1_000_000_000;
        Ok(Self { flows, hosts: Table::new(hosts)?, sources: Table::new(hosts)?, time_ns })
    }

    /// Number of flows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// A SYN. Returns how many are half open toward the host, and of the source.
    pub fn begin(&mut self, flow: u64, host: u128, source: u128, now: u64) -> (u32, u32) {
        for _ in 0..EXPIRED_AT_ONCE {
            let oldest = self.flows.oldest().filter(|(_, attempt)| now.saturating_sub(attempt.since) > self.time_ns);
            let Some((oldest, _)) = oldest else { break };
            self.end(oldest);
        }
        if self.flows.get(flow).is_some() {
            // Sent again.
            let count = |table: &mut Table<u128, u32>, key| table.get(key).copied().unwrap_or(1);
            return (count(&mut self.hosts, host), count(&mut self.sources, source));
        }
        if self.flows.len() == self.flows.capacity() {
            let oldest = self.flows.oldest().map(|(flow, _)| flow);
            oldest.into_iter().for_each(|flow| self.end(flow));
        }
        self.flows.get_or_insert_with(flow, || Attempt { host, source, since: now });
        let add = |table: &mut Table<u128, u32>, key| {
            let count = table.get_or_default(key);
            *count = count.saturating_add(1);
            *count
        };
        (add(&mut self.hosts, host), add(&mut self.sources, source))
    }

    /// The flow goes on, or is given up.
    #[inline]
    pub fn end(&mut self, flow: u64) {
        let Some(attempt) = self.flows.remove(flow) else { return };
        for (table, key) in [(&mut self.hosts, attempt.host), (&mut self.sources, attempt.source)] {
            // One that gave way to others counts anew.
            let Some(count) = table.get(key) else { continue };
            *count = count.saturating_sub(1);
            if *count == 0 {
                table.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_end_by_going_on_by_time_and_by_lack_of_room() {
        let second = 1_000_000_000;
        let mut half_open = HalfOpen::new(16, 16, 10).unwrap();
        assert_eq!(half_open.begin(1, 80, 7, 0), (1, 1));
        assert_eq!(half_open.begin(2, 80, 8, second), (2, 1));
        assert_eq!(half_open.begin(2, 80, 8, second), (2, 1), "sent again");
        half_open.end(1);
        half_open.end(1);
        assert_eq!(half_open.begin(3, 80, 8, second), (2, 2));
        assert_eq!(half_open.begin(4, 80, 8, 12 * second), (1, 1), "the others are too old");
        for flow in 10..100 {
            assert!(half_open.begin(flow, 80, 9, 12 * second).0 <= 16);
        }
        assert_eq!(half_open.len(), 16);
    }
}
