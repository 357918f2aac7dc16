//! Long transfers, every byte compared.

use crate::{
    daemon::{Daemon, Setup},
    lab::{CLIENT, CLIENT6, Lab, Place, WEB, WEB6},
    traffic::{Server, download, upload},
};

/// 100 MB.
const BYTES: usize = 100_000_000;

/// 100 MB in either direction through a daemon on `interfaces`; returns packets inspected.
fn transfer(interfaces: Vec<&'static str>, client: &str, web: &str) -> u64 {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &Setup { interfaces, ..Setup::default() });
    daemon.cli(&format!("service add web --ip {web} --dev veth-web"));
    daemon.cli(&format!("service add client --ip {client} --dev veth-client"));
    daemon.cli("rule add --proto tcp --action inspect");
    daemon.wait_for_service("web", "up");
    daemon.wait_for_service("client", "up");
    download(&lab, web, BYTES).expect("a download of 100 MB");
    upload(&lab, web, BYTES).expect("an upload of 100 MB");
    daemon.sum("workers", "/rx/packets")
}

/// Segments of 100 MB at an MTU of 1500.
const SEGMENTS: u64 = 68_000;

#[test]
#[ignore = "needs root"]
fn a_hundred_megabytes_each_way_over_ipv4() {
    assert!(transfer(vec!["veth-client"], CLIENT, WEB) > SEGMENTS, "the upload was inspected");
}

#[test]
#[ignore = "needs root"]
fn a_hundred_megabytes_each_way_over_ipv6() {
    assert!(transfer(vec!["veth-client"], CLIENT6, WEB6) > SEGMENTS, "the upload was inspected");
}

#[test]
#[ignore = "needs root"]
fn a_hundred_megabytes_each_way_with_both_directions_inspected() {
    let both = vec!["veth-client", "veth-web"];
    assert!(transfer(both, CLIENT, WEB) > 2 * SEGMENTS, "upload and download were inspected");
}

#[test]
#[ignore = "needs root"]
fn a_hundred_megabytes_each_way_with_both_directions_inspected_over_ipv6() {
    let both = vec!["veth-client", "veth-web"];
    assert!(transfer(both, CLIENT6, WEB6) > 2 * SEGMENTS, "upload and download were inspected");
}
