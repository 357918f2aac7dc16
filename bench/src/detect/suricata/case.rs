//! A directory of suricata-verify, read: capture, rules, settings, and what is expected.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    checks::{Check, Filter},
    settings::Settings,
    tunnels::has_tunnels,
    version,
};

/// A test that can be run.
#[derive(Debug)]
pub(super) struct Case {
    /// The capture.
    pub(super) pcap: PathBuf,
    /// The rules, as text.
    pub(super) rules: String,
    /// Lines of a `classification.config` of its own.
    pub(super) classification: String,
    /// What it asks of Suricata.
    pub(super) settings: Settings,
    /// Packets are dropped, and looked at before they are acknowledged.
    pub(super) inline: bool,
    /// What is expected.
    pub(super) filters: Vec<Filter>,
}

/// Why a test is not counted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Skipped {
    /// The kind of reason.
    pub(super) reason: String,
    /// More of it.
    pub(super) detail: String,
}

fn skip<T>(reason: &str, detail: impl Into<String>) -> Result<T, Skipped> {
    Err(Skipped { reason: reason.to_owned(), detail: detail.into() })
}

impl Case {
    /// Read a directory.
    ///
    /// # Errors
    /// It is not to be counted.
    pub(super) fn read(directory: &Path) -> Result<Self, Skipped> {
        let test = yaml(&directory.join("test.yaml"))?;
        for name in ["requires", "requirements"] {
            if let Some(why) = test.get(name).and_then(version::refused) {
                return skip("not for this version or system", why);
            }
        }
        for name in ["skip", "command", "pre-check", "count", "exit-code", "setup"] {
            if test.get(name).is_some_and(|value| *value != 0) {
                return skip("not a plain run of one capture", name);
            }
        }
        let filters = filters(&test)?;
        let settings = settings(directory, &test)?;
        let inline =
            settings.inline || directory.file_name().is_some_and(|name| name.to_string_lossy().contains("ips"));
        let pcap = pcap(directory, &test)?;
        if has_tunnels(&pcap) {
            return skip("its packets are within packets, which are not taken apart", "");
        }
        Ok(Self {
            pcap,
            rules: rules(directory, &test, &settings)?,
            classification: fs::read_to_string(directory.join("classification.config")).unwrap_or_default(),
            settings,
            inline,
            filters,
        })
    }
}

fn yaml(path: &Path) -> Result<Value, Skipped> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string());
    let parsed = text.and_then(|text| serde_norway::from_str(&text).map_err(|error| error.to_string()));
    parsed.or_else(|why| skip("a file cannot be read", format!("{}: {why}", path.display())))
}

/// The filters about alerts and drops; none is a reason to skip.
fn filters(test: &Value) -> Result<Vec<Filter>, Skipped> {
    let checks = test.get("checks").and_then(Value::as_array);
    let (mut filters, mut foreign) = (Vec::new(), None);
    for check in checks.into_iter().flatten() {
        let Some(filter) = check.get("filter") else { continue };
        if filter.get("requires").and_then(version::refused).is_some() {
            continue;
        }
        match Check::of(filter) {
            Check::Filter(filter) => filters.push(filter),
            Check::Foreign(field) => foreign = foreign.or(Some(field)),
            Check::Other => {}
        }
    }
    match foreign {
        _ if !filters.is_empty() => Ok(filters),
        Some(field) => skip("its alerts are told by fields of application protocols", field),
        None => skip("no check is about alerts or drops", ""),
    }
}

fn settings(directory: &Path, test: &Value) -> Result<Settings, Skipped> {
    let mut settings = Settings::default();
    let file = directory.join("suricata.yaml");
    if file.is_file() {
        settings.file(&yaml(&file)?);
    }
    if directory.join("threshold.config").is_file() {
        return skip("it needs a setting that ours has not", "threshold.config");
    }
    let arguments = test.get("args").and_then(Value::as_array);
    let arguments: Vec<_> = arguments.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    match settings.arguments(&arguments).and_then(|()| settings.foreign.map_or(Ok(()), |name| Err(name.to_owned()))) {
        Ok(()) => Ok(settings),
        Err(argument) => skip("it needs a setting that ours has not", argument),
    }
}

/// The files of `directory` whose names end so.
fn ending(directory: &Path, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<_> = entries.map(|entry| entry.path()).collect();
    found.retain(|path| path.to_string_lossy().ends_with(end));
    found.sort();
    found
}

fn pcap(directory: &Path, test: &Value) -> Result<PathBuf, Skipped> {
    match test.get("pcap") {
        Some(Value::String(name)) if !directory.join(name).is_file() => skip("its capture is not there", name.as_str()),
        Some(Value::String(name)) => Ok(directory.join(name)),
        Some(Value::Bool(false) | Value::Null) => skip("it has no capture", ""),
        _ => {
            let mut found = [".pcap", ".pcapng", ".cap"].into_iter().flat_map(|end| ending(directory, end));
            found.next().map_or_else(|| skip("it has no capture", ""), Ok)
        }
    }
}

fn rules(directory: &Path, test: &Value, settings: &Settings) -> Result<String, Skipped> {
    let named = test.get("rules").and_then(Value::as_str).or(settings.rules.as_deref());
    let found = ending(directory, ".rules");
    let path = match (named, &found[..]) {
        (Some(name), _) if directory.join(name).is_file() => directory.join(name),
        (_, [only]) => only.clone(),
        (_, []) => return skip("it has no rules", ""),
        (_, many) => match many.iter().find(|path| path.ends_with("test.rules")) {
            Some(path) => path.clone(),
            None => return skip("it has several files of rules", ""),
        },
    };
    // Rules are bytes, of which the odd one is of Latin-1.
    let text = fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    text.or_else(|error| skip("a file cannot be read", format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(tempfile::TempDir);

    impl Directory {
        fn new(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            for (name, text) in files {
                fs::write(dir.path().join(name), text).unwrap();
            }
            Self(dir)
        }

        fn read(&self) -> Result<Case, Skipped> {
            Case::read(self.0.path())
        }

        fn skipped(&self) -> (String, String) {
            let Skipped { reason, detail } = self.read().unwrap_err();
            (reason, detail)
        }
    }

    const CHECK: &str =
        "checks:\n- filter:\n    count: 1\n    match:\n      event_type: alert\n      alert.signature_id: 1\n";
    const RULE: &str = "alert tcp any any -> any any (sid:1;)";

    #[test]
    fn a_directory_is_read_with_all_that_it_says() {
        let test = format!(
            "requires:\n  min-version: 8\nargs:\n- -k none\n- --simulate-ips\n{CHECK}\
             - filter:\n    requires:\n      lt-version: 8\n    count: 9\n    match:\n      event_type: alert\n\
             - filter:\n    count: 1\n    match:\n      event_type: http\n- stats:\n    decoder.pkts: 3\n"
        );
        let yaml = "%YAML 1.1\n---\nvars:\n  address-groups:\n    HOME_NET: \"[10.0.0.0/8]\"\n";
        let of = Directory::new(&[("test.yaml", &test), ("a.pcap", ""), ("test.rules", RULE), ("suricata.yaml", yaml)]);
        let case = of.read().unwrap();
        assert_eq!((case.filters.len(), case.inline, case.rules.as_str()), (1, true, RULE));
        assert!(case.settings.ignore_checksums && case.pcap.ends_with("a.pcap"));
        assert_eq!(case.settings.vars["HOME_NET"], "[10.0.0.0/8]");
    }

    #[test]
    fn what_is_not_counted_has_its_reason() {
        let with = |test: &str| Directory::new(&[("test.yaml", test), ("a.pcap", ""), ("test.rules", RULE)]);
        for (test, reason, detail) in [
            (format!("requires:\n  min-version: 10\n{CHECK}"), "not for this version or system", "later"),
            (format!("command: x\n{CHECK}"), "not a plain run of one capture", "command"),
            (format!("args:\n- --engine-analysis\n{CHECK}"), "it needs a setting that ours has not", "--engine"),
            ("checks:\n- shell:\n    args: x\n".to_owned(), "no check is about alerts or drops", ""),
            (CHECK.replace("alert.signature_id", "http.url"), "its alerts are told by fields", "http.url"),
            (format!("pcap: false\n{CHECK}"), "it has no capture", ""),
            ("a: [".to_owned(), "a file cannot be read", "test.yaml"),
        ] {
            let (why, more) = with(&test).skipped();
            assert!(why.starts_with(reason) && more.contains(detail), "{test}: {why}: {more}");
        }
        assert_eq!(Directory::new(&[("test.yaml", CHECK), ("a.pcap", "")]).skipped().0, "it has no rules");
        let many = Directory::new(&[("test.yaml", CHECK), ("a.pcap", ""), ("a.rules", RULE), ("b.rules", RULE)]);
        assert_eq!(many.skipped().0, "it has several files of rules");
    }
}
