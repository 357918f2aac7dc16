//! Each key class, right and wrong.

use std::time::Duration;

use secuxflow::{
    plane::{
        ChainStep, EgressRequest, FailPolicy, FlowConfig, ForwardTo, ModeRequest, MultiBuffer, NumaRequest, UmemLayout,
    },
    rules::Action,
    stream::{Checksum, Midstream, Pressure, StreamConfig, Unverifiable, Urgent},
};

use super::*;

fn checked(text: &str) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    for module in ["a.wat", "b.wasm"] {
        fs::write(dir.path().join(module), "").unwrap();
    }
    fs::write(dir.path().join("release.pub"), "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n").unwrap();
    let path = dir.path().join("secuxflow.toml");
    fs::write(&path, text).unwrap();
    load(Some(&path), &Overrides::default())
}

/// The keys that a configuration is refused for.
fn faults(text: &str) -> Vec<String> {
    match checked(text) {
        Err(ConfigError::Invalid(faults)) => faults.into_iter().map(|fault| fault.key).collect(),
        other => panic!("{text}: {other:?}"),
    }
}

fn with(text: &str) -> String {
    format!("interfaces = [\"eth0\"]\n{text}")
}

#[test]
fn the_example_is_valid_and_holds_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/secuxflow.example.toml");
    let example = load(Some(&path), &Overrides::default()).unwrap();
    let defaults = Overrides { interfaces: vec!["eth0".into()], ..Overrides::default() };
    let defaults = Config { origin: Some(path), ..load(None, &defaults).unwrap() };
    assert_eq!(example, defaults);
}

#[test]
fn the_example_s_module_and_chain_are_valid() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/secuxflow.example.toml");
    let text = fs::read_to_string(path).unwrap();
    let at = text.find("# [[module]]").unwrap();
    let tail = text[at..].lines().map(|line| line.strip_prefix("# ").unwrap_or(line));
    let tail: Vec<_> = tail.filter(|line| !line.starts_with("Chains:") && !line.starts_with("them.")).collect();
    let text =
        format!("{}{}", &text[..at], tail.join("\n")).replace("/usr/lib/secuxflow/modules/http_guard.wasm", "b.wasm");
    let config = checked(&text).unwrap();
    let module = &config.plane.modules[0];
    assert_eq!((module.deadline, module.heap, module.max_failures), (Duration::from_millis(50), 16 << 20, 16));
    assert_eq!(module.config, r#"{"max_line":2048,"ports":[80,8080]}"#);
    assert_eq!(config.plane.chains[0].modules, ["http_guard".into()]);
}

#[test]
fn every_value_arrives() {
    let config = checked(
        r#"
        interfaces = ["eth0", "eth1"]
        mode = "zero-copy"
        fail_policy = "fail_closed"
        enforcement = "monitor"
        default_action = "inspect"
        default_chain = "waf"
        state = "state.json"
        [socket]
        path = "/run/s.sock"
        group = "root"
        [metrics]
        listen = "off"
        [alerts]
        file = "off"
        ring = 5
        queue = 6
        [umem]
        frames = 1024
        frame_size = 2048
        ring = 256
        multi_buffer = "off"
        [workers]
        cores = [1, 0]
        batch = 512
        numa = 1
        busy_poll = true
        spin_us = 50
        prefer_busy_poll = true
        egress = "inject"
        set_gro = true
        [flows]
        table = 2048
        idle_seconds = 5
        offload = false
        offloaded = 4096
        blocked = 8192
        ttl_seconds = 7
        max_ttl_seconds = 8
        forward = "service"
        [streams]
        memory_mib = 8
        table = 4096
        early_kib = 64
        history_kib = 0
        midstream = "drop"
        pressure = "skip"
        unverifiable = "drop"
        urgent = "inline"
        opening_seconds = 1
        open_seconds = 2
        closing_seconds = 3
        datagrams = 4
        datagram_seconds = 5
        [modules]
        max = 7
        require_signed = true
        keys = ["release.pub"]
        [[module]]
        name = "a"
        path = "a.wat"
        on_failure = "closed"
        config = { when = 2026-01-02, deep = { list = [1, 2.5, true] } }
        [[chain]]
        name = "waf"
        modules = ["a", { module = "a", mode = "monitor", on_failure = "open", deadline_ms = 9 }]
        [[chain]]
        name = "default"
        "#,
    )
    .unwrap();
    let plane = &config.plane;
    assert_eq!(plane.mode, ModeRequest::ZeroCopy);
    assert_eq!(config.enforcement, Enforcement::Monitor);
    assert_eq!(plane.fail_policy, FailPolicy::Closed);
    assert_eq!(plane.default_action, Action::Inspect { chain: "waf".into() });
    assert_eq!(plane.umem, UmemLayout { frames: 1024, frame_size: 2048, ring: 256 });
    assert_eq!(plane.multi_buffer, MultiBuffer::Off);
    assert_eq!((plane.cores.as_slice(), plane.batch, plane.busy_poll), (&[1, 0][..], 512, true));
    assert_eq!((plane.numa, plane.spin.as_micros(), plane.prefer_busy_poll), (NumaRequest::Node(1), 50, true));
    assert_eq!((plane.egress, plane.set_gro), (EgressRequest::Inject, true));
    let flows = FlowConfig {
        table: 2048,
        idle: Duration::from_secs(5),
        offload: false,
        offloaded: 4096,
        blocked: 8192,
        ttl: Duration::from_secs(7),
        max_ttl: Duration::from_secs(8),
        forward: ForwardTo::Service,
    };
    assert_eq!(plane.flows, flows);
    let streams = StreamConfig {
        memory: 8 << 20,
        streams: 4096,
        early: 64 << 10,
        history: 0,
        midstream: Midstream::Drop,
        pressure: Pressure::Skip,
        unverifiable: Unverifiable::Drop,
        urgent: Urgent::Inline,
        checksum: Checksum::Verify,
        opening: Duration::from_secs(1),
        open: Duration::from_secs(2),
        closing: Duration::from_secs(3),
        datagrams: 4,
        datagram: Duration::from_secs(5),
    };
    assert_eq!(plane.streams, streams);
    assert_eq!((config.alerts.ring, plane.alert_queue), (5, 6));
    assert_eq!((config.metrics, config.alerts.file.clone()), (None, None));
    assert_eq!(plane.modules[0].on_failure, FailPolicy::Closed);
    assert_eq!(plane.modules[0].config, r#"{"deep":{"list":[1,2.5,true]},"when":"2026-01-02"}"#);
    let again = ChainStep {
        monitor: true,
        on_failure: Some(FailPolicy::Open),
        deadline: Some(Duration::from_millis(9)),
        ..ChainStep::from("a")
    };
    assert_eq!(plane.chains[1].modules, ["a".into(), again]);
    let keys: Vec<_> = config.trust.keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!((plane.max_modules, config.trust.required, keys), (7, true, vec!["release"]));
    assert_eq!(config.chain_names(), ["default", "waf"], "the chain named default has index 0");
    let folder = config.origin.as_ref().and_then(|path| path.parent()).unwrap();
    assert_eq!(plane.modules[0].path, folder.join("a.wat"), "paths are relative to the file");
    assert_eq!(config.state, folder.join("state.json"));
}

#[test]
fn without_chains_there_is_an_empty_default() {
    assert_eq!(checked(&with("")).unwrap().chain_names(), ["default"]);
}

#[test]
fn flags_win_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secuxflow.toml");
    fs::write(&path, with("mode = \"copy\"\n[metrics]\nlisten = \"off\"")).unwrap();
    let flags = Overrides {
        interfaces: vec!["eth7".into()],
        mode: Some(ModeName::Skb),
        fail_policy: Some(FailPolicyName::Closed),
        monitor: true,
        metrics: Some("127.0.0.1:1".into()),
        state: Some("s".into()),
        ..Overrides::default()
    };
    let config = load(Some(&path), &flags).unwrap();
    assert_eq!(config.plane.interfaces, ["eth7"]);
    assert_eq!((config.plane.mode, config.plane.fail_policy), (ModeRequest::Skb, FailPolicy::Closed));
    assert_eq!(config.enforcement, Enforcement::Monitor);
    let file_alone = load(Some(&path), &Overrides::default()).unwrap();
    assert_eq!(file_alone.enforcement, Enforcement::Enforce);
    assert_eq!(config.metrics, Some("127.0.0.1:1".parse().unwrap()));
    assert_eq!(config.state, Path::new("s"), "a flag's path is relative to where the command runs");
}

#[test]
fn options_of_modules_may_lie_in_files_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("a.wat", "(module)");
    write("web.rules", "alert\n");
    let file = folder.path().join("secuxflow.toml");
    let load = |rules: &str| {
        let module = format!("[[module]]\nname = \"a\"\npath = \"a.wat\"\nconfig = {{ rules = {{ file = {rules} }} }}");
        fs::write(&file, with(&module)).unwrap();
        super::load(Some(&file), &Overrides::default())
    };
    let config = load("[\"web.rules\", \"web.rules\"]").unwrap();
    assert_eq!(config.plane.modules[0].config, r#"{"rules":"alert\nalert\n"}"#);
    let error = load("\"none.rules\"").unwrap_err().to_string();
    assert!(error.contains("module[0].config.rules.file") && error.contains("none.rules"), "{error}");
}

#[test]
fn each_broken_rule_names_its_key() {
    let module = "[[module]]\nname = \"a\"\npath = \"a.wat\"\n";
    let cases = [
        ("", "interfaces"),
        ("interfaces = [\"eth0\", \"eth0\"]", "interfaces[1]"),
        ("interfaces = [\"a/b\"]", "interfaces[0]"),
        ("interfaces = [\"more-than-fifteen\"]", "interfaces[0]"),
        (&with("[umem]\nring = 1000"), "umem.ring"),
        (&with("[umem]\nring = -8"), "umem.ring"),
        (&with("[umem]\nring = 1000\nframes = 64"), "umem.ring"),
        (&with("[umem]\nring = 131072"), "umem.ring"),
        (&with("[umem]\nframe_size = 1024"), "umem.frame_size"),
        (&with("[umem]\nframe_size = 3000"), "umem.frame_size"),
        (&with("[umem]\nframes = 4096"), "umem.frames"),
        (&with("[workers]\nbatch = 0"), "workers.batch"),
        (&with("[workers]\nnuma = -1"), "workers.numa"),
        (&with("[workers]\nnuma = \"on\""), "workers.numa"),
        (&with("[workers]\nspin_us = 2000000"), "workers.spin_us"),
        (&with("[workers]\nbatch = 513"), "workers.batch"),
        (&with("[workers]\negress = \"tx\"\nset_gro = true"), "workers.set_gro"),
        (&with("[workers]\ncores = [1, 1]"), "workers.cores[1]"),
        (&with("[flows]\ntable = 1000"), "flows.table"),
        (&with("[flows]\ntable = 512"), "flows.table"),
        (&with("[flows]\noffloaded = 8388608"), "flows.offloaded"),
        (&with("[flows]\nblocked = 0"), "flows.blocked"),
        (&with("[flows]\nidle_seconds = 0"), "flows.idle_seconds"),
        (&with("[flows]\nmax_ttl_seconds = 86401"), "flows.max_ttl_seconds"),
        (&with("[flows]\nttl_seconds = 60\nmax_ttl_seconds = 59"), "flows.ttl_seconds"),
        (&with("[streams]\nmemory_mib = 3"), "streams.memory_mib"),
        (&with("[streams]\nmemory_mib = 4\nearly_kib = 1024\nhistory_kib = 1025"), "streams.memory_mib"),
        (&with("[streams]\ntable = 5000"), "streams.table"),
        (&with("[streams]\nearly_kib = 1"), "streams.early_kib"),
        (&with("[streams]\nhistory_kib = -1"), "streams.history_kib"),
        (&with("[streams]\nopen_seconds = 0"), "streams.open_seconds"),
        (&with("[streams]\ndatagrams = 0"), "streams.datagrams"),
        (&with("[alerts]\nqueue = 0"), "alerts.queue"),
        (&with("[alerts]\nring = 0"), "alerts.ring"),
        (&with("[metrics]\nlisten = \"9477\""), "metrics.listen"),
        (&with("log = \"secuxflow=loud\""), "log"),
        (&with("default_chain = \"default\""), "default_chain"),
        (&with("default_action = \"inspect\"\ndefault_chain = \"none\""), "default_chain"),
        (&with(&module.replace("a.wat", "none.wat")), "module[0].path"),
        (&with(&module.replace("\"a\"", "\"a b\"")), "module[0].name"),
        (&with(&format!("{module}{module}")), "module[1].name"),
        (&with(&format!("{module}heap_mib = 1024")), "module[0].heap_mib"),
        (&with(&format!("{module}deadline_ms = 0")), "module[0].deadline_ms"),
        (&with(&format!("{module}max_failures = 0")), "module[0].max_failures"),
        (&with(&format!("{module}config = {{ a = nan }}")), "module[0].config"),
        (&with("[[chain]]\nname = \"default\"\nmodules = [\"x\"]"), "chain[0].modules[0]"),
        (&with("[[chain]]\nname = \"waf\""), "chain"),
    ];
    for (text, key) in cases {
        assert_eq!(faults(text), [key], "{text}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once_and_tell_how_to_mend() {
    let error = checked(&with("[umem]\nring = 1000\n[workers]\nbatch = 0")).unwrap_err().to_string();
    assert_eq!(
        error,
        "umem.ring: 1000 is not a power of two; 1024 is the next\nworkers.batch: 0 is not within 1 to 512"
    );
}

#[test]
fn unknown_keys_and_wrong_types_are_named_with_their_line() {
    for (text, words) in [
        ("interface = [\"eth0\"]", "unknown field `interface`"),
        ("[umem]\nringg = 1", "unknown field `ringg`"),
        ("[[module]]\nname = \"a\"", "missing field `path`"),
        ("mode = \"fast\"", "unknown variant `fast`"),
        ("enforcement = \"log\"", "unknown variant `log`, expected `enforce` or `monitor`"),
        ("interfaces = \"eth0\"", "invalid type"),
        ("interfaces = [", "line 1"),
    ] {
        let error = checked(&with(&format!("\n{text}")).replace("interfaces = [\"eth0\"]\n\n", "")).unwrap_err();
        assert!(matches!(error, ConfigError::Syntax { .. }), "{text}: {error}");
        let error = error.to_string();
        assert!(error.contains(words) && error.contains("line") && error.contains("secuxflow.toml"), "{error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = load(Some(Path::new("/none/x.toml")), &Overrides::default()).unwrap_err().to_string();
    assert!(error.contains("/none/x.toml"), "{error}");
}
