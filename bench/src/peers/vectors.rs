//! A ruleset as bit vectors, for `bpf/lpm_bv.bpf.c`: bit n is the n-th rule in the order of precedence.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Result, ensure};
use ipnet::IpNet;
use secuxflow::rules::{Matcher, PortRange, Protocol, Rule};

/// Ports there are.
const PORTS: u32 = 1 << 16;
/// Row of the vector of every rule, as the program knows it.
const EVERY_RULE: u32 = 0;
/// Destination ports are looked up by protocol, in the program's order of tables.
const WITH_PORTS: [Protocol; 3] = [Protocol::TCP, Protocol::UDP, Protocol::SCTP];

/// A family's addresses in one field: keys of a trie, and the vector under each.
#[derive(Debug)]
pub(super) struct Prefixes {
    /// Prefix length in host order, then the address as on the wire.
    pub(super) keys: Vec<u8>,
    /// Vectors.
    pub(super) values: Vec<u8>,
}

/// All maps' contents.
#[derive(Debug)]
pub(super) struct Vectors {
    /// 64-bit words of a vector.
    pub(super) words: usize,
    /// By source and destination of IPv4, then of IPv6.
    pub(super) prefixes: [Prefixes; 4],
    /// Rows of vectors by port: destination ports of TCP, UDP and SCTP, then source ports.
    pub(super) port_rows: Vec<u8>,
    /// Rows of vectors by protocol, for those without ports.
    pub(super) protocol_rows: Vec<u8>,
    /// Every row's vector.
    pub(super) vectors: Vec<u8>,
}

/// What a rule asks of a packet, as far as bit vectors are built from it here.
struct Fields {
    src: Option<IpNet>,
    dst: Option<IpNet>,
    sports: Option<Vec<PortRange>>,
    ports: Option<Vec<PortRange>>,
    protocol: Option<Protocol>,
}

/// The one place that knows how a rule is made. Refuses what this way of classifying has no table for.
fn fields(rule: &Rule) -> Result<Fields> {
    let Rule { id, matcher, monitor, .. } = rule;
    let Matcher { src, dst, sport, port, proto, tcp_flags, vlan } = matcher;
    let sets = [src, dst].into_iter().flatten().any(|address| address.set().is_some());
    ensure!(!sets && tcp_flags.is_none() && vlan.is_none() && !monitor, "{id}: only plain rules are compared");
    Ok(Fields {
        src: matcher.src_net(),
        dst: matcher.dst_net(),
        sports: sport.as_ref().map(|ports| ports.ranges().to_vec()),
        ports: port.as_ref().map(|ports| ports.ranges().to_vec()),
        protocol: *proto,
    })
}

impl Vectors {
    /// Of rules in the order of precedence.
    pub(super) fn of(rules: &[&Rule]) -> Result<Self> {
        let rules = rules.iter().map(|rule| fields(rule)).collect::<Result<Vec<Fields>>>()?;
        let words = rules.len().div_ceil(64).max(1);
        let src: Vec<Option<IpNet>> = rules.iter().map(|rule| rule.src).collect();
        let dst: Vec<Option<IpNet>> = rules.iter().map(|rule| rule.dst).collect();
        let mut rows = Rows::new(words, rules.len());
        let mut port_rows = Vec::new();
        for protocol in WITH_PORTS {
            let has = |rule: &&Fields| rule.protocol.is_none_or(|other| other == protocol);
            port_rows.extend(rows.stretches(&rules, has, |rule| rule.ports.as_deref()));
        }
        port_rows.extend(rows.stretches(&rules, |_| true, |rule| rule.sports.as_deref()));
        let protocol_rows = (0..=u8::MAX).flat_map(|number| {
            let fits = |rule: &Fields| {
                rule.protocol.is_none_or(|other| other.0 == number) && rule.ports.is_none() && rule.sports.is_none()
            };
            let fitting = rules.iter().enumerate().filter(|(_, rule)| fits(rule)).map(|(index, _)| index);
            rows.row(&vector(words, fitting)).to_ne_bytes()
        });
        let protocol_rows = protocol_rows.collect();
        Ok(Self {
            words,
            prefixes: [
                prefixes(&src, words, false),
                prefixes(&dst, words, false),
                prefixes(&src, words, true),
                prefixes(&dst, words, true),
            ],
            port_rows,
            protocol_rows,
            vectors: rows.vectors,
        })
    }
}

/// Vectors without duplicates.
struct Rows {
    words: usize,
    rows: HashMap<Vec<u64>, u32>,
    vectors: Vec<u8>,
}

impl Rows {
    fn new(words: usize, rules: usize) -> Self {
        let mut rows = Self { words, rows: HashMap::new(), vectors: Vec::new() };
        let first = rows.row(&vector(words, 0..rules));
        debug_assert_eq!(first, EVERY_RULE, "the first row");
        rows
    }

    fn row(&mut self, vector: &[u64]) -> u32 {
        if let Some(row) = self.rows.get(vector) {
            return *row;
        }
        let row = u32::try_from(self.rows.len()).expect("fewer vectors than ports");
        self.rows.insert(vector.to_vec(), row);
        self.vectors.extend(vector.iter().flat_map(|word| word.to_ne_bytes()));
        row
    }

    /// The row of every port, over the rules that `has` lets in; a rule without ports is in all of them.
    fn stretches(
        &mut self,
        rules: &[Fields],
        has: impl Fn(&&Fields) -> bool,
        ports: impl Fn(&Fields) -> Option<&[PortRange]>,
    ) -> Vec<u8> {
        // How many ranges of a rule a port is in more than the port before.
        let mut changes: BTreeMap<u32, Vec<(usize, i32)>> = BTreeMap::from([(0, Vec::new())]);
        for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| has(rule)) {
            for range in ports(rule).unwrap_or(&[PortRange { first: 0, last: u16::MAX }]) {
                changes.entry(range.first.into()).or_default().push((index, 1));
                changes.entry(u32::from(range.last) + 1).or_default().push((index, -1));
            }
        }
        let mut depth = vec![0; rules.len()];
        let mut now = vec![0; self.words];
        let mut bytes = Vec::with_capacity(PORTS as usize * 4);
        let begins: Vec<u32> = changes.keys().copied().filter(|begin| *begin < PORTS).collect();
        let ends = begins.iter().skip(1).copied().chain([PORTS]);
        for (begin, end) in begins.iter().zip(ends) {
            for (index, change) in &changes[begin] {
                depth[*index] += change;
                let bit = 1 << (index % 64);
                now[index / 64] = if depth[*index] > 0 { now[index / 64] | bit } else { now[index / 64] & !bit };
            }
            let row = self.row(&now).to_ne_bytes();
            bytes.extend((*begin..end).flat_map(|_| row));
        }
        bytes
    }
}

fn vector(words: usize, rules: impl IntoIterator<Item = usize>) -> Vec<u64> {
    let mut vector = vec![0; words];
    for rule in rules {
        vector[rule / 64] |= 1 << (rule % 64);
    }
    vector
}

/// For each prefix of the family, and the empty one, the rules whose prefix holds all of it.
fn prefixes(nets: &[Option<IpNet>], words: usize, v6: bool) -> Prefixes {
    let any = vector(words, nets.iter().enumerate().filter(|(_, net)| net.is_none()).map(|(index, _)| index));
    // By address and then by length, so that what holds a prefix comes before it.
    let mut own: BTreeMap<(u128, u8), Vec<usize>> = BTreeMap::from([((0, 0), Vec::new())]);
    for (index, net) in nets.iter().enumerate() {
        match net {
            Some(IpNet::V4(net)) if !v6 => {
                own.entry((u128::from(net.network().to_bits()) << 96, net.prefix_len())).or_default().push(index);
            }
            Some(IpNet::V6(net)) if v6 => {
                own.entry((net.network().to_bits(), net.prefix_len())).or_default().push(index);
            }
            _ => {}
        }
    }
    let mut around: Vec<((u128, u8), Vec<u64>)> = Vec::new();
    let mut prefixes = Prefixes { keys: Vec::new(), values: Vec::new() };
    for (prefix, rules) in own {
        while around.last().is_some_and(|(outer, _)| !holds(*outer, prefix)) {
            around.pop();
        }
        let mut vector = around.last().map_or_else(|| any.clone(), |(_, vector)| vector.clone());
        for rule in rules {
            vector[rule / 64] |= 1 << (rule % 64);
        }
        prefixes.keys.extend(u32::from(prefix.1).to_ne_bytes());
        prefixes.keys.extend(&prefix.0.to_be_bytes()[..if v6 { 16 } else { 4 }]);
        prefixes.values.extend(vector.iter().flat_map(|word| word.to_ne_bytes()));
        around.push((prefix, vector));
    }
    prefixes
}

/// Whether every address of `inner` is one of `outer`.
fn holds(outer: (u128, u8), inner: (u128, u8)) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(outer.1)).unwrap_or(0);
    outer.1 <= inner.1 && inner.0 & mask == outer.0
}

#[cfg(test)]
mod tests {
    use secuxflow::rules::{Action, RuleId};

    use super::*;

    #[test]
    fn a_rule_without_a_table_for_it_is_refused_by_its_name() {
        let mut rule = Rule::new(RuleId(7), Matcher::default(), Action::Drop);
        Vectors::of(&[&rule]).unwrap();
        rule.matcher.vlan = Some(5);
        assert_eq!(Vectors::of(&[&rule]).unwrap_err().to_string(), "rule-7: only plain rules are compared");
    }

    #[test]
    fn a_prefix_has_the_rules_of_those_that_hold_it() {
        let nets = ["10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/8", "2001:db8::/32", "10.1.2.3/32"];
        let mut nets: Vec<Option<IpNet>> = nets.iter().map(|net| net.parse().ok()).collect();
        nets.push(None);
        let v4 = prefixes(&nets, 1, false);
        let vectors: Vec<u64> = v4.values.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())).collect();
        assert_eq!(vectors, [0b10_0000, 0b10_0001, 0b10_0011, 0b11_0011, 0b10_0100]);
        assert_eq!(&v4.keys[8..16], [8, 0, 0, 0, 10, 0, 0, 0]);
        assert_eq!(prefixes(&nets, 1, true).values.len(), 2 * 8);
    }

    #[test]
    fn ranges_of_ports_become_stretches_also_when_they_overlap() {
        let rule = |ports: &[(u16, u16)]| Fields {
            src: None,
            dst: None,
            sports: None,
            ports: Some(ports.iter().map(|(first, last)| PortRange { first: *first, last: *last }).collect()),
            protocol: None,
        };
        let rules = [rule(&[(80, 80), (70, 90)]), rule(&[(0, 65535)]), rule(&[(65535, 65535)])];
        let mut rows = Rows::new(1, rules.len());
        let bytes = rows.stretches(&rules, |_| true, |rule| rule.ports.as_deref());
        let at = |port: usize| {
            let row = u32::from_ne_bytes(bytes[port * 4..port * 4 + 4].try_into().unwrap()) as usize;
            rows.vectors[row * 8]
        };
        assert_eq!(bytes.len(), 4 * 65536);
        assert_eq!([0, 69, 70, 80, 90, 91, 65535].map(at), [2, 2, 3, 3, 3, 2, 6]);
    }
}
