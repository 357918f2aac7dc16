//! `secuxflow run` where it must refuse: each refusal names what is wrong and leaves nothing behind.

use std::{fs, os::unix::net::UnixListener};

use super::lab::{self, Lab, names};

#[test]
#[ignore = "needs root"]
fn a_wrong_configuration_is_exit_code_4() {
    let lab = Lab::new();
    let path = lab.write("bad.toml", "interfaces = [\"eth0\"]\n[umem]\nring = 3");
    let run = lab::run(lab::command(&["run", "--config"]).arg(path));
    assert_eq!(run.code, 4, "{}", run.err);
    assert!(run.err.contains("umem.ring: 3"), "{}", run.err);
}

#[test]
#[ignore = "needs root"]
fn a_missing_capability_is_named() {
    let lab = Lab::new();
    let daemon = lab.daemon(&[]);
    let mut command = std::process::Command::new("setpriv");
    command.args(["--bounding-set=-net_admin", "--inh-caps=-net_admin"]);
    let run = lab::run(command.arg(daemon.get_program()).args(daemon.get_args()));
    assert_eq!(run.code, 5, "{}", run.err);
    assert!(run.err.contains("CAP_NET_ADMIN"), "{}", run.err);
    assert_eq!(names(&lab.path("")), ["secuxflow.toml"], "nothing was touched");
}

#[test]
#[ignore = "needs root"]
fn an_unknown_interface_ends_the_start_and_leaves_nothing() {
    let lab = Lab::new();
    let run = lab::run(&mut lab.daemon(&[]));
    assert_eq!(run.code, 5, "{}", run.err);
    assert!(run.err.contains("sxf-none0"), "{}", run.err);
    let left = names(&lab.path(""));
    assert!(!left.iter().any(|name| name.contains("sock") || name.contains("lock")), "{left:?}");
}

#[test]
#[ignore = "needs root"]
fn a_damaged_state_file_is_refused_and_kept() {
    let lab = Lab::new();
    lab.write("state.json", "{\"version\":1");
    let run = lab::run(&mut lab.daemon(&[]));
    assert_eq!(run.code, 5, "{}", run.err);
    assert!(run.err.contains("state.json") && run.err.contains("damaged"), "{}", run.err);
    assert_eq!(fs::read_to_string(lab.path("state.json")).unwrap(), "{\"version\":1");
}

#[test]
#[ignore = "needs root"]
fn a_socket_in_use_is_refused_and_left_alone() {
    let lab = Lab::new();
    let listener = UnixListener::bind(lab.path("s.sock")).unwrap();
    let run = lab::run(&mut lab.daemon(&[]));
    assert_eq!(run.code, 5, "{}", run.err);
    assert!(run.err.contains("s.sock is in use"), "{}", run.err);
    assert!(lab.path("s.sock").exists());
    drop(listener);
}

#[test]
#[ignore = "needs root"]
fn a_metrics_address_in_use_names_the_setting() {
    let lab = Lab::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = lab::run(&mut lab.daemon(&["--metrics", &address]));
    assert_eq!(run.code, 5, "{}", run.err);
    assert!(run.err.contains("metrics.listen") && run.err.contains(&address), "{}", run.err);
}

#[test]
#[ignore = "needs root"]
fn an_unknown_group_names_the_setting() {
    let lab = Lab::new();
    let run = lab::run(&mut lab.daemon(&["--socket-group", "no-such-group"]));
    assert_eq!(run.code, 5, "{}", run.err);
    assert!(run.err.contains("socket.group") && run.err.contains("no-such-group"), "{}", run.err);
    assert!(!lab.path("s.sock").exists());
}
