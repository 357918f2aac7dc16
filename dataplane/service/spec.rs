//! A service as clients write it, and the check that makes it a [`Service`].

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Mac, Service};

/// Why a service was refused: the field, the value and the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} '{value}': {rule}")]
pub struct ServiceError {
    /// Name of the field as the API and the CLI spell it.
    pub field: &'static str,
    /// The value given.
    pub value: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

/// A service as clients write it; every field is text, so that a refusal can name field and value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// Unique name.
    pub name: String,
    /// Destination address.
    pub ip: String,
    /// Host-side device.
    pub dev: String,
    /// The container's MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

impl ServiceSpec {
    /// The service that this describes.
    ///
    /// # Errors
    /// The first field that breaks its rule.
    pub fn check(&self) -> Result<Service, ServiceError> {
        let refuse = |field, value: &str, rule| ServiceError { field, value: value.to_owned(), rule };
        let ip = self.ip.parse().map_err(|_| refuse("ip", &self.ip, "an IPv4 or IPv6 address is needed"))?;
        let mac = match &self.mac {
            Some(text) => {
                let rule = "six two-digit hex bytes separated by ':' are needed";
                Some(text.parse::<Mac>().map_err(|_| refuse("mac", text, rule))?)
            }
            None => None,
        };
        let service = Service { name: self.name.clone(), ip, dev: self.dev.clone(), mac };
        service.check()?;
        Ok(service)
    }
}

impl Service {
    /// Check the fields against their own rules.
    ///
    /// # Errors
    /// The first field that breaks its rule.
    pub fn check(&self) -> Result<(), ServiceError> {
        let Self { name, ip, dev, mac } = self;
        let refuse = |field, value: String, rule| Err(ServiceError { field, value, rule });
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 63 || !name.chars().all(allowed) {
            return refuse("name", name.clone(), "1 to 63 letters, digits, '-', '_' or '.' are needed");
        }
        if ip.is_unspecified() || ip.is_multicast() || matches!(ip, IpAddr::V4(ip) if ip.is_broadcast()) {
            return refuse("ip", ip.to_string(), "the unicast address of one host is needed");
        }
        if dev.is_empty() || dev.len() > 15 || dev.chars().any(|c| c == '/' || c.is_whitespace()) {
            return refuse("dev", dev.clone(), "the name of a device is needed, 1 to 15 characters");
        }
        match mac {
            Some(mac) if mac.0[0] & 1 == 1 || mac.0 == [0; 6] => {
                refuse("mac", mac.to_string(), "a unicast address is needed")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_checked_field_by_field() {
        let good = ServiceSpec { name: "web".into(), ip: "10.0.0.5".into(), dev: "veth0".into(), mac: None };
        assert_eq!(good.check().unwrap().ip, IpAddr::from([10, 0, 0, 5]));
        let with_mac = ServiceSpec { mac: Some("02:00:00:00:00:01".into()), ..good.clone() };
        assert_eq!(with_mac.check().unwrap().mac, Some(Mac([2, 0, 0, 0, 0, 1])));
        let bad = [
            (ServiceSpec { name: "a b".into(), ..good.clone() }, "name 'a b': "),
            (ServiceSpec { ip: "10.77.2.300".into(), ..good.clone() }, "ip '10.77.2.300': "),
            (ServiceSpec { ip: "0.0.0.0".into(), ..good.clone() }, "ip '0.0.0.0': "),
            (ServiceSpec { ip: "ff02::1".into(), ..good.clone() }, "ip 'ff02::1': "),
            (ServiceSpec { dev: "a-name-far-too-long".into(), ..good.clone() }, "dev 'a-name-far-too-long': "),
            (ServiceSpec { mac: Some("02:00".into()), ..good.clone() }, "mac '02:00': "),
            (ServiceSpec { mac: Some("01:00:00:00:00:00".into()), ..good.clone() }, "mac '01:00:00:00:00:00': "),
        ];
        for (spec, start) in bad {
            let message = spec.check().unwrap_err().to_string();
            assert!(message.starts_with(start), "{message}");
        }
    }
}
