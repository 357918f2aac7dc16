//! Ed25519 keys and detached signatures of module files.
//!
//! Keys are files as OpenSSL writes them (PEM: PKCS #8 for a secret key, SubjectPublicKeyInfo for a public one), or 32 bytes
//! in base64. A signature is 64 bytes, raw as `openssl pkeyutl -sign -rawin` writes them, or in base64; it is of the file's
//! bytes as they are.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ed25519_compact::{KeyPair, PublicKey as Point, Seed};

/// What precedes the 32 bytes of a public key in DER (RFC 8410).
const PUBLIC_DER: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// The same of a secret key.
const SECRET_DER: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// Length of either key in bytes.
const KEY: usize = 32;
/// Most bytes of a key or signature file that are read.
const MAX_FILE: u64 = 4096;

/// Why a key or signature cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The content is something else.
    #[error("{} is no Ed25519 {what}: {expected} expected", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// What would be right.
        expected: &'static str,
    },
}

/// A key that modules may be signed by.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PublicKey {
    /// The file's name without its ending.
    pub(crate) name: String,
    bytes: [u8; KEY],
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.name).finish()
    }
}

impl PublicKey {
    /// Read a key file.
    ///
    /// # Errors
    /// [`KeyError`].
    pub(crate) fn read(path: &Path) -> Result<Self, KeyError> {
        let bytes = key_bytes(&read(path)?, "PUBLIC KEY", &PUBLIC_DER);
        let bytes = bytes.filter(|bytes| Point::new(*bytes).validate().is_ok());
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        bytes.map(|bytes| Self { name, bytes }).ok_or_else(|| KeyError::Format {
            path: path.to_owned(),
            what: "public key",
            expected: "PEM with 'BEGIN PUBLIC KEY', or 32 bytes in base64,",
        })
    }
}

/// A key that modules are signed with.
pub(crate) struct SecretKey(KeyPair);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey")
    }
}

impl SecretKey {
    /// A new one, by the system's random numbers.
    ///
    /// # Errors
    /// The system has none.
    pub(crate) fn generate() -> io::Result<Self> {
        let mut seed = [0; KEY];
        File::open("/dev/urandom")?.read_exact(&mut seed)?;
        Ok(Self(KeyPair::from_seed(Seed::new(seed))))
    }

    /// Read a key file.
    ///
    /// # Errors
    /// [`KeyError`].
    pub(crate) fn read(path: &Path) -> Result<Self, KeyError> {
        let seed = key_bytes(&read(path)?, "PRIVATE KEY", &SECRET_DER);
        let refuse = || KeyError::Format {
            path: path.to_owned(),
            what: "secret key",
            expected: "PEM with 'BEGIN PRIVATE KEY', or 32 bytes in base64,",
        };
        seed.map(|seed| Self(KeyPair::from_seed(Seed::new(seed)))).ok_or_else(refuse)
    }

    /// As PEM.
    pub(crate) fn pem(&self) -> String {
        pem("PRIVATE KEY", &[&SECRET_DER[..], &*self.0.sk.seed()].concat())
    }

    /// The public key as PEM.
    pub(crate) fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &[&PUBLIC_DER[..], &*self.0.pk].concat())
    }

    /// Sign a module's file.
    pub(crate) fn sign(&self, code: &[u8]) -> Signature {
        Signature(*self.0.sk.sign(code, None))
    }
}

/// A signature of a module's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signature([u8; 64]);

impl Signature {
    /// Read a signature file.
    ///
    /// # Errors
    /// [`KeyError`].
    pub(crate) fn read(path: &Path) -> Result<Self, KeyError> {
        Self::parse(&read(path)?).ok_or_else(|| KeyError::Format {
            path: path.to_owned(),
            what: "signature",
            expected: "64 bytes, raw or in base64,",
        })
    }

    /// 64 raw bytes, or base64 of them.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        if let Ok(raw) = bytes.try_into() {
            return Some(Self(raw));
        }
        let decoded = BASE64.decode(bytes.trim_ascii()).ok()?;
        decoded.try_into().ok().map(Self)
    }

    /// As raw bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As base64.
    pub(crate) fn text(&self) -> String {
        BASE64.encode(self.0)
    }
}

/// Whom modules have to come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Trust {
    /// A module without the signature of one of the keys is refused.
    pub(crate) required: bool,
    /// The keys.
    pub(crate) keys: Vec<PublicKey>,
}

impl Trust {
    /// The name of the key that `signature` was made with; none for a module that is not signed, or that cannot be checked
    /// because there are no keys, where that is allowed.
    ///
    /// # Errors
    /// Why the module is refused. A signature that does not fit is refused also where none is required: the file is not what
    /// its author wrote.
    pub(crate) fn check(&self, code: &[u8], signature: Option<&Signature>) -> Result<Option<String>, String> {
        let Some(signature) = signature else {
            return if self.required {
                Err("it is not signed, and modules.require_signed is set; sign it with `secuxflow module sign`".into())
            } else {
                Ok(None)
            };
        };
        if self.keys.is_empty() && !self.required {
            return Ok(None);
        }
        let made = ed25519_compact::Signature::new(signature.0);
        let fits = |key: &&PublicKey| Point::new(key.bytes).verify(code, &made).is_ok();
        match self.keys.iter().find(fits) {
            Some(key) => Ok(Some(key.name.clone())),
            None => {
                Err("its signature fits none of the keys in modules.keys: the file was changed after it was signed, \
                         or was signed by somebody else"
                    .into())
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes));
    read.map_err(|source| KeyError::Io { path: path.to_owned(), source })?;
    Ok(bytes)
}

/// The key in a file: PEM with this label and DER head, or base64 of the key alone.
fn key_bytes(file: &[u8], label: &str, head: &[u8]) -> Option<[u8; KEY]> {
    let text = std::str::from_utf8(file).ok()?.trim();
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let Some(inner) = text.strip_prefix(begin.as_str()) else {
        return BASE64.decode(text).ok()?.try_into().ok();
    };
    let inner: String = inner.strip_suffix(end.as_str())?.split_whitespace().collect();
    BASE64.decode(inner).ok()?.strip_prefix(head)?.try_into().ok()
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8410, section 10: an example key, whose PEM any tool takes.
    const SECRET: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

    fn file(text: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::Builder::new().prefix("release").suffix(".pem").tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn trust(required: bool) -> Trust {
        let key = PublicKey::read(file(PUBLIC.as_bytes()).path()).unwrap();
        Trust { required, keys: vec![PublicKey { name: "release".into(), ..key }] }
    }

    #[test]
    fn keys_of_the_standard_are_read_and_written() {
        let secret = SecretKey::read(file(SECRET.as_bytes()).path()).unwrap();
        assert_eq!((secret.pem().as_str(), secret.public_pem().as_str()), (SECRET, PUBLIC));
        let base64 = b"Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n";
        let key = PublicKey::read(file(base64).path()).unwrap();
        assert_eq!(key.bytes, trust(true).keys[0].bytes);
        assert!(key.name.starts_with("release"));
        let (one, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        assert_ne!(one.pem(), other.pem());
    }

    #[test]
    fn what_is_no_key_or_signature_is_named() {
        for bad in [&b""[..], b"\xff\xfe", SECRET.as_bytes(), b"AAAA", &[b'A'; 5000]] {
            let file = file(bad);
            let error = PublicKey::read(file.path()).unwrap_err().to_string();
            assert!(error.contains("release") && error.contains("no Ed25519 public key"), "{error}");
        }
        assert!(SecretKey::read(file(PUBLIC.as_bytes()).path()).is_err());
        assert!(Signature::read(file(&[7; 63]).path()).is_err());
        assert!(matches!(PublicKey::read(Path::new("/none/key")), Err(KeyError::Io { .. })));
    }

    #[test]
    fn a_signature_is_of_these_bytes_by_one_of_these_keys() {
        let secret = SecretKey::read(file(SECRET.as_bytes()).path()).unwrap();
        let signature = secret.sign(b"code");
        let by_release = Ok(Some("release".to_owned()));
        assert_eq!(trust(true).check(b"code", Some(&signature)), by_release);
        let text = Signature::read(file(format!("{}\n", signature.text()).as_bytes()).path()).unwrap();
        let raw = Signature::read(file(signature.bytes()).path()).unwrap();
        assert_eq!((text, raw), (signature, signature));
        for required in [true, false] {
            assert!(trust(required).check(b"Code", Some(&signature)).unwrap_err().contains("fits none"));
            let other = SecretKey::generate().unwrap().sign(b"code");
            assert!(trust(required).check(b"code", Some(&other)).is_err());
        }
        assert!(trust(true).check(b"code", None).unwrap_err().contains("require_signed"));
        assert_eq!(trust(false).check(b"code", None), Ok(None));
        assert_eq!(Trust::default().check(b"code", Some(&signature)), Ok(None), "nothing to check it by");
        assert!(Trust { required: true, keys: vec![] }.check(b"code", Some(&signature)).is_err());
    }
}
