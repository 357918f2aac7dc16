//! Services whose device goes away and comes back.
//!
//! The container gets a second link here, which the service uses, while the kernel's own route stays on the first: so
//! the fail policy decides whether traffic still arrives when the second one is gone.

use std::time::Duration;

use crate::{
    daemon::{Daemon, Setup},
    lab::{Lab, Place, WEB, wait_for},
    traffic::{Server, page_arrives},
};

pub(crate) const MAC: &str = "02:00:00:00:77:02";

pub(crate) fn add_second_link(lab: &Lab) {
    let web = lab.name(Place::Web);
    lab.ip(Place::Host, &format!("link add veth-second type veth peer name eth1 address {MAC} netns {web}"));
    lab.ip(Place::Host, "link set veth-second up");
    lab.ip(Place::Web, "link set eth1 up");
}

fn vanishing(fail_policy: &'static str) {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    add_second_link(&lab);
    let daemon = Daemon::start(&lab, &Setup { fail_policy, ..Setup::default() });
    daemon.cli(&format!("service add web --ip 10.77.2.2 --dev veth-second --mac {MAC}"));
    daemon.cli("rule add --dst 10.77.2.2 --port 80 --proto tcp --action inspect");
    daemon.wait_for_service("web", "up");
    assert!(page_arrives(&lab, WEB), "the page by the second link");
    let sent = daemon.sum("services", "/tx_packets");
    assert!(sent >= 4, "through the service: {sent}");

    lab.ip(Place::Host, "link del veth-second");
    let down = daemon.wait_for_service("web", "down");
    assert!(down["reason"].as_str().is_some_and(|reason| reason.contains("veth-second")), "{down}");
    wait_for(Duration::from_secs(2), "an alert", || {
        daemon.alerts("dataplane").into_iter().find(|alert| alert.to_string().contains("web"))
    });
    assert_eq!(page_arrives(&lab, WEB), fail_policy == "open", "traffic follows the fail policy");

    add_second_link(&lab);
    daemon.wait_for_service("web", "up");
    let before = daemon.sum("services", "/tx_packets");
    assert!(page_arrives(&lab, WEB), "the page by the new link");
    assert!(daemon.sum("services", "/tx_packets") > before, "through the service again");
}

#[test]
#[ignore = "needs root"]
fn a_service_whose_veth_vanishes_fails_open_and_comes_back() {
    vanishing("open");
}

#[test]
#[ignore = "needs root"]
fn a_service_whose_veth_vanishes_fails_closed_and_comes_back() {
    vanishing("closed");
}

#[test]
#[ignore = "needs root"]
fn a_service_on_a_device_that_is_not_there_is_down_and_comes_up_with_it() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.cli(&format!("service add web --ip 10.77.2.2 --dev veth-second --mac {MAC}"));
    daemon.wait_for_service("web", "down");
    daemon.cli("rule add --dst 10.77.2.2 --port 80 --proto tcp --action inspect");
    assert!(page_arrives(&lab, WEB), "fail_open: by the kernel");
    add_second_link(&lab);
    daemon.wait_for_service("web", "up");
    assert!(page_arrives(&lab, WEB));
    assert!(daemon.sum("services", "/tx_packets") >= 4, "by the worker");
}
