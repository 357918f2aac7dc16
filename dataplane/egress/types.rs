//! The types that the injecting program shares with user space, taken from its generated skeleton.

// Generated code, of which only `types` is used.
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
    include!(concat!(env!("OUT_DIR"), "/inject_skeleton.rs"));
}

pub(super) use skeleton::types::{
    sxf_lane as RawLane, sxf_lane_loss as RawLoss, sxf_lane_shape as Shape, sxf_lane_slot as RawSlot,
};

/// The program's object file.
pub(super) const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/inject.bpf.o"));
