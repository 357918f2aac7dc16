//! Bytes of packets, where they lie: the window in a guest, a slice on the build machine.
#![cfg_attr(
    target_arch = "wasm32",
    expect(unsafe_code, reason = "slices of the window, whose addresses the host vouches for; copies out of it")
)]

#[cfg(target_arch = "wasm32")]
mod memory {
    use core::{marker::PhantomData, ptr, slice};

    /// The window, for the time of one call.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Window<'a>(PhantomData<&'a [u8]>);

    impl<'a> Window<'a> {
        /// # Safety
        /// During `'a` the host must run no other call, and every address and length that is asked for below must be of a
        /// descriptor that the host wrote for this call.
        pub(crate) unsafe fn new() -> Self {
            Self(PhantomData)
        }

        /// `len` bytes at the guest address `at`.
        #[inline]
        pub(crate) fn bytes(self, at: u32, len: usize) -> &'a [u8] {
            // SAFETY: address and length are of the host's descriptor (see `new`): the bytes are in the window, readable,
            // and nobody writes them during the call.
            unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(at as usize), len) }
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod memory {
    use secuxflow_abi::WINDOW;

    /// What the harness shows as the window.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Window<'a>(pub(crate) &'a [u8]);

    impl<'a> Window<'a> {
        /// `len` bytes at the guest address `at`.
        pub(crate) fn bytes(self, at: u32, len: usize) -> &'a [u8] {
            if len == 0 {
                return &[];
            }
            let at = at.checked_sub(WINDOW).expect("the harness hands out addresses in the window") as usize;
            &self.0[at..at + len]
        }
    }
}

pub(crate) use memory::Window;

/// Copy out of the window by loads, never by `memory.copy`, which traps there: as many bytes as `to` and `from` both have.
/// Returns the part of `to` that was written.
#[inline]
pub fn copy<'a>(to: &'a mut [u8], from: &[u8]) -> &'a mut [u8] {
    let len = to.len().min(from.len());
    let to = &mut to[..len];
    #[cfg(target_arch = "wasm32")]
    // SAFETY: both are `len` bytes, and apart.
    unsafe {
        crate::memory::copy(to.as_mut_ptr(), from.as_ptr(), len);
    }
    #[cfg(not(target_arch = "wasm32"))]
    to.copy_from_slice(&from[..len]);
    to
}

#[cfg(test)]
mod tests {
    use super::copy;

    #[test]
    fn copies_as_much_as_both_have() {
        let from: Vec<u8> = (1..=60).collect();
        for start in 0..9 {
            for (room, end) in [(60, 60), (20, 60), (60, 30), (3, 60), (0, 60), (60, start)] {
                let (mut to, from) = ([0; 60], &from[start..end]);
                let len = room.min(from.len());
                assert_eq!(copy(&mut to[..room], from), &from[..len]);
                assert!(to[len..].iter().all(|byte| *byte == 0));
            }
        }
    }
}
