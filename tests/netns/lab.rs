//! The lab that a test runs in: three network namespaces, built by `scripts/lab.sh` and removed on drop.

use std::{
    ffi::OsStr,
    fmt,
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use nix::sched::{CloneFlags, setns};
use tempfile::TempDir;

/// The client's address.
pub(crate) const CLIENT: &str = "10.77.1.2";
/// The container's IPv4 address.
pub(crate) const WEB: &str = "10.77.2.2";
/// The client's IPv6 address.
pub(crate) const CLIENT6: &str = "fd77:1::2";
/// The container's IPv6 address.
pub(crate) const WEB6: &str = "fd77:2::2";

/// One of the lab's namespaces.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Client,
    Host,
    Web,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Host => "host",
            Self::Web => "web",
        })
    }
}

/// Namespaces and a folder for files, both gone when it drops.
#[derive(Debug)]
pub(crate) struct Lab {
    prefix: String,
    dir: TempDir,
}

impl Lab {
    /// A new lab; several may exist side by side.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // The test run gives a name of its own, by which it finds what its tests left behind, and only that.
        let run = std::env::var("SXF_RUN").unwrap_or_else(|_| "sxf".to_owned());
        let prefix = format!("{run}-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let dir = tempfile::Builder::new().prefix(&format!("{run}-")).tempdir().expect("a folder in /tmp");
        let lab = Self { prefix, dir };
        lab.script("up");
        lab
    }

    fn script(&self, command: &str) {
        run(Command::new(root().join("scripts/lab.sh")).args([command, "--prefix", &self.prefix]));
    }

    /// Folder for the test's files.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Name of a namespace.
    pub(crate) fn name(&self, place: Place) -> String {
        format!("{}-{place}", self.prefix)
    }

    /// `program`, to be run in a namespace. Its process is that program: nsenter replaces itself.
    pub(crate) fn command(&self, place: Place, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name(place))).arg("--").arg(program).stdin(Stdio::null());
        command
    }

    /// `ip ARGS` in a namespace.
    pub(crate) fn ip(&self, place: Place, args: &str) {
        run(Command::new("ip").args(["-n", &self.name(place)]).args(args.split_whitespace()));
    }

    /// Output of `ip ARGS` in a namespace.
    pub(crate) fn ip_output(&self, place: Place, args: &str) -> String {
        let output = Command::new("ip").args(["-n", &self.name(place)]).args(args.split_whitespace()).output();
        String::from_utf8_lossy(&output.expect("ip runs").stdout).into_owned()
    }

    /// Run `work` in a namespace; sockets that it opens, and threads that it starts, belong there.
    pub(crate) fn enter<T: Send>(&self, place: Place, work: impl FnOnce() -> T + Send) -> T {
        let namespace = self.open(place);
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                setns(namespace, CloneFlags::CLONE_NEWNET).expect("the namespace can be entered");
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn open(&self, place: Place) -> File {
        File::open(Path::new("/run/netns").join(self.name(place))).expect("the namespace is there")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A killed daemon leaves its bpf file system and the pins in it; no daemon, no harm when it is not there.
        let unmounted = Command::new("umount").args(["-q", "-l"]).arg(self.dir().join("bpf")).output();
        let down = Command::new(root().join("scripts/lab.sh")).args(["down", "--prefix", &self.prefix]).status();
        if !thread::panicking() {
            unmounted.expect("umount runs");
            assert!(down.expect("lab.sh runs").success(), "lab {} could not be removed", self.prefix);
        }
    }
}

/// The folder of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("control/ lies in the repository").to_owned()
}

/// Run a command that must succeed; returns what it wrote to standard output.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Ask `probe` until it has an answer; panics when there is none in `patience`.
pub(crate) fn wait_for<T>(patience: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(begin.elapsed() < patience, "{what}: not within {patience:?}");
        thread::sleep(Duration::from_millis(20));
    }
}
