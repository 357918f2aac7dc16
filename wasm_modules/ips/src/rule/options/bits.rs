//! `flowbits`, `xbits`, `hostbits`, `flowint`: state that rules share.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use crate::rule::error::{OptionResult, invalid};

/// Whose state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Track {
    /// The flow's.
    Flow,
    /// The source address's.
    Source,
    /// The destination address's.
    Destination,
    /// Both addresses'.
    Pair,
}

/// What is done with a bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitOp {
    /// Test: it is set.
    IsSet,
    /// Test: it is not set.
    IsNotSet,
    /// When the rule matches: set.
    Set,
    /// When the rule matches: unset.
    Unset,
    /// When the rule matches: turn over.
    Toggle,
}

impl BitOp {
    /// Whether it is a condition, not an effect.
    #[must_use]
    pub fn is_test(self) -> bool {
        matches!(self, Self::IsSet | Self::IsNotSet)
    }
}

/// One option about bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowBit {
    /// Whose.
    pub track: Track,
    /// What.
    pub op: BitOp,
    /// The bits' numbers; more than one means any of them.
    pub bits: Vec<u32>,
    /// For `set` of addresses: how long it lasts.
    pub seconds: u32,
}

/// Names of bits and integers of all rules; a name's number is its place.
#[derive(Debug, Clone, Default)]
pub struct Symbols {
    names: hashbrown::HashMap<String, u32>,
}

impl Symbols {
    /// The number of `name`.
    pub fn number(&mut self, name: &str) -> u32 {
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        *self.names.entry_ref(name).or_insert(next)
    }
}

fn operation(text: &str) -> Option<BitOp> {
    Some(match text.trim() {
        "set" => BitOp::Set,
        "unset" => BitOp::Unset,
        "toggle" => BitOp::Toggle,
        "isset" => BitOp::IsSet,
        "isnotset" => BitOp::IsNotSet,
        _ => return None,
    })
}

fn name_of(text: &str) -> OptionResult<&str> {
    let name = text.trim();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return invalid!("`{name}` is no name");
    }
    Ok(name)
}

/// Parse `flowbits`; `None` stands for `noalert`.
pub fn flowbits(text: &str, symbols: &mut Symbols) -> OptionResult<Option<FlowBit>> {
    let (op, names) = match text.split_once(',') {
        Some((op, names)) => (op, Some(names)),
        None => (text, None),
    };
    if op.trim() == "noalert" {
        return if names.is_some() { invalid!("noalert takes no name") } else { Ok(None) };
    }
    let Some(op) = operation(op) else { return invalid!("`{}` is no operation on bits", op.trim()) };
    let Some(names) = names else { return invalid!("a name is needed") };
    if names.contains('|') && !op.is_test() {
        return invalid!("`|` is for isset and isnotset only");
    }
    let mut bits = Vec::new();
    for name in names.split('|') {
        bits.push(symbols.number(&("f:".to_string() + name_of(name)?)));
    }
    Ok(Some(FlowBit { track: Track::Flow, op, bits, seconds: 0 }))
}

/// Parse `xbits:set,name,track ip_src[,expire 60]`, and `hostbits:set,name[,src|dst|both]`.
pub fn xbits(text: &str, host: bool, symbols: &mut Symbols) -> OptionResult<Option<FlowBit>> {
    let mut parts = text.split(',').map(str::trim);
    let op = parts.next().unwrap_or("");
    if op == "noalert" {
        return Ok(None);
    }
    let Some(op) = operation(op) else { return invalid!("`{op}` is no operation on bits") };
    let name = name_of(parts.next().unwrap_or(""))?;
    let (mut track, mut seconds) = (if host { Some(Track::Source) } else { None }, if host { 300 } else { 30 });
    for part in parts {
        match part {
            "track ip_src" | "src" => track = Some(Track::Source),
            "track ip_dst" | "dst" => track = Some(Track::Destination),
            "track ip_pair" => track = Some(Track::Pair),
            _ => match part.strip_prefix("expire").map(str::trim).and_then(|text| text.parse().ok()) {
                Some(value) if value > 0 => seconds = value,
                _ => return invalid!("unknown option `{part}`"),
            },
        }
    }
    let Some(track) = track else { return invalid!("`track` is needed") };
    let space = if host { "h:" } else { "x:" };
    Ok(Some(FlowBit { track, op, bits: Vec::from([symbols.number(&(space.to_string() + name))]), seconds }))
}

/// What `flowint` does or asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntOp {
    /// Test: defined.
    IsSet,
    /// Test: not defined.
    IsNotSet,
    /// Effect: assign.
    Set,
    /// Effect: add; an undefined integer counts as 0.
    Add,
    /// Effect: subtract, not below 0.
    Sub,
    /// Test.
    Eq,
    /// Test.
    Ne,
    /// Test.
    Lt,
    /// Test.
    Le,
    /// Test.
    Gt,
    /// Test.
    Ge,
}

/// What an integer is compared with or changed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// A number.
    Number(u32),
    /// Another integer of the flow.
    Int(u32),
}

/// One `flowint`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowInt {
    /// The integer's number.
    pub int: u32,
    /// What.
    pub op: IntOp,
    /// With what.
    pub with: Operand,
}

impl FlowInt {
    /// Whether it is a condition, not an effect.
    #[must_use]
    pub fn is_test(&self) -> bool {
        !matches!(self.op, IntOp::Set | IntOp::Add | IntOp::Sub)
    }
}

/// Parse `flowint:name,+,1`.
pub fn flowint(text: &str, symbols: &mut Symbols) -> OptionResult<FlowInt> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let (name, op, value) = match parts[..] {
        [name, op] => (name, op, None),
        [name, op, value] => (name, op, Some(value)),
        _ => return invalid!("a name, an operation and a value are needed"),
    };
    let int = symbols.number(&("i:".to_string() + name_of(name)?));
    let op = match (op, value) {
        ("isset", None) => IntOp::IsSet,
        ("isnotset" | "notset", None) => IntOp::IsNotSet,
        ("=", Some(_)) => IntOp::Set,
        ("+", Some(_)) => IntOp::Add,
        ("-", Some(_)) => IntOp::Sub,
        ("==", Some(_)) => IntOp::Eq,
        ("!=", Some(_)) => IntOp::Ne,
        ("<", Some(_)) => IntOp::Lt,
        ("<=", Some(_)) => IntOp::Le,
        (">", Some(_)) => IntOp::Gt,
        (">=", Some(_)) => IntOp::Ge,
        _ => return invalid!("`{op}` is no operation on integers, or its value is missing"),
    };
    let with = match value {
        None => Operand::Number(0),
        Some(value) if value.bytes().all(|byte| byte.is_ascii_digit()) => match value.parse() {
            Ok(number) => Operand::Number(number),
            Err(_) => return invalid!("`{value}` is out of range"),
        },
        Some(value) => Operand::Int(symbols.number(&("i:".to_string() + name_of(value)?))),
    };
    Ok(FlowInt { int, op, with })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_integers() {
        let mut symbols = Symbols::default();
        let bit = flowbits("isset, a | b", &mut symbols).unwrap().unwrap();
        assert_eq!((bit.op, bit.bits.len()), (BitOp::IsSet, 2));
        assert_eq!(flowbits("noalert", &mut symbols).unwrap(), None);
        assert_eq!(flowbits("set,a", &mut symbols).unwrap().unwrap().bits, bit.bits[..1]);
        for bad in ["set", "flip,a", "set,a|b", "set,a b", "noalert,a"] {
            assert!(flowbits(bad, &mut symbols).is_err(), "{bad}");
        }
        let bit = xbits("set,bad,track ip_src,expire 10", false, &mut symbols).unwrap().unwrap();
        assert_eq!((bit.track, bit.seconds), (Track::Source, 10));
        assert!(xbits("set,bad", false, &mut symbols).is_err());
        let int = flowint("count, +, 1", &mut symbols).unwrap();
        assert_eq!((int.op, int.with, int.is_test()), (IntOp::Add, Operand::Number(1), false));
        assert!(flowint("count,>,10", &mut symbols).unwrap().is_test());
        assert!(flowint("count,>", &mut symbols).is_err());
    }
}
