//! A capture through the module `ips`, as `secuxflow inspect --pcap` runs it.

use std::{cell::RefCell, convert::Infallible, fs::File, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use ips::{config::Config, engine::Engine};
use secuxflow::{
    inspect::Loader,
    offline::{CaptureReader, DEFAULT_BATCH, Replay, ReplayOptions, to_ethernet},
    plane::{ChainConfig, FailPolicy, FlowConfig, ModuleConfig},
    rules::{Action, Ruleset},
    stream::{Checksum, Midstream, StreamConfig},
};
use serde_json::json;

use super::{
    case::Case,
    events::{Collector, Event},
};

const CHAIN: &str = "default";
/// Enough for any rule file of a test.
const HEAP: usize = 512 << 20;

/// The module's configuration for a test, in its JSON.
fn configuration(case: &Case) -> String {
    let mut config = json!({
        "rules": case.rules,
        "vars": case.settings.vars,
        "classification": case.classification,
    });
    if let Some(order) = &case.settings.action_order {
        config["action_order"] = json!(order);
    }
    if let Some(most) = case.settings.alerts {
        config["alerts_per_packet"] = json!(most);
    }
    config.to_string()
}

/// The keywords, or mistakes, for which the module would not run some of the rules; `None` when it runs them all.
pub(super) fn unclaimed(case: &Case) -> Option<String> {
    let engine = Config::parse(configuration(case).as_bytes()).and_then(|config| Engine::new(&config));
    let report = match &engine {
        Ok(engine) => engine.report(),
        Err(why) => return Some(why.clone()),
    };
    if report.rejected.is_empty() && report.loaded > 0 {
        return None;
    }
    let mut words: Vec<_> =
        report.rejected.iter().map(|rule| rule.keyword.clone().unwrap_or(rule.message.clone())).collect();
    words.sort();
    words.dedup();
    Some(if words.is_empty() { "no rule".to_owned() } else { words.join(", ") })
}

/// The events of a test.
///
/// # Errors
/// The capture cannot be read, or the module failed.
pub(super) fn events(case: &Case, loader: &Arc<Loader>, module: &Path) -> Result<Vec<Event>> {
    let modules = vec![ModuleConfig {
        name: "ips".to_owned(),
        path: module.to_owned(),
        code: None,
        on_failure: FailPolicy::Open,
        deadline: Duration::from_secs(5),
        heap: HEAP,
        max_failures: 1,
        config: configuration(case),
        revision: 0,
    }];
    let mut replay = Replay::with_loader(
        loader,
        ReplayOptions {
            rules: Ruleset::new(Vec::new(), Action::Inspect { chain: CHAIN.to_owned() }),
            modules,
            chains: vec![ChainConfig { name: CHAIN.to_owned(), modules: vec!["ips".into()] }],
            fail_policy: FailPolicy::Open,
            monitor: !case.inline,
            flows: FlowConfig::default(),
            streams: StreamConfig {
                midstream: if case.settings.midstream { Midstream::Pickup } else { Midstream::Pass },
                checksum: if case.settings.ignore_checksums { Checksum::Ignore } else { Checksum::Verify },
                ..StreamConfig::default()
            },
            batch: DEFAULT_BATCH,
        },
    )?;
    let name = || case.pcap.display().to_string();
    let file = File::open(&case.pcap).with_context(name)?;
    let mut reader = CaptureReader::new(file).with_context(name)?;
    let collector = RefCell::new(Collector::new(case.inline, case.settings.every_drop));
    let mut frame = Vec::new();
    let mut tell = |happened: secuxflow::offline::Happened<'_>| {
        collector.borrow_mut().take(happened);
        Ok::<(), Infallible>(())
    };
    loop {
        match reader.next_packet() {
            Ok(Some(packet)) => {
                if to_ethernet(packet.link, packet.data, &mut frame) {
                    collector.borrow_mut().packet(packet.number, &frame);
                }
                replay.push(&packet, &mut tell)?;
            }
            // A capture that is cut short is read as far as it goes, as Suricata does.
            Ok(None) | Err(secuxflow::offline::CaptureError::CutShort { .. }) => break,
            Err(error) => return Err(error).with_context(name),
        }
    }
    replay.flush(&mut tell)?;
    collector.into_inner().finish()
}
