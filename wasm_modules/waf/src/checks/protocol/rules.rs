//! What the checks of a request's form are: numbers, severities, messages.

use crate::{
    finding::{
        Category::{self, Inclusion, Protocol, Session, Smuggling},
        Severity::{self, Critical, Notice, Warning},
    },
    inspector::Rule,
};

const fn rule(id: u32, severity: Severity, level: u8, category: Category, message: &'static str) -> Rule {
    Rule { id, severity, level, category, message }
}

macro_rules! rules {
    ($($name:ident = $id:literal, $severity:ident, $level:literal, $category:ident, $message:literal;)*) => {
        $(pub(crate) const $name: Rule = rule($id, $severity, $level, $category, $message);)*
        /// Every check of this file, for the documentation.
        pub(crate) const ALL: &[Rule] = &[$($name),*];
    };
}

rules! {
    METHOD = 91101, Critical, 1, Protocol, "method is not allowed";
    REQUEST_LINE = 92001, Warning, 1, Protocol, "request line is not valid";
    FILE_NAME = 92002, Critical, 1, Protocol, "name of a field or file has characters that confuse parsers";
    CONTENT_LENGTH = 92003, Critical, 1, Smuggling, "Content-Length is not a number";
    GET_WITH_BODY = 92004, Critical, 1, Protocol, "GET or HEAD with a body";
    NO_LENGTH = 92005, Warning, 1, Protocol, "POST without Content-Length and Transfer-Encoding";
    LENGTH_AND_ENCODING = 92006, Critical, 1, Smuggling, "Content-Length beside Transfer-Encoding";
    RANGE = 92007, Warning, 1, Protocol, "Range with an end before its start";
    RANGES = 92008, Warning, 1, Protocol, "Range with many parts";
    CONNECTION = 92009, Warning, 1, Protocol, "Connection contradicts itself";
    PERCENT = 92010, Warning, 1, Protocol, "percent encoding is not valid";
    UTF8 = 92012, Warning, 1, Protocol, "UTF-8 is overlong or not valid";
    FULL_WIDTH = 92013, Warning, 1, Protocol, "full-width letters by %u";
    NUL_VALUE = 92014, Critical, 1, Protocol, "NUL in a value";
    UNPRINTABLE = 92015, Critical, 2, Protocol, "control character in a value";
    NOT_ASCII = 92016, Critical, 4, Protocol, "value is not plain ASCII";
    NO_HOST = 92017, Warning, 1, Protocol, "Host is missing";
    EMPTY_HOST = 92018, Warning, 1, Protocol, "Host is empty";
    TWO_HOSTS = 92019, Critical, 1, Smuggling, "Host is there twice";
    NUMERIC_HOST = 92020, Warning, 1, Protocol, "Host is an address";
    EMPTY_ACCEPT = 92021, Notice, 1, Protocol, "Accept is empty";
    NO_AGENT = 92022, Notice, 2, Protocol, "User-Agent is missing";
    EMPTY_AGENT = 92023, Notice, 1, Protocol, "User-Agent is empty";
    NO_CONTENT_TYPE = 92024, Notice, 1, Protocol, "body without Content-Type";
    CONTENT_TYPE = 92025, Critical, 1, Protocol, "Content-Type is not allowed";
    CONTENT_TYPE_FORM = 92026, Critical, 1, Protocol, "Content-Type is not valid";
    CHARSET = 92027, Critical, 1, Protocol, "charset is not allowed";
    TWO_CHARSETS = 92028, Critical, 1, Protocol, "charset is there twice";
    VERSION = 92029, Critical, 1, Protocol, "HTTP version is not allowed";
    EXTENSION = 92030, Critical, 1, Protocol, "extension of the path is restricted";
    BACKUP = 92031, Critical, 1, Protocol, "path of a backup or working file";
    HEADER = 92032, Critical, 1, Protocol, "header is restricted";
    ACCEPT = 92033, Critical, 1, Protocol, "Accept is not valid";
    ACCEPT_ENCODING = 92034, Critical, 1, Protocol, "Accept-Encoding is not valid";
    TWO_TYPES = 92035, Critical, 1, Protocol, "Content-Type is there twice";
    OVERRIDE = 92036, Warning, 1, Protocol, "parameter overrides the method";
    ESCAPED_LETTER = 92037, Critical, 1, Protocol, "letters as \\u escapes in a form";
    TOO_MANY_ARGS = 92038, Critical, 1, Protocol, "too many parameters";
    LONG_NAME = 92039, Critical, 1, Protocol, "name of a parameter is very long";
    HEAD_TOO_LARGE = 92040, Critical, 1, Protocol, "request line and headers are too large";
    BODY_TOO_LARGE = 92041, Notice, 1, Protocol, "body is larger than what is inspected";
    FRAGMENT = 92042, Warning, 2, Protocol, "target has a fragment";
    NO_ACCEPT = 92043, Notice, 3, Protocol, "Accept is missing";
    CONTENT_ENCODING = 92044, Critical, 1, Protocol, "Content-Encoding cannot be undone";
    COMPRESSED = 92045, Critical, 1, Protocol, "compressed body is broken";
    MALFORMED_JSON = 92046, Warning, 1, Protocol, "JSON is not valid";
    MULTIPART_UNCLOSED = 92047, Warning, 1, Protocol, "multipart body does not end with its boundary";
    XML_ENTITY = 92048, Critical, 1, Inclusion, "XML declares an entity";
    XML_EXTERNAL = 92049, Critical, 1, Inclusion, "XML names an external definition";
    NOT_HTTP = 92050, Critical, 1, Protocol, "not a request of HTTP/1";
    UPGRADE_H2 = 92051, Critical, 1, Smuggling, "upgrade to clear-text HTTP/2";
    BARE_LF = 92101, Warning, 1, Smuggling, "line ends without CR";
    BARE_CR = 92102, Critical, 1, Smuggling, "CR inside of a line";
    NUL = 92103, Critical, 1, Smuggling, "NUL in a header";
    FOLDED = 92104, Critical, 1, Smuggling, "folded header";
    NO_COLON = 92105, Critical, 1, Smuggling, "header without a colon";
    HEADER_NAME = 92106, Critical, 1, Smuggling, "name of a header is not valid";
    SPACE_BEFORE_COLON = 92107, Critical, 1, Smuggling, "space before a header's colon";
    TRANSFER_ENCODING = 92108, Critical, 1, Smuggling, "Transfer-Encoding is not plainly chunked";
    TWO_LENGTHS = 92109, Critical, 1, Smuggling, "Content-Length is there twice";
    CHUNK_SIZE = 92110, Critical, 1, Smuggling, "size of a chunk is not valid";
    CHUNK_END = 92111, Critical, 1, Smuggling, "chunk does not end where its size says";
    CHUNK_EXTENSION = 92112, Warning, 1, Smuggling, "chunk has an extension";
    TRAILER = 92113, Critical, 1, Smuggling, "trailer that only a header may be";
    OLD_COOKIE = 92114, Critical, 1, Smuggling, "cookie of the old version 1";
    TYPE_IN_PARAMETER = 92115, Critical, 1, Protocol, "media type in a parameter of Content-Type";
    ARRAY_NAME = 92117, Critical, 4, Protocol, "parameter's name is an array's";
    RANGE_HEADER = 92118, Warning, 3, Protocol, "Range is there";
    INCLUDED = 93108, Critical, 1, Inclusion, "URL in a parameter that says where code lies";
    SESSION = 94303, Critical, 1, Session, "session in a parameter, and no page of this site led here";
    PART_CHARSET = 92201, Critical, 1, Protocol, "charset of a part is not allowed";
    PART_ENCODING = 92202, Critical, 1, Protocol, "Content-Transfer-Encoding of a part";
    PART_HEADER = 92203, Critical, 1, Protocol, "header of a part is not valid";
}
