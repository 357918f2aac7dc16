//! The buffers that rules inspect: their names, protocols, directions.

use crate::app::AppProto;

/// Directions of a flow as bits.
pub mod side {
    /// From the client.
    pub const TO_SERVER: u8 = 1;
    /// From the server.
    pub const TO_CLIENT: u8 = 2;
    /// Either.
    pub const BOTH: u8 = TO_SERVER | TO_CLIENT;
}

macro_rules! buffers {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $scope:ident $(($app:ident))?, $sides:ident, $multi:literal;)*) => {
        /// A buffer that keywords look into.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Buffer { $($(#[$doc])* $variant,)* }

        impl Buffer {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name, as the sticky keyword.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it is part of.
            #[must_use]
            pub fn scope(self) -> Scope {
                match self { $(Self::$variant => Scope::$scope $((AppProto::$app))?,)* }
            }

            /// Bits of [`side`]: the directions in which it exists.
            #[must_use]
            pub fn sides(self) -> u8 {
                match self { $(Self::$variant => side::$sides,)* }
            }

            /// Whether there may be several of it at once, of which one must match.
            #[must_use]
            pub fn is_multi(self) -> bool {
                match self { $(Self::$variant => $multi,)* }
            }
        }
    };
}

/// What a buffer is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A packet's payload, or the stream.
    Payload,
    /// A packet's headers.
    Packet,
    /// A transaction of an application protocol.
    Tx(AppProto),
}

buffers! {
    /// The packet's payload or the stream.
    Payload = "pkt_data", Payload, BOTH, false;
    /// IPv4 header with options.
    Ipv4Hdr = "ipv4.hdr", Packet, BOTH, false;
    /// IPv6 header with extension headers.
    Ipv6Hdr = "ipv6.hdr", Packet, BOTH, false;
    /// TCP header with options.
    TcpHdr = "tcp.hdr", Packet, BOTH, false;
    /// UDP header.
    UdpHdr = "udp.hdr", Packet, BOTH, false;
    /// ICMP header.
    Icmpv4Hdr = "icmpv4.hdr", Packet, BOTH, false;
    /// ICMPv6 header.
    Icmpv6Hdr = "icmpv6.hdr", Packet, BOTH, false;
    /// Normalised URI.
    HttpUri = "http.uri", Tx(Http), TO_SERVER, false;
    /// URI as sent.
    HttpUriRaw = "http.uri.raw", Tx(Http), TO_SERVER, false;
    /// Method.
    HttpMethod = "http.method", Tx(Http), TO_SERVER, false;
    /// Protocol of the request or status line.
    HttpProtocol = "http.protocol", Tx(Http), BOTH, false;
    /// Request line without its end.
    HttpRequestLine = "http.request_line", Tx(Http), TO_SERVER, false;
    /// Status line without its end.
    HttpResponseLine = "http.response_line", Tx(Http), TO_CLIENT, false;
    /// Headers, normalised, without cookies.
    HttpHeader = "http.header", Tx(Http), BOTH, false;
    /// Headers as sent.
    HttpHeaderRaw = "http.header.raw", Tx(Http), BOTH, false;
    /// Names of headers.
    HttpHeaderNames = "http.header_names", Tx(Http), BOTH, false;
    /// `Cookie` or `Set-Cookie`.
    HttpCookie = "http.cookie", Tx(Http), BOTH, false;
    /// `User-Agent`.
    HttpUserAgent = "http.user_agent", Tx(Http), TO_SERVER, false;
    /// Host, lower case, without port.
    HttpHost = "http.host", Tx(Http), TO_SERVER, false;
    /// Host as sent.
    HttpHostRaw = "http.host.raw", Tx(Http), TO_SERVER, false;
    /// `Referer`.
    HttpReferer = "http.referer", Tx(Http), TO_SERVER, false;
    /// `Accept`.
    HttpAccept = "http.accept", Tx(Http), TO_SERVER, false;
    /// `Accept-Encoding`.
    HttpAcceptEnc = "http.accept_enc", Tx(Http), TO_SERVER, false;
    /// `Accept-Language`.
    HttpAcceptLang = "http.accept_lang", Tx(Http), TO_SERVER, false;
    /// `Connection`.
    HttpConnection = "http.connection", Tx(Http), BOTH, false;
    /// `Content-Type`.
    HttpContentType = "http.content_type", Tx(Http), BOTH, false;
    /// `Content-Length` as sent.
    HttpContentLen = "http.content_len", Tx(Http), BOTH, false;
    /// `Server`.
    HttpServer = "http.server", Tx(Http), TO_CLIENT, false;
    /// `Location`.
    HttpLocation = "http.location", Tx(Http), TO_CLIENT, false;
    /// Status code.
    HttpStatCode = "http.stat_code", Tx(Http), TO_CLIENT, false;
    /// Status message.
    HttpStatMsg = "http.stat_msg", Tx(Http), TO_CLIENT, false;
    /// Request line and headers as sent, or status line and headers.
    HttpStart = "http.start", Tx(Http), BOTH, false;
    /// One request header, `Name: value`.
    HttpRequestHeader = "http.request_header", Tx(Http), TO_SERVER, true;
    /// One response header, `Name: value`.
    HttpResponseHeader = "http.response_header", Tx(Http), TO_CLIENT, true;
    /// Request body, transfer coding removed.
    HttpRequestBody = "http.request_body", Tx(Http), TO_SERVER, false;
    /// Response body, transfer and content coding removed.
    HttpResponseBody = "http.response_body", Tx(Http), TO_CLIENT, false;
    /// The content that is transferred: bodies.
    FileData = "file.data", Tx(Http), BOTH, false;
    /// Server name of the ClientHello.
    TlsSni = "tls.sni", Tx(Tls), TO_SERVER, false;
    /// JA3 fingerprint as hash.
    Ja3Hash = "ja3.hash", Tx(Tls), TO_SERVER, false;
    /// JA3 fingerprint as text.
    Ja3String = "ja3.string", Tx(Tls), TO_SERVER, false;
    /// JA3S fingerprint as hash.
    Ja3sHash = "ja3s.hash", Tx(Tls), TO_CLIENT, false;
    /// JA3S fingerprint as text.
    Ja3sString = "ja3s.string", Tx(Tls), TO_CLIENT, false;
    /// JA4 fingerprint.
    Ja4Hash = "ja4.hash", Tx(Tls), TO_SERVER, false;
    /// A name asked for.
    DnsQuery = "dns.query", Tx(Dns), TO_SERVER, true;
    /// Protocol version of the SSH banner.
    SshProto = "ssh.proto", Tx(Ssh), BOTH, false;
    /// Software of the SSH banner.
    SshSoftware = "ssh.software", Tx(Ssh), BOTH, false;
    /// HASSH of what the client proposes, as hash.
    SshHassh = "ssh.hassh", Tx(Ssh), TO_SERVER, false;
    /// The same as text.
    SshHasshString = "ssh.hassh.string", Tx(Ssh), TO_SERVER, false;
    /// HASSH of what the server proposes, as hash.
    SshHasshServer = "ssh.hassh.server", Tx(Ssh), TO_CLIENT, false;
    /// The same as text.
    SshHasshServerString = "ssh.hassh.server.string", Tx(Ssh), TO_CLIENT, false;
}

impl Buffer {
    /// By a sticky keyword, its older spellings included.
    #[must_use]
    pub fn sticky(keyword: &str) -> Option<Self> {
        Some(match keyword {
            "file_data" => Self::FileData,
            "dns_query" => Self::DnsQuery,
            "tls_sni" => Self::TlsSni,
            "http_request_line" => Self::HttpRequestLine,
            "http_response_line" => Self::HttpResponseLine,
            "http_protocol" => Self::HttpProtocol,
            "http_header_names" => Self::HttpHeaderNames,
            "http_start" => Self::HttpStart,
            "http_accept" => Self::HttpAccept,
            "http_accept_enc" => Self::HttpAcceptEnc,
            "http_accept_lang" => Self::HttpAcceptLang,
            "http_referer" => Self::HttpReferer,
            "http_connection" => Self::HttpConnection,
            "http_content_type" => Self::HttpContentType,
            "http_content_len" => Self::HttpContentLen,
            "ja3_hash" => Self::Ja3Hash,
            "ja3_string" => Self::Ja3String,
            _ => return Self::ALL.iter().copied().find(|buffer| buffer.name() == keyword),
        })
    }

    /// By a keyword that moves the content before it: `http_uri` and the like.
    #[must_use]
    pub fn modifier(keyword: &str) -> Option<Self> {
        Some(match keyword {
            "http_uri" => Self::HttpUri,
            "http_raw_uri" => Self::HttpUriRaw,
            "http_method" => Self::HttpMethod,
            "http_header" => Self::HttpHeader,
            "http_raw_header" => Self::HttpHeaderRaw,
            "http_cookie" => Self::HttpCookie,
            "http_user_agent" => Self::HttpUserAgent,
            "http_host" => Self::HttpHost,
            "http_raw_host" => Self::HttpHostRaw,
            "http_stat_code" => Self::HttpStatCode,
            "http_stat_msg" => Self::HttpStatMsg,
            "http_client_body" => Self::HttpRequestBody,
            "http_server_body" => Self::HttpResponseBody,
            _ => return None,
        })
    }

    /// Whether it grows while the transaction goes on.
    #[must_use]
    pub fn is_body(self) -> bool {
        matches!(self, Self::HttpRequestBody | Self::HttpResponseBody | Self::FileData)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_buffer_is_found_by_its_name() {
        for buffer in Buffer::ALL {
            assert_eq!(Buffer::sticky(buffer.name()), Some(*buffer));
        }
        assert!(Buffer::ALL.len() <= 64, "sets of buffers are 64 bits");
    }
}
