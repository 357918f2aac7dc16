//! The fields of a rule, from text, each by itself.

use ipnet::IpNet;
use jiff::Timestamp;

use super::PROTOCOLS;
use crate::rules::{Address, MAX_SET_NAME, PortRange, Ports, Protocol, RuleError, TcpFlags, Ttl};

/// Most ranges in one list of ports, adjacent ones joined.
const MAX_PORT_RANGES: usize = 256;
/// Highest VLAN id that is not reserved, IEEE 802.1Q.
const MAX_VLAN: u16 = 4094;
/// What stands for packets without a tag.
pub(super) const UNTAGGED: &str = "none";
/// What stands for a field that is left out.
const ANY: &str = "any";

/// Check that `name` may be that of a set: 1 to [`MAX_SET_NAME`] of a-z, 0-9, `_`, `-` and `.`, beginning with a letter
/// or digit.
///
/// # Errors
/// The rule that it breaks, in words.
pub fn check_set_name(name: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let begins = name.bytes().next().is_some_and(plain);
    let fits = name.len() <= MAX_SET_NAME && name.bytes().all(|byte| plain(byte) || b"_-.".contains(&byte));
    if begins && fits {
        return Ok(());
    }
    Err(format!("a set's name is 1 to {MAX_SET_NAME} of a-z, 0-9, _, - and ., beginning with a letter or digit"))
}

/// `10.0.0.5`, `192.168.1.0/24`, `@name`.
pub(super) fn address(field: &'static str, text: &str) -> Result<Address, RuleError> {
    match text.strip_prefix('@') {
        Some(name) => {
            check_set_name(name).map_err(|rule| RuleError::field(field, text, rule))?;
            Ok(Address::Set(name.to_owned()))
        }
        None => prefix(field, text).map(Address::Net),
    }
}

fn prefix(field: &'static str, text: &str) -> Result<IpNet, RuleError> {
    let net = match text.parse::<std::net::IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse().map_err(|_| {
            let rule = "an address, a prefix or a set such as 10.0.0.5, 192.168.1.0/24, fd00::/8 or @name expected";
            RuleError::field(field, text, rule)
        })?,
    };
    if net.addr() != net.network() {
        let rule = format!("bits are set behind the prefix; did you mean {}?", net.trunc());
        return Err(RuleError::field(field, text, rule));
    }
    if matches!(net, IpNet::V6(v6) if v6.prefix_len() >= 96 && v6.network().to_ipv4_mapped().is_some()) {
        return Err(RuleError::field(field, text, "an ipv4-mapped address is never on the wire; write it as ipv4"));
    }
    Ok(net)
}

/// `80`, `8000-8080`, `80,443,8000-8080`.
pub(super) fn ports(field: &'static str, text: &str) -> Result<Ports, RuleError> {
    let ranges = text.split(',').map(|part| port_range(field, text, part.trim())).collect::<Result<Vec<_>, _>>()?;
    let ports = Ports::new(ranges).ok_or_else(|| not_ports(field, text))?;
    let count = ports.ranges().len();
    if count > MAX_PORT_RANGES {
        let rule = format!("{count} ranges; at most {MAX_PORT_RANGES} fit into one rule, use several");
        return Err(RuleError::field(field, start(text), rule));
    }
    Ok(ports)
}

fn port_range(field: &'static str, text: &str, part: &str) -> Result<PortRange, RuleError> {
    let port = |part: &str| digits(part).ok_or_else(|| not_ports(field, text));
    let (first, last) = match part.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(part)?, port(part)?),
    };
    if first > last {
        return Err(RuleError::field(field, text, format!("the range is reversed; did you mean {last}-{first}?")));
    }
    Ok(PortRange { first, last })
}

fn not_ports(field: &'static str, text: &str) -> RuleError {
    let rule = "a port from 0 to 65535, a range or a list such as 80,443,8000-8080 expected";
    RuleError::field(field, start(text), rule)
}

/// A protocol's name or number; `None` for `any`.
pub(super) fn protocol(text: &str) -> Result<Option<Protocol>, RuleError> {
    if text.eq_ignore_ascii_case(ANY) {
        return Ok(None);
    }
    let named = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    let number = named.map(|(_, number)| *number).or_else(|| digits(text));
    number.map(|number| Some(Protocol(number))).ok_or_else(|| {
        let names: Vec<&str> = PROTOCOLS.iter().map(|(name, _)| *name).collect();
        let rule = format!("one of {}, any, or a number from 0 to 255 expected", names.join(", "));
        RuleError::field("proto", text, rule)
    })
}

/// `syn,!ack`.
pub(super) fn tcp_flags(text: &str) -> Result<TcpFlags, RuleError> {
    let refuse = |rule: String| RuleError::field("tcp_flags", text, rule);
    let mut flags = TcpFlags { set: 0, clear: 0 };
    for part in text.split(',').map(str::trim) {
        let (name, side) = match part.strip_prefix('!') {
            Some(name) => (name, &mut flags.clear),
            None => (part, &mut flags.set),
        };
        let bit = TcpFlags::NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)).ok_or_else(|| {
            let names = TcpFlags::NAMES.join(", ");
            refuse(format!(
                "'{part}' is no flag; a list such as syn,!ack of {names} expected, with ! where it is clear"
            ))
        })?;
        *side |= 1 << bit;
        if flags.set & flags.clear != 0 {
            return Err(refuse(format!("{name} can not be both set and clear; leave one out")));
        }
    }
    Ok(flags)
}

/// `100`; `none` is 0.
pub(super) fn vlan(text: &str) -> Result<u16, RuleError> {
    if text.eq_ignore_ascii_case(UNTAGGED) {
        return Ok(0);
    }
    digits(text).filter(|id| (1..=MAX_VLAN).contains(id)).ok_or_else(|| {
        let rule = format!("an id from 1 to {MAX_VLAN}, or {UNTAGGED} for packets without a tag, expected");
        RuleError::field("vlan", text, rule)
    })
}

/// The end of a rule that lives for `text`, as in `1h30m`, from `now`: a whole second.
pub(super) fn ttl(text: &str, now: Timestamp) -> Result<Timestamp, RuleError> {
    let refuse = |rule: String| RuleError::field("ttl", start(text), rule);
    let ttl: Ttl = text.parse().map_err(refuse)?;
    let late = |_| refuse("the end is behind the last date that is known".to_owned());
    Timestamp::from_second(ttl.end(now)).map_err(late)
}

/// A point in time as RFC 3339 writes it.
pub(super) fn expires(text: &str) -> Result<Timestamp, RuleError> {
    text.parse().map_err(|_| {
        RuleError::field(
            "expires",
            start(text),
            "a time such as 2027-01-31T18:00:00Z (RFC 3339) expected; see also ttl",
        )
    })
}

/// A whole number without a sign.
fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// The start of a text that may be long.
pub(super) fn start(text: &str) -> String {
    const SHOWN: usize = 40;
    if text.chars().nth(SHOWN).is_none() {
        return text.to_owned();
    }
    text.chars().take(SHOWN).chain(['…']).collect()
}
