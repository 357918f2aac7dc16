//! What rules tell people: classes, references, metadata.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use crate::rule::error::{OptionResult, invalid};

/// The classes that rule feeds expect: short name, description, priority.
const CLASSES: &[(&str, &str, u8)] = &[
    ("not-suspicious", "Not Suspicious Traffic", 3),
    ("unknown", "Unknown Traffic", 3),
    ("bad-unknown", "Potentially Bad Traffic", 2),
    ("attempted-recon", "Attempted Information Leak", 2),
    ("successful-recon-limited", "Information Leak", 2),
    ("successful-recon-largescale", "Large Scale Information Leak", 2),
    ("attempted-dos", "Attempted Denial of Service", 2),
    ("successful-dos", "Denial of Service", 2),
    ("attempted-user", "Attempted User Privilege Gain", 1),
    ("unsuccessful-user", "Unsuccessful User Privilege Gain", 1),
    ("successful-user", "Successful User Privilege Gain", 1),
    ("attempted-admin", "Attempted Administrator Privilege Gain", 1),
    ("successful-admin", "Successful Administrator Privilege Gain", 1),
    ("rpc-portmap-decode", "Decode of an RPC Query", 2),
    ("shellcode-detect", "Executable code was detected", 1),
    ("string-detect", "A suspicious string was detected", 3),
    ("suspicious-filename-detect", "A suspicious filename was detected", 2),
    ("suspicious-login", "An attempted login using a suspicious username was detected", 2),
    ("system-call-detect", "A system call was detected", 2),
    ("tcp-connection", "A TCP connection was detected", 4),
    ("trojan-activity", "A Network Trojan was detected", 1),
    ("unusual-client-port-connection", "A client was using an unusual port", 2),
    ("network-scan", "Detection of a Network Scan", 3),
    ("denial-of-service", "Detection of a Denial of Service Attack", 2),
    ("non-standard-protocol", "Detection of a non-standard protocol or event", 2),
    ("protocol-command-decode", "Generic Protocol Command Decode", 3),
    ("web-application-activity", "access to a potentially vulnerable web application", 2),
    ("web-application-attack", "Web Application Attack", 1),
    ("misc-activity", "Misc activity", 3),
    ("misc-attack", "Misc Attack", 2),
    ("icmp-event", "Generic ICMP event", 3),
    ("inappropriate-content", "Inappropriate Content was Detected", 1),
    ("policy-violation", "Potential Corporate Privacy Violation", 1),
    ("default-login-attempt", "Attempt to login by a default username and password", 2),
    ("targeted-activity", "Targeted Malicious Activity was Detected", 1),
    ("exploit-kit", "Exploit Kit Activity Detected", 1),
    ("external-ip-check", "Device Retrieving External IP Address Detected", 2),
    ("domain-c2", "Domain Observed Used for C2 Detected", 1),
    ("pup-activity", "Possibly Unwanted Program Detected", 2),
    ("credential-theft", "Successful Credential Theft Detected", 1),
    ("social-engineering", "Possible Social Engineering Attempted", 2),
    ("coin-mining", "Crypto Currency Mining Activity Detected", 2),
    ("command-and-control", "Malware Command and Control Activity Detected", 1),
];

/// Descriptions and priorities of classes.
#[derive(Debug, Clone)]
pub struct Classes(BTreeMap<String, (String, u8)>);

impl Default for Classes {
    fn default() -> Self {
        Self(CLASSES.iter().map(|(name, text, priority)| ((*name).into(), ((*text).into(), *priority))).collect())
    }
}

impl Classes {
    /// The built-in classes, and those of a `classification.config`: lines `config classification: name,text,priority`.
    ///
    /// # Errors
    /// The line that is wrong, for people.
    pub fn with(text: &str) -> Result<Self, String> {
        let mut classes = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let fields = line.strip_prefix("config classification:").map(|rest| rest.split(',').map(str::trim));
            let fields: Vec<&str> = fields.into_iter().flatten().collect();
            let [name, description, priority] = fields[..] else {
                return Err(format!("classification: line {number}: not `config classification: name,text,priority`"));
            };
            match priority.parse::<u8>() {
                Ok(priority) if priority > 0 => {
                    classes.0.insert(name.to_string(), (description.to_string(), priority));
                }
                _ => return Err(format!("classification: line {number}: `{priority}` is no priority of 1 to 255")),
            }
        }
        Ok(classes)
    }

    /// Description and priority of a class.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<(&str, u8)> {
        self.0.get(name).map(|(text, priority)| (text.as_str(), *priority))
    }
}

/// A quoted text, its escapes undone.
pub fn quoted(value: &str) -> OptionResult<String> {
    let Some(text) = value.trim().strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return invalid!("the value is not in double quotes");
    };
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some(escaped @ ('"' | ';' | ':' | '\\')) => plain.push(escaped),
                Some(other) => plain.extend(['\\', other]),
                None => return invalid!("a backslash at the end"),
            },
            char => plain.push(char),
        }
    }
    Ok(plain)
}

/// `reference:system,id`.
pub fn reference(value: &str) -> OptionResult<(String, String)> {
    match value.split_once(',') {
        Some((system, id)) if !system.trim().is_empty() && !id.trim().is_empty() => {
            Ok((system.trim().to_string(), id.trim().to_string()))
        }
        _ => invalid!("a reference is written system,id"),
    }
}

/// `metadata:key value, key value`.
pub fn metadata(value: &str) -> Vec<(String, String)> {
    value
        .split(',')
        .map(|part| {
            let (key, value) = part.trim().split_once(char::is_whitespace).unwrap_or((part.trim(), ""));
            (key.to_string(), value.trim().to_string())
        })
        .filter(|(key, _)| !key.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_classes() {
        assert_eq!(quoted(r#""a\;b\"c\\""#).unwrap(), r#"a;b"c\"#);
        assert!(quoted("a").is_err());
        assert_eq!(reference("cve, 2020-1").unwrap(), ("cve".into(), "2020-1".into()));
        assert!(reference("cve").is_err());
        assert_eq!(metadata("a b, c")[0], ("a".into(), "b".into()));
        let classes = Classes::with("# x\nconfig classification: mine,My Class,2\n").unwrap();
        assert_eq!(classes.get("mine"), Some(("My Class", 2)));
        assert_eq!(classes.get("trojan-activity").unwrap().1, 1);
        assert!(Classes::with("config classification: mine,My Class,0").unwrap_err().contains("line 1"));
        assert!(Classes::with("\nnonsense").unwrap_err().contains("line 2"));
    }
}
