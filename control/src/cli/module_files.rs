//! `module check`, `sign` and `keygen`: modules and keys as files, without a daemon.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use secuxflow::{
    inspect::{ModuleReport, examine},
    plane::{Code, ModuleConfig},
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    exit::Failure,
    modules_show::Checked,
    output::{Output, Show},
};
use crate::{
    api::ErrorCode,
    error::ApiError,
    modules::{Limits, SecretKey, read_file},
};

/// Where the signature of a file is looked for.
pub(super) fn signature_of(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".sig");
    name.into()
}

/// `module check`.
pub(super) fn check(
    file: &Path,
    options: Option<Map<String, Value>>,
    heap_mib: i64,
    out: Output,
) -> Result<(), Failure> {
    let code = read_file(file).map_err(|source| Failure::File { path: file.to_owned(), source })?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut config = ModuleConfig {
        path: file.to_owned(),
        code: Some(Code::from(code)),
        config: options.map_or_else(|| "{}".to_owned(), |options| Value::from(options).to_string()),
        ..Limits::default_config(&name)
    };
    let mut fault = None;
    let limits = Limits { heap_mib: Some(heap_mib), ..Limits::default() };
    limits.apply(&mut config, |field, rule| {
        fault = Some(ApiError::field(ErrorCode::Invalid, field, format!("{field}: {rule}")));
    });
    if let Some(fault) = fault {
        return Err(fault.into());
    }
    let report: ModuleReport = examine(&config)?;
    out.answer(&Checked { file: file.display().to_string(), report })
}

/// Files that were written.
#[derive(Debug, Serialize)]
pub(super) struct Written {
    pub(super) written: Vec<String>,
    /// What to do next.
    pub(super) next: Vec<String>,
}

impl Show for Written {
    fn show(&self) -> String {
        let next = self.next.iter().map(|line| format!("  {line}\n")).collect::<String>();
        let next = if next.is_empty() { next } else { format!("next:\n{next}") };
        self.written.iter().map(|file| format!("{file} written\n")).collect::<String>() + &next
    }
}

/// `module sign`.
pub(super) fn sign(file: &Path, key: &Path, out: Output) -> Result<(), Failure> {
    let code = read_file(file).map_err(|source| Failure::File { path: file.to_owned(), source })?;
    let (signature, to) = (SecretKey::read(key)?.sign(&code), signature_of(file));
    fs::write(&to, signature.bytes()).map_err(|source| Failure::File { path: to.clone(), source })?;
    out.answer(&Written { written: vec![to.display().to_string()], next: Vec::new() })
}

/// `module keygen`.
pub(super) fn keygen(file: &Path, out: Output) -> Result<(), Failure> {
    let key = SecretKey::generate().map_err(|source| Failure::File { path: "/dev/urandom".into(), source })?;
    let mut public = OsString::from(file);
    public.push(".pub");
    let public = PathBuf::from(public);
    write_new(file, &key.pem(), 0o600)?;
    write_new(&public, &key.public_pem(), 0o644)?;
    let next = format!("name {} in modules.keys of the daemon's configuration", public.display());
    out.answer(&Written { written: [file, &public].map(|path| path.display().to_string()).into(), next: vec![next] })
}

/// Write a file that is not there yet.
pub(super) fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let done: io::Result<()> = file.and_then(|mut file| file.write_all(text.as_bytes()));
    done.map_err(|source| Failure::File { path: path.to_owned(), source })
}
