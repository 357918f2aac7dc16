//! Requests of the OWASP core rules' regression tests: files of YAML, each with requests and the numbers of the rules that
//! must fire on them or must not.
//!
//! A stage with `expect_ids` must be flagged, any other must pass. Rules of a higher paranoia level than the one measured
//! are left out; the files do not say a rule's level, so the table below tells it, written down from memory of the rules. A
//! stage that only says which status the test's server answers is no matter of the rules, and is left out too, as are tests
//! of responses.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{Case, Expected};

/// What the classes of these cases begin with.
pub(super) const CLASSES: &str = "crs ";
/// Methods that the core rules allow unless they are told otherwise.
pub(super) const ALLOWED_METHODS: [&str; 4] = ["GET", "HEAD", "POST", "OPTIONS"];

/// Rules above paranoia level 1, by level.
const LEVELS: [(u8, &[u32]); 3] = [
    (
        2,
        &[
            920_121, 920_200, 920_201, 920_230, 920_271, 920_320, 920_341, 920_451, 921_151, 921_422, 930_121, 931_130,
            931_131, 932_131, 932_161, 932_200, 932_205, 932_206, 932_207, 932_210, 932_220, 932_231, 932_236, 932_239,
            932_240, 932_241, 932_281, 932_300, 932_310, 932_320, 932_371, 933_151, 933_152, 933_153, 934_101, 934_120,
            934_140, 941_101, 941_120, 941_150, 941_181, 941_320, 941_330, 941_340, 941_380, 942_101, 942_120, 942_130,
            942_131, 942_150, 942_152, 942_180, 942_200, 942_210, 942_260, 942_300, 942_310, 942_321, 942_330, 942_340,
            942_361, 942_362, 942_370, 942_380, 942_390, 942_400, 942_410, 942_430, 942_440, 942_450, 942_470, 942_480,
            942_510, 942_520, 942_521, 942_522, 944_151, 944_200, 944_210, 944_220, 944_240, 944_250, 944_260, 953_101,
        ],
    ),
    (
        3,
        &[
            920_272, 920_300, 920_490, 920_510, 920_521, 921_180, 921_210, 921_230, 932_190, 932_232, 932_237, 932_238,
            932_301, 932_311, 932_321, 932_331, 933_111, 933_131, 933_161, 933_190, 933_211, 942_251, 942_420, 942_431,
            942_460, 942_490, 942_511, 942_530, 944_300,
        ],
    ),
    (4, &[920_202, 920_273, 920_274, 920_275, 920_460, 921_220, 942_421, 942_432, 944_152]),
];

fn level_of(rule: u32) -> u8 {
    LEVELS.iter().find(|(_, rules)| rules.contains(&rule)).map_or(1, |(level, _)| *level)
}

#[derive(Deserialize)]
struct File {
    rule_id: Option<u32>,
    #[serde(default)]
    tests: Option<Vec<Test>>,
}

#[derive(Deserialize)]
struct Test {
    test_id: u32,
    stages: Vec<Stage>,
}

#[derive(Deserialize)]
struct Stage {
    input: Input,
    output: Output,
}

#[derive(Deserialize)]
struct Input {
    method: Option<String>,
    uri: Option<String>,
    version: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, serde_norway::Value>,
    data: Option<String>,
    encoded_request: Option<String>,
    autocomplete_headers: Option<bool>,
}

#[derive(Deserialize)]
struct Output {
    log: Option<Log>,
}

#[derive(Deserialize, Default)]
struct Log {
    #[serde(default)]
    expect_ids: Vec<u32>,
    #[serde(default)]
    no_expect_ids: Vec<u32>,
}

/// All cases that a paranoia level says something about; none where the folder is not there.
///
/// # Errors
/// A file cannot be read or is not what it should be.
pub(crate) fn read(folder: &Path, level: u8) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    if !folder.is_dir() {
        return Ok(cases);
    }
    let mut files = Vec::new();
    for group in fs::read_dir(folder.join("tests")).with_context(|| folder.display().to_string())? {
        let group = group?;
        // Tests of responses: the module looks at requests.
        if !group.file_name().to_string_lossy().starts_with("REQUEST-") {
            continue;
        }
        let class = class(&group.file_name().to_string_lossy());
        for file in fs::read_dir(group.path())? {
            files.push((class.clone(), file?.path()));
        }
    }
    files.sort();
    for (class, path) in files {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let file: File = serde_norway::from_str(&text).with_context(|| path.display().to_string())?;
        for test in file.tests.unwrap_or_default() {
            for stage in test.stages {
                let Some(log) = stage.output.log else { continue };
                let rules = if log.expect_ids.is_empty() { &log.no_expect_ids } else { &log.expect_ids };
                // What is said about rules of other levels only, or in words of another log, says nothing here.
                if rules.is_empty() || rules.iter().all(|rule| level_of(*rule) > level) {
                    continue;
                }
                let expected = if log.expect_ids.is_empty() { Expected::Passed } else { Expected::Flagged };
                cases.push(Case {
                    class: class.clone(),
                    name: format!("{}-{}", file.rule_id.unwrap_or(0), test.test_id),
                    expected,
                    request: request(&stage.input),
                });
            }
        }
    }
    Ok(cases)
}

/// `REQUEST-942-APPLICATION-ATTACK-SQLI` as `crs 942 sqli`.
fn class(folder: &str) -> String {
    let mut parts = folder.split('-').skip(1);
    let number = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.filter(|part| !matches!(*part, "APPLICATION" | "ATTACK")).collect();
    format!("{CLASSES}{number} {}", rest.join(" ").to_lowercase())
}

fn request(input: &Input) -> Vec<u8> {
    if let Some(encoded) = &input.encoded_request {
        return base64(encoded);
    }
    let method = input.method.as_deref().unwrap_or("GET");
    let uri = input.uri.as_deref().unwrap_or("/");
    let version = input.version.as_deref().unwrap_or("HTTP/1.1");
    let mut text = format!("{method} {uri} {version}\r\n").into_bytes();
    let has = |name: &str| input.headers.keys().any(|key| key.eq_ignore_ascii_case(name));
    for (name, value) in &input.headers {
        let value = match value {
            serde_norway::Value::String(text) => text.clone(),
            serde_norway::Value::Number(number) => number.to_string(),
            serde_norway::Value::Bool(flag) => flag.to_string(),
            _ => String::new(),
        };
        text.extend(format!("{name}: {value}\r\n").into_bytes());
    }
    let data = input.data.as_deref().map(expand).unwrap_or_default();
    // What the project's own test client adds.
    if input.autocomplete_headers.unwrap_or(true) {
        if !has("content-length") && !has("transfer-encoding") && (!data.is_empty() || method == "POST") {
            text.extend(format!("Content-Length: {}\r\n", data.len()).into_bytes());
        }
        if !has("content-type") && !data.is_empty() {
            text.extend(b"Content-Type: application/x-www-form-urlencoded\r\n");
        }
        if !has("connection") {
            text.extend(b"Connection: close\r\n");
        }
    }
    text.extend(b"\r\n");
    text.extend(data.into_bytes());
    text
}

/// `{{ "x" | repeat 3 }}`, the one template that the files use.
fn expand(data: &str) -> String {
    let Some((before, rest)) = data.split_once("{{ \"") else { return data.to_owned() };
    let parsed = rest.split_once("\" | repeat ").and_then(|(text, rest)| {
        let (count, after) = rest.split_once(" }}")?;
        Some(format!("{before}{}{after}", text.repeat(count.trim().parse().ok()?)))
    });
    parsed.unwrap_or_else(|| data.to_owned())
}

fn base64(text: &str) -> Vec<u8> {
    let mut bits = 0_u32;
    let mut count = 0;
    let mut out = Vec::new();
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count).to_le_bytes()[0]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces() {
        assert_eq!(class("REQUEST-942-APPLICATION-ATTACK-SQLI"), "crs 942 sqli");
        assert_eq!(base64("R0VUIC8="), b"GET /");
        assert_eq!(expand("a{{ \"x\" | repeat 3 }}b"), "axxxb");
        assert_eq!((level_of(942_100), level_of(942_130), level_of(920_273)), (1, 2, 4));
    }
}
