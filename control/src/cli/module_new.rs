//! `module new`: the beginnings of a module of one's own.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

use super::{
    exit::Failure,
    module_files::{Written, write_new},
    module_sdk::{self, Sdk},
    output::Output,
};
use crate::error::ApiError;

/// Name that the templates have in the place of the module's.
const PLACEHOLDER: &str = "my_module";
/// Where the Rust template's manifest looks for the SDK.
const TEMPLATE_SDK: &str = "../../sdk";

/// `secuxflow module new`.
#[derive(Debug, Args)]
pub(crate) struct NewFlags {
    /// Its name: lower-case letters, digits and '_', a letter first.
    name: String,
    /// What it is to be written in.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    language: Language,
    /// The folder to be made [default: NAME].
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// For Rust: the folder wasm_modules/sdk of secuxflow's sources [default: looked for above DIR, else
    /// a copy is written into DIR].
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

/// What a module may be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Rust, with the SDK.
    Rust,
    /// C, with the header.
    C,
    /// WebAssembly text, which the daemon loads as it is.
    Wat,
}

/// A file of a template: its name, and what is in it.
type File = (&'static str, &'static str);

const RUST: [File; 4] = [
    ("Cargo.toml", include_str!("../../../wasm_modules/template/rust/Cargo.toml")),
    (".cargo/config.toml", include_str!("../../../wasm_modules/template/rust/.cargo/config.toml")),
    ("schema.json", include_str!("../../../wasm_modules/template/rust/schema.json")),
    ("src/lib.rs", include_str!("../../../wasm_modules/template/rust/src/lib.rs")),
];
const C: [File; 2] = [
    ("my_module.c", include_str!("../../../wasm_modules/template/c/my_module.c")),
    ("secuxflow.h", include_str!("../../../wasm_modules/include/secuxflow.h")),
];
const WAT: [File; 1] = [("my_module.wat", include_str!("../../../wasm_modules/template/wat/my_module.wat"))];

/// Write the template.
///
/// # Errors
/// The name is none, the folder exists, the SDK that is named is none, or a file cannot be written.
pub(super) fn write(flags: &NewFlags, out: Output) -> Result<(), Failure> {
    let name = &flags.name;
    check(name)?;
    let folder = flags.path.clone().unwrap_or_else(|| name.into());
    let fail = |path: &Path, source: io::Error| Failure::File { path: path.to_owned(), source };
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let sdk = match flags.language {
        Language::Rust => Some(Sdk::find(flags.sdk.as_deref(), parent)?),
        Language::C | Language::Wat => None,
    };
    fs::create_dir_all(parent).map_err(|source| fail(parent, source))?;
    fs::create_dir(&folder).map_err(|source| fail(&folder, source))?;
    let files: &[File] = match flags.language {
        Language::Rust => &RUST,
        Language::C => &C,
        Language::Wat => &WAT,
    };
    let mut written = Vec::new();
    for (file, text) in files {
        let path = folder.join(file.replace(PLACEHOLDER, name));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|source| fail(parent, source))?;
        }
        let mut text = text.replace(PLACEHOLDER, name);
        if let Some(sdk) = &sdk {
            text = text.replace(&format!("path = \"{TEMPLATE_SDK}\""), &format!("path = {:?}", sdk.path()));
        }
        write_new(&path, &text, 0o644)?;
        written.push(path.display().to_string());
    }
    if matches!(sdk, Some(Sdk::Carried)) {
        written.extend(module_sdk::carry(&folder)?.iter().map(|path| path.display().to_string()));
    }
    out.answer(&Written { written, next: next(flags.language, name, &folder, sdk.as_ref()) })
}

/// A name that a crate, a C file and a module may have alike.
fn check(name: &str) -> Result<(), Failure> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(fits) {
        return Ok(());
    }
    let rule = "1 to 63 lower-case letters, digits and '_', a letter first";
    Err(ApiError::invalid("name", format!("name '{}': {rule}", name.escape_debug())).into())
}

/// How it goes on.
fn next(language: Language, name: &str, folder: &Path, sdk: Option<&Sdk>) -> Vec<String> {
    let cd = format!("cd {}", folder.display());
    let (build, file) = match language {
        Language::Rust => {
            let build = format!("{} --out . .", sdk.map(Sdk::script).unwrap_or_default());
            (vec!["cargo test".to_owned(), build], format!("{name}.wasm"))
        }
        Language::C => (
            vec![format!(
                "clang --target=wasm32 -nostdlib -ffreestanding -fno-builtin -mno-bulk-memory -O2 -std=c11 -I . \
                 -Wl,--no-entry {name}.c -o {name}.wasm"
            )],
            format!("{name}.wasm"),
        ),
        Language::Wat => (Vec::new(), format!("{name}.wat")),
    };
    let use_it = [
        format!("secuxflow module check {file}"),
        format!("secuxflow module load {name} {file}"),
        format!("secuxflow chain set default --module {name}"),
    ];
    [cd].into_iter().chain(build).chain(use_it).collect()
}
