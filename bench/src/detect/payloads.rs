//! Lists of payloads, one a line, each sent as the value of a parameter.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::{Case, Expected};

/// The payloads of libinjection's folder; none where it is not there.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn read(folder: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    if !folder.is_dir() {
        return Ok(cases);
    }
    let mut files: Vec<_> =
        fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?.iter().map(fs::DirEntry::path).collect();
    files.sort();
    for path in files {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (class, expected) = match file.split(['-', '_']).next() {
            Some("sqli") => ("libinjection sqli", Expected::Flagged),
            Some("xss") => ("libinjection xss", Expected::Flagged),
            Some("tbd") => ("libinjection undecided", Expected::Flagged),
            Some("false") => ("libinjection benign", Expected::Passed),
            _ => continue,
        };
        let text = fs::read(&path).with_context(|| path.display().to_string())?;
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            // The lists' own comments.
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            cases.push(Case {
                class: class.to_owned(),
                name: format!("{file}:{} {}", number + 1, String::from_utf8_lossy(line)),
                expected,
                request: get(&decode(line)),
            });
        }
    }
    Ok(cases)
}

/// A browser's request with `value` as a parameter.
pub(super) fn get(value: &[u8]) -> Vec<u8> {
    let mut text = b"GET /search?q=".to_vec();
    for &byte in value {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(byte);
        } else {
            text.extend(format!("%{byte:02X}").into_bytes());
        }
    }
    text.extend(
        b" HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 \
          Firefox/140.0\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: \
          en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\n\r\n",
    );
    text
}

/// The lists are percent-encoded, as that project's own test reads them.
fn decode(line: &[u8]) -> Vec<u8> {
    let digit = |at: usize| line.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::new();
    let mut at = 0;
    while at < line.len() {
        match (line[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low).to_le_bytes()[0]);
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            (byte, ..) => out.push(byte),
        }
        at += 1;
    }
    out
}
