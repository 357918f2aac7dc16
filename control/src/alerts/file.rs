//! The EVE file: JSON lines, appended, reopened when asked so that logrotate can move it away.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// An open EVE file.
#[derive(Debug)]
pub(crate) struct EveFile {
    path: PathBuf,
    file: Option<File>,
    // One log line per row of failures, not one per alert.
    failing: bool,
}

impl EveFile {
    /// Open `path` for appending, and make its directory where there is none.
    ///
    /// # Errors
    /// The directory cannot be made or the file not opened.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
        }
        Ok(Self { path: path.to_owned(), file: Some(append(path)?), failing: false })
    }

    /// Open the path anew: after a rename, lines go to the new file.
    pub(crate) fn reopen(&mut self) {
        match append(&self.path) {
            Ok(file) => {
                tracing::info!("alert file {} reopened", self.path.display());
                self.file = Some(file);
                self.failing = false;
            }
            Err(e) => {
                tracing::error!("alert file {} cannot be reopened: {e}; alerts go to the old one", self.path.display());
            }
        }
    }

    /// Append `text`, whole lines; whether that worked. A failure is logged when it begins and when it ends.
    pub(super) fn write(&mut self, text: &[u8]) -> bool {
        let result = match &mut self.file {
            Some(file) => file.write_all(text),
            None => append(&self.path).and_then(|file| self.file.insert(file).write_all(text)),
        };
        match result {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("alert file {} is written again", self.path.display());
                }
                true
            }
            Err(e) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(
                        "alert file {} cannot be written: {e}; lost lines are counted",
                        self.path.display()
                    );
                }
                self.file = None;
                false
            }
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn reopening_follows_a_rename() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/eve.json");
        let mut file = EveFile::open(&path).unwrap();
        assert!(file.write(b"one\n"));
        let moved = dir.path().join("sub/eve.json.1");
        fs::rename(&path, &moved).unwrap();
        assert!(file.write(b"two\n"));
        file.reopen();
        assert!(file.write(b"three\n"));
        assert_eq!(fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn a_full_device_is_a_failure_that_is_told() {
        let mut file = EveFile::open(Path::new("/dev/full")).unwrap();
        assert!(!file.write(b"lost\n"));
        assert!(!file.write(b"lost\n"));
    }
}
