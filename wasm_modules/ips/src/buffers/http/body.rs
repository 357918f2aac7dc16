//! Where a body ends: by its length, by chunks, or with the connection.

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// Chunked: what is expected next.
    Chunked(Chunk),
    /// Until the connection ends.
    UntilClose,
}

/// What is next in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// A line with a length.
    Size,
    /// So many bytes of data.
    Data(u64),
    /// The line end after data.
    End,
}

/// The length in a chunk's first line: blanks, then hexadecimal digits; what follows them is an extension, or noise that
/// clients overlook.
#[must_use]
pub fn chunk_size(line: &[u8]) -> Option<u64> {
    let blanks = line.iter().take_while(|byte| byte.is_ascii_whitespace() || matches!(byte, 0 | 0x0b)).count();
    let line = &line[blanks..];
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let number = &line[..digits];
    if digits == 0 || number.iter().skip_while(|byte| **byte == b'0').count() > 15 {
        return None;
    }
    number.iter().try_fold(0u64, |sum, byte| Some(sum * 16 + u64::from((*byte as char).to_digit(16)?)))
}

/// `Content-Length`: a number and nothing else.
#[must_use]
pub fn content_length(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0u64, |sum, byte| sum * 10 + u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (line, size) in [
            (&b"1a"[..], Some(26)),
            (b" 0004 ", Some(4)),
            (b"5;x=y", Some(5)),
            (b"0", Some(0)),
            (b"", None),
            (b"zz", None),
            (b"4x", Some(4)),
            (b"\x0bf,", Some(15)),
            (b"ffffffffffffffffff", None),
        ] {
            assert_eq!(chunk_size(line), size, "{line:?}");
        }
        assert_eq!(content_length(b" 68 "), Some(68));
        assert_eq!(content_length(b"68, 34"), None);
        assert_eq!(content_length(b"-1"), None);
        assert_eq!(content_length(b"x"), None);
    }
}
