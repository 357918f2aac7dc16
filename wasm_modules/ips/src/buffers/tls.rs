//! The hellos of TLS: server name and fingerprints.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use md5::Md5;
use sha2::{Digest, Sha256};

use super::{Slot, names::Buffer, transform::hex};

/// Longest handshake message that is looked at, in bytes.
const LONGEST: usize = 16 << 10;

/// What is known of a connection.
#[derive(Debug, Default)]
pub struct Tls {
    sides: [Side; 2],
    hello: Hello,
    server: ServerHello,
}

#[derive(Debug, Default)]
struct Side {
    /// Record bytes that are not taken apart yet.
    record: Vec<u8>,
    /// Handshake bytes.
    handshake: Vec<u8>,
    known: bool,
    done: bool,
}

#[derive(Debug, Default)]
struct Hello {
    sni: Option<Vec<u8>>,
    ja3: String,
    ja3_hash: String,
    ja4: String,
}

#[derive(Debug, Default)]
struct ServerHello {
    ja3s: String,
    ja3s_hash: String,
}

/// A cursor over bytes in network order.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.bytes(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A vector behind a length of one byte.
    fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.bytes(usize::from(length))
    }

    /// A vector behind a length of two bytes.
    fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.bytes(usize::from(length))
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u16> + '_ {
    bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
}

/// Values that only test the tolerance of the other end.
fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

fn dashed(values: impl Iterator<Item = u16>) -> String {
    values.filter(|value| !is_grease(*value)).map(|value| value.to_string()).collect::<Vec<_>>().join("-")
}

impl Tls {
    /// Take in-order data; tells whether a hello became known.
    pub fn feed(&mut self, side: usize, data: &[u8]) -> bool {
        let this = &mut self.sides[side];
        if this.done {
            return false;
        }
        this.record.extend_from_slice(data);
        let mut at = 0;
        while let Some(header) = this.record.get(at..at + 5) {
            let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
            if header[0] != 22 || header[1] != 3 {
                this.done = true;
                break;
            }
            // What of the record is here can be looked at already.
            let Some(part) = this.record.get(at + 5..at + 5 + length) else { break };
            this.handshake.extend_from_slice(part);
            at += 5 + length;
            if this.handshake.len() > LONGEST {
                this.done = true;
                break;
            }
            if let Some(message) = message(&this.handshake) {
                this.known = match side {
                    0 => client_hello(message).map(|hello| self.hello = hello).is_some(),
                    _ => server_hello(message).map(|hello| self.server = hello).is_some(),
                };
                this.done = true;
                break;
            }
        }
        this.record.drain(..at.min(this.record.len()));
        if this.done || this.record.len() > 2 * LONGEST {
            this.done = true;
            this.record = Vec::new();
            this.handshake = Vec::new();
        }
        this.done
    }

    /// Nothing more will come of this direction.
    pub fn lose(&mut self, side: usize) {
        self.sides[side].done = true;
        self.sides[side].record = Vec::new();
    }

    /// A buffer.
    #[must_use]
    pub fn slot(&self, buffer: Buffer, nth: usize) -> Slot<'_> {
        let (side, bytes): (usize, &[u8]) = match buffer {
            Buffer::TlsSni => (0, self.hello.sni.as_deref().unwrap_or(&[])),
            Buffer::Ja3Hash => (0, self.hello.ja3_hash.as_bytes()),
            Buffer::Ja3String => (0, self.hello.ja3.as_bytes()),
            Buffer::Ja4Hash => (0, self.hello.ja4.as_bytes()),
            Buffer::Ja3sHash => (1, self.server.ja3s_hash.as_bytes()),
            Buffer::Ja3sString => (1, self.server.ja3s.as_bytes()),
            _ => return Slot::Absent,
        };
        let this = &self.sides[side];
        match (this.known, this.done, nth) {
            (true, _, 0) if !bytes.is_empty() => Slot::Data { bytes, ended: true },
            (false, false, 0) => Slot::NotYet,
            _ => Slot::Absent,
        }
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.sides.iter().map(|side| side.record.capacity() + side.handshake.capacity()).sum::<usize>() + 512
    }
}

/// The first handshake message, when it is whole.
fn message(handshake: &[u8]) -> Option<&[u8]> {
    let length =
        usize::from(*handshake.get(1)?) << 16 | usize::from(*handshake.get(2)?) << 8 | usize::from(*handshake.get(3)?);
    handshake.get(..4 + length)
}

fn client_hello(message: &[u8]) -> Option<Hello> {
    if message.first() != Some(&1) {
        return None;
    }
    let mut reader = Reader(&message[4..]);
    let legacy = reader.u16()?;
    reader.bytes(32)?;
    reader.short()?;
    let ciphers = reader.long()?;
    reader.short()?;
    let mut parts = Parts { legacy, ciphers, ..Parts::default() };
    let mut extensions = Reader(if reader.0.is_empty() { &[] } else { reader.long()? });
    while !extensions.0.is_empty() {
        let (kind, body) = (extensions.u16()?, extensions.long()?);
        parts.extensions.push(kind);
        let mut body = Reader(body);
        match kind {
            0 => parts.sni = server_name(body.0),
            10 => parts.groups = body.long().unwrap_or(&[]),
            11 => parts.formats = body.short().unwrap_or(&[]),
            13 => parts.algorithms = body.long().unwrap_or(&[]),
            16 => parts.alpn = body.long().and_then(|list| Reader(list).short()),
            43 => parts.versions = body.short().unwrap_or(&[]),
            _ => {}
        }
    }
    let formats = parts.formats.iter().map(u8::to_string).collect::<Vec<_>>().join("-");
    let ja3 = format!(
        "{legacy},{},{},{},{formats}",
        dashed(words(ciphers)),
        dashed(parts.extensions.iter().copied()),
        dashed(words(parts.groups))
    );
    Some(Hello {
        sni: parts.sni.map(<[u8]>::to_vec),
        ja3_hash: hex(&Md5::digest(ja3.as_bytes())),
        ja3,
        ja4: parts.ja4(),
    })
}

/// What fingerprints are made of.
#[derive(Default)]
struct Parts<'a> {
    legacy: u16,
    ciphers: &'a [u8],
    extensions: Vec<u16>,
    groups: &'a [u8],
    formats: &'a [u8],
    algorithms: &'a [u8],
    versions: &'a [u8],
    alpn: Option<&'a [u8]>,
    sni: Option<&'a [u8]>,
}

impl Parts<'_> {
    fn ja4(&self) -> String {
        let version = words(self.versions).filter(|version| !is_grease(*version)).max().unwrap_or(self.legacy);
        let version = match version {
            0x0304 => "13",
            0x0303 => "12",
            0x0302 => "11",
            0x0301 => "10",
            0x0300 => "s3",
            0x0002 => "s2",
            _ => "00",
        };
        let named = if self.extensions.contains(&0) { 'd' } else { 'i' };
        let mut ciphers: Vec<u16> = words(self.ciphers).filter(|value| !is_grease(*value)).collect();
        let mut extensions: Vec<u16> = self.extensions.iter().copied().filter(|value| !is_grease(*value)).collect();
        let counts = format!("{:02}{:02}", ciphers.len().min(99), extensions.len().min(99));
        ciphers.sort_unstable();
        extensions.retain(|kind| !matches!(kind, 0 | 16));
        extensions.sort_unstable();
        let list = |values: &[u16]| values.iter().map(|value| format!("{value:04x}")).collect::<Vec<_>>().join(",");
        let algorithms: Vec<u16> = words(self.algorithms).filter(|value| !is_grease(*value)).collect();
        let mut second = list(&extensions);
        if !algorithms.is_empty() {
            second += "_";
            second += &list(&algorithms);
        }
        let digest = |text: &str, empty: bool| match empty {
            true => "000000000000".to_string(),
            false => hex(&Sha256::digest(text.as_bytes())[..6]),
        };
        format!(
            "t{version}{named}{counts}{}_{}_{}",
            self.alpn_ends(),
            digest(&list(&ciphers), ciphers.is_empty()),
            digest(&second, extensions.is_empty())
        )
    }

    /// First and last character of the first protocol offered.
    fn alpn_ends(&self) -> String {
        match self.alpn {
            Some([first, .., last]) | Some([first @ last])
                if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() =>
            {
                String::from_iter([*first as char, *last as char])
            }
            Some([first, .., last]) | Some([first @ last]) => {
                let (first, last) = (hex(&[*first]), hex(&[*last]));
                String::from_iter([first.as_bytes()[0] as char, last.as_bytes()[1] as char])
            }
            _ => "00".to_string(),
        }
    }
}

fn server_name(body: &[u8]) -> Option<&[u8]> {
    let mut list = Reader(Reader(body).long()?);
    while !list.0.is_empty() {
        let (kind, name) = (list.u8()?, list.long()?);
        if kind == 0 {
            return Some(name);
        }
    }
    None
}

fn server_hello(message: &[u8]) -> Option<ServerHello> {
    if message.first() != Some(&2) {
        return None;
    }
    let mut reader = Reader(&message[4..]);
    let legacy = reader.u16()?;
    reader.bytes(32)?;
    reader.short()?;
    let cipher = reader.u16()?;
    reader.u8()?;
    let mut kinds = Vec::new();
    let mut extensions = Reader(if reader.0.is_empty() { &[] } else { reader.long()? });
    while !extensions.0.is_empty() {
        kinds.push(extensions.u16()?);
        extensions.long()?;
    }
    let ja3s = format!("{legacy},{cipher},{}", dashed(kinds.into_iter()));
    Some(ServerHello { ja3s_hash: hex(&Md5::digest(ja3s.as_bytes())), ja3s })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &(body.len() as u16).to_be_bytes(), body].concat()
    }

    /// A ClientHello in records of `step` bytes.
    fn hello(step: usize) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.push(0);
        body.extend([0, 6, 0x0a, 0x0a, 0x13, 0x01, 0x00, 0x2f]);
        body.extend([1, 0]);
        let extensions = [
            extension(0, b"\0\x0a\0\0\x07x.y.org"),
            extension(10, &[0, 2, 0, 29]),
            extension(11, &[1, 0]),
            extension(13, &[0, 2, 4, 3]),
            extension(16, b"\0\x03\x02h2"),
            extension(43, &[2, 3, 4]),
        ]
        .concat();
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        let message = [&[1, 0, 0, body.len() as u8][..], &body].concat();
        message.chunks(step).flat_map(|part| [&[22, 3, 1, 0, part.len() as u8][..], part].concat()).collect()
    }

    #[test]
    fn client_hellos() {
        for (record, step) in [(255, 1), (255, 1000), (20, 7)] {
            let mut tls = Tls::default();
            assert_eq!(tls.slot(Buffer::TlsSni, 0), Slot::NotYet);
            assert!(hello(record).chunks(step).any(|part| tls.feed(0, part)));
            assert_eq!(tls.slot(Buffer::TlsSni, 0), Slot::Data { bytes: b"x.y.org", ended: true });
            let Slot::Data { bytes, .. } = tls.slot(Buffer::Ja3String, 0) else { panic!() };
            assert_eq!(bytes, b"771,4865-47,0-10-11-13-16-43,29,0");
            let Slot::Data { bytes, .. } = tls.slot(Buffer::Ja4Hash, 0) else { panic!() };
            assert!(bytes.starts_with(b"t13d0206h2_"), "{}", bytes.escape_ascii());
            assert_eq!(bytes.len(), 36);
        }
    }

    #[test]
    fn what_is_no_hello_is_absent() {
        let mut tls = Tls::default();
        tls.feed(0, b"\x17\x03\x03\x00\x05hello");
        assert_eq!(tls.slot(Buffer::TlsSni, 0), Slot::Absent);
    }

    #[test]
    fn hellos_cut_anywhere_do_no_harm() {
        let whole = hello(255);
        for cut in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[cut] ^= 0xff;
            Tls::default().feed(0, &damaged);
            assert!(!Tls::default().feed(0, &whole[..cut]) || cut == whole.len());
        }
    }
}
