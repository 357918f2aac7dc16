//! The lab without a daemon: what the other tests take for granted.

use std::time::Duration;

use crate::{
    lab::{Lab, Place, WEB, WEB6},
    traffic::{Numbered, Server, download, get, page_arrives, upload},
};

#[test]
#[ignore = "needs root"]
fn the_lab_carries_traffic_by_itself() {
    let lab = Lab::new();
    let server = Server::start(&lab, Place::Web, 80);
    let datagrams = Numbered::start(&lab, 5001);
    for web in [WEB, WEB6] {
        assert!(page_arrives(&lab, web), "the page from {web}");
        download(&lab, web, 10_000_000).expect("a download");
        upload(&lab, web, 10_000_000).expect("an upload");
    }
    assert_eq!(server.targets(), ["/", "/bytes/10000000", "/upload", "/", "/bytes/10000000", "/upload"]);
    std::thread::sleep(Duration::from_millis(500));
    let arrived = datagrams.finish();
    assert!(arrived.sent > 500, "{} datagrams", arrived.sent);
    assert!(arrived.missing.is_empty(), "lost {:?}", arrived.missing);
}

#[test]
#[ignore = "needs root"]
fn what_is_cut_off_shows_as_an_error() {
    let lab = Lab::new();
    let server = Server::start(&lab, Place::Web, 80);
    let datagrams = Numbered::start(&lab, 5001);
    std::thread::sleep(Duration::from_millis(200));
    lab.ip(Place::Host, "route add blackhole 10.77.2.2/32");
    assert!(get(&lab, WEB, 80, "/").is_err(), "no page");
    let arrived = datagrams.finish();
    assert!(arrived.missing.contains(&(arrived.sent - 1)), "no datagram");
    assert!(server.targets().is_empty());
}
