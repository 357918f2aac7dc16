//! A module's place in a chain as it is written: its name, or a table with what is particular in this chain.

use std::{fmt, time::Duration};

use secuxflow::plane::ChainStep;
use serde::{Deserialize, Serialize, de};

use crate::config::{Enforcement, FailPolicyName};

/// Range of `deadline_ms`.
pub(super) const DEADLINES: std::ops::RangeInclusive<i64> = 1..=60_000;

/// See the module. `"waf"` means `{"module": "waf"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct StepSpec {
    /// Name of the module.
    pub(crate) module: String,
    /// Whether it drops, or only counts and tells.
    pub(crate) mode: Enforcement,
    /// What becomes of packets that it fails on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_failure: Option<FailPolicyName>,
    /// Most processor time for one call, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deadline_ms: Option<i64>,
}

impl StepSpec {
    /// What is meant.
    ///
    /// # Errors
    /// The field and the rule that it breaks.
    pub(crate) fn check(&self) -> Result<ChainStep, (&'static str, String)> {
        if let Some(ms) = self.deadline_ms.filter(|ms| !DEADLINES.contains(ms)) {
            return Err(("deadline_ms", format!("{ms} is not within {} to {}", DEADLINES.start(), DEADLINES.end())));
        }
        Ok(ChainStep {
            module: self.module.clone(),
            monitor: self.mode == Enforcement::Monitor,
            on_failure: self.on_failure.map(Into::into),
            deadline: self.deadline_ms.map(|ms| Duration::from_millis(ms.unsigned_abs())),
        })
    }
}

impl From<&ChainStep> for StepSpec {
    fn from(step: &ChainStep) -> Self {
        Self {
            module: step.module.clone(),
            mode: if step.monitor { Enforcement::Monitor } else { Enforcement::Enforce },
            on_failure: step.on_failure.map(Into::into),
            deadline_ms: step.deadline.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX)),
        }
    }
}

impl fmt::Display for StepSpec {
    /// As the command line takes it: `waf:mode=monitor,deadline_ms=20`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = (self.mode == Enforcement::Monitor).then(|| "mode=monitor".to_owned());
        let policy = self.on_failure.map(|policy| format!("on_failure={}", policy.word()));
        let deadline = self.deadline_ms.map(|ms| format!("deadline_ms={ms}"));
        let options: Vec<_> = [mode, policy, deadline].into_iter().flatten().collect();
        f.write_str(&self.module)?;
        if options.is_empty() { Ok(()) } else { write!(f, ":{}", options.join(",")) }
    }
}

impl std::str::FromStr for StepSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (module, options) = text.split_once(':').unwrap_or((text, ""));
        super::check_name(module)?;
        let mut table = serde_json::Map::from_iter([("module".to_owned(), module.into())]);
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').ok_or_else(|| format!("'{option}': KEY=VALUE expected"))?;
            let value = value.parse::<i64>().map_or_else(|_| value.into(), serde_json::Value::from);
            if table.insert(key.to_owned(), value).is_some() {
                return Err(format!("'{key}' is given twice"));
            }
        }
        let step: Self = serde_json::from_value(table.into()).map_err(|e| e.to_string())?;
        step.check().map_err(|(field, rule)| format!("{field}: {rule}"))?;
        Ok(step)
    }
}

// By hand, because an untagged enum would not tell which key is wrong.
impl<'de> Deserialize<'de> for StepSpec {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            module: String,
            #[serde(default)]
            mode: Enforcement,
            on_failure: Option<FailPolicyName>,
            deadline_ms: Option<i64>,
        }

        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = StepSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a module, or a table with `module`")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<StepSpec, E> {
                Ok(StepSpec {
                    module: name.to_owned(),
                    mode: Enforcement::Enforce,
                    on_failure: None,
                    deadline_ms: None,
                })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<StepSpec, A::Error> {
                let Table { module, mode, on_failure, deadline_ms } =
                    Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(StepSpec { module, mode, on_failure, deadline_ms })
            }
        }
        from.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_step_is_a_name_or_a_table() {
        let of = |value| serde_json::from_value::<StepSpec>(value).map_err(|e| e.to_string());
        assert_eq!(of(json!("waf")), of(json!({"module": "waf", "mode": "enforce"})));
        let all = json!({"module": "waf", "mode": "monitor", "on_failure": "closed", "deadline_ms": 20});
        let step = of(all.clone()).unwrap();
        assert_eq!(serde_json::to_value(&step).unwrap(), all);
        assert_eq!(StepSpec::from(&step.check().unwrap()), step);
        assert_eq!(step.to_string().parse(), Ok(step));
        assert_eq!("a.b".parse::<StepSpec>().unwrap().to_string(), "a.b");
        for (bad, word) in [
            (json!({"mode": "monitor"}), "module"),
            (json!({"module": "waf", "mod": 1}), "mod"),
            (json!({"module": "waf", "mode": "off"}), "off"),
            (json!(7), "name of a module"),
        ] {
            assert!(of(bad).unwrap_err().contains(word), "{word}");
        }
        for (bad, word) in [
            ("", "no name"),
            ("waf:monitor", "KEY=VALUE"),
            ("waf:mode=off", "off"),
            ("waf:deadline_ms=0", "deadline_ms: 0"),
            ("waf:deadline_ms=x", "x"),
            ("waf:mode=monitor,mode=monitor", "twice"),
            ("waf:module=x", "twice"),
        ] {
            let error = bad.parse::<StepSpec>().unwrap_err();
            assert!(error.contains(word), "{bad}: {error}");
        }
    }
}
