//! The whole dataplane on veth pairs, in a namespace of each test's own, when something breaks.
//!
//! ```text
//!   rv-a ═ rv-b (filtered, two queues)      rv-c (the service's device) ═ rv-d
//! ```

use std::{
    net::{IpAddr, UdpSocket},
    path::Path,
    process::Command,
    time::Duration,
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use secuxflow_abi::{Chunk, Packet};

use super::*;
use crate::{
    alert::{AlertKind, Verdict},
    bpf::Filter,
    process::Inspect,
    rules::{Action, Ruleset},
    service::{Mac, Service, ServiceState, WayOut, set_queues},
    stream::StreamConfig,
    wire::testing::tcp4,
    xsk::{self, PortId, PortSpec, Umem},
};

const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;
const WEB: [u8; 4] = [10, 77, 2, 2];
const UMEM: UmemLayout = UmemLayout { frames: 512, frame_size: 4096, ring: 64 };

fn isolated(body: impl FnOnce(&Path) + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
            mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>).unwrap();
            let queues = "numrxqueues 2 numtxqueues 2";
            ip(&format!("link add rv-a {queues} type veth peer name rv-b {queues}"));
            ip("link add rv-c type veth peer name rv-d");
            for dev in ["rv-a", "rv-b", "rv-c", "rv-d"] {
                ip(&format!("link set {dev} addrgenmode none"));
                ip(&format!("link set {dev} up"));
            }
            let dir = tempfile::tempdir().unwrap();
            body(&dir.path().join("bpf"));
        });
        thread.join().unwrap();
    });
}

fn ip(arguments: &str) {
    assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "ip {arguments}");
}

fn config(interfaces: &[&str], bpffs: &Path) -> PlaneConfig {
    PlaneConfig {
        interfaces: interfaces.iter().map(|&name| name.to_owned()).collect(),
        mode: ModeRequest::Auto,
        fail_policy: FailPolicy::Open,
        default_action: Action::Pass,
        modules: Vec::new(),
        chains: vec![ChainConfig { name: "default".into(), modules: Vec::new() }],
        max_modules: 4,
        umem: UMEM,
        multi_buffer: MultiBuffer::Auto,
        cores: Vec::new(),
        batch: 64,
        numa: NumaRequest::Auto,
        busy_poll: false,
        spin: Duration::ZERO,
        prefer_busy_poll: false,
        egress: EgressRequest::Auto,
        set_gro: false,
        flows: super::FlowConfig::default(),
        streams: StreamConfig::default(),
        alert_queue: 64,
        bpffs: bpffs.to_owned(),
    }
}

fn inspect_all() -> Ruleset {
    Ruleset::new(Vec::new(), Action::Inspect { chain: "default".into() })
}

fn web() -> Service {
    let mac = Some(Mac([2, 0, 0, 0, 0, 9]));
    Service { name: "web".into(), ip: WEB.into(), dev: "rv-c".into(), mac }
}

/// What XDP does with a packet for the service that comes in by `queue`.
fn verdict(plane: &Plane, queue: u32) -> u32 {
    let running = plane.lock();
    let packet = tcp4([192, 0, 2, 1], WEB, 4000, 80);
    running.filter.test_run(&packet, running.interfaces[0].ifindex, queue).unwrap().0
}

fn told(plane: &Plane) -> Vec<String> {
    std::iter::from_fn(|| plane.alerts().pop()).map(|alert| alert.message.to_string()).collect()
}

#[test]
#[ignore = "needs root"]
fn a_dead_worker_is_told_of_and_its_traffic_follows_the_fail_policy() {
    isolated(|bpffs| {
        let plane = Plane::start(&config(&["rv-b"], bpffs), &inspect_all(), &[web()]).unwrap();
        assert_eq!((verdict(&plane, 0), verdict(&plane, 1)), (XDP_REDIRECT, XDP_REDIRECT));
        assert!(plane.status().unwrap().workers.iter().all(|worker| worker.running));
        plane.lock().workers.kill(0);
        plane.tick().unwrap();
        // The service's device has one queue, worker 0's: the other worker cannot reach the service either.
        assert_eq!((verdict(&plane, 0), verdict(&plane, 1)), (XDP_PASS, XDP_PASS));
        let status = plane.status().unwrap();
        assert_eq!(status.workers.iter().map(|worker| worker.running).collect::<Vec<_>>(), [false, true]);
        let ServiceState::Down { reason } = &status.services[0].state else { panic!("{:?}", status.services) };
        assert!(reason.contains("worker 0") && reason.contains("restart"), "{reason}");
        let told = told(&plane);
        assert!(told.iter().any(|text| text.contains("worker 0 has died")), "{told:?}");
        assert!(told.iter().any(|text| text.contains("service web is down")), "{told:?}");
        plane.shutdown().unwrap();
    });
}

#[test]
#[ignore = "needs root"]
fn an_mtu_that_packets_of_several_frames_are_needed_for_is_taken_or_refused_with_the_limit() {
    isolated(|bpffs| {
        let refusal = |config: &PlaneConfig| Plane::start(config, &inspect_all(), &[]).unwrap_err().to_string();
        let off = PlaneConfig { multi_buffer: MultiBuffer::Off, ..config(&["rv-b"], bpffs) };
        ip("link set rv-b mtu 9000");
        for mode in [ModeRequest::Auto, ModeRequest::Skb] {
            let error = refusal(&PlaneConfig { mode, ..off.clone() });
            // 4096 less XDP's headroom and the longest Ethernet header.
            let words = ["interfaces: rv-b: mtu 9000", "umem.frame_size 4096", "up to 3818", "several frames", "off"];
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
        // What comes from a veth is as long as its peer allows: native XDP refuses it.
        ip("link set rv-b mtu 1500");
        ip("link set rv-a mtu 9000");
        let error = refusal(&off);
        assert!(error.contains("veth peer's, is too large for native xdp"), "{error}");
        // 16 frames, less the same.
        ip("link set rv-b mtu 61419");
        let error = refusal(&config(&["rv-b"], bpffs));
        let words = ["interfaces: rv-b: mtu 61419 is above 61418", "16 frames", "umem.frame_size 4096"];
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
        for mtu in [61418, 9000] {
            ip(&format!("link set rv-b mtu {mtu}"));
            let plane = Plane::start(&config(&["rv-b"], bpffs), &inspect_all(), &[]).unwrap();
            let status = plane.status().unwrap().interfaces.remove(0);
            assert_eq!((status.multi_buffer, status.multi_buffer_reason.as_str()), (true, ""));
            plane.shutdown().unwrap();
        }
        ip("link set rv-b mtu 1500");
        ip("link set rv-a mtu 1500");
        let plane = Plane::start(&off, &inspect_all(), &[]).unwrap();
        let status = plane.status().unwrap().interfaces.remove(0);
        assert_eq!((status.multi_buffer, status.multi_buffer_reason.as_str()), (false, "umem.multi_buffer is \"off\""));
        plane.shutdown().unwrap();
    });
}

#[test]
#[ignore = "needs root"]
fn a_driver_without_such_packets_in_zero_copy_is_bound_in_copy_mode_or_refused() {
    isolated(|bpffs| {
        ip("link set rv-b mtu 9000");
        let zero_copy = PlaneConfig { mode: ModeRequest::ZeroCopy, ..config(&["rv-b"], bpffs) };
        let error = Plane::start(&zero_copy, &inspect_all(), &[]).unwrap_err().to_string();
        assert!(error.contains("rv-b: its mtu takes several frames, and its driver has no zero-copy for"), "{error}");
        let plane = Plane::start(&config(&["rv-b"], bpffs), &inspect_all(), &[]).unwrap();
        let status = plane.status().unwrap().interfaces.remove(0);
        assert_eq!((status.mode, status.multi_buffer), (Mode::Copy, true));
        assert!(status.mode_reason.contains("no zero-copy for packets of several frames"), "{}", status.mode_reason);
        plane.shutdown().unwrap();
    });
}

#[test]
#[ignore = "needs root"]
fn what_monitor_mode_lets_through_becomes_an_alert() {
    isolated(|bpffs| {
        let plane = Plane::start(&config(&["rv-b"], bpffs), &inspect_all(), &[]).unwrap();
        assert!(!plane.lock().workers.snapshot().monitor);
        let mut rule = crate::rules::testing::rule(7, |_| ());
        (rule.action, rule.monitor) = (Action::Drop, true);
        plane.apply_rules(&Ruleset::new(vec![rule], Action::Pass)).unwrap();
        assert_eq!(verdict(&plane, 0), XDP_PASS);
        plane.apply_rules(&Ruleset { monitor: true, ..Ruleset::new(Vec::new(), Action::Drop) }).unwrap();
        assert!(plane.lock().workers.snapshot().monitor, "workers know of it too");
        assert_eq!(verdict(&plane, 0), XDP_PASS);
        plane.tick().unwrap();
        let alerts: Vec<_> = std::iter::from_fn(|| plane.alerts().pop()).collect();
        let told: Vec<_> = alerts.iter().map(|alert| alert.message.as_str()).collect();
        let expected = ["rule-7", "the default action"].map(|by| format!("would be dropped by {by} (monitor mode)"));
        assert_eq!(told, expected);
        for (alert, rule) in alerts.iter().zip([7, 0]) {
            assert_eq!((alert.kind, alert.verdict, alert.rule), (AlertKind::Monitor, Verdict::Pass, rule));
            let flow = alert.flow.unwrap();
            assert_eq!((flow.src, flow.dst), ([192, 0, 2, 1].into(), WEB.into()));
            assert_eq!((flow.src_port, flow.dst_port, flow.protocol), (4000, 80, 6));
            assert_eq!(alert.ingress, Some(0));
        }
        assert_eq!(alerts[0].flow, alerts[1].flow, "of one flow");
        plane.shutdown().unwrap();
    });
}

struct Broken;

impl Inspect for Broken {
    fn run(&mut self, _now_ns: u64, _chain: u16, _packets: &mut [Packet], _chunks: &[Chunk]) {
        panic!("a fault in the host");
    }
}

#[test]
#[ignore = "needs root"]
fn an_inspection_that_panics_is_told_of() {
    isolated(|bpffs| {
        let plane = Plane::start(&config(&["rv-b"], bpffs), &inspect_all(), &[web()]).unwrap();
        for worker in 0..2 {
            plane.lock().workers.set_inspect(worker, Box::new(Broken)).unwrap();
        }
        ip("addr add 10.77.1.1/24 dev rv-a");
        ip("route add 10.77.2.0/24 dev rv-a");
        ip("neigh add 10.77.2.2 lladdr 02:00:00:00:00:09 dev rv-a");
        let socket = UdpSocket::bind("10.77.1.1:0").unwrap();
        let panicked = (0..100).any(|_| {
            socket.send_to(b"hello", (IpAddr::from(WEB), 80)).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            plane.lock().workers.panics() > 0
        });
        assert!(panicked);
        plane.tick().unwrap();
        let told = told(&plane);
        assert!(told.iter().any(|text| text.contains("inspection panicked")), "{told:?}");
        assert!(plane.status().unwrap().workers.iter().all(|worker| worker.running));
        plane.shutdown().unwrap();
    });
}

#[test]
#[ignore = "needs root"]
fn a_worker_that_nobody_relies_on_takes_only_its_own_queues_with_it() {
    isolated(|bpffs| {
        let plane = Plane::start(&config(&["rv-b"], bpffs), &inspect_all(), &[web()]).unwrap();
        plane.lock().workers.kill(1);
        plane.tick().unwrap();
        assert_eq!((verdict(&plane, 0), verdict(&plane, 1)), (XDP_REDIRECT, XDP_PASS));
        plane.shutdown().unwrap();
    });
}

#[test]
#[ignore = "needs root"]
fn a_start_that_fails_leaves_interfaces_as_they_were() {
    isolated(|bpffs| {
        let pinned = |name| Filter::is_pinned(bpffs, name);
        let twice = [web(), Service { name: "again".into(), ..web() }];
        let error = Plane::start(&config(&["rv-b"], bpffs), &inspect_all(), &twice).unwrap_err().to_string();
        assert!(error.contains("another service has this address"), "{error}");
        assert!(!pinned("rv-b"));

        // A daemon that was killed leaves rv-b attached; the next one cannot have rv-d as well.
        drop(Plane::start(&config(&["rv-b"], bpffs), &inspect_all(), &[]).unwrap());
        let other = Umem::create(&UMEM, 1).unwrap();
        let spec = PortSpec { dev: "rv-d".into(), queue: 0, ingress: None };
        let held = xsk::bind(&other, PortId(0), &spec, ModeRequest::Copy).unwrap();
        let error = Plane::start(&config(&["rv-b", "rv-d"], bpffs), &inspect_all(), &[]).unwrap_err().to_string();
        assert!(error.contains("rv-d"), "{error}");
        assert_eq!((pinned("rv-b"), pinned("rv-d")), (true, false));
        drop((held, other));
        Plane::start(&config(&["rv-b"], bpffs), &inspect_all(), &[]).unwrap().shutdown().unwrap();
        assert!(!pinned("rv-b"));
    });
}

#[test]
#[ignore = "needs root"]
fn a_service_that_was_down_when_deleted_leaves_nothing_in_the_kernel() {
    isolated(|bpffs| {
        let plane = Plane::start(&config(&["rv-b"], bpffs), &inspect_all(), &[web()]).unwrap();
        assert_eq!(plane.lock().filter.service_count(), 1);
        ip("link set rv-c down");
        plane.tick().unwrap();
        assert_eq!((verdict(&plane, 0), plane.lock().filter.service_count()), (XDP_PASS, 0));
        plane.set_services(&[]).unwrap();
        assert_eq!(plane.lock().filter.service_count(), 0);
        plane.shutdown().unwrap();
    });
}

#[test]
#[ignore = "needs root"]
fn an_interface_that_changes_its_mac_or_joins_a_bridge_is_followed() {
    isolated(|bpffs| {
        let plane = Plane::start(&config(&["rv-b"], bpffs), &inspect_all(), &[web()]).unwrap();
        let mac = || plane.lock().workers.snapshot().ingress[0].mac;
        ip("link set rv-b address 02:00:00:00:00:77");
        plane.tick().unwrap();
        assert_eq!(mac(), Mac([2, 0, 0, 0, 0, 0x77]));
        ip("link add rv-br address 02:00:00:00:00:88 type bridge");
        ip("link set rv-b master rv-br");
        plane.tick().unwrap();
        assert_eq!(mac(), Mac([2, 0, 0, 0, 0, 0x88]));
        plane.shutdown().unwrap();
    });
}

/// `rv-a` and `rv-b`, anew, with this many queues each, up.
fn ingress_pair(queues: u32) {
    let queues = format!("numrxqueues {queues} numtxqueues {queues}");
    ip(&format!("link add rv-a {queues} type veth peer name rv-b {queues}"));
    ip("link set rv-a up");
    ip("link set rv-b up");
}

/// Whether datagrams from `rv-a` for the service leave by its device.
fn arrives(plane: &Plane) -> bool {
    ip("addr replace 10.77.1.1/24 dev rv-a");
    ip("route replace 10.77.2.0/24 dev rv-a");
    ip("neigh replace 10.77.2.2 lladdr 02:00:00:00:00:09 dev rv-a nud permanent");
    let socket = UdpSocket::bind("10.77.1.1:0").unwrap();
    let before = plane.status().unwrap().services[0].tx_packets;
    (0..100).any(|_| {
        socket.send_to(b"hello", (IpAddr::from(WEB), 80)).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        plane.status().unwrap().services[0].tx_packets > before
    })
}

#[test]
#[ignore = "needs root"]
fn an_interface_that_is_made_anew_is_filtered_again() {
    isolated(|bpffs| {
        let plane = Plane::start(&config(&["rv-b"], bpffs), &inspect_all(), &[web()]).unwrap();
        assert!(arrives(&plane));
        plane.set_services(&[]).unwrap();
        for _ in 0..2 {
            ip("link del rv-a");
            plane.tick().unwrap();
            assert!(!plane.status().unwrap().interfaces[0].attached);
            assert!(told(&plane).iter().any(|text| text.contains("rv-b is gone")));
            let sockets = |plane: &Plane| plane.status().unwrap().sockets.iter().filter(|s| s.dev == "rv-b").count();
            assert_eq!(sockets(&plane), 0);
            ingress_pair(2);
            plane.tick().unwrap();
            assert!(plane.status().unwrap().interfaces[0].attached);
            assert!(told(&plane).iter().any(|text| text.contains("rv-b is back")));
            assert_eq!(sockets(&plane), 2);
            plane.set_services(&[web()]).unwrap();
            assert_eq!((verdict(&plane, 0), verdict(&plane, 1)), (XDP_REDIRECT, XDP_REDIRECT));
            assert!(arrives(&plane), "by the new device");
        }
        assert_eq!(plane.lock().workers.frames().total(), 1024, "no frame went with a device");
        plane.shutdown().unwrap();
        assert!(!Filter::is_pinned(bpffs, "rv-b"));
    });
}

#[test]
#[ignore = "needs root"]
fn a_machine_without_injection_falls_back_to_tx_or_is_refused_as_configured() {
    isolated(|bpffs| {
        // In the mounts of this test alone: there is no /dev/net/tun.
        mount(Some("tmpfs"), "/dev/net", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        let auto = config(&["rv-b"], bpffs);
        let plane = Plane::start(&auto, &inspect_all(), &[web()]).unwrap();
        let service = plane.status().unwrap().services.remove(0);
        assert_eq!((service.state, service.way), (ServiceState::Up, Some(WayOut::Tx)));
        assert!(service.way_reason.contains("/dev/net/tun"), "{}", service.way_reason);
        plane.shutdown().unwrap();
        let required = PlaneConfig { egress: EgressRequest::Inject, ..auto };
        let error = Plane::start(&required, &inspect_all(), &[web()]).unwrap_err().to_string();
        assert!(error.starts_with("workers.egress: ") && error.contains("/dev/net/tun"), "{error}");
        assert!(!Filter::is_pinned(bpffs, "rv-b"));
    });
}

#[test]
#[ignore = "needs root"]
fn a_service_by_a_filtered_interface_that_is_made_anew_is_served_again() {
    isolated(|bpffs| {
        let plane = Plane::start(&config(&["rv-b", "rv-c"], bpffs), &inspect_all(), &[web()]).unwrap();
        assert!(arrives(&plane));
        ip("link del rv-d");
        plane.tick().unwrap();
        assert_eq!(verdict(&plane, 0), XDP_PASS, "the service is down");
        ip("link add rv-c type veth peer name rv-d");
        ip("link set rv-c up");
        ip("link set rv-d up");
        plane.tick().unwrap();
        assert!(arrives(&plane), "by the new device's own sockets");
        plane.shutdown().unwrap();
    });
}

#[test]
#[ignore = "needs root"]
fn an_interface_that_cannot_be_taken_back_is_told_of_once_and_tried_again() {
    isolated(|bpffs| {
        let plane = Plane::start(&config(&["rv-b"], bpffs), &inspect_all(), &[web()]).unwrap();
        ip("link del rv-a");
        plane.tick().unwrap();
        ip("link add rv-a type veth peer name rv-b");
        told(&plane);
        plane.tick().unwrap();
        plane.tick().unwrap();
        let told = told(&plane);
        assert_eq!(
            told.iter().filter(|text| text.contains("rv-b is down: ip link set rv-b up")).count(),
            1,
            "{told:?}"
        );
        ip("link set rv-a up");
        ip("link set rv-b up");
        // As if the pause between two tries were over.
        plane.lock().interfaces[0].refused = None;
        plane.tick().unwrap();
        assert!(arrives(&plane));
        plane.shutdown().unwrap();
    });
}

#[test]
#[ignore = "needs root"]
fn queues_that_come_under_way_get_sockets() {
    isolated(|bpffs| {
        set_queues("rv-a", 2, 1).unwrap();
        set_queues("rv-b", 1, 2).unwrap();
        let plane = Plane::start(&config(&["rv-b"], bpffs), &inspect_all(), &[web()]).unwrap();
        assert_eq!((verdict(&plane, 0), plane.status().unwrap().interfaces[0].queues), (XDP_REDIRECT, 1));
        set_queues("rv-b", 2, 2).unwrap();
        assert_eq!(verdict(&plane, 1), XDP_PASS, "the fail policy, until it is noticed");
        plane.tick().unwrap();
        assert_eq!((verdict(&plane, 1), plane.status().unwrap().interfaces[0].queues), (XDP_REDIRECT, 2));
        let told = told(&plane);
        assert!(told.iter().any(|text| text.contains("rv-b has 2 queues now, it had 1")), "{told:?}");
        assert!(arrives(&plane));
        // The kernel keeps a queue that a socket is bound to.
        assert!(set_queues("rv-b", 1, 2).is_err());
        plane.shutdown().unwrap();
    });
}

#[test]
#[ignore = "needs root"]
fn a_link_that_goes_down_and_up_goes_on() {
    isolated(|bpffs| {
        let plane = Plane::start(&config(&["rv-b"], bpffs), &inspect_all(), &[web()]).unwrap();
        for dev in ["rv-b", "rv-a", "rv-c"] {
            assert!(arrives(&plane));
            ip(&format!("link set {dev} down"));
            plane.tick().unwrap();
            ip(&format!("link set {dev} up"));
            plane.tick().unwrap();
        }
        assert!(arrives(&plane));
        assert!(plane.status().unwrap().workers.iter().all(|worker| worker.running));
        plane.shutdown().unwrap();
    });
}

#[test]
#[ignore = "needs root"]
fn workers_that_poll_and_drive_the_driver_forward() {
    isolated(|bpffs| {
        let spin = Duration::from_millis(2);
        for busy_poll in [false, true] {
            let config = PlaneConfig { busy_poll, spin, prefer_busy_poll: true, ..config(&["rv-b"], bpffs) };
            let plane = Plane::start(&config, &inspect_all(), &[web()]).unwrap();
            for _ in 0..3 {
                assert!(arrives(&plane));
                // Long enough for every worker to have gone to sleep, if it ever does.
                std::thread::sleep(10 * spin);
            }
            plane.shutdown().unwrap();
        }
    });
}

#[test]
#[ignore = "needs root"]
fn a_device_whose_queue_is_taken_is_reached_by_injection_alone() {
    isolated(|bpffs| {
        let other = Umem::create(&UMEM, 1).unwrap();
        let spec = PortSpec { dev: "rv-c".into(), queue: 0, ingress: None };
        let held = xsk::bind(&other, PortId(0), &spec, ModeRequest::Copy).unwrap();
        let config = PlaneConfig { set_gro: true, ..config(&["rv-b"], bpffs) };
        let plane = Plane::start(&config, &inspect_all(), &[web()]).unwrap();
        let service = plane.status().unwrap().services.remove(0);
        assert_eq!((service.state, service.way), (ServiceState::Up, Some(WayOut::Inject)));
        assert!(service.way_reason.starts_with("no AF_XDP TX: "), "{}", service.way_reason);
        plane.shutdown().unwrap();
        drop((held, other));
    });
}
