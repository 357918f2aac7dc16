//! The API over a real Unix socket, above a dataplane in memory.

mod flows;
mod modules;
mod persistence;
mod rulesets;
mod sets;
mod sockets;

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::atomic::Ordering::SeqCst,
    time::Duration,
};

use jiff::Timestamp;
use secuxflow::alert::AlertEvent;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

use super::*;
use crate::{
    alerts::{self, AlertStore},
    client::{Client, ClientError},
    config::{Config, Enforcement, Overrides, load},
    modules::{Inspection, Trust},
    state::{self, State},
    testing::Lab,
};

/// A server in a directory of its own, stopped when dropped.
struct Server {
    dir: tempfile::TempDir,
    lab: Arc<Lab>,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<std::io::Result<()>>>,
    store: Arc<AlertStore>,
    _socket: ControlSocket,
}

fn config(dir: &Path) -> Config {
    let overrides = Overrides {
        interfaces: vec!["eth0".into()],
        socket: Some(dir.join("s.sock")),
        state: Some(dir.join("state.json")),
        ..Overrides::default()
    };
    let file = dir.join("secuxflow.toml");
    load(file.exists().then_some(&*file), &overrides).unwrap()
}

impl Server {
    async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    async fn start_in(dir: tempfile::TempDir) -> Self {
        let config = config(dir.path());
        let (socket, listener) = ControlSocket::bind(&config.socket.path, None).unwrap();
        let (lab, store) = (Lab::new(), Arc::new(AlertStore::new(4)));
        let base = Inspection::configured(&config.plane, &config.trust).unwrap();
        let state = state::load(&config.state, &base, &config.trust, Timestamp::now()).unwrap();
        let backend = lab.backend();
        let (modules, chains) = state.inspection.configs();
        backend.set_inspection(&modules, &chains, None).unwrap();
        backend.apply_rules(&crate::admin::ruleset(&state, &config.plane.default_action, config.enforcement)).unwrap();
        let admin = Arc::new(Admin::new(&config, backend, state, Arc::clone(&store)));
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(serve(listener, admin, async move {
            let _gone = stopped.wait_for(|stop| *stop).await;
        }));
        Self { dir, lab, stop, task: Some(task), store, _socket: socket }
    }

    async fn restart(mut self) -> Self {
        self.stop.send(true).unwrap();
        self.task.take().unwrap().await.unwrap().unwrap();
        let Self { dir, _socket, .. } = self;
        drop(_socket);
        Self::start_in(dir).await
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("s.sock")
    }

    fn client(&self) -> Client {
        Client::new(self.path())
    }

    /// Status and body of one request, by hand: no code is shared with the client.
    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (socket, body) = (self.path(), body.to_owned());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let text = tokio::task::spawn_blocking(move || {
            let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
            // At once: a refusal that does not wait for the body closes the connection.
            stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        });
        let text = text.await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    async fn add(&self, rule: Value) -> (u16, Value) {
        self.ask("POST", "/v1/rules", &rule.to_string()).await
    }

    /// A refused rule: status, code, field and message.
    async fn refused(&self, rule: Value) -> (u16, String, String, String) {
        let before = fs::read_to_string(self.dir.path().join("state.json")).ok();
        let (status, body) = self.add(rule).await;
        assert_eq!(fs::read_to_string(self.dir.path().join("state.json")).ok(), before, "a refusal changes nothing");
        let text = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
        (status, text("code"), text("field"), text("message"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_added_listed_deleted_and_cleared() {
    let server = Server::start().await;
    let rule = json!({"src": "192.168.1.0/24", "dst": "10.0.0.5", "port": 80, "proto": "tcp", "action": "drop"});
    let (status, added) = server.add(rule).await;
    assert_eq!((status, &added), (201, &json!({"id": "rule-1", "warnings": []})));
    assert_eq!(server.add(json!({"action": "pass", "port": "8000-8080"})).await.1["id"], "rule-2");
    assert_eq!(server.lab.rule_ids(), [1, 2]);

    let (_, listed) = server.ask("GET", "/v1/rules", "").await;
    let first = &listed["rules"][0];
    assert_eq!(
        (&first["id"], &first["src"], &first["port"]),
        (&json!("rule-1"), &json!("192.168.1.0/24"), &json!("80"))
    );
    assert_eq!((&first["packets"], &first["bytes"]), (&json!(3), &json!(180)));

    assert_eq!(server.ask("DELETE", "/v1/rules/rule-1", "").await, (200, json!({"removed": 1})));
    assert_eq!(server.lab.rule_ids(), [2]);
    assert_eq!(server.ask("DELETE", "/v1/rules", "").await, (200, json!({"removed": 1})));
    assert_eq!(server.lab.rule_ids(), [0; 0]);
    assert_eq!(server.add(json!({"action": "drop"})).await.1["id"], "rule-3", "numbers are not used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_may_be_chosen_once_and_must_be_known_to_be_deleted() {
    let server = Server::start().await;
    assert_eq!(server.add(json!({"id": "rule-7", "action": "drop"})).await.1["id"], "rule-7");
    let (status, code, field, message) = server.refused(json!({"id": "rule-7", "action": "drop"})).await;
    assert_eq!((status, &*code, &*field), (409, "conflict", "id"));
    assert!(message.contains("rule-7"), "{message}");
    assert_eq!(server.refused(json!({"id": "rule-3", "action": "drop"})).await.0, 409);
    assert_eq!(server.refused(json!({"id": "seven", "action": "drop"})).await.0, 400);
    let (status, _, field, message) = server.refused(json!({"id": "rule-1000000000", "action": "drop"})).await;
    assert_eq!((status, &*field), (422, "id"));
    assert!(message.contains("999999999"), "{message}");
    assert_eq!(server.add(json!({"action": "drop"})).await.1["id"], "rule-8");

    let (status, body) = server.ask("DELETE", "/v1/rules/rule-99", "").await;
    assert_eq!((status, &body["error"]["field"]), (404, &json!("id")));
    assert!(body["error"]["message"].as_str().unwrap().contains("rule-99"));
    assert_eq!(server.ask("DELETE", "/v1/rules/x", "").await.0, 422);
    assert_eq!(server.lab.rule_ids(), [7, 8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_rule_is_refused_by_the_field_s_name() {
    let server = Server::start().await;
    for (rule, field) in [
        (json!({"action": "drop", "src": "192.168.1.0/33"}), "src"),
        (json!({"action": "drop", "dst": "example"}), "dst"),
        (json!({"action": "drop", "proto": "tcp", "port": 70000}), "port"),
        (json!({"action": "drop", "proto": "icmp", "port": 80}), "port"),
        (json!({"action": "inspect", "chain": "none"}), "chain"),
        (json!({"action": "drop", "port": "90-80"}), "port"),
        (json!({"action": "drop", "src": "10.0.0.0/8", "dst": "fd00::/8"}), "src"),
        (json!({"action": "drop", "dst": "@lost"}), "dst"),
        (json!({"action": "drop", "proto": "udp", "tcp_flags": "syn"}), "tcp_flags"),
        (json!({"action": "drop", "vlan": 4095}), "vlan"),
        (json!({"action": "drop", "ttl": "soon"}), "ttl"),
        (json!({"action": "drop", "expires": "2020-01-01T00:00:00Z"}), "expires"),
        (json!({"action": "pass", "monitor": true}), "monitor"),
        (json!({"action": "burn"}), "action"),
        (json!({}), "action"),
    ] {
        let told = server.refused(rule.clone()).await;
        assert_eq!((told.0, &*told.1), (422, "invalid"), "{rule}");
        assert!(told.2.contains(field) && told.3.contains(field), "{rule}: {told:?}");
    }
    let told = server.refused(json!({"action": "drop", "colour": 1})).await;
    assert_eq!((told.0, &*told.1, &*told.2), (400, "bad_request", "colour"));
    let (status, body) = server.ask("POST", "/v1/rules", "{\"action\"").await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("bad_request")));
    assert_eq!(server.lab.rule_ids(), [0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_a_wrong_type_is_refused_by_its_name() {
    let server = Server::start().await;
    for (method, path, body, field) in [
        ("POST", "/v1/rules", r#"{"action":"drop","src":5}"#, "src"),
        ("POST", "/v1/rules", r#"{"action":"drop","priority":"high"}"#, "priority"),
        ("POST", "/v1/rules", r#"{"action":"drop","enabled":"no"}"#, "enabled"),
        ("POST", "/v1/rules", r#"{"action":"drop","id":7}"#, "id"),
        ("POST", "/v1/rules", r#"{"action":"drop","port":{}}"#, "port"),
        ("POST", "/v1/rules", r#"{"action":"drop","action":"pass"}"#, "action"),
        ("POST", "/v1/rules", r#"{"id":"rule-1","action":"drop","id":"rule-2"}"#, "id"),
        ("POST", "/v1/rules/explain", r#"{"src":"10.0.0.1","dst":"10.0.0.2","port":"x"}"#, "port"),
        ("POST", "/v1/sets", r#"{"name":"a","blocklist":"yes"}"#, "blocklist"),
        ("POST", "/v1/sets/a/entries", r#"{"prefixes":[5]}"#, "prefixes"),
        ("POST", "/v1/sets/a/entries", r#"{"prefixes":[],"ttl":5}"#, "ttl"),
        ("POST", "/v1/services", r#"{"name":5}"#, "name"),
        ("PUT", "/v1/rules?if_revision=x", r#"{"rules":[]}"#, "if_revision"),
        ("PUT", "/v1/rules?dry_run=maybe", r#"{"rules":[]}"#, "dry_run"),
        ("PUT", "/v1/rules?dry_ran=true", r#"{"rules":[]}"#, "dry_ran"),
        ("PUT", "/v1/rules", r#"{"rules":5}"#, "rules"),
        ("GET", "/v1/alerts?limit=-1", "", "limit"),
        ("GET", "/v1/sets/a?limit=x", "", "limit"),
        ("GET", "/v1/flows?port=70000", "", "port"),
        ("GET", "/v1/flows?state=odd", "", "state"),
        ("POST", "/v1/sets/a/feed?strict=x", "", "strict"),
    ] {
        let (status, answer) = server.ask(method, path, body).await;
        let error = &answer["error"];
        assert_eq!((status, &error["code"]), (400, &json!("bad_request")), "{method} {path} {body}: {answer}");
        assert_eq!(error["field"], field, "{method} {path} {body}: {answer}");
        assert!(error["message"].as_str().unwrap().contains(field), "{method} {path} {body}: {answer}");
    }
    assert_eq!(server.lab.rule_ids(), [0; 0]);
    let (status, _) =
        server.ask("POST", "/v1/rules/explain", r#"{"src":"10.0.0.1","dst":"10.0.0.2","proto":47}"#).await;
    assert_eq!(status, 200, "a protocol may be a number");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_comes_back_as_it_is_meant() {
    let server = Server::start().await;
    let rule = json!({"src": "10.0.0.5", "port": ["443", 80, "8000-8080", 81], "sport": "1024-65535", "proto": "TCP",
        "tcp_flags": "!ack,syn", "vlan": 7, "action": "drop", "monitor": true, "ttl": "1h30m", "comment": "try"});
    assert_eq!(server.add(rule).await.0, 201);
    let (_, listed) = server.ask("GET", "/v1/rules", "").await;
    let mut first = listed["rules"][0].clone();
    let first = first.as_object_mut().unwrap();
    let left = first.remove("expires_in_seconds").unwrap().as_u64().unwrap();
    assert!((5390..=5401).contains(&left), "{left}");
    let expires: Timestamp = first.remove("expires").unwrap().as_str().unwrap().parse().unwrap();
    assert!(expires > Timestamp::now() && expires.subsec_nanosecond() == 0);
    let expected = json!({"id": "rule-1", "src": "10.0.0.5/32", "port": "80-81,443,8000-8080", "sport": "1024-65535",
        "proto": "tcp", "tcp_flags": "syn,!ack", "vlan": "7", "action": "drop", "monitor": true, "comment": "try",
        "enabled": true, "packets": 3, "bytes": 180});
    assert_eq!(Value::from(first.clone()), expected);
    let (_, listed) = (server.add(json!({"action": "drop"})).await, server.ask("GET", "/v1/rules", "").await.1);
    assert_eq!(listed["rules"][1].get("expires_in_seconds"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_never_matches_is_added_and_told() {
    let server = Server::start().await;
    server.add(json!({"action": "drop", "src": "10.0.0.0/8", "priority": 5})).await;
    let (status, added) = server.add(json!({"action": "pass", "src": "10.1.0.0/16"})).await;
    let expected =
        "rule-2 (pass) never matches: rule-1 (drop) comes before it by priority and matches all that it matches";
    assert_eq!((status, &added["warnings"]), (201, &json!([expected])));
    let (_, added) = server.add(json!({"action": "drop", "src": "10.0.0.0/8", "priority": 5})).await;
    assert_eq!(added["warnings"], json!(["rule-3 is a duplicate of rule-1: it matches and does the same"]));
    let off = json!({"action": "drop", "src": "10.0.0.0/8", "enabled": false});
    assert_eq!(server.add(off).await.1["warnings"], json!([]));
    assert_eq!(server.lab.rule_ids(), [1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_monitored_is_told_to_the_dataplane() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::new();
    for (enforcement, monitor) in [(Enforcement::Enforce, false), (Enforcement::Monitor, true)] {
        let config = Config { enforcement, ..config(dir.path()) };
        let admin = Admin::new(&config, lab.backend(), State::default(), Arc::new(AlertStore::new(1)));
        let rule = serde_json::from_value(json!({"action": "drop", "monitor": true})).unwrap();
        admin.add_rule(&rule).unwrap();
        let live = lab.rules.lock().unwrap().clone().unwrap();
        assert_eq!((live.monitor, live.rules[0].monitor), (monitor, true));
        assert_eq!(admin.status().unwrap().enforcement, enforcement);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_four_megabytes_is_too_large() {
    let server = Server::start().await;
    let (status, body) = server.add(json!({"action": "drop", "comment": "x".repeat(4 << 20)})).await;
    assert_eq!((status, &body["error"]["code"]), (413, &json!("body_too_large")));
    assert!(body["error"]["message"].as_str().unwrap().contains("1 MiB"));
    assert_eq!(server.ask("GET", "/v1/rules", "").await.0, 200, "the daemon goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_refused_in_json() {
    let server = Server::start().await;
    let (status, body) = server.ask("GET", "/v2/rules", "").await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("not_found")));
    let (status, body) = server.ask("PATCH", "/v1/rules", "").await;
    assert_eq!((status, &body["error"]["code"]), (405, &json!("method_not_allowed")));
    let (status, body) = server.ask("GET", "/v1/alerts?limit=x", "").await;
    assert_eq!((status, &body["error"]["field"]), (400, &json!("limit")));
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_added_once_listed_and_deleted() {
    let server = Server::start().await;
    let web = json!({"name": "web", "ip": "10.77.2.2", "dev": "veth-web"});
    assert_eq!(server.ask("POST", "/v1/services", &web.to_string()).await, (201, web));
    for (service, status, field) in [
        (json!({"name": "web", "ip": "10.77.2.3", "dev": "v"}), 409, "name"),
        (json!({"name": "more", "ip": "10.77.2.2", "dev": "v"}), 409, "ip"),
        (json!({"name": "a b", "ip": "10.77.2.3", "dev": "v"}), 422, "name"),
        (json!({"name": "any", "ip": "0.0.0.0", "dev": "v"}), 422, "ip"),
        (json!({"name": "dev", "ip": "10.77.2.3", "dev": "a/b"}), 422, "dev"),
        (json!({"name": "key", "ip": "10.77.2.3", "dev": "v", "port": 1}), 400, "port"),
    ] {
        let (got, body) = server.ask("POST", "/v1/services", &service.to_string()).await;
        assert_eq!((got, &body["error"]["field"]), (status, &json!(field)), "{service}: {body}");
    }
    let (_, listed) = server.ask("GET", "/v1/services", "").await;
    assert_eq!((&listed["services"][0]["name"], &listed["services"][0]["state"]), (&json!("web"), &json!("up")));
    assert_eq!(server.ask("DELETE", "/v1/services/none", "").await.0, 404);
    assert_eq!(server.ask("DELETE", "/v1/services/web", "").await, (200, json!({"removed": 1})));
    assert!(server.lab.services.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn inspecting_without_a_service_warns() {
    let server = Server::start().await;
    let rule = json!({"action": "inspect", "dst": "10.77.2.0/24"});
    let (_, added) = server.add(rule.clone()).await;
    assert!(added["warnings"][0].as_str().unwrap().contains("10.77.2.0/24"), "{added}");
    let web = json!({"name": "web", "ip": "10.77.2.2", "dev": "veth-web"});
    assert_eq!(server.ask("POST", "/v1/services", &web.to_string()).await.0, 201);
    server.ask("DELETE", "/v1/rules", "").await;
    assert_eq!(server.add(rule).await.1["warnings"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn inspect_answers_or_names_the_field() {
    let server = Server::start().await;
    let request = json!({"ip": "192.168.1.1", "dst": "10.0.0.5", "port": 443, "proto": "tcp", "payload": "a\\x00"});
    let (status, report) = server.ask("POST", "/v1/inspect", &request.to_string()).await;
    assert_eq!((status, &report["modules"][0]["module"]), (200, &json!("waf")));
    assert_eq!(report["cause"], "2 bytes of payload");
    for (request, status, field) in [
        (json!({"ip": "192.168.1.1", "port": 443, "proto": "tcp"}), 422, "dst"),
        (json!({"ip": "x", "port": 443, "proto": "tcp"}), 422, "ip"),
        (json!({"ip": "192.168.1.1", "proto": "tcp", "ttl": 1}), 400, "ttl"),
    ] {
        let (got, body) = server.ask("POST", "/v1/inspect", &request.to_string()).await;
        assert_eq!((got, &body["error"]["field"]), (status, &json!(field)), "{request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_listed_and_followed_until_the_daemon_stops() {
    let server = Server::start().await;
    let raise = |text: &str| {
        server.lab.queue.push(AlertEvent::dataplane(2, text));
        let names = crate::backend::Names::default();
        alerts::drain(None, &server.lab.queue, &names, &server.store, &std::sync::Mutex::new(None));
    };
    raise("before");
    let mut lines = server.client().stream("/v1/alerts/stream").await.unwrap();
    raise("after");
    let line = tokio::time::timeout(Duration::from_secs(5), lines.next()).await.unwrap().unwrap().unwrap();
    let alert: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(alert["alert"]["signature"], "after");

    let (_, listed) = server.ask("GET", "/v1/alerts?limit=1", "").await;
    assert_eq!(listed["alerts"], json!([alert]));
    assert_eq!((&listed["raised"], &listed["dropped"]), (&json!(2), &json!(0)));

    server.store.close();
    let end = tokio::time::timeout(Duration::from_secs(5), lines.next()).await.unwrap().unwrap();
    assert_eq!(end, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_does_not_hold_up_the_stop() {
    let mut server = Server::start().await;
    let _lines = server.client().stream("/v1/alerts/stream").await.unwrap();
    server.store.close();
    server.stop.send(true).unwrap();
    let task = server.task.take().unwrap();
    tokio::time::timeout(Duration::from_secs(5), task).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_tells_refusal_from_absence() {
    let server = Server::start().await;
    let refused = server.client().delete::<Value>("/v1/rules/rule-9").await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused(ref body) if body.field.as_deref() == Some("id")), "{refused}");
    let nobody = Client::new(server.dir.path().join("none")).get::<Value>("/v1/status").await.unwrap_err();
    assert!(matches!(nobody, ClientError::Unreachable { .. }), "{nobody}");
    let status: crate::api::Status = server.client().get("/v1/status").await.unwrap();
    assert_eq!(status.plane.interfaces[0].name, "eth0");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_shutdown_requests_are_refused_and_the_dataplane_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::new();
    let admin = Admin::new(&config(dir.path()), lab.backend(), State::default(), Arc::new(AlertStore::new(1)));
    admin.shutdown();
    assert!(lab.stopped.load(SeqCst));
    assert!(admin.status().unwrap_err().message.contains("stopping"));
    assert!(admin.clear_rules().is_ok(), "nothing to clear is nothing to do");
}
