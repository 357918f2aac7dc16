//! How much is measured, and with what.

use std::path::PathBuf;

use crate::rounds::Effort;

/// A run of the classifier's benchmark.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Distinct packets of a ruleset; a power of two.
    pub(crate) packets: usize,
    /// Rounds and turns.
    pub(crate) effort: Effort,
    /// Largest size that is measured.
    pub(crate) largest: u32,
    /// Folder with xdp-filter's object files.
    pub(crate) xdp_filter: Option<PathBuf>,
    /// Publications of each kind.
    pub(crate) publications: usize,
}

impl Plan {
    /// Those of `sizes` that are measured.
    pub(crate) fn up_to(&self, sizes: &[u32]) -> Vec<u32> {
        sizes.iter().copied().filter(|size| *size <= self.largest).collect()
    }
}

/// Say what is being done, where it is in nobody's way.
pub(crate) fn say(words: &str) {
    eprintln!("{words}");
}
