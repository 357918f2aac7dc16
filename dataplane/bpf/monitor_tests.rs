//! Monitor mode in the kernel: what is counted, what is sampled, and how often.

use super::{Filter, Sample};
use crate::{
    plane::FailPolicy,
    rules::{Action, Monitored, PortRange, Rule, RuleId, Ruleset, testing::rule},
    wire::testing::{Flow, packet, tcp4},
};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const LOOPBACK: u32 = 1;

fn drop_port(id: u32, port: u16) -> Rule {
    let mut rule = rule(id, |matcher| matcher.port = Some(PortRange { first: port, last: port }.into()));
    rule.action = Action::Drop;
    rule
}

fn event(filter: &Filter, name: &str) -> u64 {
    filter.events().unwrap().into_iter().find(|event| event.name == name).unwrap().value
}

fn samples(filter: &Filter) -> Vec<Sample> {
    let mut samples = Vec::new();
    let taken = filter.samples(usize::MAX, |sample| samples.push(sample)).unwrap();
    assert_eq!(taken, samples.len());
    samples
}

/// Stay on this core: samples are limited by core.
fn stay() {
    assert!(core_affinity::set_for_current(core_affinity::get_core_ids().unwrap()[0]));
}

#[test]
#[ignore = "needs root"]
fn a_monitored_rule_counts_and_the_next_enforced_one_decides() {
    stay();
    let mut watched = drop_port(1, 80);
    watched.monitor = true;
    let mut enforced = drop_port(2, 443);
    enforced.priority = -1;
    let mut all = rule(3, |_| ());
    all.priority = -2;
    all.action = Action::Drop;
    let mut filter = Filter::load(FailPolicy::Open).unwrap();
    filter.publish(&Ruleset::new(vec![watched.clone(), enforced.clone()], Action::Pass), &[]).unwrap();
    let web = tcp4([192, 0, 2, 1], [10, 0, 0, 5], 4000, 80);
    let run = |filter: &Filter, packet: &[u8]| filter.test_run(packet, LOOPBACK, 0).unwrap().0;
    assert_eq!(run(&filter, &web), XDP_PASS);
    assert_eq!(run(&filter, &tcp4([192, 0, 2, 1], [10, 0, 0, 5], 4000, 443)), XDP_DROP);
    assert_eq!(filter.default_count().packets, 1, "the default action decided on what was monitored");
    // The rules below a monitored one are met; monitoring says nothing of what becomes of the packet.
    filter.publish(&Ruleset::new(vec![watched, enforced, all], Action::Pass), &[]).unwrap();
    assert_eq!(run(&filter, &web), XDP_DROP);
    let counts: Vec<u64> = filter.rule_counts().iter().map(|rule| rule.count.packets).collect();
    assert_eq!(counts, [2, 1, 1]);
    assert_eq!(event(&filter, "monitored"), 2);
    let expected = Sample {
        monitored: Monitored::Rule(RuleId(1)),
        ifindex: LOOPBACK,
        bytes: u32::try_from(web.len()).unwrap(),
        src: [192, 0, 2, 1].into(),
        dst: [10, 0, 0, 5].into(),
        sport: 4000,
        port: 80,
        protocol: 6,
    };
    assert_eq!(samples(&filter), [expected], "one a second for each rule, also across generations");
    assert_eq!(event(&filter, "sample_lost"), 0, "a sample that is not due is not lost");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    run(&filter, &web);
    assert_eq!(samples(&filter), [expected]);
}

#[test]
#[ignore = "needs root"]
fn a_monitored_ruleset_drops_nothing_and_samples_the_default_action_too() {
    stay();
    let ruleset = Ruleset { monitor: true, ..Ruleset::new(vec![drop_port(1, 80)], Action::Drop) };
    let mut filter = Filter::load(FailPolicy::Open).unwrap();
    filter.publish(&ruleset, &[]).unwrap();
    let [src, dst] = ["2001:db8::1", "::ffff:10.0.0.5"].map(|address| address.parse().unwrap());
    let flow = |port| Flow { src, dst, protocol: 17, sport: 9, port, tcp_flags: 0, vlan: 7 };
    for port in [80, 81, 81] {
        assert_eq!(filter.test_run(&packet(&flow(port)), LOOPBACK, 0).unwrap().0, XDP_PASS);
    }
    // One event for each packet, though both the rule and the default action would have dropped the first.
    assert_eq!(event(&filter, "monitored"), 3);
    assert_eq!(filter.default_count().packets, 3);
    let told: Vec<_> = samples(&filter).iter().map(|s| (s.monitored, s.src, s.dst, s.port)).collect();
    assert_eq!(told, [(Monitored::Rule(RuleId(1)), src, dst, 80), (Monitored::Default, src, dst, 81)]);
}

#[test]
#[ignore = "needs root"]
fn samples_without_room_are_counted_and_taken_in_portions() {
    stay();
    let watched = |id: u32| Rule { monitor: true, ..drop_port(id, u16::try_from(id).unwrap()) };
    let mut filter = Filter::load(FailPolicy::Open).unwrap();
    filter.publish(&Ruleset::new((1..=1200).map(watched).collect(), Action::Pass), &[]).unwrap();
    for port in 1..=1200 {
        filter.test_run(&tcp4([192, 0, 2, 1], [10, 0, 0, 5], 4000, port), LOOPBACK, 0).unwrap();
    }
    let lost = event(&filter, "sample_lost");
    assert!((1..1200).contains(&lost), "{lost} lost");
    let mut ports = Vec::new();
    assert_eq!(filter.samples(100, |sample| ports.push(sample.port)).unwrap(), 100);
    assert_eq!(ports, (1..=100).collect::<Vec<_>>(), "the oldest first");
    assert_eq!(samples(&filter).len() as u64 + 100 + lost, 1200);
    assert!(samples(&filter).is_empty());
}
