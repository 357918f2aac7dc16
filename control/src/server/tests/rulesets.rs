//! Whole rulesets over the API.

use super::*;

impl Server {
    async fn put(&self, query: &str, rules: Value) -> (u16, Value) {
        self.ask("PUT", &format!("/v1/rules{query}"), &json!({"rules": rules}).to_string()).await
    }

    async fn revision(&self) -> u64 {
        self.ask("GET", "/v1/rules", "").await.1["revision"].as_u64().unwrap()
    }
}

fn ids(rules: &Value) -> Vec<&str> {
    rules.as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ruleset_takes_the_place_of_all_rules_and_equal_ones_keep_their_ids() {
    let server = Server::start().await;
    server.add(json!({"action": "drop", "src": "10.0.0.0/8"})).await;
    server.add(json!({"action": "drop", "port": 80})).await;
    let (status, change) =
        server.put("", json!([{"action": "pass", "port": 443}, {"action": "drop", "src": "10.0.0.0/8"}])).await;
    assert_eq!(status, 200, "{change}");
    assert_eq!((ids(&change["added"]), ids(&change["removed"])), (vec!["rule-3"], vec!["rule-2"]));
    assert_eq!((&change["kept"], &change["revision"], &change["dry_run"]), (&json!(1), &json!(3), &json!(false)));
    assert_eq!(server.lab.rule_ids(), [1, 3]);

    let server = server.restart().await;
    assert_eq!((server.lab.rule_ids(), server.revision().await), (vec![1, 3], 3));
    assert_eq!(server.put("", json!([])).await.0, 200);
    assert_eq!(server.lab.rule_ids(), [0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_listed_can_be_applied_even_after_its_rules_were_deleted() {
    let server = Server::start().await;
    let full = json!({"action": "drop", "port": "1-9,80", "priority": -1, "proto": "tcp", "tcp_flags": "syn,!ack",
        "vlan": "none", "ttl": "1h", "monitor": true});
    for rule in [full, json!({"action": "inspect"})] {
        server.add(rule).await;
    }
    let strip = |listed: Value| {
        let mut rules = listed["rules"].clone();
        for rule in rules.as_array_mut().unwrap() {
            rule.as_object_mut()
                .unwrap()
                .retain(|name, _| !["packets", "bytes", "expires_in_seconds"].contains(&name.as_str()));
        }
        rules
    };
    let before = strip(server.ask("GET", "/v1/rules", "").await.1);
    server.ask("DELETE", "/v1/rules", "").await;
    assert_eq!(server.put("", before.clone()).await.0, 200);
    assert_eq!(strip(server.ask("GET", "/v1/rules", "").await.1), before);
    assert_eq!(server.add(json!({"action": "drop"})).await.1["id"], "rule-3", "numbers go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_the_difference_and_changes_nothing() {
    let server = Server::start().await;
    server.add(json!({"action": "drop", "comment": "old"})).await;
    let file = server.dir.path().join("state.json");
    let before = (fs::read_to_string(&file).unwrap(), server.lab.generation.load(SeqCst));
    let rules = json!([{"action": "drop", "comment": "new"}, {"action": "pass", "port": 1}]);
    let (status, dry) = server.put("?dry_run=true", rules.clone()).await;
    assert_eq!((status, &dry["dry_run"], &dry["revision"]), (200, &json!(true), &json!(1)));
    assert_eq!((ids(&dry["added"]), &dry["changed"][0]["id"]), (vec!["rule-2"], &json!("rule-1")));
    assert_eq!(
        (&dry["changed"][0]["from"]["comment"], &dry["changed"][0]["to"]["comment"]),
        (&json!("old"), &json!("new"))
    );
    let after = (fs::read_to_string(&file).unwrap(), server.lab.generation.load(SeqCst));
    assert_eq!(after, before);
    let (_, done) = server.put("", rules).await;
    assert_eq!((&done["added"], &done["changed"]), (&dry["added"], &dry["changed"]), "what was foretold was done");
}

#[tokio::test(flavor = "multi_thread")]
async fn contradictions_and_rules_behind_a_blocklist_are_warned_of() {
    let server = Server::start().await;
    for (name, blocklist) in [("bad", true), ("office", false)] {
        server.ask("POST", "/v1/sets", &json!({"name": name, "blocklist": blocklist}).to_string()).await;
    }
    let rules = json!([{"action": "drop", "src": "10.0.0.0/8"}, {"action": "pass", "dst": "192.0.2.0/24"},
        {"action": "pass", "src": "@bad", "priority": 1}, {"action": "drop", "src": "@bad", "priority": 2, "vlan": 1},
        {"action": "inspect", "src": "@office", "priority": 3}]);
    for query in ["?dry_run=true", ""] {
        let (_, change) = server.put(query, rules.clone()).await;
        let told: Vec<&str> =
            change["warnings"].as_array().unwrap().iter().map(|told| told.as_str().unwrap()).collect();
        assert_eq!(told[0], "rule-2 (pass) contradicts rule-1 (drop): rule-2 wins by dst where both match");
        assert!(told[1].starts_with("rule-3 (pass) never takes effect: its source @bad is a blocklist"), "{told:?}");
        assert_eq!(told.len(), 3, "and that there is no service: {told:?}");
    }
    let (_, added) = server.add(json!({"action": "pass", "src": "@bad", "priority": 9})).await;
    assert!(added["warnings"][0].as_str().unwrap().contains("never takes effect"), "{added}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_rule_refuses_the_whole_and_every_bad_one_is_named() {
    let server = Server::start().await;
    server.add(json!({"action": "drop"})).await;
    let rules = json!([{"action": "pass"}, {"action": "drop", "port": 70000}, {"action": "inspect", "chain": "none"}]);
    let (status, body) = server.put("", rules).await;
    let error = &body["error"];
    assert_eq!((status, &error["code"], &error["field"]), (422, &json!("invalid"), &json!("rule[1].port")));
    let faults: Vec<_> =
        error["faults"].as_array().unwrap().iter().map(|fault| (&fault["rule"], &fault["field"])).collect();
    assert_eq!(faults, [(&json!(1), &json!("port")), (&json!(2), &json!("chain"))]);
    assert_eq!(server.lab.rule_ids(), [1]);
    let (status, body) = server.ask("PUT", "/v1/rules", r#"{"rules": [{"action": "drop"}"#).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("bad_request")), "half a body");
    let (status, body) = server.put("", json!([{"action": "drop", "src": "@lost"}])).await;
    assert_eq!((status, &body["error"]["field"]), (422, &json!("rule[0].src")));
    let (status, body) = server.ask("PUT", "/v1/rules", r#"{"rule": []}"#).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("bad_request")));
    let (status, body) = server.ask("PUT", "/v1/rules", r#"{"rule_count": 2, "rules": [{"action": "drop"}]}"#).await;
    assert_eq!((status, &body["error"]["field"]), (422, &json!("rule_count")), "{body}");
    assert_eq!(server.put("?dry_ran=true", json!([])).await.0, 400);
    assert_eq!(server.put("?if_revision=x", json!([])).await.0, 400);
    assert_eq!(server.lab.rule_ids(), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_clients_that_looked_at_one_revision_one_gets_a_conflict() {
    let server = Server::start().await;
    server.add(json!({"action": "drop"})).await;
    let query = format!("?if_revision={}", server.revision().await);
    let (a, b) = tokio::join!(
        server.put(&query, json!([{"action": "drop", "port": 1}])),
        server.put(&query, json!([{"action": "drop", "port": 2}])),
    );
    let mut codes = [a.0, b.0];
    codes.sort_unstable();
    assert_eq!(codes, [200, 409], "{a:?} {b:?}");
    let (won, lost) = if a.0 == 200 { (a.1, b.1) } else { (b.1, a.1) };
    assert_eq!((&lost["error"]["code"], &lost["error"]["field"]), (&json!("conflict"), &json!("if_revision")));
    assert!(lost["error"]["message"].as_str().unwrap().contains("revision 2, not 1"), "{lost}");
    let (_, listed) = server.ask("GET", "/v1/rules", "").await;
    assert_eq!(listed["rules"][0]["port"], won["added"][0]["port"]);
    // A conflict is also told before anything is looked at twice, and any change of the rules counts.
    server.ask("DELETE", "/v1/rules", "").await;
    assert_eq!(server.put("?dry_run=true&if_revision=2", json!([])).await.0, 409);
    assert_eq!(server.put("?if_revision=3", json!([])).await.0, 200);
    assert_eq!(server.revision().await, 3, "nothing changed, so the revision stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_adding_and_replacing_leave_what_some_order_of_them_leaves() {
    let server = Server::start().await;
    let (a, b, c, d) = tokio::join!(
        server.add(json!({"action": "drop", "port": 1})),
        server.add(json!({"action": "drop", "port": 2})),
        server.put("", json!([{"action": "pass", "port": 3}])),
        server.add(json!({"action": "drop", "port": 4})),
    );
    assert_eq!([a.0, b.0, c.0, d.0], [201, 201, 200, 201]);
    let (_, listed) = server.ask("GET", "/v1/rules", "").await;
    let ports: Vec<&str> =
        listed["rules"].as_array().unwrap().iter().map(|rule| rule["port"].as_str().unwrap()).collect();
    let removed = c.1["removed"].as_array().unwrap().len();
    assert!(ports.contains(&"3"), "{ports:?}");
    assert_eq!(ports.len(), 4 - removed, "what was added before the replacement is told as removed: {c:?}");
    assert_eq!(listed["revision"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_replacement_leaves_rules_and_revision() {
    let server = Server::start().await;
    server.add(json!({"action": "drop"})).await;
    server.lab.refuse.store(true, SeqCst);
    let (status, body) = server.put("", json!([{"action": "pass"}])).await;
    assert_eq!((status, &body["error"]["code"]), (500, &json!("dataplane")));
    server.lab.refuse.store(false, SeqCst);
    assert_eq!((server.lab.rule_ids(), server.revision().await), (vec![1], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_and_shadowed_rules_are_told_and_applied() {
    let server = Server::start().await;
    let rules = json!([
        {"action": "drop", "src": "10.0.0.0/8", "priority": 1},
        {"action": "pass", "src": "10.1.0.0/16"},
        {"action": "inspect", "port": 80},
        {"action": "inspect", "port": 81},
    ]);
    let (_, change) = server.put("", rules).await;
    let warnings: Vec<&str> = change["warnings"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].starts_with("rule-2 (pass) never matches: rule-1 (drop)"), "{warnings:?}");
    assert!(warnings[1].starts_with("no service lives in any destination"), "{warnings:?}");
    assert_eq!(server.lab.rule_ids(), [1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ruleset_of_ten_thousand_rules_fits_and_one_of_seventeen_megabytes_does_not() {
    let server = Server::start().await;
    let rule = |n: u32| {
        json!({"action": "drop", "src": format!("2001:db8:{:x}:{:x}::/64", n >> 16, n & 0xffff), "dst": "2001:db8::/32",
            "sport": "1024-65535", "port": "8000-8080", "proto": "tcp", "comment": "x".repeat(256), "enabled": false})
    };
    let rules: Vec<Value> = (0..12_000).map(rule).collect();
    let size = json!({"rules": &rules}).to_string().len();
    assert!(size > 4 << 20 && size < crate::api::MAX_RULESET_BODY, "{size}");
    let (status, change) = server.put("", rules.into()).await;
    assert_eq!((status, change["added"].as_array().unwrap().len()), (200, 12_000));

    let (status, body) = server.put("", json!([{"action": "drop", "comment": "x".repeat(17 << 20)}])).await;
    assert_eq!((status, &body["error"]["code"]), (413, &json!("body_too_large")));
    assert!(body["error"]["message"].as_str().unwrap().contains("16 MiB"), "{body}");
    assert_eq!(server.lab.rule_ids().len(), 12_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_name_sets_that_there_are_and_blocklists_come_first() {
    let server = Server::start().await;
    let set = |name: &str, blocklist: bool| json!({"name": name, "blocklist": blocklist}).to_string();
    assert_eq!(server.ask("POST", "/v1/sets", &set("office", false)).await.0, 201);
    assert_eq!(server.ask("POST", "/v1/sets", &set("feed", true)).await.0, 201);
    let prefixes = json!({"prefixes": ["10.0.0.0/8"]}).to_string();
    for name in ["office", "feed"] {
        let (status, told) = server.ask("POST", &format!("/v1/sets/{name}/entries"), &prefixes).await;
        assert!(status < 300, "{told}");
    }
    let (status, body) = server.add(json!({"action": "drop", "src": "@offices"})).await;
    let message = body["error"]["message"].as_str().unwrap();
    assert_eq!((status, message), (422, "src '@offices': there is no such set; there are: @feed, @office"));
    let rules = json!([{"action": "pass", "dst": "@lost"}, {"action": "pass", "src": "@office"}, {"action": "burn"}]);
    let (status, body) = server.put("", rules).await;
    let places: Vec<_> = body["error"]["faults"].as_array().unwrap().iter().map(|fault| &fault["field"]).collect();
    assert_eq!((status, places), (422, vec![&json!("dst"), &json!("action")]), "all mistakes at once");

    assert_eq!(server.add(json!({"action": "pass", "src": "@office"})).await.0, 201);
    let ask = |src: &str| json!({"src": src, "dst": "192.0.2.1", "port": 80}).to_string();
    let (_, told) = server.ask("POST", "/v1/rules/explain", &ask("10.1.2.3")).await;
    assert_eq!((&told["blocklist"], &told["rule"], &told["action"]), (&json!("feed"), &Value::Null, &json!("drop")));
    assert_eq!((&told["candidates"][0]["rule"], &told["candidates"][0]["matches"]), (&json!("rule-1"), &json!(true)));
    let (_, told) = server.ask("POST", "/v1/rules/explain", &ask("11.1.2.3")).await;
    assert_eq!((&told["blocklist"], &told["candidates"][0]["field"]), (&Value::Null, &json!("src")));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_rule_more_than_fit_is_refused_and_changes_nothing() {
    let server = Server::start().await;
    let rules = |count: u32| -> Vec<Value> {
        let host = |n: u32| std::net::Ipv4Addr::from(0x0a00_0000 + n).to_string();
        (0..count).map(|n| json!({"action": "drop", "src": host(n)})).collect()
    };
    let (status, body) = server.put("", rules(16_385).into()).await;
    assert_eq!((status, &body["error"]["code"]), (422, &json!("invalid")));
    assert!(body["error"]["message"].as_str().unwrap().contains("16385 enabled rules: at most 16384 fit"), "{body}");
    assert_eq!((server.lab.rule_ids().len(), server.revision().await), (0, 0));

    assert_eq!(server.put("", rules(16_384).into()).await.0, 200);
    let told = server.refused(json!({"action": "drop"})).await;
    assert_eq!((told.0, &*told.1), (422, "invalid"), "{told:?}");
    assert_eq!(server.add(json!({"action": "drop", "enabled": false})).await.0, 201, "disabled ones do not count");
    assert_eq!(server.lab.rule_ids().len(), 16_385);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_names_the_rule_and_the_fields() {
    let server = Server::start().await;
    server.add(json!({"action": "pass"})).await;
    server.add(json!({"action": "inspect", "src": "10.0.0.0/8"})).await;
    server.add(json!({"action": "drop", "dst": "192.0.2.0/24", "proto": "udp"})).await;
    let ask = json!({"src": "10.0.0.1", "dst": "192.0.2.1", "port": 80});
    let (status, told) = server.ask("POST", "/v1/rules/explain", &ask.to_string()).await;
    assert_eq!((status, &told["rule"], &told["action"]), (200, &json!("rule-2"), &json!("inspect")));
    assert_eq!(told["chain"], "default");
    let candidates: Vec<_> =
        told["candidates"].as_array().unwrap().iter().map(|c| (&c["rule"], &c["matches"], &c["field"])).collect();
    assert_eq!(
        candidates,
        [
            (&json!("rule-3"), &json!(false), &json!("proto")),
            (&json!("rule-2"), &json!(true), &json!("src")),
            (&json!("rule-1"), &json!(true), &Value::Null),
        ]
    );
    for (ask, status, field) in [
        (json!({"src": "x", "dst": "192.0.2.1", "port": 80}), 422, "src"),
        (json!({"src": "10.0.0.1", "dst": "fd00::1", "port": 80}), 422, "dst"),
        (json!({"src": "10.0.0.1", "dst": "192.0.2.1"}), 422, "port"),
        (json!({"src": "10.0.0.1", "dst": "192.0.2.1", "proto": "icmp", "port": 1}), 422, "port"),
        (json!({"src": "10.0.0.1", "dst": "192.0.2.1", "ip": "10.0.0.1"}), 400, "ip"),
        (json!({"src": "10.0.0.1", "dst": "192.0.2.1", "port": 80, "vlan": 5000}), 422, "vlan"),
        (json!({"src": "10.0.0.1", "dst": "192.0.2.1", "port": 80, "tcp_flags": "!syn"}), 422, "tcp_flags"),
    ] {
        let (got, body) = server.ask("POST", "/v1/rules/explain", &ask.to_string()).await;
        assert_eq!((got, &body["error"]["field"]), (status, &json!(field)), "{ask}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_tells_what_is_monitored_and_looks_at_flags_and_vlan() {
    let server = Server::start().await;
    server.add(json!({"action": "drop", "proto": "tcp", "tcp_flags": "syn,!ack", "monitor": true})).await;
    server.add(json!({"action": "drop", "vlan": 100})).await;
    let explain = async |more: Value| {
        let mut ask = json!({"src": "10.0.0.1", "dst": "192.0.2.1", "port": 80});
        ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, told) = server.ask("POST", "/v1/rules/explain", &ask.to_string()).await;
        assert_eq!(status, 200, "{told}");
        told
    };
    let told = explain(json!({})).await;
    assert_eq!((&told["rule"], &told["action"], &told["monitored"]), (&Value::Null, &json!("pass"), &json!("rule-1")));
    let first = &told["candidates"][0];
    assert_eq!((&first["matches"], &first["monitored"]), (&json!(true), &json!(true)), "a syn unless told otherwise");
    assert_eq!(first["why"], "would drop, monitored");
    assert_eq!(told["candidates"][1]["field"], "vlan");
    let told = explain(json!({"tcp_flags": "syn,ack", "vlan": 100})).await;
    assert_eq!((&told["rule"], &told["monitored"]), (&json!("rule-2"), &Value::Null));
    assert_eq!(told["candidates"][0]["field"], "tcp_flags");
    assert_eq!(explain(json!({"vlan": "100"})).await["rule"], "rule-2");
}
