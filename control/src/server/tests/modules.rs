//! Modules and chains: loaded, changed, refused, and there again after a restart.

use std::sync::mpsc::{self, Sender};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use secuxflow::plane::{ChainStep, FailPolicy};

use super::*;
use crate::modules::{PublicKey, SecretKey};

fn code(text: &str) -> String {
    BASE64.encode(text)
}

/// Status, field and message of a refusal.
fn told((status, body): (u16, Value)) -> (u16, String, String) {
    let text = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
    (status, text("field"), text("message"))
}

/// Names and bytes of modules.
type LiveModules = Vec<(String, Vec<u8>)>;
/// Chains with their modules.
type LiveChains = Vec<(String, Vec<ChainStep>)>;

/// Modules and chains as the dataplane has them.
fn live(server: &Server) -> (LiveModules, LiveChains) {
    let (modules, chains) = server.lab.inspection.lock().unwrap().clone();
    let modules = modules.into_iter().map(|module| (module.name, module.code.unwrap().bytes().to_vec()));
    (modules.collect(), chains.into_iter().map(|chain| (chain.name, chain.modules)).collect())
}

fn files(server: &Server) -> usize {
    fs::read_dir(server.dir.path().join("modules")).map_or(0, Iterator::count)
}

/// A configuration file with one module and one chain, and modules signed by `key` when there is one.
fn configure(dir: &Path, key: Option<&SecretKey>) {
    fs::write(dir.join("guard.wat"), "guard 1").unwrap();
    fs::write(dir.join("words"), "one").unwrap();
    let mut text = "interfaces = [\"eth0\"]\nstate = \"state.json\"\n[socket]\npath = \"s.sock\"\n".to_owned();
    if let Some(key) = key {
        fs::write(dir.join("release.pub"), key.public_pem()).unwrap();
        fs::write(dir.join("guard.wat.sig"), key.sign(b"guard 1").bytes()).unwrap();
        text += "[modules]\nrequire_signed = true\nkeys = [\"release.pub\"]\n";
    }
    text += "[[module]]\nname = \"guard\"\npath = \"guard.wat\"\nconfig = {words = {file = \"words\"}}\n[[chain]]\nname = \"default\"\n[[chain]]\nname = \"web\"\nmodules = [\"guard\"]\n";
    fs::write(dir.join("secuxflow.toml"), text).unwrap();
}

async fn start(key: Option<&SecretKey>) -> Server {
    let dir = tempfile::tempdir().unwrap();
    configure(dir.path(), key);
    Server::start_in(dir).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_is_loaded_put_into_a_chain_and_survives_a_restart() {
    let server = start(None).await;
    let body = json!({"code": code("waf 1"), "path": "/m/waf.wat", "on_failure": "closed", "deadline_ms": 7, "heap_mib": 3,
                      "max_failures": 9, "config": {"level": 2}});
    let (status, info) = server.ask("POST", "/v1/modules/waf", &body.to_string()).await;
    assert_eq!(status, 201, "{info}");
    assert_eq!((&info["name"], &info["path"], &info["origin"]), (&json!("waf"), &json!("/m/waf.wat"), &json!("api")));
    assert_eq!(
        (&info["deadline_ms"], &info["heap_mib"], &info["config"]),
        (&json!(7), &json!(3), &json!({"level": 2}))
    );
    assert_eq!(info["signed_by"], Value::Null);
    let steps = json!({"modules": ["guard", {"module": "waf", "mode": "monitor", "deadline_ms": 5}]});
    let (status, chain) = server.ask("POST", "/v1/chains/deep", &steps.to_string()).await;
    assert_eq!((status, &chain["origin"], &chain["used_by"]), (201, &json!("api"), &json!(0)), "{chain}");
    let rule = json!({"action": "inspect", "chain": "deep", "dst": "10.0.0.5"});
    assert_eq!(server.add(rule).await.0, 201, "rules may name it at once");

    let before = live(&server);
    assert_eq!(before.0, [("guard".into(), b"guard 1".to_vec()), ("waf".into(), b"waf 1".to_vec())]);
    assert_eq!((files(&server), before.1.len()), (1, 3));
    let (_, chains) = server.ask("GET", "/v1/chains", "").await;
    assert_eq!(chains["chains"][2]["used_by"], 1, "{chains}");
    let server = server.restart().await;
    assert_eq!(live(&server), before);
    let waf = server.lab.inspection.lock().unwrap().0[1].clone();
    assert_eq!((waf.on_failure, waf.deadline, waf.heap), (FailPolicy::Closed, Duration::from_millis(7), 3 << 20));
    assert_eq!((waf.max_failures, waf.config.as_str()), (9, r#"{"level":2}"#));
}

/// A request that waits for a slow module to be ready, until the second value is dropped.
async fn slow(
    server: &Arc<Server>,
    method: &'static str,
    path: &'static str,
    body: Value,
) -> (JoinHandle<(u16, Value)>, Sender<()>) {
    let (go_on, wait) = mpsc::channel();
    *server.lab.wait.lock().unwrap() = Some(wait);
    server.lab.waiting.store(false, SeqCst);
    let its = Arc::clone(server);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let asked = tokio::spawn(async move { its.ask(method, path, &body).await });
    while !server.lab.waiting.load(SeqCst) {
        assert!(!asked.is_finished(), "it does not wait");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    (asked, go_on)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_module_is_made_ready_all_else_goes_on() {
    let server = Arc::new(start(None).await);
    let load = json!({"code": code("slow"), "path": "/m/ips.wasm"});
    let (asked, go_on) = slow(&server, "POST", "/v1/modules/ips", load).await;
    let (status, now) = server.ask("GET", "/v1/status", "").await;
    assert_eq!((status, now["modules"].as_array().unwrap().len()), (200, 1), "{now}");
    assert_eq!(server.ask("GET", "/v1/modules", "").await.0, 200);
    assert_eq!(server.add(json!({"action": "drop", "src": "192.0.2.1"})).await.0, 201);
    assert_eq!(server.lab.rule_ids(), [1], "it is live");

    // Another one waits for its turn, and loses nothing.
    let its = Arc::clone(&server);
    let second = json!({"code": code("waf 1"), "path": "/m/waf.wat"}).to_string();
    let second = tokio::spawn(async move { its.ask("POST", "/v1/modules/waf", &second).await });
    drop(go_on);
    assert_eq!((asked.await.unwrap().0, second.await.unwrap().0), (201, 201));
    let names: Vec<_> = live(&server).0.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["guard", "ips", "waf"]);
    assert_eq!(server.ask("GET", "/v1/status", "").await.1["rule_count"], 1, "nor does the rule get lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_a_rule_came_to_use_meanwhile_is_not_deleted() {
    let server = Arc::new(start(None).await);
    server.ask("POST", "/v1/modules/ips", &json!({"code": code("slow"), "path": "/m/ips.wasm"}).to_string()).await;
    let (asked, go_on) = slow(&server, "DELETE", "/v1/chains/web", Value::Null).await;
    assert_eq!(server.add(json!({"action": "inspect", "chain": "web"})).await.0, 201);
    drop(go_on);
    let (status, field, message) = told(asked.await.unwrap());
    assert_eq!((status, field.as_str()), (422, "chain"), "{message}");
    assert!(live(&server).1.iter().any(|(name, _)| name == "web"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_what_it_names_and_a_failing_one_nothing() {
    let server = start(None).await;
    let body = json!({"code": code("waf 1"), "path": "/m/waf.wat", "max_failures": 9, "config": {"level": 2}});
    server.ask("POST", "/v1/modules/waf", &body.to_string()).await;
    let before = (live(&server), fs::read(server.dir.path().join("state.json")).unwrap());
    for (path, body, status, field) in [
        ("/v1/modules/waf", json!({"code": code("broken")}), 422, "code"),
        ("/v1/modules/waf", json!({"code": "no base64!"}), 422, "code"),
        ("/v1/modules/waf", json!({"heap_mib": 1024}), 422, "heap_mib"),
        ("/v1/modules/waf", json!({"deadline_ms": 0}), 422, "deadline_ms"),
        ("/v1/modules/waf", json!({"max_failures": "x"}), 400, "max_failures"),
        ("/v1/modules/waf", json!({"config": 7}), 400, "config"),
        ("/v1/modules/waf", json!({"on_failure": "maybe"}), 400, "on_failure"),
        ("/v1/modules/waf", json!({"signature": "AAAA", "code": code("x")}), 422, "signature"),
        ("/v1/modules/waf", json!({"signature": BASE64.encode([7; 64])}), 422, "signature"),
        ("/v1/modules/waf", json!({"speed": 9}), 400, "speed"),
        ("/v1/modules/waf", json!({"reset": true, "heap_mib": 4}), 422, "reset"),
        ("/v1/modules/waf", json!({"reset": true}), 404, "name"),
        ("/v1/modules/other", json!({"code": code("x")}), 404, "name"),
        ("/v1/chains/web", json!({"modules": ["guard", "lost"]}), 422, "modules[1]"),
        ("/v1/chains/web", json!({"modules": [{"module": "guard", "deadline_ms": 0}]}), 422, "modules[0].deadline_ms"),
        ("/v1/chains/web", json!({"modules": [{"module": "guard", "speed": 1}]}), 400, "speed"),
        ("/v1/chains/web", json!({"modules": [], "reset": true}), 422, "reset"),
        ("/v1/chains/other", json!({"modules": []}), 404, "name"),
    ] {
        let refused = told(server.ask("PUT", path, &body.to_string()).await);
        assert_eq!((refused.0, refused.1.as_str()), (status, field), "{path} {body}: {}", refused.2);
    }
    server.lab.refuse.store(true, SeqCst);
    let refused = told(server.ask("PUT", "/v1/modules/waf", &json!({"code": code("waf 2")}).to_string()).await);
    assert_eq!((refused.0, refused.2.as_str()), (500, "worker 0 does not answer"));
    server.lab.refuse.store(false, SeqCst);
    assert_eq!((live(&server), fs::read(server.dir.path().join("state.json")).unwrap()), before);

    let (status, info) = server.ask("PUT", "/v1/modules/waf", &json!({"code": code("waf 2")}).to_string()).await;
    assert_eq!((status, &info["max_failures"], &info["config"]), (200, &json!(9), &json!({"level": 2})), "{info}");
    assert_eq!((live(&server).0[1].1.as_slice(), files(&server)), (&b"waf 2"[..], 1), "the old file is gone");
    let revision = |server: &Server| server.lab.inspection.lock().unwrap().0[1].revision;
    let before = revision(&server);
    server.ask("PUT", "/v1/modules/waf", "{}").await;
    assert_eq!(
        (live(&server).0[1].1.as_slice(), revision(&server)),
        (&b"waf 2"[..], before + 1),
        "loaded anew all the same"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_configuration_says_comes_back_by_a_reset() {
    let server = start(None).await;
    fs::write(server.dir.path().join("guard.wat"), "guard 2").unwrap();
    let (_, info) = server.ask("PUT", "/v1/modules/guard", "{}").await;
    assert_eq!(
        (&info["origin"], &live(&server).0[0].1),
        (&json!("config"), &b"guard 2".to_vec()),
        "its file is read again"
    );
    let (_, info) = server.ask("PUT", "/v1/modules/guard", &json!({"heap_mib": 5}).to_string()).await;
    assert_eq!((&info["origin"], &info["heap_mib"], files(&server)), (&json!("api"), &json!(5), 1), "{info}");
    fs::write(server.dir.path().join("guard.wat"), "guard 3").unwrap();
    server.ask("PUT", "/v1/chains/web", r#"{"modules": []}"#).await;
    let server = server.restart().await;
    assert_eq!(live(&server).0[0].1, b"guard 2", "what the API loaded wins over the configuration");
    assert_eq!(live(&server).1[1], ("web".into(), vec![]));
    let (_, info) = server.ask("PUT", "/v1/modules/guard", r#"{"reset": true}"#).await;
    assert_eq!((&info["origin"], &info["heap_mib"], files(&server)), (&json!("config"), &json!(16), 0), "{info}");
    let (_, chain) = server.ask("PUT", "/v1/chains/web", r#"{"reset": true}"#).await;
    assert_eq!(chain["origin"], "config");
    assert_eq!(
        live(&server),
        (
            vec![("guard".into(), b"guard 3".to_vec())],
            vec![("default".into(), vec![]), ("web".into(), vec!["guard".into()])]
        )
    );
    assert!(!fs::read_to_string(server.dir.path().join("state.json")).unwrap().contains("inspection"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_options_of_the_configuration_name_are_read_again() {
    let server = start(None).await;
    let (words, reset) = (server.dir.path().join("words"), json!({"reset": true}));
    for (text, body) in [("two", json!({})), ("three", reset.clone()), ("four", json!({"heap_mib": 5}))] {
        fs::write(&words, text).unwrap();
        let (status, info) = server.ask("PUT", "/v1/modules/guard", &body.to_string()).await;
        assert_eq!((status, &info["config"]), (200, &json!({"words": text})), "{info}");
    }
    fs::remove_file(&words).unwrap();
    let (status, field, message) = told(server.ask("PUT", "/v1/modules/guard", &reset.to_string()).await);
    assert_eq!((status, field.as_str()), (422, "config"), "{message}");
    assert!(message.contains("words.file") && message.contains("No such file"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_use_stays_and_what_was_removed_stays_away() {
    let server = start(None).await;
    let (status, field, message) = told(server.ask("DELETE", "/v1/modules/guard", "").await);
    assert_eq!((status, field.as_str()), (409, "name"));
    assert!(message.contains("web"), "{message}");
    server.add(json!({"action": "inspect", "chain": "web", "dst": "10.0.0.5", "enabled": false})).await;
    let (status, field, message) = told(server.ask("DELETE", "/v1/chains/web", "").await);
    assert_eq!((status, field.as_str()), (409, "name"));
    assert!(message.contains("rule-1"), "{message}");
    assert_eq!(told(server.ask("DELETE", "/v1/chains/default", "").await).0, 409);
    assert_eq!(told(server.ask("DELETE", "/v1/chains/none", "").await).0, 404);
    assert_eq!(told(server.ask("DELETE", "/v1/modules/none", "").await).0, 404);
    assert_eq!(told(server.ask("POST", "/v1/chains/web", "{}").await).0, 409);
    assert_eq!(told(server.ask("POST", "/v1/chains/a%20b", "{}").await).1, "name");
    let again = json!({"code": code("x")}).to_string();
    assert_eq!(told(server.ask("POST", "/v1/modules/guard", &again).await).0, 409);
    assert_eq!(told(server.ask("POST", "/v1/modules/a%20b", &again).await).1, "name");
    assert_eq!(told(server.ask("POST", "/v1/modules/new", "{}").await).1, "code");

    server.ask("DELETE", "/v1/rules/rule-1", "").await;
    assert_eq!(server.ask("DELETE", "/v1/chains/web", "").await, (200, json!({"removed": 1})));
    assert_eq!(server.ask("DELETE", "/v1/modules/guard", "").await, (200, json!({"removed": 1})));
    let refused = server.refused(json!({"action": "inspect", "chain": "web"})).await;
    assert_eq!((refused.0, refused.2.as_str()), (422, "chain"), "no rule may name a chain that is gone");
    let server = server.restart().await;
    assert_eq!(live(&server), (vec![], vec![("default".into(), vec![])]));
    assert_eq!(server.ask("PUT", "/v1/modules/guard", r#"{"reset": true}"#).await.0, 200);
    assert_eq!(live(&server).0.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_known_key_signed_is_loaded() {
    let key = SecretKey::generate().unwrap();
    let server = start(Some(&key)).await;
    let (_, info) = server.ask("GET", "/v1/modules/guard", "").await;
    assert_eq!(info["signed_by"], "release");
    let load = |code_text: &str, signature: Option<String>| {
        let mut body = json!({"code": code(code_text)});
        if let Some(signature) = signature {
            body["signature"] = signature.into();
        }
        body.to_string()
    };
    let other = SecretKey::generate().unwrap();
    for (signature, words) in [
        (None, "not signed"),
        (Some(other.sign(b"waf 1").text()), "fits none"),
        (Some(key.sign(b"waf 2").text()), "fits none"),
    ] {
        let (status, field, message) = told(server.ask("POST", "/v1/modules/waf", &load("waf 1", signature)).await);
        assert_eq!((status, field.as_str()), (422, "signature"), "{message}");
        assert!(message.contains("waf") && message.contains(words), "{message}");
    }
    let signed = load("waf 1", Some(key.sign(b"waf 1").text()));
    let (status, info) = server.ask("POST", "/v1/modules/waf", &signed).await;
    assert_eq!((status, &info["signed_by"]), (201, &json!("release")), "{info}");
    fs::write(server.dir.path().join("guard.wat"), "guard 2").unwrap();
    assert_eq!(told(server.ask("PUT", "/v1/modules/guard", "{}").await).1, "path", "its signature is of the old file");
    fs::write(server.dir.path().join("guard.wat"), "guard 1").unwrap();

    let server = server.restart().await;
    let (_, info) = server.ask("GET", "/v1/modules/waf", "").await;
    assert_eq!(info["signed_by"], "release", "the signature is kept");
    fs::write(server.dir.path().join("release.pub"), other.public_pem()).unwrap();
    fs::write(server.dir.path().join("guard.wat.sig"), other.sign(b"guard 1").bytes()).unwrap();
    let config = config(server.dir.path());
    let base = Inspection::configured(&config.plane, &config.trust).unwrap();
    let error = state::load(&config.state, &base, &config.trust, Timestamp::now()).unwrap_err().to_string();
    assert!(error.contains("module waf") && error.contains("fits none"), "{error}");
    assert_eq!(PublicKey::read(&server.dir.path().join("release.pub")).unwrap().name, "release");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_file_that_is_gone_or_changed_is_named_at_the_start() {
    let server = start(None).await;
    server.ask("POST", "/v1/modules/waf", &json!({"code": code("waf 1")}).to_string()).await;
    let file = fs::read_dir(server.dir.path().join("modules")).unwrap().next().unwrap().unwrap().path();
    let config = config(server.dir.path());
    let base = Inspection::configured(&config.plane, &config.trust).unwrap();
    let error = || state::load(&config.state, &base, &config.trust, Timestamp::now()).unwrap_err().to_string();
    fs::write(&file, "other").unwrap();
    assert!(error().contains("module waf") && error().contains("another SHA-256"), "{}", error());
    fs::remove_file(&file).unwrap();
    assert!(error().contains("module waf") && error().contains(&*file.to_string_lossy()), "{}", error());
}
