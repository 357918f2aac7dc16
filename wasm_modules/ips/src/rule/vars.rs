//! Variables of rule headers (`$HOME_NET`), and the lists they stand for.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};

use super::error::{OptionResult, invalid};

/// What Suricata's own configuration gives its variables.
const DEFAULTS: &[(&str, &str)] = &[
    ("HOME_NET", "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]"),
    ("EXTERNAL_NET", "!$HOME_NET"),
    ("HTTP_SERVERS", "$HOME_NET"),
    ("SMTP_SERVERS", "$HOME_NET"),
    ("SQL_SERVERS", "$HOME_NET"),
    ("DNS_SERVERS", "$HOME_NET"),
    ("TELNET_SERVERS", "$HOME_NET"),
    ("FTP_SERVERS", "$HOME_NET"),
    ("SSH_SERVERS", "$HOME_NET"),
    ("AIM_SERVERS", "$EXTERNAL_NET"),
    ("DC_SERVERS", "$HOME_NET"),
    ("DNP3_SERVER", "$HOME_NET"),
    ("DNP3_CLIENT", "$HOME_NET"),
    ("MODBUS_CLIENT", "$HOME_NET"),
    ("MODBUS_SERVER", "$HOME_NET"),
    ("ENIP_CLIENT", "$HOME_NET"),
    ("ENIP_SERVER", "$HOME_NET"),
    ("HTTP_PORTS", "80"),
    ("SHELLCODE_PORTS", "!80"),
    ("ORACLE_PORTS", "1521"),
    ("SSH_PORTS", "22"),
    ("DNP3_PORTS", "20000"),
    ("MODBUS_PORTS", "502"),
    ("FILE_DATA_PORTS", "[$HTTP_PORTS,110,143]"),
    ("FTP_PORTS", "21"),
    ("GENEVE_PORTS", "6081"),
    ("VXLAN_PORTS", "4789"),
    ("TEREDO_PORTS", "3544"),
    ("SIP_PORTS", "[5060,5061]"),
];

/// Deepest nesting of lists and variables.
const DEEPEST: usize = 16;

/// Names and values.
#[derive(Debug, Clone)]
pub struct Vars(BTreeMap<String, String>);

impl Default for Vars {
    fn default() -> Self {
        Self(DEFAULTS.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect())
    }
}

impl Vars {
    /// The defaults with these on top; a leading `$` of a name is ignored.
    pub fn with<'a>(given: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut vars = Self::default();
        for (name, value) in given {
            vars.0.insert(name.trim_start_matches('$').to_string(), value.to_string());
        }
        vars
    }

    /// The set that a list stands for: all of its plain items together (everything, if there is none), less the negated
    /// ones. `leaf` gives the ranges of one item, of values up to `most`; also tells whether anything was negated.
    ///
    /// # Errors
    /// An unknown variable, unbalanced brackets, an empty item, or what `leaf` says.
    pub fn ranges(&self, text: &str, leaf: &Leaf<'_>) -> OptionResult<(Ranges, bool)> {
        let (mut set, mut negated) = (Sum::default(), false);
        self.item(text, leaf, 0, &mut set, &mut negated)?;
        Ok((set.finish(leaf.everything), negated))
    }

    fn item(
        &self,
        text: &str,
        leaf: &Leaf<'_>,
        depth: usize,
        sum: &mut Sum,
        any_negated: &mut bool,
    ) -> OptionResult<()> {
        if depth > DEEPEST {
            return invalid!("lists and variables are nested more than {DEEPEST} deep");
        }
        let text = text.trim();
        if let Some(rest) = text.strip_prefix('!').map(str::trim_start)
            && (rest.starts_with('[') || !rest.contains(','))
        {
            if rest.starts_with('!') {
                return invalid!("`!!` in a list");
            }
            *any_negated = true;
            let mut inner = Sum::default();
            self.item(rest, leaf, depth + 1, &mut inner, any_negated)?;
            let inner = inner.finish(leaf.everything);
            if inner.as_slice() == [leaf.everything] {
                return invalid!("`{text}` leaves nothing");
            }
            sum.no.extend(inner);
            return Ok(());
        }
        if let Some(inner) = text.strip_prefix('[')
            && split_list(text)?.len() == 1
        {
            let Some(inner) = inner.strip_suffix(']') else { return invalid!("`[` without `]` in `{text}`") };
            let mut list = Sum::default();
            for item in split_list(inner)? {
                self.item(item, leaf, depth + 1, &mut list, any_negated)?;
            }
            sum.yes.extend(list.finish(leaf.everything));
            return Ok(());
        }
        if text.contains(',') {
            return split_list(text)?
                .into_iter()
                .try_for_each(|item| self.item(item, leaf, depth + 1, sum, any_negated));
        }
        if let Some(name) = text.strip_prefix('$') {
            let Some(value) = self.0.get(name) else { return invalid!("unknown variable ${name}") };
            return self.item(value, leaf, depth + 1, sum, any_negated);
        }
        if text.is_empty() {
            return invalid!("an empty item in a list");
        }
        sum.yes.push((leaf.parse)(text)?);
        Ok(())
    }
}

/// Inclusive ranges, sorted, apart from each other.
pub type Ranges = Vec<(u128, u128)>;

/// How plain items of a list are read.
pub struct Leaf<'a> {
    /// The range of an item.
    pub parse: &'a dyn Fn(&str) -> OptionResult<(u128, u128)>,
    /// The range of all values.
    pub everything: (u128, u128),
}

#[derive(Default)]
struct Sum {
    yes: Ranges,
    no: Ranges,
}

impl Sum {
    fn finish(mut self, everything: (u128, u128)) -> Ranges {
        if self.yes.is_empty() {
            self.yes.push(everything);
        }
        subtract(&union(self.yes), &union(self.no))
    }
}

fn union(mut ranges: Ranges) -> Ranges {
    ranges.sort_unstable();
    let mut out: Ranges = Vec::with_capacity(ranges.len());
    for (low, high) in ranges {
        match out.last_mut() {
            Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
            _ => out.push((low, high)),
        }
    }
    out
}

/// `from` without `what`; both sorted, each apart.
fn subtract(from: &Ranges, what: &Ranges) -> Ranges {
    let mut out = Vec::new();
    for &(low, high) in from {
        let (mut next, mut done) = (low, false);
        for &(cut_low, cut_high) in what.iter().filter(|cut| cut.1 >= low && cut.0 <= high) {
            if cut_low > next {
                out.push((next, cut_low - 1));
            }
            if cut_high >= high {
                done = true;
                break;
            }
            next = cut_high + 1;
        }
        if !done {
            out.push((next, high));
        }
    }
    out
}

/// Items between the commas at the outermost level.
fn split_list(text: &str) -> OptionResult<Vec<&str>> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' if depth == 0 => return invalid!("`]` without `[` in `{text}`"),
            b']' => depth -= 1,
            b',' if depth == 0 => {
                items.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if depth > 0 {
        return invalid!("`[` without `]` in `{text}`");
    }
    items.push(&text[start..]);
    Ok(items)
}
