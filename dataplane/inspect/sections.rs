//! The custom sections that a module may have: what it is, and the schema of its configuration.

use jsonschema::{Draft, PatternOptions};
use secuxflow_abi::sections;
use serde_json::Value;
use wasmparser::{Parser, Payload};

use crate::plane::ModuleAbout as About;

/// Longest section that is read, in bytes.
const MAX_SECTION: usize = 256 << 10;
/// Longest text of the section `sxf_about`, in bytes.
const MAX_TEXT: usize = 1024;
/// Broken rules that an error names.
const MAX_TOLD: usize = 5;

/// The sections of one module.
#[derive(Debug, Default)]
pub(super) struct Sections {
    pub(super) about: About,
    schema: Option<Value>,
}

impl Sections {
    /// Read them from a module in binary, which is known to be one.
    pub(super) fn read(binary: &[u8]) -> Result<Self, String> {
        let (mut about, mut schema) = (None, None);
        for payload in Parser::new(0).parse_all(binary) {
            let payload = payload.map_err(|e| format!("not a WebAssembly module: {e}"))?;
            let Payload::CustomSection(section) = payload else { continue };
            let place = match section.name() {
                sections::ABOUT => &mut about,
                sections::SCHEMA => &mut schema,
                _ => continue,
            };
            if place.replace(json(section.name(), section.data())?).is_some() {
                return Err(format!("it has two sections {}", section.name()));
            }
        }
        let about = about.map_or_else(|| Ok(About::default()), about_of)?;
        Ok(Self { about, schema })
    }

    /// Whether there is a schema.
    pub(super) fn has_schema(&self) -> bool {
        self.schema.is_some()
    }

    /// Check a configuration by the schema, if there is one. The error names each field by its JSON pointer.
    pub(super) fn check(&self, config: &str) -> Result<(), String> {
        let Some(schema) = &self.schema else { return Ok(()) };
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex())
            .build(schema)
            .map_err(|e| format!("its section {} is no JSON Schema: {e}", sections::SCHEMA))?;
        let config = if config.trim().is_empty() { "{}" } else { config };
        let config = serde_json::from_str(config).map_err(|e| format!("its configuration is no JSON: {e}"))?;
        let mut errors = validator.iter_errors(&config);
        let told: Vec<_> = errors
            .by_ref()
            .take(MAX_TOLD)
            .map(|error| {
                let at = error.instance_path().as_str();
                format!("{}: {error}", if at.is_empty() { "/" } else { at })
            })
            .collect();
        if told.is_empty() {
            return Ok(());
        }
        let more = errors.count();
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        Err(format!("its configuration does not fit its schema: {}{more}", told.join("; ")))
    }
}

fn json(name: &str, data: &[u8]) -> Result<Value, String> {
    if data.len() > MAX_SECTION {
        return Err(format!("its section {name} has {} bytes, at most {MAX_SECTION} are read", data.len()));
    }
    serde_json::from_slice(data).map_err(|e| format!("its section {name} is no JSON: {e}"))
}

fn about_of(value: Value) -> Result<About, String> {
    let wrong = |problem: String| format!("its section {}: {problem}", sections::ABOUT);
    if !value.is_object() {
        return Err(wrong("it must be a JSON object".into()));
    }
    let about: About = serde_json::from_value(value).map_err(|e| wrong(e.to_string()))?;
    let texts = [("name", &about.name), ("version", &about.version), ("description", &about.description)];
    if let Some((name, text)) = texts.into_iter().find(|(_, text)| text.len() > MAX_TEXT) {
        return Err(wrong(format!("{name} has {} bytes, at most {MAX_TEXT} are read", text.len())));
    }
    Ok(about)
}
