//! HTTP/1.x for rules: requests and responses as transactions of buffers, incremental and bounded, and as lenient as
//! clients are, because what a client decodes is what has to be inspected.

mod body;
mod coding;
mod headers;
mod parser;
mod tx;
mod uri;

pub use headers::Shown;
pub use parser::Http;
pub use tx::{Message, Progress, Tx};
