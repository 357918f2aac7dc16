//! What follows from a rule's options taken together: its kind, directions, and the pattern that the prefilter looks for.

use alloc::vec::Vec;

use super::{
    error::{OptionResult, invalid, unsupported},
    header::{Arrow, IpProto, IpVersion, TcpPart},
    model::{Absent, FastPattern, Kind, Rule, Section, Test, TxNumber, Value},
    number::Compare,
    options::{
        bits::{BitOp, IntOp},
        content::Content,
        packet::{Field, PacketTest},
    },
};
use crate::{
    buffers::names::{Buffer, Scope, side},
    // Longer ones are cut, what they let through is looked at whole anyway.
    detect::prefilter::LONGEST as LONGEST_FAST,
};

/// Complete `rule`.
pub fn classify(rule: &mut Rule) -> OptionResult<()> {
    merge(&mut rule.sections);
    for section in &mut rule.sections {
        if section.tests.is_empty() && section.absent == Absent::No {
            return invalid!("buffer {} is chosen but not used", section.buffer.name());
        }
        if section.absent == Absent::Only && !section.tests.is_empty() {
            return invalid!("absent without or_else excludes other tests of {}", section.buffer.name());
        }
        mark_retries(&mut section.tests);
    }
    rule.sides = sides(rule)?;
    let is_tx = !rule.numbers.is_empty() || rule.sections.iter().any(|s| matches!(s.buffer.scope(), Scope::Tx(_)));
    if is_tx && rule.header.part == TcpPart::Packet {
        return invalid!("tcp-pkt excludes keywords of transactions");
    }
    if rule.header.arrow == Arrow::Transaction && !is_tx {
        return invalid!("`=>` needs keywords of transactions");
    }
    place_payload(rule);
    rule.kind = kind(rule, is_tx);
    if rule.kind == Kind::ProtocolOnly && rule.threshold.is_some() {
        return unsupported!("threshold", "threshold together with app-layer-protocol alone is not supported");
    }
    rule.fast = fast_pattern(rule);
    if rule.header.version == IpVersion::V6 && rule.packet.iter().any(is_neighbour_discovery) {
        return unsupported!(
            "itype",
            "itype: neighbour discovery, types 133 to 137 of ICMPv6, is not shown to modules"
        );
    }
    Ok(())
}

fn is_neighbour_discovery(test: &PacketTest) -> bool {
    matches!(test, PacketTest::Number(Field::IcmpType, Compare::Eq(133..=137)))
}

/// Sections of the same buffer become one, unless the buffer may be there several times.
fn merge(sections: &mut Vec<Section>) {
    let mut at = 0;
    while at < sections.len() {
        let joins = |section: &Section| !section.buffer.is_multi() && section.absent == Absent::No;
        let earlier = joins(&sections[at]).then(|| {
            sections[..at].iter().position(|other| {
                other.buffer == sections[at].buffer && other.transforms == sections[at].transforms && joins(other)
            })
        });
        match earlier.flatten() {
            Some(into) => {
                let section = sections.remove(at);
                sections[into].tests.extend(section.tests);
            }
            None if sections[at].buffer == Buffer::Payload && sections[at].tests.is_empty() => {
                sections.remove(at);
            }
            None => at += 1,
        }
    }
}

/// Note which tests have a later one that counts from their end.
fn mark_retries(tests: &mut [Test]) {
    let mut needed = false;
    for test in tests.iter_mut().rev() {
        match test {
            Test::Content(content) => {
                content.retry = needed && !content.negated;
                needed = content.is_relative() || (content.negated && needed);
            }
            Test::Pcre(pcre) => {
                pcre.retry = needed && !pcre.negated;
                needed = pcre.relative || (pcre.negated && needed);
            }
            Test::IsDataAt { relative, .. } => needed |= *relative,
            Test::ByteTest(test) => needed |= test.field.relative,
            Test::ByteJump(jump) => needed = jump.field.relative,
            Test::ByteExtract(extract) => needed = extract.field.relative,
            Test::ByteMath(math) => needed = math.field.relative,
            Test::Base64 { relative, tests, .. } => {
                mark_retries(tests);
                needed |= *relative;
            }
            Test::Size(_) | Test::UriLen(_) => {}
        }
    }
}

fn sides(rule: &Rule) -> OptionResult<u8> {
    let mut sides = match (rule.flow.to_server, rule.flow.to_client) {
        (true, _) => side::TO_SERVER,
        (_, true) => side::TO_CLIENT,
        _ => side::BOTH,
    };
    if rule.header.arrow == Arrow::Transaction {
        return if rule.flow.to_server || rule.flow.to_client {
            invalid!("`=>` excludes flow directions")
        } else {
            Ok(sides)
        };
    }
    for section in &rule.sections {
        sides &= section.buffer.sides();
    }
    if rule.numbers.iter().any(|number| matches!(number, TxNumber::DnsRcode(_))) {
        sides &= side::TO_CLIENT;
    }
    if sides == 0 { invalid!("keywords of conflicting directions") } else { Ok(sides) }
}

/// Whether the payload section looks at packets, at the stream, or both.
fn place_payload(rule: &mut Rule) {
    let Some(section) = rule.payload() else { return };
    let tcp = matches!(rule.header.ip_proto, IpProto::Any | IpProto::One(6));
    if !tcp {
        rule.on_packets = true;
        return;
    }
    let packet_headers = rule.sections.iter().any(|section| section.buffer.scope() == Scope::Packet);
    let packet =
        !rule.packet.is_empty() || packet_headers || rule.header.part == TcpPart::Packet || rule.flow.no_stream;
    let stream = rule.header.part == TcpPart::Stream || rule.flow.only_stream;
    rule.on_packets = packet;
    rule.on_stream = stream;
    if !packet && !stream {
        rule.on_stream = true;
        rule.on_packets = rule.sections[section]
            .tests
            .iter()
            .any(|test| matches!(test, Test::Content(content) if content.offset.is_some() || content.depth.is_some()));
    }
}

fn kind(rule: &Rule, is_tx: bool) -> Kind {
    let state_tests = rule.bits.iter().any(|bit| bit.op.is_test())
        || rule.ints.iter().any(|int| int.is_test() || matches!(int.op, IntOp::Add | IntOp::Sub));
    let packet_only = !rule.packet.is_empty() || state_tests || rule.flow.established || rule.flow.not_established;
    if is_tx {
        Kind::Tx
    } else if rule.payload().is_some() {
        match (rule.on_packets, rule.on_stream) {
            (true, true) => Kind::PacketStream,
            (false, true) => Kind::Stream,
            _ => Kind::Packet,
        }
    } else if !rule.sections.is_empty() || packet_only {
        Kind::Packet
    } else if rule.header.app.is_some() {
        Kind::AppLayer
    } else if !rule.protocols.is_empty() {
        if rule.bits.iter().any(|bit| bit.op != BitOp::Set) || rule.flow.stateless {
            Kind::Packet
        } else {
            Kind::ProtocolOnly
        }
    } else if !rule.flow.given
        && rule.header.src_ports.is_any()
        && rule.header.dst_ports.is_any()
        && rule.bits.iter().all(|bit| bit.op == BitOp::Set)
        && rule.ints.is_empty()
    {
        if rule.header.src.has_negation() || rule.header.dst.has_negation() { Kind::LikeIpOnly } else { Kind::IpOnly }
    } else {
        Kind::Packet
    }
}

/// How much a pattern narrows down: its length, less for bytes that are everywhere.
fn strength(bytes: &[u8]) -> usize {
    let mut seen = [false; 256];
    bytes.iter().fold(0, |sum, byte| {
        let fresh = !core::mem::replace(&mut seen[usize::from(*byte)], true);
        let rare = !matches!(byte, 0 | b' ' | 0xff) && !byte.is_ascii_alphabetic();
        sum + 2 + usize::from(fresh) + usize::from(fresh && rare)
    })
}

fn fast_pattern(rule: &Rule) -> Option<FastPattern> {
    let mut best: Option<(usize, usize, &Content)> = None;
    for (at, section) in rule.sections.iter().enumerate() {
        let scope_rank = match section.buffer.scope() {
            Scope::Tx(_) => 1 << 16,
            Scope::Payload => 0,
            Scope::Packet => continue,
        };
        if section.absent != Absent::No {
            continue;
        }
        for test in &section.tests {
            let Test::Content(content) = test else { continue };
            if content.negated {
                continue;
            }
            let rank = match content.fast {
                Some(_) => usize::MAX,
                None => scope_rank + strength(&content.bytes),
            };
            if best.is_none_or(|(_, other, _)| rank > other) {
                best = Some((at, rank, content));
            }
        }
    }
    let (section, _, content) = best?;
    let (start, length) = content.fast.unwrap_or((0, content.bytes.len()));
    let part = &content.bytes[start..start + length];
    let cut = strongest_part(part);
    let mut bytes = part[cut.clone()].to_vec();
    bytes.make_ascii_lowercase();
    let end = match (content.offset, content.depth) {
        (offset, Some(Value::Is(depth))) if !matches!(offset, Some(Value::Var(_))) => {
            let offset = match offset {
                Some(Value::Is(offset)) => offset,
                _ => 0,
            };
            Some(offset as usize + depth as usize)
        }
        _ => None,
    };
    Some(FastPattern { section, bytes, end })
}

/// The part of a long pattern that narrows down most.
fn strongest_part(bytes: &[u8]) -> core::ops::Range<usize> {
    if bytes.len() <= LONGEST_FAST {
        return 0..bytes.len();
    }
    let start = (0..=bytes.len() - LONGEST_FAST).max_by_key(|at| strength(&bytes[*at..at + LONGEST_FAST])).unwrap_or(0);
    start..start + LONGEST_FAST
}
