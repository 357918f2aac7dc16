//! An ordered ruleset as the tables that a generation walks.

use ipnet::IpNet;

use super::{Action, MAX_RULES, Matcher, PortRange, Rule, RuleError, RuleId, Ruleset, ordered};
use crate::bpf::types::{Act, L4Match, Limits, Rule4, Rule6, VerdictEntry};

const _: () = assert!(MAX_RULES == Limits::SXF_MAX_RULES.0 as usize);

/// What a generation is filled with. Rules of no family are in both tables.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    pub(crate) v4: Vec<Rule4>,
    pub(crate) v6: Vec<Rule6>,
    pub(crate) default: VerdictEntry,
}

/// Compile `ruleset`; `slot` says where each enabled rule is counted.
///
/// # Errors
/// Too many enabled rules, or a chain that is not in `chains`.
pub(crate) fn compile(ruleset: &Ruleset, chains: &[String], slot: impl Fn(RuleId) -> u32) -> Result<Tables, RuleError> {
    let rules = ordered(ruleset);
    if rules.len() > MAX_RULES {
        return Err(RuleError::TooMany { count: rules.len() });
    }
    let default = verdict(&ruleset.default_action, chains, 0, Limits::SXF_DEFAULT_SLOT.0)?;
    let mut tables = Tables { v4: Vec::new(), v6: Vec::new(), default };
    for rule in rules {
        let verdict = verdict(&rule.action, chains, rule.id.0, slot(rule.id))?;
        add(&mut tables, rule, verdict);
    }
    Ok(tables)
}

/// Index of `chain` as workers and modules know it.
///
/// # Errors
/// There is no such chain; the message lists those that exist.
pub(super) fn chain_index(chain: &str, chains: &[String]) -> Result<u16, RuleError> {
    let index = chains.iter().position(|name| name == chain).and_then(|index| u16::try_from(index).ok());
    index.ok_or_else(|| {
        let rule = if chains.is_empty() {
            "there is no chain; add one to the configuration".to_owned()
        } else {
            format!("there is no such chain; there are: {}", chains.join(", "))
        };
        RuleError::field("chain", chain, rule)
    })
}

fn verdict(action: &Action, chains: &[String], rule: u32, slot: u32) -> Result<VerdictEntry, RuleError> {
    let (act, chain) = match action {
        Action::Pass => (Act::SXF_PASS, 0),
        Action::Drop => (Act::SXF_DROP, 0),
        Action::Inspect { chain } => (Act::SXF_INSPECT, chain_index(chain, chains)?),
    };
    let [action, ..] = act.0.to_le_bytes();
    Ok(VerdictEntry { rule, slot, chain, action, reserved: 0 })
}

fn add(tables: &mut Tables, rule: &Rule, verdict: VerdictEntry) {
    let matcher = &rule.matcher;
    let l4 = l4_match(matcher);
    let is_v4 = |net: IpNet| matches!(net, IpNet::V4(_));
    let family = matcher.src.or(matcher.dst).map(is_v4);
    if family != Some(false) {
        let (src, src_mask) = prefix4(matcher.src);
        let (dst, dst_mask) = prefix4(matcher.dst);
        tables.v4.push(Rule4 { src, src_mask, dst, dst_mask, l4, verdict });
    }
    if family != Some(true) {
        let (src, src_mask) = prefix6(matcher.src);
        let (dst, dst_mask) = prefix6(matcher.dst);
        tables.v6.push(Rule6 { src, src_mask, dst, dst_mask, l4, verdict });
    }
}

fn l4_match(matcher: &Matcher) -> L4Match {
    let ends = |range: Option<PortRange>| range.map_or((0, u16::MAX), |range| (range.first, range.last));
    let (sport_first, sport_last) = ends(matcher.sport);
    let (port_first, port_last) = ends(matcher.port);
    L4Match {
        sport_first,
        sport_last,
        port_first,
        port_last,
        protocol: matcher.proto.map_or(0, |proto| proto.0),
        any_protocol: matcher.proto.is_none().into(),
        needs_ports: (matcher.port.is_some() || matcher.sport.is_some()).into(),
        reserved: 0,
    }
}

/// Address and mask in network byte order; a prefix of the other family or none matches everything.
fn prefix4(prefix: Option<IpNet>) -> (u32, u32) {
    match prefix {
        Some(IpNet::V4(net)) => {
            (u32::from_ne_bytes(net.network().octets()), u32::from_ne_bytes(net.netmask().octets()))
        }
        _ => (0, 0),
    }
}

fn prefix6(prefix: Option<IpNet>) -> ([u32; 4], [u32; 4]) {
    match prefix {
        Some(IpNet::V6(net)) => (bytemuck::cast(net.network().octets()), bytemuck::cast(net.netmask().octets())),
        _ => ([0; 4], [0; 4]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::rule;

    fn tables(rules: Vec<Rule>) -> Result<Tables, RuleError> {
        let ruleset = Ruleset { rules, default_action: Action::Pass };
        compile(&ruleset, &["default".to_owned()], |id| id.0 + 100)
    }

    #[test]
    fn a_rule_is_only_in_the_tables_of_its_family() {
        let tables = tables(vec![
            rule(1, |m| m.src = "10.0.0.0/8".parse().ok()),
            rule(2, |m| m.dst = "fd00::/8".parse().ok()),
            rule(3, |_| ()),
        ])
        .unwrap();
        let ids4: Vec<u32> = tables.v4.iter().map(|entry| entry.verdict.rule).collect();
        let ids6: Vec<u32> = tables.v6.iter().map(|entry| entry.verdict.rule).collect();
        assert_eq!((ids4, ids6), (vec![1, 3], vec![2, 3]));
        assert_eq!(tables.v4[0].src.to_ne_bytes(), [10, 0, 0, 0]);
        assert_eq!(tables.v4[0].src_mask.to_ne_bytes(), [255, 0, 0, 0]);
        assert_eq!(tables.v4[0].verdict.slot, 101);
        assert_eq!(tables.default.slot, Limits::SXF_DEFAULT_SLOT.0);
    }

    #[test]
    fn too_many_rules_and_missing_chains_are_refused() {
        let many = (1..=1025).map(|id| rule(id, |_| ())).collect();
        assert_eq!(tables(many).unwrap_err(), RuleError::TooMany { count: 1025 });
        let mut lost = rule(1, |_| ());
        lost.action = Action::Inspect { chain: "gone".into() };
        assert!(tables(vec![lost]).unwrap_err().to_string().contains("there are: default"));
    }

    #[test]
    fn disabled_rules_take_no_room() {
        let mut many: Vec<Rule> = (1..=1025).map(|id| rule(id, |_| ())).collect();
        many[7].enabled = false;
        assert_eq!(tables(many).unwrap().v4.len(), 1024);
    }
}
