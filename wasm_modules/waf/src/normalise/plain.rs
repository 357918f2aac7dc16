//! A value in small letters with single spaces, and what bytes it has.

use alloc::vec::Vec;

/// What bytes a value has, as bits: they say which forms can differ, and who has something to read.
pub(crate) mod class {
    /// `%`
    pub(crate) const PERCENT: u16 = 1;
    /// `&`
    pub(crate) const AMPERSAND: u16 = 2;
    /// `\`
    pub(crate) const BACKSLASH: u16 = 4;
    /// Quotes and what else a shell reads over.
    pub(crate) const SHELL: u16 = 8;
    /// `/`
    pub(crate) const SLASH: u16 = 16;
    /// NUL.
    pub(crate) const NUL: u16 = 32;
    /// A byte that an overlong, full-width or invisible character may begin with.
    pub(crate) const HIGH: u16 = 64;
    /// What a form of its own may come of.
    pub(crate) const ENCODED: u16 = PERCENT | AMPERSAND | BACKSLASH | NUL | HIGH;
    /// Anything but letters, digits, space and `_ - . ,`.
    pub(crate) const SPECIAL: u16 = 128;
    /// An end of a line.
    pub(crate) const LINE: u16 = 256;
    /// What a command may stand behind.
    pub(crate) const SEPARATOR: u16 = 512;
    /// White space that is no single space.
    pub(crate) const WHITE: u16 = 1024;
    /// `<`
    pub(crate) const LESS: u16 = 2048;
    /// `*`
    pub(crate) const STAR: u16 = 4096;
}

pub(super) const CLASSES: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = match b {
            b'%' => class::PERCENT,
            b'&' => class::AMPERSAND | class::SEPARATOR,
            b'\\' => class::BACKSLASH | class::SHELL,
            b'`' | b'{' => class::SHELL | class::SEPARATOR,
            b'^' | b'$' | b'@' | b'\'' | b'"' => class::SHELL,
            b'|' | b';' | b'(' => class::SEPARATOR,
            b'/' => class::SLASH,
            b'<' => class::LESS,
            b'*' => class::STAR,
            b'\n' | b'\r' => class::LINE | class::SEPARATOR | class::WHITE,
            b'\t' | 0x0b | 0x0c => class::WHITE,
            0 => class::NUL,
            0xc0..=0xc2 | 0xe0..=0xe3 | 0xef => class::HIGH,
            _ => 0,
        };
        if b < 0x80 && !matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b' ' | b'_' | b'-' | b'.' | b',') {
            table[byte] |= class::SPECIAL;
        }
        byte += 1;
    }
    table
};

/// Bytes that are looked at together.
const BLOCK: usize = 16;

/// `value` in small letters, with one space for any run of white space; the answer is the classes of its bytes.
pub(crate) fn plain(value: &[u8], out: &mut Vec<u8>) -> u16 {
    out.clear();
    out.reserve(value.len());
    let mut classes = 0;
    let (blocks, rest) = value.as_chunks::<BLOCK>();
    for block in blocks {
        let (lower, regular) = ordinary(block);
        if regular && !(block[0] == b' ' && out.last() == Some(&b' ')) {
            out.extend_from_slice(&lower);
        } else {
            classes |= bytewise(block, out);
        }
    }
    classes | bytewise(rest, out)
}

/// A block in small letters, and whether it has only bytes without a class and no two spaces in a row: of what text is made of.
/// Without a branch, so that it becomes vector code.
fn ordinary(block: &[u8; BLOCK]) -> ([u8; BLOCK], bool) {
    let odd = |byte: u8| {
        let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let regular = letter | (byte.wrapping_sub(b'0') < 10) | (byte.wrapping_sub(b',') < 3);
        u8::from(!(regular | (byte == b' ') | (byte == b'_')))
    };
    let any = block.iter().fold(0, |any, byte| any | odd(*byte));
    let double =
        block[1..].iter().zip(block).fold(0, |any, (one, other)| any | u8::from((one ^ b' ') | (other ^ b' ') == 0));
    (block.map(|byte| byte | u8::from(byte.wrapping_sub(b'A') < 26) << 5), any | double == 0)
}

fn bytewise(value: &[u8], out: &mut Vec<u8>) -> u16 {
    let mut classes = 0;
    for &byte in value {
        let of = CLASSES[usize::from(byte)];
        classes |= of;
        if byte == b' ' || of & class::WHITE != 0 {
            if out.last() == Some(&b' ') {
                classes |= class::WHITE;
            } else {
                out.push(b' ');
            }
        } else {
            out.push(byte.to_ascii_lowercase());
        }
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_bytes_say_the_same() {
        for text in [
            "Plain Text, of 2 blocks_and-more. Yes",
            "two  spaces\there and a tab, at a block's end:  ",
            "%",
            "",
            "ÄÖÜ é ABCXYZ[@`{ 09/:",
        ] {
            for start in 0..text.len().min(20) {
                let (mut one, mut other) = (Vec::new(), Vec::new());
                let value = &text.as_bytes()[start..];
                assert_eq!(plain(value, &mut one), bytewise(value, &mut other), "{text}");
                assert_eq!(one, other, "{text}");
            }
        }
    }
}
