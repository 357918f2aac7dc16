//! The application protocols that the engine tells apart in traffic.

/// An application protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AppProto {
    /// HTTP/1.x and 0.9.
    Http,
    /// TLS and SSL 3.0 records.
    Tls,
    /// DNS over UDP and TCP.
    Dns,
    /// SSH.
    Ssh,
    /// SMTP.
    Smtp,
    /// FTP's control connection.
    Ftp,
}

impl AppProto {
    /// How many there are; as numbers they are below it.
    pub const COUNT: usize = Self::Ftp as usize + 1;

    /// By the name that rules use.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "http" | "http1" => Self::Http,
            "tls" | "ssl" => Self::Tls,
            "dns" => Self::Dns,
            "ssh" => Self::Ssh,
            "smtp" => Self::Smtp,
            "ftp" => Self::Ftp,
            _ => return None,
        })
    }

    /// The name that alerts use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tls => "tls",
            Self::Dns => "dns",
            Self::Ssh => "ssh",
            Self::Smtp => "smtp",
            Self::Ftp => "ftp",
        }
    }

    /// The protocol of IP below it, `None` for TCP and UDP alike.
    #[must_use]
    pub fn transport(self) -> Option<u8> {
        match self {
            Self::Dns => None,
            _ => Some(6),
        }
    }
}
