//! The rules that UMEM and ring sizes obey.

use secuxflow_abi::WINDOW;

use super::XskError;
use crate::plane::UmemLayout;

/// Bytes of guest address space above [`WINDOW`], and so the largest UMEM that a guest can see.
pub const WINDOW_LEN: u64 = (1 << 32) - WINDOW as u64;

/// Largest ring: the kernel takes more, but a ring of a million entries is a typing error.
const MAX_RING: u32 = 1 << 16;

impl UmemLayout {
    /// Check the sizes, in themselves and with each other.
    ///
    /// # Errors
    /// [`XskError::Layout`] names the setting, its value and the rule that it breaks.
    pub fn check(&self) -> Result<(), XskError> {
        let refuse = |setting, value: u32, rule: String| Err(XskError::Layout { setting, value: value.into(), rule });
        for (setting, value) in [("umem.frames", self.frames), ("umem.ring", self.ring)] {
            if !value.is_power_of_two() {
                let near = value.checked_next_power_of_two().unwrap_or(1 << 31);
                return refuse(setting, value, format!("must be a power of two, such as {near}"));
            }
        }
        if !matches!(self.frame_size, 2048 | 4096) {
            return refuse("umem.frame_size", self.frame_size, "must be 2048 or 4096".into());
        }
        if !(64..=MAX_RING).contains(&self.ring) {
            return refuse("umem.ring", self.ring, format!("must lie between 64 and {MAX_RING}"));
        }
        if u64::from(self.frames) < 4 * u64::from(self.ring) {
            let least = 4 * u64::from(self.ring);
            let rule = format!("must be at least four rings, {least}; raise it or lower umem.ring ({})", self.ring);
            return refuse("umem.frames", self.frames, rule);
        }
        Ok(())
    }

    /// Bytes of a UMEM for `workers` workers.
    ///
    /// # Errors
    /// As [`check`](Self::check), and when the UMEM would not fit the guests' window.
    pub fn total(&self, workers: u32) -> Result<usize, XskError> {
        self.check()?;
        let total = u64::from(self.frames) * u64::from(self.frame_size) * u64::from(workers.max(1));
        match usize::try_from(total) {
            Ok(bytes) if total < WINDOW_LEN => Ok(bytes),
            _ => Err(XskError::Layout {
                setting: "umem.frames",
                value: self.frames.into(),
                rule: format!(
                    "{workers} workers with frames of {} bytes make {total} bytes, and less than {WINDOW_LEN} can be \
                     shown to modules; lower umem.frames or use fewer cores",
                    self.frame_size
                ),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: UmemLayout = UmemLayout { frames: 4096, frame_size: 4096, ring: 1024 };

    fn said(layout: UmemLayout) -> String {
        layout.check().unwrap_err().to_string()
    }

    #[test]
    fn good_sizes_are_taken() {
        GOOD.check().unwrap();
        UmemLayout { frame_size: 2048, ..GOOD }.check().unwrap();
        assert_eq!(GOOD.total(2).unwrap(), 2 * 4096 * 4096);
    }

    #[test]
    fn an_error_names_the_setting_and_a_way_out() {
        assert_eq!(said(UmemLayout { ring: 1000, ..GOOD }), "umem.ring = 1000: must be a power of two, such as 1024");
        assert!(said(UmemLayout { frames: 0, ..GOOD }).starts_with("umem.frames = 0: must be a power of two"));
        assert_eq!(said(UmemLayout { frame_size: 3000, ..GOOD }), "umem.frame_size = 3000: must be 2048 or 4096");
        assert!(said(UmemLayout { ring: 32, ..GOOD }).contains("between 64 and"));
        assert!(said(UmemLayout { ring: 2048, ..GOOD }).contains("at least four rings, 8192"));
        assert!(said(UmemLayout { frames: u32::MAX, ..GOOD }).contains("such as 2147483648"));
    }

    #[test]
    fn a_umem_larger_than_the_window_is_refused() {
        let large = UmemLayout { frames: 1 << 19, ..GOOD };
        large.check().unwrap();
        assert!(large.total(1).unwrap_err().to_string().contains("can be shown to modules"));
        assert!(UmemLayout { frames: 1 << 18, ..GOOD }.total(1).is_ok());
    }
}
