//! The request for a test inspection or an explanation, checked into a packet's tuple.

use std::net::IpAddr;

use jiff::Timestamp;
use secuxflow::{
    plane::Probe,
    rules::{Known, Matcher, Protocol, RuleError, RuleId, RuleSpec, TcpFlags, Tuple},
    service::Service,
};

use crate::{
    api::{Explain, Inspect},
    error::ApiError,
};

/// Longest payload in bytes.
const MAX_PAYLOAD: usize = 1400;
/// Source port where none is given.
const DEFAULT_SPORT: u16 = 40_000;
/// TCP flags where none are given: SYN, as in the first packet of a connection.
const FIRST_FLAGS: u8 = 0x02;

/// Check `request`; a missing destination is the first service of the source's family.
///
/// # Errors
/// The field that breaks a rule, by name.
pub(crate) fn check(request: &Inspect, services: &[Service]) -> Result<Probe, ApiError> {
    tuple("ip", request, services)
}

/// Check `request` into the packet whose rule is asked for.
///
/// # Errors
/// The field that breaks a rule, by name.
pub(crate) fn check_explain(request: &Explain) -> Result<Tuple, ApiError> {
    let Explain { src, dst, sport, port, proto, tcp_flags, vlan } = request.clone();
    let proto = proto.unwrap_or_else(|| "tcp".to_owned());
    let inspect = Inspect { ip: src, dst: Some(dst), sport, port, proto, payload: None };
    let Probe { src, dst, sport, port, protocol, .. } = tuple("src", &inspect, &[])?;
    let protocol = Protocol(protocol);
    if src.is_ipv6() {
        // What no rule can name is no protocol of a packet either.
        let (src, proto) = (Some(src.to_string()), Some(protocol.to_string()));
        matcher(RuleSpec { src, proto, ..RuleSpec::default() })?;
    }
    let vlan = matcher(RuleSpec { vlan, ..RuleSpec::default() })?.vlan.unwrap_or(0);
    let tcp_flags = flags(tcp_flags.as_deref(), protocol)?;
    Ok(Tuple { src, dst, sport, port, protocol, tcp_flags, vlan })
}

/// The flags that are set in a packet of `protocol`. Those of TCP are spelled as in rules, without what is clear.
fn flags(text: Option<&str>, protocol: Protocol) -> Result<u8, ApiError> {
    let refuse = |rule: &str| {
        let given = text.unwrap_or_default();
        Err(ApiError::invalid("tcp_flags", format!("tcp_flags '{given}': {rule}")))
    };
    match text {
        None => Ok(if protocol == Protocol::TCP { FIRST_FLAGS } else { 0 }),
        Some(_) if protocol != Protocol::TCP => refuse("only with proto tcp; leave them out"),
        Some(text) if text.eq_ignore_ascii_case("none") => Ok(0),
        Some(text) => {
            let (proto, tcp_flags) = (Some(protocol.to_string()), Some(text.to_owned()));
            let found = matcher(RuleSpec { proto, tcp_flags, ..RuleSpec::default() })?;
            match found.tcp_flags {
                Some(TcpFlags { set, clear: 0 }) => Ok(set),
                _ => refuse("those that are set expected, as in syn,ack, or none; the others are clear"),
            }
        }
    }
}

/// Fields of packets are spelled as in rules, so a rule is made to read them.
fn matcher(spec: RuleSpec) -> Result<Matcher, RuleError> {
    let spec = RuleSpec { action: Some("pass".to_owned()), ..spec };
    Ok(spec.check(RuleId(1), &Known::at(Timestamp::UNIX_EPOCH))?.matcher)
}

/// Check `request`, whose source address is called `source`.
fn tuple(source: &str, request: &Inspect, services: &[Service]) -> Result<Probe, ApiError> {
    let src = address(source, &request.ip)?;
    let dst = match &request.dst {
        Some(text) => address("dst", text)?,
        None => {
            services.iter().map(|service| service.ip).find(|ip| ip.is_ipv4() == src.is_ipv4()).ok_or_else(|| {
                ApiError::invalid("dst", format!("dst: needed, for no service has an address of {source}'s family"))
            })?
        }
    };
    if src.is_ipv4() != dst.is_ipv4() {
        return Err(ApiError::invalid("dst", format!("dst '{dst}': not of the family of {source} '{src}'")));
    }
    let protocol = protocol(&request.proto)?;
    let (sport, port) = ports(request, protocol)?;
    let payload = unescape(request.payload.as_deref().unwrap_or_default())
        .map_err(|rule| ApiError::invalid("payload", format!("payload: {rule}")))?;
    if payload.len() > MAX_PAYLOAD {
        let message = format!("payload: {} bytes, at most {MAX_PAYLOAD} fit into the packet", payload.len());
        return Err(ApiError::invalid("payload", message));
    }
    Ok(Probe { src, dst, sport, port, protocol: protocol.0, payload })
}

fn address(field: &str, text: &str) -> Result<IpAddr, ApiError> {
    text.parse().map_err(|_| ApiError::invalid(field, format!("{field} '{text}': an IPv4 or IPv6 address expected")))
}

pub(crate) fn protocol(text: &str) -> Result<Protocol, ApiError> {
    let found = matcher(RuleSpec { proto: Some(text.to_owned()), ..RuleSpec::default() })?;
    found.proto.ok_or_else(|| ApiError::invalid("proto", format!("proto '{text}': one protocol expected")))
}

fn ports(request: &Inspect, protocol: Protocol) -> Result<(u16, u16), ApiError> {
    let number = |field: &str, value: u32| {
        u16::try_from(value).map_err(|_| ApiError::invalid(field, format!("{field} '{value}': 0 to 65535 expected")))
    };
    if protocol.has_ports() {
        let Some(port) = request.port else {
            return Err(ApiError::invalid("port", format!("port: needed with proto {}", request.proto)));
        };
        let sport = request.sport.map_or(Ok(DEFAULT_SPORT), |value| number("sport", value))?;
        return Ok((sport, number("port", port)?));
    }
    for (field, value) in [("port", request.port), ("sport", request.sport)] {
        if value.is_some() {
            return Err(ApiError::invalid(
                field,
                format!("{field}: proto {} has no ports; leave it out", request.proto),
            ));
        }
    }
    Ok((0, 0))
}

/// The bytes that `text` stands for: `\r`, `\n`, `\t`, `\0`, `\\`, `\"`, `\'` and `\xNN`.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(b'\\') => b'\\',
            Some(quote @ (b'"' | b'\'')) => quote,
            Some(b'x') => hex(rest.next(), rest.next()).ok_or("\\x is followed by two hex digits")?,
            Some(other) => return Err(format!("\\{} is no escape; write \\\\ for a backslash", other.escape_ascii())),
            None => return Err("it ends in a lone \\; write \\\\ for a backslash".to_owned()),
        });
    }
    Ok(bytes)
}

fn hex(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high?)? << 4 | digit(low?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Inspect {
        Inspect {
            ip: "192.168.1.1".into(),
            dst: Some("10.0.0.5".into()),
            port: Some(443),
            proto: "tcp".into(),
            ..Inspect::default()
        }
    }

    fn refused(request: &Inspect) -> (String, String) {
        let error = check(request, &[]).unwrap_err();
        (error.field.unwrap(), error.message)
    }

    #[test]
    fn a_tuple_gets_its_defaults() {
        let probe = check(&request(), &[]).unwrap();
        assert_eq!((probe.sport, probe.port, probe.protocol), (40_000, 443, 6));
        assert!(probe.payload.is_empty());
    }

    #[test]
    fn the_destination_is_the_first_service_of_the_family() {
        let service =
            |name: &str, ip: &str| Service { name: name.into(), ip: ip.parse().unwrap(), dev: "v".into(), mac: None };
        let services = [service("six", "fd00::2"), service("four", "10.77.2.2"), service("more", "10.77.2.3")];
        let asked = Inspect { dst: None, ..request() };
        assert_eq!(check(&asked, &services).unwrap().dst, services[1].ip);
        let asked = Inspect { ip: "fd00::1".into(), ..asked };
        assert_eq!(check(&asked, &services).unwrap().dst, services[0].ip);
        assert_eq!(refused(&asked).0, "dst");
    }

    #[test]
    fn each_bad_field_is_named() {
        assert_eq!(refused(&Inspect { ip: "300.1.1.1".into(), ..request() }).0, "ip");
        assert_eq!(refused(&Inspect { dst: Some("fd00::1".into()), ..request() }).0, "dst");
        assert_eq!(refused(&Inspect { proto: "quic".into(), ..request() }).0, "proto");
        assert_eq!(refused(&Inspect { port: Some(70_000), ..request() }).0, "port");
        assert_eq!(refused(&Inspect { port: None, ..request() }).0, "port");
        assert_eq!(refused(&Inspect { proto: "icmp".into(), ..request() }).0, "port");
        assert_eq!(refused(&Inspect { payload: Some("x".repeat(1401)), ..request() }).0, "payload");
    }

    #[test]
    fn a_packet_to_explain_has_flags_and_a_vlan() {
        let asked = |proto: &str, tcp_flags: Option<&str>, vlan: Option<&str>| Explain {
            src: "10.0.0.1".into(),
            dst: "10.0.0.2".into(),
            port: (proto != "icmp").then_some(80),
            proto: Some(proto.into()),
            tcp_flags: tcp_flags.map(str::to_owned),
            vlan: vlan.map(str::to_owned),
            ..Explain::default()
        };
        for (proto, given, vlan, flags, id) in [
            ("tcp", None, None, 2, 0),
            ("tcp", Some("none"), Some("none"), 0, 0),
            ("tcp", Some("SYN,ack"), Some("4094"), 18, 4094),
            ("udp", None, Some("1"), 0, 1),
        ] {
            let tuple = check_explain(&asked(proto, given, vlan)).unwrap();
            assert_eq!((tuple.tcp_flags, tuple.vlan), (flags, id), "{proto} {given:?} {vlan:?}");
        }
        for (proto, given, vlan, field) in [
            ("udp", Some("syn"), None, "tcp_flags"),
            ("tcp", Some("syn,!ack"), None, "tcp_flags"),
            ("tcp", Some("fast"), None, "tcp_flags"),
            ("tcp", None, Some("4095"), "vlan"),
            ("any", None, None, "proto"),
        ] {
            let error = check_explain(&asked(proto, given, vlan)).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(field), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_can_be_written(bytes: Vec<u8>) {
            proptest::prop_assert_eq!(unescape(&bytes.escape_ascii().to_string()).unwrap(), bytes);
        }

        #[test]
        fn any_text_is_answered(text: String) {
            if let Ok(bytes) = unescape(&text) {
                proptest::prop_assert!(bytes.len() <= text.len());
            }
        }
    }

    #[test]
    fn escapes_become_bytes() {
        assert_eq!(unescape(r"GET /\r\n\x00\xfF\\").unwrap(), b"GET /\r\n\x00\xff\\");
        assert_eq!(unescape("ä").unwrap(), "ä".as_bytes());
        for bad in [r"\q", "\\", r"\x1", r"\xgg"] {
            assert!(unescape(bad).is_err(), "{bad}");
        }
    }
}
