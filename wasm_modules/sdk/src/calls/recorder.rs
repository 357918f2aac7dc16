//! The host's part on the build machine: calls are checked as the host checks them, and kept.

use std::cell::RefCell;

use secuxflow_abi::{MAX_BATCH, MAX_FIELDS, MAX_MESSAGE, MAX_METRIC_NAME, MAX_METRICS};

/// Alerts that one call may raise.
const MAX_ALERTS: usize = 64;

/// What a module called, and what it was called with.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// Packets of the current call; 0 outside of one.
    pub(crate) packets: u32,
    pub(crate) starting: bool,
    pub(crate) now: u64,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) alerts_lost: usize,
    pub(crate) asks: Vec<Ask>,
    pub(crate) lines: Vec<(u32, String)>,
    pub(crate) metrics: Vec<Metric>,
}

/// An alert as it was raised.
#[derive(Debug)]
pub(crate) struct Alert {
    pub(crate) packet: u32,
    pub(crate) severity: u32,
    pub(crate) signature: u32,
    pub(crate) text: String,
    pub(crate) fields: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) packet: u32,
    pub(crate) what: &'static str,
    pub(crate) seconds: u32,
}

#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) kind: u32,
    pub(crate) name: String,
    pub(crate) value: u64,
}

thread_local! {
    static RECORDER: RefCell<Recorder> = RefCell::default();
}

/// Run `call` with `recorder` in the host's place.
pub(crate) fn with<T>(recorder: &mut Recorder, call: impl FnOnce() -> T) -> T {
    RECORDER.with_borrow_mut(|current| std::mem::swap(current, recorder));
    let result = call();
    RECORDER.with_borrow_mut(|current| std::mem::swap(current, recorder));
    result
}

fn record<T>(f: impl FnOnce(&mut Recorder) -> T) -> T {
    RECORDER.with_borrow_mut(f)
}

fn check(recorder: &Recorder, function: &str, packet: u32) {
    assert!(packet < recorder.packets, "sxf.{function}: packet {packet} of a batch of {}", recorder.packets);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_MESSAGE)]).into_owned()
}

pub(crate) fn alert(packet: u32, severity: u32, signature: u32, message: &[u8]) {
    alert_fields(packet, severity, signature, message, b"{}");
}

pub(crate) fn alert_fields(packet: u32, severity: u32, signature: u32, message: &[u8], fields: &[u8]) {
    record(|host| {
        check(host, "alert", packet);
        assert!(fields.len() <= MAX_FIELDS, "sxf.alert_fields: {} bytes of fields", fields.len());
        if host.alerts.len() == MAX_ALERTS {
            host.alerts_lost += 1;
        } else {
            host.alerts.push(Alert { packet, severity, signature, text: text(message), fields: fields.to_vec() });
        }
    });
}

pub(crate) fn metric(kind: u32, name: &[u8]) -> u32 {
    record(|host| {
        let name = String::from_utf8_lossy(name).into_owned();
        assert!(host.starting, "sxf.metric: {name} is declared when the module has started");
        let right = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'));
        assert!(right && name.len() <= MAX_METRIC_NAME, "sxf.metric: bad name {name:?}");
        assert!(host.metrics.iter().all(|metric| metric.name != name), "sxf.metric: {name} is declared twice");
        assert!(host.metrics.len() < MAX_METRICS, "sxf.metric: more than {MAX_METRICS} metrics");
        host.metrics.push(Metric { kind, name, value: 0 });
        host.metrics.len() as u32 - 1
    })
}

pub(crate) fn measure(number: u32, value: u64) {
    record(|host| {
        let metric = host.metrics.get_mut(number as usize).expect("sxf.measure: there is no such metric");
        metric.value = if metric.kind == secuxflow_abi::metric::COUNTER { metric.value + value } else { value };
    });
}

pub(crate) fn log(level: u32, line: &[u8]) {
    record(|host| {
        if host.starting {
            host.lines.push((level, text(line)));
        }
    });
}

pub(crate) fn clock() -> u64 {
    record(|host| host.now)
}

fn ask(packet: u32, what: &'static str, seconds: u32) {
    record(|host| {
        check(host, what, packet);
        if host.asks.len() < MAX_BATCH {
            host.asks.push(Ask { packet, what, seconds });
        }
    });
}

pub(crate) fn flow_clear(packet: u32, seconds: u32) {
    ask(packet, "flow_clear", seconds);
}

pub(crate) fn flow_condemn(packet: u32, seconds: u32) {
    ask(packet, "flow_condemn", seconds);
}

pub(crate) fn source_block(packet: u32, seconds: u32) {
    ask(packet, "source_block", seconds);
}
