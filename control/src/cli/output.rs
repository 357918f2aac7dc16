//! Where answers go: tables for people, JSON for programs, errors beside.

use std::io::{self, Write};

use serde::Serialize;

use super::exit::{Exit, Failure};
use crate::api;

/// An answer that people can read.
pub(super) trait Show: Serialize {
    /// As text with a final newline.
    fn show(&self) -> String;
}

/// Standard output and error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    /// Output as tables, or as JSON.
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read it.
    pub(super) fn json(self) -> bool {
        self.json
    }

    /// Write `text` as it is.
    pub(super) fn text(self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
    }

    /// Write an answer.
    pub(super) fn answer(self, answer: &impl Show) -> Result<(), Failure> {
        if !self.json {
            return self.text(&answer.show());
        }
        let mut text = serde_json::to_string_pretty(answer).map_err(|e| Failure::Output(e.into()))?;
        text.push('\n');
        self.text(&text)
    }

    /// Write an answer that ends a stream of lines: JSON on one line, too.
    pub(super) fn answer_line(self, answer: &impl Show) -> Result<(), Failure> {
        if !self.json {
            return self.text(&answer.show());
        }
        let mut text = serde_json::to_string(answer).map_err(|e| Failure::Output(e.into()))?;
        text.push('\n');
        self.text(&text)
    }

    /// Write a warning for people to standard error; programs find it in the answer.
    pub(super) fn warn(self, text: &str) {
        if self.json {
            return;
        }
        complain(&format!("secuxflow: warning: {text}"));
    }

    /// Complain of the command line as JSON.
    pub(super) fn usage(self, text: &str) -> Exit {
        let error = api::ErrorBody {
            code: api::ErrorCode::BadRequest,
            field: None,
            message: text.to_owned(),
            faults: Vec::new(),
        };
        complain(&serde_json::to_string(&api::Failure { error }).unwrap_or_else(|_| text.to_owned()));
        Exit::Usage
    }

    /// Write a line to standard error as it is.
    pub(super) fn complain(self, line: &str) {
        complain(line);
    }

    /// The exit code of a command, its failure told on standard error.
    pub(super) fn report(self, result: Result<(), Failure>) -> Exit {
        let Err(failure) = result else { return Exit::Done };
        let exit = failure.exit();
        if exit != Exit::Done {
            let told = self.json.then(|| serde_json::to_string(&api::Failure { error: failure.body() }).ok()).flatten();
            complain(&told.unwrap_or_else(|| format!("secuxflow: {failure}")));
        }
        exit
    }
}

/// Standard error; when even that is closed there is nobody left to tell.
fn complain(line: &str) {
    let _closed = writeln!(io::stderr().lock(), "{line}");
}
