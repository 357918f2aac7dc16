//! Packets that lie in several buffers: what is decided of them is what is decided of short ones, and counted whole.

use std::{net::IpAddr, os::fd::AsRawFd};

use super::{
    Exit, Filter, METADATA_LEN, Offload,
    differential::{random_action, random_rule},
    flow_tests::{HOUR, LOOPBACK, data, offload, order},
    sys::xdp_socket,
};
use crate::{
    clock,
    flow::FlowVerdict,
    plane::{Count, FailPolicy},
    rules::{
        Action, Rule, Ruleset, shapes,
        testing::{Random, rule},
    },
    service::Mac,
    wire::{Frame, parse, testing},
};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;

/// The packet with more payload, so that it has `len` bytes; none where it is no whole IP packet.
fn lengthened(packet: &[u8], len: usize) -> Option<Vec<u8>> {
    let Frame::Ip(headers) = parse(packet) else { return None };
    let end = usize::from(headers.payload) + usize::from(headers.payload_len);
    if headers.truncated || end != packet.len() {
        return None;
    }
    let mut long = packet.to_vec();
    long.extend((packet.len()..len).map(|at| u8::try_from(at % 251).unwrap()));
    let l3 = usize::from(headers.l3);
    let (field, total) = if headers.src.is_ipv4() { (l3 + 2, len - l3) } else { (l3 + 4, len - l3 - 40) };
    long[field..field + 2].copy_from_slice(&u16::try_from(total).unwrap().to_be_bytes());
    Some(long)
}

fn chains() -> Vec<String> {
    vec!["default".into(), "web".into()]
}

fn packets_of(filter: &Filter) -> Vec<(u32, u64)> {
    filter.rule_counts().iter().map(|rule| (rule.id.0, rule.count.packets)).collect()
}

fn bytes_of(filter: &Filter) -> u64 {
    filter.actions().unwrap().iter().map(|action| action.value.bytes).sum()
}

#[test]
#[ignore = "needs root"]
fn a_long_packet_meets_the_rules_that_a_short_one_meets() {
    let socket = xdp_socket().unwrap();
    let services: [IpAddr; 3] = [[10, 0, 0, 5].into(), [192, 168, 1, 1].into(), "fd00::1".parse().unwrap()];
    let mut met = [0; 3];
    for seed in 1..=15_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let rules = (1..=random.pick(&[1, 8, 40])).map(|id| random_rule(&mut random, id)).collect();
        let mut ruleset = Ruleset::new(rules, random_action(&mut random));
        if seed % 3 > 0 {
            shapes::season(&mut ruleset, &mut random);
        }
        let filters = [
            Filter::load(FailPolicy::Closed).unwrap(),
            Filter::for_split_packets(FailPolicy::Closed, Offload::default()).unwrap(),
        ];
        let [mut short, mut long] = filters;
        for filter in [&mut short, &mut long] {
            filter.set_port(LOOPBACK, 0).unwrap();
            services.iter().for_each(|service| filter.set_service(*service).unwrap());
            filter.set_socket(0, 0, socket.as_raw_fd()).unwrap();
            filter.publish(&ruleset, &chains()).unwrap();
        }
        let mut bytes = 0;
        for _ in 0..100 {
            let packet = testing::arbitrary(|| random.byte());
            let len = 4000 + 60 * usize::from(random.byte());
            let Some(lengthened) = lengthened(&packet, len) else { continue };
            let (expected, out) = short.test_run(&packet, LOOPBACK, 0).unwrap();
            let (action, out_long) = long.test_run(&lengthened, LOOPBACK, 0).unwrap();
            assert_eq!(action, expected, "{packet:02x?} of {ruleset:#?}");
            if action == XDP_REDIRECT {
                assert_eq!(out_long[..METADATA_LEN], out[..METADATA_LEN], "what the worker is told");
                assert_eq!(out_long[METADATA_LEN..], lengthened);
            }
            bytes += len as u64;
            met[match action {
                XDP_DROP => 0,
                XDP_PASS => 1,
                _ => 2,
            }] += 1;
        }
        assert_eq!(packets_of(&long), packets_of(&short));
        assert_eq!(bytes_of(&long), bytes, "all buffers count");
    }
    assert!(met.iter().all(|count| *count > 50), "{met:?}");
}

#[test]
#[ignore = "needs root"]
fn cleared_and_condemned_flows_stay_so_for_long_packets() {
    let rule = Rule { action: Action::Inspect { chain: "web".into() }, ..rule(1, |_| ()) };
    let rules = Ruleset::new(vec![rule], Action::Drop);
    let long = lengthened(&data(1), 9000).unwrap();
    let later = clock::monotonic_ns() + HOUR;
    let filter = |forward| {
        let mut filter = Filter::for_split_packets(FailPolicy::Closed, offload(forward)).unwrap();
        filter.publish(&rules, &chains()).unwrap();
        filter
    };
    // To the stack, or dropped.
    let by_stack = filter(false);
    let count = |filter: &Filter, name: &str| {
        filter.actions().unwrap().into_iter().find(|action| action.name == name).unwrap().value
    };
    for (verdict, action, name) in
        [(FlowVerdict::Cleared, XDP_PASS, "pass"), (FlowVerdict::Condemned, XDP_DROP, "drop")]
    {
        by_stack.flow_cache().write(&[order(&long, verdict, 1, later)]).unwrap();
        assert_eq!(by_stack.test_run(&long, LOOPBACK, 0).unwrap().0, action);
        assert_eq!(count(&by_stack, name), Count { packets: 1, bytes: 9000 });
    }
    // Straight to the service, where its device takes such packets and they fit.
    let forwarding = filter(true);
    let set = |mtu, split| {
        let exit = Exit { ifindex: LOOPBACK, mtu, split, dst_mac: Mac([2; 6]), src_mac: Mac([6; 6]) };
        forwarding.flow_cache().set_exits(&[(0, [10, 0, 0, 5].into(), exit)]).unwrap();
    };
    set(9000, true);
    forwarding.flow_cache().write(&[order(&long, FlowVerdict::Cleared, 1, later)]).unwrap();
    let (action, out) = forwarding.test_run(&long, LOOPBACK, 0).unwrap();
    assert_eq!((action, &out[..12]), (XDP_REDIRECT, &[2, 2, 2, 2, 2, 2, 6, 6, 6, 6, 6, 6][..]));
    assert_eq!(out[26..], long[26..]);
    assert_eq!(count(&forwarding, "forward"), Count { packets: 1, bytes: 9000 });
    // Others go by the rules: nobody inspects here, so they are dropped.
    for (mtu, split) in [(9000, false), (8985, true)] {
        set(mtu, split);
        assert_eq!(forwarding.test_run(&long, LOOPBACK, 0).unwrap().0, XDP_DROP, "{mtu}, {split}");
    }
    assert_eq!(count(&forwarding, "forward").packets, 1);
    set(9000, false);
    assert_eq!(forwarding.test_run(&data(1), LOOPBACK, 0).unwrap().0, XDP_REDIRECT, "short ones need no such device");
}
