//! The names in the question section of a DNS message, RFC 1035 section 4.1.

/// Length of a DNS header.
const HEADER: usize = 12;
/// Longest name on the wire with its length octets, RFC 1035 section 3.1.
const MAX_NAME: usize = 255;
/// Questions that are looked at; real queries have one.
const MAX_QUESTIONS: u16 = 4;
/// Octets of a message within which its questions end.
pub const MAX_QUERY: usize = HEADER + MAX_QUESTIONS as usize * (MAX_NAME + 4);

/// What is wrong with a query; the discriminant is the signature number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// The message ends inside its header or a question.
    Truncated = 1,
    /// A label's length octet has the reserved bits 01 or 10, or is a compression pointer, which has nothing to point at.
    BadLabel = 2,
    /// A name longer than 255 octets.
    LongName = 3,
    /// A name longer than the configured limit: likely a tunnel.
    Tunnel = 4,
    /// More questions than any resolver asks.
    Questions = 5,
}

impl Flaw {
    /// Text for the alert.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Truncated => "DNS query is truncated",
            Self::BadLabel => "DNS query with an invalid label length",
            Self::LongName => "DNS query with a name above 255 octets",
            Self::Tunnel => "DNS query with a name above the configured length",
            Self::Questions => "DNS query with too many questions",
        }
    }
}

/// A name as text: labels with dots between them, letters of ASCII in lower case, other octets as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    text: [u8; MAX_NAME],
    len: usize,
    labels: usize,
}

impl Name {
    /// The root.
    const ROOT: Self = Self { text: [0; MAX_NAME], len: 0, labels: 0 };

    /// The text, empty for the root.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }

    /// Number of labels.
    #[must_use]
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// Read a name, and say how many octets it has on the wire.
    fn read(bytes: &[u8]) -> Result<(Self, usize), Flaw> {
        let mut name = Self::ROOT;
        let mut at = 0;
        loop {
            let len = usize::from(*bytes.get(at).ok_or(Flaw::Truncated)?);
            at += 1;
            if len > 63 {
                return Err(Flaw::BadLabel);
            }
            if at + len > MAX_NAME {
                return Err(Flaw::LongName);
            }
            if len == 0 {
                return Ok((name, at));
            }
            name.push(bytes.get(at..at + len).ok_or(Flaw::Truncated)?);
            at += len;
        }
    }

    /// Add a label. There is room for it, since on the wire each has an octet for its length, too.
    fn push(&mut self, label: &[u8]) {
        if self.len > 0 {
            self.text[self.len] = b'.';
            self.len += 1;
        }
        let to = &mut self.text[self.len..self.len + label.len()];
        secuxflow_sdk::copy(to, label).make_ascii_lowercase();
        self.len += label.len();
        self.labels += 1;
    }
}

/// Check a DNS message, and show `each` of its questions: name and type. Responses are none of our business.
///
/// # Errors
/// The first flaw; the questions before it were shown.
pub fn check(message: &[u8], max_name: usize, mut each: impl FnMut(&Name, u16)) -> Result<(), Flaw> {
    let header = message.first_chunk::<HEADER>().ok_or(Flaw::Truncated)?;
    if header[2] & 0x80 != 0 {
        return Ok(());
    }
    let questions = u16::from_be_bytes([header[4], header[5]]);
    if questions > MAX_QUESTIONS {
        return Err(Flaw::Questions);
    }
    let mut rest = &message[HEADER..];
    for _ in 0..questions {
        let (name, length) = Name::read(rest)?;
        if length > max_name {
            return Err(Flaw::Tunnel);
        }
        let (kind, behind) = rest[length..].split_first_chunk::<4>().ok_or(Flaw::Truncated)?;
        rest = behind;
        each(&name, u16::from_be_bytes([kind[0], kind[1]]));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &[u8], max_name: usize) -> Result<(), Flaw> {
        super::check(message, max_name, |_, _| {})
    }

    fn query(labels: &[usize]) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for &label in labels {
            message.push(label as u8);
            message.extend(std::iter::repeat_n(b'a', label));
        }
        message.extend([0, 0, 1, 0, 1]);
        message
    }

    #[test]
    fn names_are_judged_by_their_length() {
        assert_eq!(check(&query(&[3, 7, 3]), 120), Ok(()));
        assert_eq!(check(&query(&[63, 63, 63, 61]), 255), Ok(()));
        assert_eq!(check(&query(&[63, 63, 63, 62]), 255), Err(Flaw::LongName));
        assert_eq!(check(&query(&[63, 63]), 120), Err(Flaw::Tunnel));
    }

    #[test]
    fn malformed_messages_are_named() {
        assert_eq!(check(&[0; 11], 255), Err(Flaw::Truncated));
        for end in 12..query(&[3]).len() {
            assert_eq!(check(&query(&[3])[..end], 255), Err(Flaw::Truncated));
        }
        for reserved in [0x40, 0x80, 0xc0] {
            let mut message = query(&[3]);
            message[12] = reserved;
            assert_eq!(check(&message, 255), Err(Flaw::BadLabel));
        }
        let mut message = query(&[3]);
        message[5] = 5;
        assert_eq!(check(&message, 255), Err(Flaw::Questions));
        message[2] = 0x80;
        assert_eq!(check(&message, 255), Ok(()), "a response");
    }

    #[test]
    fn questions_are_shown_as_text() {
        let mut shown = Vec::new();
        let mut message =
            b"\x12\x34\x01\0\0\x02\0\0\0\0\0\0\x03WwW\x07example\x03com\0\0\x10\0\x01\0\0\x02\0\x01".to_vec();
        super::check(&message, 255, |name, kind| shown.push((name.as_bytes().to_vec(), name.labels(), kind))).unwrap();
        assert_eq!(shown, [(b"www.example.com".to_vec(), 3, 16), (vec![], 0, 2)]);
        message.truncate(message.len() - 1);
        assert_eq!(check(&message, 255), Err(Flaw::Truncated));
    }

    /// Whatever octets: an answer, and a name that fits.
    #[test]
    fn no_message_is_too_odd() {
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let mut message = query(&[9, 5]);
            for _ in 0..4 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (state >> 33) as usize % message.len();
                message[at] = (state >> 56) as u8;
            }
            let _ = super::check(&message, 255, |name, _| assert!(name.as_bytes().len() < 255));
        }
    }
}
