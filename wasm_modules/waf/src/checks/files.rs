//! Traversal, files of the system, remote inclusion, forged requests.

use super::{
    Check, HEADERS, PATH, TARGET, VALUES, check,
    form::{ALL, PATH as PATHS, RAW, TEXT},
    weak,
};
use crate::finding::Part;

/// Files and folders of systems and applications that a value has no business to name; behind a `/`.
macro_rules! system_files {
    () => {
        concat!(
            r"(?:etc/+(?:passwd|shadow|group|gshadow|hosts|hostname|issue|motd|fstab|mtab|crontab|cron\.|sudoers|ssh/|ssl/|security/|resolv\.conf|nsswitch|",
            r"profile|bash|environment|apache|httpd|nginx|lighttpd|mysql|my\.cnf|php|redis|postgresql|samba|exports|inetd|ld\.so|network|os-release|",
            r"redhat-release|debian_version|pam\.|rc\.|init|systemd|letsencrypt|kubernetes|docker|tomcat|proftpd|vsftpd|pure-ftpd|mongod|logrotate|syslog|rsyslog|ldap|krb5|snmp|aliases|shells|services|protocols|anacron|at\.|cups|hosts\.(?:allow|deny)|sysctl|modules|lsb-release|alpine-release|gitlab|grafana|zabbix|squid|openvpn|wireguard|ansible|puppet|chef|consul|vault)|",
            r"proc/+(?:self|version|cmdline|cpuinfo|meminfo|mounts|net|sched|interrupts|filesystems|modules|partitions|stat|swaps|uptime|loadavg|devices|config|kallsyms|key|keys|[0-9]+/)|",
            r"sys/+(?:class|kernel|block|bus|dev|devices|firmware|fs|hypervisor|module|power)\b|",
            r"var/+(?:(?:log|spool|mail)(?:$|/|[^\w\s.-])|lib/+(?:mysql|php|pgsql|docker|mlocate|dpkg|rpm)|run/+(?:secrets|docker\.sock)|backups|adm|cpanel|webmin|www/+html/+\.)|",
            r"usr/+local/+(?:apache|etc|psa|cpanel|nginx|php)|usr/+(?:lib|share)/+(?:php|apache|tomcat|cgi-bin)|usr/pkg/etc|root/+\.|home/+[a-z0-9_.-]+/+\.|dev/+(?:tcp|udp|shm|sda|fd/|mem\b|null)|",
            r"opt/+(?:lampp|xampp|tomcat|bitnami|coldfusion|jboss)|boot/+(?:grub|config)|apache[0-9]?/+(?:conf|logs)|nginx/+conf|conf/+(?:server|tomcat-users|httpd|web)\.|",
            r"windows/+(?:win\.ini|system(?:32|\.ini)|repair|php\.ini|my\.ini|panther|debug|system32|temp|iis)|winnt/|win\.ini|boot\.ini|inetpub/|",
            r"web-inf/|meta-inf/|system32/|documents and settings|users/+(?:administrator|public|all users)|xampp/|wamp/|sysprep|unattend\.xml|system volume)"
        )
    };
}

/// Names of files that are secret wherever they lie.
macro_rules! secret_files {
    () => {
        concat!(
            r"(?:\.(?:htaccess|htpasswd|htdigest|htgroup|env(?:\.[a-z]+)?|git/|git$|gitignore|gitconfig|gitattributes|gitmodules|git-credentials|svn/|hg/|bzr/|cvs/|",
            r"ssh/|aws/|azure/|gcloud/|kube/|docker/|dockercfg|dockerenv|dockerignore|gnupg/|netrc|npmrc|pypirc|pgpass|mysql_history|my\.cnf|bash_history|bash_profile|bash_logout|bashrc|zsh_history|zshrc|sh_history|",
            r"history|profile|viminfo|vimrc|vscode/|idea/|ds_store|travis\.yml|circleci/|github/|gitlab-ci\.yml|boto|s3cfg|rhosts|subversion|wgetrc|curlrc|inputrc|lesshst|psql_history|rediscli_history|node_repl_history|python_history|irb_history|config/gcloud|",
            r"claude/|claude\.json|cursor/|cursorrules|cursorignore|aiignore|aiexclude|continue/|aider|roo/|zed/|cline/|kiro/|windsurf|rovodev/|codex/|opencode/|a0proj/|plandex|fabric/|n8n/|junie/|copilot|gemini/|codeium|trae/|augment|",
            r"user\.ini|fetchmailrc|forward|k5login|muttrc|procmailrc|yarnrc|composer/|terraform|tfstate|vagrant|jenkins|editorconfig|eslintrc|babelrc|bowerrc|jshintrc|phpunit|phpstorm|project$|settings/|well-known/\.)|",
            r"wp-config|web\.config|config(?:uration)?\.(?:inc\.)?php|configuration\.php|localsettings\.php|settings\.(?:inc\.)?php|database\.(?:yml|php)|secrets\.(?:yml|json|env)|",
            r"composer\.(?:json|lock)|package(?:-lock)?\.json|yarn\.lock|pnpm-lock\.yaml|gruntfile\.js|gulpfile\.js|webpack\.config|tsconfig\.json|gemfile|dockerfile|docker-compose|vagrantfile|jenkinsfile|makefile$|requirements\.txt|",
            r"id_(?:rsa|dsa|ecdsa|ed25519)|authorized_keys|known_hosts|server\.key|privkey|credentials\.(?:json|xml)|",
            r"(?:php|my|odbc|desktop)\.ini|error_log|access_log|(?:debug|error|errors|access)\.log|/_?vti_|phpinfo\.php|server-status|server-info|php-fpm\.|",
            r"(?:dump|backup|database|db|site|www)[\w.-]*\.(?:sql|tar|tgz|zip|gz|rar|7z|bak)|\.sql\.(?:gz|zip|bz2|xz|tar)|mcp\.json|claude\.md|agents\.md|terraform\.tfvars|apc\.php|adminer|config\.toml$|application\.(?:properties|yml)|appsettings\.json|schema\.rb|install\.php$|thumbs\.db|core\.[0-9]+$)"
        )
    };
}

/// Part of [`secret_files`] that is as unusual in a value as in a path.
macro_rules! secret_values {
    () => {
        concat!(
            r"(?:^|[/\\'\x22=])(?:\.(?:htaccess|htpasswd|htdigest|htgroup|env|gitconfig|git-credentials|git/config|git/head|svn/entries|hg/|ssh/|aws/credentials|kube/config|netrc|npmrc|pypirc|pgpass|mysql_history|my\.cnf|bash_history|bash_profile|bashrc|zsh_history|zshrc|sh_history|boto|s3cfg|rhosts|dockercfg|docker/config|psql_history|viminfo|",
            r"bash_logout|bash_config|profile|history|subversion/|gnupg/|vscode/|idea/|ds_store|wgetrc|cursor/|claude/|aider|windsurf/|user\.ini|fetchmailrc|forward$|k5login|procmailrc|addressbook|esmtprc|lesshst|lftp/|links/|lighttpdpassword|msmtprc|mutt|nano_history|node_repl_history|nsr|passwd|pearrc|pinerc|pki/|proclog|vimrc|xauthority|zlogin|zlogout|zprofile|nsconfig|cups/|dbshell|gem/|google_authenticator|php-ini|php_history|python_history|irb_history)|",
            r"wp-config\.|web\.config|config\.inc\.php|configuration\.php|localsettings\.php|settings\.php|database\.yml|secrets\.yml|id_(?:rsa|dsa|ecdsa|ed25519)\b|authorized_keys|(?:win|boot|php|my)\.ini\b|privkey\.pem|error_log$|access_log$|composer\.json$|package\.json$)"
        )
    };
}

pub(super) const CHECKS: &[Check] = &[
    check!(
        93001,
        1,
        Traversal,
        VALUES | TARGET | HEADERS,
        RAW | TEXT | PATHS,
        "path goes up",
        concat!(
            r"(?:^|[/\\=&?:;,])(?:\.|%2e){2,3}(?:;?[/\\]|%2f|%5c)[^\s<>\x22']+(?:$|[^\s<>\x22'\w./])|[/\\](?:\.|%2e){2,3}(?:[/\\]|%2f|%5c)|[/\\](?:\.|%2e){2}$|\.\.[/\\][^\s]*\.\.[/\\]|[/\\]\.\.;|\.\.[/\\]+\.\.|\.\.(?:%c0%af|%c1%9c|%u221[56]|%%32%66)|(?:%2e|%252e){2}(?:%2f|%252f|/|\\|%5c)|0x2e0x2e(?:/|0x2f|\\)|",
            r"^(?:\.|%2e){2,3}(?:;?[/\\]|%2f|%5c)[^\s<>\x22']+[\s<>\x22']+$|^\.{2}[/\\]$|\.\?/\.\?/|\?\./\?\./|\.[/\\]\.[/\\]\.[/\\]"
        )
    ),
    check!(
        93002,
        1,
        Traversal,
        VALUES | HEADERS,
        ALL,
        "file of the system",
        concat!(r"(?:^|[/\\=\s'\x22<>|:;(,@]|\.\.?[/\\])", system_files!())
    ),
    check!(93003, 1, Traversal, VALUES, TEXT | PATHS, "secret file", secret_values!()),
    check!(93004, 1, Traversal, PATH, TEXT | PATHS, "path of the system", concat!(r"/+(?:@fs/.*)?", system_files!())),
    check!(
        93005,
        1,
        Traversal,
        PATH,
        TEXT | PATHS,
        "path of a secret file",
        concat!(r"(?:^|/)(?:@fs/+)?", secret_files!())
    ),
    check!(93006, 1, Traversal, PATH, TEXT, "path of a development server", r"/@(?:fs|id|vite)/"),
    check!(
        93101,
        1,
        Inclusion,
        VALUES | TARGET,
        ALL,
        "URL with an address for a host",
        r"(?:^|[=\s'\x22(])(?:url:)?(?:https?|ftps?|file|gopher|dict|tftp|ldap|php|data|sftp|ssh2|phar|zlib|glob|expect|rar|ogg)://(?:\d{1,3}\.){3}\d{1,3}"
    ),
    check!(
        93102,
        1,
        Inclusion,
        VALUES | TARGET,
        ALL,
        "code included from a URL",
        r"(?:\binclude\s*\([^)]*|mosconfig_absolute_path|_conf\[path\]|_server\[document_root\]|galix_?admin|dir_root|path\[docroot\]|appserv_root|config\[root_dir\]|install_dir|gallery_basedir|base_dir|root_path)\s*=?\s*\[?\W?(?:https?|ftps?|file)://"
    ),
    check!(
        93103,
        1,
        Inclusion,
        Part::Arg.bit(),
        ALL,
        "URL that ends in a question mark",
        r"^(?:https?|ftps?|file)(?:://[^?]*)?\?+$"
    ),
    check!(
        93104,
        1,
        Inclusion,
        VALUES | TARGET,
        ALL,
        "stream of the language",
        concat!(
            r"(?:^|[=\s'\x22(/;,\[])(?:php://(?:filter|input|output|fd|memory|temp|stdin)|phar:(?://|/)|expect://|zlib://|compress\.(?:zlib|bzip2)://|glob://|ssh2\.?[a-z]*://|ogg://|rar://|zip://[^\s]|data://|data:(?:text/\w+|application/x-\w+|\*/\*|\*)(?:[;,]|$)|data:[a-z/+-]*;base64,pd9waha|",
            r"gopher://|dict://|jar:(?:https?|file)|netdoc:|ldaps?://|rmi://|file:/{2,3}|local_file:|tftp://|jndi:)"
        )
    ),
    check!(
        93105,
        1,
        Inclusion,
        PATH,
        TEXT,
        "URL in the path",
        r"/(?:https?|ftps?|file|gopher|ldap|php|data|phar|jar|dict):/{1,2}[a-z0-9.%/]"
    ),
    check!(
        93106,
        1,
        Inclusion,
        VALUES | TARGET,
        ALL,
        "address of a cloud's metadata or of the machine itself",
        concat!(
            r"169\.254\.(?:169\.25[34]|170\.2)\b|\bmetadata\.(?:google\.internal|tencentyun\.com|packet\.net|oraclecloud)|100\.100\.100\.200|192\.0\.0\.192|/latest/(?:meta-data|user-data|dynamic/instance-identity)|/computemetadata/v1|/metadata/(?:instance|identity|v1)|",
            r"fd00:ec2::254|::ffff:(?:a9fe|169\.254|127\.)|instance-data\b|/opc/v[12]/instance|",
            r"(?:https?|ftps?|gopher|dict):[/\\]{0,3}(?:127\.\d|169\.254\.|\[::)|(?:https?|ftp|gopher|dict)://(?:\d{8,10}\b|0x[0-9a-f]{2,8}\b|0[0-7]{3,}\.|0[0-7]{9,}|127\.[0-9.]+|\[::|0x[0-9a-f]+\.|(?:\d{1,3}\.){3}\d{1,3}\.(?:nip|xip|sslip)\.io|0(?::|/|$)|169\.254\.|[^/\s]*(?:nip\.io|xip\.io|localtest\.me|lvh\.me|burpcollaborator\.net|sslip\.io))|",
            r"(?:https?|ftp)://[^/\s?#]*@(?:127\.|localhost|169\.254|10\.|192\.168)|//127\.0\.0\.1[:/]"
        )
    ),
    weak(check!(
        93107,
        1,
        Inclusion,
        VALUES | TARGET,
        ALL,
        "URL of a private address or of the machine by its name",
        r"(?:https?|ftps?|gopher|dict):[/\\]{0,3}localhost\b|//localhost[:/]|(?:https?|ftp|gopher|dict)://(?:10\.\d+\.\d+\.\d+|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.)"
    )),
];
