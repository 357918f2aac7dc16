//! A daemon of our own, and the commands that a user would give.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    mount::{MntFlags, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// Longest time for a start and for a stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// The variable that would name another daemon's socket, of the daemon as of its clients.
const SOCKET: &str = "SECUXFLOW_SOCKET";

/// What a daemon is started with, besides where its files are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup {
    /// Devices that it filters.
    pub(crate) interfaces: &'static [&'static str],
    /// Tables of the configuration.
    pub(crate) tables: String,
}

/// A running daemon with all its files in one folder. Dropping it stops the daemon and removes them.
#[derive(Debug)]
pub(crate) struct Daemon {
    binary: PathBuf,
    child: Child,
    dir: TempDir,
}

/// Memory that a daemon takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident set of the process, bytes.
    pub(crate) process: u64,
    /// All BPF maps that it holds, bytes.
    pub(crate) maps: u64,
}

impl Daemon {
    /// Start `binary`, and wait until it answers.
    pub(crate) fn start(binary: &Path, setup: &Setup) -> Result<Self> {
        let doing = || format!("starting {}", binary.display());
        let binary = binary.canonicalize().with_context(|| {
            format!("{}: build it with `cargo build --release`, or name another with --binary", binary.display())
        })?;
        let dir = tempfile::Builder::new().prefix("secuxflow-bench-").tempdir().context("making a folder")?;
        let config = dir.path().join("secuxflow.toml");
        let Setup { interfaces, tables } = setup;
        let text = format!(
            "interfaces = {interfaces:?}\nstate = \"state.json\"\nbpffs = \"bpf\"\nlog = \"warn\"\n\
             [socket]\npath = \"s.sock\"\n[metrics]\nlisten = \"off\"\n[alerts]\nfile = \"off\"\n{tables}"
        );
        fs::write(&config, text).context("writing the configuration")?;
        let log = fs::File::create(dir.path().join("log")).context("making the log")?;
        // It goes with this process, whatever ends that.
        let child = Command::new("setpriv")
            .env_remove(SOCKET)
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&binary)
            .args(["run", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(doing)?;
        let mut daemon = Self { binary, child, dir };
        daemon.wait_until_it_answers().with_context(doing)?;
        Ok(daemon)
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answers = self.command(&["status"])?.is_ok();
            if self.child.try_wait()?.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                bail!("it ended, or does not answer; its log: {}", log.trim());
            }
            if answers {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Where files for it may be put.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Run a command of the client; its output, or what it says of its failure.
    pub(crate) fn command(&self, args: &[&str]) -> Result<Result<String, String>> {
        let output = Command::new(&self.binary)
            .env_remove(SOCKET)
            .args(args)
            .arg("--socket")
            .arg(self.dir.path().join("s.sock"))
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("running {}", self.binary.display()))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Ok(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
    }

    /// Run a command that has to be a success; its output.
    pub(crate) fn ask(&self, args: &[&str]) -> Result<String> {
        self.command(args)?.map_err(|error| anyhow::anyhow!("secuxflow {}: {error}", args.join(" ")))
    }

    /// Milliseconds that a command takes from its start to its end, which has to be a success.
    pub(crate) fn time(&self, args: &[&str]) -> Result<f64> {
        let begin = Instant::now();
        let answer = self.command(args)?;
        let time = begin.elapsed();
        if let Err(error) = answer {
            // A file's mistakes are a line each.
            bail!("secuxflow {}: {}", args.join(" "), error.lines().next().unwrap_or("failed"));
        }
        Ok(time.as_secs_f64() * 1e3)
    }

    /// Time that the processor gave to a thread of it so far, found by its name.
    pub(crate) fn processor_time(&self, thread: &str) -> Result<Duration> {
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id())).context("reading the daemon's threads")? {
            let task = task?.path();
            // A thread may end meanwhile.
            if fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == thread) {
                let text = fs::read_to_string(task.join("schedstat")).context("reading a thread's time")?;
                let ns = text.split(' ').next().and_then(|word| word.parse().ok());
                return Ok(Duration::from_nanos(ns.context("schedstat is no number")?));
            }
        }
        bail!("the daemon has no thread {thread}")
    }

    /// Memory, now.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let process = PathBuf::from(format!("/proc/{}", self.child.id()));
        let status = fs::read_to_string(process.join("status")).context("reading the daemon's memory")?;
        let resident = field(&status, "VmRSS:").context("no VmRSS in /proc")?;
        let (mut maps, mut seen) = (0, HashSet::new());
        for entry in fs::read_dir(process.join("fdinfo"))? {
            // A descriptor may be closed meanwhile.
            let Ok(info) = fs::read_to_string(entry?.path()) else { continue };
            if let (Some(id), Some(bytes)) = (field(&info, "map_id:"), field(&info, "memlock:"))
                && seen.insert(id)
            {
                maps += bytes;
            }
        }
        ensure!(maps > 0, "the kernel does not tell the size of BPF maps");
        Ok(Memory { process: resident * 1024, maps })
    }
}

/// Whether a daemon knows what is in `setup`: false for one that was made before it.
pub(crate) fn knows(binary: &Path, setup: &str) -> Result<bool> {
    let file = tempfile::Builder::new().suffix(".toml").tempfile().context("a configuration file")?;
    fs::write(file.path(), format!("interfaces = [\"lo\"]\n{setup}")).context("writing a configuration")?;
    let output = Command::new(binary)
        .env_remove(SOCKET)
        .args(["config", "check"])
        .arg(file.path())
        .stdin(Stdio::null())
        .output();
    let output = output.with_context(|| format!("running {}", binary.display()))?;
    Ok(output.status.success() || !String::from_utf8_lossy(&output.stderr).contains("unknown field"))
}

/// The number behind `name` at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // It may have ended already: then there is nothing to stop, and the wait below tells.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                // Refused only when it ended just now.
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        // Still there when the daemon was killed; the folder cannot be removed with it.
        let _ = umount2(&self.dir.path().join("bpf"), MntFlags::MNT_DETACH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_the_number_behind_its_name() {
        let info = "pos:\t0\nmap_type:\t2\nmemlock:\t4096\nmap_id:\t77\n";
        assert_eq!(
            (field(info, "memlock:"), field(info, "map_id:"), field(info, "VmRSS:")),
            (Some(4096), Some(77), None)
        );
        assert_eq!(field("VmRSS:\t   1234 kB\n", "VmRSS:"), Some(1234));
    }
}
