//! What a server gives away in a response: errors of databases and programs, listings, sources, secrets.

use super::{
    Check,
    form::{RAW, TEXT},
};
use crate::{
    finding::{
        Category::Leak,
        Part,
        Severity::{self, Critical, Error},
    },
    inspector::Rule,
};

/// A text as people read it: entities are undone.
const READ: u8 = TEXT;

const fn leak(id: u32, severity: Severity, forms: u8, message: &'static str, pattern: &'static str) -> Check {
    let rule = Rule { id, severity, level: 1, category: Leak, message };
    Check { rule, on: Part::Response.bit(), forms, pattern }
}

pub(super) const CHECKS: &[Check] = &[
    leak(
        95001,
        Error,
        READ,
        "listing of a directory",
        r"<title>(?:index of|directory listing for) /|<h1>(?:index of|directory listing for) /|\[to parent directory\]|<a href=\x22\.\./\x22>\.\./</a>\s*[\w<%]",
    ),
    // Only what no browser shows: a text about programs has entities in it.
    leak(
        95002,
        Error,
        RAW,
        "source of a program",
        r"<\?php\s|<\?=\s*\$|<%@\s*(?:page|language|import|taglib|include)\b|<%\s*(?:dim|response\.|request\.|server\.)|<!--#(?:exec|include)\s|^#!\s?/(?:usr/)?bin/\w",
    ),
    leak(
        95101,
        Critical,
        READ,
        "error of a database",
        concat!(
            r"you have an error in your sql syntax|for the right syntax to use near|\bsqlstate[\[:]\s?\w{5}\b|supplied argument is not a valid (?:mysql|postgresql|ms ?sql)|warning\W{1,10}(?:mysqli?|pg|mssql|sqlsrv|oci|odbc|sqlite3?|ibase|ifx|db2)_\w+\(|unknown column '[^']{1,100}' in '|\btable '[^']{1,100}' doesn't exist|",
            r"syntax error at or near \x22|unterminated quoted (?:string|identifier) at or near|invalid input syntax for (?:type )?integer|org\.postgresql\.util\.psqlexception|npgsql\.\w*exception|\bpg::\w+error|",
            r"\bora-\d{5}: |quoted string not properly terminated|oracle\.jdbc\.|\bpls-\d{5}: |",
            r"microsoft ole db provider for|\[microsoft\]\[|\[sql server\]|incorrect syntax near '|unclosed quotation mark (?:after|before) the character string|system\.data\.(?:sqlclient|oledb|odbc|sqlite)\.\w+exception|conversion failed when converting the \w+ value|microsoft jet database engine|\[odbc sql server driver\]|",
            r"sqlite3?(?:::|\.)\w*(?:exception|error)|near \x22[^\x22]{1,100}\x22: syntax error|unrecognized token: \x22|db2 sql error|\[ibm\]\[cli driver\]|com\.ibm\.db2\.jcc|com\.sybase\.jdbc|sybase message|dynamic sql error|com\.informix\.jdbc|org\.(?:hsqldb|h2)\.jdbc|java\.sql\.sql\w*exception|com\.mysql\.jdbc|activerecord::statementinvalid|sqlalchemy\.exc\."
        ),
    ),
    leak(
        95201,
        Error,
        READ,
        "stack trace of Java",
        r"\bat (?:[a-z_$][\w$]*\.){2,12}[\w$<>]+\((?:[\w$]+\.(?:java|kt|scala):\d+|native method|unknown source)\)|exception in thread \x22[^\x22]{1,100}\x22 |org\.apache\.jasper\.jasperexception|\bwhitelabel error page\b",
    ),
    leak(
        95301,
        Error,
        READ,
        "error of PHP",
        r"<b>(?:warning|fatal error|parse error|notice|deprecated|strict standards|catchable fatal error)</b>\s?: |(?:warning|fatal error|parse error|notice|deprecated): .{1,300}? in [/\w][\w/.\\:-]{0,200}\.php(?::\d|(?:\(\d+\))? on line \d)|\bstack trace: #0 ",
    ),
    leak(
        95401,
        Error,
        READ,
        "error of ASP.NET or IIS",
        r"server error in '/[^']{0,100}' application|microsoft vbscript (?:runtime|compilation) error|exception details: system\.|\bat system\.(?:web|data|net|io)\.[\w.]{1,200}\(|<title>iis \d+\.\d+ detailed error|\[(?:\w{1,40}exception) \(0x[0-9a-f]{8}\)",
    ),
    leak(
        95501,
        Error,
        READ,
        "stack trace of Python, Ruby, Node.js or Go",
        r"traceback \(most recent call last\):|\bfile \x22[^\x22]{1,200}\.py\x22, line \d+, in |you're seeing this error because you have <code>debug|werkzeug debugger|\bapp/(?:controllers|models|views|helpers)/[\w/]{1,100}\.(?:rb|erb):\d+:in|\bat [\w.<>$ \[\]]{1,100} \(/[^)\s]{1,200}\.[cm]?[jt]s:\d+:\d+\)|\bgoroutine \d+ \[running\]:",
    ),
    leak(
        95601,
        Critical,
        READ,
        "page of a web shell",
        r"<title>[^<]{0,60}(?:\b(?:r57|c99|c100|b374k|wso ?\d|weevely|alfa ?team)\b|(?:web|php|mini) ?shell\b)|\bsafe.?mode: .{0,60}\bdisabled? ?functions?: |\buname: .{0,120}\bphp: .{0,60}\bhdd: ",
    ),
    leak(
        95701,
        Critical,
        READ,
        "secret of the system",
        r"-----begin (?:rsa |dsa |ec |openssh |encrypted |pgp )?private key(?: block)?-----|\broot:[x*!]?:0:0:|\broot:\$(?:[1-7y]|2[abxy])\$[\w./$]{8,}:\d|\[boot loader\] ?timeout=|\baws_secret_access_key ?= ?[\w/+]{20,}",
    ),
];
