//! Scanners, header injection, LDAP, sessions.

use super::{
    Check, HEADERS, PATH, TARGET, VALUES, check,
    form::{ALL, LINES, TEXT},
    weak,
};
use crate::finding::Part;

const USER_AGENT: u16 = Part::UserAgent.bit();

/// How an HTTP request begins.
const REQUEST_LINE: &str = r"^(?:get|post|head|options|connect|put|delete|trace|track|patch|propfind|proppatch|mkcol|copy|move|lock|unlock)\s(?:/|https?://)[^\s]*\shttp/[0-9]";

pub(super) const CHECKS: &[Check] = &[
    check!(
        91301,
        1,
        Scanner,
        USER_AGENT,
        TEXT,
        "program that looks for holes",
        concat!(
            r"\b(?:acunetix|wvs|appscan|arachni|autogetcontent|bilbo|blackwidow|brutus|burp(?:suite|collaborator)|cgichk|core-project|",
            r"crowdsourced|dav\.pm|detectify|dirb(?:uster)?|dominator|dotdotpwn|fimap|floodgate|fuff|ffuf|fuzz faster|feroxbuster|gobuster|golismero|",
            r"grabber/0|grendel-scan|havij|hydra|httpx - open-source|inspath|internet ninja|jaascois|jbrofuzz|jorgee|joomscan|katana|kiterunner|",
            r"l9explore|l9tcpid|masscan|metis|morfeus|mysqloit|n-stealth|naabu|nessus|netlab360|netsparker|nikto|nmap|nsauditor|nuclei|",
            r"openvas|pangolin|paros|pmafind|prog\.customcrawler|qualys|s\.t\.a\.l\.k\.e\.r|security scan|sipvicious|skipfish|sql power injector|",
            r"sqlmap|sqlninja|struts-pwn|sysscan|tbi-webscanner|tplmap|vega/|visionutils|w3af|webbandit|webinspect|webshag|webtrends security|",
            r"webvulnscan|wfuzz|whatweb|whcc/|wordpress hash grabber|wpscan|wprecon|xmlrpc exploit|xsser|xsstrike|zgrab|zmeu|zap/|zaproxy|commix|",
            r"nosqlmap|jaeles|gospider|interactsh|leakix|cyberscan|censysinspect|expanseinc|internet-measurement|mozilla/5\.0 sf/|springboot-scan)"
        )
    ),
    check!(
        91302,
        1,
        Scanner,
        VALUES | TARGET | HEADERS,
        TEXT,
        "mark of a program that looks for holes",
        r"acunetix-wvs-test|appscan_fingerprint|/nikto-|/nessustest|/netsparker-|w3af_\w+_test|/\.\.\./wvs_test|interact\.sh|oastify\.com|burpcollaborator\.net"
    ),
    check!(
        92121,
        1,
        Smuggling,
        VALUES,
        LINES,
        "HTTP request inside of a value",
        r"[\n\r](?:get|post|head|options|connect|put|delete|trace|track|patch|propfind|proppatch|mkcol|copy|move|lock|unlock|search)\s+(?:/|https?://)?[^\s]*(?:\s+http/[0-9]|[\r\n])"
    ),
    check!(92131, 1, Smuggling, VALUES & !Part::Body.bit(), TEXT, "value that begins as an HTTP request", REQUEST_LINE),
    // Programs for tests of HTTP send such bodies.
    weak(check!(92132, 1, Smuggling, Part::Body.bit(), TEXT, "body that begins as an HTTP request", REQUEST_LINE)),
    check!(
        92122,
        1,
        Smuggling,
        VALUES | PATH,
        LINES,
        "header of a response inside of a value",
        r"[\n\r]\W*(?:content-(?:type|length|disposition|encoding)|set-cookie|location|refresh|x-xss-protection|transfer-encoding|access-control-[a-z-]+)\s*:"
    ),
    check!(
        92123,
        1,
        Smuggling,
        VALUES | PATH,
        LINES,
        "response inside of a value",
        r"(?:\bhttp/[0-9.]+\s+[1-5][0-9][0-9]\b|<(?:html|meta)\b[^>]*>)\s*.*[\r\n].*content-|[\r\n]\s*http/[0-9]\.[0-9]"
    ),
    check!(
        92124,
        1,
        Smuggling,
        Part::ArgName.bit() | PATH | Part::CookieName.bit(),
        LINES,
        "line break in a name",
        r"[\n\r]"
    ),
    check!(92125, 1, Smuggling, HEADERS | Part::Cookie.bit(), LINES, "encoded line break in a header", r"[\n\r]"),
    check!(92126, 2, Smuggling, Part::Arg.bit(), LINES, "line break in a value", r"[\n\r]"),
    check!(
        92127,
        1,
        Smuggling,
        Part::Arg.bit(),
        LINES,
        "header injection in a value",
        r"[\n\r]+(?:location|refresh|(?:set-)?cookie|(?:x-)?(?:forwarded-(?:for|host|server)|host|via|remote-ip|remote-addr|originating-ip))\s*:"
    ),
    check!(92128, 1, Smuggling, VALUES | TARGET, TEXT, "proxy address in the target", r"^[^=]{0,40}\bunix:[^|]*\|\w+:"),
    check!(
        92129,
        1,
        Smuggling,
        VALUES,
        TEXT,
        "LDAP filter",
        concat!(
            r"\)\s*\(\s*[&|!]|[&|!]\s*\(\s*[a-z]+\s*(?:[<>~]?=)\s*[^)]*\)?\s*\)?$|\)\s*[&|!]?\s*\(\s*[a-z][\w.;-]*\s*(?:~|>|<)?=|\)\s*!\s*\(|",
            r"\*\s*\)\s*\(\s*[a-z&|!]|^\s*\*\s*\)\s*[(!&|)]|\w\)\s*\(\s*[&|]"
        )
    ),
    check!(92130, 1, Smuggling, HEADERS, TEXT, "module's content type in a header", r"%\{[^}]*[#@(]|#_memberaccess"),
    check!(
        94301,
        1,
        Session,
        VALUES | TARGET,
        ALL,
        "cookie set by a script",
        r"\.cookie\b\W*(?:;|=).*?\b(?:expires|domain)\W*=|\bhttp-equiv\W+set-cookie\b|document\.cookie\s*="
    ),
];
