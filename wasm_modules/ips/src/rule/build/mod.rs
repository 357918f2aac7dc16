//! Options of a rule, one after the other, into the rule.

mod about;
mod data;

use alloc::{format, sync::Arc, vec::Vec};

use super::{
    classify,
    error::{OptionError, OptionResult, RuleError, invalid, unsupported},
    header::Header,
    model::{Absent, Flow, Kind, Meta, Rule, Section, Test},
    options::{bytes::Names, content, packet, transform},
    parse::Context,
};
use crate::{
    app::AppProto,
    buffers::names::{Buffer, Scope, side},
};

/// Where the last content is.
#[derive(Debug, Clone, Copy)]
struct Last {
    section: usize,
    test: usize,
    /// Within the tests of that `base64_decode`.
    nested: Option<usize>,
}

/// A rule in the making.
#[derive(Debug)]
pub struct Builder {
    rule: Rule,
    meta: Meta,
    names: Names,
    /// The section that sticky keywords chose; `None`: the payload.
    current: Option<usize>,
    /// The `base64_decode` that `base64_data` looks into: section and test.
    base64: Option<(usize, usize)>,
    last: Option<Last>,
    has_sid: bool,
    has_priority: bool,
}

impl Builder {
    /// An empty rule of this header.
    pub fn new(header: Header, line: u32) -> Self {
        let app = header.app;
        Self {
            rule: Rule {
                line,
                header,
                meta: Arc::default(),
                kind: Kind::Packet,
                flow: Flow::default(),
                packet: Vec::new(),
                numbers: Vec::new(),
                protocols: Vec::new(),
                sections: Vec::new(),
                bits: Vec::new(),
                ints: Vec::new(),
                threshold: None,
                noalert: false,
                alert: false,
                app,
                sides: side::BOTH,
                on_packets: false,
                on_stream: false,
                fast: None,
            },
            meta: Meta { gid: 1, priority: 3, ..Meta::default() },
            names: Names::default(),
            current: None,
            base64: None,
            last: None,
            has_sid: false,
            has_priority: false,
        }
    }

    /// Take in one option.
    pub fn option(&mut self, name: &str, value: &str, context: &mut Context<'_>) -> OptionResult<()> {
        if self.meta_option(name, value, context)? || self.state_option(name, value, context)? {
            return Ok(());
        }
        if let Some(test) = packet::parse(name, value) {
            self.rule.packet.push(test?);
            return Ok(());
        }
        if let Some(transform) = transform::parse(name, value) {
            return self.transform(transform?);
        }
        if self.content_option(name, value)? || self.data_option(name, value)? {
            return Ok(());
        }
        if let Some(buffer) = Buffer::sticky(name) {
            if !value.is_empty() {
                return unsupported!(name, "options of `{name}` are not supported");
            }
            return self.sticky(buffer);
        }
        unsupported!(name, "keyword `{name}` is not supported")
    }

    /// The rule needs transactions of `app`.
    fn app(&mut self, app: AppProto) -> OptionResult<()> {
        match self.rule.app {
            Some(other) if other != app => {
                if self.rule.header.app == Some(other) && app == AppProto::Http {
                    return unsupported!(
                        format!("file.data of {}", other.name()),
                        "files are found in HTTP only, not in {}",
                        other.name()
                    );
                }
                invalid!("a keyword of {} in a rule of {}", app.name(), other.name())
            }
            _ => {
                self.rule.app = Some(app);
                Ok(())
            }
        }
    }

    /// The section of `buffer`; `fresh` makes a new one of it.
    fn section(&mut self, buffer: Buffer, fresh: bool) -> usize {
        let known = self.rule.sections.iter().position(|section| {
            section.buffer == buffer && section.transforms.is_empty() && section.absent == Absent::No
        });
        match known {
            Some(at) if !fresh => at,
            _ => {
                self.rule.sections.push(Section {
                    buffer,
                    transforms: Vec::new(),
                    absent: Absent::No,
                    tests: Vec::new(),
                });
                self.rule.sections.len() - 1
            }
        }
    }

    fn sticky(&mut self, buffer: Buffer) -> OptionResult<()> {
        self.base64 = None;
        if let Some(section) = self.current
            && self.rule.sections[section].tests.is_empty()
            && self.rule.sections[section].absent == Absent::No
        {
            return invalid!("buffer {} is chosen but not used", self.rule.sections[section].buffer.name());
        }
        if let Scope::Tx(app) = buffer.scope() {
            if buffer == Buffer::FileData && !matches!(self.rule.app, None | Some(AppProto::Http)) {
                let name = self.rule.app.map_or("", AppProto::name);
                return unsupported!(format!("file.data of {name}"), "files are found in HTTP only, not in {name}");
            }
            self.app(app)?;
        }
        self.current = match buffer {
            Buffer::Payload => None,
            // A fresh section, in case transformations follow; `finish` joins what is alike.
            _ => Some(self.section(buffer, true)),
        };
        Ok(())
    }

    /// A transformation. One that follows tests begins a section of its own, on top of the transformations before it.
    fn transform(&mut self, transform: transform::Transform) -> OptionResult<()> {
        let Some(current) = self.current else { return invalid!("no sticky buffer before it") };
        let section = &mut self.rule.sections[current];
        if section.tests.is_empty() {
            section.transforms.push(transform);
            return Ok(());
        }
        let mut transforms = section.transforms.clone();
        transforms.push(transform);
        let buffer = section.buffer;
        self.rule.sections.push(Section { buffer, transforms, absent: Absent::No, tests: Vec::new() });
        self.current = Some(self.rule.sections.len() - 1);
        Ok(())
    }

    /// The tests that a keyword adds to.
    fn tests(&mut self) -> (usize, Option<usize>) {
        match (self.base64, self.current) {
            (Some((section, test)), _) => (section, Some(test)),
            (None, Some(section)) => (section, None),
            (None, None) => (self.section(Buffer::Payload, false), None),
        }
    }

    fn push(&mut self, test: Test) -> Last {
        let (section, nested) = self.tests();
        let tests = &mut self.rule.sections[section].tests;
        match nested {
            Some(at) => match &mut tests[at] {
                Test::Base64 { tests: inner, .. } => {
                    inner.push(test);
                    Last { section, test: inner.len() - 1, nested }
                }
                _ => unreachable!("`base64` points at base64_decode"),
            },
            None => {
                tests.push(test);
                Last { section, test: tests.len() - 1, nested }
            }
        }
    }

    fn last_content(&mut self) -> OptionResult<&mut content::Content> {
        let Some(last) = self.last else { return invalid!("no content before it") };
        let tests = &mut self.rule.sections[last.section].tests;
        let test = match last.nested {
            Some(at) => match &mut tests[at] {
                Test::Base64 { tests, .. } => &mut tests[last.test],
                _ => return invalid!("no content before it"),
            },
            None => &mut tests[last.test],
        };
        match test {
            Test::Content(content) => Ok(content),
            _ => invalid!("no content before it"),
        }
    }

    /// The rule, classified.
    pub fn finish(mut self) -> Result<Rule, RuleError> {
        if !self.has_sid {
            return Err(RuleError::invalid(0, "sid is missing"));
        }
        if self.meta.sid == 0 {
            return Err(RuleError::invalid(0, "sid must be above 0"));
        }
        self.rule.meta = Arc::new(self.meta);
        classify::classify(&mut self.rule).map_err(|error: OptionError| error.at(0))?;
        Ok(self.rule)
    }
}
