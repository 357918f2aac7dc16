//! Sets, as the API tells and takes them.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::sets::feed::BadLine;

/// Largest feed in bytes: a million lines of 64.
pub(crate) const MAX_FEED_BODY: usize = 64 << 20;

/// All sets, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sets {
    /// The sets.
    pub(crate) sets: Vec<SetInfo>,
}

/// A set without its entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetInfo {
    /// Its name; rules call it `@name`.
    pub(crate) name: String,
    /// Whether packets from its addresses are dropped before any rule is looked at.
    pub(crate) blocklist: bool,
    /// Text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<String>,
    /// Number of entries.
    pub(crate) entries: usize,
    /// Of these, how many end by themselves.
    pub(crate) timed: usize,
    /// Number of rules that name it, disabled ones included.
    pub(crate) used_by: usize,
    /// Prefixes that feeds brought since the daemon started, those that were there already included.
    pub(crate) imported: u64,
    /// Entries that ended by themselves since the daemon started.
    pub(crate) expired: u64,
}

/// A set with entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetEntries {
    /// The set.
    #[serde(flatten)]
    pub(crate) set: SetInfo,
    /// Its entries, ascending, at most as many as were asked for.
    pub(crate) prefixes: Vec<SetEntry>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetEntry {
    /// The prefix.
    pub(crate) prefix: IpNet,
    /// When it ends, RFC 3339; absent when it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<String>,
    /// Seconds until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) remaining_seconds: Option<u64>,
}

/// A new, empty set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateSet {
    /// Its name: 1 to 32 of `a-z`, `0-9`, `_`, `-` and `.`, the first a letter or digit.
    pub(crate) name: String,
    /// Whether packets from its addresses are dropped before any rule is looked at.
    #[serde(default)]
    pub(crate) blocklist: bool,
    /// Text for people, at most 256 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<String>,
}

/// Entries to add.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddEntries {
    /// Addresses and prefixes without host bits.
    pub(crate) prefixes: Vec<String>,
    /// How long they stay, as in `10m`; for good where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<String>,
}

/// Entries to remove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveEntries {
    /// The prefixes, as they were added.
    pub(crate) prefixes: Vec<String>,
}

/// How a feed is to be imported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportOptions {
    /// Refuse the whole feed when a line is bad, or has bits behind its prefix.
    #[serde(default)]
    pub(crate) strict: bool,
    /// Make the set exactly the feed.
    #[serde(default)]
    pub(crate) replace: bool,
    /// How long the entries stay, as in `10m`; for good where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<String>,
}

/// What a change did to a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetChange {
    /// The set.
    pub(crate) name: String,
    /// Number of entries it has now.
    pub(crate) entries: usize,
    /// Prefixes that are new.
    pub(crate) added: usize,
    /// Prefixes that are gone.
    pub(crate) removed: usize,
    /// Prefixes that were there and end at another time now.
    pub(crate) renewed: usize,
    /// Prefixes that were there already and stay as they were.
    pub(crate) unchanged: usize,
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetImported {
    /// To the set.
    #[serde(flatten)]
    pub(crate) change: SetChange,
    /// Lines with a prefix that another line has too.
    pub(crate) duplicates: usize,
    /// Number of prefixes with host bits, which were cut.
    pub(crate) widened_lines: usize,
    /// The first 20 of these.
    pub(crate) widened: Vec<BadLine>,
    /// Number of lines that hold something else than a prefix.
    pub(crate) bad_lines: usize,
    /// The first 20 of these.
    pub(crate) bad: Vec<BadLine>,
}
