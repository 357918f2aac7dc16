//! waf: attacks in HTTP/1.x requests, found in a connection's bytes in whatever pieces they come.
//!
//! ```text
//! bytes ─► connection (framing) ─► head ─► path, query, cookies, headers ─┐
//!                     └─► inflate ─► body (form, JSON, XML, multipart) ───┴─► values
//! value ─► normal forms ─► patterns (one automaton, then single DFAs) ┐
//!                      ├─► tokens of SQL                              ├─► findings ─► score ─► decision
//!                      └─► HTML as a browser reads it                 ┘
//! ```
#![cfg_attr(target_arch = "wasm32", no_std)]
#![deny(missing_docs)]
#![deny(unsafe_code)]

extern crate alloc;

mod body;
mod checks;
mod config;
mod connection;
mod finding;
mod head;
mod html;
mod inflate;
mod inspector;
mod known;
mod literals;
mod module;
mod names;
mod normalise;
mod prefilter;
mod rarity;
mod scan;
mod shell;
mod sql;

use alloc::string::String;

pub use config::{Config, Exclusion, check as check_config, parse as parse_config};
pub use connection::Decision;
pub use finding::{Category, Finding, MOST_DATA, Part, Place, Severity};
pub use module::WafModule;

/// Every check that there is: number, severity, paranoia level, family, and what it finds.
pub fn checks() -> impl Iterator<Item = (u32, Severity, u8, Category, &'static str)> {
    checks::list().map(|rule| (rule.id, rule.severity, rule.level, rule.category, rule.message))
}

/// The checks, compiled. One serves any number of connections, one after the other.
#[derive(Debug)]
pub struct Waf(inspector::Engine);

/// What is kept of one connection. Between requests it takes no memory of its own.
#[derive(Debug, Default)]
pub struct Connection {
    requests: connection::Side,
}

impl Connection {
    /// Bytes that it has on the heap, about.
    #[must_use]
    pub fn held(&self) -> usize {
        self.requests.held()
    }
}

impl Waf {
    /// Compile the checks of the configured level.
    ///
    /// # Errors
    /// A pattern that does not compile, for people.
    pub fn new(config: &Config) -> Result<Self, String> {
        Ok(Self(inspector::Engine::new(config.clone())?))
    }

    /// The next bytes from client to server, in order. `out` gets every finding.
    pub fn request_bytes(
        &mut self,
        connection: &mut Connection,
        bytes: &[u8],
        out: &mut impl FnMut(Finding<'_>),
    ) -> Decision {
        connection::requests(&mut self.0, &mut connection.requests, bytes, out)
    }

    /// The client sends no more: what is open is judged by what came of it.
    pub fn end(&mut self, connection: &mut Connection, out: &mut impl FnMut(Finding<'_>)) -> Decision {
        connection::end(&mut self.0, &mut connection.requests, out)
    }

    /// A whole connection's requests at once.
    pub fn inspect(&mut self, bytes: &[u8], out: &mut impl FnMut(Finding<'_>)) -> Decision {
        let mut connection = Connection::default();
        let first = self.request_bytes(&mut connection, bytes, out);
        let last = self.end(&mut connection, out);
        if first == Decision::Block { first } else { last }
    }
}
