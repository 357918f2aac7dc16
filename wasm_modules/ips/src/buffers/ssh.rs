//! Banners of SSH, and fingerprints of what each side proposes for the exchange of keys (HASSH).

use alloc::{string::String, vec::Vec};

use md5::{Digest as _, Md5};

use super::{Slot, transform::hex};

/// Longest banner line in bytes.
const LONGEST: usize = 512;
/// Longest proposal for the exchange of keys in bytes.
const LONGEST_PROPOSAL: usize = 16 << 10;
/// SSH_MSG_KEXINIT of RFC 4253, and the messages that may come before it: SSH_MSG_IGNORE and SSH_MSG_DEBUG.
const KEXINIT: u8 = 20;
const IGNORE: u8 = 2;
const DEBUG: u8 = 4;

/// The two sides.
#[derive(Debug, Default)]
pub struct Ssh {
    sides: [Side; 2],
}

/// What comes next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Banner,
    Proposal,
    Done,
}

#[derive(Debug, Default)]
struct Side {
    stage: Stage,
    /// The banner's line, then the packets up to the proposal's, as far as they came.
    open: Vec<u8>,
    /// Bytes of packets in `open` that are no proposal.
    skipped: usize,
    proto: Vec<u8>,
    software: Vec<u8>,
    known: bool,
    hassh: Vec<u8>,
    hassh_hash: String,
}

impl Ssh {
    /// Take in-order data; tells whether the banner or the fingerprint became known.
    pub fn feed(&mut self, side: usize, mut data: &[u8]) -> bool {
        let this = &mut self.sides[side];
        let mut news = false;
        while this.stage == Stage::Banner {
            let Some((&byte, rest)) = data.split_first() else { return news };
            data = rest;
            if byte != b'\n' && this.open.len() < LONGEST {
                this.open.push(byte);
                continue;
            }
            let line = core::mem::take(&mut this.open);
            // A server may send other lines first.
            if let Some(rest) = line.strip_prefix(b"SSH-") {
                this.banner(rest);
                news = true;
            } else if byte != b'\n' {
                this.stage = Stage::Done;
            }
        }
        news | (this.stage == Stage::Proposal && this.proposal(side, data))
    }

    /// Nothing more will come of this direction.
    pub fn lose(&mut self, side: usize) {
        self.sides[side].stage = Stage::Done;
        self.sides[side].open = Vec::new();
    }

    /// Bytes that it takes, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        let texts = |side: &Side| {
            let names = side.proto.capacity() + side.software.capacity();
            side.open.capacity() + names + side.hassh.capacity() + side.hassh_hash.capacity() + 256
        };
        self.sides.iter().map(texts).sum()
    }

    fn slot<'a>(&'a self, side: usize, nth: usize, bytes: &'a [u8]) -> Slot<'a> {
        match (&self.sides[side], nth) {
            (Side { known: true, .. }, 0) if !bytes.is_empty() => Slot::Data { bytes, ended: true },
            (Side { stage: Stage::Banner, .. }, 0) => Slot::NotYet,
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

    /// `ssh.hassh.string`, `ssh.hassh.server.string`; with `hash`, `ssh.hassh` and `ssh.hassh.server`.
    #[must_use]
    pub fn hassh(&self, side: usize, nth: usize, hash: bool) -> Slot<'_> {
        let this = &self.sides[side];
        match nth {
            0 if !this.hassh.is_empty() => {
                Slot::Data { bytes: if hash { this.hassh_hash.as_bytes() } else { &this.hassh }, ended: true }
            }
            0 if this.stage != Stage::Done => Slot::NotYet,
            _ => Slot::Absent,
        }
    }
}

impl Side {
    /// A banner, behind its `SSH-`.
    fn banner(&mut self, rest: &[u8]) {
        let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
        let dash = rest.iter().position(|byte| *byte == b'-').unwrap_or(rest.len());
        self.proto = rest[..dash].to_vec();
        let software = rest.get(dash + 1..).unwrap_or(&[]);
        let end = software.iter().position(|byte| *byte == b' ').unwrap_or(software.len());
        self.software = software[..end].to_vec();
        self.known = true;
        self.stage = Stage::Proposal;
    }

    /// More of the first packets behind the banner, of one bound together; tells whether the fingerprint became known.
    fn proposal(&mut self, side: usize, data: &[u8]) -> bool {
        let room = LONGEST_PROPOSAL - self.open.len().min(LONGEST_PROPOSAL);
        self.open.extend_from_slice(&data[..data.len().min(room)]);
        // What was skipped stays in `open`, so that the bound holds for all.
        while let Some((length, rest)) = self.open[self.skipped..].split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            if length > LONGEST_PROPOSAL - 4 - self.skipped {
                break;
            }
            let Some(packet) = rest.get(..length) else { return false };
            if let [_, IGNORE | DEBUG, ..] = packet {
                self.skipped += 4 + length;
                continue;
            }
            if let Some(lists) = name_lists(packet, side) {
                self.hassh_hash = hex(&Md5::digest(&lists));
                self.hassh = lists;
            }
            break;
        }
        if self.open.len() - self.skipped < 4 && self.open.len() < LONGEST_PROPOSAL {
            return false;
        }
        self.stage = Stage::Done;
        self.open = Vec::new();
        !self.hassh.is_empty()
    }
}

/// The methods that the KEXINIT of `side` proposes for keys, and for encryption, authentication and compression of what it sends,
/// joined by semicolons.
fn name_lists(packet: &[u8], side: usize) -> Option<Vec<u8>> {
    // Padding's length, the kind of message, a cookie; then ten lists of names.
    let [_, KEXINIT, rest @ ..] = packet else { return None };
    let mut rest = rest.get(16..)?;
    let mut lists: [&[u8]; 8] = [&[]; 8];
    for list in &mut lists {
        let (length, after) = rest.split_first_chunk::<4>()?;
        (*list, rest) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    }
    let sent = [lists[0], lists[2 + side], lists[4 + side], lists[6 + side]];
    Some(sent.join(&b';'))
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
        assert_eq!(ssh.hassh(0, 0, true), Slot::Absent);
    }

    /// A packet of SSH with a KEXINIT that proposes these lists.
    fn kexinit(lists: [&str; 10]) -> Vec<u8> {
        let mut packet = [&[4, KEXINIT][..], &[7; 16]].concat();
        for list in lists {
            packet.extend((list.len() as u32).to_be_bytes());
            packet.extend(list.as_bytes());
        }
        packet.extend([0; 5 + 4]);
        [&(packet.len() as u32).to_be_bytes()[..], &packet].concat()
    }

    #[test]
    fn fingerprints_of_each_side() {
        let lists = ["kex1,kex2", "rsa", "aes-cs", "aes-sc", "mac-cs", "mac-sc", "none", "zlib", "", ""];
        for (side, text) in [(0, "kex1,kex2;aes-cs;mac-cs;none"), (1, "kex1,kex2;aes-sc;mac-sc;zlib")] {
            let bytes = [b"SSH-2.0-x\r\n", &kexinit(lists)[..], b"more"].concat();
            let mut ssh = Ssh::default();
            let news: Vec<bool> = bytes.iter().map(|byte| ssh.feed(side, &[*byte])).collect();
            assert_eq!(news.iter().filter(|news| **news).count(), 2, "banner and fingerprint");
            assert_eq!(ssh.hassh(side, 0, false), Slot::Data { bytes: text.as_bytes(), ended: true });
            let hash = hex(&Md5::digest(text.as_bytes()));
            assert_eq!(ssh.hassh(side, 0, true), Slot::Data { bytes: hash.as_bytes(), ended: true });
            let mut whole = Ssh::default();
            assert!(whole.feed(side, &bytes));
            assert_eq!(whole.hassh(side, 0, true), Slot::Data { bytes: hash.as_bytes(), ended: true });
            assert_eq!(whole.hassh(1 - side, 0, true), Slot::NotYet);
        }
    }

    #[test]
    fn packets_before_the_proposal_are_skipped() {
        let proposal = kexinit(["k\u{e9}", "r", "c", "c", "m", "m", "z", "z", "", ""]);
        let other =
            |kind: u8, length: u32| [&length.to_be_bytes()[..], &[4, kind], &vec![0; length as usize - 2]].concat();
        let first = [&b"SSH-2.0-x\r\n"[..], &other(IGNORE, 12), &other(DEBUG, 300)].concat();
        let bytes = [&first[..], &proposal].concat();
        let text = "k\u{e9};c;m;z".as_bytes();
        let mut whole = Ssh::default();
        assert!(whole.feed(0, &bytes));
        assert_eq!(whole.hassh(0, 0, false), Slot::Data { bytes: text, ended: true });
        let mut pieces = Ssh::default();
        assert_eq!(bytes.iter().filter(|byte| pieces.feed(0, &[**byte])).count(), 2);
        assert_eq!(pieces.hassh(0, 0, false), Slot::Data { bytes: text, ended: true });
        // They are bound together with the proposal.
        let mut long = Ssh::default();
        long.feed(0, &first);
        for _ in 0..LONGEST_PROPOSAL / 1004 + 1 {
            long.feed(0, &other(IGNORE, 1000));
            assert!(long.memory() < 4 * LONGEST_PROPOSAL);
        }
        long.feed(0, &proposal);
        assert_eq!(long.hassh(0, 0, false), Slot::Absent);
    }

    #[test]
    fn names_are_hashed_as_they_came_and_counted() {
        let mut packet = kexinit(["k1", "r", "c", "c", "m", "m", "z", "z", "", ""]);
        let at = packet.windows(2).position(|pair| pair == b"k1").unwrap();
        packet[at] = 0xff;
        let mut ssh = Ssh::default();
        let before = ssh.memory();
        ssh.feed(0, &[b"SSH-2.0-", &[b'x'; 400][..], b"\r\n"].concat());
        assert!(ssh.memory() >= before + 400);
        ssh.feed(0, &packet);
        assert_eq!(ssh.hassh(0, 0, false), Slot::Data { bytes: b"\xff1;c;m;z", ended: true });
    }

    #[test]
    fn proposals_that_are_none() {
        let mut short = kexinit([""; 10]);
        short[22 + 3] = 200;
        for packet in [&[0xff; 64][..], &[0, 0, 0, 2, 4, 21], &[0, 0, 0, 0], &short] {
            let mut ssh = Ssh::default();
            assert!(ssh.feed(0, b"SSH-2.0-x\n"));
            assert!(!ssh.feed(0, packet));
            assert_eq!(ssh.hassh(0, 0, false), Slot::Absent);
        }
        let mut lost = Ssh::default();
        lost.feed(0, b"SSH-2.0-x\n");
        lost.lose(0);
        assert_eq!(lost.hassh(0, 0, false), Slot::Absent);
        assert_eq!(lost.proto(0, 0), Slot::Data { bytes: b"2.0", ended: true });
    }
}
