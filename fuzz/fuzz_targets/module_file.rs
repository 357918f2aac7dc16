//! Any bytes as a module's file; and any schema, description and configuration with a file that is right. What is refused is
//! refused with a reason, what is taken is what it was.
#![no_main]

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use libfuzzer_sys::fuzz_target;
use secuxflow::{
    inspect::examine,
    plane::{Code, FailPolicy, ModuleConfig},
};
use secuxflow_abi::{ABI_VERSION, sections};

/// A module in text that starts and does nothing, around more of its fields.
fn smallest(fields: &str) -> String {
    format!(
        r#"(module (memory (export "memory") 2)
          (func (export "sxf_abi_version") (result i32) (i32.const 1))
          (func (export "sxf_alloc") (param i32) (result i32) (i32.const 4096))
          (func (export "sxf_init") (param i32 i32) (result i32) (i32.const 0))
          (func (export "sxf_inspect") (param i32 i32) (result i32) (i32.const 0)) {fields})"#
    )
}

/// A custom section in text, its bytes escaped.
fn section(name: &str, data: &str) -> String {
    let mut text = format!("(@custom \"{name}\" \"");
    for byte in data.bytes() {
        write!(text, "\\{byte:02x}").expect("a string takes everything");
    }
    text + "\")"
}

fn module(file: Vec<u8>, config: &str) -> ModuleConfig {
    ModuleConfig {
        name: "any".to_owned(),
        path: PathBuf::from("any.wasm"),
        code: Some(Code::from(file)),
        on_failure: FailPolicy::Closed,
        deadline: Duration::from_millis(20),
        heap: 1 << 20,
        max_failures: 1,
        config: config.to_owned(),
        revision: 0,
    }
}

fuzz_target!(|input: &[u8]| {
    let examined = |file: Vec<u8>, config: &str| {
        let size = file.len() as u64;
        let report = examine(&module(file, config)).ok()?;
        assert_eq!((report.abi, report.size), (ABI_VERSION, size));
        Some(report)
    };
    let Some((0, texts)) = input.split_first() else {
        examined(input.to_vec(), "");
        return;
    };
    let Ok(texts) = std::str::from_utf8(texts) else { return };
    let mut texts = texts.splitn(3, '\0');
    let [schema, about, config] = [(); 3].map(|()| texts.next().unwrap_or(""));
    assert!(examined(smallest("").into(), config).is_some(), "the module itself is right");
    let fields = section(sections::SCHEMA, schema) + &section(sections::ABOUT, about);
    if let Some(report) = examined(smallest(&fields).into(), config) {
        assert!(report.schema);
    }
});
