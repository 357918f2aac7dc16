//! Options that test data.

use alloc::{format, vec::Vec};

use super::{Builder, Last};
use crate::{
    app::AppProto,
    buffers::names::{Buffer, Scope},
    rule::{
        error::{OptionResult, invalid, unsupported},
        model::{Absent, Test, Value},
        number::{compare, number},
        options::{
            bytes::{self, Names},
            content, pcre, transform,
        },
    },
};

impl Builder {
    /// `content` and what modifies it.
    pub(super) fn content_option(&mut self, name: &str, value: &str) -> OptionResult<bool> {
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
    pub(super) fn data_option(&mut self, name: &str, value: &str) -> OptionResult<bool> {
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
}
