//! The last bytes of a stream.

use alloc::vec::Vec;

use secuxflow_sdk::copy;

/// The buffer gives memory back when it is so many times as long as what is kept: long pieces of data came.
const TOO_LONG: usize = 8;

/// The last bytes of one direction, in one piece.
#[derive(Debug, Default)]
pub struct Window {
    /// Those of the window, then some without meaning, so that appending need not initialise memory.
    buffer: Vec<u8>,
    len: usize,
    /// Offset in the stream of the first byte.
    base: u64,
}

impl Window {
    /// Without bytes; the next one is that at offset `base` of the stream.
    #[must_use]
    pub fn at(base: u64) -> Self {
        Self { base, ..Self::default() }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.len]
    }

    /// Offset in the stream of the first byte.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Memory that it takes in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.buffer.capacity()
    }

    /// Bytes that follow.
    pub fn append(&mut self, data: &[u8]) {
        let end = self.len + data.len();
        if self.buffer.len() < end {
            self.buffer.resize(end.next_power_of_two(), 0);
        }
        copy(&mut self.buffer[self.len..end], data);
        self.len = end;
    }

    /// Bytes that follow are `count`, and not kept; neither are those before them.
    pub fn pass_over(&mut self, count: usize) {
        self.base += (self.len + count) as u64;
        self.len = 0;
    }

    /// Keep the last `keep` bytes and perhaps some before them, at most twice as many: moving them is what costs.
    pub fn trim(&mut self, keep: usize) {
        // The kept ones do not overlap with where they go.
        let Some(cut) = self.len.checked_sub(keep).filter(|cut| *cut > 2 * keep) else { return };
        let (left, right) = self.buffer.split_at_mut(cut);
        copy(&mut left[..keep], &right[..keep]);
        self.len = keep;
        self.base += cut as u64;
        if self.buffer.len() > TOO_LONG * keep {
            self.buffer.truncate(2 * keep);
            self.buffer.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keeps_the_last_bytes(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..30)) {
            let (mut window, mut all) = (Window::at(7), Vec::new());
            for piece in pieces {
                window.append(&piece);
                all.extend(piece);
                prop_assert_eq!(window.base() as usize + window.bytes().len(), 7 + all.len());
                prop_assert!(all.ends_with(window.bytes()));
                window.trim(10);
                prop_assert!((10.min(all.len())..=30).contains(&window.bytes().len()));
                prop_assert!(all.ends_with(window.bytes()) && window.memory() <= 128);
            }
            window.pass_over(3);
            prop_assert_eq!((window.base() as usize, window.bytes().len()), (10 + all.len(), 0));
        }
    }
}
