//! What a rule matches, field by field.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

/// Inclusive range of ports; `first <= last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange {
    /// Lowest port that matches.
    pub first: u16,
    /// Highest port that matches.
    pub last: u16,
}

impl PortRange {
    /// Whether `port` lies in the range.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// Number of ports in the range, 1 to 65536.
    #[must_use]
    pub fn width(self) -> u32 {
        u32::from(self.last) - u32::from(self.first) + 1
    }
}

/// One or more ranges of ports. Invariants: not empty; ascending; between two ranges lies at least one port that is in
/// neither.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ports(Vec<PortRange>);

impl Ports {
    /// The ports of all `ranges`, in any order, overlapping or not; `None` when there is none.
    #[must_use]
    pub fn new(ranges: impl IntoIterator<Item = PortRange>) -> Option<Self> {
        let mut ranges: Vec<PortRange> = ranges.into_iter().collect();
        ranges.sort_unstable();
        let mut merged: Vec<PortRange> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if u32::from(range.first) <= u32::from(last.last) + 1 => {
                    last.last = last.last.max(range.last);
                }
                _ => merged.push(range),
            }
        }
        (!merged.is_empty()).then_some(Self(merged))
    }

    /// The ranges, ascending.
    #[must_use]
    pub fn ranges(&self) -> &[PortRange] {
        &self.0
    }

    /// Whether `port` is one of them.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        let behind = self.0.partition_point(|range| range.first <= port);
        behind > 0 && self.0[behind - 1].contains(port)
    }

    /// Number of ports, 1 to 65536.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.0.iter().map(|range| range.width()).sum()
    }
}

impl From<PortRange> for Ports {
    fn from(range: PortRange) -> Self {
        Self(vec![range])
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

impl fmt::Display for Ports {
    /// `80,443,8000-8080`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            write!(f, "{}{range}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// IP protocol number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP for IPv4, RFC 792.
    pub const ICMP: Self = Self(1);
    /// TCP, RFC 9293.
    pub const TCP: Self = Self(6);
    /// UDP, RFC 768.
    pub const UDP: Self = Self(17);
    /// ICMP for IPv6, RFC 4443.
    pub const ICMPV6: Self = Self(58);
    /// SCTP, RFC 9260.
    pub const SCTP: Self = Self(132);

    /// Whether the transport header starts with source and destination port.
    #[must_use]
    pub fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP | Self::SCTP)
    }
}

/// Flags of a TCP header, RFC 9293 section 3.1: bits from FIN (1) to CWR (128). Invariant: no flag is in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TcpFlags {
    /// Flags that must be set; at least one here or in `clear`.
    pub set: u8,
    /// Flags that must be clear.
    pub clear: u8,
}

impl TcpFlags {
    /// Names by bit, from the lowest.
    pub const NAMES: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];

    /// Whether a segment with these flags matches.
    #[must_use]
    pub fn matches(self, flags: u8) -> bool {
        flags & self.set == self.set && flags & self.clear == 0
    }

    /// Number of flags that are named.
    #[must_use]
    pub fn named(self) -> u32 {
        (self.set | self.clear).count_ones()
    }
}

impl fmt::Display for TcpFlags {
    /// `syn,!ack`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (bit, name) in Self::NAMES.iter().enumerate() {
            for (flags, sign) in [(self.set, ""), (self.clear, "!")] {
                if flags >> bit & 1 == 1 {
                    write!(f, "{comma}{sign}{name}")?;
                    comma = ",";
                }
            }
        }
        Ok(())
    }
}

/// Addresses of one side of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// Those of a prefix, which has no host bits.
    Net(IpNet),
    /// Those in the set of this name, of both families; written `@name`.
    Set(String),
}

impl Address {
    /// The prefix; `None` for a set.
    #[must_use]
    pub fn net(&self) -> Option<IpNet> {
        match self {
            Self::Net(net) => Some(*net),
            Self::Set(_) => None,
        }
    }

    /// Name of the set; `None` for a prefix.
    #[must_use]
    pub fn set(&self) -> Option<&str> {
        match self {
            Self::Net(_) => None,
            Self::Set(name) => Some(name),
        }
    }
}

impl From<IpNet> for Address {
    fn from(net: IpNet) -> Self {
        Self::Net(net)
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        Self::Net(address.into())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(net) => write!(f, "{net}"),
            Self::Set(name) => write!(f, "@{name}"),
        }
    }
}

/// What a rule matches; `None` matches anything. Invariants, upheld by `RuleSpec::check`: prefixes of `src` and `dst` are
/// of one family; ports come only with a protocol that has them, or none; TCP flags come only with TCP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Matcher {
    /// Source.
    pub src: Option<Address>,
    /// Destination.
    pub dst: Option<Address>,
    /// Source ports.
    pub sport: Option<Ports>,
    /// Destination ports.
    pub port: Option<Ports>,
    /// IP protocol.
    pub proto: Option<Protocol>,
    /// TCP flags.
    pub tcp_flags: Option<TcpFlags>,
    /// VLAN id of the outermost tag, 0 to 4095; 0 is for packets without a tag and those with a priority alone (IEEE
    /// 802.1Q).
    pub vlan: Option<u16>,
}

impl Matcher {
    /// Prefix of the source, where it is given as one.
    #[must_use]
    pub fn src_net(&self) -> Option<IpNet> {
        self.src.as_ref().and_then(Address::net)
    }

    /// Prefix of the destination, where it is given as one.
    #[must_use]
    pub fn dst_net(&self) -> Option<IpNet> {
        self.dst.as_ref().and_then(Address::net)
    }

    /// Whether a match rests on the transport header, which later fragments do not have.
    #[must_use]
    pub fn needs_transport(&self) -> bool {
        self.port.is_some() || self.sport.is_some() || self.tcp_flags.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_lists_are_put_in_order_and_merged() {
        let range = |first, last| PortRange { first, last };
        let ports =
            Ports::new([range(8000, 8010), range(80, 80), range(8005, 8099), range(81, 81), range(65535, 65535)]);
        let ports = ports.unwrap();
        assert_eq!(ports.to_string(), "80-81,8000-8099,65535");
        assert_eq!(ports.width(), 103);
        for (port, inside) in
            [(79, false), (80, true), (82, false), (8099, true), (8100, false), (65535, true), (0, false)]
        {
            assert_eq!(ports.contains(port), inside, "{port}");
        }
        assert_eq!(Ports::new([]), None);
    }

    #[test]
    fn tcp_flags_say_what_is_set_and_what_is_clear() {
        let flags = TcpFlags { set: 2, clear: 16 };
        assert_eq!(flags.to_string(), "syn,!ack");
        assert!(flags.matches(2) && flags.matches(0xc2));
        assert!(!flags.matches(18) && !flags.matches(0));
    }
}
