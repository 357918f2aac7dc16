//! Options of rules, one file a family.

pub mod bits;
pub mod bytes;
pub mod content;
pub mod meta;
pub mod packet;
pub mod pcre;
mod pcre_syntax;
pub mod threshold;
pub mod transform;
