//! Lists of addresses and prefixes.

use alloc::{format, string::String, vec::Vec};
use core::net::IpAddr;

use ipnet::IpNet;

/// Most entries: they are looked at one after the other.
const MOST: usize = 64;

/// A short list of addresses and prefixes.
#[derive(Debug)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// The list that an option has: up to 64 of `10.0.0.0/8`, `fd00::/8`, or addresses.
    ///
    /// # Errors
    /// An entry is none of these, or there are too many; the text says which of the `option`.
    pub fn new(option: &str, entries: &[String]) -> Result<Self, String> {
        if entries.len() > MOST {
            return Err(format!("{option}: {} entries, at most {MOST} are possible", entries.len()));
        }
        let parsed = entries.iter().enumerate().map(|(number, text)| {
            let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            net.map_err(|_| format!("{option}[{number}]: {text:?} is no address and no prefix, such as 10.0.0.0/8"))
        });
        parsed.collect::<Result<_, _>>().map(Self)
    }

    /// Whether an address is in one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_prefixes() {
        let entries = ["10.0.0.0/8".into(), "192.0.2.1".into(), "fd00::/8".into()];
        let networks = Networks::new("exempt", &entries).unwrap();
        for (address, inside) in [("10.9.9.9", true), ("192.0.2.1", true), ("192.0.2.2", false), ("fd01::1", true)] {
            assert_eq!(networks.contains(address.parse().unwrap()), inside, "{address}");
        }
        let error = Networks::new("exempt", &["10.0.0.0/8".into(), "10.0.0.0/33".into()]).unwrap_err();
        assert!(error.starts_with("exempt[1]: \"10.0.0.0/33\""), "{error}");
        assert!(Networks::new("exempt", &vec!["::1".into(); 65]).is_err());
    }
}
