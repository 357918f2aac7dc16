//! Rules against data.

pub mod bytes;
pub mod inspect;
pub mod prefilter;
