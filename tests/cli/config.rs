//! `secuxflow config check`.

use super::lab::{self, Lab};

#[test]
fn the_example_is_valid() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/secuxflow.example.toml");
    let run = lab::secuxflow(&["config", "check", path]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("valid") && run.out.contains("eth0") && run.out.contains("127.0.0.1:9477"), "{}", run.out);
    let run = lab::secuxflow(&["config", "check", path, "--json"]);
    let summary: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&summary["valid"], &summary["interfaces"][0]), (&true.into(), &"eth0".into()));
}

#[test]
fn mistakes_are_exit_code_4_and_named_by_key() {
    let lab = Lab::new();
    for (text, words) in [
        ("interfaces = []", "interfaces: at least one"),
        ("interface = [\"eth0\"]", "unknown field `interface`"),
        ("interfaces = [\"eth0\"]\n[umem]\nring = 1000", "umem.ring: 1000 is not a power of two"),
        ("interfaces = [\"eth0\"]\n[umem]\nframes = 512", "umem.frames: 512 frames are too few"),
        ("interfaces = [\"eth0\"]\n[workers]\nbatch = 4096", "workers.batch: 4096 is not within 1 to 512"),
        ("interfaces = [\"eth0\"]\n[metrics]\nlisten = \"here\"", "metrics.listen: 'here'"),
        ("interfaces = [\"eth0\"]\nmode = \"turbo\"", "unknown variant `turbo`"),
        ("interfaces = [\"eth0\"]\nfail_policy = 1", "line 2"),
        ("interfaces = [\"eth0\"]\n[[module]]\nname = \"a\"\npath = \"a.wasm\"", "module[0].path"),
        ("interfaces = [\"eth0\"]\n[[chain]]\nname = \"default\"\nmodules = [\"a\"]", "there is no module 'a'"),
        ("interfaces = [\"eth0\"]\n[[chain]]\nname = \"a\"", "must be named 'default'"),
        ("interfaces = [", "line 1"),
    ] {
        let run = lab.check(text);
        assert_eq!(run.code, 4, "{text}: {}", run.err);
        assert!(run.err.contains(words), "{text}: {}", run.err);
        assert_eq!(run.out, "");
    }
    let run = lab::secuxflow(&["config", "check", "/none/secuxflow.toml"]);
    assert_eq!(run.code, 4);
    assert!(run.err.contains("/none/secuxflow.toml"), "{}", run.err);
}

/// Programs that ask for JSON get every complaint as JSON, that about the command line included.
#[test]
fn a_wrong_command_line_is_exit_code_2_and_json_where_asked_for() {
    for args in [
        &["rule", "list", "--bogus", "--json"][..],
        &["--json", "rule", "add"],
        &["--json", "rule", "add", "--action", "drop", "--priority", "high"],
        &["--json", "launch"],
    ] {
        let run = lab::secuxflow(args);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{args:?}: {}", run.err);
        let told: serde_json::Value =
            serde_json::from_str(&run.err).unwrap_or_else(|e| panic!("{args:?}: {e}: {}", run.err));
        assert_eq!(told["error"]["code"], "bad_request", "{args:?}");
        assert!(told["error"]["message"].as_str().is_some_and(|text| !text.starts_with("error")), "{args:?}: {told}");
    }
    let run = lab::secuxflow(&["rule", "list", "--bogus"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("'--bogus'") && run.err.contains("Usage: secuxflow rule list"), "{}", run.err);
    let help = lab::secuxflow(&["rule", "add", "--help", "--json"]);
    assert!(help.code == 0 && help.out.contains("--priority"), "{}", help.out);
}
