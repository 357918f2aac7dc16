//! Commands of Unix shells, of Windows and of PowerShell; protocols of mail.

use super::{Check, HEADERS, VALUES, check, form::{ALL, RAW, TEXT}};
use crate::finding::Part;

/// Commands that are no words of a language.
macro_rules! rare {
    () => {
        concat!(
            r"(?:7z[arx]?|adduser|ansible(?:-\w+)?|apt-get|aptitude|arp|awk|gawk|mawk|nawk|base32|base64|bash|bsdcat|bsdtar|bunzip2|busybox|bzcat|bzip2|bzless|c89|c99|capsh|chattr|chef-\w+|chgrp|chmod|chown|chpasswd|chroot|cpio|cpulimit|crontab|cscli|csh|csplit|dhclient|dmesg|dmidecode|dnf|doas|dpkg|",
            r"easy_install|egrep|fgrep|esac|ethtool|faillog|fping|ftp|gcc|g\+\+|gdb|getent|ghci|gtester|gunzip|gzcat|gzexe|gzip|hexdump|hping3|htop|iconv|ifconfig|ifdown|ifup|insmod|ionice|ipcs|iptables|ip6tables|irb|jexec|jjs|jrunscript|journalctl|killall|kpartx|ksh|kubectl|lastlog|lastcomm|ldconfig|ldd|ln|logsave|lsattr|lscpu|lsof|lsb_release|ltrace|lwp-(?:download|dump|mirror|request)|lynx|lzcat|lzma|lzless|mawk|mkdir|mkfifo|mknod|mktemp|mlocate|mlr|modprobe|msgattrib|mysql(?:admin|dump)?|nasm|nc|nc\.(?:openbsd|traditional)|ncat|netcat|netstat|nmap|nohup|nroff|nsenter|nslookup|",
            r"openssl|openvt|passwd|pax|pdb|pdksh|ping6?|pip[23x]?|pkexec|pkg_?info|pkill|popd|printenv|printf|psed|psql|psftp|ptar(?:diff|grep)?|pushd|pwd|rbash|rcp|rdiff|readelf|realpath|rlogin|rlwrap|rmdir|rmt|rpm|rpmquery|rsh|rsync|rvim|scp|screendump|sed|setarch|setfacl|setsid|sftp|sh|shadowconfig|sha(?:1|256|512)sum|shuf|smbclient|smbmap|snice|socat|ssh|sshpass|start-stop-daemon|stdbuf|strace|stty|su|sudo|sudoedit|sysctl|systemctl|tailf|tar|tac|tclsh|tcpdump|tcping|tcptraceroute|tcsh|tee|telnet|tftp|tmux|traceroute6?|tshark|uname|uncompress|uniq|unlink|unlzma|unshare|unxz|unzip|unzstd|update-alternatives|useradd|userdel|usermod|uuencode|uudecode|valgrind|vagrant|vigr|vim(?:diff)?|vipw|virsh|wget|whoami|whiptail|whois|wireshark|xargs|xmodmap|xelatex|xxd|xz(?:cat|diff|egrep|grep|less|more)?|yum|zcat|zcmp|zdiff|zegrep|zfgrep|zgrep|zipcloak|zipdetails|zipinfo|zless|zmore|zsh|zstd(?:cat|grep|less)?|zypper|bcdedit|ntsd)"
        )
    };
}

/// Commands that are words too, or short: they need more around them.
macro_rules! word {
    () => {
        r"(?:curl|dash|docker|expect|gimp|git|kill|last|lua|make|nano|nice|node|npm|nvm|perl[5-9.]*|php[5-9.]*|pico|pyth?on[0-9.]*|pry|reboot|rename|restic|ruby[0-9.]*|rview|ss|touch|ul|alias|ab|agetty|ash|as|at|atobm|bash|batch|bpftrace|breaksw|bridge|builtin|bundle|byebug|cancel|cat|cc|check_\w+|choom|chef|cobc|column|comm|command|compgen|cowsay|cp|curl|cut|date|dd|df|diff|dig|dir|dialog|dosbox|done|dvips|ebegin|echo|ed|egrep|ent|env|eqn|eval|ex|exec|expand|export|facter|fetch|file|find|finger|fish|flock|fmt|fold|free|gem|genie|groups|grep|hash|head|hd|hg|history|highlight|hostname|hostid|host|id|install|ip|jobs|join|jq|latex|less|ld|links?|loadkeys|locate|look|logname|lp|ls|ls-F|mail|man|mirror|more|mount|mosquitto|msgcat|mtr|mutt|mv|nft|nl|nm|octave|od|paste|patch|pg|pidstat|pr|ps|ptx|puppet|rake|rc|readonly|red|rev|rm|route|run-parts|runscript|sash|scanmem|scheme|screen|script|select|service|set|sh|sleep|slsh|soelim|softlimit|sort|source|split|sqlite3?|stat|strings|sysadminctl|tail|tasksh|task|tbl|tic|time|timeout|timedatectl|top|torify|torsocks|troff|type|uconv|ulimit|umount|unalias|unset|users|utmpdump|vi|view|volatility|w|wall|watch|wc|wish|who|write|xdotool|xmore|xpad|xtar|yarn|yash|yelp|zathura|zip|zrun|zsoelim)"
    };
}

/// Where a command begins: behind what separates commands or opens one.
macro_rules! before {
    () => {
        r"(?:(?:[;|\n\r]|&&?|\|\||\$\(|[<>]\(|\(\)\s*\{[^}]*\}?|\bdo\s|\bthen\s|\{\s|!\s)[\s({!]*|(?:^|[^\s])`)(?:(?:sudo|time|nohup|exec|command|env|nice|setsid|eval|busybox|xargs|builtin|strace|timeout\s+\d+)\s+(?:-\w+\s+)*)*(?:\w+=[^\s;|&]*\s+)*(?:/?(?:[\w.*?\[\]-]+/)*)"
    };
}

/// What follows a command that is a word: an option, a path, a redirection, an end.
macro_rules! argument {
    () => {
        r"(?:\s+(?:-{1,2}[a-z0-9]|\+[a-z]|/(?:[a-z*?]|\s|$)|\.{1,2}/|~/?|\$[\w({]|[<>|;&`]|[^\s]+\.(?:txt|log|conf|cfg|ini|gz|sh|php|py|pl|zst|bz2|sql|html?|json|xml|ya?ml|key|pem|env)\b|[^\s/]+/[^\s]*/|[a-z0-9-]+\.[a-z]{2,}[/:\s]?|\d+$)|<[<(a-z/]|\s*[>]{1,2}\s*[/\w&]|\s*\|\s*[a-z/])"
    };
}

pub(super) const CHECKS: &[Check] = &[
    check!(93201, 1, Command, VALUES, ALL, "Unix command behind a separator", concat!(before!(), rare!(), r"(?:[\s;|&<>)`$/}'\x22]|$)")),
    check!(93202, 1, Command, VALUES, ALL, "Unix command with arguments behind a separator", concat!(before!(), "(?:", word!(), argument!(), r"|(?:id|ls|ps|env|dir|set|df|w|hostname|ver|uname|date|cat|sh|top|sleep\s+\d+)\s*(?:[;|&`\x27\x22)#]|$))")),
    check!(93203, 1, Command, VALUES | HEADERS, ALL, "Unix command alone", concat!(
        r"^[\s'\x22({]*(?:(?:sudo|time|nohup|exec|command|env|nice|setsid|eval|busybox|strace|xargs)\s+(?:-\w+\s+)*)*(?:\w+=\S*\s+)*(?:/?(?:[\w.-]+/)*)", rare!(),
        r"(?:\s+(?:-{1,2}[a-z0-9]|/[a-z*?]|\.{0,2}/|~|\$[\w({]|[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}|\d+\.\d+|[a-z]+://|<<<)|<<<)")),
    check!(93204, 1, Command, VALUES, ALL, "Unix command alone, with arguments", concat!(
        r"^[\s'\x22({]*(?:(?:sudo|time|nohup|exec|env|nice|setsid|busybox|strace)\s+(?:-\w+\s+)*)*(?:/?(?:[\w.-]+/)*)", word!(),
        r"\s+(?:-{1,2}[a-z][\w-]*(?:[\s=]|$)|(?:/|\./|\.\./|~/)[a-z.*?]|[^\s]+\s*(?:\||&&|>)\s*[\w/]|[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}(?:[/:\s]|$)|\S+://)")),
    check!(93205, 1, Command, VALUES, ALL, "Unix command that is no word, alone",
        r"^[\s'\x22]*(?:whoami|ifconfig|netstat|lsb_release|printenv|hostnamectl|getent|dmesg|ipconfig|systeminfo|tasklist|uname|ansible-\w+|chef-\w+|cscli|nohup|pwd|lsof|lscpu)(?:\s+[\w/.-]+)*\s*[;|&#'\x22`]*[\s'\x220-9]*$|^\W*(?:time|nohup|sudo|exec|strace)\s+(?:bsdtar|ifconfig|whoami|bash|sh|wget|zsh|[bxz]?zcat|crontab|ssh|netstat)\s*$|^\W*(?:ansible|perf|pip[23x]?|python[0-9.]+|chef|puppet|rc)\s+(?:--?\w|\w+\s+-|install\b|list\b|script|cmd)"),
    check!(93206, 1, Command, VALUES | HEADERS, ALL, "path of a program or phrase of a shell", concat!(
        r"(?:^|[^\w/.:-])/?(?:usr/)?(?:local/)?s?bin/+[a-z*?\[][\w*?\[\]-]*|/dev/(?:tcp|udp)/|\bbin/(?:", r"bash|sh|zsh|ksh|dash|cat|nc|curl|wget|python|perl|ls|id|ansible|cscli|env|busybox)\b|",
        r"\bcat\s+/(?:etc|proc|var|home|root)|\becho\s+[\w+/=]{8,}\s*\|\s*base64|\|\s*(?:ba|z|k|c|da)?sh(?:\s|$)|\$shell\b|\bwget\s+(?:-\w+\s+)*(?:https?|ftp)://|\bcurl\s+(?:-\w+\s+)*(?:https?|ftp)://|\bpython[0-9.]*\s+-[cm]\b|\bperl\s+-e\b|\bruby\s+-e\b|\bphp\s+-r\b|\bnc\s+-[a-z]*[el]|\bbash\s+-[ci]\b|\bsh\s+-[ci]\b|0>&1|2>&1|>&\s*/dev/|\brm\s+-[rf]{1,2}\s|\bchmod\s+(?:\+x|[0-7]{3,4})\s|\bcrontab\s+-|\bmkfifo\s+/|/etc/(?:passwd|shadow|group)\b|/proc/self/")),
    check!(93207, 1, Command, VALUES | HEADERS, ALL, "function for a shell in a header or value", r"\(\s*\)\s*\{.*?:?\s*;?\s*\}\s*;"),
    check!(93208, 1, Command, VALUES, ALL, "substitution of a command", concat!(
        r"\$\(\s*(?:", rare!(), "|", word!(), r")(?:[\s;|&)<>]|$)|\$\(\(.*\)\)|[<>]\(\s*[a-z]+(?:\s[^)]*)?\)|`\s*(?:/[\w/]*)?(?:", rare!(), "|", word!(), r")(?:\s[^`]*)?`|\$\{[a-z_]\w*(?::-|:=|:\+|:\?|%%|##|//|:\d|@[a-z]|\^\^|,,)|\$\{(?:ifs|path|home|shell|pwd|oldpwd|ps[0-9]|hostname|user|euid)\b|\$ifs\b|\$\[[\d\s+*-]+\]|\[\s*-[a-z]\s+/\w[^\]]*\]")),
    check!(93209, 1, Command, VALUES, RAW | TEXT, "expression that hides a command", concat!(
        r"/[\w*?\[\]]*[?*\]][\w*?\[\]]*/[\w*?\[\]/]*[a-z]|(?:^|[;|&`\s/])[a-z]*(?:\\[a-z]|''[a-z]|\x22\x22[a-z]|\$[@*!?_]|\$\{[!#]?\w*\}|`{2}|'[a-z]')[\w\\'\x22$@*!?_`]*(?:\s+|\+|\$ifs|<)['\x22]?/\w|",
        r"\b[a-z]+\$[@*!?_0-9][a-z]*(?:\s|\+|/|$)|(?:^|[;&|\s])\w+=\w+(?:\s*[;&]+\s*\w+=[^\s;&]+)*\s*[;&]+\s*\$\w+|;\s*\$[a-z_]+\s+[/$\w]+\s+\$?\w*\s*\$\w+|\$\w+\s*/\w+/\$|\bprintf\s+['\x22]?\\(?:x|0|1)")),
    check!(93210, 1, Command, VALUES, ALL, "alias of a command", r"\balias\s+(?:[-+][a-z]+\s+)*['\x22$\w-]+=['\x22$\w{]"),
    check!(93211, 3, Command, VALUES, RAW | TEXT, "history of a shell", r"^!(?:!|-?\d+|\?\w+\??|[a-z]{2,}:)$|!!:\w"),
    check!(93220, 1, Command, VALUES, ALL, "Windows command", concat!(
        r"(?:^|[;|&\n\r`{(!]|\bcmd\s*=\s*|\bcall\s)\s*(?:@)?(?:[a-z]:)?(?:[\\/][\w .~-]+)*[\\/]?(?:cmd(?:\.exe)?\s*/[a-z]\b|command\.com|(?:assoc|attrib|bcdboot|bcdedit|bitsadmin|cacls|certreq|certutil|cscript|csvde|dcomcnfg|diskpart|diskshadow|dnscmd|dsquery|eventvwr|extrac32|fltmc|forfiles|fsutil|ftype|gpresult|gpupdate|icacls|ieexec|iexplore|infdefaultinstall|ipconfig|jsc|logoff|makecab|mavinject|mmc|msbuild|msdt|mshta|msiexec|msra|nbtstat|netsh|nltest|notepad|ntdsutil|odbcconf|pathping|pcalua|pnputil|psexec|qprocess|quser|qwinsta|rasautou|rasdial|regasm|regedit|regini|regsvcs|regsvr32|robocopy|rpcping|runas|rundll32|runonce|schtasks|scriptrunner|secedit|setx|syncappvpublishingserver|systeminfo|takeown|taskkill|tasklist|tracert|tttracer|vbc|vssadmin|w32tm|wevtutil|whoami|winget|winrm|winrs|wlrmdr|wmic|wscript|wsl|wuauclt|xcopy|xwizard)(?:\.(?:exe|com))?(?:\s*/[a-z?]|\s+[-/<>%\\\x22@]|\s+[a-z]:|\s+\w+\.\w|\s*[<>|]|\s+\d|$)|(?:at\s+\d+:\d+\s+[\x22/\w]+[\x22\s\\.]|reg\s+(?:add|query|save|export|delete)\s+[\x22h]|sc\s+(?:query|create|config|start|stop|delete)\s|shutdown\s+[-/]|net1?\s+(?:user|localgroup|view|share|use)\s*(?:$|/|\\)|at\.exe|dir\s+(?:/[a-z]|[a-z]:|\\)|type\s+(?:[a-z]:|\\|%)|copy\s+(?:/[a-z]|[a-z]:|\\)|del\s+(?:/[a-z]|[a-z]:|\\)|move\s+[a-z]:|ren\s+[a-z]:|start\s+(?:/[a-z]|\w+\.exe)|echo\s+%\w|set\s+/[ap]|set\s+\w+=))")),
    check!(93221, 1, Command, VALUES, ALL, "Windows command with an option", concat!(
        r"\bcmd(?:\.exe)?\s*/[ckr]\b|\bregsvr32(?:\.exe)?\s+/|\brundll32(?:\.exe)?\s+\w+|\bmshta(?:\.exe)?\s+(?:https?|javascript|vbscript)|\bcertutil(?:\.exe)?\s+-|\bbitsadmin(?:\.exe)?\s+/|\bwmic(?:\.exe)?\s+(?:process|os|/node)|(?:^|[;|&\n`])\s*net1?(?:\.exe)?\s+(?:user|localgroup|group|share|use|view|start|stop|accounts)\b(?:\s*$|\s+/|\s*[|;&>]|\s+\S+\s+(?:/|\S+\s+/))|\bschtasks(?:\.exe)?\s+/|\breg(?:\.exe)?\s+(?:add|query|save|export|delete)\s|\bnetsh\s+\w+|\bvssadmin\s+\w+|\btaskkill\s+/|%(?:systemroot|comspec|windir|programfiles|appdata|userprofile|temp)%|c:\\windows\\system32|\bsystem32\\\w+\.exe|\w+\.exe\s+/c\b|[a-z]:\\[\w\\ .~-]+\.(?:exe|bat|cmd|ps1|vbs|dll)\b")),
    check!(93222, 1, Command, VALUES, ALL, "PowerShell", concat!(
        r"\bpowershell(?:\.exe)?(?:\s+[-/\w\x22']|$)|\bpwsh(?:\.exe)?\s+-|-e(?:nc(?:odedcommand)?|xecutionpolicy)\s+\w|-noni?[a-z]*\s+-|\b(?:invoke|start|stop|new|get|set|add|remove|import|export|out|write|select|enable|disable|test|copy|move|clear|convertto|convertfrom|resolve|register|unregister|receive|send|enter|exit|where|foreach|sort|compare|format|measure|rename|restart|resume|suspend|update|wait|trace|tee|push|pop|join|split|group|complete|checkpoint|debug|limit|undo|use|show)-(?:expression|webrequest|restmethod|command|item|itemproperty|process|service|object|content|childitem|location|host|output|alias|variable|wmiobject|ciminstance|cimmethod|wmimethod|eventlog|acl|member|date|random|culture|credential|executionpolicy|history|pssession|psdrive|psprovider|psbreakpoint|pssnapin|module|job|computer|csv|clixml|json|xml|html|path|null|file|string|printer|mailmessage|sleep|securestring|transaction|type|typedata|event|tracesource|hotfix|counter|unique|list|table|wide|custom|help|host|uiculture|controlpanelitem|localuser|localgroup|netipaddress|nettcpconnection|adcomputer|aduser|bitstransfer|scheduledtask)(?:\s+[-$'\x22@(\[\\]|\s+[a-z]:|\s+https?:|\s+\w+\.\w|\s*\||\s*;)|^\W*(?:get|invoke|start|stop|out)-(?:expression|webrequest|restmethod|command|process|service|childitem|content|wmiobject|ciminstance|acl|history|itemproperty|executionpolicy|localuser|member|eventlog|host|location)\b|",
        r"\bnew-object\s+(?:system\.)?net\.|\.downloadstring\s*\(|\.downloadfile\s*\(|\biex\s*[(\s]|\[(?:system\.)?(?:text\.encoding|convert|io\.file|reflection\.assembly|net\.webclient|diagnostics\.process)\]|(?:^|[;|&\n`({])\s*(?:iwr|irm|gwmi|iwmi|icim|gci|gcm|gps|saps|spps|sajb|ipmo|nsn|etsn|epcsv|cnsn|gjb|rjb|rcjb|sbp|gbp|ndr|mount|swmi|rwmi|ise|trcm|rvpa|rnp|rni|mci|mp|cpp|cpi|clp|cli|clv|ogv|oh|ipal|epal|gal|nal|sal|gdr|rdr|gv|nv|rv|sv|gm|gu|gl|sl|gsv|sasv|spsv)\s+(?:-[a-z]+|[a-z]:|\$|['\x22]|https?:)")),
    check!(93223, 1, Command, VALUES, RAW | TEXT, "statement of a batch file", concat!(
        r"\bfor\s+(?:/[dflr]\s*(?:[^%]{0,80}?\s)?)*\s*%+[^\s]{1,12}\s+in\s*\(.*\)\s*do|\bif\s+(?:/i\s+)?(?:not\s+)?\(*(?:exist\s+\S+\s+\S|defined\s+\w+\s+[\w(]|errorlevel\s+\d+\s+\w|cmdextversion\s+\d|(?:\x22[^\x22]*\x22|[\w.%~:\[\](){}-]+)\s*(?:=={1,2}|\b(?:equ|neq|lss|leq|gtr|geq)\b)\s*(?:\x22[^\x22]*\x22|[\w.%~:\[\](){}\\-]+)\s*\S)")),
    check!(93230, 1, Command, VALUES, RAW | TEXT, "command of SMTP, IMAP or POP3", concat!(
        r"\r\n(?:\s*)(?:ehlo|helo|mail\s+from:|rcpt\s+to:|expn\s|vrfy\s|rset\b|starttls\b|auth\s+\w|(?:quit|data|noop|help)\b|stat\b|retr\s+\d|dele\s+\d|list(?:\s+\d|\s*$)|apop\s|user\s+\w|pass\s+\w|uidl\b|top\s+\d+\s+\d|xtnd\b|capa\b|stls\b|",
        r"[a-z]{0,4}\d{1,4}\s+(?:append|authenticate|capability|check|close|copy|create|delete|deleteacl|examine|expunge|fetch|getacl|getquota|list|listrights|login|logout|lsub|myrights|noop|rename|search|select|setacl|setquota|starttls|status|store|subscribe|uid|unsubscribe|x\w+)\b)")),
    check!(93231, 1, Command, Part::FileName.bit(), TEXT, "upload of a file that configures or runs", concat!(
        r"(?:^|[/\\])(?:\.(?:ht(?:access|passwd|digest|group)|user\.ini|env|bashrc|bash_\w+|profile|boto|ssh|npmrc|git\w*|my\.cnf|s3cfg)|php\.ini|web\.config|wp-config|settings\.\s?php|config(?:uration)?\.(?:inc\.)?php|localsettings\.php)")),
];
