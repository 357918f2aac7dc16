//! Metrics of modules' own, further fields of alerts, and the time that modules are told.

use super::support::{Bench, NOW, exporting, inspecting, module, tcp};
use crate::{
    inspect::InspectError,
    plane::{FailPolicy, MetricKind, ModuleConfig},
};

const INIT: &str = r#"(func (export "sxf_init") (param i32 i32) (result i32) (i32.const 0))"#;

/// A guest that does `init` in `sxf_init` and `inspect` in `sxf_inspect`, with `data` at address 32.
fn guest(data: &str, init: &str, inspect: &str) -> (ModuleConfig, tempfile::NamedTempFile) {
    let text = exporting(&format!(r#"(data (i32.const 32) "{data}") {}"#, inspecting(inspect)));
    let text = text.replace(INIT, &INIT.replace("(i32.const 0)", &format!("{init} (i32.const 0)")));
    module("metered", &text)
}

fn refused(data: &str, init: &str) -> String {
    let (config, _file) = guest(data, init, "");
    Bench::try_new(&[config]).map(|_| ()).map_err(|error: InspectError| error.to_string()).expect_err("refused")
}

/// Counter 0, gauge 1 set to 7.
const DECLARE: &str = "(drop (call $metric (i32.const 0) (i32.const 32) (i32.const 4)))
    (call $measure (call $metric (i32.const 1) (i32.const 36) (i32.const 4)) (i64.const 7))";

#[test]
fn counters_add_up_over_instances_and_gauges_tell_of_the_last() {
    // Adds the number of packets twice; traps when the first has a payload; sets the gauge to it else.
    let inspect = "(call $measure (i32.const 0) (i64.extend_i32_u (local.get $n)))
        (call $measure (i32.const 0) (i64.extend_i32_u (local.get $n)))
        (if (i32.load16_u offset=22 (local.get $p)) (then (unreachable)))
        (call $measure (i32.const 1) (i64.extend_i32_u (local.get $n)))";
    let (config, _file) = guest("seenlast", DECLARE, inspect);
    let mut bench = Bench::new(&[config]);
    let values = |bench: &Bench| -> Vec<u64> { bench.status().metrics.iter().map(|metric| metric.value).collect() };
    let named: Vec<_> = bench.status().metrics.iter().map(|metric| (metric.name.clone(), metric.kind)).collect();
    assert_eq!(named, [("seen".to_owned(), MetricKind::Counter), ("last".to_owned(), MetricKind::Gauge)]);
    assert_eq!(values(&bench), [0, 7], "as sxf_init set it");
    bench.run(&[tcp(80, 2, b""), tcp(80, 2, b""), tcp(80, 2, b"")]);
    assert_eq!(values(&bench), [6, 3]);
    bench.run(&[tcp(80, 2, b"bad")]);
    assert_eq!(values(&bench), [6, 0], "what a failed call measured is void, and its instance is gone");
    bench.run(&[tcp(80, 2, b"")]);
    assert_eq!(values(&bench), [8, 1]);
    let Bench { runner, inspector, .. } = bench;
    drop(runner);
    let values: Vec<_> = inspector.status()[0].metrics.iter().map(|metric| metric.value).collect();
    assert_eq!(values, [8, 0], "a worker that is gone leaves its counters behind");
}

#[test]
fn metrics_that_cannot_be_are_refused() {
    for (data, len) in [("Big_", 4), ("1seen", 5), ("a-b", 3), ("", 0)] {
        let error = refused(data, &format!("(drop (call $metric (i32.const 0) (i32.const 32) (i32.const {len})))"));
        assert!(error.contains("sxf_init") && error.contains("is no name"), "{error}");
    }
    let long = "a".repeat(49);
    let declare =
        |kind: u32, len: usize| format!("(drop (call $metric (i32.const {kind}) (i32.const 32) (i32.const {len})))");
    assert!(refused(&long, &declare(0, 49)).contains("at most 48 bytes"));
    assert!(refused(&long, &declare(2, 4)).contains("there is no kind 2"));
    let twice = declare(0, 4) + &declare(1, 4);
    assert!(refused(&long, &twice).contains("aaaa is declared twice"));
    let many: String = (1..=33).map(|len| declare(0, len)).collect();
    assert!(refused(&long, &many).contains("32 are possible"));
    assert!(refused(&long, "(call $measure (i32.const 0) (i64.const 1))").contains("metric 0 was not declared"));
    let all: String = (1..=32).map(|len| declare(0, len)).collect();
    let (config, _file) = guest(&long, &all, "");
    assert_eq!(Bench::new(&[config]).status().metrics.len(), 32);
}

#[test]
fn metrics_are_declared_at_start_only() {
    let (config, _file) = guest("seen", "", "(drop (call $metric (i32.const 0) (i32.const 32) (i32.const 4)))");
    let mut bench = Bench::new(&[config]);
    assert_eq!(bench.run(&[tcp(80, 2, b"")]), [false]);
    assert_eq!((bench.failures("trap"), bench.status().metrics.len()), (1, 0));
}

#[test]
fn alerts_bring_their_further_fields_along() {
    let raise = |len: u32, at: u32| {
        format!(
            "(call $fields (i32.const 0) (i32.const 2) (i32.const 9) (i32.const 16) (i32.const 4)
               (i32.const {at}) (i32.const {len}))"
        )
    };
    let json = r#"{\"http\":{\"hostname\":\"a\"}}"#;
    let plain = json.replace('\\', "");
    let len = u32::try_from(plain.len()).unwrap();
    let inspect = raise(len, 32) + &raise(0, 32) + &raise(513, 32) + &raise(512, 32);
    let (config, _file) = guest(json, "", &inspect);
    let mut bench = Bench::new(&[config]);
    assert_eq!(bench.run(&[tcp(80, 2, b"")]), [true]);
    let alerts = bench.raised();
    let fields: Vec<_> = alerts.iter().map(|alert| alert.fields.as_deref().map(<[u8]>::len)).collect();
    assert_eq!(fields, [Some(plain.len()), None, None, Some(512)]);
    assert_eq!(alerts[0].fields.as_deref(), Some(plain.as_bytes()));
    assert_eq!((alerts[0].signature, alerts[0].message.as_str(), alerts[0].severity), (9, "seen", 2));
    assert_eq!((bench.alerts.fields_dropped(), bench.alerts.raised()), (1, 4));
    for bad in [raise(4, 0x8000_0000), raise(u32::MAX, 32)] {
        let (mut config, _file) = guest(json, "", &bad);
        config.on_failure = FailPolicy::Closed;
        let mut bench = Bench::new(&[config]);
        assert_eq!((bench.run(&[tcp(80, 2, b"")]), bench.failures("trap")), (vec![false], 1));
    }
}

#[test]
fn modules_are_told_the_time_of_the_batch() {
    let inspect = "(call $measure (i32.const 0) (call $clock))";
    let (config, _file) = guest("seenlast", DECLARE, inspect);
    let mut bench = Bench::new(&[config]);
    bench.stream(&[(1, tcp(80, 2, b""))], &[]);
    assert_eq!(bench.status().metrics[0].value, NOW);
}
