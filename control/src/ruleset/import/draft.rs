//! One rule of another firewall while it is taken apart: each field may hold several values, which become several rules.

use secuxflow::rules::{RuleSpec, TcpFlags};

/// Most rules that one rule may become.
const MAX_EXPANDED: usize = 1024;

/// A field's values; none given means any.
type Values = Option<Vec<String>>;

/// A rule to come.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    src: Values,
    dst: Values,
    sport: Values,
    port: Values,
    proto: Values,
    vlan: Values,
    flags: Option<TcpFlags>,
    /// Address prefix of the family, for a rule that names no address but holds for one family only.
    pub(super) family: Option<String>,
    /// `pass` or `drop`.
    pub(super) action: Option<&'static str>,
    /// Comment.
    pub(super) comment: Option<String>,
}

/// Fields that may hold several values.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    Src,
    Dst,
    Sport,
    Port,
    Vlan,
}

impl Draft {
    /// One that matches everything of `family`, the prefix of all its addresses; of both when there is none.
    pub(super) fn of(family: Option<&str>) -> Self {
        Self { family: family.map(str::to_owned), ..Self::default() }
    }

    /// Set `field`, once.
    pub(super) fn set(&mut self, field: Field, values: Vec<String>) -> Result<(), String> {
        let (slot, name) = match field {
            Field::Src => (&mut self.src, "source address"),
            Field::Dst => (&mut self.dst, "destination address"),
            Field::Sport => (&mut self.sport, "source port"),
            Field::Port => (&mut self.port, "destination port"),
            Field::Vlan => (&mut self.vlan, "VLAN"),
        };
        match slot.replace(values) {
            None => Ok(()),
            Some(_) => Err(format!("the {name} is matched twice")),
        }
    }

    /// Only these protocols, of those there were.
    pub(super) fn restrict_proto(&mut self, protos: Vec<String>) -> Result<(), String> {
        let left = match self.proto.take() {
            None => protos,
            Some(before) => before.into_iter().filter(|proto| protos.contains(proto)).collect(),
        };
        if left.is_empty() {
            return Err("its protocols contradict each other".to_owned());
        }
        self.proto = Some(left);
        Ok(())
    }

    /// Only TCP segments with these of the flags in `mask` set, and the others of `mask` clear.
    pub(super) fn flags(&mut self, mask: u8, set: u8) -> Result<(), String> {
        if mask == 0 {
            return Err("it examines no TCP flag".to_owned());
        }
        if set & !mask != 0 {
            return Err("it never matches: a flag that is to be set is not examined".to_owned());
        }
        self.restrict_proto(vec!["tcp".to_owned()])?;
        match self.flags.replace(TcpFlags { set, clear: mask & !set }) {
            None => Ok(()),
            Some(_) => Err("the TCP flags are matched twice".to_owned()),
        }
    }

    /// The rules that it stands for, one for each combination of values. Ports are lists of one rule.
    pub(super) fn expand(self) -> Result<Vec<RuleSpec>, String> {
        let Some(action) = self.action else {
            return Err("it only counts: there is no verdict in it".to_owned());
        };
        let dst = match (&self.src, self.dst) {
            (None, None) => self.family.map(|family| vec![family]),
            (_, dst) => dst,
        };
        let sizes = [&self.src, &dst, &self.proto, &self.vlan].map(|v| v.as_ref().map_or(1, Vec::len));
        let count = sizes.iter().try_fold(1_usize, |count, size| count.checked_mul(*size));
        if count.is_none_or(|count| count > MAX_EXPANDED) {
            return Err(format!("its lists stand for more than {MAX_EXPANDED} rules"));
        }
        let first = RuleSpec {
            sport: self.sport.map(|ports| ports.join(",")),
            port: self.port.map(|ports| ports.join(",")),
            tcp_flags: self.flags.map(|flags| flags.to_string()),
            action: Some(action.to_owned()),
            comment: self.comment,
            enabled: true,
            ..RuleSpec::default()
        };
        let rules = each(vec![first], self.src, |rule, value| rule.src = Some(value));
        let rules = each(rules, dst, |rule, value| rule.dst = Some(value));
        let rules = each(rules, self.vlan, |rule, value| rule.vlan = Some(value));
        Ok(each(rules, self.proto, |rule, value| rule.proto = Some(value)))
    }
}

/// The bit of the TCP flag `name`; none when there is no such flag.
pub(super) fn flag(name: &str) -> Option<u8> {
    TcpFlags::NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)).map(|bit| 1 << bit)
}

/// Every rule with every value.
fn each(rules: Vec<RuleSpec>, values: Values, set: impl Fn(&mut RuleSpec, String)) -> Vec<RuleSpec> {
    let Some(values) = values else { return rules };
    let with = |rule: &RuleSpec, value: &String| {
        let mut rule = rule.clone();
        set(&mut rule, value.clone());
        rule
    };
    rules.iter().flat_map(|rule| values.iter().map(|value| with(rule, value)).collect::<Vec<_>>()).collect()
}
