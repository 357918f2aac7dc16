//! Transformations of buffers, as rules write them.

use alloc::vec::Vec;

use crate::rule::{
    error::{OptionResult, invalid, unsupported},
    number::number,
};

/// A transformation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transform {
    /// ASCII letters to lower case.
    ToLowercase,
    /// ASCII letters to upper case.
    ToUppercase,
    /// White space removed.
    StripWhitespace,
    /// Runs of white space become one blank.
    CompressWhitespace,
    /// `%41` and `+` decoded.
    UrlDecode,
    /// The MD5 hash, 16 bytes.
    ToMd5,
    /// The SHA-1 hash, 20 bytes.
    ToSha1,
    /// The SHA-256 hash, 32 bytes.
    ToSha256,
    /// A dot put before.
    DotPrefix,
    /// Each byte exclusive-ored with the key's, over and over.
    Xor(Vec<u8>),
    /// Base64 decoded: how much, from where, which mode.
    FromBase64 {
        /// Bytes to decode, all when 0.
        bytes: usize,
        /// Where to begin.
        offset: usize,
        /// Which characters are allowed.
        mode: Base64Mode,
    },
}

/// Which base64 is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Base64Mode {
    /// No other characters; what is decoded before one is kept.
    Strict,
    /// Blanks are passed over.
    Rfc2045,
    /// Decoding ends at the first other character.
    Rfc4648,
}

/// Parse one; `None` when `keyword` is none.
pub fn parse(keyword: &str, value: &str) -> Option<OptionResult<Transform>> {
    let plain = match keyword {
        "to_lowercase" => Transform::ToLowercase,
        "to_uppercase" => Transform::ToUppercase,
        "strip_whitespace" => Transform::StripWhitespace,
        "compress_whitespace" => Transform::CompressWhitespace,
        "url_decode" => Transform::UrlDecode,
        "to_md5" => Transform::ToMd5,
        "to_sha1" => Transform::ToSha1,
        "to_sha256" => Transform::ToSha256,
        "dotprefix" => Transform::DotPrefix,
        "xor" => return Some(xor(value)),
        "from_base64" => return Some(from_base64(value)),
        "pcrexform"
        | "strip_pseudo_headers"
        | "header_lowercase"
        | "domain"
        | "tld"
        | "gunzip"
        | "zlib_deflate"
        | "luaxform"
        | "subslice" => {
            return Some(unsupported!(keyword, "transformation `{keyword}` is not supported"));
        }
        _ => return None,
    };
    Some(if value.is_empty() { Ok(plain) } else { invalid!("{keyword} takes no value") })
}

fn xor(value: &str) -> OptionResult<Transform> {
    let text = value.trim().trim_matches('"');
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    match digits {
        Some(digits) if !digits.is_empty() && digits.len() % 2 == 0 && digits.len() <= 510 => Ok(Transform::Xor(
            digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap_or(0)).collect(),
        )),
        _ => invalid!("the key is 1 to 255 bytes in hexadecimal"),
    }
}

fn from_base64(value: &str) -> OptionResult<Transform> {
    let (mut bytes, mut offset, mut mode) = (0, 0, Base64Mode::Rfc4648);
    for part in value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (word, value) = part.split_once(|c: char| c.is_whitespace() || c == ':').unwrap_or((part, ""));
        match (word, value.trim()) {
            ("bytes", value) => bytes = usize::try_from(number(value)?).unwrap_or(usize::MAX),
            ("offset", value) => offset = usize::try_from(number(value)?).unwrap_or(usize::MAX),
            ("mode", "strict") => mode = Base64Mode::Strict,
            ("mode", "rfc2045") => mode = Base64Mode::Rfc2045,
            ("mode", "rfc4648") => mode = Base64Mode::Rfc4648,
            _ => return invalid!("unknown option `{part}`"),
        }
    }
    if bytes > 65535 || offset > 65535 {
        return invalid!("bytes and offset are at most 65535");
    }
    Ok(Transform::FromBase64 { bytes, offset, mode })
}

/// Parse `base64_decode`: bytes, offset, relative.
pub fn base64_decode(value: &str) -> OptionResult<(usize, usize, bool)> {
    let (mut bytes, mut offset, mut relative) = (0, 0, false);
    for part in value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (word, value) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
        match (word, value.trim()) {
            ("bytes", value) => bytes = usize::try_from(number(value)?).unwrap_or(usize::MAX),
            ("offset", value) => offset = usize::try_from(number(value)?).unwrap_or(usize::MAX),
            ("relative", "") => relative = true,
            _ => return invalid!("unknown option `{part}`"),
        }
    }
    Ok((bytes, offset, relative))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::error::OptionError;

    #[test]
    fn transformations() {
        assert_eq!(parse("xor", "\"0aFF\"").unwrap().unwrap(), Transform::Xor(vec![10, 255]));
        assert!(parse("xor", "\"0\"").unwrap().is_err());
        assert_eq!(
            parse("from_base64", "offset 2, mode strict").unwrap().unwrap(),
            Transform::FromBase64 { bytes: 0, offset: 2, mode: Base64Mode::Strict }
        );
        assert!(matches!(parse("domain", "").unwrap(), Err(OptionError::Unsupported(..))));
        assert!(parse("to_md5", "x").unwrap().is_err());
        assert_eq!(base64_decode("bytes 17, offset 1, relative").unwrap(), (17, 1, true));
    }
}
