//! Flows that a module clears or condemns leave the worker, and sources that it blocks do not get in; each verdict ends.

use std::{net::UdpSocket, path::PathBuf, time::Duration};

use secuxflow::{
    bpf::Filter,
    plane::FailPolicy,
    rules::{Action, Ruleset},
};
use serde_json::Value;

use crate::{
    daemon::{Daemon, Setup, module_file},
    lab::{Lab, Place, WEB, run, wait_for},
    traffic::{Server, page_arrives},
};

const PORT: u16 = 5001;
/// Of one test's verdicts, seconds.
const TTL: Duration = Duration::from_secs(2);

/// Goes by the first byte of a datagram: C clears the flow, X condemns it, B blocks the source; the latter two are dropped.
const MARKED: &str = concat!(
    include_str!("../guest_head.wat"),
    r#"    (func (export "sxf_init") (param i32 i32) (result i32) (i32.const 0))
    (func (export "sxf_inspect") (param $p i32) (param $n i32) (result i32) (local $i i32) (local $mark i32)
        (loop $next
            (if (i32.load16_u offset=22 (local.get $p)) (then
                (local.set $mark (i32.load8_u
                    (i32.add (i32.load offset=8 (local.get $p)) (i32.load16_u offset=20 (local.get $p)))))
                (if (i32.eq (local.get $mark) (i32.const 67)) (then (call $clear (local.get $i) (i32.const 0))))
                (if (i32.eq (local.get $mark) (i32.const 88)) (then
                    (call $condemn (local.get $i) (i32.const 0)) (i32.store offset=44 (local.get $p) (i32.const 1))))
                (if (i32.eq (local.get $mark) (i32.const 66)) (then
                    (call $block (local.get $i) (i32.const 0)) (i32.store offset=44 (local.get $p) (i32.const 1))))))
            (local.set $p (i32.add (local.get $p) (i32.const 64)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (local.get $n))))
        (i32.const 0)))"#
);

/// A daemon that inspects datagrams to [`PORT`] by [`MARKED`], and one socket at either end.
struct Stage {
    daemon: Daemon,
    outbox: UdpSocket,
    inbox: UdpSocket,
    lab: Lab,
}

impl Stage {
    /// With verdicts that count for `ttl`, and further keys of the section `[flows]`.
    fn new(ttl: Duration, flows: &str) -> Self {
        let lab = Lab::new();
        let path: PathBuf = module_file(lab.dir(), "marked", MARKED);
        let flows = format!("ttl_seconds = {}\n{flows}", ttl.as_secs());
        let setup = Setup { modules: vec![("marked", path, String::new())], flows, ..Setup::default() };
        let daemon = Daemon::start(&lab, &setup);
        daemon.protect(&format!("--dst 10.77.2.2 --port {PORT} --proto udp"));
        let inbox = lab.enter(Place::Web, || UdpSocket::bind(("0.0.0.0", PORT)).expect("the port is free"));
        inbox.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout is allowed");
        let outbox = lab.enter(Place::Client, || UdpSocket::bind("0.0.0.0:4000").expect("the port is free"));
        outbox.connect((WEB, PORT)).expect("a route to the container");
        Self { daemon, outbox, inbox, lab }
    }

    /// Send a datagram; whether it arrives.
    fn arrives(&self, text: &str) -> bool {
        // An error is the answer to an earlier datagram.
        while self.outbox.send(text.as_bytes()).is_err() {}
        let mut buffer = [0; 64];
        match self.inbox.recv(&mut buffer) {
            Ok(length) => {
                assert_eq!(&buffer[..length], text.as_bytes(), "one after the other");
                true
            }
            Err(_) => false,
        }
    }

    /// Twenty datagrams without a mark, of which none is lost; how many came to a worker.
    fn twenty(&self) -> u64 {
        let before = self.daemon.sum("workers", "/rx/packets");
        assert!((0..20).all(|number| self.arrives(&format!("a{number}"))), "none is lost");
        self.daemon.sum("workers", "/rx/packets") - before
    }

    fn event(&self, name: &str) -> u64 {
        let status = self.daemon.json("status");
        let events = status["events"].as_array().expect("a list of events");
        let event = events.iter().find(|event| event["name"] == name).unwrap_or_else(|| panic!("{name} in {status}"));
        event["value"].as_u64().expect("a counter")
    }

    /// The flow, once the kernel deals with it as `state`.
    fn offloaded(&self, state: &str) -> Value {
        wait_for(Duration::from_secs(2), &format!("a flow {state} in the kernel"), || {
            let list = self.daemon.json(&format!("flow list --state {state} --port {PORT}"));
            let flow = list["flows"].as_array()?.first()?.clone();
            (flow["offloaded"] == 1).then_some(flow)
        })
    }

    fn clear(&self) -> Value {
        assert!(self.arrives("C"));
        self.offloaded("cleared")
    }
}

#[test]
#[ignore = "needs root"]
fn a_cleared_flow_leaves_the_worker_and_its_rule_goes_on_counting() {
    let stage = Stage::new(Duration::from_secs(60), "");
    assert_eq!(stage.twenty(), 20, "inspected");
    let flow = stage.clear();
    assert_eq!((&flow["src_port"], &flow["dst_port"], &flow["protocol"]), (&4000.into(), &PORT.into(), &17.into()));
    assert_eq!((&flow["rule"], &flow["chain"]), (&"rule-1".into(), &"default".into()));
    assert_eq!(flow["inspected"]["packets"], 21);
    let rule = stage.daemon.rule_packets("rule-1");
    assert_eq!(stage.twenty(), 0, "by the kernel alone");
    assert_eq!(stage.daemon.rule_packets("rule-1") - rule, 20);
    assert_eq!(stage.event("flow_cleared"), 20);
    let id = flow["flow_id"].as_u64().expect("a number");
    let shown = stage.daemon.json(&format!("flow show {id}"));
    assert_eq!((&shown["bypassed"]["packets"], &shown["state"]), (&20.into(), &"cleared".into()));

    // A flow beside it is inspected.
    let other = stage.lab.enter(Place::Client, || UdpSocket::bind("0.0.0.0:4001").expect("the port is free"));
    other.send_to(b"b", (WEB, PORT)).expect("it can be sent");
    assert_eq!(stage.inbox.recv(&mut [0; 8]).expect("it arrives"), 1);
    assert_eq!(stage.daemon.json("flow list --state inspected")["matching"], 1);

    stage.daemon.cli(&format!("flow delete {id}"));
    assert!(!stage.daemon.try_cli(&["flow", "show", &id.to_string()]).status.success(), "it is gone");
    assert_eq!(stage.twenty(), 20, "inspected again");
    stage.clear();
    assert_eq!(stage.twenty(), 0);
    stage.daemon.cli("flow delete --all");
    assert_eq!(stage.twenty(), 20);
}

#[test]
#[ignore = "needs root"]
fn a_verdict_ends_with_the_rules_and_by_itself() {
    let stage = Stage::new(TTL, "");
    stage.clear();
    let before = stage.daemon.sum("workers", "/rx/packets");
    assert!(stage.arrives("a"));
    assert_eq!(stage.daemon.sum("workers", "/rx/packets"), before);
    stage.daemon.cli("rule add --src 10.99.0.0/16 --action drop");
    assert_eq!(stage.twenty(), 20, "other rules: it is inspected again");
    stage.clear();
    std::thread::sleep(TTL + Duration::from_millis(100));
    assert_eq!(stage.twenty(), 20, "its time is over");
}

#[test]
#[ignore = "needs root"]
fn a_condemned_flow_is_dropped_in_the_kernel_for_a_time() {
    let stage = Stage::new(TTL, "");
    assert!(stage.arrives("a"));
    assert!(!stage.arrives("X"), "the module drops it");
    stage.offloaded("condemned");
    let (before, dropped) = (stage.daemon.sum("workers", "/rx/packets"), stage.event("flow_condemned"));
    assert!(!stage.arrives("a"), "as is what follows");
    assert_eq!(stage.daemon.sum("workers", "/rx/packets"), before, "in the kernel");
    assert_eq!(stage.event("flow_condemned"), dropped + 1);
    std::thread::sleep(TTL);
    assert_eq!(stage.twenty(), 20);
}

#[test]
#[ignore = "needs root"]
fn a_blocked_source_is_cut_off_whatever_the_rules_say() {
    let stage = Stage::new(Duration::from_secs(60), "");
    let _server = Server::start(&stage.lab, Place::Web, 80);
    assert!(page_arrives(&stage.lab, WEB), "traffic that no rule is about");
    assert!(!stage.arrives("B"));
    let blocked = wait_for(Duration::from_secs(2), "a blocked source", || {
        stage.daemon.json("flow blocked")["sources"].as_array()?.first().cloned()
    });
    assert_eq!(blocked["source"], "10.77.1.2");
    assert!(!page_arrives(&stage.lab, WEB) && !stage.arrives("a"), "cut off");
    assert!(stage.event("source_blocked") > 1);
    stage.daemon.cli("flow unblock 10.77.1.2");
    assert!(page_arrives(&stage.lab, WEB) && stage.arrives("a"), "back");
}

#[test]
#[ignore = "needs root"]
fn a_cleared_flow_is_sent_straight_to_its_service() {
    let stage = Stage::new(Duration::from_secs(60), "forward = \"service\"");
    // What XDP sends into a veth arrives only when its other end has a program, or GRO on. Until then it goes by the worker,
    // which shows it to no module.
    assert!(stage.arrives("C"));
    wait_for(Duration::from_secs(2), "a cleared flow", || {
        (stage.daemon.json("flow list --state cleared")["matching"] == 1).then_some(())
    });
    assert_eq!(stage.twenty(), 20);
    assert!(stage.daemon.sum("workers", "/flows/cleared") >= 20);
    let bpffs = stage.lab.dir().join("bpf-web");
    let mut web = stage.lab.enter(Place::Web, || {
        let mut filter = Filter::load(FailPolicy::Open).expect("a program");
        filter.publish(&Ruleset::new(Vec::new(), Action::Pass), &[]).expect("no rules");
        filter.attach("eth0", false, &bpffs).expect("native XDP on a veth");
        filter
    });
    // The daemon looks twice a second. A checksum that the sender leaves to its network card is still for the worker.
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(stage.twenty(), 20);
    assert_eq!(stage.event("flow_cleared"), 0);
    // ICMP leaves no checksum open. Eight bytes of payload are too few for a time, and all of them the pattern: C, then a.
    stage.daemon.cli("rule add --proto icmp --action inspect");
    let ping = |pattern: &str, count: &str| {
        let words = ["-q", "-W", "2", "-i", "0.02", "-s", "8", "-p", pattern, "-c", count, WEB];
        run(stage.lab.command(Place::Client, "ping").args(words));
    };
    ping("43", "1");
    wait_for(Duration::from_secs(2), "a cleared flow in the kernel", || {
        let list = stage.daemon.json("flow list --proto icmp --state cleared");
        (list["flows"].as_array()?.first()?["offloaded"] == 1).then_some(())
    });
    let received = stage.daemon.sum("workers", "/rx/packets");
    ping("61", "20");
    assert_eq!(stage.daemon.sum("workers", "/rx/packets"), received, "by the kernel alone");
    assert_eq!(stage.event("flow_cleared"), 20);
    let status = stage.daemon.json("status");
    let actions = status["actions"].as_array().expect("a list of actions");
    let forwarded = actions.iter().find(|action| action["name"] == "forward").expect("that action");
    assert_eq!(forwarded["value"]["packets"], 20);
    web.detach_all().expect("it was attached");
}

#[test]
#[ignore = "needs root"]
fn what_a_module_said_of_a_flow_ends_when_modules_change_and_one_that_is_loaded_later_may_say_it() {
    let stage = Stage::new(Duration::from_secs(60), "");
    stage.clear();
    assert_eq!(stage.twenty(), 0, "by the kernel alone");
    stage.daemon.cli("module reload marked");
    assert_eq!(stage.twenty(), 20, "the new module has not cleared it");
    stage.clear();
    stage.daemon.cli("chain set default --empty");
    assert_eq!(stage.twenty(), 20, "nor has a chain of other modules");
    stage.daemon.cli("module unload marked");
    assert!(stage.arrives("C") && stage.twenty() == 20, "nobody asks for it any more");
    let path = stage.lab.dir().join("marked.wat");
    stage.daemon.cli(&format!("module load later {}", path.display()));
    stage.daemon.cli("chain set default --module later:mode=monitor");
    assert!(stage.arrives("X") && stage.arrives("B"), "what is monitored neither drops nor condemns nor blocks");
    assert_eq!(stage.twenty(), 20);
    stage.daemon.cli("chain set default --module later");
    stage.clear();
    assert_eq!(stage.twenty(), 0, "by the kernel alone");
}
