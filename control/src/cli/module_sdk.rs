//! The SDK that a new Rust module is built with: the sources' own, or the copy that this program carries.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use include_dir::{Dir, include_dir};

use super::{exit::Failure, module_files::write_new};
use crate::error::ApiError;

/// The SDK, the ABI that it stands on, and the script that builds guests with either toolchain. The SDK looks for the
/// ABI beside itself, so both keep their places to each other.
static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../wasm_modules/sdk");
static ABI: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../wasm_modules/abi");
const COMPILE: &str = include_str!("../../../scripts/compile_wasm.sh");

/// Where the SDK of a new module is.
pub(super) enum Sdk {
    /// In secuxflow's sources: the whole path of `wasm_modules/sdk`.
    Sources(PathBuf),
    /// In the module's own folder, as [`carry`] writes it.
    Carried,
}

impl Sdk {
    /// The one that is named, or that of the sources which `parent` lies in, or else the copy.
    ///
    /// # Errors
    /// `named` is no SDK.
    pub(super) fn find(named: Option<&Path>, parent: &Path) -> Result<Self, Failure> {
        let is_sdk = |path: &PathBuf| path.join("Cargo.toml").is_file();
        let found = match named.map(Path::to_owned) {
            Some(path) if !is_sdk(&path) => {
                let rule = "has no Cargo.toml; wasm_modules/sdk of secuxflow's sources is meant";
                return Err(ApiError::invalid("sdk", format!("sdk: {} {rule}", path.display())).into());
            }
            Some(path) => Some(path),
            None => {
                let start = std::path::absolute(parent).or_else(|_| env::current_dir()).unwrap_or_default();
                start.ancestors().map(|folder| folder.join("wasm_modules/sdk")).find(is_sdk)
            }
        };
        let Some(found) = found else { return Ok(Self::Carried) };
        let whole = fs::canonicalize(&found).map_err(|source| Failure::File { path: found, source })?;
        Ok(Self::Sources(whole))
    }

    /// What the module's manifest names.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Sources(path) => path.display().to_string(),
            Self::Carried => "sdk".into(),
        }
    }

    /// The script that builds it, from within the module's folder.
    pub(super) fn script(&self) -> String {
        let scripts = match self {
            // Beside wasm_modules/, where the SDK is.
            Self::Sources(path) => path.ancestors().nth(2).unwrap_or(Path::new("")).join("scripts"),
            Self::Carried => "scripts".into(),
        };
        format!("{}/compile_wasm.sh", scripts.display())
    }
}

/// Write the copy into the new module's `folder`: `sdk/`, `abi/` and `scripts/compile_wasm.sh`; the folders are the answer.
///
/// # Errors
/// A file cannot be written.
pub(super) fn carry(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut written = Vec::new();
    for (name, from) in [("sdk", &SDK), ("abi", &ABI)] {
        let to = folder.join(name);
        fs::create_dir(&to)
            .and_then(|()| from.extract(&to))
            .map_err(|source| Failure::File { path: to.clone(), source })?;
        written.push(to);
    }
    let scripts = folder.join("scripts");
    fs::create_dir(&scripts).map_err(|source| Failure::File { path: scripts.clone(), source })?;
    let script = scripts.join("compile_wasm.sh");
    write_new(&script, COMPILE, 0o755)?;
    written.push(script);
    Ok(written)
}
