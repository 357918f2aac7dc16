//! Rules against flows made by hand: what alerts, how often, and what becomes of the packets.

mod support;

use ips::{
    config::Config,
    engine::{Engine, Verdict},
};
use support::{ACK, Ends, Flow, SYN, WEB, engine};

const GET: &[u8] = b"GET /a%20b/../evil.php?x=1 HTTP/1.1\r\nHost: Bad.example:80\r\nUser-Agent: tool\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";

#[test]
fn transactions_alert_once_each() {
    let mut engine = engine(
        r#"alert http any any -> any any (msg:"uri"; flow:established,to_server; http.uri; content:"/evil.php"; startswith; sid:1;)
alert http any any -> any any (http.host; content:"bad.example"; bsize:11; http.user_agent; content:"TOOL"; nocase; sid:2;)
alert http any any -> any any (flow:to_client; http.stat_code; content:"200"; file.data; content:"body"; sid:3;)
alert http any any -> any any (http.uri; content:!"evil"; sid:4;)
alert http any any -> any any (http.referer; content:!"x"; sid:5;)
alert http any any -> any any (http.referer; absent; sid:6;)
alert http any any => any any (http.uri; content:"evil"; http.stat_code; content:"200"; sid:7;)
alert http any any -> any 81 (http.uri; content:"evil"; sid:8;)
"#,
    );
    let mut flow = Flow::open(WEB, &mut engine);
    for _ in 0..2 {
        flow.data(&mut engine, false, GET);
        flow.data(&mut engine, true, OK);
    }
    let mut sids = flow.sids();
    sids.sort_unstable();
    assert_eq!(sids, [1, 1, 2, 2, 3, 3, 6, 6, 7, 7]);
    assert!(flow.verdicts.iter().all(|verdict| *verdict == Verdict::Pass));
}

#[test]
fn a_dropped_flow_stays_dropped() {
    let mut engine = engine(
        r#"drop http any any -> any any (http.uri; content:"evil"; sid:1;)
alert tcp any any -> any any (content:"body"; sid:2;)"#,
    );
    let mut flow = Flow::open(WEB, &mut engine);
    flow.data(&mut engine, false, GET);
    flow.data(&mut engine, true, OK);
    assert_eq!(flow.sids(), [1]);
    assert_eq!(flow.verdicts[3..], [Verdict::DropFlow, Verdict::DropFlow]);
}

#[test]
fn pass_rules_come_first_also_when_they_need_the_stream() {
    let mut engine = engine(
        r#"drop tcp any any -> any any (flow:established,to_server; dsize:>0; sid:1;)
pass http any any -> any any (http.host; content:"bad.example"; sid:2;)"#,
    );
    let mut flow = Flow::open(WEB, &mut engine);
    flow.data(&mut engine, false, GET);
    assert_eq!(flow.sids(), [0u32; 0]);
    assert_eq!(flow.verdicts.last(), Some(&Verdict::PassFlow));
}

#[test]
fn packets_and_streams() {
    let mut engine = engine(
        r#"alert tcp any any -> any any (flags:S; sid:1;)
alert tcp any any -> any any (content:"needle"; sid:2;)
alert tcp-pkt any any -> any any (content:"need"; startswith; sid:3;)
alert tcp any any -> any any (content:"needle"; dsize:6; sid:4;)
alert ip any any -> any any (sid:5;)
alert tcp any any -> any any (content:"first"; depth:5; content:"needle"; distance:0; sid:6;)
"#,
    );
    let mut flow = Flow::open(WEB, &mut engine);
    flow.data(&mut engine, false, b"first nee");
    flow.data(&mut engine, false, b"dle");
    flow.data(&mut engine, false, b"needle");
    let at = |sid: u32| flow.alerts.iter().filter(|alert| alert.0 == sid).map(|alert| alert.1).collect::<Vec<_>>();
    assert_eq!(at(1), [0]);
    assert_eq!(at(2), [4, 5], "across segments, and again");
    assert_eq!(at(3), [5]);
    assert_eq!(at(4), [5]);
    assert_eq!(at(5), [0, 1], "once a direction");
    assert_eq!(at(6), [4]);
}

#[test]
fn data_that_comes_with_a_packet_outside_the_stream_and_as_stream_is_one_match() {
    let rules = r#"alert tcp any any -> any any (content:"needle"; sid:1;)
alert tcp any any -> any any (content:"need"; depth:4; sid:2;)
alert tcp-pkt any any -> any any (content:"needle"; sid:3;)
alert tcp-stream any any -> any any (content:"needles"; sid:4;)
drop tcp any any -> any any (content:"needle"; sid:5;)"#;
    let mut engine = engine(rules);
    let mut flow = Flow::new(WEB);
    // As with TCP Fast Open.
    flow.early_data(&mut engine, b"needle");
    let mut sids = flow.sids();
    sids.sort_unstable();
    assert_eq!(sids, [1, 2, 3, 5]);
    assert_eq!(flow.verdicts, [Verdict::Drop], "what was looked at as a packet is dropped as one");
    flow.data(&mut engine, false, b"s more");
    assert_eq!(flow.sids()[4..], [4]);
    flow.data(&mut engine, false, b" needle");
    let mut again = flow.sids()[5..].to_vec();
    again.sort_unstable();
    assert_eq!(again, [1, 3, 5]);
    assert_eq!(flow.verdicts.last(), Some(&Verdict::DropFlow));
}

#[test]
fn alerts_of_a_packet_are_bounded_with_those_of_its_stream_and_tell_of_pass_rules() {
    let rules = r#"alert tcp any any -> any any (dsize:>3; sid:1;)
alert tcp any any -> any any (content:"needle"; sid:2;)
alert tcp any any -> any any (content:"needle"; sid:3;)
pass tcp any any -> any any (content:"needle"; alert; sid:4;)"#;
    let config =
        |most| Config { rules: rules.into(), alerts_per_packet: most, action_order: order(), ..Config::default() };
    for (most, expected) in [(2, &[1, 2][..]), (15, &[1, 2, 3, 4])] {
        let mut engine = Engine::new(&config(most)).unwrap();
        let mut flow = Flow::open(WEB, &mut engine);
        flow.data(&mut engine, false, b"a needle");
        assert_eq!(flow.sids(), expected);
        assert!(flow.raised.iter().all(|alert| alert.passed));
        assert_eq!(flow.verdicts.last(), Some(&Verdict::PassFlow));
    }
}

fn order() -> Vec<String> {
    ["alert", "pass", "drop", "reject"].map(String::from).to_vec()
}

#[test]
fn a_connection_taken_up_from_the_servers_answer_is_turned_round() {
    let mut engine = engine(
        r#"alert http any any -> any any (http.server; content:"old"; sid:1;)
alert http any any -> any any (http.uri; content:"evil"; sid:2;)
alert tcp any any -> any any (flow:to_client; content:"200"; sid:3;)"#,
    );
    // The lower port is taken for the server's, which here is the client's.
    let mut flow = Flow::new(Ends { client: ([8, 8, 8, 8], 8080), server: ([192, 168, 1, 2], 3000) });
    flow.midstream = true;
    flow.data(&mut engine, false, b"HTTP/1.1 200 OK\r\nServer: old\r\nContent-Length: 0\r\n\r\n");
    flow.data(&mut engine, true, GET);
    let mut sids = flow.sids();
    sids.sort_unstable();
    assert_eq!(sids, [1, 2, 3]);
    assert!(flow.raised.iter().all(|alert| alert.to_client == (alert.meta.sid != 2)));
}

#[test]
fn a_client_cannot_pass_for_the_server_of_a_well_known_port() {
    let mut engine = engine(r#"drop tcp any any -> any any (flow:to_server; content:"evil"; sid:1;)"#);
    for greeting in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"220 (x)\r\n", b"\x16\x03\x03\0\x04\x02"] {
        let mut flow = Flow::new(Ends { client: ([192, 168, 1, greeting.len() as u8], 40000), ..WEB });
        flow.midstream = true;
        flow.data(&mut engine, false, greeting);
        flow.data(&mut engine, false, GET);
        assert_eq!(flow.sids(), [1], "{}", greeting.escape_ascii());
        assert_eq!(flow.verdicts.last(), Some(&Verdict::DropFlow));
    }
    // A client whose port is the lower one, so that it is taken for the server, is still told by its request.
    let mut flow = Flow::new(Ends { client: ([8, 8, 8, 8], 8080), server: ([192, 168, 1, 2], 1000) });
    flow.midstream = true;
    flow.data(&mut engine, true, GET);
    assert_eq!(flow.sids(), [1]);
}

#[test]
fn state_of_flows_orders_rules() {
    let mut engine = engine(
        r#"alert tcp any any -> any any (dsize:5; flowbits:isset,seen; flowint:n,>,1; sid:1;)
alert tcp any any -> any any (content:"login"; flowbits:set,seen; flowint:n,+,1; noalert; sid:2;)
"#,
    );
    let mut flow = Flow::open(WEB, &mut engine);
    for _ in 0..3 {
        flow.data(&mut engine, false, b"login");
    }
    assert_eq!(flow.alerts.iter().map(|alert| alert.1).collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn dns_over_udp_and_tcp() {
    let mut engine = engine(
        r#"alert dns any any -> any any (dns.query; dotprefix; content:".evil.example"; endswith; nocase; sid:1;)
alert dns any any -> any any (dns.opcode:2; sid:2;)"#,
    );
    let query = b"\x01\x02\x01\0\0\x01\0\0\0\0\0\0\x01a\x04EviL\x07example\0\0\x01\0\x01";
    let ends = Ends { server: ([8, 8, 8, 8], 53), ..WEB };
    let mut flow = Flow::new(ends);
    flow.packet(&mut engine, false, 17, 0, query, false);
    flow.packet(&mut engine, false, 17, 0, b"not dns", false);
    assert_eq!(flow.sids(), [1]);
    let mut flow = Flow::open(Ends { client: ([192, 168, 1, 2], 40001), ..ends }, &mut engine);
    let mut wire = (query.len() as u16).to_be_bytes().to_vec();
    wire.extend(query);
    wire.iter().for_each(|byte| flow.data(&mut engine, false, &[*byte]));
    assert_eq!(flow.sids(), [1]);
}

#[test]
fn fingerprints_of_ssh_and_the_protocol_that_a_flow_came_to() {
    let mut engine = engine(
        r#"alert ssh any any -> any any (ssh.hassh.string; content:"k|3b|c1|3b|m1|3b|z1"; bsize:10; sid:1;)
alert ssh any any -> any any (ssh.hassh.server.string; content:"k|3b|c2|3b|m2|3b|z2"; bsize:10; sid:2;)
alert ssh any any -> any any (ssh.hassh; bsize:32; pcre:"/^[0-9a-f]+$/"; sid:3;)
alert ssh any any -> any any (ssh.hassh.server; content:"ef2009dcd463afbe99c5888867b06e53"; bsize:32; sid:4;)
alert tcp any any -> any any (flow:to_server; app-layer-protocol:ssh,final; sid:5;)
alert tcp any any -> any any (flow:to_server; app-layer-protocol:!http,exact; sid:6;)
alert tcp any any -> any any (flow:to_server; app-layer-protocol:!ssh,final; sid:7;)
"#,
    );
    let mut kexinit = [&[4, 20][..], &[7; 16]].concat();
    for list in ["k", "h", "c1", "c2", "m1", "m2", "z1", "z2", "", ""] {
        kexinit.extend((list.len() as u32).to_be_bytes());
        kexinit.extend(list.as_bytes());
    }
    kexinit.extend([0; 9]);
    let kexinit = [&(kexinit.len() as u32).to_be_bytes()[..], &kexinit].concat();
    let mut flow = Flow::open(WEB, &mut engine);
    for side in [false, true] {
        flow.data(&mut engine, side, b"SSH-2.0-x\r\n");
        flow.data(&mut engine, side, &kexinit[..30]);
        flow.data(&mut engine, side, &kexinit[30..]);
    }
    let mut sids = flow.sids();
    sids.sort_unstable();
    assert_eq!(sids, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_mode_of_app_layer_protocol_that_is_left_empty_is_refused() {
    let rules = "alert tcp any any -> any any (app-layer-protocol:ssh,; sid:1;)";
    let engine = Engine::new(&Config { rules: rules.into(), ..Config::default() }).unwrap();
    let report = engine.report();
    assert_eq!((report.loaded, report.unsupported, report.invalid), (0, 0, 1), "{}", report.text());
    assert!(report.text().contains("no mode behind the comma"), "{}", report.text());
}

#[test]
fn thresholds_thin_alerts() {
    let mut engine = engine(
        r#"alert tcp any any -> any any (flags:S; threshold:type limit, track by_src, count 2, seconds 60; sid:1;)
alert tcp any any -> any any (flags:S; detection_filter:track by_dst, count 3, seconds 60; sid:2;)"#,
    );
    let mut sids = Vec::new();
    for port in 0..5 {
        let mut flow = Flow::new(Ends { client: ([10, 0, 0, 1], 1000 + port), ..WEB });
        flow.packet(&mut engine, false, 6, SYN, b"", false);
        sids.extend(flow.sids());
    }
    assert_eq!(sids, [1, 1, 2, 2]);
}

#[test]
fn lost_data_is_no_match() {
    let mut engine = engine(r#"alert tcp any any -> any any (content:"needle"; sid:1;)"#);
    let mut flow = Flow::open(WEB, &mut engine);
    flow.data(&mut engine, false, b"nee");
    flow.packet(&mut engine, false, 6, ACK, b"", true);
    flow.data(&mut engine, false, b"x");
    flow.data(&mut engine, false, b"dle needle");
    assert_eq!(flow.sids(), [1]);
}

#[test]
fn what_is_not_supported_is_told_by_name_and_place() {
    let rules = r#"# comment
alert tcp any any -> any any (msg:"fine"; content:"x"; sid:1;)
alert tcp any any -> any any (content:"x"; \
   filestore; sid:2;)
alert tcp any any -> any any (pcre:"/(a)\1/"; sid:3;)
alert smb any any -> any any (sid:4;)
alert tcp any any -> any any (content:"|zz|"; sid:5;)
alert tcp any any -> any any (content:"x"; sid:1;)
alert tcp any any -> any any (http.uri; content:"x"; http.stat_code; content:"2"; sid:7;)
"#;
    let engine = Engine::new(&Config { rules: rules.into(), ..Config::default() }).unwrap();
    let report = engine.report();
    assert_eq!((report.loaded, report.unsupported, report.invalid), (1, 3, 3));
    let found: Vec<_> = report.rejected.iter().map(|r| (r.line, r.column, r.sid, r.keyword.as_deref())).collect();
    assert_eq!(
        found,
        [
            (4, 4, Some(2), Some("filestore")),
            (5, 31, Some(3), Some("pcre: backreference")),
            (6, 7, Some(4), Some("protocol smb")),
            (7, 31, Some(5), None),
            (8, 1, Some(1), None),
            (9, 1, Some(7), None),
        ]
    );
    assert!(report.text().contains("4:4: sid 2: keyword `filestore` is not supported"), "{}", report.text());
    let strict = Config { rules: rules.into(), strict: true, ..Config::default() };
    assert!(Engine::new(&strict).unwrap_err().starts_with("rules: 4:4:"));
}

#[test]
fn memory_of_flows_is_bounded() {
    let config = Config {
        rules: r#"alert tcp any any -> any any (content:"needle"; content:"x"; distance:0; sid:1;)"#.into(),
        flows: 100_000,
        memory_mib: 1,
        ..Config::default()
    };
    let mut engine = Engine::new(&config).unwrap();
    for host in 0u32..2000 {
        let client = host.to_be_bytes();
        let mut flow = Flow::new(Ends { client: (client, 1000), ..WEB });
        flow.data(&mut engine, false, &[b'.'; 1400]);
    }
    assert!(engine.flows() < 1000, "{} flows", engine.flows());
}

#[test]
fn matches_on_data_of_a_syn_count_as_memory() {
    let rules: String =
        (1..=200).map(|sid| format!("alert tcp any any -> any any (content:\"needle\"; sid:{sid};)\n")).collect();
    let config = Config { rules, flows: 100_000, memory_mib: 1, ..Config::default() };
    let mut engine = Engine::new(&config).unwrap();
    for host in 0u32..1000 {
        let mut flow = Flow::new(Ends { client: (host.to_be_bytes(), 1000), ..WEB });
        flow.packet(&mut engine, false, 6, SYN, b"needle", false);
    }
    // 200 matches of 24 bytes each.
    assert!(engine.flows() < (1 << 20) / (200 * 24), "{} flows", engine.flows());
}

#[test]
fn ten_thousand_rules_load_and_run() {
    let mut rules = String::new();
    for sid in 1..=10_000 {
        rules += &match sid % 4 {
            0 => format!("alert tcp any any -> any any (content:\"pattern-{sid:05}-x\"; sid:{sid};)\n"),
            1 => format!("alert http any any -> any any (http.uri; content:\"/path{sid:05}\"; sid:{sid};)\n"),
            2 => format!(
                "alert dns any any -> any any (dns.query; content:\"host{sid:05}.example\"; nocase; sid:{sid};)\n"
            ),
            _ => format!("alert tcp any any -> any {} (content:\"deep-{sid:05}\"; depth:64; sid:{sid};)\n", sid),
        };
    }
    let mut engine = engine(&rules);
    let mut flow = Flow::open(WEB, &mut engine);
    flow.data(&mut engine, false, b"GET /path00005?pattern-00008-x HTTP/1.1\r\n\r\n");
    let mut sids = flow.sids();
    sids.sort_unstable();
    assert_eq!(sids, [5, 8]);
}
