//! Any bytes as the two directions of a connection, in segments of any size: nothing panics, memory stays bounded.
#![no_main]

use ips::{
    config::Config,
    engine::{Alert, Engine},
    packet::{PacketView, StreamChunk},
};
use libfuzzer_sys::fuzz_target;

const RULES: &str = r#"
alert tcp any any -> any any (content:"ab"; content:"c"; distance:0; within:20; sid:1;)
alert http any any -> any any (http.uri; content:"/a"; sid:2;)
alert http any any -> any any (http.header; content:"a"; http.request_body; content:"b"; sid:3;)
alert http any any -> any any (file.data; content:!"zz"; pcre:"/a+b/"; sid:4;)
alert tls any any -> any any (tls.sni; content:"a"; sid:5;)
alert tls any any -> any any (ja4.hash; content:"t13"; sid:6;)
alert dns any any -> any any (dns.query; content:"a"; sid:7;)
alert ssh any any -> any any (ssh.software; content:"a"; sid:8;)
alert tcp any any -> any any (byte_jump:2,0; byte_test:1,>,3,0,relative; sid:9;)
"#;

fuzz_target!(|segments: Vec<(bool, bool, Vec<u8>)>| {
    let config = Config { rules: RULES.into(), memory_mib: 1, ..Config::default() };
    let Ok(mut engine) = Engine::new(&config) else { return };
    // The header of an IPv4 packet to port 53, which DNS needs; the ports decide nothing else.
    let mut frame = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    frame.extend([0u8; 20]);
    let mut next = [0u64; 2];
    let mut alerts: Vec<Alert> = Vec::new();
    for (to_client, end, data) in segments {
        let Some(mut packet) = PacketView::new(&frame, 0, 20, 40, 0) else { return };
        (packet.flow, packet.protocol, packet.dst_port) = (1, 6, 53);
        (packet.to_client, packet.established, packet.in_stream) = (to_client, true, true);
        let offset = &mut next[usize::from(to_client)];
        let chunk = StreamChunk { to_client, offset: *offset, data: &data, start: *offset == 0, end, gap: false };
        *offset += data.len() as u64;
        engine.packet(&packet, &mut alerts);
        engine.stream(&packet, &[chunk], &mut alerts);
    }
});
