//! The text of `iptables-save` and `ip6tables-save`.

use super::{
    Hook, Imported,
    draft::{Draft, Field, flag},
};

/// The flags that iptables knows, and calls ALL: FIN to URG.
const ALL_FLAGS: u8 = 0x3f;
/// SYN, RST, ACK and FIN, of which `--syn` wants the first alone.
const SYN_MASK: u8 = 0x17;
/// SYN.
const SYN: u8 = 0x02;

/// A chain's declaration whose policy is to drop.
struct Policy<'a> {
    number: usize,
    line: &'a str,
    chain: &'a str,
}

/// Convert `text`; `family` is the prefix of all addresses that its rules hold for.
///
/// # Errors
/// There is no table in it, or one without its COMMIT: then the text was cut short, and what a lost rule lets through a
/// policy would drop.
pub(super) fn import(text: &str, hook: Hook, family: &str) -> Result<Imported, String> {
    let mut imported = Imported::default();
    let (wanted_table, wanted_chain) = match hook {
        Hook::Input => ("filter", "INPUT"),
        Hook::Forward => ("filter", "FORWARD"),
        Hook::Prerouting => ("raw", "PREROUTING"),
    };
    let mut tables = 0;
    // The table that rules are of, and the line it begins on.
    let mut open: Option<(&str, usize)> = None;
    let mut policy = None;
    let mut complete = true;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line == "COMMIT" {
            open = None;
            continue;
        }
        if let Some(name) = line.strip_prefix('*') {
            committed(open)?;
            open = Some((name, number));
            tables += 1;
            continue;
        }
        let Some((table, _)) = open else {
            imported.refuse(number, line, "it stands in no table");
            continue;
        };
        if let Some(declared) = line.strip_prefix(':') {
            let mut words = declared.split_whitespace();
            let (chain, drops) = (words.next().unwrap_or_default(), words.next() == Some("DROP"));
            if drops && (table, chain) == (wanted_table, wanted_chain) {
                policy = Some(Policy { number, line, chain });
            } else if drops {
                imported.refuse(number, line, elsewhere(table, chain, wanted_table, wanted_chain));
            }
            continue;
        }
        let wanted = (wanted_table, wanted_chain);
        if let Err(why) = rule(line, table, wanted, family).and_then(|draft| imported.add(draft)) {
            complete &= chain_of(line) != Some(wanted_chain) || table != wanted_table;
            imported.refuse(number, line, why);
        }
    }
    committed(open)?;
    if tables == 0 {
        return Err("there is no table in it; a line such as *filter expected, as iptables-save writes".to_owned());
    }
    if let Some(Policy { number, line, chain }) = policy {
        imported.add_policy(number, line, chain, Some(family), complete);
    }
    Ok(imported)
}

/// No table is open any more.
fn committed(open: Option<(&str, usize)>) -> Result<(), String> {
    open.map_or(Ok(()), |(table, line)| {
        Err(format!(
            "line {line}: the table {table} begins here and has no COMMIT: the text is cut short; save it again"
        ))
    })
}

fn elsewhere(table: &str, chain: &str, wanted_table: &str, wanted_chain: &str) -> String {
    format!("chain {chain} of table {table} is not imported, only {wanted_chain} of {wanted_table}; see --hook")
}

fn chain_of(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().skip_while(|word| *word != "-A");
    words.next()?;
    words.next()
}

/// A line as a draft, or why it is none.
fn rule(line: &str, table: &str, wanted: (&str, &str), family: &str) -> Result<Draft, String> {
    let words = words(line)?;
    // iptables-save -c writes [packets:bytes] first.
    let mut words = words.iter().map(String::as_str).skip_while(|word| word.starts_with('['));
    if words.next() != Some("-A") {
        return Err("it is no rule: -A, a chain and what it matches expected".to_owned());
    }
    let chain = words.next().unwrap_or_default();
    if (table, chain) != wanted {
        return Err(elsewhere(table, chain, wanted.0, wanted.1));
    }
    let mut draft = Draft::of(Some(family));
    while let Some(option) = words.next() {
        if option == "!" {
            return Err(format!("'! {}': rules cannot negate", words.next().unwrap_or_default()));
        }
        if option == "--syn" {
            draft.flags(SYN_MASK, SYN)?;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{option}: there is no value behind it"))?;
        if option == "--tcp-flags" {
            let set = words.next().ok_or("--tcp-flags: the flags examined and those that are set expected")?;
            draft.flags(flags(value)?, flags(set)?)?;
            continue;
        }
        take(&mut draft, option, value)?;
    }
    Ok(draft)
}

fn take(draft: &mut Draft, option: &str, value: &str) -> Result<(), String> {
    let one = || vec![value.to_owned()];
    match option {
        "-s" | "--source" => draft.set(Field::Src, one()),
        "-d" | "--destination" => draft.set(Field::Dst, one()),
        "-p" | "--protocol" => match value {
            "all" | "0" => Ok(()),
            "ipv6-icmp" => draft.restrict_proto(vec!["icmpv6".to_owned()]),
            _ => draft.restrict_proto(one()),
        },
        "--sport" | "--source-port" => draft.set(Field::Sport, vec![range(value)]),
        "--dport" | "--destination-port" => draft.set(Field::Port, vec![range(value)]),
        "--sports" | "--source-ports" => draft.set(Field::Sport, value.split(',').map(range).collect()),
        "--dports" | "--destination-ports" => draft.set(Field::Port, value.split(',').map(range).collect()),
        "--comment" => {
            draft.comment = Some(value.to_owned());
            Ok(())
        }
        "-m" | "--match" => match value {
            "tcp" | "udp" | "sctp" | "icmp" | "icmp6" | "comment" | "multiport" => Ok(()),
            "conntrack" | "state" => Err(format!("-m {value}: rules know no state of connections")),
            "set" => {
                Err("-m set: sets are not imported; make one of ours with `secuxflow set create`, and name it as @NAME"
                    .to_owned())
            }
            _ => Err(format!("-m {value}: there is nothing like it")),
        },
        "-i" | "--in-interface" | "-o" | "--out-interface" => {
            Err(format!("{option} {value}: rules hold for every filtered interface; the configuration names them"))
        }
        "-j" | "--jump" => {
            draft.action = Some(match value {
                "ACCEPT" => "pass",
                "DROP" => "drop",
                "REJECT" => return Err("-j REJECT: rules drop in silence, none answers".to_owned()),
                _ => return Err(format!("-j {value}: only ACCEPT and DROP have a counterpart")),
            });
            Ok(())
        }
        _ => Err(format!("{option}: there is nothing like it")),
    }
}

/// The bits of `SYN,ACK`, `ALL` or `NONE`.
fn flags(text: &str) -> Result<u8, String> {
    let one = |name: &str| match name {
        "ALL" => Ok(ALL_FLAGS),
        "NONE" => Ok(0),
        _ => flag(name).ok_or_else(|| format!("--tcp-flags: '{name}' is no flag")),
    };
    text.split(',').try_fold(0, |bits, name| Ok(bits | one(name)?))
}

/// `1000:2000`, `:2000` and `1000:` in our spelling.
fn range(text: &str) -> String {
    match text.split_once(':') {
        None => text.to_owned(),
        Some((first, last)) => {
            let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
            format!("{}-{}", or(first, "0"), or(last, "65535"))
        }
    }
}

/// The words of a line; quotes hold one together, a backslash takes the next character as it is.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if quoted { Err("a quote is not closed".to_owned()) } else { Ok(words) }
}
