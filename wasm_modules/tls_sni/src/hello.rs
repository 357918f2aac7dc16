//! A ClientHello: RFC 8446 section 4.1.2, and the same of older versions.

use alloc::vec::Vec;

/// Longest ClientHello that is looked at. Those with post-quantum keys have two kilobytes.
pub const MAX_HELLO: usize = 16 << 10;
/// Most cipher suites, and most extensions: several times what any client has.
const MAX_NUMBERS: usize = 512;

const SERVER_NAME: u16 = 0;
const SIGNATURE_ALGORITHMS: u16 = 13;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

/// What is wrong with a ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A record has no or too many bytes, or is of another kind, before the message is complete.
    Record,
    /// The first message is another one.
    NotHello,
    /// It is longer than 16 KiB.
    TooLong,
    /// A field ends outside of what it is in, or is empty where it must not be.
    Structure,
    /// An extension is there twice.
    Twice,
    /// More cipher suites or extensions than any client has.
    TooMany,
    /// A server name is no name: more than one, of an unknown kind, or with characters that no name has.
    ServerName,
}

impl Flaw {
    /// For people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Record => "TLS record layer broken in the ClientHello",
            Self::NotHello => "TLS begins without a ClientHello",
            Self::TooLong => "TLS ClientHello above 16 KiB",
            Self::Structure => "TLS ClientHello with a wrong length",
            Self::Twice => "TLS ClientHello with an extension twice",
            Self::TooMany => "TLS ClientHello with too many cipher suites or extensions",
            Self::ServerName => "TLS ClientHello with an impossible server name",
        }
    }
}

/// What the fields of a ClientHello are. Numbers that are GREASE (RFC 8701) are left out.
#[derive(Debug, Default)]
pub struct Hello<'a> {
    /// The highest of the versions offered.
    pub version: u16,
    /// Cipher suites, in their order.
    pub ciphers: Vec<u16>,
    /// Extensions, in their order.
    pub extensions: Vec<u16>,
    /// Signature algorithms, in their order.
    pub signatures: Vec<u16>,
    /// The first protocol of ALPN.
    pub alpn: Option<&'a [u8]>,
    /// The server's name as it was sent.
    pub server_name: Option<&'a [u8]>,
    /// Whether the extension is there.
    pub has_server_name: bool,
    /// Whether there is an encrypted ClientHello, or what looks like one.
    pub encrypted: bool,
}

impl<'a> Hello<'a> {
    /// Room for the numbers of any ClientHello.
    #[must_use]
    pub fn new() -> Self {
        let room = || Vec::with_capacity(MAX_NUMBERS);
        Self { ciphers: room(), extensions: room(), signatures: room(), ..Self::default() }
    }

    /// Empty, with the same room.
    #[must_use]
    pub fn emptied<'b>(mut self) -> Hello<'b> {
        self.ciphers.clear();
        self.extensions.clear();
        self.signatures.clear();
        let Self { ciphers, extensions, signatures, .. } = self;
        Hello { ciphers, extensions, signatures, ..Hello::default() }
    }

    /// Read the body of the message, behind its header of 4 bytes, into an empty one.
    ///
    /// # Errors
    /// The first flaw.
    pub fn read(&mut self, body: &'a [u8]) -> Result<(), Flaw> {
        let mut rest = Reader(body);
        self.version = rest.u16()?;
        let _random = rest.take(32)?;
        if rest.block8()?.0.len() > 32 {
            return Err(Flaw::Structure);
        }
        numbers(rest.block16()?, &mut self.ciphers)?;
        if rest.block8()?.0.is_empty() {
            return Err(Flaw::Structure);
        }
        // Before TLS 1.2 there need not be any extensions.
        if !rest.0.is_empty() {
            let mut extensions = rest.block16()?;
            if !rest.0.is_empty() {
                return Err(Flaw::Structure);
            }
            while !extensions.0.is_empty() {
                let number = extensions.u16()?;
                self.extension(number, extensions.block16()?)?;
            }
        }
        Ok(())
    }

    fn extension(&mut self, number: u16, mut data: Reader<'a>) -> Result<(), Flaw> {
        if self.extensions.contains(&number) {
            return Err(Flaw::Twice);
        }
        push(&mut self.extensions, number)?;
        match number {
            SERVER_NAME => self.server_name = server_name(data)?,
            SIGNATURE_ALGORITHMS => numbers(data.block16()?, &mut self.signatures)?,
            ALPN => {
                let mut protocols = data.block16()?;
                self.alpn = Some(protocols.block8()?.0);
            }
            SUPPORTED_VERSIONS => {
                let mut versions = data.block8()?;
                let mut highest = 0;
                while !versions.0.is_empty() {
                    let version = versions.u16()?;
                    if !is_grease(version) {
                        highest = highest.max(version);
                    }
                }
                self.version = highest;
            }
            ENCRYPTED_CLIENT_HELLO => self.encrypted = true,
            _ => {}
        }
        self.has_server_name |= number == SERVER_NAME;
        Ok(())
    }
}

/// RFC 6066 section 3: a list of exactly one host name.
fn server_name(mut data: Reader<'_>) -> Result<Option<&[u8]>, Flaw> {
    let mut list = data.block16()?;
    if !data.0.is_empty() {
        return Err(Flaw::Structure);
    }
    let kind = list.take(1)?[0];
    let name = list.block16()?.0;
    let right = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    if kind != 0 || !list.0.is_empty() || !(1..=255).contains(&name.len()) || !name.iter().all(right) {
        return Err(Flaw::ServerName);
    }
    Ok(Some(name))
}

/// RFC 8701: numbers that mean nothing.
fn is_grease(number: u16) -> bool {
    number & 0x0f0f == 0x0a0a && number >> 8 == number & 0xff
}

fn push(to: &mut Vec<u16>, number: u16) -> Result<(), Flaw> {
    if to.len() == MAX_NUMBERS {
        return Err(Flaw::TooMany);
    }
    if !is_grease(number) {
        to.push(number);
    }
    Ok(())
}

/// A list of numbers, of which there is at least one.
fn numbers(mut from: Reader<'_>, to: &mut Vec<u16>) -> Result<(), Flaw> {
    if from.0.is_empty() {
        return Err(Flaw::Structure);
    }
    while !from.0.is_empty() {
        push(to, from.u16()?)?;
    }
    Ok(())
}

/// What is not read yet.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Flaw> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Flaw::Structure)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, Flaw> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// What a length of one byte is before.
    fn block8(&mut self) -> Result<Self, Flaw> {
        let len = self.take(1)?[0];
        self.take(usize::from(len)).map(Self)
    }

    /// What a length of two bytes is before.
    fn block16(&mut self) -> Result<Self, Flaw> {
        let len = self.u16()?;
        self.take(usize::from(len)).map(Self)
    }
}
