//! The JSON of `nft -j list ruleset`.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    Hook, Imported,
    draft::{Draft, Field, flag},
};

const ALL4: &str = "0.0.0.0/0";
const ALL6: &str = "::/0";

/// Family, table and name.
type ChainKey<'a> = (&'a str, &'a str, &'a str);

/// A base chain whose rules are taken, and what is seen of it.
struct Chain<'a> {
    number: usize,
    drops: bool,
    text: String,
    name: &'a str,
    family: &'a str,
    complete: bool,
}

/// Convert `text`.
///
/// # Errors
/// It is no JSON, or not that of nft.
pub(super) fn import(text: &str, hook: Hook) -> Result<Imported, String> {
    let root: Value = serde_json::from_str(text).map_err(|e| format!("{e}; the output of `nft -j` expected"))?;
    let list = root.get("nftables").and_then(Value::as_array);
    let list = list.ok_or("there is no list \"nftables\"; the output of `nft -j list ruleset` expected")?;
    let mut imported = Imported::default();
    let mut chains = chains(list, hook, &mut imported);
    for (number, element) in (1..).zip(list) {
        let Some(rule) = element.get("rule") else { continue };
        let key = key(rule, "chain");
        let draft = match chains.get(&key) {
            None => Err(format!("chain {} is not imported; see --hook", words(key))),
            Some(_) => draft(rule, key.0),
        };
        if let Err(why) = draft.and_then(|draft| imported.add(draft)) {
            if let Some(chain) = chains.get_mut(&key) {
                chain.complete = false;
            }
            let handle = rule.get("handle").map_or_else(String::new, |handle| format!(", handle {handle}"));
            imported.refuse(number, &format!("rule of {}{handle}", words(key)), why);
        }
    }
    let mut chains: Vec<Chain<'_>> = chains.into_values().filter(|chain| chain.drops).collect();
    chains.sort_by_key(|chain| chain.number);
    for chain in chains {
        imported.add_policy(chain.number, &chain.text, chain.name, all(chain.family), chain.complete);
    }
    Ok(imported)
}

/// The chains whose rules are taken: for each family the first filter chain of the hook. An accept in one chain is not
/// the last word when there is a second, so only one can be taken.
fn chains<'a>(list: &'a [Value], hook: Hook, imported: &mut Imported) -> HashMap<ChainKey<'a>, Chain<'a>> {
    let (mut taken4, mut taken6) = (false, false);
    let mut chains = HashMap::new();
    for (number, element) in (1..).zip(list) {
        let Some(chain) = element.get("chain") else { continue };
        let word = |name: &str| chain.get(name).and_then(Value::as_str);
        let Some(its_hook) = word("hook") else { continue };
        let key = key(chain, "name");
        let (v4, v6) = (matches!(key.0, "ip" | "inet"), matches!(key.0, "ip6" | "inet"));
        let drops = word("policy") == Some("drop");
        let text = format!("chain {}, policy {}", words(key), word("policy").unwrap_or("accept"));
        let why = if its_hook != hook.word() || word("type") != Some("filter") {
            Some(format!("its hook is not imported, only {}; see --hook", hook.word()))
        } else if !v4 && !v6 {
            Some(format!("family {}: only ip, ip6 and inet have a counterpart", key.0))
        } else if (v4 && taken4) || (v6 && taken6) {
            Some("a second chain of one hook: an accept in the first would not be the last word".to_owned())
        } else {
            None
        };
        match why {
            None => {
                (taken4, taken6) = (taken4 || v4, taken6 || v6);
                chains.insert(key, Chain { number, drops, text, name: key.2, family: key.0, complete: true });
            }
            // What accepts by default and is not imported changes nothing; its rules are named by themselves.
            Some(why) if drops => imported.refuse(number, &text, why),
            Some(_) => {}
        }
    }
    chains
}

fn key<'a>(object: &'a Value, name: &str) -> ChainKey<'a> {
    let word = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    (word("family"), word("table"), word(name))
}

fn words((family, table, chain): ChainKey<'_>) -> String {
    format!("{family} {table} {chain}")
}

fn all(family: &str) -> Option<&'static str> {
    match family {
        "ip" => Some(ALL4),
        "ip6" => Some(ALL6),
        _ => None,
    }
}

fn draft(rule: &Value, family: &str) -> Result<Draft, String> {
    let comment = rule.get("comment").and_then(Value::as_str).map(str::to_owned);
    let mut draft = Draft::of(all(family));
    draft.comment = comment;
    let statements = rule.get("expr").and_then(Value::as_array).ok_or("there is no list \"expr\" in it")?;
    for statement in statements {
        let (kind, value) = single(statement).ok_or("a statement has not exactly one name")?;
        match kind {
            "match" => take_match(&mut draft, value)?,
            "counter" => {}
            "accept" => draft.action = Some("pass"),
            "drop" => draft.action = Some("drop"),
            "reject" => return Err("reject: rules drop in silence, none answers".to_owned()),
            _ => return Err(format!("'{kind}': there is nothing like it")),
        }
    }
    Ok(draft)
}

fn take_match(draft: &mut Draft, found: &Value) -> Result<(), String> {
    let part = |name: &str| found.get(name).unwrap_or(&Value::Null);
    let (left, right) = (part("left"), part("right"));
    if let Some(mask) = flags_mask(left) {
        return take_flags(draft, part("op"), mask, right);
    }
    if part("op") != "==" {
        return Err(format!("the operator {}: only equality has a counterpart", part("op")));
    }
    let (kind, operand) = single(left).ok_or("a match has no left side")?;
    let word = |name: &str| operand.get(name).and_then(Value::as_str).unwrap_or_default();
    match (kind, word("protocol"), word("field"), word("key")) {
        ("payload", "ip" | "ip6", "saddr", _) => draft.set(Field::Src, values(right, false)?),
        ("payload", "ip" | "ip6", "daddr", _) => draft.set(Field::Dst, values(right, false)?),
        ("payload", "ip", "protocol", _) => {
            draft.family = Some(ALL4.to_owned());
            protocols(draft, right)
        }
        ("payload", protocol @ ("tcp" | "udp" | "sctp" | "th"), field @ ("sport" | "dport"), _) => {
            if protocol != "th" {
                draft.restrict_proto(vec![protocol.to_owned()])?;
            }
            draft.set(if field == "sport" { Field::Sport } else { Field::Port }, values(right, true)?)
        }
        ("payload", "vlan", "id", _) => draft.set(Field::Vlan, values(right, false)?),
        ("meta", _, _, "l4proto") => protocols(draft, right),
        ("meta", _, _, "nfproto") => {
            let family = match right.as_str() {
                Some("ipv4") => ALL4,
                Some("ipv6") => ALL6,
                _ => return Err(format!("meta nfproto {right}: ipv4 or ipv6 expected")),
            };
            draft.family = Some(family.to_owned());
            Ok(())
        }
        ("ct", ..) => Err("ct: rules know no state of connections".to_owned()),
        ("meta", _, _, key @ ("iif" | "iifname" | "oif" | "oifname")) => {
            Err(format!("meta {key}: rules hold for every filtered interface; the configuration names them"))
        }
        ("payload", protocol, field, _) => Err(format!("{protocol} {field}: there is nothing like it")),
        ("meta", _, _, key) => Err(format!("meta {key}: there is nothing like it")),
        _ => Err(format!("a match of '{kind}': there is nothing like it")),
    }
}

/// What stands before the operator of `tcp flags`: the flags that are examined, all where none are named. None when it
/// is about something else.
fn flags_mask(left: &Value) -> Option<Option<&Value>> {
    let is_flags = |value: &Value| {
        let payload = value.get("payload");
        let word = |name: &str| payload.and_then(|payload| payload.get(name)).and_then(Value::as_str);
        (word("protocol"), word("field")) == (Some("tcp"), Some("flags"))
    };
    match left.get("&").and_then(Value::as_array).map(Vec::as_slice) {
        Some([flags, mask]) if is_flags(flags) => Some(Some(mask)),
        _ => is_flags(left).then_some(None),
    }
}

fn take_flags(draft: &mut Draft, op: &Value, mask: Option<&Value>, right: &Value) -> Result<(), String> {
    let wanted = flag_bits(right)?;
    match (op.as_str(), mask) {
        (Some("=="), None) => draft.flags(u8::MAX, wanted),
        (Some("=="), Some(mask)) => draft.flags(flag_bits(mask)?, wanted),
        // `tcp flags syn` wants any of the flags.
        (Some("in"), None) if wanted.count_ones() == 1 => draft.flags(wanted, wanted),
        (Some("in"), None) => Err("tcp flags: any of several flags; write a rule for each".to_owned()),
        _ => Err(format!("tcp flags with the operator {op}: only equality has a counterpart")),
    }
}

/// The bits of `"syn"`, `18`, `["syn", "ack"]` and `{"|": ["syn", "ack"]}`, which may lie in each other.
fn flag_bits(value: &Value) -> Result<u8, String> {
    let strange = || format!("tcp flags {value}: names of flags expected");
    match value {
        Value::String(name) => flag(name).ok_or_else(strange),
        Value::Number(number) => number.as_u64().and_then(|bits| u8::try_from(bits).ok()).ok_or_else(strange),
        Value::Array(items) => items.iter().try_fold(0, |bits, item| Ok(bits | flag_bits(item)?)),
        _ => match single(value) {
            Some(("|", items)) => flag_bits(items),
            _ => Err(strange()),
        },
    }
}

fn protocols(draft: &mut Draft, right: &Value) -> Result<(), String> {
    let ours = |name: String| if name == "ipv6-icmp" { "icmpv6".to_owned() } else { name };
    draft.restrict_proto(values(right, false)?.into_iter().map(ours).collect())
}

/// The values of a match's right side.
fn values(right: &Value, ranges: bool) -> Result<Vec<String>, String> {
    match right {
        Value::String(name) if name.starts_with('@') => Err(format!(
            "{name}: named sets are not imported; make one of ours with `secuxflow set`, and name it as {name} in a rule"
        )),
        Value::String(text) => Ok(vec![text.clone()]),
        Value::Number(number) => Ok(vec![number.to_string()]),
        _ => match single(right) {
            Some(("set", Value::Array(items))) => {
                let lists = items.iter().map(|item| values(item, ranges)).collect::<Result<Vec<_>, _>>()?;
                Ok(lists.concat())
            }
            Some(("prefix", prefix)) => match (prefix.get("addr").and_then(Value::as_str), prefix.get("len")) {
                (Some(addr), Some(len)) => Ok(vec![format!("{addr}/{len}")]),
                _ => Err("a prefix without address or length".to_owned()),
            },
            Some(("range", Value::Array(ends))) if ranges => match ends.as_slice() {
                [first, last] => Ok(vec![format!("{first}-{last}")]),
                _ => Err("a range of not two ends".to_owned()),
            },
            Some(("range", _)) => Err("a range of addresses: write it as prefixes".to_owned()),
            _ => Err(format!("the value {right}: there is nothing like it")),
        },
    }
}

/// The name and value of an object that has exactly one.
fn single(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.iter().next().map(|(name, value)| (name.as_str(), value))
}
