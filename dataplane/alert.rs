//! Alerts on their way out of the dataplane: a fixed-size event and the bounded queue that carries it.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use arrayvec::ArrayString;
use crossbeam_queue::ArrayQueue;
use secuxflow_abi::MAX_MESSAGE;

/// The 5-tuple of the packet that an alert is about, in the packet's direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertFlow {
    /// Flow identifier, the same in both directions.
    pub id: u64,
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Source port, 0 where there is none.
    pub src_port: u16,
    /// Destination port, 0 where there is none.
    pub dst_port: u16,
    /// IP protocol number.
    pub protocol: u8,
}

/// What became of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Forwarded.
    Pass,
    /// Discarded.
    Drop,
    /// Discarded, and both ends or the sender told.
    Reject,
}

/// What an alert tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertKind {
    /// A module recognised something in a packet.
    Signature,
    /// A module trapped, ran out of time or answered nonsense; its batch followed its fail policy.
    ModuleFailure,
    /// A module failed too often and was taken out of service.
    ModuleDisabled,
    /// Monitor mode let a packet through that a rule, a blocklist or the default action would have dropped; a sample.
    Monitor,
    /// The dataplane itself noticed something: a service that went down, an interface that vanished, traffic that
    /// followed the fail policy.
    Dataplane,
}

/// One alert. Fixed size but for the fields, so that a worker makes and queues it without allocating.
#[derive(Debug, Clone)]
pub struct AlertEvent {
    /// Wall-clock time in nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// What it tells of.
    pub kind: AlertKind,
    /// The packet's flow, where there is a packet.
    pub flow: Option<AlertFlow>,
    /// Offset in the packet memory of the packet's frame, where there is a packet; it tells which of a batch it was.
    pub frame: Option<u32>,
    /// Number of the rule that sent the packet to inspection, or would have dropped it; 0 for none.
    pub rule: u32,
    /// Index of the interface the packet came in by.
    pub ingress: Option<u16>,
    /// Index of the chain.
    pub chain: Option<u16>,
    /// Index of the module.
    pub module: Option<u16>,
    /// 1 (high) to 4 (informational).
    pub severity: u8,
    /// Signature number within the module.
    pub signature: u32,
    /// What became of the packet.
    pub verdict: Verdict,
    /// Text for people.
    pub message: ArrayString<MAX_MESSAGE>,
    /// A JSON object of further fields as the module wrote it, unchecked, at most [`MAX_FIELDS`](secuxflow_abi::MAX_FIELDS)
    /// bytes. On the heap, for few alerts have any, and room for them in each would make the queue four times as large.
    pub fields: Option<Box<[u8]>>,
}

impl AlertEvent {
    /// An alert of the dataplane itself, without a packet; the text is cut at [`MAX_MESSAGE`] bytes.
    #[must_use]
    pub fn dataplane(severity: u8, text: &str) -> Self {
        Self {
            time_ns: crate::clock::wall_ns(),
            kind: AlertKind::Dataplane,
            flow: None,
            frame: None,
            rule: 0,
            ingress: None,
            chain: None,
            module: None,
            severity,
            signature: 0,
            verdict: Verdict::Pass,
            message: cut(text.as_bytes()),
            fields: None,
        }
    }
}

/// `text` as UTF-8 (bytes that are not are replaced by `.`), cut to what an alert holds.
#[must_use]
pub fn cut(text: &[u8]) -> ArrayString<MAX_MESSAGE> {
    let mut message = ArrayString::new();
    for chunk in text.utf8_chunks() {
        let broken = if chunk.invalid().is_empty() { "" } else { "." };
        for c in chunk.valid().chars().chain(broken.chars()) {
            let c = if c.is_control() { '.' } else { c };
            if message.try_push(c).is_err() {
                return message;
            }
        }
    }
    message
}

/// Bounded lock-free queue from the workers to control. A full queue drops the alert and counts it.
#[derive(Debug)]
pub struct AlertQueue {
    events: ArrayQueue<AlertEvent>,
    raised: AtomicU64,
    dropped: AtomicU64,
    fields_dropped: AtomicU64,
}

impl AlertQueue {
    /// A queue of `capacity` alerts, at least 1.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            events: ArrayQueue::new(capacity.max(1)),
            raised: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            fields_dropped: AtomicU64::new(0),
        }
    }

    /// Queue an alert; when the queue is full it is dropped and counted.
    pub fn push(&self, event: AlertEvent) {
        self.raised.fetch_add(1, Relaxed);
        if self.events.push(event).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Count `n` alerts that were raised but never became an event (a module raised too many in one batch).
    pub fn count_dropped(&self, n: u64) {
        self.raised.fetch_add(n, Relaxed);
        self.dropped.fetch_add(n, Relaxed);
    }

    /// Whether the next alert would find no room, unless one is taken out before.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.events.is_full()
    }

    /// Count `n` alerts of which further fields were left out: too long, no JSON, or not what their keys say.
    pub fn count_fields_dropped(&self, n: u64) {
        self.fields_dropped.fetch_add(n, Relaxed);
    }

    /// Alerts of which further fields were left out.
    #[must_use]
    pub fn fields_dropped(&self) -> u64 {
        self.fields_dropped.load(Relaxed)
    }

    /// The oldest alert, if there is one.
    #[must_use]
    pub fn pop(&self) -> Option<AlertEvent> {
        self.events.pop()
    }

    /// Alerts raised so far, dropped ones included.
    #[must_use]
    pub fn raised(&self) -> u64 {
        self.raised.load(Relaxed)
    }

    /// Alerts dropped so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}
