//! The daemon under test, as an administrator drives it: a configuration file and the command line.

use std::{
    fmt::Write,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::lab::{Lab, Place, root, wait_for};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_secuxflow");
/// Frames in a worker's UMEM, unless a test wants another number.
pub(crate) const FRAMES: u64 = 8192;

/// A configuration; what a test does not set is as for the page in the README.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) interfaces: Vec<&'static str>,
    pub(crate) mode: &'static str,
    pub(crate) fail_policy: &'static str,
    pub(crate) ring: u32,
    /// Packets of several frames: `auto` or `off`.
    pub(crate) multi_buffer: &'static str,
    /// Keys of the section `workers`.
    pub(crate) workers: &'static str,
    /// A capability that the daemon has to do without, as in `net_raw`.
    pub(crate) without: Option<&'static str>,
    /// Modules of the default chain: name, file and further keys of each.
    pub(crate) modules: Vec<(&'static str, PathBuf, String)>,
    /// Keys of the section `[flows]`.
    pub(crate) flows: String,
    /// Further sections.
    pub(crate) sections: String,
}

impl Default for Setup {
    fn default() -> Self {
        let guard = root().join("target/wasm/http_guard.wasm");
        Self {
            interfaces: vec!["veth-client"],
            mode: "auto",
            fail_policy: "open",
            ring: 2048,
            multi_buffer: "auto",
            workers: "",
            without: None,
            modules: vec![("http_guard", guard, String::new())],
            flows: String::new(),
            sections: String::new(),
        }
    }
}

impl Setup {
    /// Write the configuration into the lab's folder.
    fn write(&self, lab: &Lab) -> PathBuf {
        let mut text = format!(
            "interfaces = {:?}\nmode = {:?}\nfail_policy = {:?}\nstate = \"state.json\"\nbpffs = \"bpf\"\n\
             [socket]\npath = \"secuxflow.sock\"\n[alerts]\nfile = \"eve.json\"\n\
             [umem]\nframes = {FRAMES}\nring = {}\nmulti_buffer = {:?}\n[workers]\n{}\n[flows]\n{}\n{}\n",
            self.interfaces,
            self.mode,
            self.fail_policy,
            self.ring,
            self.multi_buffer,
            self.workers,
            self.flows,
            self.sections
        );
        for (name, path, more) in &self.modules {
            write!(text, "[[module]]\nname = {name:?}\npath = {path:?}\n{more}\n").expect("a string takes all");
        }
        let names: Vec<_> = self.modules.iter().map(|(name, ..)| name).collect();
        write!(text, "[[chain]]\nname = \"default\"\nmodules = {names:?}\n").expect("a string takes all");
        let path = lab.dir().join("secuxflow.toml");
        fs::write(&path, text).expect("the lab's folder is writable");
        path
    }
}

/// A running daemon in the lab's host namespace; ends when it drops.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    dir: PathBuf,
}

impl Daemon {
    /// Start it and wait until it answers.
    pub(crate) fn start(lab: &Lab, setup: &Setup) -> Self {
        let mut daemon = Self::spawn(lab, setup);
        let begun = wait_for(Duration::from_secs(20), "the daemon's first answer", || {
            if let Some(status) = daemon.child.try_wait().expect("a child can be asked") {
                return Some(Err(status));
            }
            daemon.try_cli(&["status"]).status.success().then_some(Ok(()))
        });
        if let Err(status) = begun {
            panic!("the daemon ended at once, {status}");
        }
        daemon
    }

    fn spawn(lab: &Lab, setup: &Setup) -> Self {
        let config = setup.write(lab);
        let log = File::options().create(true).append(true).open(lab.dir().join("daemon.log")).expect("a log file");
        let mut command = match setup.without {
            None => lab.command(Place::Host, PROGRAM),
            Some(capability) => {
                let mut command = lab.command(Place::Host, "setpriv");
                command.arg(format!("--bounding-set=-{capability}")).arg(PROGRAM);
                command
            }
        };
        command.arg("run").arg("--config").arg(config);
        let child = command
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("the daemon can be started");
        Self { child, dir: lab.dir().to_owned() }
    }

    /// Start one that must refuse, and end by itself with a failure; returns what it said on standard error.
    pub(crate) fn refuses(lab: &Lab, setup: &Setup) -> String {
        let mut daemon = Self::spawn(lab, setup);
        let status = wait_for(Duration::from_secs(20), "the daemon's refusal to start", || {
            daemon.child.try_wait().expect("a child can be asked")
        });
        assert!(!status.success(), "the exit code of a refusal is not 0");
        assert!(status.code().is_some(), "a refusal is no crash: {status}");
        daemon.log()
    }

    /// A service for the container, and a rule that sends its web traffic (or `filter`) to inspection. Waits until the
    /// service is up.
    pub(crate) fn protect(&self, filter: &str) {
        self.cli("service add web --ip 10.77.2.2 --dev veth-web");
        self.cli(&format!("rule add {filter} --action inspect"));
        self.wait_for_service("web", "up");
    }

    /// Wait until a service is in a state.
    pub(crate) fn wait_for_service(&self, name: &str, state: &str) -> Value {
        wait_for(Duration::from_secs(10), &format!("service {name} {state}"), || {
            let list = self.json("service list");
            let services = list["services"].as_array()?;
            services.iter().find(|service| service["name"] == name && service["state"] == state).cloned()
        })
    }

    /// The command line with words that hold no blanks; must succeed. Returns what it printed.
    pub(crate) fn cli(&self, words: &str) -> String {
        let output = self.try_cli(&words.split_whitespace().collect::<Vec<_>>());
        assert!(output.status.success(), "secuxflow {words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The same with `--json`, parsed.
    pub(crate) fn json(&self, words: &str) -> Value {
        let text = self.cli(&format!("{words} --json"));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("secuxflow {words} --json: {e}: {text}"))
    }

    /// The command line with words that hold no blanks; must fail with exit code 1. Returns what it said.
    pub(crate) fn refused(&self, words: &str) -> String {
        let output = self.try_cli(&words.split_whitespace().collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "secuxflow {words}: {said}");
        said
    }

    /// The command line, whatever comes of it.
    pub(crate) fn try_cli(&self, words: &[&str]) -> Output {
        let socket = self.dir.join("secuxflow.sock");
        Command::new(PROGRAM).arg("--socket").arg(socket).args(words).output().expect("the program can be started")
    }

    /// Packets that a rule has matched.
    pub(crate) fn rule_packets(&self, id: &str) -> u64 {
        let list = self.json("rule list");
        let rules = list["rules"].as_array().expect("a list of rules");
        let rule = rules.iter().find(|rule| rule["id"] == id).unwrap_or_else(|| panic!("{id} in {list}"));
        rule["packets"].as_u64().expect("a counter")
    }

    /// Sum of a number over the elements of a list of `status`, as in `("workers", "/tx/packets")`.
    pub(crate) fn sum(&self, list: &str, pointer: &str) -> u64 {
        let status = self.json("status");
        let items = status[list].as_array().unwrap_or_else(|| panic!("no list {list} in {status}"));
        items.iter().map(|item| item.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()).sum()
    }

    /// Alerts of one kind: `signature`, `module_failure`, `module_disabled` or `dataplane`.
    pub(crate) fn alerts(&self, kind: &str) -> Vec<Value> {
        let list = self.json("alert list --limit 1000");
        let alerts = list["alerts"].as_array().expect("a list of alerts");
        alerts.iter().filter(|alert| alert["secuxflow"]["kind"] == kind).cloned().collect()
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("daemon.log")).unwrap_or_default()
    }

    /// End it as an administrator does; it must leave with exit code 0.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let status = wait_for(Duration::from_secs(10), "the daemon's orderly end", || {
            self.child.try_wait().expect("a child can be asked")
        });
        assert!(status.success(), "orderly end: {status}");
    }

    /// End it without any chance to clean up.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("a child can be waited for");
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        kill(pid, signal).expect("a child can be signalled");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::SIGTERM);
            for _ in 0..100 {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    break;
                }
                thread::sleep(Duration::from_millis(50));
            }
            drop(self.child.kill());
            drop(self.child.wait());
        }
        if thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log());
        }
    }
}

/// Where a test's own modules lie: text in the lab's folder, compiled by the daemon.
pub(crate) fn module_file(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(format!("{name}.wat"));
    fs::write(&path, text).expect("the lab's folder is writable");
    path
}
