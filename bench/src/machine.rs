//! Where and when figures were measured: without it they say nothing.

use std::{env, fs, process::Command, thread};

use serde::Serialize;

/// The machine, the build, and the command.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    /// Name of the processor.
    pub(crate) processor: String,
    /// Processors that this process may use.
    pub(crate) processors: usize,
    /// Release of the kernel.
    pub(crate) kernel: String,
    /// `on` or `off`; off means that programs are interpreted.
    pub(crate) jit: String,
    /// Load of the last minute, at the beginning.
    pub(crate) load: String,
    /// `release` or `debug`, of this program and the library in it; the programs in the kernel are always optimised.
    pub(crate) build: &'static str,
    /// Revision in git, with a + when files were changed.
    pub(crate) revision: String,
    /// The command line.
    pub(crate) command: String,
    /// UTC.
    pub(crate) time: String,
}

impl Machine {
    /// This one, now.
    pub(crate) fn here() -> Self {
        let cpu = read("/proc/cpuinfo");
        let model = cpu.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(':').nth(1));
        let jit = if read("/proc/sys/net/core/bpf_jit_enable").trim() == "0" { "off" } else { "on" };
        let revision = output("git", &["rev-parse", "--short=12", "HEAD"]);
        let changed = if output("git", &["status", "--porcelain"]).is_empty() { "" } else { "+" };
        Self {
            processor: model.map_or_else(|| env::consts::ARCH.to_owned(), |model| model.trim().to_owned()),
            processors: thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            jit: jit.to_owned(),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            revision: if revision.is_empty() { "unknown".to_owned() } else { format!("{revision}{changed}") },
            command: command(),
            time: output("date", &["-u", "+%Y-%m-%dT%H:%MZ"]),
        }
    }

    /// In lines, for people.
    pub(crate) fn words(&self) -> Vec<String> {
        vec![
            format!("{}, {} processors, load {} at the beginning", self.processor, self.processors, self.load),
            format!("Linux {}, BPF JIT {}", self.kernel, self.jit),
            format!("revision {}, {} build, {}", self.revision, self.build, self.time),
            format!("`{}`", self.command),
        ]
    }
}

/// The command line, without the folder of the program.
fn command() -> String {
    let mut words = vec![env!("CARGO_PKG_NAME").to_owned()];
    words.extend(env::args().skip(1));
    words.join(" ")
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What a command prints; nothing when it fails.
fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output
        .ok()
        .filter(|output| output.status.success())
        .map_or_else(String::new, |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
