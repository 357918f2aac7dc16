//! nftables, dropping by a set of addresses at a device's ingress.

use std::{
    env,
    io::Write,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// The table of one run. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Nft {
    tool: Tool,
}

/// The program `nft`, installed or unpacked.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    program: PathBuf,
    libraries: Option<PathBuf>,
}

const TABLE: &str = "sxf-bench";

/// The installed one, or the one that `scripts/bench.sh` unpacked below `unpacked`.
pub(crate) fn find(unpacked: &Path) -> Option<Tool> {
    let installed =
        env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join("nft")).find(|file| file.is_file());
    if let Some(program) = installed {
        return Some(Tool { program, libraries: None });
    }
    let program = unpacked.join("usr/sbin/nft");
    let libraries = unpacked.join(format!("usr/lib/{}-linux-gnu", env::consts::ARCH));
    program.is_file().then_some(Tool { program, libraries: Some(libraries) })
}

impl Tool {
    fn run(&self, script: &str) -> Result<()> {
        let mut command = Command::new(&self.program);
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        let doing = || format!("running {}", self.program.display());
        let mut child = command
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(doing)?;
        // Closed at the end of the statement: nft then begins.
        child.stdin.take().context("no input")?.write_all(script.as_bytes()).with_context(doing)?;
        let output = child.wait_with_output().with_context(doing)?;
        ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }
}

impl Nft {
    /// Drop packets with these sources when they come in by `device`.
    pub(crate) fn drop_from(tool: &Tool, device: &str, addresses: &[Ipv4Addr]) -> Result<Self> {
        let elements: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        tool.run(&format!(
            "table netdev {TABLE} {{\nset listed {{\ntype ipv4_addr\nelements = {{ {} }}\n}}\n\
             chain in {{\ntype filter hook ingress device \"{device}\" priority 0; policy accept;\n\
             ip saddr @listed drop\n}}\n}}\n",
            elements.join(", ")
        ))?;
        Ok(Self { tool: tool.clone() })
    }
}

impl Drop for Nft {
    fn drop(&mut self) {
        // It ends with the namespace anyway.
        let _ = self.tool.run(&format!("delete table netdev {TABLE}\n"));
    }
}
