//! Captures in pcap's classic format.

use std::time::Duration;

/// Length of the file's header.
const HEADER: usize = 24;
/// Length of a packet's header.
const RECORD: usize = 16;
/// Link type of Ethernet.
const ETHERNET: u32 = 1;

/// Time and bytes of each packet. One that was cut short when it was taken is shown as it is.
///
/// # Errors
/// It is no capture of Ethernet frames; for a record, that the file ends in its midst.
pub(super) fn records(file: &[u8]) -> Result<impl Iterator<Item = Result<(Duration, &[u8]), String>>, String> {
    let header = file.first_chunk::<HEADER>().ok_or("the capture ends in its header")?;
    let magic = [header[0], header[1], header[2], header[3]];
    let (number, nanoseconds): (fn([u8; 4]) -> u32, bool) = match u32::from_le_bytes(magic) {
        0xa1b2_c3d4 => (u32::from_le_bytes, false),
        0xa1b2_3c4d => (u32::from_le_bytes, true),
        0xd4c3_b2a1 => (u32::from_be_bytes, false),
        0x4d3c_b2a1 => (u32::from_be_bytes, true),
        0x0a0d_0d0a => return Err("the capture is pcapng, pcap is expected (editcap -F pcap)".into()),
        _ => return Err("this is no capture".into()),
    };
    let link = number([header[20], header[21], header[22], header[23]]) & 0x0fff_ffff;
    if link != ETHERNET {
        return Err(format!("the capture has link type {link}, {ETHERNET} (Ethernet) is expected"));
    }
    let mut rest = &file[HEADER..];
    Ok(std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let cut = |rest: &mut &[u8]| {
            *rest = &[];
            Some(Err("the capture ends in the midst of a packet".into()))
        };
        let Some((header, behind)) = rest.split_first_chunk::<RECORD>() else { return cut(&mut rest) };
        let field = |at: usize| number([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let Some((frame, behind)) = behind.split_at_checked(field(8) as usize) else { return cut(&mut rest) };
        rest = behind;
        let fraction = if nanoseconds { 1 } else { 1000 };
        Some(Ok((Duration::new(u64::from(field(0)), field(4).saturating_mul(fraction).min(999_999_999)), frame)))
    }))
}
