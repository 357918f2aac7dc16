//! Sets from the command line: what they cut off, when they let it through again, and what is refused.

use std::{fs, time::Duration};

use serde_json::Value;

use crate::{
    daemon::{Daemon, Setup},
    lab::{CLIENT, CLIENT6, Lab, Place, WEB, WEB6, wait_for},
    traffic::{Server, page_arrives},
};

/// Packets that a blocklist dropped.
fn blocked(daemon: &Daemon) -> u64 {
    let status = daemon.json("status");
    let events = status["events"].as_array().expect("a list of events");
    let blocked = events.iter().find(|event| event["name"] == "blocklist");
    blocked.and_then(|event| event["value"].as_u64()).unwrap_or_default()
}

/// A command line that must be refused: its exit code and what it said.
fn refused(daemon: &Daemon, words: &str) -> (i32, String) {
    let output = daemon.try_cli(&words.split_whitespace().collect::<Vec<_>>());
    let code = output.status.code().expect("an exit code");
    assert!(code != 0 && output.stdout.is_empty(), "secuxflow {words} was done");
    (code, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
#[ignore = "needs root"]
fn a_blocklist_cuts_a_source_off_before_any_rule_until_its_time_is_over() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.cli("rule add --action pass --priority 100");
    daemon.cli("set create drop --blocklist");
    assert!(page_arrives(&lab, WEB) && page_arrives(&lab, WEB6), "an empty blocklist blocks nobody");

    daemon.cli(&format!("set add drop {CLIENT} 198.51.100.0/24"));
    assert!(!page_arrives(&lab, WEB), "cut off, whatever the rules say");
    assert!(blocked(&daemon) > 0, "and counted");
    assert!(page_arrives(&lab, WEB6), "IPv6 is not on the list");
    daemon.cli(&format!("set remove drop {CLIENT}"));
    assert!(page_arrives(&lab, WEB), "back");

    daemon.cli(&format!("set add drop {CLIENT6} {CLIENT} --ttl 6s"));
    assert!(!page_arrives(&lab, WEB6) && blocked(&daemon) > 0, "cut off for a while");
    wait_for(Duration::from_secs(20), "the end of the entries", || {
        (daemon.json("set show drop")["entries"] == 1).then_some(())
    });
    assert!(page_arrives(&lab, WEB) && page_arrives(&lab, WEB6), "and let through again");
}

#[test]
#[ignore = "needs root"]
fn a_rule_follows_its_set() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.cli("set create clients");
    daemon.cli("rule add --src @clients --dst 10.77.2.0/24 --action drop");
    assert!(page_arrives(&lab, WEB));
    daemon.cli(&format!("set add clients {CLIENT} {CLIENT6}"));
    assert!(!page_arrives(&lab, WEB) && page_arrives(&lab, WEB6), "the rule's other fields count as well");
    assert!(daemon.rule_packets("rule-1") > 0);
    let told = daemon.cli(&format!("rule explain --src {CLIENT} --dst {WEB} --port 80"));
    assert!(told.starts_with("drop: rule-1 is the first that matches"), "{told}");

    let (code, said) = refused(&daemon, "set delete clients");
    assert!(code == 1 && said.contains("rule-1"), "{said}");
    daemon.cli("set clear clients");
    assert!(page_arrives(&lab, WEB), "a set may be emptied under its rules");
    daemon.cli("rule clear");
    daemon.cli("set delete clients");
    let (code, said) = refused(&daemon, "rule add --src @clients --action drop");
    assert!(code == 1 && said.contains("there is no set"), "{said}");
}

#[test]
#[ignore = "needs root"]
fn feeds_and_sets_with_mistakes_are_refused_or_told_and_sets_survive_a_restart() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &Setup::default());
    assert_eq!(daemon.cli("set create drop --blocklist --comment daily").trim(), "drop");
    let feed = lab.dir().join("feed.txt");
    fs::write(&feed, "# list\r\n198.51.100.0/24 ; SBL1\r\nburn\r\n203.0.113.9/24\r\n2001:db8::/32\r\n")
        .expect("a file");
    let feed = feed.display();

    for (words, code, said) in [
        (format!("set import none {feed}"), 1, "set create"),
        (format!("set import drop {feed} --strict"), 1, "line 3: 'burn'"),
        (format!("set import drop {feed} --ttl 10"), 1, "10m"),
        (format!("set import drop {feed}.gone"), 4, "feed.txt.gone"),
        ("set import drop /dev/null --replace".to_owned(), 1, "set clear"),
        ("set create drop".to_owned(), 1, "already"),
        ("set create Drop".to_owned(), 1, "a-z"),
        ("set add drop 10.0.0.1/8".to_owned(), 1, "did you mean 10.0.0.0/8?"),
        ("set remove drop 10.0.0.0/8".to_owned(), 1, "10.0.0.0/8"),
        ("set show none".to_owned(), 1, "'none'"),
        ("set delete none".to_owned(), 1, "'none'"),
        ("set delete drop 10.0.0.0/8".to_owned(), 2, "10.0.0.0/8"),
    ] {
        let (got, told) = refused(&daemon, &words);
        assert!(got == code && told.contains(said), "secuxflow {words}: {got}: {told}");
    }
    assert_eq!(daemon.json("set show drop")["entries"], 0);

    let import = format!("set import drop {feed}");
    let output = daemon.try_cli(&import.split(' ').collect::<Vec<_>>());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("feed.txt: line 3: 'burn': an address"), "{told}");
    assert!(told.contains("line 4: '203.0.113.9/24'") && told.contains("taken as 203.0.113.0/24"), "{told}");
    let shown = daemon.json("set show drop");
    daemon.stop();

    let daemon = Daemon::start(&lab, &Setup::default());
    let prefixes = |shown: &Value| shown["prefixes"].clone();
    assert_eq!(prefixes(&daemon.json("set show drop")), prefixes(&shown), "all are back");
    assert_eq!(shown["entries"], 3);
    daemon.stop();
    let file = lab.dir().join("sets/drop.set");
    let text = fs::read_to_string(&file).expect("the set's file");
    let half = &text[..text.len() - 20];
    fs::write(&file, half).expect("a file");
    let said = Daemon::refuses(&lab, &Setup::default());
    assert!(said.contains("drop.set is damaged (line "), "{said}");
    assert_eq!(fs::read_to_string(&file).expect("the set's file"), half, "left as it is");
}
