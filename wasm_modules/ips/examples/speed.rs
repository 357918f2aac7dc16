//! How fast the engine is on this machine: bulk TCP and keep-alive HTTP, by number of rules.
//!
//! `cargo run --release -p ips --example speed`

use std::time::Instant;

use ips::{
    config::Config,
    engine::{Alert, Engine},
    packet::{PacketView, StreamChunk},
};

/// Rules as feeds have them: half on HTTP, a third on streams, the rest on DNS and packets.
fn rules(count: u32) -> String {
    (1..=count)
        .map(|sid| {
            let word = format!("{:08x}{:06x}", sid.wrapping_mul(2_654_435_761), sid);
            match sid % 6 {
                0..=2 => format!(
                    "alert http any any -> any any (flow:established,to_server; http.uri; content:\"/{word}\"; sid:{sid};)\n"
                ),
                3 | 4 => format!(
                    "alert tcp any any -> any any (flow:established; content:\"{word}\"; content:\"x\"; distance:0; sid:{sid};)\n"
                ),
                _ => format!("alert dns any any -> any any (dns.query; content:\"{word}\"; nocase; sid:{sid};)\n"),
            }
        })
        .collect()
}

/// Nanoseconds per segment of `size` bytes of `data` that repeats, and MB/s.
fn run(engine: &mut Engine, port: u16, data: &[u8], size: usize, total: usize) -> f64 {
    let mut frame = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    frame.extend([0u8; 20]);
    frame.extend(&data[..size]);
    let mut alerts: Vec<Alert> = Vec::new();
    let start = Instant::now();
    let mut offset = 0u64;
    while (offset as usize) < total {
        let at = offset as usize % (data.len() - size);
        frame[40..].copy_from_slice(&data[at..at + size]);
        let mut packet = PacketView::new(&frame, 0, 20, 40, size).unwrap();
        (packet.flow, packet.protocol, packet.dst_port, packet.tcp_flags) = (u64::from(port), 6, port, 16);
        (packet.established, packet.in_stream) = (true, true);
        let chunk =
            StreamChunk { to_client: false, offset, data: packet.payload, start: offset == 0, end: false, gap: false };
        engine.packet(&packet, &mut alerts);
        engine.stream(&packet, &[chunk], &mut alerts);
        offset += size as u64;
    }
    total as f64 / start.elapsed().as_secs_f64() / 1e6
}

fn main() {
    let mut state = 1u32;
    let bulk: Vec<u8> = (0..1 << 20)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let request =
        b"GET /index.html?a=1 HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\r\n";
    let requests: Vec<u8> = request.iter().copied().cycle().take(request.len() * 2).collect();
    for count in [0, 100, 1_000, 10_000] {
        let started = Instant::now();
        let mut engine = Engine::new(&Config { rules: rules(count), ..Config::default() }).unwrap();
        let load = started.elapsed();
        let bulk = run(&mut engine, 9000, &bulk, 1400, 256 << 20);
        let http = run(&mut engine, 80, &requests, request.len(), 16 << 20);
        println!(
            "{count:6} rules: bulk {bulk:7.0} MB/s, HTTP {:7.0} requests/ms, load {load:?}, prefilters {} KiB",
            http * 1e3 / request.len() as f64,
            engine.prefilter_memory() >> 10
        );
    }
}
