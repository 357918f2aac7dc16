//! Prefix sets: feeds, entries with an end, and the files that they survive a restart in.

pub(crate) mod feed;
