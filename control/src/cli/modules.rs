//! `module list`, `info`, `load`, `reload`, `unload`; and `check`, `new`, `sign`, `keygen`, which need no daemon.

use std::{
    io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::{ask::segment, exit::Failure, module_files, module_new, modules_show::Module, output::Output};
use crate::{
    api::{LoadModule, ModuleInfo, Modules, Removed},
    client::Client,
    config::FailPolicyName,
    modules::{KeyError, Origin, Signature, read_file, read_options},
};

/// `secuxflow module`.
#[derive(Debug, Subcommand)]
pub(crate) enum ModuleCommand {
    /// List modules with their verdicts, time and failures.
    List,
    /// Show one module.
    Info {
        /// Its name.
        name: String,
    },
    /// Load a module; it is in no chain yet.
    Load {
        /// Unique name, as chains and alerts spell it.
        name: String,
        /// The .wasm or .wat file.
        file: PathBuf,
        #[command(flatten)]
        flags: LoadFlags,
    },
    /// Put a module's file, read again, or other settings in the place of those that run; when they do not work, those stay.
    Reload {
        /// Its name.
        name: String,
        /// The file [default: the one that it was loaded from].
        file: Option<PathBuf>,
        #[command(flatten)]
        flags: LoadFlags,
        /// Take file and settings from the configuration file, and forget what was changed since.
        #[arg(long, conflicts_with_all = ["file", "signature", "config", "on_failure", "deadline_ms", "heap_mib", "max_failures"])]
        reset: bool,
    },
    /// Unload a module that no chain has.
    Unload {
        /// Its name.
        name: String,
    },
    /// Check a module's file without a daemon: ABI, imports, exports, configuration; and start it once.
    Check {
        /// The .wasm or .wat file.
        file: PathBuf,
        /// What it is handed: JSON, or a file with JSON.
        #[arg(long, value_name = "JSON|FILE")]
        config: Option<String>,
        /// Largest heap in MiB.
        #[arg(long, value_name = "N", default_value_t = 16)]
        heap_mib: i64,
    },
    /// Write the beginnings of a module of one's own, which builds, passes its tests and loads.
    New(module_new::NewFlags),
    /// Sign a module's file with an Ed25519 key, into FILE.sig.
    Sign {
        /// The .wasm or .wat file.
        file: PathBuf,
        /// The secret key: PEM as openssl writes it, or 32 bytes in base64.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Make a pair of Ed25519 keys: the secret one into FILE, the public one into FILE.pub.
    Keygen {
        /// Where the secret key goes; nothing is overwritten.
        file: PathBuf,
    },
}

/// What a module is loaded with.
#[derive(Debug, Args)]
pub(crate) struct LoadFlags {
    /// The file's signature [default: FILE.sig where it exists].
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// What it is handed: JSON, or a file with JSON.
    #[arg(long, value_name = "JSON|FILE")]
    config: Option<String>,
    /// What becomes of packets that it fails on [default: open].
    #[arg(long, value_enum)]
    on_failure: Option<FailPolicyName>,
    /// Most processor time for one call in milliseconds [default: 50].
    #[arg(long, value_name = "N")]
    deadline_ms: Option<i64>,
    /// Largest heap in MiB [default: 16].
    #[arg(long, value_name = "N")]
    heap_mib: Option<i64>,
    /// Batches failed in a row after which it is taken out of service [default: 16].
    #[arg(long, value_name = "N")]
    max_failures: Option<i64>,
}

impl LoadFlags {
    /// The request without a file.
    fn request(&self) -> Result<LoadModule, Failure> {
        Ok(LoadModule {
            config: self.config.as_deref().map(options).transpose()?,
            on_failure: self.on_failure,
            deadline_ms: self.deadline_ms,
            heap_mib: self.heap_mib,
            max_failures: self.max_failures,
            ..LoadModule::default()
        })
    }

    /// The request with a file, and the signature that belongs to it.
    fn request_with(&self, file: &Path) -> Result<LoadModule, Failure> {
        let fail = |source| Failure::File { path: file.to_owned(), source };
        let code = read_file(file).map_err(fail)?;
        let path = std::path::absolute(file).map_err(fail)?;
        let signature = match &self.signature {
            Some(path) => Some(Signature::read(path)?),
            None => match Signature::read(&module_files::signature_of(file)) {
                Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
                read => Some(read?),
            },
        };
        Ok(LoadModule {
            code: Some(BASE64.encode(code)),
            path: Some(path.display().to_string()),
            signature: signature.map(|signature| signature.text()),
            ..self.request()?
        })
    }
}

/// Run one of these.
///
/// # Errors
/// A file cannot be used, the daemon cannot be reached or refuses, or the answer cannot be written.
pub(super) async fn run(client: &Client, command: ModuleCommand, out: Output) -> Result<(), Failure> {
    match command {
        ModuleCommand::List => out.answer(&client.get::<Modules>("/v1/modules").await?),
        ModuleCommand::Info { name } => out.answer(&client.get::<Module>(&path(&name)).await?),
        ModuleCommand::Load { name, file, flags } => {
            out.answer(&client.post::<Module>(&path(&name), &flags.request_with(&file)?).await?)
        }
        ModuleCommand::Reload { name, file, flags, reset } => {
            let request = match file {
                Some(file) => flags.request_with(&file)?,
                None if reset => LoadModule { reset, ..LoadModule::default() },
                None => again(client, &name, &flags).await?,
            };
            out.answer(&client.put::<Module>(&path(&name), &request).await?)
        }
        ModuleCommand::Unload { name } => out.answer(&client.delete::<Removed>(&path(&name)).await?),
        ModuleCommand::Check { file, config, heap_mib } => {
            module_files::check(&file, config.as_deref().map(options).transpose()?, heap_mib, out)
        }
        ModuleCommand::New(flags) => module_new::write(&flags, out),
        ModuleCommand::Sign { file, key } => module_files::sign(&file, &key, out),
        ModuleCommand::Keygen { file } => module_files::keygen(&file, out),
    }
}

/// The request that loads a module anew from where it came. The file of a module of the configuration is read by the daemon.
async fn again(client: &Client, name: &str, flags: &LoadFlags) -> Result<LoadModule, Failure> {
    let info: ModuleInfo = client.get(&path(name)).await?;
    match info.origin {
        Origin::Config => flags.request(),
        Origin::Api => flags.request_with(Path::new(&info.status.path)),
    }
}

fn path(name: &str) -> String {
    format!("/v1/modules/{}", segment(name))
}

/// A module's options: JSON, or the file that holds it; with what lies in files of its own.
fn options(text: &str) -> Result<Map<String, Value>, Failure> {
    let inline = text.trim_start().starts_with('{');
    let path = if inline { PathBuf::from("--config") } else { PathBuf::from(text) };
    let fail = |source| Failure::File { path: path.clone(), source };
    let json = if inline { text.to_owned() } else { std::fs::read_to_string(&path).map_err(fail)? };
    let mut options =
        serde_json::from_str(&json).map_err(|e| fail(io::Error::other(format!("no JSON object: {e}"))))?;
    let base = if inline { Path::new("") } else { path.parent().unwrap_or(Path::new("")) };
    read_options(&mut options, base).map_err(|(field, why)| fail(io::Error::other(format!("{field}: {why}"))))?;
    Ok(options)
}
