//! A namespace with two veth pairs, raw sockets and hand-made XDP programs in it.
#![expect(unsafe_code, reason = "raw sockets and a hand-made XDP program")]

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use libbpf_rs::libbpf_sys;

use crate::{service::Mac, wire, xsk::PortSpec};

/// Where packets go.
pub(super) const SERVICE: [u8; 4] = [10, 0, 0, 1];

/// A network namespace with two veth pairs; removed on drop.
pub(in crate::worker) struct Lab(String);

impl Lab {
    pub(in crate::worker) fn new(name: &str) -> Self {
        let lab = Self(format!("worker-{name}-{}", std::process::id()));
        ip(&["netns", "add", &lab.0]);
        // What is sent comes in by queue 0, whatever its hash, which is another one after each boot: wrk-a has one queue.
        for (a, queues, b) in [("wrk-a", "1", "wrk-b"), ("wrk-c", "2", "wrk-d")] {
            let near = ["numtxqueues", queues, "numrxqueues", queues];
            let far = ["numtxqueues", "2", "numrxqueues", "2"];
            let pair = ["-n", &lab.0, "link", "add", a];
            ip(&[&pair[..], &near, &["type", "veth", "peer", "name", b], &far].concat());
            for dev in [a, b] {
                ip(&["-n", &lab.0, "link", "set", dev, "addrgenmode", "none"]);
                ip(&["-n", &lab.0, "link", "set", dev, "up"]);
            }
        }
        lab
    }

    /// Of the namespace.
    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// Run `test` on a thread that lives in the namespace, as the threads it starts do.
    pub(in crate::worker) fn run(&self, test: impl FnOnce() + Send) {
        let namespace = File::open(format!("/run/netns/{}", self.0)).unwrap();
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
                test();
            });
            if let Err(panic) = inside.join() {
                std::panic::resume_unwind(panic);
            }
        });
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        ip(&["netns", "delete", &self.0]);
    }
}

pub(in crate::worker) fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().unwrap();
    assert!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub(in crate::worker) fn ifindex(dev: &str) -> i32 {
    i32::try_from(nix::net::if_::if_nametoindex(dev).unwrap()).unwrap()
}

/// An AF_PACKET socket on a device.
pub(super) struct Raw(OwnedFd);

impl Raw {
    pub(super) fn new(dev: &str) -> Self {
        let all = i32::from(u16::to_be(0x0003));
        // SAFETY: no pointers; the descriptor is checked and owned by nobody else.
        let fd =
            unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, all) };
        assert!(fd >= 0, "{}", io::Error::last_os_error());
        // SAFETY: as above.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: all-zero is a valid `sockaddr_ll`.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).unwrap();
        address.sll_protocol = u16::to_be(0x0003);
        address.sll_ifindex = ifindex(dev);
        let len = u32::try_from(size_of_val(&address)).unwrap();
        // SAFETY: the address lives until the call returns, and `len` is its size.
        let status = unsafe { libc::bind(fd, (&raw const address).cast(), len) };
        assert_eq!(status, 0, "{}", io::Error::last_os_error());
        Self(socket)
    }

    pub(super) fn send(&self, bytes: &[u8]) {
        nix::sys::socket::send(self.0.as_raw_fd(), bytes, nix::sys::socket::MsgFlags::empty()).unwrap();
    }

    /// UDP packets to the service that arrive until there are `count` or `patience` is over.
    pub(super) fn read(&self, count: usize, patience: Duration) -> Vec<Vec<u8>> {
        let (until, mut packets) = (Instant::now() + patience, Vec::new());
        let mut buffer = vec![0; 4096];
        while packets.len() < count && Instant::now() < until {
            match nix::sys::socket::recv(self.0.as_raw_fd(), &mut buffer, nix::sys::socket::MsgFlags::empty()) {
                Ok(len) if len > 42 && buffer[12..14] == [8, 0] && buffer[30..33] == SERVICE[..3] => {
                    packets.push(buffer[..len].to_vec());
                }
                Ok(_) => {}
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
        packets
    }
}

/// An XDP program of these instructions: opcode, destination and source register, offset, immediate.
pub(in crate::worker) fn load(name: &str, code: &[(u8, u8, i16, i32)]) -> OwnedFd {
    const XDP: u32 = 6;
    let bytes: Vec<u8> = code
        .iter()
        .flat_map(|(op, regs, off, imm)| [&[*op, *regs][..], &off.to_ne_bytes(), &imm.to_ne_bytes()].concat())
        .collect();
    let name = std::ffi::CString::new(name).unwrap();
    // SAFETY: `bytes` holds as many instructions of eight bytes as `code`; strings end in a zero; options may be null.
    let program = unsafe {
        libbpf_sys::bpf_prog_load(
            XDP,
            name.as_ptr(),
            c"GPL".as_ptr(),
            bytes.as_ptr().cast(),
            code.len() as libbpf_sys::size_t,
            std::ptr::null_mut(),
        )
    };
    assert!(program >= 0, "{}", io::Error::last_os_error());
    // SAFETY: checked above, owned by nobody else.
    unsafe { OwnedFd::from_raw_fd(program) }
}

/// The least XDP program: `return bpf_redirect_map(map, rx_queue_index, XDP_PASS)`, attached natively.
pub(in crate::worker) struct Redirect {
    map: OwnedFd,
    _program: OwnedFd,
    ifindex: i32,
}

impl Redirect {
    pub(in crate::worker) fn attach(dev: &str) -> Self {
        const XSKMAP: u32 = 17;
        // SAFETY: name and options may be null.
        let map = unsafe { libbpf_sys::bpf_map_create(XSKMAP, std::ptr::null(), 4, 4, 4, std::ptr::null()) };
        assert!(map >= 0, "{}", io::Error::last_os_error());
        // SAFETY: checked above, owned by nobody else.
        let map = unsafe { OwnedFd::from_raw_fd(map) };
        let program = load(
            "redirect",
            &[
                (0x61, 0x12, 16, 0),              // r2 = ctx->rx_queue_index
                (0x18, 0x11, 0, map.as_raw_fd()), // r1 = map
                (0x00, 0x00, 0, 0),
                (0xb7, 0x03, 0, 2),  // r3 = XDP_PASS
                (0x85, 0x00, 0, 51), // bpf_redirect_map
                (0x95, 0x00, 0, 0),  // exit
            ],
        );
        let ifindex = ifindex(dev);
        // SAFETY: no pointers but null options.
        let status = unsafe {
            libbpf_sys::bpf_xdp_attach(ifindex, program.as_raw_fd(), libbpf_sys::XDP_FLAGS_DRV_MODE, std::ptr::null())
        };
        assert_eq!(status, 0, "{}", io::Error::last_os_error());
        Self { map, _program: program, ifindex }
    }

    pub(in crate::worker) fn set(&self, queue: u32, socket: RawFd) {
        // SAFETY: key and value are four bytes, as the map was made for, and live until the call returns.
        let status = unsafe {
            libbpf_sys::bpf_map_update_elem(
                self.map.as_raw_fd(),
                (&raw const queue).cast(),
                (&raw const socket).cast(),
                0,
            )
        };
        assert_eq!(status, 0, "{}", io::Error::last_os_error());
    }
}

impl Drop for Redirect {
    fn drop(&mut self) {
        // SAFETY: no pointers but null options.
        unsafe { libbpf_sys::bpf_xdp_detach(self.ifindex, libbpf_sys::XDP_FLAGS_DRV_MODE, std::ptr::null()) };
    }
}

pub(in crate::worker) fn mac(dev: &str) -> Mac {
    std::fs::read_to_string(format!("/sys/class/net/{dev}/address")).map_or_else(
        |_| {
            // This thread's namespace is not the one that /sys shows.
            let output = Command::new("ip").args(["-o", "link", "show", dev]).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            text.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
        },
        |text| text.trim().parse().unwrap(),
    )
}

/// A UDP packet to the service, number `n`.
pub(in crate::worker) fn packet(to: Mac, port: u16, n: u32) -> Vec<u8> {
    let mut bytes = vec![0; 14 + 20 + 8 + 16];
    bytes[..6].copy_from_slice(&to.0);
    bytes[6] = 2;
    bytes[12..14].copy_from_slice(&[8, 0]);
    bytes[14] = 0x45;
    bytes[17] = 44;
    (bytes[22], bytes[23]) = (64, 17);
    bytes[26..30].copy_from_slice(&[192, 168, 0, 1]);
    bytes[30..34].copy_from_slice(&SERVICE);
    bytes[36..38].copy_from_slice(&port.to_be_bytes());
    bytes[39] = 24;
    bytes[42..46].copy_from_slice(&n.to_be_bytes());
    let whole = wire::checksum::internet(&bytes[14..34]);
    bytes[24..26].copy_from_slice(&whole.to_be_bytes());
    bytes
}

pub(in crate::worker) fn spec(dev: &str, queue: u32, ingress: Option<u16>) -> PortSpec {
    PortSpec { dev: dev.into(), queue, ingress }
}
