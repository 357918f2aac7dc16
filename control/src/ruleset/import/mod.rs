//! Rulesets of other firewalls, as far as they say what ours can say; every other line is named, none is guessed at.
//!
//! Theirs are tried from the top, ours by priority and specificity: each rule gets a priority below that of the rule
//! above it.

mod draft;
mod iptables;
mod nft;

use secuxflow::rules::{Rule, RuleId, RuleRecord, RuleSpec};
use serde::Serialize;

use draft::Draft;

/// Where a ruleset comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Source {
    /// `iptables-save`: IPv4.
    IptablesSave,
    /// `ip6tables-save`: IPv6.
    Ip6tablesSave,
    /// `nft -j list ruleset`.
    Nft,
}

/// Whose rules are taken: a packet in XDP is before all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Hook {
    /// Packets to this host.
    Input,
    /// Packets through this host.
    Forward,
    /// All packets that come in.
    Prerouting,
}

impl Hook {
    /// nftables' word.
    fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Prerouting => "prerouting",
        }
    }
}

/// What does not map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Unmapped {
    /// Line of the text; for nft, the element of the list. Counted from 1.
    pub(crate) number: usize,
    /// What is there.
    pub(crate) text: String,
    /// Why it does not map.
    pub(crate) why: String,
}

/// What became of a ruleset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Imported {
    /// Rules, without ids, in the order of their priority.
    pub(crate) rules: Vec<RuleSpec>,
    /// The rest.
    pub(crate) unmapped: Vec<Unmapped>,
    // Rules of one line: they get one priority.
    groups: Vec<usize>,
    // What comes last, whatever the priorities.
    last: Vec<RuleSpec>,
}

/// Convert `text`.
///
/// # Errors
/// The text is not what `source` writes.
pub(crate) fn import(source: Source, hook: Hook, text: &str) -> Result<Imported, String> {
    let mut imported = match source {
        Source::IptablesSave => iptables::import(text, hook, "0.0.0.0/0")?,
        Source::Ip6tablesSave => iptables::import(text, hook, "::/0")?,
        Source::Nft => nft::import(text, hook)?,
    };
    imported.finish();
    Ok(imported)
}

impl Imported {
    /// Take the rules that `draft` stands for, or say why not.
    fn add(&mut self, draft: Draft) -> Result<(), String> {
        let rules = draft.expand()?;
        rules.iter().try_for_each(valid)?;
        self.groups.push(rules.len());
        self.rules.extend(rules);
        Ok(())
    }

    fn refuse(&mut self, number: usize, text: &str, why: impl Into<String>) {
        self.unmapped.push(Unmapped { number, text: text.trim().to_owned(), why: why.into() });
    }

    /// Take a chain's policy to drop. One behind a rule that did not map is refused: what that rule lets through would
    /// be dropped.
    fn add_policy(&mut self, number: usize, text: &str, chain: &str, family: Option<&str>, complete: bool) {
        if !complete {
            let why = "the policy to drop is left out, for rules before it did not map";
            return self.refuse(number, text, why);
        }
        self.last.push(RuleSpec {
            dst: family.map(str::to_owned),
            action: Some("drop".to_owned()),
            comment: Some(format!("policy of {chain}")),
            enabled: true,
            ..RuleSpec::default()
        });
    }

    fn finish(&mut self) {
        let mut rules = self.rules.iter_mut();
        let lines = i32::try_from(self.groups.len()).unwrap_or(i32::MAX);
        for (size, above) in self.groups.iter().zip((1..=lines).rev()) {
            rules.by_ref().take(*size).for_each(|rule| rule.priority = Some(above));
        }
        self.rules.append(&mut self.last);
        self.unmapped.sort_by_key(|unmapped| unmapped.number);
    }
}

fn valid(rule: &RuleSpec) -> Result<(), String> {
    let checked = Rule::try_from(RuleRecord { id: RuleId(1), spec: rule.clone() });
    checked.map(|_| ()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
