//! Signs of a tunnel: names below a domain that carry data.

use crate::domain::Parts;

/// Least length of what is below a domain, to be long.
const LONG: usize = 40;
/// Least length of a label, to be long.
const LONG_LABEL: usize = 30;
/// Least number of labels below a domain, to be many.
const MANY_LABELS: usize = 5;
/// Least entropy, in bits for each character, of at least so many characters, to be high. Words have 3.0 to 3.5, base32 of
/// data 4.3 and more.
const HIGH_ENTROPY: f32 = 3.7;
const FOR_ENTROPY: usize = 16;

/// Types that carry data, and that few but tunnels ask for: NULL, TXT, KEY, and those for private use.
#[must_use]
pub fn is_rare(kind: u16) -> bool {
    matches!(kind, 10 | 16 | 25 | 65280..=65534)
}

/// How many of five signs a query has: what is below the domain is long, has a long label, many labels, high entropy; the type
/// is rare.
#[must_use]
pub fn signs(parts: &Parts<'_>, kind: u16) -> usize {
    let labels = parts.below.split(|byte| *byte == b'.');
    let signs = [
        parts.below.len() >= LONG,
        labels.clone().any(|label| label.len() >= LONG_LABEL),
        labels.count() >= MANY_LABELS,
        parts.below.len() >= FOR_ENTROPY && entropy(parts.below) >= HIGH_ENTROPY,
        is_rare(kind),
    ];
    signs.into_iter().filter(|sign| *sign).count()
}

/// Shannon's entropy in bits for each octet.
#[must_use]
pub fn entropy(text: &[u8]) -> f32 {
    let mut counts = [0_u16; 256];
    for byte in text {
        counts[usize::from(*byte)] += 1;
    }
    let length = text.len() as f32;
    counts.iter().filter(|count| **count > 0).map(|count| f32::from(*count) / length).map(|p| -p * libm::log2f(p)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parts;

    fn of(name: &str, kind: u16) -> usize {
        signs(&parts(name.as_bytes()).unwrap(), kind)
    }

    #[test]
    fn ordinary_names_have_few_signs() {
        assert_eq!(entropy(b"aaaa"), 0.0);
        assert_eq!(entropy(b"abcdabcd"), 2.0);
        for name in
            ["www.example.com", "mail-gateway.eu-west-1.example.com", "d3a7f9c1b2.cdn.example.net", "example.org"]
        {
            assert_eq!(of(name, 1), 0, "{name}");
        }
        assert_eq!(of("_dmarc.example.com", 16), 1);
    }

    #[test]
    fn data_in_names_has_many() {
        for name in [
            "mzxw6ytboi3dsmrqgezdgnbvgy3tqojqmfrggzdfmztwq2lk.t.example.com",
            "7b22757365726e616d65223a2261646d696e222c2270617373776f7264.1.example.com",
        ] {
            assert!(of(name, 1) >= 2, "{name}: {}", of(name, 1));
            assert!(of(name, 16) >= 3, "{name}");
        }
        assert!(of("a.b.c.d.e.f.example.com", 10) >= 2);
    }
}
