//! Frames of tests.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpHeaders, IpNumber, Ipv4Header, Ipv6Header, PacketBuilder, TcpHeader};

const FIN: u8 = 1;
const SYN: u8 = 2;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// A frame to be: a TCP segment or a UDP datagram, with right lengths and checksums.
#[derive(Debug, Clone)]
pub struct Frame {
    source: SocketAddr,
    destination: SocketAddr,
    /// Flags, sequence number, acknowledgement; none for UDP.
    tcp: Option<(u8, u32, u32)>,
    payload: Vec<u8>,
}

impl Frame {
    fn new(source: &str, destination: &str, tcp: Option<(u8, u32, u32)>) -> Self {
        let end = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text}: address:port is expected"));
        Self { source: end(source), destination: end(destination), tcp, payload: Vec::new() }
    }

    /// A TCP segment with ACK and PSH, from `address:port` to `address:port`.
    ///
    /// # Panics
    /// For what is no address with a port, or two of different families.
    #[must_use]
    pub fn tcp(source: &str, destination: &str) -> Self {
        Self::new(source, destination, Some((ACK | PSH, 1, 1)))
    }

    /// A UDP datagram.
    ///
    /// # Panics
    /// As [`Self::tcp`].
    #[must_use]
    pub fn udp(source: &str, destination: &str) -> Self {
        Self::new(source, destination, None)
    }

    /// With these TCP flags: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128.
    #[must_use]
    pub fn flags(mut self, flags: u8) -> Self {
        if let Some(tcp) = &mut self.tcp {
            tcp.0 = flags;
        }
        self
    }

    /// With this sequence number.
    #[must_use]
    pub fn sequence(mut self, number: u32) -> Self {
        if let Some(tcp) = &mut self.tcp {
            tcp.1 = number;
        }
        self
    }

    /// With this payload.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }

    /// The frame.
    ///
    /// # Panics
    /// The payload is longer than a packet can be.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let protocol = if self.tcp.is_some() { IpNumber::TCP } else { IpNumber::UDP };
        let ip = match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = Ipv4Header::new(0, 64, protocol, source.octets(), destination.octets());
                IpHeaders::Ipv4(header.expect("the length is set later"), etherparse::Ipv4Extensions::default())
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let (source, destination) = (source.octets(), destination.octets());
                let header =
                    Ipv6Header { next_header: protocol, hop_limit: 64, source, destination, ..Default::default() };
                IpHeaders::Ipv6(header, etherparse::Ipv6Extensions::default())
            }
            _ => panic!("addresses of two families"),
        };
        let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ip(ip);
        let mut frame = Vec::new();
        let written = match self.tcp {
            Some((flags, sequence, acknowledgement)) => {
                let mut header = TcpHeader::new(self.source.port(), self.destination.port(), sequence, 0xffff);
                header.acknowledgment_number = acknowledgement;
                let bit = |number: u8| flags & 1 << number != 0;
                (header.fin, header.syn, header.rst, header.psh) = (bit(0), bit(1), bit(2), bit(3));
                (header.ack, header.urg, header.ece, header.cwr) = (bit(4), bit(5), bit(6), bit(7));
                builder.tcp_header(header).write(&mut frame, &self.payload)
            }
            None => builder.udp(self.source.port(), self.destination.port()).write(&mut frame, &self.payload),
        };
        written.expect("a payload that a packet can have");
        frame
    }
}

/// A TCP connection to be.
#[derive(Debug, Clone)]
pub struct Connection {
    client: String,
    server: String,
    /// What each side sends next.
    sequences: [u32; 2],
}

impl Connection {
    /// From `address:port` to `address:port`.
    #[must_use]
    pub fn new(client: &str, server: &str) -> Self {
        Self { client: client.into(), server: server.into(), sequences: [1000, 5000] }
    }

    fn segment(&mut self, from: usize, flags: u8, payload: &[u8]) -> Vec<u8> {
        let (source, destination) = if from == 0 { (&self.client, &self.server) } else { (&self.server, &self.client) };
        let tcp = Some((flags, self.sequences[from], self.sequences[1 - from]));
        let frame = Frame::new(source, destination, tcp).payload(payload).bytes();
        let one = u32::from(flags & (SYN | FIN) != 0);
        self.sequences[from] = self.sequences[from].wrapping_add(payload.len() as u32 + one);
        frame
    }

    /// The handshake: three frames.
    pub fn open(&mut self) -> Vec<Vec<u8>> {
        vec![self.segment(0, SYN, b""), self.segment(1, SYN | ACK, b""), self.segment(0, ACK, b"")]
    }

    /// The client sends.
    pub fn client(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.segment(0, ACK | PSH, bytes)
    }

    /// The server sends.
    pub fn server(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.segment(1, ACK | PSH, bytes)
    }

    /// Both sides end it: two frames.
    pub fn close(&mut self) -> Vec<Vec<u8>> {
        vec![self.segment(0, FIN | ACK, b""), self.segment(1, FIN | ACK, b"")]
    }
}
