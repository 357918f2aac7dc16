//! Words and blanks in lines, as lenient as clients are.

pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0 | 0x0b | 0x0c | b'\r')
}

#[inline]
pub fn trim(text: &[u8]) -> &[u8] {
    match text {
        // Nearly always.
        [first, .., last] if *first > b' ' && *last > b' ' => text,
        _ => trim_blanks(text),
    }
}

fn trim_blanks(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && (is_blank(*first) || *first == b'\n')
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && (is_blank(*last) || *last == b'\n')
    {
        text = rest;
    }
    text
}

pub fn chomp(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The next word and what follows the blanks after it.
pub fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| is_blank(*byte)).unwrap_or(text.len());
    let rest = &text[end..];
    let start = rest.iter().position(|byte| !is_blank(*byte)).unwrap_or(rest.len());
    (&text[..end], &rest[start..])
}
