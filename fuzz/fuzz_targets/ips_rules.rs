//! Any text as rules: they load or are reported, each with its place, and what loads can be run.
#![no_main]

use ips::{config::Config, engine::Engine};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let lines = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
    let config = Config { rules: text.into(), ..Config::default() };
    let Ok(engine) = Engine::new(&config) else { return };
    let report = engine.report();
    assert_eq!(report.loaded, report.sids.len());
    assert!(report.rejected.iter().all(|rejected| (1..=lines).contains(&rejected.line) && rejected.column > 0));
});
