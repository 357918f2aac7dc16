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
        run.err.contains(
            "rule[1] (line 6, rule-9) (inspect) never matches: rule[0] (line 1) (drop) comes before it by priority"
        ),
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
    let rules = rules["rules"].as_array().unwrap();
    assert_eq!((rules.len(), &rules[1]["port"]), (3, &"80,443,8000-8080".into()));
    let first: Value = serde_json::from_str(run.err.lines().next().unwrap()).unwrap();
    assert_eq!(first["number"], 5);

    let run = lab::secuxflow(&["rule", "import", "--from", "nft", "--partial", &fixture("nft.json")]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains("element 9: @bad: named sets are not imported; make one of ours"), "{}", run.err);
    assert_eq!(piped(&["rule", "check", "-"], &run.out).code, 0);
    let run = lab::secuxflow(&["rule", "import", "--from", "nft", &partial]);
    assert_eq!(run.code, 4, "it is not what nft writes: {}", run.err);
}

#[test]
fn sets_of_a_file_are_read_from_files_or_told() {
    let lab = Lab::new();
    let rules = "[[rule]]\naction = \"drop\"\nsrc = \"@bad\"\n\n[[rule]]\naction = \"pass\"\ndst = \"@office\"\n";
    lab.write("rules.toml", rules);
    let bad = lab.write("bad.txt", "# a feed\n10.1.0.0/16\n2001:db8::/32 # six\n");
    let office = lab.write("office.txt", "192.0.2.0/24\n");
    let (bad, office) = (format!("bad={}", bad.display()), format!("office={}", office.display()));

    let run = rule(&lab, &["check"], "rules.toml");
    assert!(run.code == 0 && run.out.contains("not checked, see --set: @bad, @office"), "{}{}", run.out, run.err);
    let run = rule(&lab, &["check", "--set", &bad, "--json"], "rules.toml");
    let told: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(told["sets_unchecked"], serde_json::json!(["office"]));
    let run = rule(&lab, &["check", "--set", &bad, "--set", &office], "rules.toml");
    assert!(run.code == 0 && !run.out.contains("--set"), "{}", run.out);

    let ask = ["explain", "--src", "10.1.2.3", "--dst", "192.0.2.1", "--port", "80", "--set", &bad];
    let run = rule(&lab, &[&ask[..], &["--file"]].concat(), "rules.toml");
    assert_eq!((run.code, &*run.out), (4, ""));
    assert!(run.err.contains("sets are not known here: @office; give each with --set NAME=FILE"), "{}", run.err);
    let run = rule(&lab, &[&ask[..], &["--set", &office, "--file"]].concat(), "rules.toml");
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(lines[0], "pass: rule[1] is the first that matches", "{}", run.err);
    assert_eq!(lines[1], "* rule[1] (pass) matches, before rule[0] by dst: @office is more specific than any");

    let broken = lab.write("broken.txt", "10.0.0.0/8\nnonsense\n");
    let run = rule(&lab, &["check", "--set", &format!("bad={}", broken.display())], "rules.toml");
    assert_eq!(run.code, 4);
    assert!(run.err.contains("broken.txt: line 2: 'nonsense'"), "{}", run.err);
}

#[test]
fn a_packet_is_explained_with_flags_vlan_and_what_is_monitored() {
    let lab = Lab::new();
    let rules = "[[rule]]\naction = \"drop\"\nproto = \"tcp\"\ntcp_flags = [\"syn\", \"!ack\"]\nmonitor = true\n\n\
                 [[rule]]\naction = \"drop\"\nvlan = 100\nport = [80, 443]\n";
    lab.write("rules.toml", rules);
    let ask = |more: &[&str]| {
        let ask = ["explain", "--src", "10.1.2.3", "--dst", "192.0.2.1", "--port", "80"];
        let run = rule(&lab, &[&ask[..], more, &["--file"]].concat(), "rules.toml");
        assert_eq!(run.code, 0, "{}", run.err);
        run.out
    };
    let told = ask(&[]);
    assert!(told.starts_with("pass: the default action, no rule matches and is enforced\n"), "{told}");
    assert!(told.contains("rule[0] would drop, monitored: the packet is counted and goes on\n"), "{told}");
    assert!(told.contains("* rule[0] (drop) would drop, monitored\n"), "a syn unless told otherwise: {told}");
    let told = ask(&["--vlan", "100", "--tcp-flags", "ack"]);
    assert!(told.starts_with("drop: rule[1] is the first that matches\n"), "{told}");
    assert!(told.contains("  rule[0] (drop) tcp_flags does not match\n"), "{told}");
}

#[test]
fn bad_input_is_refused_with_its_place_and_contradictions_are_only_told() {
    let lab = Lab::new();
    for (fields, words) in [
        ("port = \"90-80\"", "rule[0].port (line 1): port '90-80': the range is reversed; did you mean 80-90?"),
        ("src = \"10.0.0.0/8\"\ndst = \"fd00::/8\"", "rule[0].src (line 1): src, dst: 10.0.0.0/8 and fd00::/8 are of"),
        ("src = \"@Bad Name\"", "rule[0].src (line 1): src '@Bad Name': a set's name is 1 to 32 of"),
        ("tcp_flags = \"syn\"", "rule[0].tcp_flags (line 1): tcp_flags, proto: only tcp has flags"),
        (
            "expires = \"2020-01-01T00:00:00Z\"",
            "rule[0].expires (line 1): expires '2020-01-01T00:00:00Z': that is in the",
        ),
        ("expires = 2030-01-01T00:00:00", "rule[0].expires (line 1): expires '2030-01-01T00:00:00': a time such as"),
    ] {
        lab.write("bad.toml", &format!("[[rule]]\naction = \"drop\"\n{fields}\n"));
        let run = rule(&lab, &["check"], "bad.toml");
        assert_eq!((run.code, &*run.out), (4, ""), "{fields}");
        assert!(run.err.contains(words), "{fields}: {}", run.err);
    }
    lab.write("both.toml", "[[rule]]\naction = \"drop\"\nport = 80\n\n[[rule]]\naction = \"pass\"\nport = 80\n");
    let run = rule(&lab, &["check"], "both.toml");
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(
        run.err.contains("rule[1] (line 5) (pass) never matches: rule[0] (line 1) (drop) comes before it by id"),
        "{}",
        run.err
    );
}

#[test]
fn half_a_file_and_a_rule_too_many_are_refused() {
    let lab = Lab::new();
    let toml = "[[rule]]\naction = \"drop\"\nsrc = \"10.0.0.0/8\"\n";
    let json = "{\"rules\": [{\"action\": \"drop\", \"src\": \"10.0.0.0/8\"}]}";
    for (name, text, cuts) in [("half.toml", toml, 1..toml.len() - 2), ("half.json", json, 1..json.len() - 1)] {
        for cut in cuts.step_by(3) {
            lab.write(name, &text[..cut]);
            let run = rule(&lab, &["check"], name);
            // TOML that ends with a line is whole as far as anybody can tell.
            let whole = name.ends_with("toml") && (text[..cut].ends_with('\n') || text[cut..].starts_with('\n'));
            let known = run.code == 0 || run.err.contains("rule[0].action");
            assert!(run.code == 4 || (whole && known), "{name} cut at {cut}: {}", run.out);
        }
    }
    let rule_of = |n: u32| format!("[[rule]]\naction = \"drop\"\nsrc = \"{}\"\n", std::net::Ipv4Addr::from(n << 8));
    let many: String = (1..=16_385).map(rule_of).collect();
    lab.write("many.toml", &many);
    let run = rule(&lab, &["check"], "many.toml");
    assert_eq!(run.code, 4);
    assert!(run.err.contains("16385 enabled rules: at most 16384 fit; delete or disable some"), "{}", run.err);
}
