//! A rule's text to a [`Rule`]: header, then option by option into a `Builder`.

use alloc::{string::String, vec::Vec};

use super::{
    build::Builder,
    error::{OptionError, RuleError},
    header,
    lexer::LogicalLine,
    model::Rule,
    options::{bits::Symbols, meta::Classes},
    vars::Vars,
};

/// What rules of one file share.
#[derive(Debug)]
pub struct Context<'a> {
    /// Values of `$NAME`.
    pub vars: &'a Vars,
    /// For `classtype`.
    pub classes: &'a Classes,
    /// Names of bits and integers.
    pub symbols: Symbols,
}

/// One option: its place, name and value.
struct Option_<'a> {
    at: usize,
    name: &'a str,
    value: Option<&'a str>,
}

/// Parse the rule on `line`.
///
/// # Errors
/// The first thing that is wrong, or is not supported, with its offset.
pub fn parse(line: &LogicalLine, context: &mut Context<'_>) -> Result<Rule, RuleError> {
    let text = line.text.as_str();
    let Some(open) = text.find('(') else {
        header::parse(text, context.vars)?;
        return Err(RuleError::invalid(text.len(), "missing options in parentheses"));
    };
    let header = header::parse(&text[..open], context.vars)?;
    let Some(body) = text[open + 1..].trim_end().strip_suffix(')') else {
        return Err(RuleError::invalid(text.len(), "missing `)` at the end"));
    };
    let mut builder = Builder::new(header, line.place(0).0);
    // What is not supported is told only of rules that are sound otherwise.
    let mut refused = None;
    for option in split(body, open + 1)? {
        let value = option.value.unwrap_or("");
        match builder.option(option.name, value, context) {
            Ok(()) => {}
            Err(error @ OptionError::Unsupported(..)) => {
                refused.get_or_insert(prefix(error, option.name).at(option.at));
            }
            Err(error) if refused.is_none() => return Err(prefix(error, option.name).at(option.at)),
            // It may have built on what was refused.
            Err(_) => {}
        }
    }
    match refused {
        Some(error) => Err(error),
        None => builder.finish(),
    }
}

fn prefix(error: OptionError, name: &str) -> OptionError {
    match error {
        OptionError::Invalid(message) => OptionError::Invalid(alloc::format!("{name}: {message}")),
        other => other,
    }
}

/// Split at semicolons that no backslash precedes.
fn split(body: &str, start: usize) -> Result<Vec<Option_<'_>>, RuleError> {
    let (mut options, mut from, mut escaped) = (Vec::new(), 0, false);
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b';' => {
                let text = &body[from..at];
                let blanks = text.len() - text.trim_start().len();
                let (name, value) = match text.split_once(':') {
                    Some((name, value)) => (name.trim(), Some(value.trim())),
                    None => (text.trim(), None),
                };
                if !name.is_empty() {
                    options.push(Option_ { at: start + from + blanks, name, value });
                }
                from = at + 1;
            }
            _ => {}
        }
    }
    let rest = body[from..].trim();
    if rest.is_empty() {
        Ok(options)
    } else {
        let blanks = body[from..].len() - body[from..].trim_start().len();
        Err(RuleError::invalid(start + from + blanks, String::from("missing `;` after the last option")))
    }
}
