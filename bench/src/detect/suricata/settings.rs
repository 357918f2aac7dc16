//! What a test asks of Suricata by arguments and `suricata.yaml`, as far as it bears on detection.

use std::collections::BTreeMap;

use serde_json::Value;

/// Settings of a run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// Drop and reject as the rules say, and look at packets before they are acknowledged.
    pub(super) inline: bool,
    /// Wrong checksums are ignored.
    pub(super) ignore_checksums: bool,
    /// Streams whose beginning was not seen are followed.
    pub(super) midstream: bool,
    /// Every packet of a dropped flow makes an event, not one for each direction.
    pub(super) every_drop: bool,
    /// Variables of rules.
    pub(super) vars: BTreeMap<String, String>,
    /// Order of the rules' actions, where it is given.
    pub(super) action_order: Option<Vec<String>>,
    /// Most alerts of a packet, where it is given.
    pub(super) alerts: Option<u64>,
    /// A setting that bears on detection, and that ours has not.
    pub(super) foreign: Option<&'static str>,
    /// A file of rules.
    pub(super) rules: Option<String>,
}

/// Settings that change how much is logged, or that ours has no need of.
const HARMLESS: [&str; 10] = [
    "outputs",
    "logging",
    "stats",
    "default-rule-path",
    "detect.prefilter",
    "stream.reassembly.depth",
    "stream.checksum-validation",
    "app-layer.protocols",
    "classification-file",
    "reference-config-file",
];

/// Keys of `suricata.yaml`: what ends make of overlapping segments, and sets of rules by VLAN.
const FOREIGN: [&str; 2] = ["host-os-policy", "multi-detect"];

impl Settings {
    /// Take `suricata.yaml` over.
    pub(super) fn file(&mut self, yaml: &Value) {
        for group in ["address-groups", "port-groups"] {
            let group = yaml.pointer(&format!("/vars/{group}")).and_then(Value::as_object);
            for (name, value) in group.into_iter().flatten() {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                self.vars.insert(name.clone(), text);
            }
        }
        if let Some(order) = yaml.get("action-order").and_then(Value::as_array) {
            self.action_order = Some(order.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        }
        self.foreign = FOREIGN.into_iter().find(|name| yaml.get(name).is_some()).or(self.foreign);
        self.alerts = yaml.get("packet-alert-max").and_then(Value::as_u64).or(self.alerts);
        self.midstream |= yaml.pointer("/stream/midstream").is_some_and(is_true);
        self.inline |= yaml.pointer("/stream/inline").is_some_and(is_true);
        self.every_drop |= flows_of_drop(yaml).is_some_and(|flows| flows == "all");
        let named = yaml.get("rule-files").and_then(Value::as_array).and_then(|files| files.first());
        if let Some(name) = named.and_then(Value::as_str) {
            self.rules.get_or_insert_with(|| name.to_owned());
        }
    }

    /// Take arguments over.
    ///
    /// # Errors
    /// The argument that asks for what ours does not do.
    pub(super) fn arguments(&mut self, arguments: &[String]) -> Result<(), String> {
        let words: Vec<&str> = arguments.iter().flat_map(|text| text.split_whitespace()).collect();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word {
                "-k" => self.ignore_checksums = words.next() == Some("none"),
                "--simulate-ips" => self.inline = true,
                "-S" | "-s" => self.rules = words.next().map(|file| file.replace("${TEST_DIR}/", "")),
                "--set" => self.set(words.next().unwrap_or_default())?,
                "-l" | "-c" | "--data-dir" => _ = words.next(),
                "--runmode=single" | "--runmode=autofp" | "-v" | "-vv" | "-vvv" | "-vvvv" => {}
                _ => {
                    if let Some(set) = word.strip_prefix("--set=") {
                        self.set(set)?;
                    } else if !word.starts_with("--data-dir=") {
                        return Err(word.to_owned());
                    }
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, assignment: &str) -> Result<(), String> {
        let (name, value) = assignment.split_once('=').unwrap_or((assignment, ""));
        let value = value.trim_matches(['"', '\'']);
        let on = matches!(value, "true" | "yes" | "1" | "on");
        match name {
            "stream.midstream" => self.midstream = on,
            "stream.inline" => self.inline = on,
            "packet-alert-max" => self.alerts = Some(value.parse().map_err(|_| format!("--set {assignment}"))?),
            _ if name.starts_with("vars.address-groups.") || name.starts_with("vars.port-groups.") => {
                let variable = name.rsplit('.').next().unwrap_or_default();
                self.vars.insert(variable.to_owned(), value.to_owned());
            }
            _ if HARMLESS.iter().any(|harmless| name.starts_with(harmless)) => {}
            _ => return Err(format!("--set {name}={value}")),
        }
        Ok(())
    }
}

/// `flows` of the drop log, where there is one.
fn flows_of_drop(yaml: &Value) -> Option<&str> {
    let types =
        yaml.get("outputs")?.as_array()?.iter().filter_map(|output| output.pointer("/eve-log/types")?.as_array());
    types.flatten().find_map(|kind| kind.pointer("/drop/flows")?.as_str())
}

/// YAML 1.1 has words for true that YAML 1.2 takes for text.
fn is_true(value: &Value) -> bool {
    matches!(value, Value::Bool(true)) || matches!(value.as_str(), Some("yes" | "true" | "on"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arguments(of: &[&str]) -> Result<Settings, String> {
        let mut settings = Settings::default();
        settings.arguments(&of.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())?;
        Ok(settings)
    }

    #[test]
    fn arguments_are_understood_or_named() {
        let settings =
            arguments(&["-k none", "--simulate-ips", "--set stream.midstream=true --runmode=single"]).unwrap();
        assert!(settings.ignore_checksums && settings.inline && settings.midstream);
        let settings =
            arguments(&["-S ${TEST_DIR}/my.rules", "--set vars.address-groups.HOME_NET=\"10.0.0.0/8\""]).unwrap();
        assert_eq!((settings.rules.as_deref(), settings.vars["HOME_NET"].as_str()), (Some("my.rules"), "10.0.0.0/8"));
        assert_eq!(arguments(&["--engine-analysis"]), Err("--engine-analysis".to_owned()));
        assert_eq!(
            arguments(&["--set stream.midstream-policy=bypass"]),
            Err("--set stream.midstream-policy=bypass".to_owned())
        );
        assert_eq!(arguments(&[]), Ok(Settings::default()));
    }

    #[test]
    fn a_file_gives_variables_order_and_streams() {
        let mut settings = Settings::default();
        settings.file(&json!({
            "vars": {"address-groups": {"HOME_NET": "[10.0.0.0/8]"}, "port-groups": {"HTTP_PORTS": 80}},
            "action-order": ["drop", "pass", "reject", "alert"],
            "stream": {"midstream": "yes", "inline": true},
            "outputs": [{"eve-log": {"types": ["alert", {"drop": {"alerts": "yes", "flows": "all"}}]}}],
            "rule-files": ["suricata.rules"], "packet-alert-max": 6, "host-os-policy": {"linux": []},
        }));
        assert_eq!(settings.foreign, Some("host-os-policy"));
        assert_eq!(settings.alerts, Some(6));
        assert_eq!((settings.vars["HOME_NET"].as_str(), settings.vars["HTTP_PORTS"].as_str()), ("[10.0.0.0/8]", "80"));
        assert_eq!(settings.action_order.unwrap()[0], "drop");
        assert!(settings.midstream && settings.inline && settings.every_drop);
        assert_eq!(settings.rules.as_deref(), Some("suricata.rules"));
    }
}
