//! A network card with AF_XDP zero-copy and two queues: from it to another such card, and to a container's veth, which has
//! no zero-copy and gets the same pages by a registration of its own.

use serde_json::Value;

use crate::{
    daemon::Daemon,
    traffic::{ask, deliver},
};

/// Datagrams to each service.
const COUNT: u64 = 6000;

#[test]
#[ignore = "runs in a virtual machine: scripts/test_vm.sh"]
fn frames_go_from_a_zero_copy_card_through_inspection_to_a_card_and_to_a_veth() {
    let daemon = Daemon::start("zero-copy", "zero-copy", "cores = [0, 1]");
    for interface in daemon.json("status")["interfaces"].as_array().expect("a list of interfaces") {
        assert_eq!((&interface["mode"], &interface["queues"]), (&"zero-copy".into(), &2.into()), "{interface}");
    }
    daemon.serve("server", "10.88.3.2", "nic1");
    daemon.serve("web", "10.88.2.2", "veth-web");
    // What XDP_OPTIONS says of each socket.
    let zero_copy =
        |dev: &str| -> Vec<Value> { daemon.sockets(dev).iter().map(|socket| socket["zero_copy"].clone()).collect() };
    assert_eq!(zero_copy("nic0"), [true, true], "the card that traffic comes in by");
    assert_eq!(zero_copy("nic1"), [true, true], "the card that leads to a service");
    assert_eq!(zero_copy("veth-web"), [false], "a veth has copy mode only");

    daemon.cli("rule add --proto udp --action inspect");
    deliver("web", "10.88.2.2", COUNT);
    deliver("server", "10.88.3.2", COUNT);
    let sent =
        |dev: &str| daemon.sockets(dev).iter().map(|socket| socket["tx"]["packets"].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sent("nic1"), sent("veth-web")), (COUNT, COUNT), "all of them by the workers");
    let received: Vec<u64> =
        daemon.sockets("nic0").iter().map(|socket| socket["rx"]["packets"].as_u64().unwrap()).collect();
    assert_eq!(received.iter().sum::<u64>(), 2 * COUNT);
    assert!(received.iter().all(|&packets| packets > COUNT / 8), "both queues: {received:?}");
    assert_eq!(daemon.sum("modules", "/passed/packets"), 2 * COUNT, "each was inspected");
    daemon.assert_all_frames_home();

    daemon.cli("rule add --proto tcp --port 80 --action inspect");
    for (namespace, address) in [("web", "10.88.2.2"), ("server", "10.88.3.2")] {
        let answer = ask(namespace, address, "/").expect("a web page");
        assert!(answer.starts_with("GET / "), "{address}: {answer}");
        ask(namespace, address, "/?file=../../../../etc/passwd").expect_err("an attack");
    }
    assert!(daemon.sum("modules", "/alerts") >= 2);
    deliver("server", "10.88.3.2", 64);
    daemon.assert_all_frames_home();
    daemon.stop();

    // Unless it is required: the driver is a module here.
    let daemon = Daemon::start("auto", "auto", "cores = [0, 1]");
    let status = daemon.json("status");
    let interfaces = status["interfaces"].as_array().expect("a list of interfaces");
    assert_eq!(interfaces.len(), 2);
    for interface in interfaces {
        let reason = interface["mode_reason"].as_str().expect("words");
        assert_eq!(interface["mode"], "copy", "{interface}");
        assert!(reason.starts_with("virtio_net as a loadable module sends wrong headers"), "{interface}");
    }
    daemon.stop();
}
