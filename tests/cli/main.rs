//! The binary as a user meets it: words, exit codes, and what it does when nothing answers.

mod capture;
mod config;
mod daemon;
mod lab;
mod modules;
mod ruleset;
mod samples;
mod sets;

use lab::{Lab, secuxflow};

#[test]
fn help_names_every_command_and_exit_code() {
    let help = secuxflow(&["--help"]);
    assert_eq!(help.code, 0);
    for word in
        ["run", "status", "rule", "set", "service", "module", "chain", "inspect", "alert", "config", "completions"]
    {
        assert!(help.out.lines().any(|line| line.trim_start().starts_with(word)), "{word}\n{}", help.out);
    }
    assert!(help.out.contains("Exit codes:") && help.out.contains("3  the daemon cannot be reached"), "{}", help.out);
    assert_eq!(secuxflow(&["rule", "add", "--help"]).code, 0);
    assert!(secuxflow(&["--version"]).out.starts_with("secuxflow "));
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for args in [
        &["rule", "add"][..],
        &["rule", "delete"],
        &["rule", "apply"],
        &["rule", "check"],
        &["rule", "import", "x"],
        &["rule", "explain", "--src", "10.0.0.1"],
        &["rule", "explain", "--src", "10.0.0.1", "--dst", "10.0.0.2", "--config", "x"],
        &["rule", "explain", "--src", "10.0.0.1", "--dst", "10.0.0.2", "--set", "office=x"],
        &["rule", "check", "x", "--set", "office"],
        &["rule", "check", "x", "--set", "Office=x"],
        &["rule", "add", "--action", "drop", "--ttl", "1h", "--expires", "2030-01-01T00:00:00Z"],
        &["burn"],
        &["status", "--colour"],
        &["inspect", "--proto", "tcp"],
        &["run", "--mode", "fast"],
        &["inspect", "--ip", "10.0.0.1", "--proto", "tcp", "--port", "x"],
    ] {
        let run = secuxflow(args);
        assert_eq!(run.code, 2, "{args:?}: {}", run.err);
        assert!(!run.err.is_empty() && run.out.is_empty());
    }
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = secuxflow(&["completions", shell]);
        assert_eq!(run.code, 0);
        assert!(run.out.contains("follow") && run.out.contains("fail-policy"), "{shell}");
    }
}

#[test]
fn without_a_daemon_every_command_says_so_with_exit_code_3() {
    let lab = Lab::new();
    let ruleset = lab.write("rules.toml", "rules = []\n");
    let ruleset = ruleset.to_str().unwrap();
    for args in [
        &["status"][..],
        &["rule", "list"],
        &["rule", "add", "--action", "drop"],
        &[
            "rule",
            "add",
            "--src",
            "@office",
            "--port",
            "80,443,8000-8080",
            "--proto",
            "tcp",
            "--tcp-flags",
            "syn,!ack",
            "--vlan",
            "none",
            "--ttl",
            "10m",
            "--monitor",
            "--disabled",
            "--priority",
            "-5",
            "--action",
            "drop",
        ],
        &["rule", "delete", "--id", "rule-1"],
        &["rule", "clear"],
        &["rule", "export"],
        &["rule", "apply", ruleset],
        &["rule", "apply", ruleset, "--dry-run", "--if-revision", "3"],
        &["rule", "explain", "--src", "10.0.0.1", "--dst", "10.0.0.2", "--port", "80"],
        &[
            "rule",
            "explain",
            "--src",
            "10.0.0.1",
            "--dst",
            "10.0.0.2",
            "--port",
            "80",
            "--vlan",
            "7",
            "--tcp-flags",
            "ack",
        ],
        &["set", "list"],
        &["set", "create", "drop", "--blocklist", "--comment", "daily"],
        &["set", "show", "drop"],
        &["set", "add", "drop", "10.0.0.0/8", "192.0.2.1", "--ttl", "10m"],
        &["set", "remove", "drop", "10.0.0.0/8"],
        &["set", "import", "drop", ruleset, "--strict", "--replace", "--ttl", "1h"],
        &["set", "clear", "drop"],
        &["set", "delete", "drop"],
        &["service", "list"],
        &["service", "delete", "web"],
        &["service", "add", "web", "--ip", "10.77.2.2", "--dev", "veth-web"],
        &["module", "list"],
        &["module", "info", "waf"],
        &["module", "load", "waf", ruleset, "--config", "{}", "--on-failure", "closed", "--deadline-ms", "9"],
        &["module", "reload", "waf", ruleset, "--heap-mib", "9", "--max-failures", "9"],
        &["module", "reload", "waf"],
        &["module", "reload", "waf", "--reset"],
        &["module", "unload", "waf"],
        &["chain", "list"],
        &["chain", "create", "web", "--module", "a", "--module", "b:mode=monitor,on_failure=closed,deadline_ms=9"],
        &["chain", "set", "web", "--empty"],
        &["chain", "set", "web", "--reset"],
        &["chain", "delete", "web"],
        &["inspect", "--ip", "192.168.1.1", "--port", "443", "--proto", "tcp"],
        &["alert", "list"],
        &["alert", "follow"],
    ] {
        let run = lab.client(args);
        assert_eq!(run.code, 3, "{args:?}: {}", run.err);
        assert!(run.err.contains("no daemon answers") && run.err.contains("s.sock"), "{}", run.err);
        assert!(run.err.contains("secuxflow run"), "{}", run.err);
    }
}

#[test]
fn the_socket_may_come_from_the_environment_and_errors_may_be_json() {
    let run = lab::run(lab::command(&["status", "--json"]).env("SECUXFLOW_SOCKET", "/none/there.sock"));
    assert_eq!(run.code, 3);
    let error: serde_json::Value = serde_json::from_str(&run.err).unwrap();
    assert!(error["error"]["message"].as_str().unwrap().contains("/none/there.sock"), "{error}");
}

#[test]
fn alone_it_says_how_to_begin() {
    if std::path::Path::new("/etc/secuxflow/secuxflow.toml").exists() {
        return;
    }
    let run = secuxflow(&[]);
    assert_eq!(run.code, 2);
    assert!(run.out.contains("secuxflow run --interface") && run.out.contains("Usage:"), "{}", run.out);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let mut child = lab::command(&["completions", "zsh"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
}
