//! The main job: a page through inspection, an attack that is not let through, and other protocols.

use std::{fs, time::Duration};

use crate::{
    daemon::{Daemon, Setup},
    lab::{CLIENT, Lab, Place, WEB, WEB6, run, wait_for},
    traffic::{Server, get, page_arrives},
};

#[test]
#[ignore = "needs root"]
fn a_page_goes_through_inspection() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.protect("--dst 10.77.2.2 --port 80 --proto tcp");
    assert!(page_arrives(&lab, WEB), "the client gets the page");
    let seen = daemon.rule_packets("rule-1");
    assert!(seen >= 4, "SYN, ACK, request and FIN at least match the rule, not {seen}");
    let sent = daemon.sum("workers", "/tx/packets");
    assert!(sent >= 4, "the worker forwarded them, not {sent}");
    let through = daemon.sum("services", "/tx_packets");
    assert_eq!(through, daemon.sum("workers", "/tx/packets"), "all of it toward the service");
}

#[test]
#[ignore = "needs root"]
fn an_attack_is_blocked_and_alerted_and_the_next_page_is_not() {
    let lab = Lab::new();
    let server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.protect("--dst 10.77.2.2 --port 80 --proto tcp");
    let attack = "/index.html?file=../../../../etc/passwd";
    assert!(get(&lab, WEB, 80, attack).is_err(), "no answer to an attack");
    assert!(page_arrives(&lab, WEB), "the page comes as before");
    assert_eq!(server.targets(), ["/"], "the server saw the page's request only");

    let alert = wait_for(Duration::from_secs(2), "an alert", || daemon.alerts("signature").pop());
    assert_eq!(alert["event_type"], "alert");
    assert_eq!(alert["alert"]["action"], "blocked");
    assert_eq!((&alert["src_ip"], &alert["dest_ip"]), (&CLIENT.into(), &WEB.into()));
    assert_eq!((&alert["dest_port"], &alert["proto"]), (&80.into(), &"TCP".into()));
    assert_eq!(alert["in_iface"], "veth-client");
    assert_eq!(alert["secuxflow"]["module"], "http_guard");
    assert_eq!(alert["secuxflow"]["rule"], "rule-1");

    let file = fs::read_to_string(lab.dir().join("eve.json")).expect("the alert file");
    let lines: Vec<serde_json::Value> =
        file.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert!(lines.contains(&alert), "the same record is in the file");
}

#[test]
#[ignore = "needs root"]
fn test_inspection_names_rule_module_and_verdict() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.protect("--dst 10.77.2.2 --port 80 --proto tcp");
    let attack = daemon.json(
        "inspect --ip 10.77.1.2 --dst 10.77.2.2 --port 80 --proto tcp \
         --payload GET\\x20/?file=../../etc/passwd\\x20HTTP/1.1\\r\\n\\r\\n",
    );
    assert_eq!((&attack["rule"], &attack["action"]), (&"rule-1".into(), &"inspect".into()));
    assert_eq!(attack["verdict"], "drop");
    assert_eq!(attack["modules"][0]["module"], "http_guard");
    assert_eq!(attack["modules"][0]["verdict"], "drop");
    let other = daemon.json("inspect --ip 10.77.1.2 --dst 10.77.2.2 --port 443 --proto tcp");
    assert_eq!((&other["rule"], &other["verdict"]), (&serde_json::Value::Null, &"pass".into()));
    assert_eq!(daemon.rule_packets("rule-1"), 0, "no packet was sent");
}

#[test]
#[ignore = "needs root"]
fn ping_goes_through_inspection() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.cli("service add web --ip 10.77.2.2 --dev veth-web");
    daemon.cli("service add web6 --ip fd77:2::2 --dev veth-web");
    daemon.cli("rule add --proto icmp --action inspect");
    daemon.cli("rule add --proto icmpv6 --action inspect");
    daemon.wait_for_service("web", "up");
    daemon.wait_for_service("web6", "up");
    for (address, rule) in [(WEB, "rule-1"), (WEB6, "rule-2")] {
        run(lab.command(Place::Client, "ping").args(["-q", "-c", "3", "-i", "0.2", "-W", "2", address]));
        assert!(daemon.rule_packets(rule) >= 3, "{address} by {rule}");
    }
    assert!(daemon.sum("workers", "/tx/packets") >= 6, "the workers forwarded the echo requests");
}
