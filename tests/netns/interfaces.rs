//! The filtered interface goes away under a running daemon, and comes back.

use std::time::Duration;

use crate::{
    daemon::{Daemon, Setup},
    lab::{Lab, Place, WEB, wait_for},
    traffic::{Server, get, page_arrives},
};

#[test]
#[ignore = "needs root"]
fn an_interface_that_is_made_anew_is_filtered_again_without_a_restart() {
    let lab = Lab::new();
    let server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &Setup { fail_policy: "closed", ..Setup::default() });
    daemon.protect("--dst 10.77.2.2 --port 80 --proto tcp");
    assert!(page_arrives(&lab, WEB));
    let attached = |daemon: &Daemon| daemon.json("status")["interfaces"][0]["attached"] == true;
    let alerted = |text: &str| {
        wait_for(Duration::from_secs(5), text, || {
            daemon.alerts("dataplane").into_iter().find(|alert| alert.to_string().contains(text))
        })
    };

    lab.ip(Place::Host, "link del veth-client");
    alerted("veth-client is gone");
    assert!(!attached(&daemon));

    lab.ip(Place::Client, &format!("link add eth0 type veth peer name veth-client netns {}", lab.name(Place::Host)));
    lab.ip(Place::Client, "addr add 10.77.1.2/24 dev eth0");
    lab.ip(Place::Client, "link set eth0 up");
    lab.ip(Place::Client, "route add default via 10.77.1.1");
    lab.ip(Place::Host, "addr add 10.77.1.1/24 dev veth-client");
    lab.ip(Place::Host, "link set veth-client up");
    alerted("veth-client is back");
    assert!(attached(&daemon));
    let before = daemon.sum("workers", "/tx/packets");
    assert!(page_arrives(&lab, WEB), "by the new device");
    assert!(daemon.sum("workers", "/tx/packets") > before, "through the worker");
    assert!(get(&lab, WEB, 80, "/?file=../../../../etc/passwd").is_err(), "inspected");
    assert_eq!(server.targets(), ["/", "/"]);
    daemon.stop();
    assert!(!lab.ip_output(Place::Host, "link show veth-client").contains("xdp"), "an orderly end detaches");
}
