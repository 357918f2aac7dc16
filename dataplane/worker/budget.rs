//! How many frames each port may hold for sending.

/// Half of a worker's frames may be held for sending; the other half is the fill rings'. Of that half, one half is shared
/// out evenly and kept for each port, so that ports which do not get rid of their frames never stop the others; the rest
/// goes to whoever has a burst to send, up to as much as is left over at that moment.
///
/// Invariant: `used <= common`, so all ports together hold at most `ports * own + common` frames, half the share.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// Frames kept for each port.
    own: usize,
    /// Frames beyond those, for all.
    common: usize,
    /// Of `common`, those that are held.
    used: usize,
}

impl Budget {
    /// The budget of a worker whose share of the UMEM is `share` and whose ports hold `held` frames each.
    pub(super) fn new(share: usize, held: impl Iterator<Item = usize> + Clone) -> Self {
        let (half, ports) = (share / 2, held.clone().count().max(1));
        let own = half / 2 / ports;
        let common = half - own * ports;
        let used = held.map(|held| held.saturating_sub(own)).sum::<usize>().min(common);
        Self { own, common, used }
    }

    /// Whether a port that holds `held` frames may have one more; when it may, that one is counted.
    pub(super) fn take(&mut self, held: usize) -> bool {
        if held < self.own {
            return true;
        }
        let left = self.common - self.used;
        let granted = held - self.own < left;
        self.used += usize::from(granted);
        granted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Let a port take all that it can get.
    fn burst(budget: &mut Budget) -> usize {
        let mut held = 0;
        while budget.take(held) {
            held += 1;
        }
        held
    }

    #[test]
    fn a_burst_fits_however_many_ports_there_are() {
        for ports in [1, 2, 10, 100, 1000] {
            let mut budget = Budget::new(8192, std::iter::repeat_n(0, ports));
            assert!(burst(&mut budget) >= 1024, "{ports} ports");
        }
    }

    #[test]
    fn a_hoarding_port_leaves_every_other_its_own() {
        let mut budget = Budget::new(8192, std::iter::repeat_n(0, 100));
        for port in 0..100 {
            assert!(burst(&mut budget) >= 20, "port {port}");
        }
    }

    proptest! {
        #[test]
        fn the_fill_rings_keep_their_half(share in 1usize..10_000, ports in 1usize..300) {
            let mut budget = Budget::new(share, std::iter::repeat_n(0, ports));
            let held: Vec<usize> = (0..ports).map(|_| burst(&mut budget)).collect();
            prop_assert!(held.iter().sum::<usize>() <= share / 2);
            // A count taken anew says the same.
            let mut again = Budget::new(share, held.iter().copied());
            prop_assert!(held.iter().all(|&held| held < again.own || !again.take(held)));
        }
    }
}
