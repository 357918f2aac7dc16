//! Three networks: client ─ the daemon's, this process's own ─ server. Real TCP of the kernel at both ends.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns},
};

use crate::{lab::ip, wire::links};

/// The daemon's devices: toward the client, toward the server.
pub(super) const INTERFACES: [&str; 2] = ["sxf-client", "sxf-server"];
/// Addresses of client and server.
pub(super) const ENDS: [&str; 2] = ["198.18.1.2", "198.18.2.2"];

/// Names of the networks of both ends.
const NAMES: [&str; 2] = ["client", "server"];
/// The daemon's own addresses.
const GATEWAYS: [&str; 2] = ["198.18.1.1", "198.18.2.1"];
/// Longest time for a connection to open, and for bytes to come: without an answer a load fails, it does not hang.
const PATIENCE: Duration = Duration::from_secs(5);

/// The networks. They end with the process.
#[derive(Debug)]
pub(super) struct Network {
    ends: [File; 2],
    _own: links::Network,
}

impl Network {
    /// Take the calling thread to the network in the middle.
    pub(super) fn new() -> Result<Self> {
        let own = links::Network::new()?;
        // Names of networks that only this process and its children see: by them the daemon finds the other end of a veth.
        let names = "/run/netns";
        fs::create_dir_all(names).with_context(|| format!("making {names}"))?;
        let no: Option<&str> = None;
        mount(Some("tmpfs"), names, Some("tmpfs"), MsFlags::empty(), no)
            .with_context(|| format!("mounting {names}"))?;
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("turning forwarding on")?;
        for (number, name) in NAMES.into_iter().enumerate() {
            let (device, end, gateway) = (INTERFACES[number], ENDS[number], GATEWAYS[number]);
            ip(&["netns", "add", name])?;
            ip(&["link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", name])?;
            ip(&["addr", "add", &format!("{gateway}/24"), "dev", device])?;
            ip(&["link", "set", device, "up"])?;
            ip(&["-n", name, "addr", "add", &format!("{end}/24"), "dev", "eth0"])?;
            ip(&["-n", name, "link", "set", "eth0", "up"])?;
            ip(&["-n", name, "route", "add", "default", "via", gateway])?;
        }
        let open =
            |name: &str| File::open(format!("{names}/{name}")).with_context(|| format!("opening {names}/{name}"));
        Ok(Self { ends: [open(NAMES[0])?, open(NAMES[1])?], _own: own })
    }

    /// Both ends of `count` connections from client to server, which are open.
    pub(super) fn connect(&self, port: u16, count: usize) -> Result<Vec<[TcpStream; 2]>> {
        let address = SocketAddr::new(ENDS[1].parse().context("the server's address")?, port);
        let listener = enter(&self.ends[1], || TcpListener::bind(address).context("listening"))?;
        let connection = |_| {
            let client = enter(&self.ends[0], || TcpStream::connect_timeout(&address, PATIENCE).context("connecting"))?;
            let (server, _) = listener.accept().context("taking a connection")?;
            for socket in [&client, &server] {
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.set_write_timeout(Some(PATIENCE))?;
                socket.set_nodelay(true)?;
            }
            Ok([client, server])
        };
        (0..count).map(connection).collect()
    }
}

/// Run `work` in another network; sockets that it opens belong there.
fn enter<T: Send>(network: &File, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let inside = scope.spawn(move || {
            setns(network, CloneFlags::CLONE_NEWNET).context("entering a network")?;
            work()
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
