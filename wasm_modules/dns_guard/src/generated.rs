//! Names that a machine made up: a model of pairs of letters, made of the words in `words.txt` when the module starts.
//!
//! The score of a label is the mean, over all pairs of neighbours with both edges, of the binary logarithm of how probable the
//! second is behind the first in those words (each pair counts as if it was seen half a time more). Words that are not in the
//! list score about -4, evenly random letters about -7. Models of letters say nothing of generators that put words together.

use alloc::boxed::Box;

/// Letters, digits (which are all the same), the hyphen, and the edge of a label.
const SYMBOLS: usize = 29;
const EDGE: usize = 28;
const WORDS: &str = include_str!("words.txt");

/// Labels that score less are taken for generated.
const THRESHOLD: f32 = -5.25;
/// Shorter labels say too little.
const SHORTEST: usize = 8;

/// Logarithms of probabilities: of the second symbol behind the first.
#[derive(Debug)]
pub struct Model(Box<[[f32; SYMBOLS]; SYMBOLS]>);

impl Default for Model {
    fn default() -> Self {
        let mut model = Box::new([[0.5_f32; SYMBOLS]; SYMBOLS]);
        for word in WORDS.split_ascii_whitespace() {
            pairs(word.as_bytes()).for_each(|(first, second)| model[first][second] += 1.0);
        }
        for row in model.iter_mut() {
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|count| *count = libm::log2f(*count / sum));
        }
        Self(model)
    }
}

impl Model {
    /// The score of a label, in bits for each pair; none for what is no plain label, and for a coded one (`xn--`).
    #[must_use]
    pub fn score(&self, label: &[u8]) -> Option<f32> {
        let plain = label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        if !plain || label.is_empty() || label.starts_with(b"xn--") {
            return None;
        }
        let sum: f32 = pairs(label).map(|(first, second)| self.0[first][second]).sum();
        Some(sum / (label.len() + 1) as f32)
    }

    /// Whether a label looks as if a machine had made it up.
    #[must_use]
    pub fn is_generated(&self, label: &[u8]) -> bool {
        label.len() >= SHORTEST && self.score(label).is_some_and(|score| score < THRESHOLD)
    }
}

/// Neighbours, with both edges.
fn pairs(label: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let seconds = label.iter().map(|byte| symbol(*byte)).chain([EDGE]);
    core::iter::once(EDGE).chain(label.iter().map(|byte| symbol(*byte))).zip(seconds)
}

fn symbol(byte: u8) -> usize {
    match byte {
        b'a'..=b'z' => usize::from(byte - b'a'),
        b'0'..=b'9' => 26,
        _ => 27,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels that are not made of the list's words alone.
    const ORDINARY: [&str; 60] = [
        "wikipedia",
        "stackoverflow",
        "secuxflow",
        "kubernetes",
        "mozilla",
        "debian-packages",
        "raspberrypi",
        "cloudfront",
        "postgresql",
        "northwindtraders",
        "umbrella-insurance",
        "bergwandern",
        "fahrradladen",
        "stadtbibliothek",
        "kochrezepte",
        "boulangerie",
        "supermercado",
        "aeropuerto",
        "ferramenta",
        "autonoleggio",
        "zeitungsverlag",
        "sprachschule",
        "weatherchannel",
        "timetables",
        "hedgehogrescue",
        "quantumphysics",
        "blueberrymuffins",
        "jazzfestival",
        "veganrecipes",
        "waltzlessons",
        "oxygenmask",
        "rhythmandblues",
        "xylophone",
        "khaki-trousers",
        "mp3converter",
        "office365",
        "24sevenfitness",
        "route66diner",
        "web2print",
        "skateboarding",
        "gynaecology",
        "pharmaceuticals",
        "thermodynamics",
        "nightingale",
        "grandmothersattic",
        "underwatercameras",
        "copenhagen",
        "liverpool",
        "birmingham",
        "philadelphia",
        "queensland",
        "saskatchewan",
        "zimbabwe",
        "kyrgyzstan",
        "reykjavik",
        "dusseldorf",
        "gothenburg",
        "krakow-tours",
        "budapestguide",
        "transylvania",
    ];

    fn random(state: &mut u64) -> usize {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) as usize
    }

    /// Share of 1000 labels of `length` characters of `alphabet` that are taken for generated.
    fn found(alphabet: &[u8], length: usize) -> usize {
        let (model, mut state) = (Model::default(), 7);
        let label =
            |state: &mut u64| -> Vec<u8> { (0..length).map(|_| alphabet[random(state) % alphabet.len()]).collect() };
        (0..1000).filter(|_| model.is_generated(&label(&mut state))).count()
    }

    #[test]
    fn random_letters_are_found_and_words_are_not() {
        let letters = b"abcdefghijklmnopqrstuvwxyz";
        let both = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let figures = [
            found(letters, 8),
            found(letters, 12),
            found(letters, 16),
            found(both, 16),
            found(b"0123456789abcdef", 16),
        ];
        let model = Model::default();
        let wrong: Vec<_> = ORDINARY.iter().filter(|label| model.is_generated(label.as_bytes())).collect();
        println!("{figures:?} {wrong:?}");
        assert!(figures[0] >= 800 && figures[1..].iter().all(|found| *found >= 900), "{figures:?}");
        assert!(wrong.len() <= 2, "{wrong:?}");
    }

    #[test]
    fn what_is_no_plain_label_has_no_score() {
        let model = Model::default();
        for label in [&b"xn--bcher-kva"[..], b"a_b", b"\xff\xfe", b""] {
            assert_eq!(model.score(label), None);
            assert!(!model.is_generated(label));
        }
        assert!(!model.is_generated(b"qxzjkvq"), "too short");
    }
}
