//! Runs the binary in a directory of its own.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// What a run left.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The binary with `args`, clean of the caller's settings.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secuxflow"));
    command.args(args).env_remove("SECUXFLOW_SOCKET");
    command
}

/// Run it to its end.
pub(crate) fn run(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().unwrap();
    Run {
        code: status.code().unwrap_or_else(|| panic!("ended by a signal: {status}")),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// Run the binary with `args`.
pub(crate) fn secuxflow(args: &[&str]) -> Run {
    run(&mut command(args))
}

/// A directory with a configuration.
pub(crate) struct Lab {
    dir: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A client command toward this directory's socket.
    pub(crate) fn client(&self, args: &[&str]) -> Run {
        run(command(args).arg("--socket").arg(self.path("s.sock")))
    }

    /// `config check` of `text`.
    pub(crate) fn check(&self, text: &str) -> Run {
        let path = self.write("secuxflow.toml", text);
        run(command(&["config", "check"]).arg(path))
    }

    /// `run` with a configuration whose every file is in this directory.
    pub(crate) fn daemon(&self, args: &[&str]) -> Command {
        let config = self.write(
            "secuxflow.toml",
            "interfaces = [\"sxf-none0\"]\nstate = \"state.json\"\nbpffs = \"bpf\"\n[socket]\npath = \"s.sock\"\n\
             [metrics]\nlisten = \"off\"\n[alerts]\nfile = \"eve.json\"\n",
        );
        let mut command = command(&["run", "--config"]);
        command.arg(config).args(args);
        command
    }
}

/// Names in `dir`, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
