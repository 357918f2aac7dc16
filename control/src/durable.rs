//! Files that survive a crash: written beside, synced, renamed over. A reader sees the old or the new one, never half.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// How the names of files begin that are not yet in their place.
pub(crate) const BESIDE: &str = ".state-";

/// Replace the file at `path` by `text`.
///
/// # Errors
/// What the system said; the old file is then untouched.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let directory = directory(path);
    let mut file = tempfile::Builder::new().prefix(BESIDE).tempfile_in(directory)?;
    file.write_all(text)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o640))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    sync(directory);
    Ok(())
}

/// Remove the file at `path`; one that is not there is removed already.
///
/// # Errors
/// What the system said; the file is then still there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        done => done?,
    }
    sync(directory(path));
    Ok(())
}

/// The directory that `path` lies in.
pub(crate) fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The change is made; without this it may be lost with the power, which is no reason to take it back.
fn sync(directory: &Path) {
    if let Err(e) = fs::File::open(directory).and_then(|directory| directory.sync_all()) {
        tracing::warn!("directory {} cannot be synced: {e}", directory.display());
    }
}
