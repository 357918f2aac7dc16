//! Modules and chains as control keeps them: who signed what, what the API changed, and where it is stored.

mod key;
mod limits;
mod loaded;
mod option_files;
mod step;
mod store;

pub(crate) use key::{KeyError, PublicKey, SecretKey, Signature, Trust};
pub(crate) use limits::Limits;
pub(crate) use loaded::{Inspection, LoadError, LoadedChain, LoadedModule, Origin, read_file};
pub(crate) use option_files::read_options;
pub(crate) use step::StepSpec;
pub(crate) use store::{StoreError, StoredInspection, delete, directory, restore, save};

/// Largest module file in bytes.
pub(crate) const MAX_CODE: usize = 64 << 20;

/// SHA-256 of a module's file, hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;

    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Why `name` cannot be the name of a module or chain.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.len() <= 63 && name.chars().all(fits) {
        return Ok(());
    }
    let shown: String = name.chars().take(80).collect();
    Err(format!("'{shown}' is no name: 1 to 63 letters, digits, '-', '_' or '.'"))
}
