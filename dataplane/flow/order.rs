//! What a worker asks of the kernel: an entry for one direction of a flow, or for a source.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crossbeam_queue::ArrayQueue;

use crate::wire::{ETH_HLEN, Fragment, Headers};

/// One direction of a flow, as its packets have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowTuple {
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
    /// Flags of a TCP header: part of the kernel's key where rules look at them.
    pub tcp_flags: u8,
}

impl FlowTuple {
    /// The direction that a packet belongs to.
    #[must_use]
    pub fn of(headers: &Headers) -> Self {
        let Headers { src, dst, src_port, dst_port, protocol, tcp_flags, .. } = *headers;
        Self { src, dst, src_port, dst_port, protocol, tcp_flags }
    }
}

/// Whether the kernel deals with a packet by its flow alone: no VLAN tag, no IP option or extension header, no fragment.
#[must_use]
pub fn is_plain(headers: &Headers) -> bool {
    let ip = if headers.src.is_ipv4() { 20 } else { 40 };
    let (l3, l4) = (usize::from(headers.l3), usize::from(headers.l4));
    l3 == ETH_HLEN && l4 == l3 + ip && headers.fragment == Fragment::None
}

/// What a chain says of a whole flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowVerdict {
    /// Its packets pass without being looked at.
    Cleared,
    /// Its packets are dropped.
    Condemned,
}

/// An entry for one direction of a flow. Times are of `CLOCK_MONOTONIC`, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowOrder {
    /// The direction.
    pub tuple: FlowTuple,
    /// What was said of the flow.
    pub verdict: FlowVerdict,
    /// The chain that said it.
    pub chain: u16,
    /// Number of the rule that sent the packet to the chain, 0 for none.
    pub rule: u32,
    /// Generation that found the rule: the entry counts in no other.
    pub generation: u32,
    /// The rule's counter in the kernel.
    pub slot: u32,
    /// Made at.
    pub since_ns: u64,
    /// Counts until.
    pub until_ns: u64,
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// An entry for one direction of a flow.
    Flow(FlowOrder),
    /// Drop what comes from a source.
    Block {
        /// The source.
        source: IpAddr,
        /// Made at.
        since_ns: u64,
        /// Counts until.
        until_ns: u64,
    },
}

/// Bounded lock-free queue of orders from all workers. What finds no room is lost and counted: the flow's next packet
/// comes to the worker again, which orders again.
#[derive(Debug)]
pub struct OrderQueue {
    orders: ArrayQueue<Order>,
    lost: AtomicU64,
}

impl OrderQueue {
    /// A queue for `capacity` orders, 1 at least.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { orders: ArrayQueue::new(capacity.max(1)), lost: AtomicU64::new(0) }
    }

    /// Queue an order.
    pub fn push(&self, order: Order) {
        if self.orders.push(order).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    /// The oldest order.
    #[must_use]
    pub fn pop(&self) -> Option<Order> {
        self.orders.pop()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// Orders lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }
}
