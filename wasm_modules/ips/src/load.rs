//! A rule file to rules and a report.

use alloc::{string::String, vec::Vec};

use crate::{
    report::{Rejected, Report},
    rule::{
        error::{Reason, RuleError},
        lexer::{LogicalLine, logical_lines},
        model::Rule,
        options::meta::Classes,
        parse::{self, Context},
        vars::Vars,
    },
};

/// Parse all rules of `file`. A rule with the same gid and sid as an earlier one replaces it when its `rev` is higher.
#[must_use]
pub fn load(file: &str, vars: &Vars, classes: &Classes) -> (Vec<Rule>, Report) {
    let mut context = Context { vars, classes, symbols: Default::default() };
    let mut report = Report::default();
    let mut rules: Vec<Rule> = Vec::new();
    let mut known = hashbrown::HashMap::new();
    for line in logical_lines(file) {
        match parse::parse(&line, &mut context) {
            Ok(rule) => match known.entry((rule.meta.gid, rule.meta.sid)) {
                hashbrown::hash_map::Entry::Vacant(entry) => {
                    entry.insert(rules.len());
                    rules.push(rule);
                }
                hashbrown::hash_map::Entry::Occupied(entry) => {
                    let earlier = &mut rules[*entry.get()];
                    let (old, new) = (earlier.meta.rev, rule.meta.rev);
                    let line_of_old = earlier.line;
                    let message = if new > old {
                        *earlier = rule;
                        alloc::format!("replaced by revision {new} of the same sid (line {})", earlier.line)
                    } else {
                        alloc::format!("the same sid as on line {line_of_old}, and no higher revision")
                    };
                    let place = if new > old { (line_of_old, 1) } else { line.place(0) };
                    report.reject(Rejected {
                        line: place.0,
                        column: place.1,
                        sid: sid_of(&line.text),
                        keyword: None,
                        message,
                    });
                }
            },
            Err(error) => report.reject(rejected(&line, error)),
        }
    }
    report.loaded = rules.len();
    report.sids = rules.iter().map(|rule| rule.meta.sid).collect();
    (rules, report)
}

fn rejected(line: &LogicalLine, error: RuleError) -> Rejected {
    let (number, column) = line.place(error.offset);
    let keyword = match error.reason {
        Reason::Invalid => None,
        Reason::Unsupported(keyword) => Some(keyword),
    };
    Rejected { line: number, column, sid: sid_of(&line.text), keyword, message: error.message }
}

/// The sid of a rule that could not be parsed, as well as it can be told.
fn sid_of(text: &str) -> Option<u32> {
    let after = |text: &str| -> Option<String> {
        let rest = text.trim_start().strip_prefix("sid")?.trim_start().strip_prefix(':')?;
        Some(rest.trim_start().chars().take_while(char::is_ascii_digit).collect())
    };
    text.split(['(', ';']).find_map(after)?.parse().ok()
}
