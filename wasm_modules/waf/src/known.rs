//! Values in which nothing was found not long ago. A client sends the same headers with every request, and many clients the
//! same ones: to compare one with what is known costs a small part of judging it anew.

use alloc::{vec, vec::Vec};

use crate::finding::Part;

/// How many values are remembered; the newest takes the place of what was in its slot.
const SLOTS: usize = 512;
/// Longest value that is remembered, in bytes.
const LONGEST: usize = 512;
/// What clients repeat: all but values of parameters, bodies and names of files.
const REPEATED: u16 = Part::Path.bit()
    | Part::Header.bit()
    | Part::UserAgent.bit()
    | Part::Referer.bit()
    | Part::ArgName.bit()
    | Part::CookieName.bit()
    | Part::Cookie.bit();

/// Values, whole, so that no other one is ever taken for one of them.
#[derive(Debug)]
pub(crate) struct Known {
    slots: Vec<Vec<u8>>,
}

impl Known {
    pub(crate) fn new() -> Self {
        Self { slots: vec![Vec::new(); SLOTS] }
    }

    /// The slot of `value`, and whether that is known; `None` where it is not to be remembered.
    pub(crate) fn find(&self, part: Part, value: &[u8]) -> Option<(usize, bool)> {
        if REPEATED & part.bit() == 0 || value.len() > LONGEST {
            return None;
        }
        let slot = slot(part, value);
        let known = self.slots[slot].split_first().is_some_and(|(of, known)| *of == part as u8 && same(known, value));
        Some((slot, known))
    }

    /// Nothing was found in `value`.
    pub(crate) fn remember(&mut self, slot: usize, part: Part, value: &[u8]) {
        let known = &mut self.slots[slot];
        known.clear();
        known.push(part as u8);
        known.extend_from_slice(value);
    }
}

fn eights(value: &[u8]) -> impl Iterator<Item = u64> {
    let (eights, rest) = value.as_chunks();
    let rest = rest.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    eights.iter().map(|eight| u64::from_le_bytes(*eight)).chain([rest])
}

fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && eights(one).eq(eights(other))
}

/// It only spreads values: who makes two of them meet has both judged anew, as without it.
fn slot(part: Part, value: &[u8]) -> usize {
    let start = value.len() as u64 + ((part as u64) << 32);
    let hash =
        eights(value).fold(start, |hash, eight| (hash.rotate_left(5) ^ eight).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (hash >> 48) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_clean_is_known_in_its_part_only() {
        let mut known = Known::new();
        let value = b"Mozilla/5.0 (X11; Linux x86_64)";
        let (slot, before) = known.find(Part::UserAgent, value).unwrap();
        assert!(!before);
        known.remember(slot, Part::UserAgent, value);
        assert_eq!(known.find(Part::UserAgent, value), Some((slot, true)));
        assert!(!known.find(Part::Header, value).unwrap().1);
        assert!(!known.find(Part::UserAgent, &value[1..]).unwrap().1);
        let mut other = *value;
        for at in 0..value.len() {
            other[at] ^= 1;
            assert!(!known.find(Part::UserAgent, &other).unwrap().1);
            other[at] ^= 1;
        }
        assert_eq!(known.find(Part::Arg, value), None);
        assert_eq!(known.find(Part::UserAgent, &[b'a'; LONGEST + 1]), None);
    }
}
