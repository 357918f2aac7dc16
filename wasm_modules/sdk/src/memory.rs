//! What the compiler calls to copy, compare and fill bytes, sixteen at a time: its own functions for WebAssembly take four or
//! one, and messages are full of short texts.
//!
//! Everything is plain loads and stores, so that the window can be read. The first and the last bytes overlap with what is
//! between them, so that no length needs a loop over single bytes.
#![expect(unsafe_code, reason = "the C functions that compilers rely on")]

#[cfg(target_arch = "wasm32")]
use core::arch::wasm32::v128 as Wide;
#[cfg(not(target_arch = "wasm32"))]
type Wide = [u64; 2];

const WIDE: usize = size_of::<Wide>();

/// Once a turn of each loop that copies, lest the compiler makes it a call of what this file defines, by which that would call
/// itself: a turn's bytes have to be in place before the next turn. It is no instruction.
#[inline(always)]
fn in_turn() {
    core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
}

/// # Safety
/// The bytes of a `T` can be read at `at`.
#[inline(always)]
unsafe fn get<T>(at: *const u8) -> T {
    // SAFETY: by the caller's promise, and all that is read here is plain numbers.
    unsafe { at.cast::<T>().read_unaligned() }
}

/// # Safety
/// The bytes of a `T` can be written at `at`.
#[inline(always)]
unsafe fn put<T>(at: *mut u8, value: T) {
    // SAFETY: by the caller's promise.
    unsafe { at.cast::<T>().write_unaligned(value) }
}

/// Copy so few bytes that two of `T` hold them.
///
/// # Safety
/// As for [`copy`]; `len` is that of a `T` to that of two.
#[inline(always)]
unsafe fn copy_two<T>(to: *mut u8, from: *const u8, len: usize) {
    let last = len - size_of::<T>();
    // SAFETY: by the caller's promise. Both are read before either is written, so that they may overlap.
    unsafe {
        let (first, second): (T, T) = (get(from), get(from.add(last)));
        put(to, first);
        put(to.add(last), second);
    }
}

/// # Safety
/// As for [`copy`]; `len` is below that of a [`Wide`].
#[inline(always)]
unsafe fn copy_few(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: by the caller's promise.
    unsafe {
        match len {
            8.. => copy_two::<u64>(to, from, len),
            4..8 => copy_two::<u32>(to, from, len),
            2..4 => copy_two::<u16>(to, from, len),
            1 => put::<u8>(to, get(from)),
            0 => {}
        }
    }
}

/// Copy four [`Wide`]s.
///
/// # Safety
/// As for [`copy`].
#[inline(always)]
unsafe fn copy_four(to: *mut u8, from: *const u8) {
    // SAFETY: by the caller's promise. All are read before any is written, so that they may overlap.
    unsafe {
        let (first, second): (Wide, Wide) = (get(from), get(from.add(WIDE)));
        let (third, fourth): (Wide, Wide) = (get(from.add(2 * WIDE)), get(from.add(3 * WIDE)));
        put(to, first);
        put(to.add(WIDE), second);
        put(to.add(2 * WIDE), third);
        put(to.add(3 * WIDE), fourth);
    }
}

/// Copy where `to` does not lie within what is read; it may lie before.
///
/// # Safety
/// `len` bytes can be read at `from` and written at `to`.
#[inline(always)]
pub(crate) unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: all offsets are below `len`, or a Wide before it. What is read was not written yet: `to` is before `from`.
    unsafe {
        if len < WIDE {
            return copy_few(to, from, len);
        }
        let last: Wide = get(from.add(len - WIDE));
        let mut at = 0;
        // Several a turn: in a guest each turn of a loop looks at the clock.
        while at + 4 * WIDE <= len {
            copy_four(to.add(at), from.add(at));
            at += 4 * WIDE;
            in_turn();
        }
        while at + WIDE <= len {
            put::<Wide>(to.add(at), get(from.add(at)));
            at += WIDE;
            in_turn();
        }
        put(to.add(len - WIDE), last);
    }
}

/// Copy where `to` does not lie before what is read; it may lie within.
///
/// # Safety
/// As for [`copy`].
#[inline(always)]
unsafe fn copy_from_end(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: as in `copy`, from the other end.
    unsafe {
        if len < WIDE {
            return copy_few(to, from, len);
        }
        let start: Wide = get(from);
        let mut at = len;
        while at >= 4 * WIDE {
            at -= 4 * WIDE;
            copy_four(to.add(at), from.add(at));
            in_turn();
        }
        while at >= WIDE {
            at -= WIDE;
            put::<Wide>(to.add(at), get(from.add(at)));
            in_turn();
        }
        put(to, start);
    }
}

/// # Safety
/// `len` bytes can be written at `to`.
#[inline(always)]
unsafe fn fill(to: *mut u8, byte: u8, len: usize) {
    let word = u64::from(byte) * 0x0101_0101_0101_0101;
    // SAFETY: all offsets are below `len`, or a u64 before it; what is written in the loop is aligned.
    unsafe {
        match len {
            8.. => {
                put(to, word);
                put(to.add(len - 8), word);
                let mut at = 8 - to.addr() % 8;
                while at + 8 <= len {
                    // Volatile, lest this is taken for what the compiler has a function for: this one.
                    to.add(at).cast::<u64>().write_volatile(word);
                    at += 8;
                }
            }
            4..8 => {
                put(to, word as u32);
                put(to.add(len - 4), word as u32);
            }
            0 => {}
            1..4 => {
                put(to, byte);
                put(to.add(len / 2), byte);
                put(to.add(len - 1), byte);
            }
        }
    }
}

/// Whether two `T` at each place are the same.
///
/// # Safety
/// As for [`equal`]; `len` is that of a `T` to that of two.
#[inline(always)]
unsafe fn equal_two<T: PartialEq>(a: *const u8, b: *const u8, len: usize) -> bool {
    let last = len - size_of::<T>();
    // SAFETY: by the caller's promise.
    unsafe { get::<T>(a) == get::<T>(b) && get::<T>(a.add(last)) == get::<T>(b.add(last)) }
}

#[inline(always)]
fn same_wide(a: Wide, b: Wide) -> bool {
    #[cfg(target_arch = "wasm32")]
    return !core::arch::wasm32::v128_any_true(core::arch::wasm32::v128_xor(a, b));
    #[cfg(not(target_arch = "wasm32"))]
    return a == b;
}

/// # Safety
/// `len` bytes can be read at `a` and at `b`.
#[inline(always)]
unsafe fn equal(a: *const u8, b: *const u8, len: usize) -> bool {
    // SAFETY: all offsets are below `len`, or a Wide before it.
    unsafe {
        match len {
            WIDE.. => {
                let mut at = 0;
                while at + WIDE <= len {
                    if !same_wide(get(a.add(at)), get(b.add(at))) {
                        return false;
                    }
                    at += WIDE;
                }
                same_wide(get(a.add(len - WIDE)), get(b.add(len - WIDE)))
            }
            8..WIDE => equal_two::<u64>(a, b, len),
            4..8 => equal_two::<u32>(a, b, len),
            2..4 => equal_two::<u16>(a, b, len),
            1 => get::<u8>(a) == get::<u8>(b),
            0 => true,
        }
    }
}

/// Which of two words is the greater where they differ, by the byte that comes first in memory.
#[inline(always)]
fn order(a: u64, b: u64) -> i32 {
    let (a, b) = (u64::from_be(a), u64::from_be(b));
    i32::from(a > b) - i32::from(a < b)
}

/// Compare so few bytes that two words, of which `get` takes one at an offset, hold them.
#[inline(always)]
fn order_two(last: usize, get: impl Fn(usize) -> (u64, u64)) -> i32 {
    let (a, b) = get(0);
    let (a, b) = if a == b { get(last) } else { (a, b) };
    order(a, b)
}

/// Compilers call this one to see whether bytes are the same, too.
///
/// # Safety
/// As for [`equal`].
#[inline(always)]
unsafe fn compare(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: all offsets are below `len`, or a word before it, or a Wide.
    unsafe {
        let eights = |at: usize| (get::<u64>(a.add(at)), get::<u64>(b.add(at)));
        match len {
            WIDE.. => {
                let last = len - WIDE;
                let mut at = 0;
                while at < last {
                    if !same_wide(get(a.add(at)), get(b.add(at))) {
                        return order_two(8, |eight| eights(at + eight));
                    }
                    at += WIDE;
                }
                order_two(8, |eight| eights(last + eight))
            }
            8..WIDE => order_two(len - 8, eights),
            4..8 => order_two(len - 4, |at| (get::<u32>(a.add(at)).into(), get::<u32>(b.add(at)).into())),
            2..4 => order_two(len - 2, |at| (get::<u16>(a.add(at)).into(), get::<u16>(b.add(at)).into())),
            1 => order(get::<u8>(a).into(), get::<u8>(b).into()),
            0 => 0,
        }
    }
}

/// Those that compilers call; the ones of the compiler's own library give way.
#[cfg(target_arch = "wasm32")]
mod exports {
    /// # Safety
    /// C's.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        // SAFETY: by the caller's promise; they do not overlap.
        unsafe { super::copy(to, from, len) };
        to
    }

    /// # Safety
    /// C's.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        // SAFETY: by the caller's promise; which of the two is decided by how they overlap.
        unsafe {
            if to.addr().wrapping_sub(from.addr()) >= len {
                super::copy(to, from, len);
            } else {
                super::copy_from_end(to, from, len);
            }
        }
        to
    }

    /// # Safety
    /// C's.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
        // SAFETY: by the caller's promise.
        unsafe { super::fill(to, byte as u8, len) };
        to
    }

    /// # Safety
    /// C's.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
        // SAFETY: by the caller's promise.
        unsafe { super::compare(a, b, len) }
    }

    /// # Safety
    /// C's.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
        // SAFETY: by the caller's promise.
        i32::from(!unsafe { super::equal(a, b, len) })
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn does_what_the_standard_library_does(
            bytes in prop::collection::vec(any::<u8>(), 200),
            (from, to, len) in (0usize..100, 0usize..100, 0usize..100),
            byte in any::<u8>(),
        ) {
            let mut expected = bytes.clone();
            expected.copy_within(from..from + len, to);
            let mut moved = bytes.clone();
            let base = moved.as_mut_ptr();
            // SAFETY: both ranges lie in the buffer.
            unsafe {
                if to.wrapping_sub(from) >= len {
                    copy(base.add(to), base.add(from), len);
                } else {
                    copy_from_end(base.add(to), base.add(from), len);
                }
            }
            prop_assert_eq!(&moved, &expected);

            let mut expected = bytes.clone();
            expected[to..to + len].fill(byte);
            let mut filled = bytes;
            // SAFETY: the range lies in the buffer.
            unsafe { fill(filled.as_mut_ptr().add(to), byte, len) };
            prop_assert_eq!(filled, expected);
        }

        #[test]
        fn compares_as_the_standard_library_does(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            change in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let mut other = bytes.clone();
            if let Some((place, byte)) = change.filter(|_| !bytes.is_empty()) {
                other[place.index(bytes.len())] = byte;
            }
            let (a, b, len) = (bytes.as_ptr(), other.as_ptr(), bytes.len());
            // SAFETY: both are `len` bytes.
            let (same, order) = unsafe { (equal(a, b, len), compare(a, b, len)) };
            prop_assert_eq!(same, bytes == other);
            let expected = match bytes.cmp(&other) {
                Ordering::Less => -1,
                Ordering::Equal => 0,
                Ordering::Greater => 1,
            };
            prop_assert_eq!(order, expected);
        }
    }
}
