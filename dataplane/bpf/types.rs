//! The types that the XDP programs share with user space, taken from the generated skeleton, and their bytes.
#![expect(unsafe_code, reason = "structs of the generated skeleton are declared to be plain bytes")]

use bytemuck::{Pod, Zeroable};

// Generated code, of which only `types` is used; the objects are loaded without the skeleton, whose borrows would tie
// every generation to the one that opened it.
#[allow(
    dead_code,
    missing_docs,
    missing_debug_implementations,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_code,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::pedantic,
    clippy::restriction
)]
mod skeleton {
    include!(concat!(env!("OUT_DIR"), "/skeleton.rs"));
}

pub(crate) use skeleton::types::{
    rodata_config as ConfigSection, sxf_action as Act, sxf_address as Address, sxf_blocklists as Blocklists,
    sxf_cache_shape as CacheShape, sxf_class as ClassEntry, sxf_config as Config, sxf_count as CountEntry,
    sxf_entry as Entry, sxf_event as Event, sxf_exit as ExitEntry, sxf_flow as FlowEntry,
    sxf_flow_verdict as FlowVerdict, sxf_flow4_key as Flow4Key, sxf_flow6_key as Flow6Key, sxf_limits as Limits,
    sxf_line as Line, sxf_magic as Magic, sxf_metadata as RawMetadata, sxf_node as Node, sxf_offload as OffloadBits,
    sxf_offload_table as OffloadTable, sxf_port as Port, sxf_port_table as PortTable, sxf_rule as RuleEntry,
    sxf_runs as Runs, sxf_sample as RawSample, sxf_service as ServiceEntry, sxf_set_family as SetFamily,
    sxf_set_shape as SetShape, sxf_shape as Shape, sxf_skip as Skip, sxf_source as SourceEntry, sxf_trie as Trie,
    sxf_uses as Uses, sxf_verdict as VerdictEntry,
};

/// The entry program's object file.
pub(crate) const ENTRY_OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/entry.bpf.o"));
/// The generation program's object file.
pub(crate) const GENERATION_OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/generation.bpf.o"));

macro_rules! plain {
    ($($name:ident { $($field:ident),+ },)+) => {$(
        // SAFETY: `bpf/common.h` builds the struct from integers and arrays of them only, for which all bit patterns,
        // zero included, are values.
        unsafe impl Zeroable for $name {}
        // SAFETY: as above, and the assertion below holds the struct to be exactly its fields, without padding.
        unsafe impl Pod for $name {}
        const _: () = {
            const fn size_of_field<T>(_: fn(&$name) -> &T) -> usize {
                size_of::<T>()
            }
            assert!(size_of::<$name>() == 0 $(+ size_of_field(|v: &$name| &v.$field))+);
        };
    )+};
}

plain! {
    CountEntry { packets, bytes },
    VerdictEntry { rule, slot, chain, action, monitored },
    RuleEntry { verdict, protocol, any_protocol, needs_transport, reserved },
    Runs { begins, before, entries },
    ClassEntry { src, dst, blocked, reserved },
    Skip { key, mask, hit, miss, next, reserved },
    Config { default_verdict, generation, cached, fail_closed, uses, enforced, strict, blocklists, offload, split },
    ConfigSection { config },
    Port { first_socket, ingress },
    Address { bytes },
    ServiceEntry { up },
    RawSample { src, dst, rule, slot, ifindex, bytes, sport, port, protocol, v6, reserved },
    RawMetadata { magic, chain, rule, generation, slot },
    Flow4Key { src, dst, sport, port, protocol, tcp_flags, reserved },
    Flow6Key { src, dst, sport, port, protocol, tcp_flags, reserved },
    FlowEntry { expires, since, last, packets, bytes, generation, slot, rule, chain, service, verdict, reserved },
    SourceEntry { expires, since, packets, bytes },
    ExitEntry { address, ifindex, mtu, split, dst_mac, src_mac },
}

/// Bytes in front of a redirected frame that may hold [`Metadata`].
pub const METADATA_LEN: usize = size_of::<RawMetadata>();

/// What the kernel says of a packet that it sends to inspection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Index of the chain.
    pub chain: u16,
    /// Number of the rule, 0 for none.
    pub rule: u32,
    /// Number of the generation that found the rule.
    pub generation: u32,
    /// Counter of the rule in the kernel; [`Metadata::NO_SLOT`] when the flow must not be offloaded.
    pub slot: u32,
}

impl Metadata {
    /// The slot of packets that the kernel has to look at one by one.
    pub const NO_SLOT: u32 = Limits::SXF_NO_SLOT.0;

    /// What is said of a packet whose flow must not be offloaded.
    #[must_use]
    pub fn of(chain: u16, rule: u32) -> Self {
        Self { chain, rule, generation: 0, slot: Self::NO_SLOT }
    }

    /// Read the [`METADATA_LEN`] bytes in front of a frame; `None` when the kernel wrote nothing there, and the packet
    /// has to be classified again.
    #[must_use]
    pub fn read(bytes: &[u8; METADATA_LEN]) -> Option<Self> {
        let raw: RawMetadata = bytemuck::pod_read_unaligned(bytes);
        let RawMetadata { magic, chain, rule, generation, slot } = raw;
        (u32::from(magic) == Magic::SXF_MAGIC.0).then_some(Self { chain, rule, generation, slot })
    }
}
