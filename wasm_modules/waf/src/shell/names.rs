//! Names of commands.

use crate::names::Names;

/// Commands of Unix that are no words of a language, sorted.
#[rustfmt::skip]
pub(super) static RARE: Names = Names::new(&[
    b"7z", b"7za", b"7zr", b"7zx", b"adduser", b"ansible", b"apt-get", b"aptitude", b"arp", b"awk", b"base32",
    b"base64", b"bash", b"bcdedit", b"bsdcat", b"bsdtar", b"bunzip2", b"busybox", b"bzcat", b"bzip2", b"bzless",
    b"c89", b"c99", b"capsh", b"chattr", b"chef-client", b"chef-run", b"chef-shell", b"chef-vault", b"chgrp",
    b"chmod", b"chown", b"chpasswd", b"chroot", b"cpio", b"cpulimit", b"crontab", b"cscli", b"csh", b"csplit",
    b"dhclient", b"dmesg", b"dmidecode", b"dnf", b"doas", b"dpkg", b"easy_install", b"egrep", b"esac", b"ethtool",
    b"faillog", b"fgrep", b"fping", b"ftp", b"g++", b"gawk", b"gcc", b"gdb", b"getent", b"ghci", b"gtester",
    b"gunzip", b"gzcat", b"gzexe", b"gzip", b"hexdump", b"hping3", b"htop", b"iconv", b"ifconfig", b"ifdown", b"ifup",
    b"insmod", b"ionice", b"ip6tables", b"ipcs", b"iptables", b"irb", b"jexec", b"jjs", b"journalctl", b"jrunscript",
    b"killall", b"kpartx", b"ksh", b"kubectl", b"lastcomm", b"lastlog", b"ldconfig", b"ldd", b"ln", b"logsave",
    b"lsattr", b"lsb_release", b"lscpu", b"lsof", b"ltrace", b"lwp-download", b"lwp-dump", b"lwp-mirror",
    b"lwp-request", b"lynx", b"lzcat", b"lzless", b"lzma", b"mawk", b"mkdir", b"mkfifo", b"mknod", b"mktemp",
    b"mlocate", b"mlr", b"modprobe", b"msgattrib", b"mysql", b"mysqladmin", b"mysqldump", b"nasm", b"nawk", b"nc",
    b"nc.openbsd", b"nc.traditional", b"ncat", b"netcat", b"netstat", b"nmap", b"nohup", b"nroff", b"nsenter",
    b"nslookup", b"ntsd", b"openssl", b"openvt", b"passwd", b"pax", b"pdb", b"pdksh", b"ping", b"ping6", b"pkexec",
    b"pkg_info", b"pkginfo", b"pkill", b"popd", b"printenv", b"printf", b"psed", b"psftp", b"psql", b"ptar",
    b"ptardiff", b"ptargrep", b"pushd", b"pwd", b"rbash", b"rcp", b"rdiff", b"readelf", b"realpath", b"rlogin",
    b"rlwrap", b"rmdir", b"rmt", b"rpm", b"rpmquery", b"rsh", b"rsync", b"rvim", b"scp", b"screendump", 
    b"setarch", b"setfacl", b"setsid", b"sftp", b"sh", b"sha1sum", b"sha256sum", b"sha512sum", b"shadowconfig",
    b"shuf", b"smbclient", b"smbmap", b"snice", b"socat", b"ssh", b"sshpass", b"start-stop-daemon", b"stdbuf",
    b"strace", b"stty", b"sudo", b"sudoedit", b"sysctl", b"systemctl", b"tac", b"tailf", b"tar", b"tclsh",
    b"tcpdump", b"tcping", b"tcptraceroute", b"tcsh", b"tee", b"telnet", b"tftp", b"tmux", b"traceroute",
    b"traceroute6", b"tshark", b"uname", b"uncompress", b"uniq", b"unlink", b"unlzma", b"unshare", b"unxz", b"unzip",
    b"unzstd", b"update-alternatives", b"useradd", b"userdel", b"usermod", b"uudecode", b"uuencode", b"vagrant",
    b"valgrind", b"vigr", b"vim", b"vimdiff", b"vipw", b"virsh", b"wget", b"whiptail", b"whoami", b"whois",
    b"wireshark", b"xargs", b"xelatex", b"xmodmap", b"xxd", b"xz", b"xzcat", b"xzdiff", b"xzegrep", b"xzgrep",
    b"xzless", b"xzmore", b"yum", b"zcat", b"zcmp", b"zdiff", b"zegrep", b"zfgrep", b"zgrep", b"zipcloak",
    b"zipdetails", b"zipinfo", b"zless", b"zmore", b"zsh", b"zstd", b"zstdcat", b"zstdgrep", b"zstdless", b"zypper",
]);

/// Commands of Unix that are words too, or short, sorted: they need more around them.
#[rustfmt::skip]
pub(super) static WORDS: Names = Names::new(&[
    b"ab", b"agetty", b"alias", b"as", b"ash", b"at", b"atobm", b"batch", b"bpftrace", b"breaksw", b"bridge",
    b"builtin", b"bundle", b"byebug", b"cancel", b"cat", b"cc", b"check", b"chef", b"choom", b"cobc", b"column", b"comm",
    b"command", b"compgen", b"cowsay", b"cp", b"curl", b"cut", b"dash", b"date", b"dd", b"df", b"dialog", b"diff",
    b"dig", b"dir", b"docker", b"done", b"dosbox", b"dvips", b"ebegin", b"echo", b"ed", b"ent", b"env", b"eqn",
    b"eval", b"ex", b"exec", b"expand", b"expect", b"export", b"facter", b"fetch", b"file", b"find", b"finger",
    b"fish", b"flock", b"fmt", b"fold", b"free", b"gem", b"genie", b"gimp", b"git", b"grep", b"groups", b"hash",
    b"hd", b"head", b"hg", b"highlight", b"history", b"host", b"hostid", b"hostname", b"id", b"install", b"ip",
    b"jobs", b"join", b"jq", b"kill", b"last", b"latex", b"ld", b"less", b"link", b"links", b"loadkeys", b"locate",
    b"logname", b"look", b"lp", b"ls", b"ls-f", b"lua", b"mail", b"make", b"man", b"mirror", b"more", b"mosquitto",
    b"mount", b"msgcat", b"mtr", b"mutt", b"mv", b"nano", b"nft", b"nice", b"nl", b"nm", b"node", b"npm", b"nvm",
    b"octave", b"od", b"paste", b"patch", b"perf", b"perl", b"pg", b"php", b"pico", b"pidstat", b"pip", b"pip2",
    b"pip3", b"pipx", b"pr", b"pry", b"ps", b"ptx", b"puppet", b"python", b"pyton", b"rake", b"rc", b"readonly",
    b"reboot", b"red", b"rename", b"restic", b"rev", b"rm", b"route", b"ruby", b"run-parts", b"runscript", b"rview",
    b"sash", b"scanmem", b"scheme", b"screen", b"script", b"sed", b"select", b"service", b"set", b"sleep", b"slsh", b"soelim",
    b"softlimit", b"sort", b"source", b"split", b"sqlite", b"sqlite3", b"ss", b"stat", b"strings", b"su", b"sysadminctl",
    b"tail", b"task", b"tasksh", b"tbl", b"tic", b"time", b"timedatectl", b"timeout", b"top", b"torify", b"torsocks",
    b"touch", b"troff", b"type", b"uconv", b"ul", b"ulimit", b"umount", b"unalias", b"unset", b"users", b"utmpdump",
    b"vi", b"view", b"volatility", b"w", b"wall", b"watch", b"wc", b"who", b"wish", b"write", b"xdotool", b"xmore",
    b"xpad", b"xtar", b"yarn", b"yash", b"yelp", b"zathura", b"zip", b"zrun", b"zsoelim",
]);

/// Those of [`WORDS`] that a sentence has before the name of a host, sorted: `check example.com for more`.
#[rustfmt::skip]
pub(super) static SPOKEN: Names = Names::new(&[
    b"as", b"at", b"check", b"date", b"file", b"find", b"free", b"host", b"install", b"join", b"last",
    b"less", b"link", b"links", b"look", b"mail", b"make", b"more", b"select", b"service", b"set", b"source", b"time",
    b"type", b"users", b"view", b"watch", b"who", b"write",
]);

/// Commands of Unix that talk to a host they are given, sorted.
#[rustfmt::skip]
pub(super) static REMOTE: Names = Names::new(&[
    b"curl", b"dig", b"fping", b"ftp", b"hping3", b"lwp-download", b"lwp-mirror", b"lwp-request", b"lynx", b"nc",
    b"ncat", b"netcat", b"nmap", b"nslookup", b"ping", b"ping6", b"psftp", b"rcp", b"rlogin", b"rsh", b"rsync", b"scp",
    b"sftp", b"smbclient", b"socat", b"ssh", b"sshpass", b"tcping", b"telnet", b"tftp", b"traceroute", b"traceroute6",
    b"wget", b"whois",
]);

/// Commands of Windows, sorted.
#[rustfmt::skip]
pub(super) static WINDOWS: Names = Names::new(&[
    b"assoc", b"attrib", b"bcdboot", b"bcdedit", b"bitsadmin", b"cacls", b"certreq", b"certutil", b"cscript",
    b"csvde", b"dcomcnfg", b"diskpart", b"diskshadow", b"dnscmd", b"dsquery", b"eventvwr", b"extrac32", b"fltmc",
    b"forfiles", b"fsutil", b"ftype", b"gpresult", b"gpupdate", b"icacls", b"ieexec", b"iexplore",
    b"infdefaultinstall", b"ipconfig", b"jsc", b"logoff", b"makecab", b"mavinject", b"mmc", b"msbuild", b"msdt",
    b"mshta", b"msiexec", b"msra", b"nbtstat", b"netsh", b"nltest", b"notepad", b"ntdsutil", b"odbcconf", b"pathping",
    b"pcalua", b"pnputil", b"psexec", b"qprocess", b"quser", b"qwinsta", b"rasautou", b"rasdial", b"regasm",
    b"regedit", b"regini", b"regsvcs", b"regsvr32", b"robocopy", b"rpcping", b"runas", b"rundll32", b"runonce",
    b"schtasks", b"scriptrunner", b"secedit", b"setx", b"syncappvpublishingserver", b"systeminfo", b"takeown",
    b"taskkill", b"tasklist", b"tracert", b"tttracer", b"vbc", b"vssadmin", b"w32tm", b"wevtutil", b"whoami",
    b"winget", b"winrm", b"winrs", b"wlrmdr", b"wmic", b"wscript", b"wsl", b"wuauclt", b"xcopy", b"xwizard",
]);

/// Short names of PowerShell, sorted.
#[rustfmt::skip]
pub(super) static ALIASES: Names = Names::new(&[
    b"cli", b"clp", b"clv", b"cnsn", b"cpi", b"cpp", b"epal", b"epcsv", b"etsn", b"gal", b"gbp", b"gci", b"gcm",
    b"gdr", b"gjb", b"gl", b"gm", b"gps", b"gsv", b"gu", b"gv", b"gwmi", b"icim", b"ipal", b"ipmo", b"irm", b"iwmi",
    b"iwr", b"mci", b"mp", b"nal", b"ndr", b"nsn", b"nv", b"ogv", b"oh", b"rcjb", b"rdr", b"rjb", b"rni", b"rnp",
    b"rv", b"rvpa", b"rwmi", b"sajb", b"sal", b"saps", b"sasv", b"sbp", b"sl", b"spps", b"spsv", b"sv", b"swmi",
    b"trcm",
]);
