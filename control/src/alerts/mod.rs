//! Alerts behind the dataplane's queue: turned into EVE records, kept, written to a file, and streamed.

mod eve;
mod fields;
mod file;
mod pump;
mod store;

pub(crate) use eve::{line, protocol, timestamp};
pub(crate) use file::EveFile;
pub(crate) use pump::{drain, run};
pub(crate) use store::AlertStore;
