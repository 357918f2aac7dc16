//! The imports. What a module does not call is not imported: the linker leaves it out.
#![expect(unsafe_code, reason = "functions of the host")]

mod sxf {
    #[link(wasm_import_module = "sxf")]
    unsafe extern "C" {
        pub(super) fn alert(packet: u32, severity: u32, signature: u32, message: *const u8, len: usize);
        pub(super) fn alert_fields(
            packet: u32,
            severity: u32,
            signature: u32,
            message: *const u8,
            len: usize,
            fields: *const u8,
            fields_len: usize,
        );
        pub(super) fn metric(kind: u32, name: *const u8, len: usize) -> u32;
        pub(crate) safe fn measure(metric: u32, value: u64);
        pub(super) fn log(level: u32, message: *const u8, len: usize);
        pub(crate) safe fn clock() -> u64;
        pub(crate) safe fn flow_clear(packet: u32, seconds: u32);
        pub(crate) safe fn flow_condemn(packet: u32, seconds: u32);
        pub(crate) safe fn source_block(packet: u32, seconds: u32);
    }
}

pub(crate) use sxf::{clock, flow_clear, flow_condemn, measure, source_block};

pub(crate) fn alert(packet: u32, severity: u32, signature: u32, text: &[u8]) {
    // SAFETY: the host reads the text during the call, and only that.
    unsafe { sxf::alert(packet, severity, signature, text.as_ptr(), text.len()) }
}

pub(crate) fn alert_fields(packet: u32, severity: u32, signature: u32, text: &[u8], fields: &[u8]) {
    let (text, text_len, fields, fields_len) = (text.as_ptr(), text.len(), fields.as_ptr(), fields.len());
    // SAFETY: as for `alert`.
    unsafe { sxf::alert_fields(packet, severity, signature, text, text_len, fields, fields_len) }
}

pub(crate) fn metric(kind: u32, name: &[u8]) -> u32 {
    // SAFETY: as for `alert`.
    unsafe { sxf::metric(kind, name.as_ptr(), name.len()) }
}

pub(crate) fn log(level: u32, text: &[u8]) {
    // SAFETY: as for `alert`.
    unsafe { sxf::log(level, text.as_ptr(), text.len()) }
}
