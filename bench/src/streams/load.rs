//! What goes over the path: bulk transfers whose bytes are counted at both ends, and HTTP/1.1 over connections kept open.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::{network::Network, requests};
use crate::{lab, wire::links::GENERATOR_CORE};

const HTTP: u16 = 80;
const BULK: u16 = 5001;
/// Bytes of a block, and of what is read at once; a prime, so that blocks and segments do not fall into step.
const BLOCK: usize = 65_521;

/// A load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Load {
    /// Bytes from the client to the server, half of them text.
    BulkUp,
    /// The same from the server to the client.
    BulkDown,
    /// Files of a megabyte in forms, one request after the other.
    Upload,
    /// Small requests and responses over connections kept open.
    KeepAlive,
}

/// What came over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    /// Bytes of applications, both directions.
    pub(super) bytes: u64,
    /// Requests answered; 0 for mere bytes.
    pub(super) requests: u64,
    pub(super) time: Duration,
}

impl Load {
    pub(super) const ALL: [Self; 4] = [Self::BulkUp, Self::BulkDown, Self::Upload, Self::KeepAlive];

    /// As figures name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BulkUp => "bulk TCP to the server",
            Self::BulkDown => "bulk TCP to the client",
            Self::Upload => "HTTP uploads of 1 MB",
            Self::KeepAlive => "HTTP keep-alive",
        }
    }

    /// Whether it is bulk.
    pub(super) fn is_bulk(self) -> bool {
        self != Self::KeepAlive
    }

    /// Send for `time`, and wait until everything has come.
    pub(super) fn run(self, network: &Network, time: Duration) -> Result<Done> {
        let (port, count) = match self {
            Self::BulkUp | Self::BulkDown => (BULK, 4),
            Self::Upload => (HTTP, 4),
            Self::KeepAlive => (HTTP, 8),
        };
        let connections = network.connect(port, count)?;
        match self {
            Self::BulkUp => transfer(connections, time),
            Self::BulkDown => {
                transfer(connections.into_iter().map(|[client, server]| [server, client]).collect(), time)
            }
            Self::Upload => exchange(connections, &[requests::upload()], &requests::response(200), time),
            Self::KeepAlive => exchange(connections, &requests::small(), &requests::response(2048), time),
        }
        .with_context(|| self.name())
    }
}

/// Start `work` on the core of the load.
fn start<'a, T: Send + 'a>(
    scope: &'a thread::Scope<'a, '_>,
    work: impl FnOnce() -> Result<T> + Send + 'a,
) -> ScopedJoinHandle<'a, Result<T>> {
    scope.spawn(|| {
        lab::pin(GENERATOR_CORE)?;
        work()
    })
}

/// What all came to, added up.
fn sum(threads: Vec<ScopedJoinHandle<'_, Result<u64>>>) -> Result<u64> {
    let join = |thread: ScopedJoinHandle<'_, Result<u64>>| match thread.join() {
        Ok(count) => count,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    threads.into_iter().map(join).sum()
}

/// From the first end of each connection to its second.
fn transfer(connections: Vec<[TcpStream; 2]>, time: Duration) -> Result<Done> {
    let block = requests::block(BLOCK);
    let begin = Instant::now();
    let (sent, came) = thread::scope(|scope| {
        let (mut senders, mut receivers) = (Vec::new(), Vec::new());
        for [from, to] in connections {
            senders.push(start(scope, || send(from, &block, begin + time)));
            receivers.push(start(scope, || receive(to)));
        }
        Ok::<_, anyhow::Error>((sum(senders)?, sum(receivers)?))
    })?;
    ensure!(sent == came, "{sent} bytes were sent, {came} came");
    Ok(Done { bytes: came, requests: 0, time: begin.elapsed() })
}

fn send(mut to: TcpStream, block: &[u8], until: Instant) -> Result<u64> {
    let mut sent = 0;
    while Instant::now() < until {
        to.write_all(block).context("sending")?;
        sent += block.len() as u64;
    }
    to.shutdown(Shutdown::Write).context("ending a stream")?;
    Ok(sent)
}

fn receive(mut from: TcpStream) -> Result<u64> {
    let (mut buffer, mut came) = (vec![0; BLOCK], 0);
    loop {
        match from.read(&mut buffer).context("receiving")? {
            0 => return Ok(came),
            read => came += read as u64,
        }
    }
}

/// Requests in turn, each sent when the one before was answered with `response`.
fn exchange(connections: Vec<[TcpStream; 2]>, all: &[Vec<u8>], response: &[u8], time: Duration) -> Result<Done> {
    let begin = Instant::now();
    let (requests, bytes) = thread::scope(|scope| {
        let (mut clients, mut servers) = (Vec::new(), Vec::new());
        for (number, [client, server]) in connections.into_iter().enumerate() {
            clients.push(start(scope, move || ask(client, all, number, response, begin + time)));
            servers.push(start(scope, move || serve(server, response)));
        }
        Ok::<_, anyhow::Error>((sum(clients)?, sum(servers)?))
    })?;
    Ok(Done { bytes: bytes + requests * response.len() as u64, requests, time: begin.elapsed() })
}

/// Requests that were answered.
fn ask(mut server: TcpStream, all: &[Vec<u8>], first: usize, response: &[u8], until: Instant) -> Result<u64> {
    let (mut answer, mut count) = (vec![0; response.len()], 0);
    for request in all.iter().cycle().skip(first) {
        if Instant::now() >= until {
            break;
        }
        server.write_all(request).context("sending a request")?;
        server.read_exact(&mut answer).context("waiting for a response")?;
        ensure!(answer == response, "a response is not what was sent");
        count += 1;
    }
    server.shutdown(Shutdown::Write).context("ending a stream")?;
    Ok(count)
}

/// Bytes of the requests that came whole and were answered.
fn serve(mut client: TcpStream, response: &[u8]) -> Result<u64> {
    let (mut buffer, mut held, mut bytes) = (vec![0; BLOCK], Vec::new(), 0);
    loop {
        let read = client.read(&mut buffer).context("waiting for a request")?;
        if read == 0 {
            ensure!(held.is_empty(), "a request ends in its midst");
            return Ok(bytes);
        }
        held.extend_from_slice(&buffer[..read]);
        let Some(length) = requests::length(&held)? else { continue };
        ensure!(held.len() <= length, "more than a request came");
        if held.len() == length {
            held.clear();
            bytes += length as u64;
            client.write_all(response).context("answering")?;
        }
    }
}
