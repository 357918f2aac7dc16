//! The names in the question section of a DNS message, RFC 1035 section 4.1.

/// Length of a DNS header.
const HEADER: usize = 12;
/// Longest name on the wire with its length octets, RFC 1035 section 3.1.
const MAX_NAME: usize = 255;
/// Questions that are looked at; real queries have one.
const MAX_QUESTIONS: u16 = 4;

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

/// Check a DNS message; responses are none of our business.
///
/// # Errors
/// The first flaw.
pub fn check(message: &[u8], max_name: usize) -> Result<(), Flaw> {
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
        let length = name(rest)?;
        if length > max_name {
            return Err(Flaw::Tunnel);
        }
        // QTYPE and QCLASS follow the name.
        rest = rest.get(length + 4..).ok_or(Flaw::Truncated)?;
    }
    Ok(())
}

/// Length of the name at the start of `bytes`, its length octets included.
fn name(bytes: &[u8]) -> Result<usize, Flaw> {
    let mut at = 0;
    loop {
        let label = usize::from(*bytes.get(at).ok_or(Flaw::Truncated)?);
        at += 1;
        if label > 63 {
            return Err(Flaw::BadLabel);
        }
        at += label;
        if at > MAX_NAME {
            return Err(Flaw::LongName);
        }
        if label == 0 {
            return Ok(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(check(&query(&[3])[..15], 255), Err(Flaw::Truncated));
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
}
