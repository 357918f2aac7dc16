//! Text that has no parameters.

use super::Collected;
use crate::{
    finding::{Part, Place},
    inspector::Inspector,
};

const PLACE: Place<'static> = Place { part: Part::Body, name: b"" };

/// Text, inspected in pieces.
#[derive(Debug, Default)]
pub(crate) struct Plain(Collected);

impl Plain {
    pub(super) fn push(&mut self, bytes: &[u8], to: &mut Inspector<'_>) {
        self.0.extend(bytes, |piece| to.value(PLACE, piece));
    }

    pub(super) fn end(&mut self, to: &mut Inspector<'_>) {
        self.0.finish(|piece| to.value(PLACE, piece));
    }
}
