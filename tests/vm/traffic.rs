//! Datagrams from the client, checked by number and content where they arrive.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    path::Path,
    thread,
    time::Duration,
};

use nix::sched::{CloneFlags, setns};

/// Port of the datagrams.
pub(crate) const PORT: u16 = 5000;
/// Datagrams under way at once: fewer than any queue on the way holds, so that a lost one is a fault.
const BURST: u64 = 32;
/// Flows, told apart by the client's port: so many that each of two queues gets some.
const FLOWS: usize = 16;
/// Time for a burst to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// Run `work` in a network namespace; sockets that it opens belong there.
pub(crate) fn enter<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    let file = File::open(Path::new("/run/netns").join(namespace)).expect("the namespace is there");
    thread::scope(|scope| {
        let inside = scope.spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET).expect("the namespace can be entered");
            work()
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The datagram of this number: its number, and as many bytes made from it as that says, 8 to 1400.
fn datagram(number: u64) -> Vec<u8> {
    let len = 8 + usize::try_from(number * 257 % 1393).expect("a small number");
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = number.to_be_bytes().to_vec();
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.push(state.to_le_bytes()[3]);
    }
    bytes
}

/// What the devices of both namespaces and of this one have counted, a line each: where a lost packet was last seen.
fn device_counters(namespaces: [&str; 2]) -> String {
    let read = || fs::read_to_string("/proc/thread-self/net/dev").expect("the kernel counts");
    let tables = namespaces.map(|namespace| enter(namespace, read)).into_iter().chain([read()]);
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        Some(format!("\n  {} rx {} tx {}", words.first()?, words.get(1..5)?.join(" "), words.get(9..13)?.join(" ")))
    };
    tables.map(|table| table.lines().skip(2).filter_map(line).collect::<String>()).collect()
}

/// Send `count` numbered datagrams from the client to `address`, which is in `namespace`. Every one must arrive there,
/// once and unchanged.
pub(crate) fn deliver(namespace: &str, address: &str, count: u64) {
    let inbox = enter(namespace, || UdpSocket::bind(("0.0.0.0", PORT)).expect("the port is free"));
    inbox.set_read_timeout(Some(PATIENCE)).expect("a timeout is allowed");
    let open = || {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a port is free");
        socket.connect((address, PORT)).expect("a route to the service");
        socket
    };
    let flows: Vec<UdpSocket> = enter("client", || (0..FLOWS).map(|_| open()).collect());
    let mut buffer = [0; 2048];
    for first in (0..count).step_by(usize::try_from(BURST).expect("a small number")) {
        let mut expected: BTreeSet<u64> = (first..count.min(first + BURST)).collect();
        for &number in &expected {
            let flow = &flows[usize::try_from(number).expect("a small number") % FLOWS];
            flow.send(&datagram(number)).expect("the client can send");
        }
        while !expected.is_empty() {
            let len = inbox.recv(&mut buffer).unwrap_or_else(|e| {
                let counters = device_counters(["client", namespace]);
                panic!("{address}: {e}; not arrived: {expected:?}; bytes, packets, errors, drops:{counters}")
            });
            let number = buffer[..len].first_chunk().map_or(u64::MAX, |bytes| u64::from_be_bytes(*bytes));
            assert!(expected.remove(&number), "{address}: datagram {number} was not expected or came twice");
            assert_eq!(buffer[..len], datagram(number), "{address}: datagram {number} has changed on the way");
        }
    }
}

/// Ask a web server that this starts in `namespace` for `target`; it answers with the request that it got.
pub(crate) fn ask(namespace: &str, address: &str, target: &str) -> io::Result<String> {
    let listener = enter(namespace, || TcpListener::bind(("0.0.0.0", 80)).expect("the port is free"));
    listener.set_nonblocking(true)?;
    enter("client", || {
        let mut stream = TcpStream::connect((address, 80))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        // In one segment: modules see packets.
        stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: web\r\n\r\n").as_bytes())?;
        // The client's last step of the handshake is on its way still.
        let accepted = (0..500).find_map(|_| {
            thread::sleep(Duration::from_millis(10));
            listener.accept().ok()
        });
        let (mut server, _) = accepted.ok_or_else(|| io::Error::other("nobody came"))?;
        server.set_nonblocking(false)?;
        server.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut request = [0; 256];
        let got = server.read(&mut request)?;
        server.write_all(&request[..got])?;
        drop(server);
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })
}
