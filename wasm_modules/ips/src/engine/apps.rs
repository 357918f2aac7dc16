//! Which application protocol a flow speaks, told from its first bytes.

use alloc::boxed::Box;

use crate::{
    app::AppProto,
    buffers::{dns, http::Http},
    packet::{PacketView, StreamChunk},
    state::flow::{Flow, Parser},
};

/// First bytes of a direction that are looked at.
pub const MOST_HEAD: usize = 1024;
const DNS_PORT: u16 = 53;

/// What one direction's first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guess {
    Is(AppProto),
    NeedMore,
    Unknown,
}

const METHODS: &[&str] = &[
    "GET",
    "POST",
    "PUT",
    "HEAD",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PATCH",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "VERSION-CONTROL",
    "REPORT",
    "CHECKOUT",
    "CHECKIN",
    "UNCHECKOUT",
    "MKWORKSPACE",
    "UPDATE",
    "LABEL",
    "MERGE",
    "BASELINE-CONTROL",
    "MKACTIVITY",
    "SEARCH",
    "ACL",
    "BCOPY",
    "BMOVE",
    "BDELETE",
    "BPROPFIND",
    "BPROPPATCH",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "NOTIFY",
    "POLL",
];

/// Whether `head` begins with `what`, or may still come to.
fn begins(head: &[u8], what: &[u8], fold: bool) -> Option<bool> {
    let count = head.len().min(what.len());
    let same = if fold { head[..count].eq_ignore_ascii_case(&what[..count]) } else { head[..count] == what[..count] };
    match (same, count == what.len()) {
        (true, true) => Some(true),
        (true, false) => None,
        (false, _) => Some(false),
    }
}

/// Combine alternatives: the first that is certain, else whether one is still possible.
fn first(options: impl Iterator<Item = (Option<bool>, AppProto)>) -> Guess {
    let mut open = false;
    for (answer, app) in options {
        match answer {
            Some(true) => return Guess::Is(app),
            None => open = true,
            Some(false) => {}
        }
    }
    if open { Guess::NeedMore } else { Guess::Unknown }
}

fn tls(head: &[u8], handshake: u8) -> Option<bool> {
    let parts = [(0, 22..=22), (1, 3..=3), (2, 0..=4), (5, handshake..=handshake)];
    for (at, range) in parts {
        match head.get(at) {
            None => return None,
            Some(byte) if !range.contains(byte) => return Some(false),
            Some(_) => {}
        }
    }
    Some(true)
}

/// A method and a blank, perhaps after empty lines.
fn method(head: &[u8]) -> Option<bool> {
    let blank = head.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let head = &head[blank..];
    let mut open = head.is_empty();
    for name in METHODS {
        match begins(head, name.as_bytes(), false) {
            Some(true) => match head.get(name.len()) {
                Some(b' ' | b'\t') => return Some(true),
                None => open = true,
                Some(_) => {}
            },
            None => open = true,
            Some(false) => {}
        }
    }
    if open { None } else { Some(false) }
}

fn guess(head: &[u8], side: usize, dns_port: bool) -> Guess {
    if dns_port {
        match dns::looks_like(head, true) {
            Some(true) => return Guess::Is(AppProto::Dns),
            None if head.len() < MOST_HEAD => return Guess::NeedMore,
            _ => {}
        }
    }
    let word = |text: &str, fold: bool| begins(head, text.as_bytes(), fold);
    let common = [(word("SSH-", false), AppProto::Ssh)];
    if side == 0 {
        first(
            [
                (method(head), AppProto::Http),
                (tls(head, 1), AppProto::Tls),
                (word("EHLO ", true), AppProto::Smtp),
                (word("HELO ", true), AppProto::Smtp),
                (word("USER ", true), AppProto::Ftp),
                (word("FEAT", true), AppProto::Ftp),
            ]
            .into_iter()
            .chain(common),
        )
    } else {
        first(
            [
                (word("HTTP/0.9", false), AppProto::Http),
                (word("HTTP/1.", false), AppProto::Http),
                (tls(head, 2), AppProto::Tls),
                (word("220 (", false), AppProto::Ftp),
            ]
            .into_iter()
            .chain(common),
        )
    }
}

impl super::Scene<'_> {
    /// Look at the first bytes of direction `side`, which have become more. When the protocol becomes known its parser gets
    /// them, of both directions.
    pub(super) fn detect(&self, packet: &PacketView<'_>, flow: &mut Flow, side: usize) {
        let dns_port = packet.src_port == DNS_PORT || packet.dst_port == DNS_PORT;
        let stream = &mut flow.streams[side];
        match guess(&stream.head, side, dns_port) {
            Guess::Is(app) => {
                flow.app = Some(app);
                flow.parser = match app {
                    AppProto::Http => {
                        let keep = if self.plan.bodies { self.keep_body } else { 0 };
                        Parser::Http(Box::new(Http::new(keep, self.plan.headers)))
                    }
                    AppProto::Tls => Parser::Tls(Box::default()),
                    AppProto::Dns => Parser::Dns(Box::default()),
                    AppProto::Ssh => Parser::Ssh(Box::default()),
                    AppProto::Smtp | AppProto::Ftp => Parser::None,
                };
            }
            Guess::NeedMore if stream.head.len() < MOST_HEAD && !stream.ended => {}
            Guess::NeedMore | Guess::Unknown => stream.probed = true,
        }
        if flow.streams.iter().all(|stream| stream.probed) {
            flow.app_failed = flow.app.is_none();
        }
        if flow.app_failed {
            flow.streams.iter_mut().for_each(|stream| stream.head = alloc::vec::Vec::new());
        }
    }
}

/// The system ports of RFC 6335: on most systems only services have them.
const SYSTEM_PORTS: core::ops::Range<u16> = 0..1024;

/// Whether the first data of a connection that was taken up in its midst shows that its client is the server.
pub(super) fn is_reversed(packet: &PacketView<'_>, flow: &Flow, chunks: &[StreamChunk<'_>]) -> bool {
    let Some(chunk) = chunks.first().filter(|_| packet.midstream && flow.streams.iter().all(|side| side.next == 0))
    else {
        return false;
    };
    // What goes to a system port comes from a client, whatever that says: else no rule would see what it says next.
    if !chunk.to_client && SYSTEM_PORTS.contains(&packet.dst_port) && !SYSTEM_PORTS.contains(&packet.src_port) {
        return false;
    }
    let (head, side) = (&chunk.data[..chunk.data.len().min(MOST_HEAD)], usize::from(chunk.to_client));
    let is = |side| matches!(guess(head, side, false), Guess::Is(_));
    !is(side) && is(1 - side)
}

/// DNS over UDP is told by port and form.
pub(super) fn detect_datagram(packet: &PacketView<'_>, flow: &mut Flow) {
    if flow.app.is_none() && !flow.app_failed {
        let port = packet.src_port == DNS_PORT || packet.dst_port == DNS_PORT;
        if port && dns::parse(packet.payload).is_some() {
            flow.app = Some(AppProto::Dns);
        } else {
            flow.app_failed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes() {
        for (head, side, what) in [
            (&b"GET / HTTP/1.1\r\n"[..], 0, Guess::Is(AppProto::Http)),
            (b"GE", 0, Guess::NeedMore),
            (b"\r\nPOST ", 0, Guess::Is(AppProto::Http)),
            (b"GETx", 0, Guess::Unknown),
            (b"HTTP/1.0 200", 1, Guess::Is(AppProto::Http)),
            (b"\x16\x03\x01\x02\x00\x01", 0, Guess::Is(AppProto::Tls)),
            (b"\x16\x03\x01\x02\x00", 0, Guess::NeedMore),
            (b"SSH-2.0-x", 1, Guess::Is(AppProto::Ssh)),
            (b"ehlo x", 0, Guess::Is(AppProto::Smtp)),
            (b"220 mail", 1, Guess::Unknown),
            (b"USER x", 0, Guess::Is(AppProto::Ftp)),
            (b"\0\0\0", 0, Guess::Unknown),
        ] {
            assert_eq!(guess(head, side, false), what, "{}", head.escape_ascii());
        }
    }
}
