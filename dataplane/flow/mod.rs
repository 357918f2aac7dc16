//! Flow keys.
