//! Sets over the API.

use super::*;

impl Server {
    async fn create(&self, set: Value) -> (u16, Value) {
        self.ask("POST", "/v1/sets", &set.to_string()).await
    }

    async fn add_entries(&self, name: &str, entries: Value) -> (u16, Value) {
        self.ask("POST", &format!("/v1/sets/{name}/entries"), &entries.to_string()).await
    }

    async fn entries(&self, name: &str) -> Vec<String> {
        let (_, set) = self.ask("GET", &format!("/v1/sets/{name}"), "").await;
        let prefixes = set["prefixes"].as_array().unwrap().iter();
        prefixes.map(|entry| entry["prefix"].as_str().unwrap().to_owned()).collect()
    }

    fn live(&self, name: &str) -> Option<Arc<secuxflow::rules::PrefixSet>> {
        let rules = self.lab.rules.lock().unwrap();
        rules.as_ref()?.sets.iter().find(|set| set.name() == name).cloned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_are_created_filled_shown_emptied_and_deleted() {
    let server = Server::start().await;
    let (status, set) = server.create(json!({"name": "drop", "blocklist": true, "comment": "daily"})).await;
    assert_eq!((status, &set["entries"], &set["blocklist"]), (201, &json!(0), &json!(true)));
    let (status, change) = server.add_entries("drop", json!({"prefixes": ["10.0.0.0/8", "fd00::1"]})).await;
    assert_eq!((status, &change["added"], &change["entries"]), (200, &json!(2), &json!(2)));
    let (_, change) =
        server.add_entries("drop", json!({"prefixes": ["192.0.2.0/24", "10.0.0.0/8"], "ttl": "10m"})).await;
    assert_eq!(
        (&change["added"], &change["unchanged"]),
        (&json!(1), &json!(1)),
        "what stays for good is not shortened"
    );
    assert!(server.live("drop").unwrap().is_blocklist());
    assert_eq!(server.live("drop").unwrap().prefixes().len(), 3);

    let (_, shown) = server.ask("GET", "/v1/sets/drop?limit=2", "").await;
    assert_eq!((&shown["entries"], &shown["timed"], &shown["comment"]), (&json!(3), &json!(1), &json!("daily")));
    assert_eq!(shown["prefixes"][0], json!({"prefix": "10.0.0.0/8"}));
    let left = shown["prefixes"][1]["remaining_seconds"].as_u64().unwrap();
    assert!((590..=601).contains(&left) && shown["prefixes"][1]["expires"].is_string(), "{shown}");
    assert_eq!(shown["prefixes"].as_array().unwrap().len(), 2);

    let server = server.restart().await;
    assert_eq!(server.entries("drop").await, ["10.0.0.0/8", "192.0.2.0/24", "fd00::1/128"]);
    assert_eq!(server.live("drop").unwrap().prefixes().len(), 3, "the dataplane starts with it");
    let remove = json!({"prefixes": ["fd00::1", "192.0.2.0/24"]}).to_string();
    let (status, change) = server.ask("POST", "/v1/sets/drop/entries/remove", &remove).await;
    assert_eq!((status, &change["removed"], &change["entries"]), (200, &json!(2), &json!(1)));
    let (status, cleared) = server.ask("DELETE", "/v1/sets/drop/entries", "").await;
    assert_eq!((status, cleared), (200, json!({"removed": 1})));
    let (_, list) = server.ask("GET", "/v1/sets", "").await;
    assert_eq!((list["sets"].as_array().unwrap().len(), &list["sets"][0]["entries"]), (1, &json!(0)));
    assert_eq!(server.ask("DELETE", "/v1/sets/drop", "").await, (200, json!({"removed": 1})));
    assert_eq!(server.live("drop"), None);
    let server = server.restart().await;
    assert_eq!(server.ask("GET", "/v1/sets", "").await.1, json!({"sets": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_set_is_named_and_changes_nothing() {
    let server = Server::start().await;
    server.create(json!({"name": "a"})).await;
    server.add_entries("a", json!({"prefixes": ["10.0.0.0/8"]})).await;
    let file = server.dir.path().join("sets/a.set");
    let before = (fs::read_to_string(&file).unwrap(), server.lab.generation.load(SeqCst));
    let long = "c".repeat(257);
    for (method, path, body, status, code, field, words) in [
        ("POST", "/v1/sets", json!({"name": "A b"}), 422, "invalid", "name", "1 to 32 of a-z"),
        ("POST", "/v1/sets", json!({"name": "../a"}), 422, "invalid", "name", "1 to 32 of a-z"),
        ("POST", "/v1/sets", json!({"name": "b", "comment": long}), 422, "invalid", "comment", "257 bytes"),
        ("POST", "/v1/sets", json!({"name": "a"}), 409, "conflict", "name", "already"),
        ("POST", "/v1/sets", json!({"name": "b", "size": 3}), 400, "bad_request", "size", "unknown field"),
        ("POST", "/v1/sets/a/entries", json!({"prefixes": ["11.0.0.0/8", "x"]}), 422, "invalid", "prefixes", "'x'"),
        ("POST", "/v1/sets/a/entries", json!({"prefixes": ["11.0.0.1/8"]}), 422, "invalid", "prefixes", "did you mean"),
        ("POST", "/v1/sets/a/entries", json!({"prefixes": []}), 422, "invalid", "prefixes", "at least one"),
        ("POST", "/v1/sets/a/entries", json!({"prefixes": ["::/0"]}), 422, "invalid", "prefixes", "every address"),
        ("POST", "/v1/sets/a/entries", json!({"prefixes": ["11.0.0.0/8"], "ttl": "10"}), 422, "invalid", "ttl", "10m"),
        ("POST", "/v1/sets/no/entries", json!({"prefixes": ["11.0.0.0/8"]}), 404, "not_found", "name", "'no'"),
        (
            "POST",
            "/v1/sets/a/entries/remove",
            json!({"prefixes": ["10.0.0.0/8", "10.0.0.0/9"]}),
            404,
            "not_found",
            "prefixes",
            "10.0.0.0/9",
        ),
        ("POST", "/v1/sets/no/feed", json!(1), 422, "invalid", "feed", "line 1"),
        ("POST", "/v1/sets/a/feed?stric=true", json!(1), 400, "bad_request", "stric", "stric"),
        ("POST", "/v1/sets/a/feed?ttl=0s", json!(1), 422, "invalid", "ttl", "1 second"),
        ("GET", "/v1/sets/no", json!(null), 404, "not_found", "name", "set create"),
        ("GET", "/v1/sets/a?limit=x", json!(null), 400, "bad_request", "limit", "limit"),
        ("DELETE", "/v1/sets/no", json!(null), 404, "not_found", "name", "'no'"),
        ("DELETE", "/v1/sets/no/entries", json!(null), 404, "not_found", "name", "'no'"),
        ("PUT", "/v1/sets/a", json!(null), 405, "method_not_allowed", "", "PUT"),
        ("POST", "/v1/rules", json!({"action": "drop", "src": "@no"}), 422, "invalid", "src", "@no"),
    ] {
        let (got, answer) = server.ask(method, path, &body.to_string()).await;
        let error = &answer["error"];
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        assert_eq!((got, &*text("code"), &*text("field")), (status, code, field), "{method} {path} {body}: {error}");
        assert!(text("message").contains(words), "{method} {path} {body}: {error}");
    }
    assert_eq!((fs::read_to_string(&file).unwrap(), server.lab.generation.load(SeqCst)), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_comes_as_text_and_may_be_strict_or_replace() {
    let server = Server::start().await;
    server.create(json!({"name": "a"})).await;
    let feed = "# daily\r\n10.0.0.0/8 ; SBL1\r\nburn\r\n";
    let (status, refused) = server.ask("POST", "/v1/sets/a/feed?strict=true", feed).await;
    assert_eq!((status, &refused["error"]["faults"][0]["line"]), (422, &json!(3)));
    let (status, done) = server.ask("POST", "/v1/sets/a/feed?ttl=1h", feed).await;
    assert_eq!(
        (status, &done["added"], &done["bad_lines"], &done["bad"][0]["line"]),
        (200, &json!(1), &json!(1), &json!(3))
    );
    let (_, done) = server.ask("POST", "/v1/sets/a/feed?replace=true", "11.0.0.0/8\n").await;
    assert_eq!((&done["added"], &done["removed"]), (&json!(1), &json!(1)));
    // A comment in another encoding does no harm.
    let text = b"12.0.0.0/8 ; Caf\xe9\n".to_vec();
    let done: crate::api::SetImported = server.client().post_text("/v1/sets/a/feed", text).await.unwrap();
    assert_eq!((done.change.added, done.bad_lines), (1, 0));
    assert_eq!(server.entries("a").await, ["11.0.0.0/8", "12.0.0.0/8"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_prefixes_fit_and_more_are_refused_whole() {
    let server = Server::start().await;
    server.create(json!({"name": "big"})).await;
    let mut feed = String::with_capacity(20 << 20);
    for index in 0..=u32::try_from(secuxflow::rules::MAX_SET_PREFIXES).unwrap() {
        feed.push_str(&format!("{}\n", std::net::Ipv4Addr::from((index * 3).wrapping_add(1 << 24))));
    }
    let (status, refused) = server.ask("POST", "/v1/sets/big/feed", &feed).await;
    assert_eq!((status, &refused["error"]["field"]), (422, &json!("prefixes")));
    assert!(refused["error"]["message"].as_str().unwrap().contains("at most 1048576"), "{refused}");
    assert_eq!(server.live("big").unwrap().prefixes().len(), 0);
    feed.truncate(feed.trim_end().rfind('\n').unwrap() + 1);
    let (status, done) = server.ask("POST", "/v1/sets/big/feed", &feed).await;
    assert_eq!((status, &done["entries"]), (200, &json!(1_048_576)));
    assert_eq!(server.live("big").unwrap().prefixes().len(), 1_048_576);
    let server = server.restart().await;
    assert_eq!(server.live("big").unwrap().prefixes().len(), 1_048_576);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_of_more_than_64_mib_is_refused() {
    let server = Server::start().await;
    server.create(json!({"name": "a"})).await;
    let (status, refused) = server.ask("POST", "/v1/sets/a/feed", &"10.0.0.0/8 ; x\n".repeat(4_500_000)).await;
    assert_eq!((status, &refused["error"]["code"]), (413, &json!("body_too_large")));
    assert!(refused["error"]["message"].as_str().unwrap().contains("64 MiB"), "{refused}");
    assert_eq!(server.entries("a").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_many_clients_all_land() {
    let server = Arc::new(Server::start().await);
    server.create(json!({"name": "a"})).await;
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..8 {
        let server = Arc::clone(&server);
        tasks.spawn(async move {
            for number in 0..10 {
                let prefix = format!("10.{client}.{number}.0/24");
                let (status, told) = server.add_entries("a", json!({"prefixes": [prefix, "192.0.2.1"]})).await;
                assert_eq!(status, 200, "{told}");
                server.add(json!({"action": "drop", "port": 1000 + client * 10 + number})).await;
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(server.entries("a").await.len(), 81);
    assert_eq!(server.live("a").unwrap().prefixes().len(), 81);
    assert_eq!(server.lab.rule_ids().len(), 80);
    // Of two that take the same entry away, one does.
    let remove = json!({"prefixes": ["192.0.2.1"]}).to_string();
    let (a, b) = tokio::join!(
        server.ask("POST", "/v1/sets/a/entries/remove", &remove),
        server.ask("POST", "/v1/sets/a/entries/remove", &remove),
    );
    let mut codes = [a.0, b.0];
    codes.sort_unstable();
    assert_eq!(codes, [200, 404]);
    let server = Arc::into_inner(server).unwrap().restart().await;
    assert_eq!(server.entries("a").await.len(), 80);
}
