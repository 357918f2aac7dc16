//! JA4, a fingerprint of TLS clients: FoxIO's specification, whose JA4 (not the rest of JA4+) is under the BSD license.

use core::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::hello::Hello;

/// Length of a fingerprint.
pub const LENGTH: usize = 36;

/// A fingerprint, such as `t13d1516h2_8daaf6152771_e5627efa2ab1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ja4([u8; LENGTH]);

impl Ja4 {
    /// The fingerprint in a configuration.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; LENGTH] = text.as_bytes().try_into().ok()?;
        let hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let right = bytes[0] == b't'
            && bytes[..10].iter().all(u8::is_ascii_alphanumeric)
            && bytes[10] == b'_'
            && hex(&bytes[11..23])
            && bytes[23] == b'_'
            && hex(&bytes[24..]);
        right.then_some(Self(bytes))
    }

    /// The fingerprint of a client over TCP. Sorts the numbers of `hello`.
    #[must_use]
    pub fn new(hello: &mut Hello<'_>) -> Self {
        let mut text = Text { bytes: [b'0'; LENGTH], len: 0 };
        let version = match hello.version {
            0x0304 => "13",
            0x0303 => "12",
            0x0302 => "11",
            0x0301 => "10",
            0x0300 => "s3",
            0x0002 => "s2",
            _ => "00",
        };
        let name = if hello.has_server_name { 'd' } else { 'i' };
        let [ciphers, extensions] = [hello.ciphers.len(), hello.extensions.len()].map(|count| count.min(99));
        let [first, last] = ends(hello.alpn.unwrap_or_default());
        let (first, last) = (char::from(first), char::from(last));
        // It has room for exactly this.
        let _ = write!(text, "t{version}{name}{ciphers:02}{extensions:02}{first}{last}_");
        hello.ciphers.sort_unstable();
        hash(&mut text, [&hello.ciphers, &[]]);
        let _ = text.write_char('_');
        // The server and its protocol say nothing of the client.
        hello.extensions.retain(|number| !matches!(number, 0 | 16));
        hello.extensions.sort_unstable();
        hash(&mut text, [&hello.extensions, &hello.signatures]);
        Self(text.bytes)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// First and last character of the protocol; of its bytes in hexadecimal where one of them is neither letter nor digit.
fn ends(alpn: &[u8]) -> [u8; 2] {
    let (Some(&first), Some(&last)) = (alpn.first(), alpn.last()) else { return *b"00" };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [first, last];
    }
    [first >> 4, last & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)])
}

/// Twelve digits of the SHA-256 of the numbers, in hexadecimal with commas, the second list behind an underscore.
fn hash(to: &mut Text, [first, second]: [&[u16]; 2]) {
    let mut sha = Sha256::new();
    let mut list = |numbers: &[u16], before: &[u8]| {
        for (at, number) in numbers.iter().enumerate() {
            sha.update(if at == 0 { before } else { b"," });
            let digits = [number >> 12, number >> 8 & 15, number >> 4 & 15, number & 15];
            sha.update(digits.map(|digit| b"0123456789abcdef"[usize::from(digit)]));
        }
    };
    list(first, b"");
    list(second, b"_");
    if first.is_empty() && second.is_empty() {
        let _ = to.write_str("000000000000");
        return;
    }
    for byte in &sha.finalize()[..6] {
        let _ = write!(to, "{byte:02x}");
    }
}

struct Text {
    bytes: [u8; LENGTH],
    len: usize,
}

impl core::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let to = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(core::fmt::Error)?;
        to.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the specification explains.
    #[test]
    fn the_specifications_example() {
        let mut hello = Hello {
            version: 0x0304,
            ciphers: vec![
                0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d,
                0x002f, 0x0035,
            ],
            extensions: vec![
                0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b, 0xff01,
                0x000b, 0x000a, 0x0015,
            ],
            signatures: vec![0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601],
            alpn: Some(b"h2"),
            has_server_name: true,
            ..Hello::default()
        };
        let fingerprint = Ja4::new(&mut hello);
        assert_eq!(fingerprint.as_str(), "t13d1516h2_8daaf6152771_e5627efa2ab1");
        assert_eq!(Ja4::parse(fingerprint.as_str()), Some(fingerprint));
        assert_eq!(Ja4::parse("t13d1516h2_8daaf6152771_e5627efa2ab"), None);
    }

    #[test]
    fn a_bare_hello() {
        let fingerprint = Ja4::new(&mut Hello { version: 0x0301, ..Hello::default() });
        assert_eq!(fingerprint.as_str(), "t10i000000_000000000000_000000000000");
    }

    #[test]
    fn protocols_by_their_ends() {
        for (alpn, expected) in [
            (&b"h2"[..], b"h2"),
            (b"http/1.1", b"h1"),
            (b"h", b"hh"),
            (b"", b"00"),
            (b"\xab", b"ab"),
            (b"\xab\xcd", b"ad"),
            (b"0\xab", b"3b"),
            (b"01\xab\xcd", b"3d"),
            (b"0\xab\xcd1", b"01"),
        ] {
            assert_eq!(&ends(alpn), expected, "{alpn:?}");
        }
    }
}
