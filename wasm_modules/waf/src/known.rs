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
        let known = self.slots[slot].split_first().is_some_and(|(of, known)| *of == part as u8 && known == value);
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

/// It only spreads values: who makes two of them meet has both judged anew, as without it. Two words at a time, each with a hash
/// of its own, as neither has to wait for the other then.
fn slot(part: Part, value: &[u8]) -> usize {
    let add = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let (mut one, mut other) = (value.len() as u64 + ((part as u64) << 32), 0);
    let (words, rest) = value.as_chunks();
    let (pairs, last) = words.as_chunks::<2>();
    for [first, second] in pairs {
        (one, other) = (add(one, word(first)), add(other, word(second)));
    }
    one = last.iter().fold(one, |hash, bytes| add(hash, word(bytes)));
    // Of a longer value what is left together with what is before it.
    let rest = match value.last_chunk() {
        Some(bytes) => word(bytes),
        None => rest.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)),
    };
    (add(add(one, other), rest) >> 48) as usize % SLOTS
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
            // What another value left in its slot does not make it known.
            known.remember(slot, Part::UserAgent, &other);
            assert_eq!(known.find(Part::UserAgent, value), Some((slot, false)));
            other[at] ^= 1;
        }
        known.remember(slot, Part::Header, value);
        assert_eq!(known.find(Part::UserAgent, value), Some((slot, false)));
        known.remember(slot, Part::UserAgent, value);
        assert_eq!(known.find(Part::UserAgent, value), Some((slot, true)));
        assert_eq!(known.find(Part::Arg, value), None);
        assert_eq!(known.find(Part::UserAgent, &[b'a'; LONGEST + 1]), None);
    }
}
