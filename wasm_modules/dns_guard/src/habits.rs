//! What sources ask for over time.

use alloc::string::String;

use secuxflow_sdk::{Halves, Sketch, Sources, Table};

use crate::{
    Config,
    domain::{Parts, parts},
    generated::Model,
    name::Name,
    tunnel,
};

/// A query with so many signs may be a tunnel's.
const SIGNS: usize = 2;

/// What a source does; the numbers are those of the alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// Asks for many different names with signs of a tunnel, below one domain.
    Tunnel = 7,
    /// Asks for many different names below one domain.
    Many = 8,
    /// Asks for many different domains that look generated.
    Generated = 9,
}

impl Habit {
    /// For people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Tunnel => "DNS tunnel: names below one domain that carry data",
            Self::Many => "DNS queries for many names below one domain",
            Self::Generated => "DNS queries for many generated domains",
        }
    }
}

/// Remembers sources, and pairs of source and registered domain.
#[derive(Debug)]
pub struct Habits {
    halves: Halves,
    model: Model,
    limits: [u32; 3],
    domains: Table<(u128, u64), Domain>,
    generated: Sources<Names>,
}

/// Different names, and the half of a window in which there were too many of them last.
#[derive(Debug, Default)]
struct Names {
    sketch: Sketch,
    told: Option<u64>,
}

#[derive(Debug, Default)]
struct Domain {
    odd: Names,
    all: Names,
}

impl Names {
    /// One more; when there are more than `limit`, whether that is new in this half of the window.
    fn add(&mut self, half: u64, hash: u64, limit: u32) -> Option<bool> {
        (self.sketch.add(half, hash) > limit).then(|| self.told.replace(half) != Some(half))
    }
}

impl Habits {
    /// Nothing is remembered yet.
    ///
    /// # Errors
    /// There is not that much heap.
    pub fn new(config: &Config) -> Result<Self, String> {
        Ok(Self {
            halves: Halves::new(config.window_seconds),
            model: Model::default(),
            limits: [config.tunnel_names, config.names, config.generated],
            domains: Table::new(config.domains)?,
            generated: Sources::new(config.sources)?,
        })
    }

    /// A query of a source, for a name and type. Returns the gravest habit that shows in it, and whether that is to be told:
    /// once in each half of a window.
    pub fn query(&mut self, source: u128, name: &Name, kind: u16, now: u64) -> Option<(Habit, bool)> {
        let parts = parts(name.as_bytes())?;
        let half = self.halves.half(now);
        let [odd, all, generated] = self.limits;
        if !parts.below.is_empty() {
            let below = hash(parts.below);
            let domain = self.domains.get_or_default((source, hash(parts.registered)));
            let is_odd = tunnel::signs(&parts, kind) >= SIGNS;
            let tunnel = if is_odd { domain.odd.add(half, below, odd) } else { None };
            let many = domain.all.add(half, below, all);
            if let Some(new) = tunnel {
                return Some((Habit::Tunnel, new));
            }
            if let Some(new) = many {
                return Some((Habit::Many, new));
            }
        }
        if !self.model.is_generated(parts.label) {
            return None;
        }
        let Parts { registered, .. } = parts;
        let names = self.generated.get_or_default(source);
        names.add(half, hash(registered), generated).map(|new| (Habit::Generated, new))
    }
}

/// FNV-1a. Who makes names collide with it makes fewer of them count, which is worth nothing to him: each would have to be
/// found first.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
