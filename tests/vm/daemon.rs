//! The daemon in the virtual machine, and its command line.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

const PROGRAM: &str = "/bin/secuxflow";
/// Frames of each worker's share of the UMEM.
pub(crate) const FRAMES: u64 = 1024;
/// Emulated processors take their time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running daemon; killed when it drops.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    dir: PathBuf,
}

impl Daemon {
    /// Start it on both cards with `workers` in that section of its configuration, with the module `http_guard`, and wait
    /// until it answers. Packets leave by TX rings: those are what is looked at.
    pub(crate) fn start(name: &str, mode: &str, workers: &str) -> Self {
        let dir = Path::new("/tmp").join(name);
        fs::create_dir(&dir).expect("a folder of the test's own");
        let text = format!(
            "interfaces = [\"nic0\", \"nic1\"]\nmode = {mode:?}\nfail_policy = \"closed\"\nstate = \"state.json\"\nbpffs = \"bpf\"\n\
             [socket]\npath = \"secuxflow.sock\"\n[metrics]\nlisten = \"off\"\n[alerts]\nfile = \"eve.json\"\n\
             [umem]\nframes = {FRAMES}\nring = 256\n\
             [workers]\negress = \"tx\"\n{workers}\n\
             [[module]]\nname = \"http_guard\"\npath = \"/lib/http_guard.wasm\"\ndeadline_ms = 2000\n\
             [[chain]]\nname = \"default\"\nmodules = [\"http_guard\"]\n"
        );
        fs::write(dir.join("secuxflow.toml"), text).expect("the folder is writable");
        let log = File::create(dir.join("daemon.log")).expect("a log file");
        let child = Command::new(PROGRAM)
            .arg("run")
            .arg("--config")
            .arg(dir.join("secuxflow.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("the daemon can be started");
        let mut daemon = Self { child, dir };
        wait_for("the daemon's first answer", || {
            if let Some(status) = daemon.child.try_wait().expect("a child can be asked") {
                panic!("the daemon ended at once, {status}:\n{}", daemon.log());
            }
            daemon.try_cli("status").ok()
        });
        daemon
    }

    /// The command line with words that hold no blanks; what it printed, or what it said.
    pub(crate) fn try_cli(&self, words: &str) -> Result<String, String> {
        let output = Command::new(PROGRAM)
            .arg("--socket")
            .arg(self.dir.join("secuxflow.sock"))
            .args(words.split_whitespace())
            .output()
            .expect("the program can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// The same, which must succeed.
    pub(crate) fn cli(&self, words: &str) -> String {
        self.try_cli(words).unwrap_or_else(|error| panic!("secuxflow {words}: {error}\n{}", self.log()))
    }

    /// The same with `--json`, parsed.
    pub(crate) fn json(&self, words: &str) -> Value {
        let text = self.cli(&format!("{words} --json"));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("secuxflow {words} --json: {e}: {text}"))
    }

    /// Add a service and wait until it is up.
    pub(crate) fn serve(&self, name: &str, ip: &str, dev: &str) {
        self.cli(&format!("service add {name} --ip {ip} --dev {dev}"));
        wait_for(&format!("service {name}"), || {
            let list = self.json("service list");
            let up = |service: &&Value| service["name"] == name && service["state"] == "up";
            list["services"].as_array()?.iter().find(up).map(drop)
        });
    }

    /// The sockets of a device, by queue.
    pub(crate) fn sockets(&self, dev: &str) -> Vec<Value> {
        let status = self.json("status");
        let sockets = status["sockets"].as_array().expect("a list of sockets");
        sockets.iter().filter(|socket| socket["dev"] == dev).cloned().collect()
    }

    /// Sum of a number over the elements of a list of `status`.
    pub(crate) fn sum(&self, list: &str, pointer: &str) -> u64 {
        let status = self.json("status");
        let items = status[list].as_array().unwrap_or_else(|| panic!("no list {list} in {status}"));
        items.iter().map(|item| item.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()).sum()
    }

    /// Every frame is free or in a fill ring, and none is missing. To be called after traffic that every worker had a part
    /// in and sent by sockets of its own: frames that another worker sent come back by a pool, when there is traffic again.
    pub(crate) fn assert_all_frames_home(&self) {
        let frames = |status: &Value| -> Vec<(String, u64)> {
            let workers = status["workers"].as_array().expect("a list of workers");
            let places = workers.iter().flat_map(|worker| worker["frames"].as_array().expect("frames by place"));
            let pair = |place: &Value| (place["name"].as_str().unwrap().to_owned(), place["value"].as_u64().unwrap());
            places.map(pair).collect()
        };
        let begin = Instant::now();
        loop {
            let places = frames(&self.json("status"));
            let home = places.iter().filter(|(name, _)| matches!(name.as_str(), "free" | "fill"));
            if home.map(|(_, count)| count).sum::<u64>() == FRAMES * 2 {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "frames do not come home: {places:?}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Pages of its UMEM by NUMA node, from numa_maps(5): the UMEM is the one shared anonymous mapping of its size.
    pub(crate) fn umem_pages(&self) -> [u64; 2] {
        let maps = fs::read_to_string(format!("/proc/{}/numa_maps", self.child.id())).expect("the kernel has NUMA");
        let pages = |line: &str, node: &str| -> u64 {
            line.split(' ').find_map(|word| word.strip_prefix(node)?.parse().ok()).unwrap_or_default()
        };
        let shared = maps.lines().filter(|line| line.contains("file=/dev/zero"));
        let counts = shared.map(|line| [pages(line, "N0="), pages(line, "N1=")]);
        counts.max_by_key(|[near, far]| near + far).expect("a UMEM")
    }

    /// What it wrote so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("daemon.log")).unwrap_or_default()
    }

    /// End it as an administrator does; it must leave with exit code 0.
    pub(crate) fn stop(mut self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")), Signal::SIGTERM).expect("a signal");
        let status = wait_for("the daemon's orderly end", || self.child.try_wait().expect("a child can be asked"));
        assert!(status.success(), "orderly end: {status}\n{}", self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if thread::panicking() {
            // A line for each part of it: compact, since what shows it may cut it short.
            let status = self.try_cli("status --json").unwrap_or_else(|error| error);
            let parts: serde_json::Map<String, Value> = serde_json::from_str(&status)
                .unwrap_or_else(|_| [("status".into(), status.into())].into_iter().collect());
            for (name, part) in &parts {
                for item in part.as_array().unwrap_or(&vec![part.clone()]) {
                    eprintln!("{name}: {item}");
                }
            }
            eprintln!("the daemon's log:\n{}", self.log());
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Ask `probe` until it has an answer; panics when there is none after a minute.
pub(crate) fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(begin.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(100));
    }
}
