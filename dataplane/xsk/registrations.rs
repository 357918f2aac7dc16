//! The registrations of a UMEM with the kernel, and which of them a socket goes on.

use std::{
    io,
    sync::{Arc, Weak},
};

use super::{KernelRings, PortSpec, Umem, first, registration::Registration};

/// The first registration is xsk-rs' own; sockets share it as long as they are alike and its first one is bound.
/// Every other device has one for itself, which goes with the last of the device's sockets.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    first: First,
    own: Vec<Own>,
    /// Sockets are to take packets of several frames.
    pub(super) parts: bool,
}

/// What the first registration can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum First {
    /// Its first socket, of either mode.
    #[default]
    Free,
    /// Sockets of this mode, which take packets of several frames or do not: the kernel gives all what its first one has.
    Bound { zero_copy: bool, parts: bool },
    /// None: the device of its first socket is gone.
    Gone,
}

#[derive(Debug)]
struct Own {
    ifindex: u32,
    zero_copy: bool,
    parts: bool,
    registration: Weak<Registration>,
}

impl Registrations {
    /// The first registration's first socket is closed. Its library would take the next one for the first again.
    pub(super) fn lose_first(&mut self) {
        self.first = First::Gone;
    }

    /// Bind a socket in this mode, for packets of several frames where those are `parts`.
    pub(super) fn open(
        &mut self,
        umem: &Umem,
        spec: &PortSpec,
        zero_copy: bool,
        parts: bool,
    ) -> io::Result<KernelRings> {
        if self.first == First::Free || self.first == (First::Bound { zero_copy, parts }) {
            match first::open(umem, spec, zero_copy, parts) {
                Ok(rings) => {
                    self.first = First::Bound { zero_copy, parts };
                    return Ok(rings.into());
                }
                // The kernel's word for a first socket that is bound no more.
                Err(error) if error.raw_os_error() == Some(libc::EBADF) && self.first != First::Free => {
                    self.first = First::Gone;
                }
                Err(error) => return Err(error),
            }
        }
        self.open_own(umem, spec, zero_copy, parts).map(KernelRings::from)
    }

    fn open_own(
        &mut self,
        umem: &Umem,
        spec: &PortSpec,
        zero_copy: bool,
        parts: bool,
    ) -> io::Result<super::registration::OwnRings> {
        self.own.retain(|own| own.registration.strong_count() > 0);
        let ifindex = nix::net::if_::if_nametoindex(spec.dev.as_str())?;
        let same = |own: &&Own| (own.ifindex, own.zero_copy, own.parts) == (ifindex, zero_copy, parts);
        let there = self.own.iter().find(same);
        if let Some(registration) = there.and_then(|own| own.registration.upgrade()) {
            return registration.open(spec, zero_copy, parts);
        }
        let registration = Arc::new(Registration::new(umem)?);
        let rings = registration.open(spec, zero_copy, parts)?;
        self.own.push(Own { ifindex, zero_copy, parts, registration: Arc::downgrade(&registration) });
        Ok(rings)
    }
}
