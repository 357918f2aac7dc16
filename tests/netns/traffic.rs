//! Traffic: a small web server and its client, long transfers, and numbered datagrams.

use std::{
    collections::HashSet,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};

use crate::lab::{Lab, Place};

/// What `/` holds.
pub(crate) const PAGE: &str = "Hello from the container.\n";
/// Time that a request may take before it counts as cut off. TCP sends a lost segment again after 0.2 s and a lost SYN
/// after 1 s, so that one loss alone is not taken for a blockade.
pub(crate) const PATIENCE: Duration = Duration::from_millis(2500);

/// A web server with threads of its own. `GET /` is [`PAGE`], `GET /bytes/N` are N bytes of the pattern, `PUT` says
/// whether the body was the pattern.
#[derive(Debug)]
pub(crate) struct Server {
    targets: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl Server {
    /// Listen on all addresses of a namespace, IPv4 and IPv6.
    pub(crate) fn start(lab: &Lab, place: Place, port: u16) -> Self {
        let targets = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let socket = lab.enter(place, || TcpListener::bind(("::", port)).expect("the port is free"));
        socket.set_nonblocking(true).expect("a listener may be non-blocking");
        let (seen, end) = (Arc::clone(&targets), Arc::clone(&stop));
        let listener = thread::spawn(move || {
            while !end.load(Relaxed) {
                match socket.accept() {
                    Ok((stream, _)) => {
                        let seen = Arc::clone(&seen);
                        // An error is a client that went away, which is the client's business.
                        thread::spawn(move || drop(serve(&stream, &seen)));
                    }
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        Self { targets, stop, listener: Some(listener) }
    }

    /// Targets of the requests that arrived whole, in order.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.targets.lock().expect("no server thread panicked").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(listener) = self.listener.take() {
            drop(listener.join());
        }
    }
}

/// Answer one request.
fn serve(stream: &TcpStream, seen: &Mutex<Vec<String>>) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    let (first, length) = head(&mut reader)?;
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    seen.lock().expect("no server thread panicked").push(target.clone());
    let mut out = stream;
    if first.starts_with("PUT") {
        let verdict = match read_pattern(&mut reader, length) {
            Ok(()) => format!("equal {length}"),
            Err(e) => e.to_string(),
        };
        return write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{verdict}", verdict.len());
    }
    match target.strip_prefix("/bytes/").and_then(|n| n.parse().ok()) {
        Some(n) => {
            write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n")?;
            write_pattern(&mut out, n)
        }
        None => write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{PAGE}", PAGE.len()),
    }
}

/// First line and content length of a request or an answer.
fn head(reader: &mut impl BufRead) -> io::Result<(String, usize)> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            return Ok((first.trim_end().to_owned(), length));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
}

/// `GET target` from the client; the body as text.
pub(crate) fn get(lab: &Lab, address: &str, port: u16, target: &str) -> io::Result<String> {
    lab.enter(Place::Client, || {
        let (mut reader, length) = request(address, port, &format!("GET {target} HTTP/1.1\r\nHost: web\r\n\r\n"))?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        String::from_utf8(body).map_err(io::Error::other)
    })
}

/// Whether the client gets [`PAGE`] from `address`, port 80.
pub(crate) fn page_arrives(lab: &Lab, address: &str) -> bool {
    get(lab, address, 80, "/").is_ok_and(|body| body == PAGE)
}

fn request(address: &str, port: u16, head_text: &str) -> io::Result<(BufReader<TcpStream>, usize)> {
    let stream = connect(address, port)?;
    (&stream).write_all(head_text.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let (_, length) = head(&mut reader)?;
    Ok((reader, length))
}

fn connect(address: &str, port: u16) -> io::Result<TcpStream> {
    let address = SocketAddr::new(address.parse().expect("an IP address"), port);
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Fetch `bytes` of the pattern and compare every one of them.
pub(crate) fn download(lab: &Lab, address: &str, bytes: usize) -> io::Result<()> {
    lab.enter(Place::Client, || {
        let head_text = format!("GET /bytes/{bytes} HTTP/1.1\r\nHost: web\r\n\r\n");
        let (mut reader, length) = request(address, 80, &head_text)?;
        assert_eq!(length, bytes, "content length of the answer");
        read_pattern(&mut reader, bytes)
    })
}

/// Send `bytes` of the pattern and have the server compare every one of them.
pub(crate) fn upload(lab: &Lab, address: &str, bytes: usize) -> io::Result<()> {
    lab.enter(Place::Client, || {
        let mut stream = connect(address, 80)?;
        write!(stream, "PUT /upload HTTP/1.1\r\nHost: web\r\nContent-Length: {bytes}\r\n\r\n")?;
        write_pattern(&mut stream, bytes)?;
        let mut reader = BufReader::new(stream);
        let (_, length) = head(&mut reader)?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        assert_eq!(String::from_utf8_lossy(&body), format!("equal {bytes}"));
        Ok(())
    })
}

/// Bytes that do not repeat in step with segments, pages or rings: the length is a prime.
fn pattern() -> &'static [u8] {
    static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();
    PATTERN.get_or_init(|| {
        let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..65_521).map(|_| next()).collect()
    })
}

fn write_pattern(out: &mut impl Write, mut bytes: usize) -> io::Result<()> {
    while bytes > 0 {
        let part = bytes.min(pattern().len());
        out.write_all(&pattern()[..part])?;
        bytes -= part;
    }
    Ok(())
}

fn read_pattern(reader: &mut impl Read, bytes: usize) -> io::Result<()> {
    let mut buffer = vec![0; pattern().len()];
    let mut done = 0;
    while done < bytes {
        let part = (bytes - done).min(buffer.len());
        reader.read_exact(&mut buffer[..part])?;
        if buffer[..part] != pattern()[..part] {
            return Err(io::Error::other(format!("content differs between byte {done} and {}", done + part)));
        }
        done += part;
    }
    Ok(())
}

/// Numbered datagrams from the client to the container, some two thousand a second, until told to stop.
#[derive(Debug)]
pub(crate) struct Numbered {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<u64>,
    receiver: JoinHandle<HashSet<u64>>,
}

/// What became of them.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// Datagrams sent, numbered from 0.
    pub(crate) sent: u64,
    /// Numbers that did not arrive.
    pub(crate) missing: Vec<u64>,
}

impl Numbered {
    /// Begin to send to `port`.
    pub(crate) fn start(lab: &Lab, port: u16) -> Self {
        let inbox = lab.enter(Place::Web, || UdpSocket::bind(("0.0.0.0", port)).expect("the port is free"));
        inbox.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout is allowed");
        // An injected packet takes a page of the buffer, however short it is: the default holds some fifty.
        setsockopt(&inbox, RcvBufForce, &(16 << 20)).expect("root may have a large buffer");
        let outbox = lab.enter(Place::Client, || UdpSocket::bind("0.0.0.0:0").expect("a port is free"));
        outbox.connect((crate::lab::WEB, port)).expect("a route to the container");
        let stop = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&stop);
        let sender = thread::spawn(move || {
            let mut next: u64 = 0;
            while !end.load(Relaxed) {
                // An error is the answer to an earlier datagram (port unreachable); what is lost shows at the end.
                if outbox.send(&next.to_be_bytes()).is_ok() {
                    next += 1;
                }
                thread::sleep(Duration::from_micros(400));
            }
            next
        });
        let end = Arc::clone(&stop);
        let receiver = thread::spawn(move || {
            let mut numbers = HashSet::new();
            let mut datagram = [0; 8];
            loop {
                match inbox.recv(&mut datagram) {
                    Ok(8) => drop(numbers.insert(u64::from_be_bytes(datagram))),
                    // Half a second of silence after the last one was sent: there is nothing under way any more.
                    Err(_) if end.load(Relaxed) => return numbers,
                    Ok(_) | Err(_) => {}
                }
            }
        });
        Self { stop, sender, receiver }
    }

    /// Stop sending and count.
    pub(crate) fn finish(self) -> Arrived {
        self.stop.store(true, Relaxed);
        let sent = self.sender.join().expect("the sender did not panic");
        let numbers = self.receiver.join().expect("the receiver did not panic");
        Arrived { sent, missing: (0..sent).filter(|number| !numbers.contains(number)).collect() }
    }
}
