//! Whole rulesets: files, their checks, what applying one changes, and what other firewalls' rulesets become.

mod check;
mod file;
pub(crate) mod import;
mod plan;
mod sets;
mod warn;
mod write;

pub(crate) use check::{Entry, check, offline};
pub(crate) use file::{RulesetError, RulesetFile, check_count, read};
pub(crate) use plan::plan;
pub(crate) use sets::{SetFile, lacking, read_sets};
pub(crate) use warn::{blocklist_warning, order_warnings, shadow_warning};
pub(crate) use write::{Format, fields, write, write_new};

#[cfg(test)]
mod tests;
