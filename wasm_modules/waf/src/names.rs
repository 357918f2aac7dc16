//! Sorted lists of names that are looked up all the time: by their first letter, then by length and last letter, so that few
//! names are compared.

/// Names, sorted, none of them empty.
#[derive(Debug)]
pub(crate) struct Names {
    list: &'static [&'static [u8]],
    /// For each first byte where its names begin, and where all end.
    starts: [u16; 257],
}

impl Names {
    pub(crate) const fn new(list: &'static [&'static [u8]]) -> Self {
        let mut starts = [0; 257];
        let (mut byte, mut at) = (0, 0);
        while byte < 256 {
            starts[byte] = at as u16;
            while at < list.len() && list[at][0] as usize == byte {
                at += 1;
            }
            byte += 1;
        }
        assert!(at == list.len(), "names that are not sorted");
        starts[256] = at as u16;
        Self { list, starts }
    }

    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        let [first, .., last] = name else {
            return name.first().is_some_and(|first| self.group(*first).contains(&name));
        };
        self.group(*first).iter().any(|known| known.len() == name.len() && known.last() == Some(last) && *known == name)
    }

    fn group(&self, first: u8) -> &[&'static [u8]] {
        let first = usize::from(first);
        &self.list[usize::from(self.starts[first])..usize::from(self.starts[first + 1])]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        static NAMES: Names = Names::new(&[b"7z", b"a", b"ab", b"abc", b"b", b"zz"]);
        for name in ["7z", "a", "ab", "abc", "b", "zz"] {
            assert!(NAMES.contains(name.as_bytes()), "{name}");
        }
        for name in ["", "7", "ac", "abd", "z", "c", "abcd"] {
            assert!(!NAMES.contains(name.as_bytes()), "{name}");
        }
    }
}
