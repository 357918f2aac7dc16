//! An older kernel, whose network card has no zero-copy: every program loads, and copy mode forwards. The
//! card's NUMA node gives cores and memory.

use crate::{
    daemon::{Daemon, FRAMES},
    traffic::{ask, deliver},
};

/// Datagrams to each service.
const COUNT: u64 = 3000;

#[test]
#[ignore = "runs in a virtual machine: scripts/test_vm.sh"]
fn every_program_loads_and_copy_mode_forwards() {
    let daemon = Daemon::start("copy", "auto", "spin_us = 100\nprefer_busy_poll = true");
    let interface = &daemon.json("status")["interfaces"][0];
    assert_eq!(interface["mode"], "copy", "{interface}");
    assert!(interface["mode_reason"].as_str().is_some_and(|reason| reason.contains("zero-copy")), "{interface}");
    // The cards are on node 1, and so are core 1 and half of the memory.
    assert_eq!(interface["numa_node"], 1, "{interface}");
    for worker in daemon.json("status")["workers"].as_array().expect("a list of workers") {
        assert_eq!(worker["core"], 1, "{worker}");
    }
    assert_eq!(daemon.umem_pages(), [0, 2 * FRAMES], "pages by node");
    daemon.serve("server", "10.88.3.2", "nic1");
    daemon.serve("web", "10.88.2.2", "veth-web");
    // Each kind of condition that has code of its own in the program, on addresses of both families and of neither.
    daemon.cli("set create scanners");
    daemon.cli("set add scanners 192.0.2.0/24 2001:db8::/32");
    for rule in [
        "--src @scanners --action drop",
        "--dst 10.88.2.2 --port 22,2222,8000-8099 --proto tcp --tcp-flags syn,!ack --action drop",
        "--dst fd00::/8 --vlan 100 --action drop --monitor",
        "--proto udp --action inspect",
        "--proto tcp --port 80 --action inspect",
    ] {
        daemon.cli(&format!("rule add {rule}"));
    }
    deliver("web", "10.88.2.2", COUNT);
    deliver("server", "10.88.3.2", COUNT);
    let sent =
        |dev: &str| daemon.sockets(dev).iter().map(|socket| socket["tx"]["packets"].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sent("nic1"), sent("veth-web")), (COUNT, COUNT), "all of them by the workers");
    assert_eq!(daemon.sum("modules", "/passed/packets"), 2 * COUNT, "each was inspected");
    let answer = ask("web", "10.88.2.2", "/").expect("a web page");
    assert!(answer.starts_with("GET / "), "{answer}");
    ask("web", "10.88.2.2", "/?file=../../../../etc/passwd").expect_err("an attack");
    deliver("server", "10.88.3.2", 64);
    daemon.assert_all_frames_home();
    daemon.stop();
}
