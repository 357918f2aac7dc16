//! Banners of SSH.

use alloc::vec::Vec;

use super::Slot;

/// Longest banner line in bytes.
const LONGEST: usize = 512;

/// The two banners.
#[derive(Debug, Default)]
pub struct Ssh {
    sides: [Side; 2],
}

#[derive(Debug, Default)]
struct Side {
    line: Vec<u8>,
    proto: Vec<u8>,
    software: Vec<u8>,
    known: bool,
    done: bool,
}

impl Ssh {
    /// Take in-order data; tells whether the banner became known.
    pub fn feed(&mut self, side: usize, data: &[u8]) -> bool {
        let this = &mut self.sides[side];
        for &byte in data {
            if this.done {
                return false;
            }
            if byte != b'\n' && this.line.len() < LONGEST {
                this.line.push(byte);
                continue;
            }
            let line = core::mem::take(&mut this.line);
            // A server may send other lines first.
            if let Some(rest) = line.strip_prefix(b"SSH-") {
                let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
                let dash = rest.iter().position(|byte| *byte == b'-').unwrap_or(rest.len());
                this.proto = rest[..dash].to_vec();
                let software = rest.get(dash + 1..).unwrap_or(&[]);
                let end = software.iter().position(|byte| *byte == b' ').unwrap_or(software.len());
                this.software = software[..end].to_vec();
                this.known = true;
                this.done = true;
                return true;
            }
            this.done = byte != b'\n';
        }
        false
    }

    /// Nothing more will come of this direction.
    pub fn lose(&mut self, side: usize) {
        self.sides[side].done = true;
    }

    fn slot<'a>(&'a self, side: usize, nth: usize, bytes: &'a [u8]) -> Slot<'a> {
        match (&self.sides[side], nth) {
            (Side { known: true, .. }, 0) if !bytes.is_empty() => Slot::Data { bytes, ended: true },
            (Side { done: false, .. }, 0) => Slot::NotYet,
            _ => Slot::Absent,
        }
    }

    /// `ssh.proto`
    #[must_use]
    pub fn proto(&self, side: usize, nth: usize) -> Slot<'_> {
        self.slot(side, nth, &self.sides[side].proto)
    }

    /// `ssh.software`
    #[must_use]
    pub fn software(&self, side: usize, nth: usize) -> Slot<'_> {
        self.slot(side, nth, &self.sides[side].software)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banners() {
        let mut ssh = Ssh::default();
        let known = b"hello\r\nSSH-2.0-OpenSSH_9.2p1 Debian\r\n".iter().any(|byte| ssh.feed(1, &[*byte]));
        assert!(known);
        assert_eq!(ssh.software(1, 0), Slot::Data { bytes: b"OpenSSH_9.2p1", ended: true });
        assert_eq!(ssh.proto(1, 0), Slot::Data { bytes: b"2.0", ended: true });
        assert_eq!(ssh.proto(0, 0), Slot::NotYet);
        ssh.feed(0, &[b'x'; 2000]);
        assert_eq!(ssh.proto(0, 0), Slot::Absent);
    }
}
