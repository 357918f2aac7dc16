//! The part of a rule before its parenthesis: action, protocol, addresses, ports, direction.

use alloc::string::String;

use super::{
    address::{Addresses, Ports},
    error::{OptionError, RuleError},
    vars::Vars,
};
use crate::app::AppProto;

/// What a rule does when it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Stop inspection of the packet or flow, let it pass.
    Pass,
    /// Drop and alert.
    Drop,
    /// Drop, alert and answer with a reset or an ICMP error.
    Reject,
    /// Alert.
    Alert,
}

/// Who is told of a rejected packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RejectTo {
    /// The sender of the packet.
    #[default]
    Source,
    /// Its receiver.
    Destination,
    /// Both.
    Both,
}

/// The protocols of IP that a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpProto {
    /// All.
    Any,
    /// One; ICMP stands for ICMPv6 too.
    One(u8),
}

/// What part of TCP a rule asks for by its protocol field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpPart {
    /// The rule's keywords decide.
    Unsaid,
    /// `tcp-pkt`.
    Packet,
    /// `tcp-stream`.
    Stream,
}

/// Restriction to one version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpVersion {
    /// Either.
    Any,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The arrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrow {
    /// `->`
    To,
    /// `<>`
    Both,
    /// `=>`: a transaction whose request goes from source to destination, keywords of both directions.
    Transaction,
}

/// A parsed header.
#[derive(Debug, Clone)]
pub struct Header {
    /// The action.
    pub action: Action,
    /// For [`Action::Reject`].
    pub reject_to: RejectTo,
    /// The protocol of IP.
    pub ip_proto: IpProto,
    /// `ip4`, `ip6` and the like.
    pub version: IpVersion,
    /// `tcp-pkt`, `tcp-stream`.
    pub part: TcpPart,
    /// The application protocol when the protocol field names one.
    pub app: Option<AppProto>,
    /// Source addresses.
    pub src: Addresses,
    /// Source ports.
    pub src_ports: Ports,
    /// Destination addresses.
    pub dst: Addresses,
    /// Destination ports.
    pub dst_ports: Ports,
    /// The arrow.
    pub arrow: Arrow,
}

const TCP: u8 = 6;

/// Parse `text`, the rule up to its parenthesis.
pub fn parse(text: &str, vars: &Vars) -> Result<Header, RuleError> {
    let mut words = Words { text, at: 0 };
    let (at, action) = words.next("action")?;
    let (action, reject_to) = match action {
        "alert" => (Action::Alert, RejectTo::Source),
        "pass" => (Action::Pass, RejectTo::Source),
        "drop" => (Action::Drop, RejectTo::Source),
        "reject" | "rejectsrc" => (Action::Reject, RejectTo::Source),
        "rejectdst" => (Action::Reject, RejectTo::Destination),
        "rejectboth" => (Action::Reject, RejectTo::Both),
        "config" | "accept" => {
            return Err(RuleError::unsupported(at, action, alloc::format!("action `{action}` is not supported")));
        }
        _ => return Err(RuleError::invalid(at, alloc::format!("unknown action `{action}`"))),
    };
    let (at, protocol) = words.next("protocol")?;
    let (ip_proto, version, part, app) = protocol_of(protocol).map_err(|error| error.at(at))?;
    let (at, src) = words.next("source address")?;
    let src = Addresses::parse(src, vars).map_err(|error| error.at(at))?;
    let (at, src_ports) = words.next("source port")?;
    let src_ports = Ports::parse(src_ports, vars).map_err(|error| error.at(at))?;
    let (at, arrow) = words.next("direction")?;
    let arrow = match arrow {
        "->" => Arrow::To,
        "<>" => Arrow::Both,
        "=>" => Arrow::Transaction,
        _ => return Err(RuleError::invalid(at, alloc::format!("`{arrow}` is no direction: ->, <> or =>"))),
    };
    let (at, dst) = words.next("destination address")?;
    let dst = Addresses::parse(dst, vars).map_err(|error| error.at(at))?;
    let (at, dst_ports) = words.next("destination port")?;
    let dst_ports = Ports::parse(dst_ports, vars).map_err(|error| error.at(at))?;
    if let Some((at, word)) = words.rest() {
        return Err(RuleError::invalid(at, alloc::format!("`{word}` between destination port and options")));
    }
    Ok(Header { action, reject_to, ip_proto, version, part, app, src, src_ports, dst, dst_ports, arrow })
}

type Protocol = (IpProto, IpVersion, TcpPart, Option<AppProto>);

fn protocol_of(name: &str) -> Result<Protocol, OptionError> {
    let plain = |number| Ok((IpProto::One(number), IpVersion::Any, TcpPart::Unsaid, None));
    let any = |version| Ok((IpProto::Any, version, TcpPart::Unsaid, None));
    match name {
        "ip" | "pkthdr" => any(IpVersion::Any),
        "ip4" | "ipv4" => any(IpVersion::V4),
        "ip6" | "ipv6" => any(IpVersion::V6),
        "tcp" => plain(TCP),
        "udp" => plain(17),
        "icmp" => plain(1),
        "icmpv4" => Ok((IpProto::One(1), IpVersion::V4, TcpPart::Unsaid, None)),
        "icmpv6" => Ok((IpProto::One(1), IpVersion::V6, TcpPart::Unsaid, None)),
        "sctp" => plain(132),
        "tcp-pkt" => Ok((IpProto::One(TCP), IpVersion::Any, TcpPart::Packet, None)),
        "tcp-stream" => Ok((IpProto::One(TCP), IpVersion::Any, TcpPart::Stream, None)),
        "tcp4" | "tcp6" | "udp4" | "udp6" => {
            let version = if name.ends_with('4') { IpVersion::V4 } else { IpVersion::V6 };
            let number = if name.starts_with("tcp") { TCP } else { 17 };
            Ok((IpProto::One(number), version, TcpPart::Unsaid, None))
        }
        _ => match AppProto::by_name(name) {
            Some(app) => {
                let ip = app.transport().map_or(IpProto::Any, IpProto::One);
                Ok((ip, IpVersion::Any, TcpPart::Unsaid, Some(app)))
            }
            None => Err(OptionError::Unsupported(
                alloc::format!("protocol {name}"),
                alloc::format!("protocol `{name}` is not recognised in traffic"),
            )),
        },
    }
}

/// Words of the header; a list in brackets is one word, blanks and all.
struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    fn next(&mut self, what: &str) -> Result<(usize, &'a str), RuleError> {
        self.rest().ok_or_else(|| RuleError::invalid(self.text.len(), String::from("missing ") + what))
    }

    fn rest(&mut self) -> Option<(usize, &'a str)> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        let (start, mut depth) = (self.at, 0i32);
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'[' => depth += 1,
                b']' => depth -= 1,
                byte if byte.is_ascii_whitespace() && depth <= 0 => break,
                _ => {}
            }
            self.at += 1;
        }
        (start < self.at).then(|| (start, &self.text[start..self.at]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let header =
            parse("drop http [10.0.0.0/8, !10.1.1.1] any -> $EXTERNAL_NET [80, 8080]", &Vars::default()).unwrap();
        assert_eq!(header.action, Action::Drop);
        assert_eq!(header.app, Some(AppProto::Http));
        assert!(header.src.contains("10.2.2.2".parse().unwrap()) && !header.src.contains("10.1.1.1".parse().unwrap()));
        assert!(header.dst_ports.contains(8080));
        for (text, offset, why) in [
            ("alrt tcp any any -> any any", 0, "unknown action"),
            ("alert tcp any any >> any any", 18, "no direction"),
            ("alert tcp any any -> any", 24, "missing destination port"),
            ("alert tcp any 99999 -> any any", 14, "no port"),
            ("alert tcp any any -> any any x", 29, "between"),
        ] {
            let error = parse(text, &Vars::default()).unwrap_err();
            assert_eq!(error.offset, offset, "{text}");
            assert!(error.message.contains(why), "{text}: {error}");
        }
    }
}
