//! Files that are no module: refused with a text that says what is wrong.

use std::{io::Write as _, sync::Arc};

use super::support::{chain, config, guest, module};
use crate::{
    inspect::{Inspector, Loader, examine},
    plane::{ChainConfig, ModuleConfig},
};

/// The error must name the module and hold every one of `words`.
fn refused(text: &str, words: &[&str]) {
    let (config, _file) = module("broken", text);
    let modules = [config];
    check(&modules, &[chain(&modules)], &[&["broken"], words].concat());
}

fn check(modules: &[ModuleConfig], chains: &[ChainConfig], words: &[&str]) {
    let error = Inspector::new(modules, chains, 1).unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn wrong_modules_are_refused_by_name() {
    let good = guest("");
    refused("not wasm", &["WebAssembly"]);
    refused(&good.replace("(result i32) (i32.const 1))", "(result i32) (i32.const 2))"), &["ABI version 2", "rebuild"]);
    refused(&good.replace("\"sxf_alloc\"", "\"alloc\""), &["does not export sxf_alloc", "(i32) -> i32"]);
    refused(&good.replace("(memory (export \"memory\")", "(memory (export \"mem\")"), &["does not export its memory"]);
    refused(
        &good.replace("\"sxf\" \"alert\"", "\"sxf\" \"reboot\""),
        &["sxf.reboot", "sxf.alert, sxf.alert_fields, sxf.metric, sxf.measure, sxf.log, sxf.clock, sxf.flow_clear"],
    );
    refused(&good.replace("\"sxf\" \"alert\"", "\"wasi_snapshot_preview1\" \"fd_write\""), &["without WASI"]);
    refused(
        &good.replace("(param i32 i32 i32 i32 i32)", "(param i32 i64 i32 i32 i32)"),
        &["sxf.alert", "i64", "must be"],
    );
    refused(&good.replace("(param $n i32) (result i32)", "(param $n i64) (result i32)"), &["sxf_inspect", "i64"]);
    refused(
        &good.replace("\"sxf_inspect\"", "\"inspect\""),
        &["neither sxf_inspect", "(i32, i32) -> i32", "nor sxf_stream", "(i32, i32, i32, i32) -> i32"],
    );
    refused(&good.replace("\"sxf_inspect\"", "\"sxf_stream\""), &["sxf_stream", "(i32, i32) -> i32", "must be"]);
    refused(
        &good.replace("(memory (export \"memory\") 2)", "(memory (export \"memory\") 32768)"),
        &["2147483648 bytes", "heap limit is 1048576"],
    );
    refused(
        &good.replace("(param i32 i32) (result i32) (i32.const 0))", "(param i32 i32) (result i32) (i32.const 7))"),
        &["refused its configuration", "code 7"],
    );
    refused(
        &good.replace("(param i32 i32) (result i32) (i32.const 0))", "(param i32 i32) (result i32) unreachable)"),
        &["trap", "sxf_init"],
    );
    refused(
        &good.replace(
            "(param i32 i32) (result i32) (i32.const 0))",
            "(param i32 i32) (result i32) (loop $l (br $l)) (i32.const 0))",
        ),
        &["timeout", "sxf_init"],
    );
    refused(&good.replace("(local.get $at))", "(i32.const 0))"), &["sxf_alloc", "no memory"]);
    refused(&good.replace("(local.get $at))", "(i32.const 24))"), &["sxf_alloc", "multiple of 16"]);
    refused(&good.replace("(local.get $at))", "(i32.const 0x80000000))"), &["sxf_alloc", "not inside the heap"]);
}

#[test]
fn modules_that_never_get_ready_or_want_too_much_are_refused() {
    let with = |text: &str| guest("").replacen("(memory (export", &format!("{text} (memory (export"), 1);
    let start = |body: &str| with(&format!("(start $start) (func $start {body})"));
    refused(&start("(loop $l (br $l))"), &["timeout", "instantiation exceeded its deadline"]);
    refused(&start("(call $start)"), &["trap", "instantiation", "stack"]);
    refused(&start("(unreachable)"), &["trap", "instantiation", "unreachable"]);
    refused(
        &start("(drop (call $clock)) (call $log (i32.const 1) (i32.const 16) (i32.const 4))"),
        &["sxf.log", "ready"],
    );
    refused(
        &start("(call $alert (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0))"),
        &["batch of 0"],
    );
    refused(&with("(table 16385 funcref)"), &["table of 16385 elements", "16384"]);
    refused(&with(&"(table 1 funcref)".repeat(5)), &["5 tables", "at most 4"]);
    refused(&with("(memory 1)"), &["multi"]);
    refused(&guest("").replace("(memory (export \"memory\") 2)", "(memory (export \"memory\") i64 2)"), &["32-bit"]);
    refused(
        &guest("").replace("(memory (export \"memory\") 2)", "(memory (export \"memory\") 2 4 shared)"),
        &["shared"],
    );
    // A table that grows is held to the limit, too; an allocator that never returns, to its time.
    let (mut config, _file) = module(
        "grows",
        &with("(table $t 1 funcref)").replace(
            "(func (export \"sxf_init\") (param i32 i32) (result i32) (i32.const 0))",
            "(func (export \"sxf_init\") (param i32 i32) (result i32)
           (i32.ne (i32.const -1) (table.grow $t (ref.null func) (i32.const 20000))))",
        ),
    );
    config.config = "{}".into();
    assert!(
        Inspector::new(&[config.clone()], &[chain(&[config])], 1).is_ok(),
        "growth is denied, which is the module's to deal with"
    );
    refused(&guest("").replace("(local.get $at))", "(loop $l (br $l)) (local.get $at))"), &["timeout", "sxf_alloc"]);
}

#[test]
fn bytes_that_are_no_module_are_refused() {
    let binary = wat::parse_str(guest("")).unwrap();
    for cut in [8, 9, 40, binary.len() / 2, binary.len() - 1] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, &binary[..cut]).unwrap();
        let modules = [config("broken", file.path())];
        check(&modules, &[chain(&modules)], &["broken"]);
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, b"").unwrap();
    let modules = [config("empty", file.path())];
    check(&modules, &[chain(&modules)], &["empty"]);
}

#[test]
fn wrong_settings_are_refused_by_name() {
    let (good, _file) = module("good", &guest(""));
    let one = |change: fn(&mut ModuleConfig)| {
        let mut config = good.clone();
        change(&mut config);
        [config]
    };
    check(&one(|c| c.heap = 100), &[], &["good", "heap", "65536"]);
    check(&one(|c| c.heap = (1 << 30) + (1 << 16)), &[], &["heap", "1073741824"]);
    check(&one(|c| c.max_failures = 0), &[], &["max_failures"]);
    check(&one(|c| c.deadline = std::time::Duration::ZERO), &[], &["deadline"]);
    check(&[good.clone(), good.clone()], &[], &["two modules are named good"]);
    let lost = ChainConfig { name: "web".into(), modules: vec!["waf".into()] };
    check(std::slice::from_ref(&good), std::slice::from_ref(&lost), &["chain web", "waf", "good"]);
    check(
        &[config("lost", std::path::Path::new("/nonexistent.wasm"))],
        &[],
        &["lost", "/nonexistent.wasm", "cannot read"],
    );
}

#[test]
fn status_tells_what_was_loaded() {
    let (config, _file) = module("good", "");
    std::fs::write(&config.path, guest("")).unwrap();
    let path = config.path.display().to_string();
    let modules = [config];
    let inspector = Inspector::new(&modules, &[chain(&modules)], 1).unwrap();
    let status = inspector.status().remove(0);
    assert_eq!((status.name.as_str(), status.abi, status.in_service), ("good", 1, true));
    assert_eq!((status.path, status.chains), (path, vec!["chain".to_owned()]));
    assert_eq!(status.sha256.len(), 64);
    assert_eq!((inspector.chain("chain"), inspector.chain("other")), (Some(0), None));
}

#[test]
fn no_module_is_fine_and_passes() {
    let mut bench = super::support::Bench::new(&[]);
    assert_eq!(bench.run(&[super::support::tcp(80, 2, b"")]), [true]);
    assert!(bench.inspector.status().is_empty());
}

#[test]
fn a_look_at_a_module_tells_all_that_it_says_and_a_refusal_the_last_of_it() {
    let lines = |answer: u32| {
        let init = format!(
            "(param i32 i32) (result i32) (local $i i32)
             (loop $l (call $log (i32.const 3) (i32.const 16) (i32.const 4))
               (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 40))))
             (i32.const {answer}))"
        );
        guest("").replace("(param i32 i32) (result i32) (i32.const 0))", &init)
    };
    let (config, _file) = module("talker", &lines(0));
    assert_eq!(examine(&config).unwrap().lines.len(), 40);
    let (config, _file) = module("talker", &lines(1));
    let error = examine(&config).unwrap_err().to_string();
    assert_eq!(error.matches("; ").count(), 15, "{error}");
}

#[test]
fn a_file_is_compiled_once_by_what_is_in_it() {
    let loader = Arc::new(Loader::new(2 * Inspector::instances(1, 1), 2).unwrap());
    let (first, mut file) = module("first", &guest(""));
    let (same, _copy) = module("same", &guest(""));
    let compiled = loader.compiled(&first).unwrap();
    let is_it = |config: &ModuleConfig| Arc::ptr_eq(&compiled, &loader.compiled(config).unwrap());
    assert!(is_it(&first) && is_it(&same));
    let (second, _b) = module("second", &guest("(drop (i32.const 1))"));
    let (third, _c) = module("third", &guest("(drop (i32.const 2))"));
    assert!(!is_it(&second) && is_it(&first));
    assert!(!is_it(&third) && is_it(&first), "the one used longest ago goes");
    assert!(!is_it(&second) && !is_it(&third) && !is_it(&first));

    // Of those who share it, each has its limits and its own instances, and a file that changes is another.
    let modules = [first];
    let of = |modules: &[ModuleConfig]| Inspector::with_loader(&loader, modules, &[chain(modules)], 1, 1);
    let (one, two) = (of(&modules).unwrap(), of(&modules).unwrap());
    assert_eq!(one.status()[0].sha256, two.status()[0].sha256);
    let small = [ModuleConfig { heap: 64 << 10, ..modules[0].clone() }];
    let error = of(&small).unwrap_err().to_string();
    assert!(error.contains("first") && error.contains("heap limit is 65536"), "{error}");
    file.write_all(b" ;; more").unwrap();
    let changed = of(&modules).unwrap();
    assert_ne!(one.status()[0].sha256, changed.status()[0].sha256);
}
