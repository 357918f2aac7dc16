//! The contract between the secuxflow host and its inspection modules, ABI version 1.
//!
//! A module is a WebAssembly *core* module with a C ABI and no WASI. Everything that crosses the boundary is named
//! here, once, for host and guests; `wasm_modules/README.md` is the prose specification of the same.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

/// Version that `sxf_abi_version` must return. It changes whenever a layout, name or meaning below changes.
pub const ABI_VERSION: u32 = 1;

/// Guest address of the read-only window onto the UMEM. A frame at UMEM offset `o` is read at `WINDOW + o`.
///
/// The guest's own heap lies below [`HEAP_LIMIT`]; loads from the window are plain loads, stores into it trap.
pub const WINDOW: u32 = 0x8000_0000;

/// Exclusive upper bound of the guest's heap in bytes: growth past it is refused by the host.
pub const HEAP_LIMIT: u32 = 0x4000_0000;

/// Most packets that one call of `sxf_inspect` carries.
pub const MAX_BATCH: usize = 512;

/// Most chunks that one call of `sxf_stream` carries.
pub const MAX_CHUNKS: usize = 1024;

/// Longest alert or log message in bytes; the host cuts what is longer.
pub const MAX_MESSAGE: usize = 160;

/// Longest JSON object of an alert's further fields, in bytes; an alert whose fields are longer is raised without them.
pub const MAX_FIELDS: usize = 512;

/// Most metrics that a module may declare.
pub const MAX_METRICS: usize = 32;

/// Longest name of a metric in bytes: `[a-z][a-z0-9_]*`.
pub const MAX_METRIC_NAME: usize = 48;

/// Names of custom sections that a module may have.
pub mod sections {
    /// JSON Schema (draft 2020-12) of the configuration. Where it is there, a configuration that does not fit is refused
    /// before `sxf_init` sees it.
    pub const SCHEMA: &str = "sxf_schema";
    /// What the module is: a JSON object with the strings `name`, `version` and `description`.
    pub const ABOUT: &str = "sxf_about";
}

/// Names that a module exports.
pub mod exports {
    /// The linear memory.
    pub const MEMORY: &str = "memory";
    /// `fn() -> u32`: the ABI version the module was written for.
    pub const ABI_VERSION: &str = "sxf_abi_version";
    /// `fn(len: u32) -> u32`: a 16-byte aligned block of `len` bytes that the host owns from then on, or 0.
    /// Called before `sxf_init`: once for the batch, once for the configuration, and once more for the chunks where
    /// `sxf_stream` is exported. Never freed.
    pub const ALLOC: &str = "sxf_alloc";
    /// `fn(cfg: u32, len: u32) -> u32`: configuration as UTF-8 JSON; 0 accepts it, anything else refuses to load.
    pub const INIT: &str = "sxf_init";
    /// `fn(batch: u32, n: u32) -> u32`: inspect `n` [`Packet`](super::Packet)s, write their verdicts, return 0.
    /// Any other return value fails the batch as a trap would. A module exports this, [`STREAM`], or both.
    pub const INSPECT: &str = "sxf_inspect";
    /// `fn(batch: u32, n: u32, chunks: u32, m: u32) -> u32`: inspect `m` [`Chunk`](super::Chunk)s of TCP streams, which
    /// came with the `n` [`Packet`](super::Packet)s, in the order of each stream; write the packets' verdicts, return 0.
    /// Follows `sxf_inspect` of the same packets, but for those that it dropped.
    pub const STREAM: &str = "sxf_stream";
}

/// Names that a module may import, all from the import module [`MODULE`](imports::MODULE).
pub mod imports {
    /// The import module's name.
    pub const MODULE: &str = "sxf";
    /// `fn(packet: u32, severity: u32, signature: u32, msg: u32, len: u32)`: raise an alert on packet number
    /// `packet` of the current batch. Severity 1 (high) to 4 (informational), as in Suricata.
    pub const ALERT: &str = "alert";
    /// `fn(packet: u32, severity: u32, signature: u32, msg: u32, len: u32, fields: u32, fields_len: u32)`: as
    /// [`ALERT`], with a JSON object of at most [`MAX_FIELDS`](super::MAX_FIELDS) bytes. Its keys `gid`, `rev`, `category`,
    /// `metadata` and `reference` go into the event's `alert` object, all others beside it, as in Suricata's EVE format.
    pub const ALERT_FIELDS: &str = "alert_fields";
    /// `fn(kind: u32, name: u32, len: u32) -> u32`: declare a metric of [`metric`](super::metric) kind, from `sxf_init`
    /// only; returns its number. A bad name, a doubled one, or too many trap.
    pub const METRIC: &str = "metric";
    /// `fn(metric: u32, value: u64)`: add to a counter, or set a gauge, of this worker. Control sums over workers.
    pub const MEASURE: &str = "measure";
    /// `fn(level: u32, msg: u32, len: u32)`: log a line; level 1 error, 2 warning, 3 info. For `sxf_init`: lines from
    /// inside `sxf_inspect` are counted and dropped, for they would be on the hot path.
    pub const LOG: &str = "log";
    /// `fn() -> u64`: monotonic time in nanoseconds, read once per batch.
    pub const CLOCK: &str = "clock";
    /// `fn(packet: u32, seconds: u32)`: clear the flow of packet number `packet` of the current batch: for `seconds`, or
    /// as long as is configured for 0, its packets pass without being shown to the chain, once every module of the chain
    /// has cleared it. The packet itself follows its verdict.
    pub const FLOW_CLEAR: &str = "flow_clear";
    /// `fn(packet: u32, seconds: u32)`: condemn the packet's flow: its packets are dropped, both directions, without being
    /// shown to any module. The packet itself follows its verdict.
    pub const FLOW_CONDEMN: &str = "flow_condemn";
    /// `fn(packet: u32, seconds: u32)`: drop everything that comes from the packet's source, before any rule.
    pub const SOURCE_BLOCK: &str = "source_block";
}

/// One packet of a batch: 64 bytes, little-endian, at a 16-byte aligned guest address.
///
/// Offsets count from `frame`, the first byte of the Ethernet header. Invariant, upheld by the host:
/// `l3 <= l4 <= payload` and `payload + payload_len <= len`. A header that is absent has the offset of what follows.
#[repr(C, align(16))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Packet {
    /// Flow identifier: a keyed hash of the 5-tuple, the same in both directions.
    pub flow: u64,
    /// Guest address of the Ethernet header, inside the window.
    pub frame: u32,
    /// Length of the frame in bytes.
    pub len: u32,
    /// Offset of the IP header.
    pub l3: u16,
    /// Offset of the transport header.
    pub l4: u16,
    /// Offset of the transport payload.
    pub payload: u16,
    /// Length of the transport payload in bytes, link-layer padding excluded.
    pub payload_len: u16,
    /// EtherType behind any VLAN tags (0x0800 IPv4, 0x86dd IPv6).
    pub ethertype: u16,
    /// Source port, 0 where the protocol has none or the packet is a later fragment.
    pub src_port: u16,
    /// Destination port, as `src_port`.
    pub dst_port: u16,
    /// IP protocol number behind any IPv6 extension headers.
    pub protocol: u8,
    /// TCP flags byte (FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128), 0 for other protocols.
    pub tcp_flags: u8,
    /// Bits of [`flags`].
    pub flags: u32,
    /// Number of the rule that sent the packet here, 0 for none (the default action, an undecidable packet).
    pub rule: u32,
    /// Index of the interface it came in by, in the order of the configuration.
    pub ingress: u32,
    /// Out: a value of [`verdict`]. The host sets [`verdict::PASS`] before the call.
    pub verdict: u32,
    /// Zero; for later versions.
    pub reserved: [u32; 4],
}

/// Size of [`Packet`] in bytes.
pub const PACKET_SIZE: usize = 64;
const _: () = assert!(core::mem::size_of::<Packet>() == PACKET_SIZE);

/// Bits of [`Packet::flags`].
pub mod flags {
    /// The packet is a fragment, first or later.
    pub const FRAGMENT: u32 = 1 << 0;
    /// The packet is a fragment without a transport header.
    pub const LATER_FRAGMENT: u32 = 1 << 1;
    /// A header or the payload ends before its own length field says.
    pub const TRUNCATED: u32 = 1 << 2;
    /// One or two VLAN tags precede the IP header.
    pub const VLAN: u32 = 1 << 3;
    /// The packet goes from the flow's responder to its initiator; never set where flows are not followed.
    pub const TO_CLIENT: u32 = 1 << 4;
    /// TCP: the handshake was seen, or the flow was taken up in its midst; other protocols: both directions were seen.
    pub const ESTABLISHED: u32 = 1 << 5;
    /// The first packet of its flow.
    pub const FLOW_START: u32 = 1 << 6;
    /// TCP: the flow's beginning was not seen.
    pub const MIDSTREAM: u32 = 1 << 7;
    /// A datagram that was put together from fragments. Its last fragment carries the verdict, without which the receiver
    /// has no datagram; each fragment was shown as it came, too.
    pub const REASSEMBLED: u32 = 1 << 8;
}

/// A piece of one direction of a TCP stream, in order and without a gap unless it says so: 32 bytes, little-endian.
///
/// `data..data + len` is inside the window: the segment itself where it came in order, else the host's copy of it.
#[repr(C, align(16))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Chunk {
    /// Flow identifier, as [`Packet::flow`].
    pub flow: u64,
    /// Position of the first byte in its direction's stream; the first byte that was seen is 0.
    pub offset: u64,
    /// Guest address of the bytes.
    pub data: u32,
    /// Number of bytes; 0 for a mere event.
    pub len: u32,
    /// Number of the packet in the batch that made this piece contiguous and whose verdict decides on it, or [`NO_PACKET`].
    pub packet: u32,
    /// Bits of [`chunk`].
    pub flags: u32,
}

/// Size of [`Chunk`] in bytes.
pub const CHUNK_SIZE: usize = 32;
const _: () = assert!(core::mem::size_of::<Chunk>() == CHUNK_SIZE);

/// [`Chunk::packet`] of an event that no packet caused: a flow that timed out or was pushed out.
pub const NO_PACKET: u32 = u32::MAX;

/// Bits of [`Chunk::flags`].
pub mod chunk {
    /// From the responder to the initiator.
    pub const TO_CLIENT: u32 = 1 << 0;
    /// The first piece of its direction.
    pub const START: u32 = 1 << 1;
    /// The last piece of its direction: FIN.
    pub const END: u32 = 1 << 2;
    /// The flow is over in both directions, without a FIN: reset, timed out, pushed out. Nothing of it follows.
    pub const ABORT: u32 = 1 << 3;
    /// Bytes between the piece before and this one are missing; `offset` tells how many.
    pub const GAP: u32 = 1 << 4;
    /// The stream's beginning was not seen.
    pub const MIDSTREAM: u32 = 1 << 5;
}

/// Kinds of metrics.
pub mod metric {
    /// Only grows.
    pub const COUNTER: u32 = 0;
    /// Goes up and down.
    pub const GAUGE: u32 = 1;
}

/// Values of [`Packet::verdict`]. Any other value fails the batch by the module's fail policy.
pub mod verdict {
    /// Let the packet through to the next module of the chain, and at the end of it out.
    pub const PASS: u32 = 0;
    /// Discard the packet; later modules of the chain do not see it. From `sxf_stream`, whatever else comes of the flow is
    /// discarded too, in both directions, for the receiver could not use it.
    pub const DROP: u32 = 1;
    /// As [`DROP`], and tell: a TCP reset to both ends, else ICMP "administratively prohibited" to the sender.
    pub const REJECT: u32 = 2;
}
