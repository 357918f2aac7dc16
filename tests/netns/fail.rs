//! The daemon killed under traffic, with either fail policy, and started again.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    daemon::{Daemon, Setup},
    lab::{Lab, Place, WEB},
    traffic::{Numbered, Server, get, page_arrives},
};

/// A port whose traffic no rule matches: passed.
const PASSED: u16 = 8080;
/// A port of datagrams that are inspected while the daemon dies.
const DATAGRAMS: u16 = 5001;

fn begin(lab: &Lab, fail_policy: &'static str) -> Daemon {
    let daemon = Daemon::start(lab, &Setup { fail_policy, ..Setup::default() });
    daemon.protect("--dst 10.77.2.2 --port 80 --proto tcp");
    daemon.cli(&format!("rule add --dst 10.77.2.2 --port {DATAGRAMS} --proto udp --action inspect"));
    assert!(page_arrives(lab, WEB), "the page, inspected");
    daemon
}

#[test]
#[ignore = "needs root"]
fn killed_with_fail_open_new_connections_work_within_a_second() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = begin(&lab, "open");
    let traffic = Numbered::start(&lab, DATAGRAMS);
    thread::sleep(Duration::from_millis(300));
    daemon.kill();
    let killed = Instant::now();
    assert!(page_arrives(&lab, WEB), "a new connection");
    assert!(killed.elapsed() < Duration::from_secs(1), "it took {:?}", killed.elapsed());
    thread::sleep(Duration::from_millis(700));
    let arrived = traffic.finish();
    let last = arrived.sent - 1;
    assert!(!arrived.missing.contains(&last), "datagrams flow after the kill");
    // What the dead worker held is lost: less than a second's worth.
    assert!(arrived.missing.len() < 2000, "{} of {} lost", arrived.missing.len(), arrived.sent);
}

#[test]
#[ignore = "needs root"]
fn killed_with_fail_closed_inspected_traffic_stays_blocked_and_passed_traffic_flows() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let _passed = Server::start(&lab, Place::Web, PASSED);
    let daemon = begin(&lab, "closed");
    let traffic = Numbered::start(&lab, DATAGRAMS);
    thread::sleep(Duration::from_millis(300));
    daemon.kill();
    assert!(lab.ip_output(Place::Host, "link show veth-client").contains("xdp"), "the program stays attached");
    assert!(!page_arrives(&lab, WEB), "inspected traffic is blocked");
    assert!(get(&lab, WEB, PASSED, "/").is_ok(), "passed traffic flows");
    thread::sleep(Duration::from_millis(1500));
    assert!(!page_arrives(&lab, WEB), "and it stays so");
    let arrived = traffic.finish();
    assert!(arrived.missing.contains(&(arrived.sent - 1)), "inspected datagrams are blocked too");

    let daemon = Daemon::start(&lab, &Setup { fail_policy: "closed", ..Setup::default() });
    daemon.wait_for_service("web", "up");
    assert!(page_arrives(&lab, WEB), "the new daemon took over");
    assert!(daemon.rule_packets("rule-1") >= 4, "its rules are back");
    daemon.stop();
    assert!(!lab.ip_output(Place::Host, "link show veth-client").contains("xdp"), "an orderly end detaches");
}

#[test]
#[ignore = "needs root"]
fn killed_with_fail_open_a_new_daemon_takes_over() {
    let lab = Lab::new();
    let server = Server::start(&lab, Place::Web, 80);
    begin(&lab, "open").kill();
    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.wait_for_service("web", "up");
    assert!(page_arrives(&lab, WEB));
    assert!(daemon.rule_packets("rule-1") >= 4, "its rules are back");
    assert!(get(&lab, WEB, 80, "/?file=../../../../etc/passwd").is_err(), "and it inspects");
    assert_eq!(server.targets(), ["/", "/"]);
}
