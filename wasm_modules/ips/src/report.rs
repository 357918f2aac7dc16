//! What became of each rule of a file.

use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use core::fmt;

use serde::Serialize;

/// A rule that was not loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Line of the file, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// `sid`, where it could be read.
    pub sid: Option<u32>,
    /// The keyword that is not supported; `None`: the rule is wrong.
    pub keyword: Option<String>,
    /// For people.
    pub message: String,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if let Some(sid) = self.sid {
            write!(f, "sid {sid}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// The report of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Rules that run.
    pub loaded: usize,
    /// Rules that are sound but need what is not supported.
    pub unsupported: usize,
    /// Rules that are wrong.
    pub invalid: usize,
    /// How many rules each keyword stopped.
    pub keywords: BTreeMap<String, usize>,
    /// Rules that do not run, in the order of the file.
    pub rejected: Vec<Rejected>,
    /// `sid`s of the rules that run, in the order of the file.
    pub sids: Vec<u32>,
}

impl Report {
    /// Note a rule that was not loaded.
    pub fn reject(&mut self, rejected: Rejected) {
        match &rejected.keyword {
            Some(keyword) => {
                self.unsupported += 1;
                *self.keywords.entry(keyword.clone()).or_default() += 1;
            }
            None => self.invalid += 1,
        }
        self.rejected.push(rejected);
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// As text, a line per rule that does not run.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text =
            format!("{} rules loaded, {} not supported, {} wrong\n", self.loaded, self.unsupported, self.invalid);
        for (keyword, count) in &self.keywords {
            text += &format!("  not supported: {keyword} (rules: {count})\n");
        }
        for rejected in &self.rejected {
            text += &format!("{rejected}\n");
        }
        text
    }
}
