//! Where the delimiter of a multipart body begins a line: a body is little else than this search.

use alloc::vec::Vec;

use memchr::memmem::Finder;

/// Places that are looked at together.
const BLOCK: usize = 64;

/// `--boundary`, and what finds it.
#[derive(Debug)]
pub(super) struct Delimiter {
    /// With the end of the line before it.
    text: Vec<u8>,
    finder: Finder<'static>,
}

impl Delimiter {
    pub(super) fn new(boundary: &[u8]) -> Self {
        let text = [b"\n--", boundary].concat();
        Self { finder: Finder::new(&text).into_owned(), text }
    }

    /// Without the end of the line before it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.text[1..]
    }

    /// Where the first line that begins so begins, behind an end of a line in `text`.
    pub(super) fn find(&self, text: &[u8]) -> Option<usize> {
        let behind = self.text.len() - 1;
        let ends = (self.text[0], self.text[behind]);
        // Two blocks at a time, as in a guest each turn of a loop looks at the clock; by iterators, for then it reads at constant
        // distances from two places.
        let firsts = text.as_chunks().0.as_chunks::<2>().0.iter();
        let lasts = text.get(behind..)?.as_chunks().0.as_chunks::<2>().0;
        let none = |(first, last): &(&[_; 2], &[_; 2])| {
            !(any_pair(&first[0], &last[0], ends) | any_pair(&first[1], &last[1], ends))
        };
        let mut at = firsts.zip(lasts).take_while(none).count() * 2 * BLOCK;
        while let (Some(first), Some(last)) = (block(text, at), block(text, at + behind)) {
            if any_pair(first, last, ends)
                && let Some(found) = self.finder.find(&text[at..at + behind + BLOCK])
            {
                return Some(at + found + 1);
            }
            at += BLOCK;
        }
        self.finder.find(text.get(at..)?).map(|found| at + found + 1)
    }
}

fn block(text: &[u8], at: usize) -> Option<&[u8; BLOCK]> {
    text.get(at..)?.first_chunk()
}

/// Whether at any place the one block has the first byte and the other the last one. Without a branch, so that it becomes vector
/// code.
fn any_pair(first: &[u8; BLOCK], last: &[u8; BLOCK], ends: (u8, u8)) -> bool {
    first.iter().zip(last).fold(0, |any, (first, last)| any | u8::from((first ^ ends.0) | (last ^ ends.1) == 0)) != 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_a_search_finds(boundary in "[ab-]{1,70}", before in "[ab\n-]{0,600}", there: bool, behind in "[ab\n]{0,300}") {
            let middle = if there { alloc::format!("\n--{boundary}") } else { alloc::string::String::new() };
            let text = alloc::format!("{before}{middle}{behind}");
            let naive = text.find(&alloc::format!("\n--{boundary}")).map(|at| at + 1);
            prop_assert_eq!(Delimiter::new(boundary.as_bytes()).find(text.as_bytes()), naive);
        }
    }
}
