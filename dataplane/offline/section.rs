//! What is known of a capture while it is read: its interfaces, their link types and clocks, and the packet at hand.

use pcap_parser::{
    Block, IDB_MAGIC, InterfaceDescriptionBlock, LegacyPcapBlock, OptionCode, PcapBlockOwned, PcapHeader,
    traits::PcapNGPacketBlock,
};

use super::{LinkType, MAX_CAPTURED};

const NS: u128 = 1_000_000_000;
/// Most interfaces of a section.
const MAX_INTERFACES: usize = 65_536;
/// Block type of packets in files of old, which pcapng has since given up.
const OBSOLETE_PACKET: u32 = 2;

/// What a block comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A packet, which lies in [`Section::data`].
    Packet { link: LinkType, original_len: u32 },
    /// Something else.
    Other,
}

/// See the module. A pcap file is one section with one interface.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) interfaces: Vec<Interface>,
    pub(super) big_endian: bool,
    /// pcap: fractions of a second are nanoseconds, not microseconds.
    nanoseconds: bool,
    /// The packet that was read last.
    pub(super) data: Vec<u8>,
    /// Its time.
    pub(super) time_ns: u64,
    /// Obsolete packet blocks passed over.
    pub(super) obsolete: u64,
}

impl Section {
    /// Take the next block of a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn take(&mut self, block: PcapBlockOwned<'_>) -> Result<Step, String> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => self.header(&header),
            PcapBlockOwned::Legacy(packet) => self.legacy(&packet),
            PcapBlockOwned::NG(block) => self.block(block),
        }
    }

    fn header(&mut self, header: &PcapHeader) -> Result<Step, String> {
        self.nanoseconds = header.is_nanosecond_precision();
        // The upper half of the field tells of checksums behind the frames.
        let number = u16::try_from(header.network.0 & 0xffff).unwrap_or(u16::MAX);
        let link = LinkType::of_file(number);
        self.interfaces = vec![Interface { link, snaplen: 0, resolution: 6, offset: 0 }];
        Ok(Step::Other)
    }

    fn legacy(&mut self, packet: &LegacyPcapBlock<'_>) -> Result<Step, String> {
        let scale = if self.nanoseconds { 1 } else { 1000 };
        self.time_ns = u64::from(packet.ts_sec) * 1_000_000_000 + u64::from(packet.ts_usec) * scale;
        self.packet(0, packet.data, packet.origlen)
    }

    fn block(&mut self, block: Block<'_>) -> Result<Step, String> {
        match block {
            Block::SectionHeader(header) => {
                self.big_endian = header.big_endian();
                self.interfaces.clear();
            }
            Block::InterfaceDescription(_) if self.interfaces.len() >= MAX_INTERFACES => {
                return Err(format!("more than {MAX_INTERFACES} interfaces"));
            }
            Block::InterfaceDescription(block) => self.interfaces.push(Interface::of(&block)),
            Block::EnhancedPacket(packet) => {
                let at = usize::try_from(packet.if_id).unwrap_or(usize::MAX);
                if let Some(interface) = self.interfaces.get(at) {
                    self.time_ns = interface.time_ns(packet.ts_high, packet.ts_low);
                }
                return self.packet(at, packet.packet_data(), packet.origlen);
            }
            Block::SimplePacket(packet) => {
                let mut data = packet.packet_data();
                let snaplen = self.interfaces.first().map_or(0, |interface| interface.snaplen);
                if let Some(cut) = usize::try_from(snaplen).ok().filter(|cut| (1..data.len()).contains(cut)) {
                    // What is behind it only fills the block up.
                    data = &data[..cut];
                }
                return self.packet(0, data, packet.origlen);
            }
            Block::Unknown(block) => {
                let kinds = [block.block_type, block.block_type.swap_bytes()];
                self.obsolete += u64::from(kinds.contains(&OBSOLETE_PACKET));
            }
            _ => {}
        }
        Ok(Step::Other)
    }

    fn packet(&mut self, interface: usize, data: &[u8], original_len: u32) -> Result<Step, String> {
        let Some(Interface { link, .. }) = self.interfaces.get(interface).copied() else {
            return Err(format!("a packet of interface {interface}, which was not described"));
        };
        if data.len() > MAX_CAPTURED {
            return Err(format!("a packet of {} bytes, more than {MAX_CAPTURED}", data.len()));
        }
        self.data.clear();
        self.data.extend_from_slice(data);
        Ok(Step::Packet { link, original_len })
    }
}

/// An interface of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) link: LinkType,
    /// Most bytes that were kept of a packet; 0 for all.
    snaplen: u32,
    /// `if_tsresol`: a power of 10, or of 2 where the highest bit is set; both negative.
    resolution: u8,
    /// Seconds that are added to every timestamp.
    offset: i64,
}

impl Interface {
    /// As the block describes it.
    fn of(block: &InterfaceDescriptionBlock<'_>) -> Self {
        let big_endian = block.block_type != IDB_MAGIC;
        let offset = block.options.iter().find(|option| option.code == OptionCode::IfTsoffset);
        let offset = offset.and_then(|option| option.value().first_chunk::<8>().copied());
        let read = if big_endian { i64::from_be_bytes } else { i64::from_le_bytes };
        Self {
            link: LinkType::of_file(u16::try_from(block.linktype.0).unwrap_or(u16::MAX)),
            snaplen: block.snaplen,
            resolution: block.if_tsresol,
            offset: offset.map_or(0, read),
        }
    }

    /// A timestamp in nanoseconds since the Unix epoch; what is before it or too far behind it is cut.
    fn time_ns(&self, high: u32, low: u32) -> u64 {
        let units = u128::from(u64::from(high) << 32 | u64::from(low));
        let exponent = u32::from(self.resolution & 0x7f);
        let since = if self.resolution & 0x80 == 0 {
            // Beyond 10^38 per second, which no clock counts, everything is 0.
            10_u128.checked_pow(exponent).map_or(0, |per_second| units * NS / per_second)
        } else {
            (units * NS).checked_shr(exponent).unwrap_or(0)
        };
        let since = i128::try_from(since).unwrap_or(i128::MAX);
        let all = since.saturating_add(i128::from(self.offset) * 1_000_000_000);
        u64::try_from(all.max(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(resolution: u8, offset: i64) -> Interface {
        Interface { link: LinkType::ETHERNET, snaplen: 0, resolution, offset }
    }

    #[test]
    fn timestamps_count_what_the_interface_says() {
        for (resolution, offset, units, ns) in [
            (6, 0, 1_500_000_000_000_007_u64, 1_500_000_000_000_007_000_u64),
            (9, 0, 1_500_000_000_000_000_007, 1_500_000_000_000_000_007),
            (3, 0, 7, 7_000_000),
            (0, 0, 7, 7_000_000_000),
            (12, 0, 7_000, 7),
            (6, 100, 7, 100_000_007_000),
            (6, -100, 7, 0),
            (6, i64::MAX, u64::MAX, u64::MAX),
            (0x80 | 1, 0, 3, 1_500_000_000),
            (0x80 | 32, 0, 3 << 31, 1_500_000_000),
            (0x7f, 0, u64::MAX, 0),
            (0xff, 0, u64::MAX, 0),
        ] {
            let (high, low) = (u32::try_from(units >> 32).unwrap(), u32::try_from(units & 0xffff_ffff).unwrap());
            assert_eq!(interface(resolution, offset).time_ns(high, low), ns, "{resolution} {offset} {units}");
        }
    }
}
