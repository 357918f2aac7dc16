//! The programs in the kernel, packet in, verdict and counters out; and the links on real devices.
//! A namespace of its own keeps devices and pins of these tests apart from the machine's.

use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::AsRawFd,
    path::Path,
    process::Command,
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use super::*;
use crate::{
    plane::{Count, FailPolicy},
    rules::{Action, MAX_RULES, PortRange, Protocol, Rule, RuleError, RuleId, Ruleset, testing::rule},
    wire::testing::{tcp4, vlan},
};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;
const LOOPBACK: u32 = 1;
const WEB: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

fn ruleset(rules: Vec<Rule>) -> Ruleset {
    Ruleset::new(rules, Action::Pass)
}

fn chains() -> Vec<String> {
    vec!["default".to_owned(), "web".to_owned()]
}

fn with_action(mut rule: Rule, action: Action) -> Rule {
    rule.action = action;
    rule
}

fn event(filter: &Filter, name: &str) -> u64 {
    filter.events().unwrap().into_iter().find(|event| event.name == name).unwrap().value
}

fn action(filter: &Filter, name: &str) -> Count {
    filter.actions().unwrap().into_iter().find(|action| action.name == name).unwrap().value
}

fn inspecting(fail_policy: FailPolicy) -> Filter {
    let mut filter = Filter::load(fail_policy).unwrap();
    let rule = with_action(rule(7, |m| m.proto = Some(Protocol::TCP)), Action::Inspect { chain: "web".into() });
    filter.publish(&ruleset(vec![rule]), &chains()).unwrap();
    filter
}

#[test]
#[ignore = "needs root"]
fn an_inspected_packet_carries_its_rule_and_chain_to_the_socket() {
    let filter = inspecting(FailPolicy::Closed);
    let socket = sys::xdp_socket().unwrap();
    filter.set_port(LOOPBACK, 3).unwrap();
    filter.set_socket(3, 0, socket.as_raw_fd()).unwrap();
    filter.set_service(WEB.into()).unwrap();
    let packet = tcp4([192, 0, 2, 1], WEB.octets(), 4000, 80);
    let (verdict, out) = filter.test_run(&packet, LOOPBACK, 0).unwrap();
    assert_eq!(verdict, XDP_REDIRECT);
    let (metadata, rest) = out.split_first_chunk().unwrap();
    assert_eq!(Metadata::read(metadata), Some(Metadata { chain: 1, rule: 7, generation: 1, slot: 0 }));
    assert_eq!(rest, packet);
    let count = Count { packets: 1, bytes: packet.len() as u64 };
    assert_eq!(action(&filter, "inspect"), count);
    assert_eq!(filter.rule_counts()[0].count, count);
}

#[test]
#[ignore = "needs root"]
fn what_cannot_be_inspected_follows_the_fail_policy_and_is_counted() {
    for (policy, verdict, event_name) in
        [(FailPolicy::Open, XDP_PASS, "fail_open"), (FailPolicy::Closed, XDP_DROP, "fail_closed")]
    {
        let filter = inspecting(policy);
        let packet = tcp4([192, 0, 2, 1], WEB.octets(), 4000, 80);
        let run = |filter: &Filter| filter.test_run(&packet, LOOPBACK, 0).unwrap().0;
        assert_eq!(run(&filter), verdict, "unknown service");
        assert_eq!((event(&filter, "no_service"), event(&filter, event_name)), (1, 1));
        filter.set_service(WEB.into()).unwrap();
        assert_eq!(run(&filter), verdict, "unknown interface");
        filter.set_port(LOOPBACK, 0).unwrap();
        assert_eq!(run(&filter), verdict, "no socket");
        let socket = sys::xdp_socket().unwrap();
        filter.set_socket(0, 0, socket.as_raw_fd()).unwrap();
        assert_eq!(run(&filter), XDP_REDIRECT);
        filter.clear_socket(0, 0).unwrap();
        assert_eq!(run(&filter), verdict, "socket taken out");
        filter.set_socket(0, 0, socket.as_raw_fd()).unwrap();
        filter.remove_service(WEB.into()).unwrap();
        assert_eq!(run(&filter), verdict, "service forgotten");
        assert_eq!((event(&filter, "no_service"), event(&filter, event_name)), (2, 5));
        assert_eq!(action(&filter, "inspect").packets, 1);
    }
}

#[test]
#[ignore = "needs root"]
fn without_a_generation_the_fail_policy_holds() {
    for (policy, verdict) in [(FailPolicy::Open, XDP_PASS), (FailPolicy::Closed, XDP_DROP)] {
        let filter = Filter::load(policy).unwrap();
        let packet = tcp4([1, 1, 1, 1], [2, 2, 2, 2], 1, 2);
        assert_eq!(filter.test_run(&packet, LOOPBACK, 0).unwrap().0, verdict);
        assert_eq!(event(&filter, "no_generation"), 1);
    }
}

#[test]
#[ignore = "needs root"]
fn counters_survive_a_swap_and_start_at_zero_for_a_new_rule() {
    let mut filter = Filter::load(FailPolicy::Open).unwrap();
    let web = with_action(rule(1, |m| m.port = Some(PortRange { first: 80, last: 80 }.into())), Action::Drop);
    let packet = tcp4([1, 1, 1, 1], WEB.octets(), 1, 80);
    assert_eq!(filter.publish(&ruleset(vec![web.clone()]), &chains()).unwrap(), 1);
    assert_eq!(filter.test_run(&packet, LOOPBACK, 0).unwrap().0, XDP_DROP);
    assert_eq!(filter.publish(&ruleset(vec![rule(2, |_| ()), web]), &chains()).unwrap(), 2);
    assert_eq!(filter.test_run(&packet, LOOPBACK, 0).unwrap().0, XDP_DROP);
    let packets: Vec<_> = filter.rule_counts().iter().map(|rule| (rule.id.0, rule.count.packets)).collect();
    assert_eq!(packets, [(1, 2), (2, 0)]);
    // The slot that rule 1 leaves comes round again, after all the others.
    let full = u32::try_from(MAX_RULES).unwrap();
    for first in [10, 20_000, 40_000, 60_000] {
        filter.publish(&ruleset((first..first + full).map(|id| rule(id, |_| ())).collect()), &chains()).unwrap();
        assert!(filter.rule_counts().iter().all(|rule| rule.count == Count::default()));
    }
}

#[test]
#[ignore = "needs root"]
fn a_refused_ruleset_leaves_the_live_one_in_place() {
    let mut filter = Filter::load(FailPolicy::Open).unwrap();
    filter.publish(&ruleset(vec![with_action(rule(1, |_| ()), Action::Drop)]), &chains()).unwrap();
    let lost = with_action(rule(2, |_| ()), Action::Inspect { chain: "gone".into() });
    assert!(matches!(filter.publish(&ruleset(vec![lost]), &chains()), Err(BpfError::Rule(RuleError::Field { .. }))));
    let packet = vlan(&tcp4([1, 1, 1, 1], WEB.octets(), 1, 80), 0x8100);
    assert_eq!(filter.test_run(&packet, LOOPBACK, 0).unwrap().0, XDP_DROP);
    assert_eq!(filter.generation(), 1);
    assert_eq!(filter.rule_counts()[0].id, RuleId(1));
}

#[test]
#[ignore = "needs root"]
fn a_full_ruleset_loads() {
    let mut filter = Filter::load(FailPolicy::Open).unwrap();
    let full = u32::try_from(MAX_RULES).unwrap();
    let host = |id: u32| Ipv4Addr::from(0xc612_0000 + id);
    let mut rules: Vec<Rule> = (1..full)
        .map(|id| with_action(rule(id, |m| m.src = Some(IpAddr::from(host(id)).into())), Action::Drop))
        .collect();
    rules.push(with_action(rule(full, |_| ()), Action::Drop));
    filter.publish(&ruleset(rules.clone()), &chains()).unwrap();
    for id in [1, full / 2, full - 1, full] {
        let packet = tcp4(host(id).octets(), WEB.octets(), 1, 80);
        assert_eq!(filter.test_run(&packet, LOOPBACK, 0).unwrap().0, XDP_DROP);
    }
    let counted = filter.rule_counts().into_iter().filter(|rule| rule.count.packets == 1);
    assert_eq!(counted.map(|rule| rule.id.0).collect::<Vec<_>>(), [1, full / 2, full - 1, full]);
    // One more than fits is refused by name, and the full set goes on.
    rules.push(rule(full + 1, |_| ()));
    let error = filter.publish(&ruleset(rules), &chains()).unwrap_err().to_string();
    assert_eq!(error, "16385 enabled rules: at most 16384 fit; delete or disable some");
    assert_eq!(filter.generation(), 1);
}

#[test]
#[ignore = "needs root"]
fn the_longest_walk_ends_in_a_full_ruleset_and_one_header_more_does_not() {
    let mut filter = Filter::load(FailPolicy::Open).unwrap();
    let full = u32::try_from(MAX_RULES).unwrap();
    let mut rules: Vec<Rule> = (1..full).map(|id| rule(id, |m| m.vlan = Some(9))).collect();
    let port = PortRange { first: 80, last: 80 };
    rules.push(with_action(rule(full, |m| m.port = Some(port.into())), Action::Drop));
    filter.publish(&ruleset(rules), &chains()).unwrap();
    // Destination options of 400 bytes each, as many as are walked in a packet that a test run takes.
    let packet = |headers: u8| {
        let segment = &tcp4([1, 1, 1, 1], WEB.octets(), 1, 80)[34..];
        let mut body = Vec::new();
        for header in 1..=headers {
            body.extend([if header == headers { 6 } else { 60 }, 49]);
            body.extend([0; 398]);
        }
        body.extend(segment);
        let mut frame = vec![2; 12];
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        frame.extend([60, 64]);
        frame.extend([0xfd; 32]);
        frame.extend(body);
        frame
    };
    assert_eq!(filter.test_run(&packet(8), LOOPBACK, 0).unwrap().0, XDP_DROP);
    let counted = filter.rule_counts().into_iter().find(|rule| rule.count.packets > 0);
    assert_eq!(counted.map(|rule| rule.id.0), Some(full));
    assert_eq!(event(&filter, "undecidable"), 0);
    assert_eq!(filter.test_run(&packet(9), LOOPBACK, 0).unwrap().0, XDP_DROP, "undecided, and a rule may drop it");
    assert_eq!(event(&filter, "undecidable"), 1);
}

#[test]
#[ignore = "needs root"]
fn the_verifier_accepts_a_generation_within_bounds() {
    let verified = inspecting(FailPolicy::Open).verified_instructions();
    println!("the verifier processed {verified} instructions");
    // The kernel's limit is 1,000,000. More than this means that a change made the paths multiply.
    assert!((1..60_000).contains(&verified), "{verified} instructions");
}

/// Run `body` on a thread with a network and mount namespace of its own, and a veth pair `near` and `far` in it.
pub(super) fn isolated(body: impl FnOnce(&Path) + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
            mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>).unwrap();
            ip("link add near.1 type veth peer name far");
            let dir = tempfile::tempdir().unwrap();
            body(&dir.path().join("bpf"));
        });
        thread.join().unwrap();
    });
}

pub(super) fn ip(arguments: &str) {
    assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "ip {arguments}");
}

/// What is pinned; some kernels add files of their own, with a dot in the name.
fn pins(bpffs: &Path) -> usize {
    let names = std::fs::read_dir(bpffs).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| !name.to_string_lossy().contains('.')).count()
}

fn ready() -> Filter {
    let mut filter = Filter::load(FailPolicy::Open).unwrap();
    filter.publish(&ruleset(Vec::new()), &chains()).unwrap();
    filter
}

#[test]
#[ignore = "needs root"]
fn a_link_outlives_its_daemon_with_its_rules_and_is_taken_over() {
    isolated(|bpffs| {
        let mut first = Filter::load(FailPolicy::Open).unwrap();
        first.publish(&ruleset(vec![with_action(rule(1, |_| ()), Action::Drop)]), &chains()).unwrap();
        let ifindex = first.attach("near.1", false, bpffs).unwrap();
        assert!(first.is_attached(ifindex));
        drop(first);
        // Only the pins hold the program now. An array that nothing refers to would be emptied, and the rules be gone.
        let programs = libbpf_rs::MapHandle::from_pinned_path(bpffs.join("programs-near:1")).unwrap();
        let slot = libbpf_rs::MapCore::lookup(&programs, &0_u32.to_ne_bytes(), libbpf_rs::MapFlags::ANY);
        assert!(slot.unwrap().is_some(), "the generation is still in its slot");
        drop(programs);
        let links = || pins(bpffs);
        assert_eq!(links(), 2, "link and program array are pinned");
        let mut second = ready();
        assert_eq!(second.attach("near.1", false, bpffs).unwrap(), ifindex);
        assert!(second.is_attached(ifindex));
        assert_eq!(links(), 2);
        // Another mode needs another link.
        let mut third = ready();
        third.attach("near.1", true, bpffs).unwrap();
        assert!(!second.is_attached(ifindex));
        third.attach("far", true, bpffs).unwrap();
        let mut fourth = ready();
        fourth.attach("near.1", true, bpffs).unwrap();
        fourth.detach_others(bpffs).unwrap();
        assert_eq!(links(), 2, "the link of the interface that is no longer wanted is gone");
        fourth.detach_all().unwrap();
        assert!(!bpffs.exists(), "the file system mounted for the pins is gone");
    });
}

#[test]
#[ignore = "needs root"]
fn a_device_that_vanished_is_noticed_and_its_successor_attached() {
    isolated(|bpffs| {
        let mut filter = ready();
        let ifindex = filter.attach("near.1", false, bpffs).unwrap();
        ip("link delete near.1");
        assert!(!filter.is_attached(ifindex));
        ip("link add near.1 type veth peer name far");
        let next = filter.attach("near.1", false, bpffs).unwrap();
        assert!(next != ifindex && filter.is_attached(next));
        filter.detach_all().unwrap();
        assert!(!bpffs.exists());
    });
}

#[test]
#[ignore = "needs root"]
fn a_refused_attachment_says_why_and_leaves_no_pin() {
    isolated(|bpffs| {
        let mut filter = ready();
        let mut refused = |name: &str, skb| filter.attach(name, skb, bpffs).unwrap_err().to_string();
        assert!(refused("none", false).contains("'none': there is none of this name"));
        ip("link set far mtu 9000");
        assert!(refused("near.1", false).contains("mtu"));
        ip("link set far mtu 1500");
        ip("link add plain type bridge");
        assert!(refused("plain", false).contains("no native xdp; use mode skb"));
        let mut other = ready();
        other.attach("near.1", false, &bpffs.join("../other")).unwrap();
        let busy = refused("near.1", false);
        assert!(busy.contains("xdp program id") && busy.contains("ip link set dev near.1 xdp off"), "{busy}");
        assert!(refused("near.1", true).contains("native mode"));
        assert_eq!(pins(bpffs), 0);
        other.detach_all().unwrap();
        filter.detach_all().unwrap();
        assert!(!bpffs.exists(), "a file system mounted in vain is gone too");
    });
}

#[test]
fn interface_and_queue_numbers_past_the_maps_are_refused_and_stale_metadata_is_none() {
    assert_eq!(Metadata::read(&[0; METADATA_LEN]), None);
    let error = filter::socket_index(16, 0).unwrap_err().to_string();
    assert_eq!(error, "interface number 16: at most 16 fit");
    assert_eq!(filter::socket_index(0, 64).unwrap_err().to_string(), "queue number 64: at most 64 fit");
    assert_eq!(filter::socket_index(15, 63).unwrap(), 1023);
}

#[test]
fn the_filter_can_move_to_the_control_thread() {
    fn is_send<T: Send>() {}
    is_send::<Filter>();
}
