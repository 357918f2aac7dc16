//! `module` and `chain`: what needs no daemon, and what the command line itself refuses.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use serde_json::Value;

use super::lab::{self, Lab, names};

/// Passes all; its configuration may have a port.
const SCHEMED: &str = concat!(
    include_str!("../guest_head.wat"),
    r#"  (@custom "sxf_schema" "{\"properties\": {\"port\": {\"type\": \"integer\"}}, \"additionalProperties\": false}")
  (@custom "sxf_about" "{\"name\": \"schemed\", \"version\": \"1.2\", \"description\": \"passes\"}")
  (func (export "sxf_init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "sxf_inspect") (param i32 i32) (result i32) (i32.const 0)))"#
);

fn check(lab: &Lab, file: &str, more: &[&str]) -> lab::Run {
    lab::run(lab::command(&["module", "check"]).arg(lab.path(file)).args(more))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_module_is_checked_without_a_daemon() {
    let lab = Lab::new();
    lab.write("good.wat", SCHEMED);
    let run = check(&lab, "good.wat", &["--config", r#"{"port": 80}"#]);
    assert_eq!(run.code, 0, "{}", run.err);
    for words in ["good.wat: valid", "schemed 1.2 passes", "the configuration fits it", "sxf_inspect", "sha256"] {
        assert!(run.out.contains(words), "{words}: {}", run.out);
    }
    let config = lab.write("config.json", r#"{"port": 80}"#);
    let run = check(&lab, "good.wat", &["--json", "--config", text(&config)]);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&report["abi"], &report["schema"], &report["size"]), (&1.into(), &true.into(), &SCHEMED.len().into()));
}

#[test]
fn what_is_wrong_with_a_module_is_named_with_exit_code_4() {
    let lab = Lab::new();
    lab.write("good.wat", SCHEMED);
    lab.write("text.wat", "(module");
    lab.write("export.wat", &SCHEMED.replace("sxf_alloc", "alloc"));
    lab.write("abi.wat", &SCHEMED.replace("(result i32) (i32.const 1))", "(result i32) (i32.const 2))"));
    lab.write(
        "refuses.wat",
        &SCHEMED.replace(
            "(param i32 i32) (result i32) (i32.const 0))\n  (func",
            "(param i32 i32) (result i32) (i32.const 3))\n  (func",
        ),
    );
    let broken = lab.write("broken.json", "{");
    for (file, more, words) in [
        ("good.wat", &["--config", r#"{"port": "x"}"#][..], "/port"),
        ("good.wat", &["--config", r#"{"ports": 1}"#], "ports"),
        ("good.wat", &["--config", "{"], "--config"),
        ("good.wat", &["--config", text(&broken)], "broken.json"),
        ("good.wat", &["--config", "none.json"], "none.json"),
        ("text.wat", &[], "WebAssembly"),
        ("export.wat", &[], "sxf_alloc"),
        ("abi.wat", &[], "ABI version 2"),
        ("refuses.wat", &[], "code 3"),
        ("none.wat", &[], "none.wat"),
    ] {
        let run = check(&lab, file, more);
        assert_eq!((run.code, run.out.as_str()), (4, ""), "{file} {more:?}: {}", run.err);
        assert!(run.err.contains(words), "{words}: {}", run.err);
    }
    let run = check(&lab, "good.wat", &["--json", "--config", r#"{"port": "x"}"#]);
    let told: Value = serde_json::from_str(&run.err).unwrap();
    assert_eq!((&told["error"]["code"], &told["error"]["field"]), (&"invalid".into(), &"config".into()), "{told}");
    let run = check(&lab, "good.wat", &["--heap-mib", "0"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("heap_mib"), "{}", run.err);
}

#[test]
fn a_new_module_builds_and_loads() {
    let lab = Lab::new();
    let new = |name: &str, more: &[&str]| {
        lab::run(lab::command(&["module", "new", name, "--path", text(&lab.path(name))]).args(more))
    };
    let run = new("guard_1", &["--language", "wat"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("guard_1.wat written") && run.out.contains("secuxflow module check"), "{}", run.out);
    let run = check(&lab, "guard_1/guard_1.wat", &[]);
    assert_eq!(run.code, 0, "{}", run.err);

    let run = new("mine", &["--language", "c"]);
    assert_eq!((run.code, names(&lab.path("mine"))), (0, vec!["mine.c".into(), "secuxflow.h".into()]), "{}", run.err);
    let build = run.out.lines().find(|line| line.trim_start().starts_with("clang ")).unwrap();
    let words: Vec<_> = build.split_whitespace().skip(1).collect();
    let clang = Command::new("clang").args(words).current_dir(lab.path("mine")).status().expect("clang is there");
    assert!(clang.success());
    let run = check(&lab, "mine/mine.wasm", &[]);
    assert_eq!(run.code, 0, "{}", run.err);

    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wasm_modules/sdk");
    let run = new("rusty", &["--sdk", text(&sdk)]);
    assert_eq!(run.code, 0, "{}", run.err);
    let manifest = fs::read_to_string(lab.path("rusty/Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    assert_eq!(manifest["package"]["name"].as_str(), Some("rusty"));
    assert!(
        Path::new(manifest["dependencies"]["secuxflow-sdk"]["path"].as_str().unwrap()).join("Cargo.toml").is_file()
    );
    assert!(!fs::read_to_string(lab.path("rusty/src/lib.rs")).unwrap().contains("my_module"));

    // Away from the sources, with the SDK that the program carries.
    let run = new("alone", &[]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("scripts/compile_wasm.sh --out . ."), "{}", run.out);
    assert_eq!(fs::metadata(lab.path("alone/scripts/compile_wasm.sh")).unwrap().permissions().mode() & 0o777, 0o755);
    let cargo = env!("CARGO");
    let graph = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(lab.path("alone/Cargo.toml"))
        .output()
        .unwrap();
    assert!(graph.status.success(), "{}", String::from_utf8_lossy(&graph.stderr));
    let graph: Value = serde_json::from_slice(&graph.stdout).unwrap();
    for name in ["secuxflow-sdk", "secuxflow-abi"] {
        let found = graph["packages"].as_array().unwrap().iter().find(|package| package["name"] == name).unwrap();
        let manifest = found["manifest_path"].as_str().unwrap();
        assert!(manifest.starts_with(text(&fs::canonicalize(lab.path("alone")).unwrap())), "{manifest}");
    }

    for (name, more, words) in
        [("mine", &["--language", "c"][..], "mine"), ("other", &["--language", "rust", "--sdk", "/none"], "sdk")]
    {
        let run = new(name, more);
        assert!(run.code != 0 && run.err.contains(words), "{name}: {} {}", run.code, run.err);
    }
    let run = lab::secuxflow(&["module", "new", "A-b", "--language", "wat"]);
    assert!(run.code == 1 && run.err.contains("name 'A-b'"), "{}", run.err);
    assert!(!lab.path("other").exists());
}

#[test]
fn keys_are_made_once_and_signatures_lie_beside() {
    let lab = Lab::new();
    let key = lab.path("release");
    let keygen = || lab::run(lab::command(&["module", "keygen"]).arg(&key));
    assert_eq!(keygen().code, 0);
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&key).unwrap();
    let again = keygen();
    assert_eq!((again.code, fs::read(&key).unwrap()), (4, before), "{}", again.err);
    let file = lab.write("m.wat", SCHEMED);
    let sign = |key: &Path| lab::run(lab::command(&["module", "sign", text(&file), "--key"]).arg(key));
    assert_eq!(sign(&key).code, 0);
    assert_eq!(fs::read(lab.path("m.wat.sig")).unwrap().len(), 64);
    let run = sign(&lab.path("release.pub"));
    assert!(run.code == 4 && run.err.contains("release.pub") && run.err.contains("secret key"), "{}", run.err);
}

#[test]
fn what_the_command_line_cannot_mean_is_exit_code_2() {
    for args in [
        &["chain", "set", "web"][..],
        &["chain", "set", "web", "--empty", "--module", "waf"],
        &["chain", "set", "web", "--module", "waf:mode=loud"],
        &["chain", "create", "web", "--module", "waf:speed=1"],
        &["chain", "create"],
        &["module", "load", "waf"],
        &["module", "load", "waf", "x", "--on-failure", "maybe"],
        &["module", "reload", "waf", "x", "--reset"],
        &["module", "new", "x", "--language", "cobol"],
        &["module", "sign", "x"],
    ] {
        let run = lab::secuxflow(args);
        assert_eq!((run.code, &*run.out), (2, ""), "{args:?}: {}", run.err);
    }
}
