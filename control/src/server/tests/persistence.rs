//! What survives a restart, and changes that cannot be made or kept.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_services_survive_a_restart() {
    let server = Server::start().await;
    server.add(json!({"action": "drop", "src": "10.0.0.0/8", "comment": "kept"})).await;
    server.add(json!({"action": "pass"})).await;
    server.ask("DELETE", "/v1/rules/rule-2", "").await;
    let web = json!({"name": "web", "ip": "10.77.2.2", "dev": "veth-web"});
    server.ask("POST", "/v1/services", &web.to_string()).await;

    let server = server.restart().await;
    assert_eq!(server.lab.rule_ids(), [1]);
    let (_, listed) = server.ask("GET", "/v1/rules", "").await;
    assert_eq!(listed["rules"][0]["comment"], "kept");
    assert_eq!(server.add(json!({"action": "drop"})).await.1["id"], "rule-3");
    let state =
        state::load(&server.dir.path().join("state.json"), &Inspection::default(), &Trust::default(), Timestamp::now())
            .unwrap();
    assert_eq!(state.services[0].name, "web");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_the_dataplane_refuses_is_not_stored() {
    let server = Server::start().await;
    server.add(json!({"action": "drop"})).await;
    server.lab.refuse.store(true, SeqCst);
    let (status, code, _, message) = server.refused(json!({"action": "pass"})).await;
    assert_eq!((status, &*code, &*message), (500, "dataplane", "the kernel refused the program"));
    assert_eq!(server.ask("DELETE", "/v1/rules/rule-1", "").await.0, 500);
    server.lab.refuse.store(false, SeqCst);
    assert_eq!(server.lab.rule_ids(), [1]);
    assert_eq!(server.add(json!({"action": "pass"})).await.1["id"], "rule-2", "the refused rule took no number");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_cannot_be_stored_is_taken_back() {
    let server = Server::start().await;
    server.add(json!({"action": "drop"})).await;
    // A directory in the file's place refuses the rename, also to root.
    let path = server.dir.path().join("state.json");
    fs::remove_file(&path).unwrap();
    fs::create_dir_all(path.join("in the way")).unwrap();
    let (status, body) = server.add(json!({"action": "pass"})).await;
    assert_eq!((status, &body["error"]["code"]), (500, &json!("state")));
    assert_eq!(server.lab.rule_ids(), [1], "the dataplane is as before");
    let web = json!({"name": "web", "ip": "10.77.2.2", "dev": "veth-web"});
    assert_eq!(server.ask("POST", "/v1/services", &web.to_string()).await.0, 500);
    assert!(server.lab.services.lock().unwrap().is_empty());
    let (_, listed) = server.ask("GET", "/v1/rules", "").await;
    assert_eq!(listed["rules"].as_array().unwrap().len(), 1);
}
