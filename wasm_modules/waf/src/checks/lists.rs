//! Lists that the configuration may replace.

/// Media types of bodies.
pub(crate) const CONTENT_TYPES: &[&str] = &[
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/related",
    "text/xml",
    "text/plain",
    "text/html",
    "text/csv",
    "application/xml",
    "application/soap+xml",
    "application/json",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/ld+json",
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/vnd.api+json",
    "application/problem+json",
    "application/graphql",
    "application/octet-stream",
    "application/csp-report",
    "application/reports+json",
    "application/xss-auditor-report",
    "application/x-protobuf",
    "application/grpc-web",
    "application/grpc-web-text",
    "application/x-ndjson",
    "application/pdf",
    "application/zip",
];

/// Endings of paths that nobody should ask for.
pub(crate) const EXTENSIONS: &[&str] = &[
    ".asa", ".asax", ".ascx", ".axd", ".backup", ".bak", ".bat", ".cdx", ".cer", ".cfg", ".cmd", ".com", ".config",
    ".conf", ".cs", ".csproj", ".csr", ".dat", ".db", ".dbf", ".dll", ".dos", ".htr", ".htw", ".ida", ".idc", ".idq",
    ".inc", ".ini", ".jse", ".key", ".licx", ".lnk", ".log", ".mdb", ".old", ".pass", ".pdb", ".pem", ".pol",
    ".printer", ".ps1", ".psm1", ".pwd", ".rdb", ".resources", ".resx", ".sql", ".sqlite", ".swp", ".sys", ".vb",
    ".vbe", ".vbs", ".vbproj", ".vsdisco", ".webinfo", ".wsf", ".wsh", ".xsd", ".xsx",
];

/// Headers that make servers and libraries do what a client must not ask for.
pub(crate) const HEADERS: &[&str] = &[
    "proxy",
    "lock-token",
    "content-range",
    "if",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-middleware-subrequest",
    "expect-ct",
];
