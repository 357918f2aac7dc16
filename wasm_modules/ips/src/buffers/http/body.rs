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

/// The length in a chunk's first line: blanks, hexadecimal digits, perhaps an extension.
#[must_use]
pub fn chunk_size(line: &[u8]) -> Option<u64> {
    let line = line.trim_ascii_start();
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    // A word that only begins like a number is none.
    match line.get(digits) {
        None | Some(b';' | b' ' | b'\t' | b'\r' | 0 | 0x0b | 0x0c) => {}
        Some(_) => return None,
    }
    let number = &line[..digits];
    if digits == 0 || number.iter().skip_while(|byte| **byte == b'0').count() > 15 {
        return None;
    }
    number.iter().try_fold(0u64, |sum, byte| Some(sum * 16 + u64::from((*byte as char).to_digit(16)?)))
}

/// `Content-Length`: its first number.
#[must_use]
pub fn content_length(value: &[u8]) -> Option<u64> {
    let start = value.iter().position(u8::is_ascii_digit)?;
    if value[..start].iter().any(|byte| !matches!(byte, b' ' | b'\t' | b',' | b'+' | 0)) {
        return None;
    }
    let digits = &value[start..];
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count > 18 {
        return None;
    }
    digits[..count].iter().try_fold(0u64, |sum, byte| Some(sum * 10 + u64::from(byte - b'0')))
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
            (b"4x", None),
            (b"ffffffffffffffffff", None),
        ] {
            assert_eq!(chunk_size(line), size, "{line:?}");
        }
        assert_eq!(content_length(b" 68, 34"), Some(68));
        assert_eq!(content_length(b"-1"), None);
        assert_eq!(content_length(b"x"), None);
    }
}
