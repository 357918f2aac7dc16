//! A rule as it is evaluated.

use alloc::{string::String, sync::Arc, vec::Vec};

use super::{
    header::Header,
    number::Compare,
    options::{
        bits::{FlowBit, FlowInt},
        bytes::{ByteExtract, ByteJump, ByteMath, ByteTest},
        content::Content,
        packet::PacketTest,
        pcre::Pcre,
        threshold::Threshold,
        transform::Transform,
    },
};
use crate::{app::AppProto, buffers::names::Buffer};

/// How and when a rule is evaluated; see docs/ips.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Addresses only: once per flow and direction.
    IpOnly,
    /// Addresses only, with negation: every packet.
    LikeIpOnly,
    /// Only `app-layer-protocol`: once per direction, when the protocol is known.
    ProtocolOnly,
    /// Every packet.
    Packet,
    /// Payload of packets and stream.
    PacketStream,
    /// Stream.
    Stream,
    /// The protocol field names an application protocol, nothing else: every packet of such a flow.
    AppLayer,
    /// Buffers of transactions.
    Tx,
}

/// A number in a rule, or the variable that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<T> {
    /// Written.
    Is(T),
    /// Index of a variable of `byte_extract` or `byte_math`.
    Var(u8),
}

/// One test within a buffer.
#[derive(Debug, Clone)]
pub enum Test {
    /// `content`
    Content(Content),
    /// `pcre`
    Pcre(Pcre),
    /// `isdataat`
    IsDataAt {
        /// How far.
        at: Value<u32>,
        /// Counted from the last match.
        relative: bool,
        /// Whether there must be none.
        negated: bool,
    },
    /// `bsize`
    Size(Compare),
    /// `urilen`
    UriLen(Compare),
    /// `byte_test`
    ByteTest(ByteTest),
    /// `byte_jump`
    ByteJump(ByteJump),
    /// `byte_extract`
    ByteExtract(ByteExtract),
    /// `byte_math`
    ByteMath(ByteMath),
    /// `base64_decode`, with what `base64_data` asks of the result.
    Base64 {
        /// Bytes to decode, all when 0.
        bytes: usize,
        /// Where to begin.
        offset: usize,
        /// Counted from the last match.
        relative: bool,
        /// On the decoded data.
        tests: Vec<Test>,
    },
}

/// What `absent` asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Not given: the buffer must be there.
    No,
    /// The buffer must not be there.
    Only,
    /// The buffer is not there, or the tests pass.
    OrElse,
}

/// The tests of one buffer.
#[derive(Debug, Clone)]
pub struct Section {
    /// The buffer.
    pub buffer: Buffer,
    /// Applied to it first, in this order.
    pub transforms: Vec<Transform>,
    /// `absent`
    pub absent: Absent,
    /// All must pass.
    pub tests: Vec<Test>,
}

/// `flow`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flow {
    /// Given at all.
    pub given: bool,
    /// `to_server`, `from_client`
    pub to_server: bool,
    /// `to_client`, `from_server`
    pub to_client: bool,
    /// `established`
    pub established: bool,
    /// `not_established`
    pub not_established: bool,
    /// `stateless`
    pub stateless: bool,
    /// `only_stream`
    pub only_stream: bool,
    /// `no_stream`
    pub no_stream: bool,
}

/// `app-layer-protocol`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppLayerProtocol {
    /// The protocol, `None` for `failed`.
    pub app: Option<AppProto>,
    /// With `!`.
    pub negated: bool,
}

/// Integers of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TxNumber {
    /// `dns.opcode`
    DnsOpcode(Compare),
    /// `dns.rcode`
    DnsRcode(Compare),
}

/// Where the prefilter looks for the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FastPattern {
    /// Section of the rule.
    pub section: usize,
    /// Bytes, ASCII lower case.
    pub bytes: Vec<u8>,
    /// Where the pattern must end, counted from the buffer's start, when its place is bounded.
    pub end: Option<usize>,
}

/// What the rule tells people.
#[derive(Debug, Clone, Default)]
pub struct Meta {
    /// `msg`
    pub msg: String,
    /// `sid`
    pub sid: u32,
    /// `gid`
    pub gid: u32,
    /// `rev`
    pub rev: u32,
    /// `priority`, or that of `classtype`; 1 is the highest.
    pub priority: u8,
    /// `classtype`'s short name.
    pub class: String,
    /// `classtype`'s description.
    pub category: String,
    /// `reference`: system and id.
    pub references: Vec<(String, String)>,
    /// `metadata`: key and value.
    pub metadata: Vec<(String, String)>,
    /// `target`: the attacked end, `Some(true)` the source.
    pub target_is_source: Option<bool>,
}

/// A rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Line of the file, from 1.
    pub line: u32,
    /// Before the parenthesis.
    pub header: Header,
    /// For people.
    pub meta: Arc<Meta>,
    /// How it is evaluated.
    pub kind: Kind,
    /// `flow`
    pub flow: Flow,
    /// On the packet's headers.
    pub packet: Vec<PacketTest>,
    /// Integers of transactions.
    pub numbers: Vec<TxNumber>,
    /// `app-layer-protocol`
    pub protocols: Vec<AppLayerProtocol>,
    /// By buffer, in the order of the rule.
    pub sections: Vec<Section>,
    /// `flowbits`, `xbits`, `hostbits`
    pub bits: Vec<FlowBit>,
    /// `flowint`
    pub ints: Vec<FlowInt>,
    /// `threshold`, `detection_filter`
    pub threshold: Option<Threshold>,
    /// `noalert`
    pub noalert: bool,
    /// `alert`: also a pass rule tells.
    pub alert: bool,
    /// Protocol of the transactions it looks at.
    pub app: Option<AppProto>,
    /// Directions it can match in, bits of [`crate::buffers::names::side`].
    pub sides: u8,
    /// Its payload section looks at packets.
    pub on_packets: bool,
    /// Its payload section looks at the stream.
    pub on_stream: bool,
    /// For the prefilter.
    pub fast: Option<FastPattern>,
}

impl Rule {
    /// The payload section's number.
    #[must_use]
    pub fn payload(&self) -> Option<usize> {
        self.sections.iter().position(|section| section.buffer == Buffer::Payload)
    }
}
