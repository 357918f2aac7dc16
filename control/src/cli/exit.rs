//! Exit codes, and which failure ends in which.

use std::{io, process::ExitCode};

use secuxflow::{
    inspect::InspectError,
    offline::{CaptureError, ReplayError},
};

use crate::{
    api::{ErrorBody, ErrorCode, Fault},
    client::ClientError,
    config::ConfigError,
    daemon::StartError,
    error::ApiError,
    modules::KeyError,
    ruleset::RulesetError,
};

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Refused by the daemon, or failed.
    Failed = 1,
    /// The command line is wrong; clap's own code too.
    Usage = 2,
    /// The daemon cannot be reached.
    Unreachable = 3,
    /// The configuration, a ruleset file, a feed, a module or a key is not valid, or cannot be read.
    Config = 4,
    /// The daemon cannot start.
    Start = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The daemon was asked and did not do it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The ruleset file is not valid.
    #[error(transparent)]
    Ruleset(#[from] RulesetError),
    /// A feed cannot be read, or is too large to send.
    #[error("{name}: {source}")]
    Feed {
        /// The file, or `standard input`.
        name: String,
        /// What the system said, or the limit.
        source: io::Error,
    },
    /// A module's file, its configuration or its place cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said, or what is wrong.
        source: io::Error,
    },
    /// A key or signature cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A module is none that could be loaded.
    #[error(transparent)]
    Module(#[from] InspectError),
    /// Rules or modules cannot be made ready for a capture.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A capture cannot be read, or not to its end.
    #[error("{name} {source}")]
    Capture {
        /// The file, or `standard input`.
        name: String,
        /// What is wrong with it.
        source: CaptureError,
    },
    /// Packets of a capture were passed over.
    #[error("{name} has packets that were passed over: {what}")]
    PassedOver {
        /// The file, or `standard input`.
        name: String,
        /// Which, and how many.
        what: String,
    },
    /// Something of the command line breaks a rule that only shows once it is looked at.
    #[error(transparent)]
    Refused(#[from] ApiError),
    /// Lines of another firewall's ruleset have no rule; nothing was written.
    #[error("{unmapped} {noun}(s) did not map, so nothing was written; --partial writes the rest")]
    Unmapped {
        /// Their number.
        unmapped: usize,
        /// What they are.
        noun: &'static str,
    },
    /// The daemon cannot start, or not stop cleanly.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Output cannot be written; a broken pipe is the reader's wish and no failure.
    #[error("output: {0}")]
    Output(io::Error),
    /// The async runtime cannot be made.
    #[error("{0}")]
    Runtime(io::Error),
    /// The stream of alerts ended.
    #[error("the daemon ended the stream; it is stopping")]
    StreamEnded,
}

impl Failure {
    /// The process's exit code.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Client(ClientError::Unreachable { .. } | ClientError::Denied { .. } | ClientError::Broken(_))
            | Self::StreamEnded => Exit::Unreachable,
            Self::Config(_)
            | Self::Ruleset(_)
            | Self::Feed { .. }
            | Self::File { .. }
            | Self::Key(_)
            | Self::Module(_)
            | Self::Replay(_)
            | Self::Start(StartError::Config(_)) => Exit::Config,
            Self::Start(StartError::Serve(_)) => Exit::Failed,
            Self::Start(_) => Exit::Start,
            Self::Output(e) if e.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Client(_)
            | Self::Refused(_)
            | Self::Unmapped { .. }
            | Self::Capture { .. }
            | Self::PassedOver { .. }
            | Self::Output(_)
            | Self::Runtime(_) => Exit::Failed,
        }
    }

    /// The failure as the API would tell it, for `--json`.
    pub(super) fn body(&self) -> ErrorBody {
        if let Self::Client(ClientError::Refused(body)) = self {
            return body.clone();
        }
        if let Self::Refused(error) = self {
            return ErrorBody {
                code: error.code,
                field: error.field.clone(),
                message: error.message.clone(),
                faults: error.faults.clone(),
            };
        }
        let code = match self.exit() {
            Exit::Config => ErrorCode::Invalid,
            _ => ErrorCode::Internal,
        };
        let faults = match self {
            Self::Ruleset(RulesetError::Invalid { faults, .. }) => faults.clone(),
            _ => Vec::new(),
        };
        let setting = match self {
            Self::Module(InspectError::Setting { setting, .. }) => Some((*setting).to_owned()),
            Self::Module(InspectError::Refused { problem, .. }) if problem.contains("configuration") => {
                Some("config".to_owned())
            }
            _ => None,
        };
        let field = faults.iter().find_map(Fault::place).or(setting);
        ErrorBody { code, field, message: self.to_string(), faults }
    }
}
