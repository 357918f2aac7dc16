//! Rules from the command line, and what they do to traffic that flows.

use std::time::Duration;

use crate::{
    daemon::{Daemon, Setup},
    lab::{Lab, Place, WEB, WEB6},
    traffic::{Numbered, Server, page_arrives},
};

#[test]
#[ignore = "needs root"]
fn a_drop_rule_cuts_the_client_off_in_the_kernel_and_its_deletion_lets_it_back() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.protect("--dst 10.77.2.2 --port 80 --proto tcp");
    assert!(page_arrives(&lab, WEB));

    let id = daemon.cli("rule add --src 10.77.1.2 --action drop --priority 10");
    assert_eq!(id.trim(), "rule-2");
    let received = daemon.sum("workers", "/rx/packets");
    assert!(!page_arrives(&lab, WEB), "cut off");
    assert!(daemon.rule_packets("rule-2") >= 1, "counted");
    assert_eq!(daemon.sum("workers", "/rx/packets"), received, "nothing of it reached user space");

    let kept = daemon.rule_packets("rule-1");
    daemon.cli("rule delete --id rule-2");
    assert!(page_arrives(&lab, WEB), "back");
    assert!(daemon.rule_packets("rule-1") > kept, "counters go on from where they were: {kept}");
}

#[test]
#[ignore = "needs root"]
fn a_drop_rule_holds_for_ipv6() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &Setup::default());
    assert!(page_arrives(&lab, WEB6));
    daemon.cli("rule add --src fd77:1::/64 --dst fd77:2::2 --port 80 --proto tcp --action drop");
    assert!(!page_arrives(&lab, WEB6), "IPv6 is cut off");
    assert!(page_arrives(&lab, WEB), "IPv4 is not");
    assert!(daemon.rule_packets("rule-1") >= 1);
}

#[test]
#[ignore = "needs root"]
fn rule_changes_lose_no_packet() {
    const INSPECTED: u16 = 5001;
    const PASSED: u16 = 5002;
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.protect(&format!("--dst 10.77.2.2 --port {INSPECTED} --proto udp"));
    let streams = [INSPECTED, PASSED].map(|port| (port, Numbered::start(&lab, port)));
    for round in 0..30 {
        let id = daemon.cli(&format!("rule add --src 10.99.{round}.0/24 --action drop --priority 5"));
        std::thread::sleep(Duration::from_millis(20));
        daemon.cli(&format!("rule delete --id {}", id.trim()));
    }
    for (port, stream) in streams {
        let arrived = stream.finish();
        assert!(arrived.sent > 500, "port {port}: only {} were sent", arrived.sent);
        assert!(arrived.missing.is_empty(), "port {port}: of {} lost {:?}", arrived.sent, arrived.missing);
    }
    assert!(daemon.rule_packets("rule-1") > 500, "the inspected stream was inspected");
    let generation = daemon.json("status")["generation"].as_u64().expect("a number");
    assert!(generation >= 60, "every change was a generation of its own, and there were {generation}");
}

#[test]
#[ignore = "needs root"]
fn rules_and_services_survive_a_restart() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.protect("--dst 10.77.2.2 --port 80 --proto tcp");
    daemon.cli("rule add --src 10.77.1.99 --action drop");
    daemon.cli("rule delete --id rule-2");
    daemon.stop();
    assert!(!lab.ip_output(Place::Host, "link show veth-client").contains("xdp"), "an orderly end detaches");
    assert!(page_arrives(&lab, WEB), "and the host forwards by itself");

    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.wait_for_service("web", "up");
    assert!(page_arrives(&lab, WEB));
    assert!(daemon.rule_packets("rule-1") >= 4, "rule-1 is back and matches");
    assert_eq!(daemon.cli("rule add --src 10.77.1.99 --action drop").trim(), "rule-3", "numbers are not used again");
}

#[test]
#[ignore = "needs root"]
fn a_ruleset_takes_effect_at_once_and_what_it_keeps_counts_on() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.cli("rule add --dst 10.77.2.2 --port 80 --proto tcp --action pass");
    daemon.cli("rule add --dst 10.77.2.0/24 --action drop");
    assert!(page_arrives(&lab, WEB));
    let counted = daemon.rule_packets("rule-1");
    assert!(counted > 0);

    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let exported = file("old.toml", &daemon.cli("rule export"));
    let cut = file(
        "new.toml",
        "[[rule]]\naction = \"drop\"\nsrc = \"10.77.1.2\"\npriority = 9\n\n\
         [[rule]]\naction = \"pass\"\ndst = \"10.77.2.2\"\nport = 80\nproto = \"tcp\"\n",
    );
    let foretold = daemon.cli(&format!("rule apply {cut} --dry-run"));
    assert!(foretold.contains("1 added, 1 removed, 0 changed, 1 kept; revision 2"), "{foretold}");
    assert!(page_arrives(&lab, WEB), "a dry run changes nothing");
    daemon.cli(&format!("rule apply {cut} --if-revision 2"));
    assert!(!page_arrives(&lab, WEB), "cut off");
    assert!(daemon.rule_packets("rule-3") > 0 && daemon.rule_packets("rule-1") >= counted, "kept with its counters");
    let told = daemon.cli("rule explain --src 10.77.1.2 --dst 10.77.2.2 --port 80");
    assert!(
        told.starts_with("drop: rule-3 is the first that matches\n* rule-3 (drop) matches, before rule-1"),
        "{told}"
    );

    daemon.cli(&format!("rule apply {exported}"));
    assert!(page_arrives(&lab, WEB), "back");
    let again = daemon.cli("rule export");
    let rules = |text: &str| text.split_once('\n').map(|(_, rules)| rules.to_owned());
    assert_eq!(rules(&again), rules(&std::fs::read_to_string(&exported).unwrap()), "all as it was");
}
