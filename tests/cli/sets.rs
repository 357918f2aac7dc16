//! `set`: what the command line itself refuses, and feeds that cannot be read.

use std::fs::File;

use super::lab::{self, Lab};

#[test]
fn deleting_a_set_takes_no_prefixes_and_changing_entries_needs_some() {
    for args in [
        &["set", "delete", "drop", "10.0.0.0/8"][..],
        &["set", "delete"],
        &["set", "clear", "drop", "10.0.0.0/8"],
        &["set", "clear"],
        &["set", "add", "drop"],
        &["set", "remove", "drop"],
        &["set", "import", "drop"],
        &["set", "create"],
        &["set", "show", "drop", "--limit", "x"],
        &["set"],
    ] {
        let run = lab::secuxflow(args);
        assert_eq!((run.code, &*run.out), (2, ""), "{args:?}: {}", run.err);
    }
    let help = lab::secuxflow(&["set", "delete", "--help"]);
    assert!(help.out.contains("Single entries go by `set remove`"), "{}", help.out);
}

#[test]
fn a_feed_that_cannot_be_read_or_is_too_large_is_exit_code_4() {
    let lab = Lab::new();
    let missing = lab.path("none.txt");
    let run = lab.client(&["set", "import", "drop", missing.to_str().unwrap()]);
    assert_eq!(run.code, 4);
    assert!(run.err.contains("none.txt"), "{}", run.err);
    let large = lab.path("large.txt");
    File::create(&large).unwrap().set_len((64 << 20) + 1).unwrap();
    let run = lab.client(&["set", "import", "drop", large.to_str().unwrap(), "--json"]);
    assert_eq!(run.code, 4);
    let told: serde_json::Value = serde_json::from_str(&run.err).unwrap();
    assert!(told["error"]["message"].as_str().unwrap().contains("larger than 64 MiB"), "{told}");
}
