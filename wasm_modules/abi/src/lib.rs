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

/// Longest alert or log message in bytes; the host cuts what is longer.
pub const MAX_MESSAGE: usize = 160;

/// Names that a module exports.
pub mod exports {
    /// The linear memory.
    pub const MEMORY: &str = "memory";
    /// `fn() -> u32`: the ABI version the module was written for.
    pub const ABI_VERSION: &str = "sxf_abi_version";
    /// `fn(len: u32) -> u32`: a 16-byte aligned block of `len` bytes that the host owns from then on, or 0.
    /// Called twice, before `sxf_init`: once for the batch, once for the configuration. Never freed.
    pub const ALLOC: &str = "sxf_alloc";
    /// `fn(cfg: u32, len: u32) -> u32`: configuration as UTF-8 JSON; 0 accepts it, anything else refuses to load.
    pub const INIT: &str = "sxf_init";
    /// `fn(batch: u32, n: u32) -> u32`: inspect `n` [`Packet`](super::Packet)s, write their verdicts, return 0.
    /// Any other return value fails the batch as a trap would.
    pub const INSPECT: &str = "sxf_inspect";
}

/// Names that a module may import, all from the import module [`MODULE`](imports::MODULE).
pub mod imports {
    /// The import module's name.
    pub const MODULE: &str = "sxf";
    /// `fn(packet: u32, severity: u32, signature: u32, msg: u32, len: u32)`: raise an alert on packet number
    /// `packet` of the current batch. Severity 1 (high) to 4 (informational), as in Suricata.
    pub const ALERT: &str = "alert";
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
}

/// Values of [`Packet::verdict`]. Any other value fails the batch by the module's fail policy.
pub mod verdict {
    /// Let the packet through to the next module of the chain, and at the end of it out.
    pub const PASS: u32 = 0;
    /// Discard the packet; later modules of the chain do not see it.
    pub const DROP: u32 = 1;
}
