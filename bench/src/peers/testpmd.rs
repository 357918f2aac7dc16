//! DPDK's forwarder `testpmd`, over AF_XDP or AF_PACKET.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// Longest time for a start, and for an end.
const PATIENCE: Duration = Duration::from_secs(20);
/// The last that it prints before it forwards; what follows stays in its buffer.
const READY: &str = "Checking link statuses";

/// By which it receives and sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    /// net_af_xdp.
    Xdp,
    /// net_af_packet.
    Packet,
}

/// The program, installed or unpacked.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    program: PathBuf,
    /// Folder of its libraries, where they are not the system's.
    libraries: Option<PathBuf>,
}

/// A running one; it ends when it drops.
#[derive(Debug)]
pub(crate) struct Testpmd {
    child: Child,
    _files: TempDir,
}

/// The installed one, or the one that `scripts/bench.sh` unpacked below `unpacked`.
pub(crate) fn find(unpacked: &Path) -> Option<Tool> {
    let name = "dpdk-testpmd";
    let installed = env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|file| file.is_file());
    if let Some(program) = installed {
        return Some(Tool { program, libraries: None });
    }
    let program = unpacked.join("usr/bin").join(name);
    let libraries = unpacked.join(format!("usr/lib/{}-linux-gnu", env::consts::ARCH));
    program.is_file().then_some(Tool { program, libraries: Some(libraries) })
}

impl Tool {
    /// What the program is not linked with: the driver, and the memory pool that it takes by default. Installed ones it
    /// finds by itself.
    fn drivers(&self, driver: Driver) -> Result<Vec<PathBuf>> {
        let Some(libraries) = &self.libraries else { return Ok(Vec::new()) };
        let wanted = match driver {
            Driver::Xdp => "librte_net_af_xdp.so.",
            Driver::Packet => "librte_net_af_packet.so.",
        };
        [wanted, "librte_mempool_ring.so."].iter().map(|start| library(libraries, start)).collect()
    }
}

/// The file in `folder` whose name begins so.
fn library(folder: &Path, start: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(folder).context("the folder of DPDK's libraries")? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(start) {
            return Ok(entry.path());
        }
    }
    bail!("no {start} in {}", folder.display())
}

impl Testpmd {
    /// Forward from `from` to `to` and back, on `core`; its main thread, which only waits, is on `main`. It forwards a
    /// moment after it is started.
    pub(crate) fn start(tool: &Tool, driver: Driver, from: &str, to: &str, core: usize, main: usize) -> Result<Self> {
        let files = tempfile::Builder::new().prefix("secuxflow-bench-").tempdir().context("making a folder")?;
        let (output, doing) = (files.path().join("output"), || format!("starting {}", tool.program.display()));
        let log = fs::File::create(&output).context("making a log")?;
        let name = if driver == Driver::Xdp { "net_af_xdp" } else { "net_af_packet" };
        // It goes with this process, whatever ends that.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "env"]);
        if let Some(libraries) = &tool.libraries {
            command.arg(format!("LD_LIBRARY_PATH={}", libraries.display()));
            // Not by its argument -d, which refuses files below folders that everybody may write to.
            let drivers: Vec<String> = tool.drivers(driver)?.iter().map(|file| file.display().to_string()).collect();
            command.arg(format!("LD_PRELOAD={}", drivers.join(":")));
            command.arg(format!("LIBXDP_OBJECT_PATH={}", libraries.join("bpf").display()));
        }
        command.arg(&tool.program);
        command.args(["--no-huge", "-m", "1024", "--no-pci", "--no-telemetry", "--no-shconf"]);
        command.arg(format!("--lcores=0@{main},1@{core}"));
        for (number, device) in [from, to].iter().enumerate() {
            command.arg(format!("--vdev={name}{number},iface={device}"));
        }
        command.args(["--", "--total-num-mbufs=32768", "--nb-cores=1", "--forward-mode=io", "--no-mlockall"]);
        let child = command
            // The kernel's own way to share a device among programs needs a bpf file system, and nobody shares here.
            .env("LIBXDP_SKIP_DISPATCHER", "1")
            .env("XDG_RUNTIME_DIR", files.path())
            .env("RUNTIME_DIRECTORY", files.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().context("sharing a log")?)
            .stderr(log)
            .spawn()
            .with_context(doing)?;
        let mut testpmd = Self { child, _files: files };
        let begin = Instant::now();
        loop {
            let text = fs::read_to_string(&output).unwrap_or_default();
            if text.contains(READY) {
                return Ok(testpmd);
            }
            if testpmd.child.try_wait()?.is_some() || begin.elapsed() > PATIENCE {
                let end: Vec<&str> = text.lines().rev().take(5).collect();
                bail!("{}: it ended, or does not come up: {}", doing(), end.join(" | "));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Testpmd {
    fn drop(&mut self) {
        // The end of its input is the enter key that it waits for.
        drop(self.child.stdin.take());
        let begin = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begin.elapsed() > PATIENCE {
                // Refused only when it ended just now.
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
