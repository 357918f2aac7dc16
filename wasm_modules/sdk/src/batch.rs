//! The packets of a call, and what can be said of them.

use core::{fmt, net::IpAddr, ops::Deref};

use secuxflow_abi::{self as abi, flags, verdict};
use serde::{Deserialize, Serialize};

use crate::{
    alert::{Fields, Severity, Text},
    calls,
    window::Window,
};

/// What becomes of a packet. In configurations `pass`, `drop` and `reject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// On to the next module, and out.
    Pass,
    /// Discarded. From [`Stream`](crate::Stream), so is what else comes of the flow.
    Drop,
    /// Discarded, and both ends of a TCP connection, or the sender, are told.
    Reject,
}

/// The packets of a call, at most [`abi::MAX_BATCH`].
#[derive(Debug)]
pub struct Batch<'a> {
    packets: &'a mut [abi::Packet],
    window: Window<'a>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(packets: &'a mut [abi::Packet], window: Window<'a>) -> Self {
        Self { packets, window }
    }

    /// Number of packets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether there are none, as for a stream's mere events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// The packets, in the order of their arrival.
    pub fn iter(&mut self) -> impl ExactSizeIterator<Item = Packet<'_>> {
        let window = self.window;
        self.packets.iter_mut().enumerate().map(move |(number, raw)| Packet { number: number as u32, raw, window })
    }

    /// The first packet from number `from` on of which `look` finds something, and what that is. `look` is given a packet's
    /// descriptor and its bytes, from the Ethernet header on.
    ///
    /// For modules that let nearly all packets pass: the loop holds nothing but the place it is at, and a guest's compiler
    /// keeps that in a register as long as `look` neither calls nor loops.
    #[inline]
    pub fn find<T>(&self, from: u32, mut look: impl FnMut(&abi::Packet, &[u8]) -> Option<T>) -> Option<(u32, T)> {
        let mut rest = self.packets.get(from as usize..)?;
        while let [raw, others @ ..] = rest {
            if let Some(found) = look(raw, self.window.bytes(raw.frame, raw.len as usize)) {
                return Some(((self.packets.len() - rest.len()) as u32, found));
            }
            rest = others;
        }
        None
    }

    /// Packet number `number`, as in [`Chunk::packet`](crate::Chunk::packet).
    pub fn packet(&mut self, number: u32) -> Option<Packet<'_>> {
        let raw = self.packets.get_mut(number as usize)?;
        Some(Packet { number, raw, window: self.window })
    }
}

/// One packet: the fields of its [descriptor](abi::Packet), its bytes in place, and what to do with it.
#[derive(Debug)]
pub struct Packet<'a> {
    number: u32,
    raw: &'a mut abi::Packet,
    window: Window<'a>,
}

impl Deref for Packet<'_> {
    type Target = abi::Packet;

    #[inline]
    fn deref(&self) -> &abi::Packet {
        self.raw
    }
}

impl<'a> Packet<'a> {
    /// Its number in the batch.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// From the Ethernet header to the end.
    #[must_use]
    #[inline]
    pub fn frame(&self) -> &'a [u8] {
        self.window.bytes(self.raw.frame, self.raw.len as usize)
    }

    /// The transport payload, without padding.
    #[must_use]
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.part(self.raw.payload, usize::from(self.raw.payload_len))
    }

    /// The IP header with what lies between it and the transport header; empty where it is cut.
    #[must_use]
    #[inline]
    pub fn ip_header(&self) -> &'a [u8] {
        self.part(self.raw.l3, usize::from(self.raw.l4 - self.raw.l3))
    }

    /// The transport header with its options; empty for later fragments.
    #[must_use]
    #[inline]
    pub fn transport_header(&self) -> &'a [u8] {
        self.part(self.raw.l4, usize::from(self.raw.payload - self.raw.l4))
    }

    /// `len` bytes at the offset `at`, of which the host promises that they are in the frame.
    #[inline]
    fn part(&self, at: u16, len: usize) -> &'a [u8] {
        self.window.bytes(self.raw.frame + u32::from(at), len)
    }

    /// Source address; none where the packet is not IP, or cut.
    #[must_use]
    #[inline]
    pub fn source(&self) -> Option<IpAddr> {
        self.address(12, 8)
    }

    /// Destination address; none where the packet is not IP, or cut.
    #[must_use]
    #[inline]
    pub fn destination(&self) -> Option<IpAddr> {
        self.address(16, 24)
    }

    #[inline]
    fn address(&self, v4: usize, v6: usize) -> Option<IpAddr> {
        let header = self.frame().get(usize::from(self.raw.l3)..)?;
        match self.raw.ethertype {
            0x0800 => header.get(v4..)?.first_chunk::<4>().map(|bytes| IpAddr::from(*bytes)),
            0x86dd => header.get(v6..)?.first_chunk::<16>().map(|bytes| IpAddr::from(*bytes)),
            _ => None,
        }
    }

    /// Whether it is TCP.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        self.raw.protocol == 6
    }

    /// Whether it is UDP.
    #[must_use]
    pub fn is_udp(&self) -> bool {
        self.raw.protocol == 17
    }

    /// Whether it goes from the flow's responder to its initiator.
    #[must_use]
    pub fn to_client(&self) -> bool {
        self.has(flags::TO_CLIENT)
    }

    /// Whether it is a fragment without a transport header: what is read as a payload begins in the midst of a datagram.
    #[must_use]
    pub fn is_later_fragment(&self) -> bool {
        self.has(flags::LATER_FRAGMENT)
    }

    /// Whether any of the bits of [`abi::flags`] is set.
    #[must_use]
    #[inline]
    pub fn has(&self, bits: u32) -> bool {
        self.raw.flags & bits != 0
    }

    /// What shall become of it; [`Verdict::Pass`] unless set.
    #[inline]
    pub fn set_verdict(&mut self, verdict: Verdict) {
        self.raw.verdict = match verdict {
            Verdict::Pass => verdict::PASS,
            Verdict::Drop => verdict::DROP,
            Verdict::Reject => verdict::REJECT,
        };
    }

    /// Raise an alert; the text is cut at [`abi::MAX_MESSAGE`] bytes.
    pub fn alert(&self, severity: Severity, signature: u32, text: impl fmt::Display) {
        calls::alert(self.number, severity as u32, signature, Text::of(text).as_bytes());
    }

    /// Raise an alert with further fields of its event, such as `tls.sni`.
    ///
    /// `gid`, `rev`, `category`, `metadata` and `reference` go into the event's `alert` object, all others beside it.
    pub fn alert_with(
        &self,
        severity: Severity,
        signature: u32,
        text: impl fmt::Display,
        fields: impl FnOnce(&mut Fields<'_>),
    ) {
        let text = Text::of(text);
        let json = crate::alert::object(fields);
        calls::alert_fields(self.number, severity as u32, signature, text.as_bytes(), json.as_bytes());
    }

    /// This module need not see the flow for `seconds`, or as long as is configured for 0.
    pub fn clear_flow(&self, seconds: u32) {
        calls::flow_clear(self.number, seconds);
    }

    /// Drop what else comes of the flow, both directions, for `seconds`, or as long as is configured for 0. The packet itself
    /// follows its verdict.
    pub fn condemn_flow(&self, seconds: u32) {
        calls::flow_condemn(self.number, seconds);
    }

    /// Drop whatever comes from the packet's source for `seconds`, or as long as is configured for 0. The packet itself
    /// follows its verdict.
    pub fn block_source(&self, seconds: u32) {
        calls::source_block(self.number, seconds);
    }
}
