//! Files of rules without a daemon: `rule check`, `rule explain --file`, `rule import`, and `rule apply` of a bad one.

use std::io::Write;

use serde_json::Value;

use super::lab::{self, Lab, Run};

const GOOD: &str = "[[rule]]\naction = \"drop\"\nsrc = \"10.0.0.0/8\"\npriority = 5\n\n\
                    [[rule]]\nid = \"rule-9\"\naction = \"inspect\"\nchain = \"waf\"\nsrc = \"10.1.0.0/16\"\n";
const BAD: &str = "[[rule]]\naction = \"drop\"\nport = 70000\n\n[[rule]]\naction = \"burn\"\nsrc = \"10.0.0.1/8\"\n";

fn rule(lab: &Lab, args: &[&str], file: &str) -> Run {
    lab::run(lab::command(&["rule"]).args(args).arg(lab.path(file)))
}

fn piped(args: &[&str], text: &str) -> Run {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().write_all(text.as_bytes()).unwrap();
    lab::run(lab::command(args).stdin(std::fs::File::open(file.path()).unwrap()))
}

#[test]
fn a_good_file_is_exit_code_0_with_its_warnings() {
    let lab = Lab::new();
    lab.write("good.toml", GOOD);
    let run = rule(&lab, &["check"], "good.toml");
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("valid, 2 rules, 2 enabled, 1 warnings"), "{}", run.out);
    assert!(
        run.err.contains("rule-9 (inspect) never matches: rule[0] (drop) comes before it by priority"),
        "{}",
        run.err
    );
    let run = rule(&lab, &["check", "--json"], "good.toml");
    let told: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&told["valid"], &told["rules"], &told["chains_checked"]), (&true.into(), &2.into(), &false.into()));
    assert_eq!(told["warnings"].as_array().unwrap().len(), 1);
}

#[test]
fn a_bad_file_is_exit_code_4_and_every_mistake_is_told() {
    let lab = Lab::new();
    lab.write("bad.toml", BAD);
    for args in [&["check"][..], &["apply"], &["apply", "--dry-run"]] {
        let run = rule(&lab, args, "bad.toml");
        assert_eq!((run.code, &*run.out), (4, ""), "{args:?}: {}", run.err);
        for words in ["rule[0].port (line 1): port '70000'", "rule[1].action (line 5)", "rule[1].src (line 5)"] {
            assert!(run.err.contains(words), "{args:?}: {}", run.err);
        }
    }
    let run = rule(&lab, &["check", "--json"], "bad.toml");
    let told: Value = serde_json::from_str(&run.err).unwrap();
    assert_eq!((run.code, &told["error"]["field"]), (4, &"rule[0].port".into()));
    assert_eq!(told["error"]["faults"].as_array().unwrap().len(), 3);
    assert_eq!(rule(&lab, &["check"], "none.toml").code, 4);
    assert_eq!(piped(&["rule", "check", "-"], "").code, 4);
    assert_eq!(piped(&["rule", "check", "-"], "{\"rules\": []}").code, 0);
}

#[test]
fn chains_are_checked_against_a_configuration() {
    let lab = Lab::new();
    lab.write("good.toml", GOOD);
    let config = lab.write("secuxflow.toml", "interfaces = [\"eth0\"]\n[[chain]]\nname = \"default\"\n");
    let run = rule(&lab, &["check", "--config", config.to_str().unwrap()], "good.toml");
    assert_eq!(run.code, 4);
    assert!(run.err.contains("rule[1].chain (line 6): chain 'waf': there is no such chain"), "{}", run.err);
}

#[test]
fn a_packet_is_explained_by_a_file() {
    let lab = Lab::new();
    let file = lab.write("good.toml", GOOD);
    let ask = ["rule", "explain", "--src", "10.1.2.3", "--dst", "192.0.2.1", "--port", "80", "--file"];
    let run = lab::run(lab::command(&ask).arg(&file));
    assert_eq!(run.code, 0, "{}", run.err);
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(lines[0], "drop: rule[0] is the first that matches");
    assert_eq!(lines[1], "* rule[0] (drop) matches, before rule-9 by priority: 5 is higher than 0");
    let run = lab::run(lab::command(&ask).arg(&file).arg("--json"));
    let told: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&told["rule"], &told["candidates"][0]["field"]), (&"rule[0]".into(), &"priority".into()));

    let config = lab.write("secuxflow.toml", "interfaces = [\"eth0\"]\ndefault_action = \"drop\"\n[[chain]]\nname = \"default\"\n[[chain]]\nname = \"waf\"\n");
    let other = ["rule", "explain", "--src", "11.1.2.3", "--dst", "192.0.2.1", "--proto", "icmp", "--file"];
    let run = lab::run(lab::command(&other).arg(&file).arg("--config").arg(config));
    assert!(run.out.starts_with("drop: the default action, no rule matches\n"), "{}{}", run.out, run.err);
    let wrong = ["rule", "explain", "--src", "10.1.2.3", "--dst", "fd00::1", "--port", "80", "--file"];
    assert_eq!(lab::run(lab::command(&wrong).arg(&file)).code, 1);
}

#[test]
fn an_import_is_checked_by_check_and_partial_only_when_asked() {
    let fixture = |name: &str| format!("{}/src/ruleset/import/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let run = lab::secuxflow(&["rule", "import", "--from", "iptables-save", &fixture("iptables-clean.txt")]);
    assert_eq!((run.code, &*run.err), (0, ""));
    let checked = piped(&["rule", "check", "-"], &run.out);
    assert_eq!(checked.code, 0, "{}", checked.err);

    let partial = fixture("iptables-save.txt");
    let run = lab::secuxflow(&["rule", "import", "--from", "iptables-save", &partial]);
    assert_eq!((run.code, &*run.out), (1, ""), "{}", run.err);
    assert!(run.err.contains("line 12: -m conntrack") && run.err.contains("11 line(s) did not map"), "{}", run.err);
    let run = lab::secuxflow(&["rule", "import", "--from", "iptables-save", "--partial", "--json", &partial]);
    assert_eq!(run.code, 0, "{}", run.err);
    let rules: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(rules["rules"].as_array().unwrap().len(), 5);
    let first: Value = serde_json::from_str(run.err.lines().next().unwrap()).unwrap();
    assert_eq!(first["number"], 5);

    let run = lab::secuxflow(&["rule", "import", "--from", "nft", "--partial", &fixture("nft.json")]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains("element 9: @bad: rules know no named sets"), "{}", run.err);
    assert_eq!(piped(&["rule", "check", "-"], &run.out).code, 0);
    let run = lab::secuxflow(&["rule", "import", "--from", "nft", &partial]);
    assert_eq!(run.code, 4, "it is not what nft writes: {}", run.err);
}
