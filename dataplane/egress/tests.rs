//! Injection into real veths, in a network namespace of each test's own.
//!
//! ```text
//!   injection ── inj-a ═ inj-b (in a namespace of its own: inj-N) ── AF_PACKET
//!             └─ inj-c ═ inj-d ── AF_PACKET
//! ```

use std::{
    fs::File,
    os::fd::{AsRawFd, OwnedFd},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, socket},
};

use super::*;
use crate::service::Netlink;

/// EtherType of the test's packets, another than that of probes: local experimental 2.
const ETHERTYPE: [u8; 2] = [0x88, 0xb6];

/// Two veth pairs; the far end of the first lives in a namespace named after the process.
struct Lab(String);

impl Lab {
    fn run(name: &str, test: impl FnOnce(&Self) + Send) {
        let lab = Self(format!("inj-{name}-{}", std::process::id()));
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).unwrap();
                run(&["ip", "netns", "add", &lab.0]);
                lab.make("inj-a", "inj-b", Some(&lab.0));
                lab.make("inj-c", "inj-d", None);
                test(&lab);
            });
            if let Err(panic) = inside.join() {
                std::panic::resume_unwind(panic);
            }
        });
    }

    fn make(&self, near: &str, far: &str, namespace: Option<&str>) {
        run(&["ip", "link", "add", near, "type", "veth", "peer", "name", far]);
        run(&["ip", "link", "set", near, "addrgenmode", "none", "up"]);
        run(&["ip", "link", "set", far, "addrgenmode", "none"]);
        if let Some(namespace) = namespace {
            run(&["ip", "link", "set", far, "netns", namespace]);
            run(&["ip", "-n", namespace, "link", "set", far, "up"]);
        } else {
            run(&["ip", "link", "set", far, "up"]);
        }
    }

    /// A socket that sees all that arrives at the far end of the first pair.
    fn far(&self) -> Sniffer {
        let namespace = File::open(format!("/run/netns/{}", self.0)).unwrap();
        let inside = thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            Sniffer::new()
        });
        inside.join().unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        run(&["ip", "netns", "delete", &self.0]);
    }
}

fn run(words: &[&str]) {
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn ifindex(dev: &str) -> u32 {
    nix::net::if_::if_nametoindex(dev).unwrap()
}

/// Packets of all devices of the namespace that it was made in.
struct Sniffer(OwnedFd);

impl Sniffer {
    fn new() -> Self {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let all = nix::sys::socket::SockProtocol::EthAll;
        Self(socket(AddressFamily::Packet, SockType::Raw, flags, all).unwrap())
    }

    /// The next `count` packets of the test's, waited for a second.
    fn read(&self, count: usize) -> Vec<Vec<u8>> {
        let (until, mut found, mut buffer) = (Instant::now() + Duration::from_secs(1), Vec::new(), vec![0; 4096]);
        while found.len() < count && Instant::now() < until {
            match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(len) if buffer[12..14] == ETHERTYPE => found.push(buffer[..len].to_vec()),
                Ok(_) => {}
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
        found
    }
}

/// Packet `n`, of `len` bytes that tell it from any other.
fn packet(n: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0xff; 6];
    bytes.extend([2, 0, 0, 0, 0, 1]);
    bytes.extend(ETHERTYPE);
    bytes.extend(n.to_be_bytes());
    let start = bytes.len();
    bytes.extend((start..len).map(|at| u8::try_from((at + n as usize) % 251).unwrap()));
    bytes
}

fn lane(injection: &mut Injection) -> Lane {
    injection.take_lanes().remove(0)
}

#[test]
#[ignore = "needs root"]
fn packets_of_every_length_arrive_as_they_were_and_in_order() {
    Lab::run("len", |lab| {
        let mut injection = Injection::load(1).unwrap();
        let mut lane = lane(&mut injection);
        let a = ifindex("inj-a");
        injection.admit(a).unwrap();
        turn_on(&mut Netlink::open().unwrap(), a).unwrap();
        run(&["ip", "link", "set", "inj-a", "mtu", "3300"]);
        run(&["ip", "-n", &lab.0, "link", "set", "inj-b", "mtu", "3300"]);
        let far = lab.far();
        // The shortest, around a cache line and a page's half, and the longest.
        for len in [60, 61, 63, 64, 65, 66, 127, 128, 129, 1514, 2048, 3000, 3314] {
            let sent: Vec<_> = (0..20).map(|n| packet(n, len)).collect();
            assert!(sent.iter().all(|packet| lane.push(a, packet)));
            assert_eq!(lane.run(), Injected { packets: 20, ..Injected::default() }, "{len}");
            assert_eq!(far.read(20), sent, "{len}");
        }
        assert!(!lane.push(a, &packet(0, LONGEST + 1)), "too long for a live frame");
        assert_eq!((lane.pushed(), lane.run()), (0, Injected::default()), "nothing to do");
        assert_eq!(injection.loss(a), Loss::default());
    });
}

#[test]
#[ignore = "needs root"]
fn one_call_serves_several_devices() {
    Lab::run("two", |lab| {
        let mut injection = Injection::load(1).unwrap();
        let mut lane = lane(&mut injection);
        let (a, c) = (ifindex("inj-a"), ifindex("inj-c"));
        let mut netlink = Netlink::open().unwrap();
        for device in [a, c] {
            injection.admit(device).unwrap();
            turn_on(&mut netlink, device).unwrap();
        }
        let (far, near) = (lab.far(), Sniffer::new());
        for n in 0..60 {
            assert!(lane.push(if n % 3 == 0 { a } else { c }, &packet(n, 100)));
        }
        assert_eq!(lane.run(), Injected { packets: 60, ..Injected::default() });
        let (to_a, to_c): (Vec<_>, Vec<_>) = (0..60).map(|n| packet(n, 100)).partition(|p| p[17] % 3 == 0);
        assert_eq!(far.read(20), to_a);
        assert_eq!(near.read(40), to_c);
    });
}

#[test]
#[ignore = "needs root"]
fn a_receiver_without_gro_refuses_and_its_packets_are_counted_until_gro_is_on() {
    Lab::run("gro", |lab| {
        let mut injection = Injection::load(1).unwrap();
        let mut lane = lane(&mut injection);
        let a = ifindex("inj-a");
        injection.admit(a).unwrap();
        assert!(!injection.probe(a).unwrap(), "no queue behind it");
        for n in 0..40 {
            lane.push(a, &packet(n, 60));
        }
        let refused = Injected { packets: 40, lost: 40, refused: Some(a), broken: false };
        assert_eq!(lane.run(), refused);
        let loss = injection.loss(a);
        assert_eq!(loss.packets, 41, "the probe's and all forty");
        assert!(loss.refusals >= 2, "{loss:?}");
        turn_on(&mut Netlink::open().unwrap(), a).unwrap();
        assert!(injection.probe(a).unwrap());
        let far = lab.far();
        lane.push(a, &packet(7, 60));
        assert_eq!(lane.run(), Injected { packets: 1, ..Injected::default() });
        assert_eq!(far.read(1), [packet(7, 60)]);
    });
}

#[test]
#[ignore = "needs root"]
fn a_device_that_is_down_unknown_or_gone_loses_packets_that_are_counted() {
    Lab::run("gone", |_| {
        let mut injection = Injection::load(1).unwrap();
        let mut lane = lane(&mut injection);
        let c = ifindex("inj-c");
        lane.push(c, &packet(0, 60));
        assert_eq!(lane.run(), Injected { packets: 1, lost: 1, refused: Some(c), broken: false }, "not admitted");
        injection.admit(c).unwrap();
        turn_on(&mut Netlink::open().unwrap(), c).unwrap();
        run(&["ip", "link", "set", "inj-c", "down"]);
        lane.push(c, &packet(0, 60));
        assert_eq!(lane.run().lost, 1, "down");
        run(&["ip", "link", "set", "inj-c", "up"]);
        lane.push(c, &packet(0, 60));
        assert_eq!(lane.run().lost, 0, "up again");
        run(&["ip", "link", "delete", "inj-c"]);
        for _ in 0..3 {
            lane.push(c, &packet(0, 60));
        }
        assert_eq!(lane.run(), Injected { packets: 3, lost: 3, refused: Some(c), broken: false }, "gone");
        injection.dismiss(c);
        injection.dismiss(c);
        assert!(injection.admit(c).is_err(), "there is no such device");
    });
}

#[test]
#[ignore = "needs root"]
fn lanes_do_not_mix_and_a_full_one_says_so() {
    Lab::run("many", |lab| {
        let mut injection = Injection::load(3).unwrap();
        let mut lanes = injection.take_lanes();
        assert_eq!((lanes.len(), injection.take_lanes().len()), (3, 0));
        let a = ifindex("inj-a");
        injection.admit(a).unwrap();
        turn_on(&mut Netlink::open().unwrap(), a).unwrap();
        let far = lab.far();
        for (n, lane) in (0..).zip(&mut lanes) {
            lane.push(a, &packet(n, 60));
        }
        for n in [2, 0, 1] {
            assert_eq!(lanes[n].run().lost, 0);
            assert_eq!(far.read(1), [packet(u32::try_from(n).unwrap(), 60)]);
        }
        let long = packet(0, LONGEST);
        let fitted = (0..2000).take_while(|_| lanes[0].push(a, &long)).count();
        assert_eq!(fitted, (1 << 20) / LONGEST, "by bytes");
        let fitted = (0..2000).take_while(|_| lanes[1].push(a, &packet(0, 60))).count();
        assert_eq!(fitted, 1024, "by slots");
        let injected = lanes[1].run();
        assert_eq!((injected.packets, injected.broken), (1024, false));
        assert!(lanes[1].push(a, &long), "empty again");
    });
}

#[test]
#[ignore = "needs root"]
fn the_spare_device_goes_with_the_injection() {
    Lab::run("spare", |_| {
        let spares =
            || Netlink::open().unwrap().links().unwrap().iter().filter(|l| l.name.starts_with("sxf-spare")).count();
        let injection = Injection::load(1).unwrap();
        let another = Injection::load(1).unwrap();
        assert_eq!(spares(), 2);
        drop((injection, another));
        let until = Instant::now() + Duration::from_secs(2);
        while spares() > 0 {
            assert!(Instant::now() < until);
            thread::sleep(Duration::from_millis(10));
        }
        assert!(matches!(Injection::load(100_000), Err(InjectionError::TooManyWorkers(100_000))));
    });
}
