//! Options of a rule, one after the other, into the rule.

use alloc::{format, string::ToString, sync::Arc, vec::Vec};

use super::{
    classify,
    error::{OptionError, OptionResult, RuleError, invalid, unsupported},
    header::Header,
    model::{Absent, AppLayerProtocol, Flow, Kind, Meta, Rule, Section, Test, TxNumber, Value},
    number::{compare, number, number_up_to},
    options::{
        bits,
        bytes::{self, Names},
        content, meta, packet, pcre, threshold, transform,
    },
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

    fn meta_option(&mut self, name: &str, value: &str, context: &Context<'_>) -> OptionResult<bool> {
        let u32_of = |value: &str| number_up_to(value, u64::from(u32::MAX)).map(|n| u32::try_from(n).unwrap_or(0));
        match name {
            "msg" => self.meta.msg = meta::quoted(value)?,
            "sid" => {
                self.meta.sid = u32_of(value)?;
                self.has_sid = true;
            }
            "gid" => self.meta.gid = u32_of(value)?,
            "rev" => self.meta.rev = u32_of(value)?,
            "priority" => {
                let priority = number_up_to(value, 255)?;
                self.meta.priority = u8::try_from(priority).unwrap_or(3);
                self.has_priority = true;
            }
            "classtype" => {
                self.meta.class = value.to_string();
                // As Suricata does: a class that nobody described has priority 3.
                if let Some((text, priority)) = context.classes.get(value) {
                    self.meta.category = text.to_string();
                    if !self.has_priority {
                        self.meta.priority = priority;
                    }
                }
            }
            "reference" => self.meta.references.push(meta::reference(value)?),
            "metadata" => self.meta.metadata.extend(meta::metadata(value)),
            "target" => {
                self.meta.target_is_source = Some(match value {
                    "src_ip" => true,
                    "dest_ip" => false,
                    _ => return invalid!("`{value}` is neither src_ip nor dest_ip"),
                });
            }
            "noalert" | "prefilter" | "alert" if !value.is_empty() => return invalid!("it takes no value"),
            "noalert" => self.rule.noalert = true,
            "alert" => self.rule.alert = true,
            // A hint to the engine: which test is tried first changes no result.
            "prefilter" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn state_option(&mut self, name: &str, value: &str, context: &mut Context<'_>) -> OptionResult<bool> {
        let bit = match name {
            "flow" => {
                self.flow(value)?;
                return Ok(true);
            }
            "flowint" => {
                self.rule.ints.push(bits::flowint(value, &mut context.symbols)?);
                return Ok(true);
            }
            "threshold" | "detection_filter" => {
                if self.rule.threshold.is_some() {
                    return unsupported!(name, "more than one threshold or detection_filter in a rule");
                }
                self.rule.threshold = Some(threshold::parse(value, name == "detection_filter")?);
                return Ok(true);
            }
            "app-layer-protocol" => {
                self.app_layer_protocol(value)?;
                return Ok(true);
            }
            "dns.opcode" => {
                self.rule.numbers.push(TxNumber::DnsOpcode(compare(value, 255)?));
                return self.app(AppProto::Dns).map(|()| true);
            }
            "dns.rcode" => {
                self.rule.numbers.push(TxNumber::DnsRcode(compare(value, 0xffff)?));
                return self.app(AppProto::Dns).map(|()| true);
            }
            "flowbits" => bits::flowbits(value, &mut context.symbols)?,
            "xbits" => bits::xbits(value, false, &mut context.symbols)?,
            "hostbits" => bits::xbits(value, true, &mut context.symbols)?,
            _ => return Ok(false),
        };
        match bit {
            Some(bit) => self.rule.bits.push(bit),
            None => self.rule.noalert = true,
        }
        Ok(true)
    }

    fn flow(&mut self, value: &str) -> OptionResult<()> {
        let flow = &mut self.rule.flow;
        flow.given = true;
        for word in value.split(',').map(|word| word.trim().to_ascii_lowercase()) {
            match word.as_str() {
                "to_server" | "from_client" => flow.to_server = true,
                "to_client" | "from_server" => flow.to_client = true,
                "established" => flow.established = true,
                "not_established" => flow.not_established = true,
                "stateless" => flow.stateless = true,
                "only_stream" => flow.only_stream = true,
                "no_stream" => flow.no_stream = true,
                "only_frag" | "no_frag" => {
                    return unsupported!(
                        format!("flow: {word}"),
                        "fragments are reassembled before inspection, `{word}` cannot be told"
                    );
                }
                _ => return invalid!("unknown `{word}`"),
            }
        }
        if flow.to_server && flow.to_client {
            return invalid!("to_server and to_client exclude each other");
        }
        if u8::from(flow.established) + u8::from(flow.not_established) + u8::from(flow.stateless) > 1 {
            return invalid!("established, not_established and stateless exclude each other");
        }
        if flow.only_stream && flow.no_stream {
            return invalid!("only_stream and no_stream exclude each other");
        }
        Ok(())
    }

    fn app_layer_protocol(&mut self, value: &str) -> OptionResult<()> {
        let (negated, name) = match value.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, value),
        };
        if let Some((_, mode)) = name.split_once(',') {
            return unsupported!(
                format!("app-layer-protocol: {}", mode.trim()),
                "modes of app-layer-protocol are not supported"
            );
        }
        let app = match (name, AppProto::by_name(name)) {
            ("failed", _) => None,
            (_, Some(app)) => Some(app),
            _ => {
                return unsupported!(
                    format!("app-layer-protocol: {name}"),
                    "protocol `{name}` is not recognised in traffic"
                );
            }
        };
        if self.rule.header.app.is_some() {
            return invalid!("the rule's protocol field names an application protocol already");
        }
        self.rule.protocols.push(AppLayerProtocol { app, negated });
        Ok(())
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

    /// `content` and what modifies it.
    fn content_option(&mut self, name: &str, value: &str) -> OptionResult<bool> {
        if let Some(buffer) = Buffer::modifier(name) {
            if !value.is_empty() {
                return invalid!("it takes no value");
            }
            return self.move_content(buffer).map(|()| true);
        }
        match name {
            "content" => self.last = Some(self.push(Test::Content(content::parse(value)?))),
            "uricontent" => {
                let content = content::parse(value)?;
                self.app(AppProto::Http)?;
                let section = self.section(Buffer::HttpUri, false);
                self.rule.sections[section].tests.push(Test::Content(content));
                let test = self.rule.sections[section].tests.len() - 1;
                self.last = Some(Last { section, test, nested: None });
            }
            "nocase" => {
                let content = self.last_content()?;
                content.nocase = true;
                content.bytes.make_ascii_lowercase();
            }
            "offset" | "depth" | "distance" | "within" => self.place(name, value)?,
            "startswith" => {
                let content = self.last_content()?;
                if content.offset.is_some() || content.depth.is_some() || content.is_relative() {
                    return invalid!("it excludes offset, depth, distance and within");
                }
                content.starts = true;
                content.offset = Some(Value::Is(0));
                content.depth = Some(Value::Is(u32::try_from(content.bytes.len()).unwrap_or(u32::MAX)));
            }
            "endswith" => self.last_content()?.ends = true,
            "fast_pattern" => {
                let content = self.last_content()?;
                let length = content.bytes.len();
                content.fast = Some(match value {
                    "" | "only" => (0, length),
                    _ => match value.split_once(',') {
                        Some((offset, count)) => {
                            let offset = usize::try_from(number(offset)?).unwrap_or(usize::MAX);
                            let count = usize::try_from(number(count)?).unwrap_or(usize::MAX);
                            if count == 0 || offset.saturating_add(count) > length {
                                return invalid!("that part lies outside the content");
                            }
                            (offset, count)
                        }
                        None => return invalid!("`{value}` is neither `only` nor offset,length"),
                    },
                });
            }
            // Nothing normalises payloads here.
            "rawbytes" => {
                self.last_content()?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn place(&mut self, name: &str, value: &str) -> OptionResult<()> {
        let names = self.names.clone();
        let content = self.last_content()?;
        if content.starts {
            return invalid!("it excludes startswith");
        }
        let length = content.bytes.len();
        match name {
            "offset" => content.offset = Some(names.value(value)?),
            "depth" => {
                content.depth = Some(names.value(value)?);
                if matches!(content.depth, Some(Value::Is(depth)) if (depth as usize) < length) {
                    return invalid!("{value} is less than the content's {length} bytes");
                }
            }
            "distance" => content.distance = Some(names.value(value)?),
            _ => {
                content.within = Some(names.value(value)?);
                if matches!(content.within, Some(Value::Is(within)) if i64::from(within) < length as i64) {
                    return invalid!("{value} is less than the content's {length} bytes");
                }
            }
        }
        if content.is_relative() && (content.offset.is_some() || content.depth.is_some()) {
            return invalid!("distance and within exclude offset and depth");
        }
        Ok(())
    }

    /// `http_uri` and the like: the last content belongs to another buffer.
    fn move_content(&mut self, buffer: Buffer) -> OptionResult<()> {
        if self.current.is_some() {
            return invalid!("a sticky buffer is chosen already");
        }
        let Some(last) = self.last else { return invalid!("no content before it") };
        if self.rule.sections[last.section].buffer != Buffer::Payload || last.nested.is_some() {
            return invalid!("the content before it has its buffer already");
        }
        if let Scope::Tx(app) = buffer.scope() {
            self.app(app)?;
        }
        let test = self.rule.sections[last.section].tests.remove(last.test);
        let section = self.section(buffer, false);
        self.rule.sections[section].tests.push(test);
        let test = self.rule.sections[section].tests.len() - 1;
        self.last = Some(Last { section, test, nested: None });
        Ok(())
    }

    /// Other tests of data.
    fn data_option(&mut self, name: &str, value: &str) -> OptionResult<bool> {
        match name {
            "pcre" => {
                let (pcre, buffer) = pcre::parse(value)?;
                match buffer {
                    Some(buffer) => {
                        if let Scope::Tx(app) = buffer.scope() {
                            self.app(app)?;
                        }
                        let section = self.section(buffer, false);
                        self.rule.sections[section].tests.push(Test::Pcre(pcre));
                    }
                    None => {
                        self.push(Test::Pcre(pcre));
                    }
                }
            }
            "isdataat" => {
                let (at, relative, negated) = bytes::is_data_at(value, &self.names)?;
                // Older rules place it after a content that a modifier moved: it follows that content.
                let test = Test::IsDataAt { at, relative, negated };
                match self.last.filter(|last| relative && self.current.is_none() && last.nested.is_none()) {
                    Some(last) if self.base64.is_none() => self.rule.sections[last.section].tests.push(test),
                    _ => {
                        self.push(test);
                    }
                }
            }
            "byte_test" => self.numeric(bytes::byte_test(value, &self.names)?.field.relative, |names| {
                bytes::byte_test(value, names).map(Test::ByteTest)
            })?,
            "byte_jump" => self.numeric(bytes::byte_jump(value, &self.names)?.field.relative, |names| {
                bytes::byte_jump(value, names).map(Test::ByteJump)
            })?,
            "byte_extract" => {
                let extract = bytes::byte_extract(value, &mut self.names)?;
                self.numeric(extract.field.relative, |_| Ok(Test::ByteExtract(extract)))?;
            }
            "byte_math" => {
                let math = bytes::byte_math(value, &mut self.names)?;
                self.numeric(math.field.relative, |_| Ok(Test::ByteMath(math)))?;
            }
            "bsize" => {
                if self.current.is_none() {
                    return invalid!("no sticky buffer before it");
                }
                self.push(Test::Size(compare(value, u64::MAX)?));
            }
            "absent" => {
                let Some(section) = self.current else { return invalid!("no sticky buffer before it") };
                self.rule.sections[section].absent = match value.trim() {
                    "" => Absent::Only,
                    "or_else" => Absent::OrElse,
                    other => return unsupported!(format!("absent: {other}"), "absent:{other} is not supported"),
                };
            }
            "urilen" => {
                let (test, raw) = match value.split_once(',') {
                    Some((test, mode)) => match mode.trim() {
                        "raw" => (test, true),
                        "norm" => (test, false),
                        other => return invalid!("`{other}` is neither norm nor raw"),
                    },
                    None => (value, false),
                };
                let test = compare(test, 0xffff)?;
                self.app(AppProto::Http)?;
                let section = self.section(if raw { Buffer::HttpUriRaw } else { Buffer::HttpUri }, false);
                self.rule.sections[section].tests.insert(0, Test::UriLen(test));
                if let Some(last) = self.last.as_mut().filter(|last| last.section == section) {
                    last.test += 1;
                }
            }
            "base64_decode" => {
                let (bytes, offset, relative) = transform::base64_decode(value)?;
                let place = self.push(Test::Base64 { bytes, offset, relative, tests: Vec::new() });
                self.base64 = None;
                self.last = Some(place);
            }
            "base64_data" => {
                let found = self.rule.sections.iter().enumerate().rev().find_map(|(section, tests)| {
                    tests.tests.iter().rposition(|test| matches!(test, Test::Base64 { .. })).map(|test| (section, test))
                });
                let Some(place) = found else { return invalid!("no base64_decode before it") };
                self.base64 = Some(place);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A test of bytes. Without a sticky buffer, a relative one follows the content before it into its buffer.
    fn numeric(&mut self, relative: bool, test: impl FnOnce(&Names) -> OptionResult<Test>) -> OptionResult<()> {
        let test = test(&self.names)?;
        match self.last {
            Some(last) if relative && self.current.is_none() && self.base64.is_none() && last.nested.is_none() => {
                self.rule.sections[last.section].tests.push(test);
            }
            _ => {
                self.push(test);
            }
        }
        Ok(())
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
