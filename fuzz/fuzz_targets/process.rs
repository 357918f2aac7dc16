//! Any frames as a batch: each gets exactly one outcome, and only bytes inside its own frame change.
#![no_main]

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use libfuzzer_sys::fuzz_target;
use secuxflow::{
    bpf::Metadata,
    flow::HashKey,
    plane::FailPolicy,
    process::{EgressId, Frames, Ingress, Inspect, Outcome, Processor, Route, Snapshot},
    rules::{Action, Classifier, Ruleset},
    service::Mac,
};
use secuxflow_abi::{Chunk, Packet, verdict};

/// Longest frame that is made of the input.
const LONGEST: usize = 200;

/// The input cut into frames: a byte of length, a byte that says whether the kernel classified it, the frame.
struct Batch(Vec<(Vec<u8>, Option<Metadata>)>);

impl Batch {
    fn of(mut input: &[u8]) -> Self {
        let mut frames = Vec::new();
        while let [length, kind, rest @ ..] = input {
            let (frame, rest) = rest.split_at(usize::from(*length).min(rest.len()).min(LONGEST));
            let metadata = (kind & 1 == 1).then(|| Metadata::of(u16::from(kind >> 1), 1));
            frames.push((frame.to_vec(), metadata));
            input = rest;
        }
        frames.truncate(secuxflow_abi::MAX_BATCH);
        Self(frames)
    }
}

impl Frames for Batch {
    fn count(&self) -> usize {
        self.0.len()
    }
    fn ingress(&self) -> u16 {
        0
    }
    fn bytes(&self, index: usize) -> &[u8] {
        &self.0[index].0
    }
    fn bytes_mut(&mut self, index: usize) -> &mut [u8] {
        &mut self.0[index].0
    }
    fn truncate(&mut self, index: usize, len: usize) {
        self.0[index].0.truncate(len);
    }
    fn addr(&self, index: usize) -> u32 {
        u32::try_from(index * 4096).expect("a batch is small")
    }
    fn take_metadata(&mut self, index: usize) -> Option<Metadata> {
        self.0[index].1.take()
    }
}

/// Drops every packet whose payload has an odd length.
struct Odd;

impl Inspect for Odd {
    fn run(&mut self, _: u64, _: u16, packets: &mut [Packet], _: &[Chunk]) {
        for packet in packets {
            assert!(u32::from(packet.payload) + u32::from(packet.payload_len) <= packet.len);
            packet.verdict = if packet.payload_len & 1 == 1 { verdict::DROP } else { verdict::PASS };
        }
    }
}

fn snapshot() -> Snapshot {
    let rules = Ruleset::new(Vec::new(), Action::Inspect { chain: "default".into() });
    let classifier = Classifier::new(&rules, &["default".into()]).expect("the chain is there");
    let route = Route { service: 0, egress: EgressId(0), dst_mac: Mac([2; 6]), src_mac: Mac([4; 6]), mtu: 150 };
    let mut routes = HashMap::default();
    for ip in ["10.0.0.2", "0.0.0.0", "::", "2001:db8::2"] {
        routes.insert(ip.parse::<IpAddr>().expect("an address"), route);
    }
    Snapshot {
        routes,
        ingress: vec![Ingress { mac: Mac([0; 6]), repair_checksums: true }],
        classifier: Arc::new(classifier),
        generation: 1,
        chains: 1,
        default_chain: Some(0),
        fail_policy: FailPolicy::Open,
        monitor: false,
    }
}

fuzz_target!(|input: &[u8]| {
    let mut batch = Batch::of(input);
    let lengths: Vec<usize> = batch.0.iter().map(|(frame, _)| frame.len()).collect();
    let mut processor = Processor::new(HashKey::random());
    processor.run(&snapshot(), &mut batch, &mut Odd);
    assert_eq!(processor.outcomes().len(), lengths.len());
    for (outcome, length) in processor.outcomes().iter().zip(lengths) {
        if let Outcome::Forward { egress, .. } = outcome {
            assert!(egress.0 == 0 && (34..=14 + 8 + 150).contains(&length));
        }
    }
});
