//! Runs a module on the build machine, with plain `cargo test`: frames in, verdicts and alerts out.
//!
//! What the host promises a guest, the harness does too: descriptors of frames, flows with their direction, TCP streams in
//! order, the checks on what a module calls. It is no copy of the daemon: it does not put segments in order (one that comes
//! early is told as a gap, one that comes again is left out), nor fragments together, and neither a verdict nor what a module
//! asks for has an effect on later frames. `secuxflow inspect --pcap` runs a built module with all that.

mod capture;
mod flows;
mod frame;
mod headers;

use std::{fmt, time::Duration};

use secuxflow_abi::{self as abi, MAX_BATCH, MAX_CHUNKS, WINDOW, verdict};

pub use frame::{Connection, Frame};

use crate::{
    Batch, Chunks, Exports, Setup, Verdict,
    calls::{self, recorder::Recorder},
    window::Window,
};

/// A module at work.
pub struct Harness<M> {
    module: M,
    recorder: Recorder,
    flows: flows::Flows,
}

impl<M> fmt::Debug for Harness<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness").field("recorder", &self.recorder).finish_non_exhaustive()
    }
}

/// An alert as it reaches the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Number of the frame that it was raised on, in [`Report::verdicts`].
    pub packet: usize,
    /// 1 (high) to 4.
    pub severity: u32,
    /// The module's number for it.
    pub signature: u32,
    /// Its text.
    pub text: String,
    /// Its further fields, an empty object when there are none.
    pub fields: serde_json::Value,
}

/// What a module asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Number of the frame, in [`Report::verdicts`].
    pub packet: usize,
    /// `flow_clear`, `flow_condemn` or `source_block`.
    pub what: &'static str,
    /// For so long; 0 for as long as is configured.
    pub seconds: u32,
}

/// What became of frames.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// One for each frame.
    pub verdicts: Vec<Verdict>,
    /// In the order in which they were raised.
    pub alerts: Vec<Alert>,
    /// Alerts above the 64 that one call may raise.
    pub alerts_lost: usize,
    /// In their order.
    pub asks: Vec<Ask>,
}

impl Report {
    /// Signatures of the alerts.
    #[must_use]
    pub fn signatures(&self) -> Vec<u32> {
        self.alerts.iter().map(|alert| alert.signature).collect()
    }

    /// Whether every frame passes.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.verdicts.iter().all(|verdict| *verdict == Verdict::Pass)
    }

    fn append(&mut self, mut other: Self) {
        let before = self.verdicts.len();
        other.alerts.iter_mut().for_each(|alert| alert.packet += before);
        other.asks.iter_mut().for_each(|ask| ask.packet += before);
        self.verdicts.append(&mut other.verdicts);
        self.alerts.append(&mut other.alerts);
        self.alerts_lost += other.alerts_lost;
        self.asks.append(&mut other.asks);
    }
}

impl<M: Exports> Harness<M> {
    /// Start the module, with its configuration as JSON.
    ///
    /// # Errors
    /// What the host shows when it does not load.
    pub fn new(config: &str) -> Result<Self, String> {
        // A worker has been up for a while when a module starts.
        let mut recorder = Recorder { starting: true, now: 3_600_000_000_000, ..Recorder::default() };
        let started = calls::recorder::with(&mut recorder, || {
            let config = crate::parse_config(config.as_bytes())?;
            M::new(config, &mut Setup::new())
        });
        recorder.starting = false;
        match started {
            Ok(module) => Ok(Self { module, recorder, flows: flows::Flows::default() }),
            Err(text) => {
                let lines = recorder.lines.into_iter().map(|(_, line)| line).chain([text]);
                Err(lines.collect::<Vec<_>>().join("; "))
            }
        }
    }

    /// Let time go by.
    pub fn advance(&mut self, time: Duration) {
        self.recorder.now += u64::try_from(time.as_nanos()).expect("centuries");
    }

    /// Lines that the module logged at its start.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.recorder.lines.iter().map(|(_, line)| line.as_str())
    }

    /// The module itself.
    #[must_use]
    pub fn module(&self) -> &M {
        &self.module
    }

    /// Value of a metric that the module declared.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<u64> {
        self.recorder.metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value)
    }

    /// Show it frames, from the Ethernet header on; as many in one call as the host would.
    pub fn frames(&mut self, frames: &[impl AsRef<[u8]>]) -> Report {
        let mut report = Report::default();
        for frames in frames.chunks(MAX_BATCH) {
            report.append(self.batch(frames));
        }
        report
    }

    /// Show it frames one after the other, each in a call of its own.
    pub fn one_by_one(&mut self, frames: &[impl AsRef<[u8]>]) -> Report {
        let mut report = Report::default();
        for frame in frames {
            report.append(self.batch(&[frame]));
        }
        report
    }

    /// Show it the packets of a capture (pcap, not pcapng), at the times that they were taken.
    ///
    /// # Errors
    /// The capture is not one, or has no Ethernet frames.
    pub fn capture(&mut self, pcap: &[u8]) -> Result<Report, String> {
        let mut report = Report::default();
        let mut before = None;
        for record in capture::records(pcap)? {
            let (time, frame) = record?;
            self.advance(time.saturating_sub(before.unwrap_or(time)));
            before = Some(time);
            report.append(self.batch(&[frame]));
        }
        Ok(report)
    }

    /// Show it what a host would, for measurements: descriptors of at most [`MAX_BATCH`] packets and [`MAX_CHUNKS`] pieces of
    /// streams, whose addresses are places in `window`, counted from [`WINDOW`]. Verdicts are written to the packets; returns
    /// how many alerts were raised.
    pub fn show(&mut self, packets: &mut [abi::Packet], chunks: &[abi::Chunk], window: &[u8]) -> usize {
        let Self { module, recorder, .. } = self;
        recorder.packets = packets.len() as u32;
        calls::recorder::with(recorder, || {
            if let Some(inspect) = M::INSPECT {
                inspect(module, &mut Batch::new(packets, Window(window)));
            }
            if let Some(stream) = M::STREAM {
                stream(module, &mut Batch::new(packets, Window(window)), Chunks::new(chunks, Window(window)));
            }
        });
        (recorder.packets, recorder.asks) = (0, Vec::new());
        recorder.alerts.drain(..).count() + std::mem::take(&mut recorder.alerts_lost)
    }

    fn batch(&mut self, frames: &[impl AsRef<[u8]>]) -> Report {
        let mut window = Vec::new();
        let mut packets = Vec::new();
        for frame in frames {
            let frame = frame.as_ref();
            let at = WINDOW + u32::try_from(window.len()).expect("a batch of less than 2 GiB");
            window.extend_from_slice(frame);
            packets.push(self.flows.follow(headers::descriptor(frame, at), frame));
        }
        self.recorder.packets = packets.len() as u32;
        let Self { module, recorder, flows } = self;
        calls::recorder::with(recorder, || {
            if let Some(inspect) = M::INSPECT {
                inspect(module, &mut Batch::new(&mut packets, Window(&window)));
            }
            if let Some(stream) = M::STREAM {
                for chunks in flows.chunks(&packets, &window).chunks(MAX_CHUNKS) {
                    stream(
                        module,
                        &mut Batch::new(&mut packets, Window(&window)),
                        Chunks::new(chunks, Window(&window)),
                    );
                }
            }
        });
        self.recorder.packets = 0;
        self.report(&packets)
    }

    fn report(&mut self, packets: &[abi::Packet]) -> Report {
        let verdicts = packets.iter().map(|packet| match packet.verdict {
            verdict::DROP => Verdict::Drop,
            verdict::REJECT => Verdict::Reject,
            _ => Verdict::Pass,
        });
        let alerts = self.recorder.alerts.drain(..).map(|alert| Alert {
            packet: alert.packet as usize,
            severity: alert.severity,
            signature: alert.signature,
            text: alert.text,
            fields: serde_json::from_slice(&alert.fields).expect("the fields of an alert are a JSON object"),
        });
        let asks = self.recorder.asks.drain(..);
        Report {
            verdicts: verdicts.collect(),
            alerts: alerts.collect(),
            alerts_lost: std::mem::take(&mut self.recorder.alerts_lost),
            asks: asks.map(|ask| Ask { packet: ask.packet as usize, what: ask.what, seconds: ask.seconds }).collect(),
        }
    }
}

/// Whether the schema says what the module does: a configuration of all its `default`s is equal to `{}`, unknown options are
/// refused, and the module refuses whole numbers outside of `minimum` and `maximum`, naming the option, and none of these two.
///
/// # Panics
/// It does not; the message says what differs. The schema is not JSON, or has no `properties`.
pub fn check_schema<M: Exports>()
where
    M::Config: PartialEq + fmt::Debug,
{
    let schema: serde_json::Value = serde_json::from_str(M::SCHEMA).expect("the schema is JSON");
    let properties = schema["properties"].as_object().expect("the schema has properties");
    let defaults: serde_json::Map<_, _> = properties
        .iter()
        .filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone())))
        .collect();
    assert_eq!(schema["additionalProperties"], false, "the schema refuses unknown options, as the module does");
    let parse = |json: &str| crate::parse_config::<M::Config>(json.as_bytes());
    let json = serde_json::Value::from(defaults).to_string();
    assert_eq!(parse(&json), parse("{}"), "the defaults of the schema, and those of the module");
    for (name, property) in properties.iter().filter(|(_, property)| property["type"] == "integer") {
        let start = |value: i64| Harness::<M>::new(&serde_json::json!({ name: value }).to_string());
        let names = |error: &str| error.contains(&format!("{name}: "));
        for (bound, beyond) in [("minimum", -1), ("maximum", 1)] {
            let Some(bound) = property[bound].as_i64() else { continue };
            let refused = start(bound + beyond).err().unwrap_or_default();
            assert!(names(&refused), "{name} is {}: {refused}", bound + beyond);
            let error = start(bound).err().unwrap_or_default();
            assert!(!names(&error), "{name} is {bound}: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
