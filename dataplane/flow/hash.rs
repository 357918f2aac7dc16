//! A fast keyed hash: multiply and fold. It spreads well and an outsider without the key cannot aim for collisions; it
//! is no message authentication.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
};

/// Odd constants without structure: the first 64-bit words of the fraction of pi.
const PI: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344];

/// Key of the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashKey([u64; 2]);

impl HashKey {
    /// A key of the operating system's randomness.
    #[must_use]
    pub fn random() -> Self {
        // `RandomState` is seeded from the system's random numbers; hashing with it is the standard library's only way
        // to them.
        let word = || RandomState::new().hash_one(PI);
        Self([word(), word()])
    }

    /// A chosen key: for tests, and for numbers that are to be the same each time.
    #[must_use]
    pub const fn fixed(a: u64, b: u64) -> Self {
        Self([a, b])
    }

    /// Hash of a few words.
    #[must_use]
    pub fn hash<const N: usize>(self, words: [u64; N]) -> u64 {
        let mut hasher = FastHasher { state: self.0[0], key: self.0[1] };
        for word in words {
            hasher.write_u64(word);
        }
        hasher.finish()
    }
}

/// Hash state for maps whose keys a stranger chooses, such as addresses. Random per map.
#[derive(Debug, Clone)]
pub struct FastHash(HashKey);

impl Default for FastHash {
    fn default() -> Self {
        Self(HashKey::random())
    }
}

impl BuildHasher for FastHash {
    type Hasher = FastHasher;

    fn build_hasher(&self) -> FastHasher {
        FastHasher { state: self.0.0[0], key: self.0.0[1] }
    }
}

/// See [`FastHash`].
#[derive(Debug, Clone)]
pub struct FastHasher {
    state: u64,
    key: u64,
}

/// Both halves of the product, xored: every bit of either factor reaches every bit of the result.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let high = u64::try_from(product >> 64).unwrap_or(0);
    let low = u64::try_from(product & u128::from(u64::MAX)).unwrap_or(0);
    high ^ low
}

impl Hasher for FastHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
        self.write_u64(bytes.len() as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.state = fold(self.state ^ word, self.key ^ PI[0]);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        fold(self.state ^ PI[1], self.key.rotate_left(32) ^ PI[0])
    }
}
