//! Sets of addresses and ports of rule headers.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    error::{OptionError, OptionResult, invalid},
    vars::{Leaf, Ranges, Vars},
};

/// A set of addresses. IPv4 addresses are their mapped IPv6 ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    ranges: Ranges,
    negation: bool,
}

/// All addresses.
const ALL: (u128, u128) = (0, u128::MAX);

fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn within(ranges: &Ranges, value: u128) -> bool {
    let after = ranges.partition_point(|range| range.0 <= value);
    after > 0 && value <= ranges[after - 1].1
}

impl Addresses {
    /// Whether it holds every address.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.ranges.as_slice() == [ALL]
    }

    /// Whether an address was negated in it.
    #[must_use]
    pub fn has_negation(&self) -> bool {
        self.negation
    }

    /// Parse `any`, an address, a prefix, a range, a variable or a list of these, negated or not.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str, vars: &Vars) -> OptionResult<Self> {
        let parse = |item: &str| match item {
            "any" => Ok(ALL),
            _ => range_of(item).map(|(low, high)| (bits_of(low), bits_of(high))),
        };
        let (ranges, negation) = vars.ranges(text, &Leaf { parse: &parse, everything: ALL })?;
        Ok(Self { ranges, negation })
    }

    /// Whether it holds `address`.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        within(&self.ranges, bits_of(address))
    }
}

fn no_address(item: &str) -> OptionError {
    OptionError::Invalid(alloc::format!("`{item}` is no address"))
}

fn range_of(item: &str) -> OptionResult<(IpAddr, IpAddr)> {
    let address = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| no_address(item));
    if let Some((low, high)) = item.split_once('-') {
        let (low, high) = (address(low)?, address(high)?);
        return if low > high { invalid!("`{item}` ends before it begins") } else { Ok((low, high)) };
    }
    let Some((base, length)) = item.split_once('/') else {
        let one = address(item)?;
        return Ok((one, one));
    };
    match address(base)? {
        IpAddr::V4(base) => {
            let length = match length.parse::<Ipv4Addr>() {
                Ok(mask) if mask.to_bits().leading_ones() + mask.to_bits().trailing_zeros() >= 32 => {
                    mask.to_bits().leading_ones()
                }
                _ => prefix_length(item, length, 32)?,
            };
            let host = u32::MAX.checked_shr(length).unwrap_or(0);
            let low = base.to_bits() & !host;
            Ok((Ipv4Addr::from_bits(low).into(), Ipv4Addr::from_bits(low | host).into()))
        }
        IpAddr::V6(base) => {
            let host = u128::MAX.checked_shr(prefix_length(item, length, 128)?).unwrap_or(0);
            let low = base.to_bits() & !host;
            Ok((Ipv6Addr::from_bits(low).into(), Ipv6Addr::from_bits(low | host).into()))
        }
    }
}

fn prefix_length(item: &str, text: &str, most: u32) -> OptionResult<u32> {
    match text.trim().parse::<u32>() {
        Ok(length) if length <= most => Ok(length),
        _ => invalid!("`{item}` has no prefix length of 0 to {most}"),
    }
}

/// A set of ports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports {
    ranges: Ranges,
}

/// All ports.
const ALL_PORTS: (u128, u128) = (0, u16::MAX as u128);

impl Ports {
    /// Whether it holds every port.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.ranges.as_slice() == [ALL_PORTS]
    }

    /// Parse `any`, a port, a range (`a:b`, `a:`, `:b`), a variable or a list of these, negated or not.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str, vars: &Vars) -> OptionResult<Self> {
        let parse = |item: &str| {
            let port = |text: &str| match text.trim().parse::<u16>() {
                Ok(port) => Ok(u128::from(port)),
                Err(_) => invalid!("`{item}` is no port"),
            };
            let range = match item.split_once(':') {
                None if item == "any" => ALL_PORTS,
                None => (port(item)?, port(item)?),
                Some((low, "")) => (port(low)?, ALL_PORTS.1),
                Some(("", high)) => (0, port(high)?),
                Some((low, high)) => (port(low)?, port(high)?),
            };
            if range.0 > range.1 { invalid!("`{item}` ends before it begins") } else { Ok(range) }
        };
        let (ranges, _) = vars.ranges(text, &Leaf { parse: &parse, everything: ALL_PORTS })?;
        Ok(Self { ranges })
    }

    /// Whether it holds `port`.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        within(&self.ranges, u128::from(port))
    }

    /// Its ports when they are at most `most`; for an index of rules.
    #[must_use]
    pub fn few(&self, most: u128) -> Option<Vec<u16>> {
        let count: u128 = self.ranges.iter().map(|(low, high)| high - low + 1).sum();
        (count <= most).then(|| {
            self.ranges
                .iter()
                .flat_map(|(low, high)| *low..=*high)
                .filter_map(|port| u16::try_from(port).ok())
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Addresses {
        Addresses::parse(text, &Vars::with([("HOME_NET", "[10.0.0.0/8,fd00::/8,!10.9.0.0/16]")])).unwrap()
    }

    #[test]
    fn address_lists() {
        for (set, yes, no) in [
            ("any", "1.2.3.4", None),
            ("$HOME_NET", "10.1.1.1", Some("10.9.1.1")),
            ("$HOME_NET", "fd00::1", Some("fe80::1")),
            ("!$HOME_NET", "8.8.8.8", Some("10.1.1.1")),
            ("$EXTERNAL_NET", "8.8.8.8", Some("10.1.1.1")),
            ("![1.1.1.1,2.2.2.0/24]", "3.3.3.3", Some("2.2.2.9")),
            ("[1.1.1.1-1.1.1.9,!1.1.1.5]", "1.1.1.4", Some("1.1.1.5")),
            ("1.2.3.0/255.255.255.0", "1.2.3.200", Some("1.2.4.1")),
            ("0.0.0.0/0", "9.9.9.9", Some("::1")),
        ] {
            assert!(addresses(set).contains(yes.parse().unwrap()), "{set} {yes}");
            if let Some(no) = no {
                assert!(!addresses(set).contains(no.parse().unwrap()), "{set} {no}");
            }
        }
        for bad in ["$NONE", "[1.1.1.1", "1.1.1", "!any", "1.1.1.1/33", "[1.1.1.1,]", "2.0.0.0-1.0.0.0", "1.1.1.1]"] {
            assert!(Addresses::parse(bad, &Vars::default()).is_err(), "{bad}");
        }
    }

    #[test]
    fn variables_that_name_each_other_end() {
        let vars = Vars::with([("A", "$B"), ("B", "$A")]);
        assert!(Addresses::parse("$A", &vars).is_err());
    }

    #[test]
    fn port_lists() {
        for (set, yes, no) in [
            ("80", 80, 81),
            ("[80,8000:8100]", 8050, 81),
            ("!80", 81, 80),
            ("1024:", 1024, 1023),
            (":1023", 0, 1024),
            ("[1:100,!50]", 49, 50),
            ("$HTTP_PORTS", 80, 81),
            ("![$HTTP_PORTS,443]", 25, 443),
        ] {
            let ports = Ports::parse(set, &Vars::default()).unwrap();
            assert!(ports.contains(yes) && !ports.contains(no), "{set}");
        }
        for bad in ["x", "5:1", "65536", "$NONE", "!any"] {
            assert!(Ports::parse(bad, &Vars::default()).is_err(), "{bad}");
        }
    }
}
