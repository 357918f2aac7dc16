//! Transformations applied.

use alloc::{borrow::Cow, string::String, vec::Vec};

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::rule::options::transform::{Base64Mode, Transform};

/// `data` after all of `transforms`.
#[must_use]
pub fn apply<'a>(transforms: &[Transform], data: &'a [u8]) -> Cow<'a, [u8]> {
    transforms.iter().fold(Cow::Borrowed(data), |data, transform| Cow::Owned(one(transform, &data)))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn one(transform: &Transform, data: &[u8]) -> Vec<u8> {
    match transform {
        Transform::ToLowercase => data.to_ascii_lowercase(),
        Transform::ToUppercase => data.to_ascii_uppercase(),
        Transform::StripWhitespace => data.iter().copied().filter(|byte| !is_space(*byte)).collect(),
        Transform::CompressWhitespace => {
            let mut out: Vec<u8> = Vec::with_capacity(data.len());
            let mut blank = false;
            for byte in data {
                let space = is_space(*byte);
                if !space || !blank {
                    out.push(*byte);
                }
                blank = space;
            }
            out
        }
        Transform::UrlDecode => url_decode(data),
        Transform::ToMd5 => Md5::digest(data).to_vec(),
        Transform::ToSha1 => Sha1::digest(data).to_vec(),
        Transform::ToSha256 => Sha256::digest(data).to_vec(),
        Transform::DotPrefix => {
            let mut out = Vec::with_capacity(data.len() + 1);
            out.push(b'.');
            out.extend_from_slice(data);
            out
        }
        Transform::Xor(key) => data.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect(),
        Transform::FromBase64 { bytes, offset, mode } => {
            let data = data.get(*offset..).unwrap_or(&[]);
            let data = if *bytes > 0 { &data[..data.len().min(*bytes)] } else { data };
            base64(data, *mode)
        }
    }
}

fn url_decode(data: &[u8]) -> Vec<u8> {
    let hex = |at: usize| data.get(at).and_then(|byte| (*byte as char).to_digit(16));
    let (mut out, mut at) = (Vec::with_capacity(data.len()), 0);
    while let Some(&byte) = data.get(at) {
        at += 1;
        out.push(match byte {
            b'+' => b' ',
            b'%' => match (hex(at), hex(at + 1)) {
                (Some(high), Some(low)) => {
                    at += 2;
                    u8::try_from(high * 16 + low).unwrap_or(0)
                }
                _ => byte,
            },
            byte => byte,
        });
    }
    out
}

fn sextet(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

/// Decode base64.
#[must_use]
pub fn base64(data: &[u8], mode: Base64Mode) -> Vec<u8> {
    let (mut out, mut bits, mut count) = (Vec::with_capacity(data.len() / 4 * 3), 0u32, 0u32);
    for &byte in data {
        match sextet(byte) {
            Some(value) => {
                bits = bits << 6 | value;
                count += 6;
                if count >= 8 {
                    count -= 8;
                    out.push(u8::try_from(bits >> count & 0xff).unwrap_or(0));
                }
            }
            None if byte == b'=' => break,
            None => match mode {
                // Line ends and other characters that are no base64 are passed over.
                Base64Mode::Rfc2045 => {}
                Base64Mode::Rfc4648 => break,
                Base64Mode::Strict => return Vec::new(),
            },
        }
    }
    out
}

/// Bytes as hexadecimal digits in lower case.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transformations() {
        for (transform, data, result) in [
            (Transform::ToLowercase, "aBC", &b"abc"[..]),
            (Transform::StripWhitespace, "a \t\r\nb", b"ab"),
            (Transform::CompressWhitespace, "a \t b ", b"a b "),
            (Transform::UrlDecode, "a%41+%zz%4", b"aA %zz%4"),
            (Transform::DotPrefix, "x.org", b".x.org"),
            (Transform::Xor(vec![1, 2]), "ABC", b"@@B"),
            (Transform::FromBase64 { bytes: 0, offset: 1, mode: Base64Mode::Rfc4648 }, "!dGV4dA==x", b"text"),
            (Transform::FromBase64 { bytes: 4, offset: 0, mode: Base64Mode::Rfc4648 }, "dGV4dA==", b"tex"),
            (Transform::FromBase64 { bytes: 0, offset: 0, mode: Base64Mode::Rfc2045 }, "dG V4\r\ndA", b"text"),
        ] {
            assert_eq!(apply(core::slice::from_ref(&transform), data.as_bytes()).as_ref(), result, "{transform:?}");
        }
        let hashed = apply(&[Transform::ToUppercase, Transform::ToMd5], b"abc").into_owned();
        assert_eq!(hex(&hashed), "902fbdd2b1df0c4f70b4a5d23525e932");
    }
}
