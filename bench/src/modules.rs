//! What the measured modules are given.

/// MiB of heap that 1,000 patterns need, and that every measured module may have.
pub(crate) const HEAP: usize = 64;

/// A module that passes everything without looking.
pub(crate) const NOTHING: &str = concat!(
    include_str!("../../tests/guest_head.wat"),
    r#"  (func (export "sxf_init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "sxf_inspect") (param i32 i32) (result i32) (i32.const 0)))"#
);

/// A module that passes every stream without looking.
pub(crate) const STREAMS: &str = concat!(
    include_str!("../../tests/guest_head.wat"),
    r#"  (func (export "sxf_init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "sxf_stream") (param i32 i32 i32 i32) (result i32) (i32.const 0)))"#
);

/// A module that clears the flow of every packet that it sees.
pub(crate) const CLEAR: &str = concat!(
    include_str!("../../tests/guest_head.wat"),
    r#"  (func (export "sxf_init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "sxf_inspect") (param $batch i32) (param $n i32) (result i32) (local $i i32)
    (loop $packets
      (call $clear (local.get $i) (i32.const 0))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $packets (i32.lt_u (local.get $i) (local.get $n))))
    (i32.const 0)))"#
);

/// `count` different patterns of 8 to 20 bytes, none of which is in the text that frames carry.
pub(crate) fn patterns(count: u32) -> Vec<String> {
    const SYLLABLES: [&str; 16] =
        ["ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va"];
    let pattern = |number: u32| {
        // Digits of base 16, the length by the number; what comes first differs most, as in real signatures.
        let syllables = (0..4 + number % 7).map(|place| {
            let digit = number.wrapping_mul(0x9e37_79b1).rotate_left(4 * place) ^ place;
            SYLLABLES[(digit & 15) as usize]
        });
        format!("{}{number:x}", syllables.collect::<String>())
    };
    (0..count).map(pattern).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn patterns_are_all_different() {
        let patterns = patterns(1000);
        assert_eq!(patterns.iter().collect::<HashSet<_>>().len(), 1000);
        assert!(patterns.iter().all(|pattern| (8..=24).contains(&pattern.len())), "{patterns:?}");
    }
}
