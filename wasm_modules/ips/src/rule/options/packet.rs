//! Keywords on a packet's headers: `ttl`, `flags`, `itype` and the like.

use crate::rule::{
    error::{OptionResult, invalid},
    number::{Compare, compare, no_number, number_up_to},
};

/// A number in a packet's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Time to live or hop limit.
    Ttl,
    /// Type of service of IPv4.
    Tos,
    /// Identification of IPv4.
    Id,
    /// Fragment offset of IPv4, in units of 8 bytes.
    FragOffset,
    /// Protocol of IP.
    IpProto,
    /// TCP's sequence number.
    Seq,
    /// TCP's acknowledgement number.
    Ack,
    /// TCP's window.
    Window,
    /// TCP's maximum segment size option.
    Mss,
    /// ICMP's type.
    IcmpType,
    /// ICMP's code.
    IcmpCode,
    /// ICMP's identifier.
    IcmpId,
    /// ICMP's sequence number.
    IcmpSeq,
    /// The MTU of ICMPv6's Packet Too Big.
    Icmpv6Mtu,
    /// Bytes of payload.
    Dsize,
    /// VLAN identifier of the tag with this number, from 0 outermost.
    Vlan(u8),
    /// How many VLAN tags.
    VlanLayers,
}

/// How flags are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Exactly these.
    Exact,
    /// These and perhaps others.
    All,
    /// One of these.
    Any,
    /// Not all of these.
    NotAll,
}

impl Mode {
    /// Whether `have` passes for `want`.
    #[must_use]
    pub fn test(self, have: u8, want: u8) -> bool {
        match self {
            Self::Exact => have == want,
            Self::All => have & want == want,
            Self::Any => have & want != 0,
            Self::NotAll => have & want != want,
        }
    }
}

/// One test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketTest {
    /// A number.
    Number(Field, Compare),
    /// TCP flags: how, which, and which are looked at.
    Flags(Mode, u8, u8),
    /// Bits of the fragment field: 4 reserved, 2 don't fragment, 1 more fragments.
    FragBits(Mode, u8),
    /// An option of IPv4 of this type; `None`: any.
    IpOption(Option<u8>),
    /// Source and destination are the same.
    SameIp,
}

/// Parse one of the keywords; `None` when `keyword` is none of them.
pub fn parse(keyword: &str, value: &str) -> Option<OptionResult<PacketTest>> {
    let of = |field, most| compare(value.trim_matches('"'), most).map(|test| PacketTest::Number(field, test));
    let (u8_most, u16_most, u32_most) = (u64::from(u8::MAX), u64::from(u16::MAX), u64::from(u32::MAX));
    Some(match keyword {
        "ttl" => of(Field::Ttl, u8_most),
        "tos" => tos(value),
        "id" => of(Field::Id, u16_most),
        "fragoffset" => of(Field::FragOffset, u16_most),
        "fragbits" => frag_bits(value),
        "ipopts" => ip_option(value),
        "ip_proto" => ip_proto(value),
        "sameip" => {
            if value.is_empty() {
                Ok(PacketTest::SameIp)
            } else {
                invalid!("sameip takes no value")
            }
        }
        "flags" | "tcp.flags" => flags(value),
        "seq" | "tcp.seq" => of(Field::Seq, u32_most),
        "ack" | "tcp.ack" => of(Field::Ack, u32_most),
        "window" | "tcp.window" => of(Field::Window, u16_most),
        "tcp.mss" => of(Field::Mss, u16_most),
        "itype" => of(Field::IcmpType, u8_most),
        "icode" => of(Field::IcmpCode, u8_most),
        "icmp_id" => of(Field::IcmpId, u16_most),
        "icmp_seq" => of(Field::IcmpSeq, u16_most),
        "icmpv6.mtu" => of(Field::Icmpv6Mtu, u32_most),
        "dsize" => of(Field::Dsize, u16_most),
        "vlan.id" => vlan(value),
        "vlan.layers" => of(Field::VlanLayers, 3),
        _ => return None,
    })
}

fn tos(value: &str) -> OptionResult<PacketTest> {
    let (negated, text) = match value.trim().strip_prefix('!') {
        Some(rest) => (true, rest.trim()),
        None => (false, value.trim()),
    };
    let number = match text.strip_prefix('x') {
        Some(hex) => u64::from_str_radix(hex, 16).map_err(|_| no_number(text))?,
        None => number_up_to(text, 255)?,
    };
    if number > 255 {
        return invalid!("{number} is above 255");
    }
    Ok(PacketTest::Number(Field::Tos, if negated { Compare::Ne(number) } else { Compare::Eq(number) }))
}

fn vlan(value: &str) -> OptionResult<PacketTest> {
    let (test, layer) = match value.split_once(',') {
        Some((test, layer)) => (test, layer.trim()),
        None => (value, "0"),
    };
    match layer.parse::<u8>() {
        Ok(layer) if layer < 3 => Ok(PacketTest::Number(Field::Vlan(layer), compare(test, 4095)?)),
        _ => invalid!("`{layer}` is no layer: 0 to 2"),
    }
}

fn mode_of(value: &str) -> (Mode, &str) {
    let value = value.trim();
    for (sign, mode) in [('+', Mode::All), ('*', Mode::Any), ('!', Mode::NotAll)] {
        if let Some(rest) = value.strip_prefix(sign) {
            return (mode, rest);
        }
        if let Some(rest) = value.strip_suffix(sign) {
            return (mode, rest);
        }
    }
    (Mode::Exact, value)
}

fn tcp_bits(text: &str) -> OptionResult<u8> {
    text.trim().chars().try_fold(0, |bits, flag| {
        Ok(bits
            | match flag.to_ascii_uppercase() {
                'F' => 1,
                'S' => 2,
                'R' => 4,
                'P' => 8,
                'A' => 16,
                'U' => 32,
                'E' | '2' => 64,
                'C' | '1' => 128,
                '0' => 0,
                _ => return invalid!("`{flag}` is no TCP flag"),
            })
    })
}

fn flags(value: &str) -> OptionResult<PacketTest> {
    let (want, ignored) = value.split_once(',').unwrap_or((value, ""));
    let (mode, want) = mode_of(want);
    if want.trim().is_empty() {
        return invalid!("flags are needed");
    }
    Ok(PacketTest::Flags(mode, tcp_bits(want)?, !tcp_bits(ignored)?))
}

fn frag_bits(value: &str) -> OptionResult<PacketTest> {
    let (mode, want) = mode_of(value);
    let bits = want.trim().chars().try_fold(0, |bits, flag| {
        Ok(bits
            | match flag {
                'M' => 1,
                'D' => 2,
                'R' => 4,
                _ => return invalid!("`{flag}` is none of M, D, R"),
            })
    })?;
    Ok(PacketTest::FragBits(mode, bits))
}

fn ip_option(value: &str) -> OptionResult<PacketTest> {
    Ok(PacketTest::IpOption(match value.trim() {
        "any" => None,
        "eol" => Some(0),
        "nop" => Some(1),
        "rr" => Some(7),
        "qs" => Some(0x19),
        "ts" => Some(0x44),
        "sec" => Some(0x82),
        "esec" => Some(0x85),
        "cipso" => Some(0x86),
        "lsrr" => Some(0x83),
        "satid" => Some(0x88),
        "ssrr" => Some(0x89),
        "rtralt" => Some(0x94),
        other => return invalid!("`{other}` is no option of IPv4"),
    }))
}

fn ip_proto(value: &str) -> OptionResult<PacketTest> {
    let value = value.trim();
    let (negated, name) = match value.strip_prefix('!') {
        Some(rest) => (true, rest.trim()),
        None => (false, value),
    };
    let number = match name.to_ascii_lowercase().as_str() {
        "icmp" => 1,
        "igmp" => 2,
        "ipip" | "ip-in-ip" => 4,
        "tcp" => 6,
        "udp" => 17,
        "ipv6" => 41,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "icmpv6" | "ipv6-icmp" => 58,
        "sctp" => 132,
        _ => return compare(value, 255).map(|test| PacketTest::Number(Field::IpProto, test)),
    };
    let test = if negated { Compare::Ne(number) } else { Compare::Eq(number) };
    Ok(PacketTest::Number(Field::IpProto, test))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(keyword: &str, value: &str) -> OptionResult<PacketTest> {
        parse(keyword, value).unwrap()
    }

    #[test]
    fn header_keywords() {
        assert_eq!(one("ttl", "<10").unwrap(), PacketTest::Number(Field::Ttl, Compare::Lt(10)));
        assert_eq!(one("flags", "S,12").unwrap(), PacketTest::Flags(Mode::Exact, 2, 0x3f));
        assert_eq!(one("flags", "+SA").unwrap(), PacketTest::Flags(Mode::All, 18, 0xff));
        assert_eq!(one("flags", "0").unwrap(), PacketTest::Flags(Mode::Exact, 0, 0xff));
        assert_eq!(one("fragbits", "!D").unwrap(), PacketTest::FragBits(Mode::NotAll, 2));
        assert_eq!(one("ipopts", "rr").unwrap(), PacketTest::IpOption(Some(7)));
        assert_eq!(one("ip_proto", "!tcp").unwrap(), PacketTest::Number(Field::IpProto, Compare::Ne(6)));
        assert_eq!(one("tos", "!x10").unwrap(), PacketTest::Number(Field::Tos, Compare::Ne(16)));
        assert_eq!(one("vlan.id", ">5,1").unwrap(), PacketTest::Number(Field::Vlan(1), Compare::Gt(5)));
        for (keyword, bad) in [("ttl", "300"), ("flags", "Q"), ("flags", ""), ("ipopts", "x"), ("vlan.id", "1,7")] {
            assert!(one(keyword, bad).is_err(), "{keyword} {bad}");
        }
        assert!(Mode::Any.test(0x12, 0x03) && !Mode::NotAll.test(3, 3) && Mode::All.test(7, 3));
        assert!(parse("content", "x").is_none());
    }
}
