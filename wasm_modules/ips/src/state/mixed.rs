//! A hash of small numbers nobody can choose to collide: flow identifiers, which the host makes of a secret, and ports that
//! rules name.

use core::hash::{BuildHasherDefault, Hasher};

/// Makes [`Mixed`].
pub type Mixing = BuildHasherDefault<Mixed>;

/// The number, its bits mixed by one multiplication.
#[derive(Debug, Default, Clone, Copy)]
pub struct Mixed(u64);

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    #[inline]
    fn write_u16(&mut self, number: u16) {
        self.write_u64(number.into());
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(8) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    #[inline]
    fn finish(&self) -> u64 {
        // The low bits of a product know little of the number's high ones.
        self.0 ^ (self.0 >> 32)
    }
}
