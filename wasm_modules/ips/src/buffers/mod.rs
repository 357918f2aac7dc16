//! Buffers of protocols.

pub mod names;
