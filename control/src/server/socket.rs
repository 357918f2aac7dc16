//! The control socket's file: one daemon per path, a dead daemon's leftovers replaced, a live one's left alone.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};
use tokio::net::UnixListener;

/// Why the socket could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// A live daemon has it.
    #[error("{} is in use by a running daemon{}; stop it, or give this one another --{setting}", path.display(), pid(owner))]
    InUse {
        /// The socket or state file.
        path: PathBuf,
        /// Process id in the lock file.
        owner: String,
        /// The flag that moves it.
        setting: &'static str,
    },
    /// Something else is in the way.
    #[error("{} exists and is no socket; remove it, or give another --socket", .0.display())]
    NoSocket(PathBuf),
    /// The group is not known.
    #[error("socket.group: there is no group '{0}' on this machine")]
    NoGroup(String),
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn pid(owner: &str) -> String {
    if owner.is_empty() { String::new() } else { format!(" (process {owner})") }
}

/// An exclusive claim on a path, by a locked file beside it. The kernel drops it with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    _file: Flock<File>,
}

impl Lock {
    /// Claim `path`, whose flag is `--setting`.
    ///
    /// # Errors
    /// [`SocketError::InUse`] when a live process holds it, [`SocketError::Io`] when the lock file cannot be made.
    pub(crate) fn take(path: &Path, setting: &'static str) -> Result<Self, SocketError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        let fail = |source| SocketError::Io { path: lock.clone(), source };
        if let Some(directory) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(fail)?;
        }
        loop {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).mode(0o644).open(&lock);
            let mut file = match Flock::lock(file.map_err(fail)?, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                    let mut owner = String::new();
                    file.read_to_string(&mut owner).map_err(fail)?;
                    return Err(SocketError::InUse { path: path.to_owned(), owner: owner.trim().to_owned(), setting });
                }
                Err((_, errno)) => return Err(fail(errno.into())),
            };
            // The owner removes the file while it holds it: a lock on a file that is gone locks nothing.
            let held = file.metadata().map_err(fail)?;
            if fs::metadata(&lock).is_ok_and(|now| now.ino() == held.ino() && now.dev() == held.dev()) {
                file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(fail)?;
                return Ok(Self { path: lock, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before the lock goes, so that nobody else's file is removed.
        if let Err(e) = fs::remove_file(&self.path) {
            tracing::warn!("{} cannot be removed: {e}", self.path.display());
        }
    }
}

/// A bound control socket; its file goes when this is dropped.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    path: PathBuf,
}

impl ControlSocket {
    /// Bind `path` with mode 0660 for `group`, replacing what a dead daemon left. The caller holds the path's [`Lock`].
    ///
    /// # Errors
    /// [`SocketError`].
    pub(crate) fn bind(path: &Path, group: Option<&str>) -> Result<(Self, UnixListener), SocketError> {
        let fail = |source| SocketError::Io { path: path.to_owned(), source };
        let gid = group.map(gid).transpose()?;
        clear(path)?;
        let listener = UnixListener::bind(path).map_err(fail)?;
        let socket = Self { path: path.to_owned() };
        if let Some(gid) = gid {
            std::os::unix::fs::chown(path, None, Some(gid)).map_err(fail)?;
        }
        fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(fail)?;
        Ok((socket, listener))
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_file(&self.path) {
            tracing::warn!("{} cannot be removed: {e}", self.path.display());
        }
    }
}

fn gid(name: &str) -> Result<u32, SocketError> {
    let group = nix::unistd::Group::from_name(name).ok().flatten();
    group.map(|group| group.gid.as_raw()).ok_or_else(|| SocketError::NoGroup(name.to_owned()))
}

/// Remove a dead daemon's socket.
fn clear(path: &Path) -> Result<(), SocketError> {
    let fail = |source| SocketError::Io { path: path.to_owned(), source };
    let found = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(fail)?,
    };
    if !found.file_type().is_socket() {
        return Err(SocketError::NoSocket(path.to_owned()));
    }
    // Held by no lock of ours, but perhaps by another program.
    if UnixStream::connect(path).is_ok() {
        return Err(SocketError::InUse { path: path.to_owned(), owner: String::new(), setting: "socket" });
    }
    tracing::info!("{} was left by a daemon that is dead; it is replaced", path.display());
    fs::remove_file(path).map_err(fail)
}
