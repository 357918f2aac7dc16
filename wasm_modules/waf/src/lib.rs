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
mod response;
mod scan;
mod shell;
mod sql;

use alloc::{boxed::Box, string::String};

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
    /// Where responses are looked at.
    responses: Option<Box<response::Responses>>,
}

impl Connection {
    /// Bytes that it has on the heap, about.
    #[must_use]
    pub fn held(&self) -> usize {
        let responses = |responses: &response::Responses| size_of_val(responses) + responses.held();
        self.requests.held() + self.responses.as_deref().map_or(0, responses)
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
        let decision = connection::requests(&mut self.0, &mut connection.requests, bytes, out);
        let asked = core::mem::take(&mut self.0.asked);
        if self.0.config.response_bytes > 0 {
            connection.responses.get_or_insert_default().ask(asked);
        }
        decision
    }

    /// The next bytes from server to client, in order, where responses are looked at (`response_bytes`). They come in time
    /// behind the requests that they answer. `out` gets every finding.
    pub fn response_bytes(&mut self, connection: &mut Connection, bytes: &[u8], out: &mut impl FnMut(Finding<'_>)) {
        if let Some(responses) = &mut connection.responses {
            responses.push(&mut self.0, bytes, out);
        }
    }

    /// The server sends no more, or, where `lost`, what it sent last is missing.
    pub fn end_of_responses(&mut self, connection: &mut Connection, lost: bool, out: &mut impl FnMut(Finding<'_>)) {
        match &mut connection.responses {
            Some(responses) if lost => responses.lose(),
            Some(responses) => responses.end(&mut self.0, out),
            None => {}
        }
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
