//! Custom sections: what a module is, and the schema of its configuration.

use super::support::{Bench, chain, guest, module};
use crate::inspect::Inspector;

/// A guest with custom sections.
fn with(sections: &[(&str, &str)]) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let sections = sections.iter().map(|(name, text)| format!("(@custom \"{name}\" \"{}\")", escaped(text)));
    guest("").replacen("(module", &format!("(module {}", sections.collect::<String>()), 1)
}

fn load(sections: &[(&str, &str)], json: &str) -> Result<Bench, String> {
    let (mut config, _file) = module("schemed", &with(sections));
    config.config = json.to_owned();
    Bench::try_new(&[config]).map_err(|error| error.to_string())
}

const SCHEMA: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "additionalProperties": false,
    "properties": {
        "ports": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}, "uniqueItems": true},
        "mode": {"enum": ["learn", "block"]}, "name": {"type": "string", "pattern": "^[a-z]+$"}
    }
}"#;

#[test]
fn a_configuration_that_does_not_fit_is_refused_by_field_and_rule() {
    let load = |json: &str| load(&[("sxf_schema", SCHEMA)], json);
    for good in ["", "{}", r#"{"ports": [80, 443], "mode": "learn", "name": "web"}"#] {
        assert_eq!(load(good).err(), None, "{good}");
    }
    for (bad, words) in [
        (r#"{"ports": [80, 0]}"#, &["schemed", "/ports/1", "less than the minimum of 1"][..]),
        (r#"{"ports": [80, 80]}"#, &["/ports", "non-unique"]),
        (r#"{"mode": "off"}"#, &["/mode", "\"learn\" or \"block\""]),
        (r#"{"name": "Web"}"#, &["/name", "does not match"]),
        (r#"{"port": 80}"#, &["/: ", "Additional properties", "'port'"]),
        (r#"{"ports": 80, "mode": 1}"#, &["/ports: 80 is not of type \"array\"", "/mode: "]),
        ("[]", &["/: ", "is not of type \"object\""]),
        ("{", &["is no JSON", "line 1"]),
        (r#"{"ports": [0, 0.5, -1, "a", 65536, 70000]}"#, &["and "]),
    ] {
        let error = load(bad).err().unwrap_or_else(|| panic!("{bad} is accepted"));
        for word in words {
            assert!(error.contains(word), "{bad}: {word:?} is not in: {error}");
        }
    }
}

#[test]
fn sections_that_cannot_be_read_are_refused() {
    let long = format!("{{\"title\": \"{}\"}}", "x".repeat(256 << 10));
    let name = format!("{{\"name\": \"{}\"}}", "x".repeat(1025));
    for (sections, words) in [
        (&[("sxf_schema", "{")][..], "its section sxf_schema is no JSON"),
        (&[("sxf_schema", r#"{"type": "integr"}"#)], "is no JSON Schema"),
        (&[("sxf_schema", r#"{"pattern": "("}"#)], "is no JSON Schema"),
        (&[("sxf_schema", r#"{"$ref": "https://example.org/schema.json"}"#)], "is no JSON Schema"),
        (&[("sxf_schema", r##"{"$ref": "#/$defs/none"}"##)], "is no JSON Schema"),
        (&[("sxf_schema", &long)], "at most 262144 are read"),
        (&[("sxf_schema", "{}"), ("sxf_schema", "{}")], "two sections sxf_schema"),
        (&[("sxf_about", "[]")], "its section sxf_about: it must be a JSON object"),
        (&[("sxf_about", r#"{"version": 1}"#)], "its section sxf_about: invalid type: integer"),
        (&[("sxf_about", &name)], "name has 1025 bytes"),
    ] {
        let error = load(sections, "").err().unwrap_or_else(|| panic!("{words}: accepted"));
        assert!(error.contains(words) && error.contains("schemed"), "{words:?} is not in: {error}");
    }
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    for schema in [
        r##"{"$ref": "#"}"##,
        r##"{"allOf": [{"$ref": "#"}]}"##,
        r##"{"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}"##,
        r##"{"properties": {"a": {"$ref": "#"}}, "not": {"$ref": "#"}}"##,
        r##"{"$dynamicAnchor": "x", "$dynamicRef": "#x"}"##,
    ] {
        // Either way is fine; what must not happen is that the daemon ends with it.
        let _ = load(&[("sxf_schema", schema)], r#"{"a": {"a": {}}}"#);
    }
}

#[test]
fn what_a_module_is_stands_in_its_status() {
    let about = r#"{"name": "guard", "version": "1.2", "description": "looks", "homepage": "ignored"}"#;
    let (config, _file) = module("mine", &with(&[("sxf_about", about)]));
    let modules = [config];
    let inspector = Inspector::new(&modules, &[chain(&modules)], 1).unwrap();
    let status = inspector.status().remove(0);
    assert_eq!((status.name.as_str(), status.about.name.as_str()), ("mine", "guard"));
    assert_eq!((status.about.version.as_str(), status.about.description.as_str()), ("1.2", "looks"));
}
