//! Commands of Unix shells, of Windows and of PowerShell; protocols of mail.

use super::{
    Check, HEADERS, VALUES, check,
    form::{ALL, LINES, RAW, TEXT},
};
use crate::finding::Part;

pub(super) const CHECKS: &[Check] = &[
    check!(
        93205,
        1,
        Command,
        VALUES,
        ALL,
        "Unix command that is no word, alone",
        r"^[\s'\x22]*(?:whoami|ifconfig|netstat|lsb_release|printenv|hostnamectl|getent|dmesg|ipconfig|systeminfo|tasklist|ansible-\w+|chef-\w+|cscli|nohup|lsof|lscpu)(?:\s+[\w/.-]+)*\s*[;|&#'\x22`]*[\s'\x220-9]*$|^\W*(?:time|nohup|sudo|exec|strace)\s+(?:bsdtar|ifconfig|whoami|bash|sh|wget|zsh|[bxz]?zcat|crontab|ssh|netstat)\s*$|^\W*(?:ansible|perf|pip[23x]?|python[0-9.]+|chef|puppet|rc)\s+(?:--?\w|\w+\s+-|install\b|list\b|script|cmd)"
    ),
    check!(
        93212,
        1,
        Command,
        // Not names: so forms call their fields.
        VALUES & !(Part::ArgName.bit() | Part::CookieName.bit()),
        ALL,
        "Unix command that is also a name of fields, alone",
        r"^[\s'\x22]*(?:uname|pwd)(?:\s+[\w/.-]+)*\s*[;|&#'\x22`]*[\s'\x220-9]*$"
    ),
    check!(
        93206,
        1,
        Command,
        VALUES | HEADERS,
        ALL,
        "path of a program or phrase of a shell",
        concat!(
            r"(?:^|[^\w/.:-])/?(?:usr/)?(?:local/)?s?bin/+[a-z*?\[][\w*?\[\]-]*|/dev/(?:tcp|udp)/|\bbin/(?:",
            r"bash|sh|zsh|ksh|dash|cat|nc|curl|wget|python|perl|ls|id|ansible|cscli|env|busybox)\b|",
            r"\bcat\s+/(?:etc|proc|var|home|root)|\becho\s+[\w+/=]{8,}\s*\|\s*base64|\|\s*(?:ba|z|k|c|da)?sh(?:\s|$)|\$shell\b|\bwget\s+(?:-\w+\s+)*(?:https?|ftp)://|\bcurl\s+(?:-\w+\s+)*(?:https?|ftp)://|\bpython[0-9.]*\s+-[cm]\b|\bperl\s+-e\b|\bruby\s+-e\b|\bphp\s+-r\b|\bnc\s+-[a-z]*[el]|\bbash\s+-[ci]\b|\bsh\s+-[ci]\b|0>&1|2>&1|>&\s*/dev/|\brm\s+-[rf]{1,2}\s|\bchmod\s+(?:-\w+\s+)?(?:[ugoa]*\+[rwxs]+|[0-7]{3,4})\s+\S*[/.*~$]|\bcrontab\s+-|\bmkfifo\s+/|/etc/(?:passwd|shadow|group)\b|/proc/self/"
        )
    ),
    check!(
        93207,
        1,
        Command,
        VALUES | HEADERS,
        ALL,
        "function for a shell in a header or value",
        r"\(\s*\)\s*\{.*?:?\s*;?\s*\}\s*;|^\(\s*\)\s*\{"
    ),
    check!(
        93208,
        1,
        Command,
        VALUES,
        ALL,
        "expansion of a shell",
        r"(?:^|[\s=:;|&/])~[+-](?:$|/)|(?:^|[;|&])\s*!-\d+|\$\(\([^)]*\)\)|[<>]\(\s*[a-z]+(?:\s[^)]*)?\)|\$\{[a-z_]\w*(?::-|:=|:\+|:\?|%%|##|//|:\d|@[a-z]|\^\^|,,)|\$\{(?:ifs|path|home|shell|pwd|oldpwd|ps[0-9]|hostname|user|euid)\b|\$ifs\b|\$\[[\d\s+*-]+\]|\[\s*-[a-z]\s+/\w[^\]]*\]"
    ),
    check!(
        93209,
        1,
        Command,
        VALUES,
        RAW | TEXT,
        "expression that hides a command",
        concat!(
            r"(?:^|[\s;|&`'\x22=(,<>$}])(?:/[\w*?\[\]]+)?/[\w*?\[\]]*[?*\]][\w*?\[\]]*/[\w*?\[\]/]*[a-z]|(?:^|[;|&`\s/])[a-z]*(?:\\[a-z]|''[a-z]|\x22\x22[a-z]|\$[@*!?_]|\$\{[!#]?\w*\}|`{2}|'[a-z]')[\w\\'\x22$@*!?_`]*(?:\s+|\+|\$ifs|<)['\x22]?/\w|",
            r"\b[a-z]+\$[@*!?_0-9][a-z]*(?:\s|\+|/|$)|(?:^|[;&|\s])\w+=\w+(?:\s*[;&]+\s*\w+=[^\s;&]+)*\s*[;&]+\s*\$\w+|;\s*\$[a-z_]+\s+[/$\w]+\s+\$?\w*\s*\$\w+|\$\w+\s*/\w+/\$|\bprintf\s+['\x22]?\\(?:x|0|1)"
        )
    ),
    check!(
        93210,
        1,
        Command,
        VALUES,
        ALL,
        "alias of a command",
        r"\balias\s+(?:[-+][a-z]+\s+)*['\x22$\w-]+=['\x22$\w{]"
    ),
    check!(93211, 3, Command, VALUES, RAW | TEXT, "history of a shell", r"^!(?:!|-?\d+|\?\w+\??|[a-z]{2,}:)$|!!:\w"),
    check!(
        93220,
        1,
        Command,
        VALUES,
        ALL,
        "Windows command",
        r"\bcmd(?:\.exe)?\s*/[a-z]\b|command\.com|\bat\s+\d+:\d+\s+(?:\x22|/|\w+\.|\\)|\breg\s+(?:add|query|save|export|delete)\s+(?:\x22|hk)|\bsc\s+(?:query|create|config|start|stop|delete)\s+\w+\s+\w+=|\bshutdown\s+[-/][a-z]\b|\bnet1?\s+(?:user|localgroup|view|share|use)\s*(?:$|/|\\)|\bat\.exe|\bdir\s+(?:/[a-z]\b|[a-z]:\\|\\)|\btype\s+(?:[a-z]:\\|\\|%\w+%)|\b(?:copy|del|move|ren)\s+(?:/[a-z]\b|[a-z]:\\|\\)|\bstart\s+(?:/[a-z]\b|\w+\.exe)|\becho\s+%\w+%|\bset\s+/[ap]\s|(?:^|[;|&])\s*set\s+\w+=\w"
    ),
    check!(
        93221,
        1,
        Command,
        VALUES,
        ALL,
        "Windows command with an option",
        concat!(
            r"\bcmd(?:\.exe)?\s*/[ckr]\b|\bregsvr32(?:\.exe)?\s+/|\brundll32(?:\.exe)?\s+\w+|\bmshta(?:\.exe)?\s+(?:https?|javascript|vbscript)|\bcertutil(?:\.exe)?\s+-|\bbitsadmin(?:\.exe)?\s+/|\bwmic(?:\.exe)?\s+(?:process|os|/node)|(?:^|[;|&\n`])\s*net1?(?:\.exe)?\s+(?:user|localgroup|group|share|use|view|start|stop|accounts)\b(?:\s*$|\s+/|\s*[|;&>]|\s+\S+\s+(?:/|\S+\s+/))|\bschtasks(?:\.exe)?\s+/|\breg(?:\.exe)?\s+(?:add|query|save|export|delete)\s|\bnetsh\s+\w+|\bvssadmin\s+\w+|\btaskkill\s+/|%(?:systemroot|comspec|windir|programfiles|appdata|userprofile|temp)%|c:\\windows\\system32|\bsystem32\\\w+\.exe|\w+\.exe\s+/c\b|[a-z]:\\[\w\\ .~-]+\.(?:exe|bat|cmd|ps1|vbs|dll)\b"
        )
    ),
    check!(
        93222,
        1,
        Command,
        VALUES,
        ALL,
        "PowerShell",
        concat!(
            r"\bpowershell\.exe\b|\bpowershell\s+(?:[-/\x22'&(${]|iex\b|invoke|start-|get-|set-|new-|add-|write-|\w:\\)|\bpwsh(?:\.exe)?\s+-|-e(?:nc(?:odedcommand)?|xecutionpolicy)\s+\w|-noni?[a-z]*\s+-|\b(?:invoke|start|stop|new|get|set|add|remove|import|export|out|write|select|enable|disable|test|copy|move|clear|convertto|convertfrom|resolve|register|unregister|receive|send|enter|exit|where|foreach|sort|compare|format|measure|rename|restart|resume|suspend|update|wait|trace|tee|push|pop|join|split|group|complete|checkpoint|debug|limit|undo|use|show)-(?:expression|webrequest|restmethod|command|item|itemproperty|process|service|object|content|childitem|location|host|output|alias|variable|wmiobject|ciminstance|cimmethod|wmimethod|eventlog|acl|member|date|random|culture|credential|executionpolicy|history|pssession|psdrive|psprovider|psbreakpoint|pssnapin|module|job|computer|csv|clixml|json|xml|html|path|null|file|string|printer|mailmessage|sleep|securestring|transaction|type|typedata|event|tracesource|hotfix|counter|unique|list|table|wide|custom|help|host|uiculture|controlpanelitem|localuser|localgroup|netipaddress|nettcpconnection|adcomputer|aduser|bitstransfer|scheduledtask)(?:\s+[-$'\x22@(\[\\]|\s+[a-z]:|\s+https?:|\s+\w+\.\w|\s*\||\s*;)|^\W*(?:get|invoke|start|stop|out)-(?:expression|webrequest|restmethod|command|process|service|childitem|content|wmiobject|ciminstance|acl|history|itemproperty|executionpolicy|localuser|member|eventlog|host|location)\b|",
            r"\bnew-object\s+(?:system\.)?net\.|\.downloadstring\s*\(|\.downloadfile\s*\(|\biex\s*[(\s]|\[(?:system\.)?(?:text\.encoding|convert|io\.file|reflection\.assembly|net\.webclient|diagnostics\.process)\]"
        )
    ),
    check!(
        93223,
        1,
        Command,
        VALUES,
        RAW | TEXT,
        "statement of a batch file",
        concat!(
            r"\bfor\s+(?:/[dflr]\s*(?:[^%]{0,80}?\s)?)*\s*%+[^\s]{1,12}\s+in\s*\(.*\)\s*do|\bif\s+(?:/i\s+)?(?:not\s+)?\(*(?:exist\s+\S+\s+\S|defined\s+\w+\s+[\w(]|errorlevel\s+\d+\s+\w|cmdextversion\s+\d|(?:(?:\x22[^\x22]*\x22|%%?\w+%?)\s*==|[\w.%~:\[\](){}-]+==|(?:\x22[^\x22]*\x22|[\w.%~:\[\](){}-]+)\s*\b(?:equ|neq|lss|leq|gtr|geq)\b)\s*(?:\x22[^\x22]*\x22|[\w.%~:\[\](){}\\-]+)\s*\S)"
        )
    ),
    check!(
        93230,
        1,
        Command,
        VALUES,
        LINES,
        "command of SMTP, IMAP or POP3",
        concat!(
            r"\r\n(?:\s*)(?:ehlo|helo|mail\s+from:|rcpt\s+to:|expn\s|vrfy\s|rset\b|starttls\b|auth\s+\w|(?:quit|data|noop|help)\b|stat\b|retr\s+\d|dele\s+\d|list(?:\s+\d|\s*$)|apop\s|user\s+\w|pass\s+\w|uidl\b|top\s+\d+\s+\d|xtnd\b|capa\b|stls\b|",
            r"[a-z]{0,4}\d{1,4}\s+(?:append|authenticate|capability|check|close|copy|create|delete|deleteacl|examine|expunge|fetch|getacl|getquota|list|listrights|login|logout|lsub|myrights|noop|rename|search|select|setacl|setquota|starttls|status|store|subscribe|uid|unsubscribe|x\w+)\b)"
        )
    ),
    check!(
        93231,
        1,
        Command,
        Part::FileName.bit(),
        TEXT,
        "upload of a file that configures or runs",
        concat!(
            r"(?:^|[/\\])(?:\.(?:ht(?:access|passwd|digest|group)|user\.ini|env|bashrc|bash_\w+|profile|boto|ssh|npmrc|git\w*|my\.cnf|s3cfg)|php\.ini|web\.config|wp-config|settings\.\s?php|config(?:uration)?\.(?:(?:inc\.)?php|ya?ml|inc)\b|localsettings\.php)"
        )
    ),
];
