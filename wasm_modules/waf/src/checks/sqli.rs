//! Phrases of SQL wherever they stand. What begins a value is `sql`'s.

use super::{
    AGENT, Check, TARGET, VALUES, check,
    form::{ALL, COMMENTS, RAW, TEXT},
    weak,
};
use crate::finding::Part;

const ON: u16 = VALUES | AGENT;
const BOTH: u8 = TEXT | COMMENTS;

pub(super) const CHECKS: &[Check] = &[
    check!(
        94202,
        1,
        Sqli,
        ON | TARGET,
        BOTH,
        "UNION SELECT",
        r"\bunion\b[\s(+]*(?:(?:all|distinct|distinctrow)\b)?(?:[\s(+!@'\x22`~.0-9]|-[\s(+!@'\x22`~.\-0-9])[\s(+!@'\x22`~.\-0-9]*\bselect\b|\bunion\s*\(\s*select|\be?union(?:[^\w-]|\W\W+)(?:all(?:[^\w-]|\W\W+))?select\b|(?:\b\d\w*|['\x22`)])\s*\bunion\s+(?:(?:all|distinct)\s+)?(?:values\s*(?:\(\s*[-+~@(\d'\x22`]|row\s?\()|table\s+[\w.`]+\s*(?:$|[;#)]|--|\blimit\b|\border\b))"
    ),
    check!(
        94203,
        1,
        Sqli,
        ON,
        BOTH,
        "call that waits",
        r"\bsleep\s*\(\s*(?:\d[\d.]*\s*[-+*/)(]|\(|['\x22@if]|[^\s)]+$)|\b(?:benchmark\s*\(\s*[^)]+,|(?:pg_sleep(?:_for|_until)?|randomblob|dbms_(?:lock|pipe|session)\.\w+)\s*\()|\bwaitfor\s+(?:delay|time)\b|\bgenerate_series\s*\(\s*\d+\s*,\s*\d{4,}|\bselect\s+(?:pg_)?sleep\b|\bheavy_query\b"
    ),
    check!(
        94204,
        1,
        Sqli,
        ON,
        BOTH,
        "name of a database's own tables",
        r"\b(?:information_schema|master\.\.?sys\w+|msdb\b|mysql\s*\.\s*(?:db|user|innodb_\w+)|northwind\b|pg_(?:catalog|toast|shadow|user|database|tables|class|roles|authid)\b|schemaname\b|sqlite_(?:temp_)?(?:master|schema)\b|sys(?:aux)?(?:databases|objects|columns|logins|users|processes|configures|indexes|dba)\b|sys\.(?:database_\w+|objects|tables|columns|schemas|server_\w+|sql_logins|user\w*|all_\w+)\b|all_(?:tables|tab_columns|users)\b|user_(?:tables|tab_columns|objects|constraints|ind_columns|users|password)\b|dba_(?:users|tables)\b|v\$(?:version|instance|database)|msys[a-z]{4,}|tabledef|db_names?\s*\(|user_group\b|rdb\$\w+|(?:table|schema)_(?:name|schema)\b|tempdb\b|(?:database|schema)s?\(\)?$)|\bfrom\s+dual\b"
    ),
    check!(
        94205,
        1,
        Sqli,
        ON,
        BOTH,
        "call of a database's function in a query",
        concat!(
            r"\b(?:load_file|extractvalue|updatexml|xmltype|group_concat|concat_ws|json_keys|name_const|st_latfromgeohash|st_longfromgeohash|gtid_subset|row_count|is_srvrolemember|xp_\w+|(?:utl_(?:http|inaddr|file|smtp|tcp|raw)|ctxsys|httpuritype|dbms_\w+)(?:\.\w+)+|sp_(?:execute\w*|oacreate|addextendedproc|makewebtask|password|prepare|addlogin|configure)|utl_(?:http|inaddr|file)|dbms_\w+|ctxsys|openrowset|openquery|sqlite_version|pg_(?:ls_dir|read_file|stat_file|client_encoding)|lo_(?:import|export|get)|current_(?:setting|database)|aes_decrypt|des_decrypt|master_pos_wait|make_set|export_set|find_in_set|col_length|object_id|suser_s?name|quotename|procedure\s+analyse|iif|dbms_pipe|load_extension|newid|randomblob|unhex|connection_id|last_insert_id|found_rows|host_name|fn_virtualfilestats|fn_trace_gettable|database_to_xml|query_to_xml|table_to_xml|adddate|addtime|aes_encrypt|asciistr|bit_(?:and|count|length|or|xor)|char(?:acter)?_length|col_name|convert_tz|curdate|curtime|current_(?:date|time|timestamp|role|schema|catalog)|date_(?:add|format|sub|part|trunc)|datediff|dateadd|datename|datepart|dayname|dayof(?:month|week|year)|des_encrypt|elt|from_(?:base64|days|unixtime)|generate_series|get_(?:format|lock)|getdate|getutcdate|ifnull|inet6?_(?:aton|ntoa)|is_(?:free_lock|ipv[46]|used_lock|member)|isnull|json_(?:array\w*|contains\w*|depth|each|extract|insert|length|merge\w*|object\w*|overlaps|pretty|quote|remove|replace|search|set|table|tree|type|unquote|valid|value)|jsonb_\w+|julianday|last_(?:day|insert_rowid)|lcase|likelihood|localtimestamp|lpad|makedate|maketime|monthname|nullif|nvl2?|octet_length|period_(?:add|diff)|rawtohex|regexp_(?:instr|like|matches|replace|substr\w*)|release_(?:all_locks|lock)|row_to_json|rpad|sec_to_time|session_user|sqlite_\w+|st_\w+|stddev_(?:pop|samp)|str_to_date|strcmp|string_(?:agg|to_array)|substring_index|subdate|subtime|sys_context|system_user|time_(?:format|to_sec)|timediff|timestamp(?:add|diff)|to_(?:base64|char|date|days|number|seconds|timestamp)|ucase|uncompress(?:ed_length)?|unix_timestamp|utc_(?:date|time|timestamp)|uuid_short|validate_password_strength|var_(?:pop|samp)|weekofyear|weight_string|yearweek|zeroblob|userenv|bin_to_uuid|uuid_to_bin)\s*\(|",
            r"\bselect\b.{0,200}?\b(?:version|database|schema|user|current_user|session_user|system_user|char|chr|ascii|substr(?:ing)?|concat|hex|count|mid|length|sleep|benchmark|if|ifnull|cast|convert|load_file|rand|floor|ord|md5|elt|exp|pow|nullif|coalesce|char_length|lower|upper|min|max|avg|sum|unhex|left|right|reverse)\s*\(|",
            r"\b(?:and|or|xor|having|where|not|case|when|\|\||&&|=|<|>|,|\+|-)[\s(!~+-]*(?:ascii|substr(?:ing)?|mid|char_length|ord|hex|unhex|ifnull|nullif|isnull|coalesce|elt|database|current_user|concat|conv|cast|convert|strcmp|soundex|crc32|md5|sha1|password|floor|instr|locate|lpad|rpad|ltrim|rtrim|bit_length|octet_length|uuid|curdate|sysdate|session_user|system_user|db_name|regexp_like|chr|charindex|patindex|unicode|nchar|datalength|polygon|multipoint|linestring|geometrycollection|extractvalue|updatexml|convert_tz|des_encrypt|uncompress|inet_aton|is_free_lock|get_lock)\(|\b(?:and|or|xor|having|where|not|case|when|\|\||&&)[\s(!~+-]*(?:length|char|if|version|user|lower|upper|bin|exists|row|count|left|right|sha|rand|pow|sqrt|pi|log|ln|exp|abs|sign|position|greatest|least|interval|reverse|repeat|trim|now|schema|decode|len|stuff|replace|space|str|collation|compress)\(.*\)\s*(?:[=<>!]|\b(?:like|in|between|is|rlike|regexp)\b)|\b(?:and|or|xor)[\s(]*(?:not\s+)?(?:exists\s*\(|if\s*\()"
        )
    ),
    check!(
        94206,
        1,
        Sqli,
        ON,
        BOTH,
        "statement of SQL",
        concat!(
            r"\bselect\b[\s(+]*(?:\*|[\w@.`'\x22\[\]]+(?:\s*,\s*[\w@.`'\x22*()\[\]]+)*|\S+\(.*?\)|[^;]{1,120}?\(.{0,120}?)\s*\bfrom\b\s*[\w`'\x22\[(@.]+\s*(?:$|[,;)#]|--|\bwhere\b\s*\(?\s*(?:['\x22`(@\d]|[~!+-]\s?['\x22`(@\d]|true\b|exists\b|not\b|[\w.]+\s*(?:[=<>!(`\[|&^+]|-\s?\d|\b(?:r?like|in|between|regexp|and|or)\b|\bis\s+(?:not\s+)?null\b))|\blimit\b|\bgroup\b|\border\b|\bunion\b|\bjoin\b|\bas\b|\s[a-z]\b|/)|\bselect\b\s*(?:\d+\s*(?:$|[^\s\w.:]|--)|\d+\s+(?:from|union|where|limit|order|group|into|as|and|procedure)\b|\d+\.\d|\d+e\d|@@|0x|null|\*|\((?:[^)\d]|\d[^)])|top\s+\d|case\b|distinct\b|count\b|['\x22][^'\x22]{0,40}['\x22]\s*(?:,|;|--|#|\|\||\binto\b|\bunion\b|\bas\b))|\bselect\(\w+\)\s?from\b|\binsert\b[\s]+(?:\w+\s+)?into\b[\s`]*\w+.{0,100}?(?:\bvalues\b|\bselect\b|\()|\bdelete\s+from\s+[\w`.]+\s*(?:;|$|\bwhere\b\s*\(?\s*(?:['\x22`(@\d]|[~!+-]\s?['\x22`(@\d]|true\b|exists\b|not\b|[\w.]+\s*(?:[=<>!(`\[|&^+]|-\s?\d|\b(?:r?like|in|between|regexp|and|or)\b|\bis\s+(?:not\s+)?null\b))|--|#)|\bupdate\s+[\w`.\[\]]+\s+set\s+[\w`.\[\]]+\s*=|\b(?:drop|truncate|alter|create)\s+(?:temporary\s+|or\s+replace\s+)?(?:table|database|schema|view|index|trigger|procedure|function|user|login|column|role|session|event|type|sequence|domain|extension)\b\s+(?:if\s+(?:not\s+)?exists\s+)?[\w`'\x22\[\].]+\s*(?:$|[;,#)@]|\(\s?[\w`'\x22\[]|['\x22](?:\W|$)|--|/\*|\bcascade|\b(?:add|modify|drop|rename)\s+\w+\s+\w|\b(?:add|modify|drop|rename)\s+\w+\s*(?:$|;|--)|\bon\s+\w+\s*[(.]|\bas\s+(?:select|begin|\$|')|\bset\s+\w+\s*=|\bidentified\b|\bwith\s+(?:password|login|execute|encryption)|\bbegin\b|\bselect\b)|",
            r"\binto\s+(?:outfile|dumpfile)\b|\bload\s+data\b.{0,60}\binfile\b|\bload\s+file\s*\(|\bexec(?:ute)?\s*(?:\(\s*['\x22@+c]|\s+(?:immediate\b|master\b|sp_|xp_|@))|\bdeclare\s+@?\w+\s+(?:(?:n?var)?char|int|cursor|table)\b|\bshutdown\s*(?:;|with\s+nowait|--)|;\s*shutdown\b|\bcreate\s+function\s.{1,60}\breturns\b|\bcopy\s+\(?.{1,60}\b(?:from|to)\s+program\b|\bgrant\s+\w+.{0,40}\bto\b\s+\w+\s*(?:;|identified)|\balter\s+\w+.{0,200}\bcharacter\s+set\b|\bbackup\s+(?:database|log)\b|\brestore\s+database\b|\bhandler\s+\w+\s+(?:open|read)\b|\bprocedure\s+analyse\b|\battach\s+database\s*['\x22(]|\bif\s?\(\d+\s?[=<>~]|;\s*(?:alter|create|drop)\s+(?:or\s+replace\s+)?(?:function|procedure|aggregate|trigger|event)\s+(?:if\s+(?:not\s+)?exists\s+)?[\w`'\x22\[\].]+\s*\(\s*\)|;\s*(?:alter|create|delete|desc|drop|insert|load|rename|select|truncate|update)\s*[\[(]\s*\w{2,}|['\x22\x60\d]\s?as\s?['\x22\x60]\w*['\x22\x60]?\s?from\b|['\x22\x60]\s?(?:regexp|rlike)\b|\bmerge\s+\w*\s*.{0,40}\busing\s*\(|\bif\s*\(.*\bselect\b|\bprepare\s+\w+\s+from\b|\bmatch\s*\(.{0,60}\)\s*against\b|\bdesc(?:ribe)?\s+\w+\s*;|\bshow\s+(?:tables|databases|columns|grants|variables)\b|\bwaitfor\s+delay\b"
        )
    ),
    check!(
        94207,
        1,
        Sqli,
        ON,
        BOTH,
        "condition that is always true or false",
        concat!(
            r"\b(?:or|and|xor|having|where|when|if|not|div|rlike|regexp|like|between)\b[\s(+~!@-]*\d+\s*(?:=|<=>|<>|!=|>=?|<=?|\blike\b|\brlike\b|\bregexp\b)[\s(+~!@-]*['\x22]?\d[\w.]*\s*(?:$|[^\s\w,.?:]|\b(?:and|or|xor|union|order|group|limit|having|then|procedure|rlike|regexp|like|is|in|between|for\s+(?:update|share|no\s+key|key\s+share)|lock\s+in|fetch\s+(?:first|next)|returning\s+(?:\*|[\w.]+\s*(?:,|$))|window\s+\w+\s+as|offset\s+\d)(?:\b|$))|(?:['\x22`)]|\d)\s*(?:\|\||&&)\s*[\s(!~+-]*(?:\d+\s*(?:$|[=<>#)-])|true\b|false\b|null\b|sleep|[a-z_]+\(|['\x22`][^'\x22`]*['\x22`]\s*(?:=|<|>|!))|",
            r"\b(?:or|and|xor)\b[\s(!~+@-]*['\x22`]([^'\x22`]{0,40})['\x22`]\s*(?:=|<=>|<>|!=|>=?|<=?|\blike\b|\brlike\b|\bregexp\b)[\s(+~!@-]*(?:['\x22`]|\d)|['\x22`]\s*(?:or|and|xor|having|like|rlike|regexp|between|div|mod|is)\b[\s(!~+@-]*(?:\d+\s*(?:=|<|>|!|\blike\b|--|#|;|/\*|\|)|true\b|false\b|null\b\s*(?:$|[^\sa-z`.])|exists\s*\(|@@|['\x22`]\s*(?:=|<|>|!))|['\x22]\s*(?:or|and|xor|having|like|rlike|regexp|between|div|mod|is)\b[\s(!~+@-]*(?:[a-z_]{1,30}\s*(?:\(|=|<|>|!|\blike\b|\bis\s+(?:not\s+)?null|\bin\s*\(|--\s*$|#\s*$))|'\s*(?:or|and|xor)\b\s*'\s*(?:--|#)|",
            r"\b(?:or|and)\b\s+(?:true|false|null|not\s+\d|\d)\d{0,9}\s*(?:--|#|/\*|;)|\b(?:or|and)\b\s*\(?\s*(?:true|1)\s*\)?\s*(?:--|#)[^\w]*$|^\W*\d+['\x22]?[\s)]+(?:or|and|xor)\s+(?:not\s+)+(?:true|false|null)[\s)]*$|^\W*\d+['\x22]?[\s)]+x?or\s+true[\s)]*$|^\W*\d+(?:['\x22]|\s*\))[\s)]*\b(?:or|and|xor)\s+(?:false|null|true)[\s)]*$|^\W*(?:[01]\s+xor\s+[01]|\d+(?:['\x22]|\s*\))[\s)]*\bxor\s+\d+)\W*$|^\W*\d+['\x22]?[\s)]+(?:or|and|xor)\s+(?:not\s+)?(?:\d+|null)\s+(?:(?:not\s+)?between\s+\d+\s+and\s+\d|is\s+(?:not\s+)?(?:null|true|false)\W*$)|^\W*\d+(?:['\x22]\s+is\s+|\s+is\s+not\s+)(?:null|true|false)\W*$|^\W*\d+['\x22]?\s+(?:not\s+)?(?:r?like|regexp)\s*\(?\s*'|\bhaving\b\s+\d+\s*[=<>]|\border\s+by\s+\d+\s*(?:--|#|/\*|,\s*\d)|\bgroup\s+by\s+[\w.,`\s]+\s*(?:--|#|having)|\blimit\s+\d+\s*(?:,|offset)\s*\d+\s*(?:--|#|$)"
        )
    ),
    // So a text counts and compares as well.
    weak(check!(
        94213,
        1,
        Sqli,
        ON,
        BOTH,
        "condition of a number without quote or comment",
        r"^[\s(]*\d+\s+(?:or\s+(?:false|null)|and\s+(?:true|false|null)|xor\s+(?:false|null|\d+)|is\s+(?:null|true|false))[\s).!?]*$"
    )),
    check!(
        94208,
        1,
        Sqli,
        ON,
        RAW | TEXT,
        "quote and comment",
        r"^[\w@.-]{0,40}'\s?;\s?$|['\x22`][\[{].{0,100}[\]}]['\x22`]\s*(?:::\s*jsonb?\s*)?(?:@>|<@|->>?|#>>?|\?[&|]?\s*['\x22])|['\x22`]\)+\s*(?:--(?:[\s+-]|$)|#\s*$|/\*)|['\x22`)]\s*;\s*(?:--(?:\s|$)|#\s*$|/\*|(?:select|insert|update|delete|drop|create|alter|exec|declare|truncate|shutdown|waitfor|begin)\b|(?:if|call\s+\w+)\s*\()|^\W*;\s*(?:select|insert|update|delete|drop|create|alter|exec|declare|truncate|shutdown|waitfor)\b\s+[\w*@(]+\s*(?:from|into|table|set|database|[(@*;])|/\*!\d{0,6}\s*[a-z(]|\*/\s*(?:union|select|and|or|from|where|order|having|limit|into)\b|'\s*--\s*$|\b(?:union|select|and|or|from|where|order)/\*|^\s*['\x22]?\d+['\x22]?\)+\s*(?:--(?:\s|$)|#\s*$|;\s*--)"
    ),
    check!(
        94209,
        1,
        Sqli,
        ON,
        RAW | TEXT,
        "string that is joined",
        r"'\s*(?:<=>|<>|!=|:=|\^=|<<|>>)\s*['\d(]|'\s*\|\|\s*(?:'|\(|[a-z_]+\()|\w\s*\|\|\s*'|\bchr?\(\d+\)\s*(?:\|\||\+)|\bchar\s*\(\s*(?:0x[0-9a-f]+|\d+)\s*(?:,\s*\d|\)\s*[+|,)])|\bconcat(?:_ws)?\s*\(\s*(?:0x|'|\x22|char|\w+\s*,)|'\s*\+\s*(?:\(\s*select|[a-z_]+\()"
    ),
    check!(
        94210,
        1,
        Sqli,
        ON,
        BOTH,
        "variable of the server",
        r"\bdeclare\s*(?:/\*.*?\*/\s*)?[@#]\s*\w|@@(?:version|global|hostname|servername|datadir|basedir|spid|language|identity|user|session|secure_file_priv|tmpdir|max_connections|innodb\w*|plugin_dir|port|pwn|new|\w{3,})\b|\bselect\s*@|\bset\s+@\w+\s*:?=|\bdiv\s*\(\s*[+-]*[\d.,\s+-]+\)|::\s*(?:double\s+precision|(?:big|small)?int\d?|real|boolean|timestamptz?|jsonb|text|varchar|numeric|float|regclass|money|bytea|json)\s*(?:$|[^\w\s:`]|--|\b(?:and|or|from|where|as|union|is|in|like|order|limit)\b)|\b\d+\.e[(.\[]|\)\s*(?:like|rlike|regexp|having)\s*\(|\bcase\s+when\b.*\bthen\b|/\*\s*[!+]|^(?:-0000023456|4294967295|4294967296|2147483648|2147483647|0000012345|-2147483648|-2147483649|0000023456|2\.2250738585072007e-308|2\.2250738585072011e-308|1e309|9223372036854775808|18446744073709551616)$"
    ),
    check!(
        94211,
        2,
        Sqli,
        Part::Arg.bit() | Part::Cookie.bit(),
        ALL,
        "word of SQL with a quote or comment",
        r"['\x22`].*\b(?:select|union|insert|update|delete|drop|from|where|having|order by|group by)\b|\b(?:select|union|insert|update|delete|drop)\b.*(?:--|#|/\*)"
    ),
    check!(
        94212,
        3,
        Sqli,
        Part::Arg.bit() | Part::Cookie.bit(),
        ALL,
        "many characters of SQL",
        r"(?:['\x22`;(),=<>#*!|&%^~-][^'\x22`;(),=<>#*!|&%^~-]*){6,}"
    ),
];
