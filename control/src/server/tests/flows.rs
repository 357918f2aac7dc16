//! Flows and blocked sources over the API.

use secuxflow::plane::{Count, FlowRecord, FlowState, SourceRecord};

use super::*;
use crate::testing::flow;

async fn server() -> Server {
    let server = Server::start().await;
    let with = |id: u64, state, packets: u64, last: u8, idle_ms| FlowRecord {
        bypassed: Count { packets, bytes: 2000 - packets },
        src: [192, 0, 2, last].into(),
        idle_ms,
        ..flow(id, state)
    };
    *server.lab.flows.lock().unwrap() = vec![
        with(1, FlowState::Inspected, 5, 1, 300),
        with(2, FlowState::Cleared, 900, 2, 200),
        with(3, FlowState::Condemned, 50, 3, 100),
        FlowRecord { protocol: 17, dst_port: 53, ..with(4, FlowState::Cleared, 7, 1, 400) },
    ];
    let source = |last: u8| SourceRecord {
        source: [192, 0, 2, last].into(),
        count: Count { packets: 1, bytes: 60 },
        age_seconds: 1,
        expires_in_seconds: 9,
    };
    *server.lab.sources.lock().unwrap() = vec![source(9), source(8)];
    server
}

impl Server {
    /// Numbers of the flows that a query finds, in order, and how many match.
    async fn found(&self, query: &str) -> (Vec<u64>, u64) {
        let (status, answer) = self.ask("GET", &format!("/v1/flows{query}"), "").await;
        assert_eq!(status, 200, "{query}: {answer}");
        let flows = answer["flows"].as_array().unwrap().iter();
        (flows.map(|flow| flow["flow_id"].as_u64().unwrap()).collect(), answer["matching"].as_u64().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_are_filtered_sorted_and_cut() {
    let server = server().await;
    for (query, flows, matching) in [
        ("", vec![2, 3, 4, 1], 4),
        ("?sort=bytes", vec![1, 4, 3, 2], 4),
        ("?sort=recent&limit=2", vec![3, 2], 4),
        ("?state=cleared", vec![2, 4], 2),
        ("?proto=udp", vec![4], 1),
        ("?port=53", vec![4], 1),
        ("?port=4000&proto=tcp", vec![2, 3, 1], 3),
        ("?address=192.0.2.1", vec![4, 1], 2),
        ("?address=192.0.2.2%2F31", vec![2, 3], 2),
        ("?address=10.0.0.5&state=inspected", vec![1], 1),
        ("?address=2001:db8::%2F32", vec![], 0),
    ] {
        assert_eq!(server.found(query).await, (flows, matching), "{query}");
    }
    for (query, word) in [
        ("address=x", "address"),
        ("proto=nonsense", "proto"),
        ("state=odd", "state"),
        ("port=70000", "port"),
        ("x=1", "x"),
    ] {
        let (status, refusal) = server.ask("GET", &format!("/v1/flows?{query}"), "").await;
        assert!((400..423).contains(&status), "{query}");
        assert!(refusal.to_string().contains(word), "{query}: {refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_is_shown_and_forgotten_by_its_number() {
    let server = server().await;
    let (status, shown) = server.ask("GET", "/v1/flows/3", "").await;
    assert_eq!((status, &shown["state"], &shown["expires_in_seconds"]), (200, &json!("condemned"), &json!(90)));
    assert_eq!(server.ask("DELETE", "/v1/flows/3", "").await, (200, json!({"removed": 1})));
    for (method, path, status) in [
        ("GET", "/v1/flows/3", 404),
        ("DELETE", "/v1/flows/3", 404),
        ("GET", "/v1/flows/three", 422),
        ("DELETE", "/v1/flows/-1", 422),
    ] {
        assert_eq!(server.ask(method, path, "").await.0, status, "{method} {path}");
    }
    assert_eq!(server.ask("DELETE", "/v1/flows", "").await, (200, json!({"removed": 3})));
    assert_eq!(server.found("").await, (vec![], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn blocked_sources_are_listed_and_let_in_again() {
    let server = server().await;
    let (_, list) = server.ask("GET", "/v1/sources", "").await;
    let sources: Vec<_> = list["sources"].as_array().unwrap().iter().map(|source| &source["source"]).collect();
    assert_eq!(sources, ["192.0.2.8", "192.0.2.9"]);
    assert_eq!(server.ask("DELETE", "/v1/sources/192.0.2.8", "").await, (200, json!({"removed": 1})));
    assert_eq!(server.ask("DELETE", "/v1/sources/192.0.2.8", "").await.0, 404);
    assert_eq!(server.ask("DELETE", "/v1/sources/here", "").await.0, 422);
    assert_eq!(server.ask("DELETE", "/v1/sources", "").await, (200, json!({"removed": 1})));
    assert_eq!(server.ask("DELETE", "/v1/sources", "").await, (200, json!({"removed": 0})), "all of none");
}
