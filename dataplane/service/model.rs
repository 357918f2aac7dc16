//! What a service is: where a destination lives.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

/// A link-layer address, written `02:00:00:00:00:01`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            *byte = parts
                .next()
                .filter(|part| part.len() == 2)
                .and_then(|part| u8::from_str_radix(part, 16).ok())
                .ok_or_else(|| format!("mac '{text}': six two-digit hex bytes separated by ':' expected"))?;
        }
        if parts.next().is_some() {
            return Err(format!("mac '{text}': more than six bytes"));
        }
        Ok(Self(bytes))
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Where a destination lives: an address, and the device through which it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Unique name: letters, digits, `-`, `_` and `.`, at most 63.
    pub name: String,
    /// Destination address of the traffic; unique among services.
    pub ip: IpAddr,
    /// Host-side device, usually the container's veth.
    pub dev: String,
    /// Container's MAC; found through the neighbour table where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
}

/// Whether inspected traffic can reach a service just now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum ServiceState {
    /// Reachable: device up, socket bound, MAC known.
    Up,
    /// Being resolved; traffic follows the fail policy meanwhile.
    Pending {
        /// What is being waited for.
        reason: String,
    },
    /// Not reachable; traffic follows the fail policy.
    Down {
        /// Why, and how to mend it.
        reason: String,
    },
}

/// How packets leave toward a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WayOut {
    /// By the TX ring of an AF_XDP socket.
    Tx,
    /// By injection, many in one call.
    Inject,
    /// By injection where a batch is large enough for that to be cheaper, else by the TX ring.
    Both,
}

impl WayOut {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tx => "tx",
            Self::Inject => "inject",
            Self::Both => "both",
        }
    }
}

/// A service with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// The service as configured.
    #[serde(flatten)]
    pub service: Service,
    /// Whether it is reachable.
    #[serde(flatten)]
    pub state: ServiceState,
    /// The container's MAC in use.
    pub resolved_mac: Option<Mac>,
    /// How packets leave toward it; none when they cannot.
    pub way: Option<WayOut>,
    /// Why not by injection as well, or what was done for it; empty when there is nothing to say.
    pub way_reason: String,
    /// Packets sent toward it by the workers.
    pub tx_packets: u64,
    /// Bytes sent toward it by the workers.
    pub tx_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_read_back_as_written() {
        let mac: Mac = "02:0a:ff:00:01:9c".parse().unwrap();
        assert_eq!(mac.to_string().parse::<Mac>().unwrap(), mac);
        for bad in
            ["", "02:0a:ff:00:01", "02:0a:ff:00:01:9c:00", "2:0a:ff:00:01:9c", "02-0a-ff-00-01-9c", "zz:0a:ff:00:01:9c"]
        {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
