//! Captures of every form that is read, and damaged ones.

use std::io::{self, Read};

use proptest::prelude::*;

use super::{
    CaptureError, CaptureFormat, CaptureReader, LinkType, MAX_CAPTURED,
    testing::{Order, block, enhanced, interface, pcap, pcap_header, pcap_record, section, simple},
};

/// A packet as read: time, link type, bytes, original length.
type Packet = (u64, u16, Vec<u8>, u32);

fn read_from(source: impl Read + Send) -> (Vec<Packet>, Result<(), CaptureError>) {
    let mut packets = Vec::new();
    let mut reader = match CaptureReader::new(source) {
        Ok(reader) => reader,
        Err(error) => return (packets, Err(error)),
    };
    loop {
        match reader.next_packet() {
            Ok(Some(p)) => packets.push((p.time_ns, p.link.0, p.data.to_vec(), p.original_len)),
            Ok(None) => return (packets, Ok(())),
            Err(error) => {
                assert!(reader.next_packet().unwrap().is_none(), "nothing comes behind an error");
                return (packets, Err(error));
            }
        }
    }
}

fn read(file: &[u8]) -> (Vec<Packet>, Result<(), CaptureError>) {
    read_from(file)
}

fn all(file: &[u8]) -> Vec<Packet> {
    let (packets, end) = read(file);
    end.unwrap();
    packets
}

/// What is said of a file that cannot be read to its end, and how many packets came before.
fn told(file: &[u8]) -> (usize, String) {
    let (packets, end) = read(file);
    (packets.len(), end.unwrap_err().to_string())
}

/// A source that gives one byte at a time, and is interrupted before each.
struct Slow<'a>(&'a [u8], bool);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = buffer.len().min(1);
        self.0.read(&mut buffer[..most])
    }
}

#[test]
fn pcap_of_either_byte_order_and_resolution() {
    for order in [Order::Little, Order::Big] {
        for (nanoseconds, ns) in [(false, 7_000), (true, 7)] {
            let mut file = pcap_header(order, nanoseconds, 1);
            file.extend(pcap_record(order, 1_700_000_000, 7, b"one", 3));
            file.extend(pcap_record(order, 1_700_000_001, 7, b"", 1500));
            let at = |seconds: u64| (1_700_000_000 + seconds) * 1_000_000_000 + ns;
            let expected = [(at(0), 1, b"one".to_vec(), 3), (at(1), 1, vec![], 1500)];
            assert_eq!(all(&file), expected, "{order:?} {nanoseconds}");
        }
    }
}

#[test]
fn pcapng_of_several_interfaces_and_sections() {
    let mut file = Vec::new();
    for order in [Order::Big, Order::Little] {
        file.extend(section(order));
        file.extend(interface(order, 1, 0, &[]));
        file.extend(interface(order, 101, 0, &[(9, &[9]), (2, b"eth1")]));
        let offset = if order == Order::Big { 10_i64.to_be_bytes() } else { 10_i64.to_le_bytes() };
        file.extend(interface(order, 113, 0, &[(14, &offset)]));
        file.extend(enhanced(order, 1, 1_700_000_000_000_000_123, b"raw", 3));
        file.extend(enhanced(order, 0, 1_700_000_000_000_123, b"ethernet", 100));
        file.extend(block(order, 5, &[0; 12]));
        file.extend(enhanced(order, 2, 1_000_000, b"cooked", 6));
    }
    let once = [
        (1_700_000_000_000_000_123, 101, b"raw".to_vec(), 3),
        (1_700_000_000_000_123_000, 1, b"ethernet".to_vec(), 100),
        (11_000_000_000, 113, b"cooked".to_vec(), 6),
    ];
    assert_eq!(all(&file), [&once[..], &once].concat());
}

#[test]
fn simple_packets_have_the_time_before_them_and_end_at_the_snap_length() {
    let order = Order::Little;
    let mut file = [section(order), interface(order, 1, 5, &[])].concat();
    file.extend(simple(order, b"abc", 3));
    file.extend(enhanced(order, 0, 9, b"x", 1));
    // Five bytes were kept, and the block is filled up to eight.
    file.extend(simple(order, b"abcdefgh", 60));
    let expected = [(0, 1, b"abc".to_vec(), 3), (9000, 1, b"x".to_vec(), 1), (9000, 1, b"abcde".to_vec(), 60)];
    assert_eq!(all(&file), expected);
}

#[test]
fn a_source_may_give_single_bytes() {
    let order = Order::Big;
    let mut ng = [section(order), interface(order, 1, 0, &[])].concat();
    ng.extend(enhanced(order, 0, 9, &[7; 100], 100));
    for file in [pcap(&[vec![1; 60], vec![2; 200]]), ng] {
        let (packets, end) = read_from(Slow(&file, false));
        end.unwrap();
        assert_eq!(packets, all(&file));
    }
}

#[test]
fn packets_of_64_kib_and_more_are_read_and_impossible_ones_are_not() {
    let file = pcap(&[vec![1; 65_549], vec![], vec![2; MAX_CAPTURED], vec![3; 60]]);
    assert_eq!(all(&file).iter().map(|packet| packet.2.len()).collect::<Vec<_>>(), [65_549, 0, MAX_CAPTURED, 60]);
    let (before, why) = told(&pcap(&[vec![3; 60], vec![1; MAX_CAPTURED + 1]]));
    assert_eq!((before, why.contains("a packet of 262145 bytes")), (1, true), "{why}");
}

#[test]
fn a_record_that_claims_gigabytes_takes_no_such_memory() {
    let mut file = pcap(&[vec![3; 60]]);
    let offset = file.len();
    let mut record = pcap_record(Order::Little, 1, 1, &[], 60);
    record[8..12].copy_from_slice(&0xf000_0000_u32.to_le_bytes());
    file.extend(record);
    let endless = file.chain(io::repeat(0));
    let (packets, end) = read_from(endless);
    let why = end.unwrap_err().to_string();
    assert_eq!(packets.len(), 1);
    assert_eq!(why, format!("is damaged at byte {offset}, behind packet 1: a record of more than 16 MiB"));
}

#[test]
fn what_is_cut_short_is_read_as_far_as_it_goes() {
    let whole = pcap(&[vec![1; 60], vec![2; 60]]);
    for cut in 24 + 76 + 1..whole.len() {
        let (before, why) = told(&whole[..cut]);
        assert_eq!((before, why.as_str()), (1, "is cut short: it ends within a record, at byte 100, behind packet 1"));
    }
    assert_eq!(all(&whole[..100]).len(), 1, "an end between two records is one");
    let order = Order::Little;
    let ng = [section(order), interface(order, 1, 0, &[]), enhanced(order, 0, 1, &[1; 60], 60)].concat();
    for cut in 28 + 20 + 1..ng.len() {
        let (before, why) = told(&ng[..cut]);
        assert_eq!(before, 0);
        assert!(why.starts_with("is cut short"), "{cut}: {why}");
    }
}

#[test]
fn what_is_no_capture_is_told() {
    for (file, part) in [
        (&[][..], "it is empty"),
        (&[0xd4, 0xc3, 0xb2, 0xa1], "4 bytes are too few"),
        (&[b'x'; 100], "its first bytes are of neither"),
        (&[&[0x1f, 0x8b][..], &[0; 100]].concat(), "it is compressed"),
        (&section(Order::Little)[..20], "bytes are too few"),
        (&[&section(Order::Little)[..8], &[0; 20]].concat(), "its first bytes are of neither"),
    ] {
        let (before, why) = told(file);
        assert_eq!(before, 0);
        assert!(why.contains("is not a pcap or pcapng capture") && why.contains(part), "{why}");
    }
}

#[test]
fn a_link_type_that_is_not_known_is_named() {
    let mut file = pcap_header(Order::Little, false, 105);
    file.extend(pcap_record(Order::Little, 1, 1, &[0; 60], 60));
    assert!(matches!(read(&file).1, Err(CaptureError::LinkType(LinkType(105)))));
    assert!(told(&file).1.starts_with("is of link type 105 (IEEE802_11), which is not supported"));
    // What is told of checksums in the upper half of the field is no part of the number.
    assert!(read(&pcap_header(Order::Big, false, 0xf400_0001)).1.is_ok());
}

#[test]
fn packets_of_an_unknown_link_are_passed_over_where_others_are_known() {
    let order = Order::Little;
    let mut file = [section(order), interface(order, 105, 0, &[]), interface(order, 1, 0, &[])].concat();
    file.extend(enhanced(order, 0, 1, &[1; 60], 60));
    file.extend(block(order, 2, &[0; 32]));
    file.extend(enhanced(order, 1, 2, &[2; 60], 60));
    file.extend(enhanced(order, 0, 3, &[3; 60], 60));
    let mut reader = CaptureReader::new(&file[..]).unwrap();
    let packet = reader.next_packet().unwrap().unwrap();
    assert_eq!((packet.number, packet.data[0]), (2, 2), "numbers are those of the file");
    assert_eq!(reader.next_packet().unwrap(), None);
    let skipped = reader.skipped();
    assert_eq!(skipped.links.into_iter().collect::<Vec<_>>(), [(LinkType(105), 2)]);
    assert_eq!((skipped.obsolete, reader.packets(), reader.format()), (1, 3, CaptureFormat::PcapNg));
    assert_eq!(reader.position(), file.len() as u64);
}

#[test]
fn blocks_that_lie_are_damage() {
    let order = Order::Little;
    let start = [section(order), interface(order, 1, 0, &[])].concat();
    let good = enhanced(order, 0, 1, &[1; 60], 60);
    let behind = vec![0; 1000];
    let mut inner = good.clone();
    inner[20..24].copy_from_slice(&500_u32.to_le_bytes());
    let mut short = good.clone();
    short[4..8].copy_from_slice(&3_u32.to_le_bytes());
    let mut ends = good.clone();
    *ends.last_mut().unwrap() = 9;
    let stranger = enhanced(order, 7, 1, &[1; 60], 60);
    for (bad, part) in [
        (inner, "a length inside a block points out of it"),
        (short, "a record that is not understood"),
        (ends, "a record that is not understood"),
        (stranger, "a packet of interface 7, which was not described"),
    ] {
        let file = [&start[..], &good, &bad, &behind].concat();
        let (before, why) = told(&file);
        assert_eq!(before, 1, "{why}");
        assert!(why.contains(part) && why.contains("behind packet 1"), "{why}");
    }
    assert!(told(&[section(order), simple(order, &[1; 60], 60)].concat()).1.contains("interface 0"));
}

#[test]
fn the_systems_errors_are_told() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the tape has torn"))
        }
    }
    let file = pcap(&[vec![1; 60]]);
    let (packets, end) = read_from(file.chain(Broken));
    assert_eq!(packets.len(), 1);
    assert_eq!(end.unwrap_err().to_string(), "cannot be read: the tape has torn");
    assert!(matches!(read_from(Broken).1, Err(CaptureError::Read(_))));
}

/// A file of some blocks and records, with some bytes changed.
fn spoilt() -> impl Strategy<Value = Vec<u8>> {
    let order = prop_oneof![Just(Order::Little), Just(Order::Big)];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (any::<bool>(), order, changes, any::<prop::sample::Index>()).prop_map(|(ng, order, changes, cut)| {
        let mut file = if ng {
            let options: [(u16, &[u8]); 2] = [(9, &[6]), (14, &[0; 8])];
            let mut file = [section(order), interface(order, 1, 0, &options)].concat();
            file.extend(enhanced(order, 0, 1 << 40, &[1; 61], 61));
            file.extend(simple(order, &[2; 33], 33));
            file.extend(enhanced(order, 0, 1 << 41, &[3; 10], 1500));
            file
        } else {
            let mut file = pcap_header(order, true, 1);
            file.extend(pcap_record(order, 1, 1, &[1; 61], 61));
            file.extend(pcap_record(order, 2, 2, &[2; 10], 1500));
            file
        };
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        let cut = cut.index(file.len() * 2);
        file.truncate(cut);
        file
    })
}

proptest! {
    #[test]
    fn any_file_is_read_or_refused(file in prop_oneof![prop::collection::vec(any::<u8>(), 0..300), spoilt()]) {
        let (packets, _) = read(&file);
        prop_assert!(packets.iter().all(|packet| packet.2.len() <= file.len()));
        prop_assert!(packets.len() * 4 <= file.len());
    }
}
