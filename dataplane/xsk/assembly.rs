//! Descriptors of a ring made into packets: a packet's parts come one behind the other, all but the last marked.

use super::{Frame, Umem, parts::MAX_PARTS};

/// What is known of the packet whose last part has not come yet. It may come in another batch, so this lasts.
#[derive(Debug, Default)]
pub(super) enum Assembly {
    /// The next descriptor begins a packet.
    #[default]
    Between,
    /// These frames belong to a packet that goes on.
    Open(Frame),
    /// The packet cannot be put together: what comes of it is discarded.
    Spoilt,
}

impl Assembly {
    /// The next descriptor is part of a packet that began before.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self, Self::Between)
    }

    /// Frames that are held.
    pub(super) fn held(&self) -> usize {
        if let Self::Open(packet) = self { packet.frames() } else { 0 }
    }

    /// Take the next descriptor's frame, which is one of several; none where the ledger does not know it. A whole packet goes
    /// to `whole`, what cannot become one to `broken`: once for each such packet as something that is not empty.
    #[cold]
    pub(super) fn take(
        &mut self,
        umem: &Umem,
        part: Option<Frame>,
        goes_on: bool,
        whole: &mut Vec<Frame>,
        broken: &mut Vec<Frame>,
    ) {
        let next = match (std::mem::take(self), part) {
            (Self::Between, Some(first)) => Self::Open(first),
            (Self::Open(mut packet), Some(part)) if packet.frames() < MAX_PARTS => {
                umem.join(&mut packet, part);
                Self::Open(packet)
            }
            (Self::Open(packet), part) => {
                broken.push(packet);
                broken.extend(part.map(emptied));
                Self::Spoilt
            }
            (Self::Between | Self::Spoilt, part) => {
                broken.extend(part.map(emptied));
                Self::Spoilt
            }
        };
        match next {
            next if goes_on => *self = next,
            Self::Open(packet) => whole.push(packet),
            Self::Between | Self::Spoilt => {}
        }
    }

    /// Give up what is held.
    pub(super) fn abandon(&mut self) -> Option<Frame> {
        match std::mem::take(self) {
            Self::Open(packet) => Some(packet),
            Self::Between | Self::Spoilt => None,
        }
    }
}

fn emptied(mut part: Frame) -> Frame {
    part.truncate(0);
    part
}
