//! DNS messages, each a transaction of one direction.

use alloc::vec::Vec;

/// Most questions that are looked at.
const MOST: usize = 32;
/// Longest name in bytes.
const LONGEST: usize = 1024;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Whether it answers.
    pub is_response: bool,
    /// Kind of query.
    pub opcode: u8,
    /// Result.
    pub rcode: u16,
    /// Names asked for, labels joined by dots, as sent.
    pub names: Vec<Vec<u8>>,
}

/// Parse one; `None` when it is none.
#[must_use]
pub fn parse(data: &[u8]) -> Option<Message> {
    let word = |at: usize| Some(u16::from_be_bytes([*data.get(at)?, *data.get(at + 1)?]));
    let flags = word(2)?;
    let (questions, answers, authorities, additionals) = (word(4)?, word(6)?, word(8)?, word(10)?);
    if usize::from(questions) > MOST || questions == 0 && answers == 0 && authorities == 0 && additionals == 0 {
        return None;
    }
    let mut message = Message {
        is_response: flags & 0x8000 != 0,
        opcode: u8::try_from(flags >> 11 & 15).unwrap_or(0),
        rcode: flags & 15,
        names: Vec::new(),
    };
    let mut at = 12;
    for _ in 0..questions {
        let (name, next) = name(data, at)?;
        // Type and class follow.
        data.get(next..next + 4)?;
        message.names.push(name);
        at = next + 4;
    }
    Some(message)
}

/// The name at `at`, and where it ends.
fn name(data: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
    let (mut out, mut here, mut end, mut jumps) = (Vec::new(), at, None, 0);
    loop {
        let length = *data.get(here)?;
        match length {
            0 => return Some((out, end.unwrap_or(here + 1))),
            1..=63 => {
                let label = data.get(here + 1..here + 1 + usize::from(length))?;
                if !out.is_empty() {
                    out.push(b'.');
                }
                out.extend_from_slice(label);
                if out.len() > LONGEST {
                    return None;
                }
                here += 1 + usize::from(length);
            }
            192.. => {
                jumps += 1;
                if jumps > 32 {
                    return None;
                }
                end = end.or(Some(here + 2));
                here = usize::from(length & 63) << 8 | usize::from(*data.get(here + 1)?);
            }
            _ => return None,
        }
    }
}

/// Messages of a TCP connection, each behind its length.
#[derive(Debug, Default)]
pub struct Stream {
    rest: Vec<u8>,
    ready: Vec<Message>,
    broken: bool,
}

/// Most messages that wait to be taken.
const MOST_READY: usize = 256;

impl Stream {
    /// The messages that have become complete.
    pub fn take(&mut self) -> Vec<Message> {
        core::mem::take(&mut self.ready)
    }

    /// Take in-order data.
    pub fn feed(&mut self, data: &[u8]) {
        if self.broken {
            return;
        }
        self.rest.extend_from_slice(data);
        let mut at = 0;
        while let Some(length) = self.rest.get(at..at + 2) {
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            let Some(message) = self.rest.get(at + 2..at + 2 + length) else { break };
            at += 2 + length;
            match parse(message) {
                Some(message) if self.ready.len() < MOST_READY => self.ready.push(message),
                Some(_) => {}
                None => {
                    self.lose();
                    return;
                }
            }
        }
        self.rest.drain(..at);
    }

    /// The place in the stream is lost.
    pub fn lose(&mut self) {
        self.broken = true;
        self.rest = Vec::new();
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.rest.capacity()
    }
}

/// Whether `data`, behind a length when `tcp`, begins like DNS.
#[must_use]
pub fn looks_like(data: &[u8], tcp: bool) -> Option<bool> {
    let message = if tcp {
        if data.len() < 14 {
            return None;
        }
        &data[2..]
    } else {
        data
    };
    if !tcp {
        return Some(parse(message).is_some());
    }
    let length = usize::from(u16::from_be_bytes([data[0], data[1]]));
    let count = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let plausible = length >= 12 && count(4) <= 4 && (count(4) > 0 || count(6) > 0) && message[2] >> 3 & 15 <= 6;
    if !plausible || message.len() < length {
        return if plausible { None } else { Some(false) };
    }
    Some(parse(&message[..length]).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str) -> Vec<u8> {
        let mut data = vec![1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            data.push(label.len() as u8);
            data.extend(label.as_bytes());
        }
        data.extend([0, 0, 1, 0, 1]);
        data
    }

    #[test]
    fn messages() {
        let message = parse(&query("www.Example.org")).unwrap();
        assert_eq!(message.names, [b"www.Example.org"]);
        assert!(!message.is_response && message.opcode == 0);
        for cut in 0..query("a.b").len() {
            assert_eq!(parse(&query("a.b")[..cut]), None);
        }
        let mut looped = query("a");
        looped[12] = 0xc0;
        looped[13] = 12;
        assert_eq!(parse(&looped), None);
    }

    #[test]
    fn streams() {
        let mut wire = Vec::new();
        for name in ["a.org", "b.org"] {
            let query = query(name);
            wire.extend((query.len() as u16).to_be_bytes());
            wire.extend(query);
        }
        for step in [1, 5, 100] {
            let mut stream = Stream::default();
            wire.chunks(step).for_each(|part| stream.feed(part));
            let names: Vec<_> = stream.take().into_iter().map(|message| message.names).collect();
            assert_eq!(names, [[b"a.org".to_vec()], [b"b.org".to_vec()]]);
        }
        assert_eq!(looks_like(&wire, true), Some(true));
        assert_eq!(looks_like(b"GET / HTTP/1.1\r\n", true), Some(false));
    }
}
