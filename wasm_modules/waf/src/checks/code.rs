//! Code of PHP, Java, Node.js, Ruby, Perl and of templates.

use super::{
    Check, HEADERS, PATH, TARGET, VALUES, check,
    form::{ALL, RAW, TEXT},
};
use crate::finding::Part;

/// Functions of PHP that are dangerous and that nothing else is named like.
macro_rules! php_sharp {
    () => {
        concat!(
            r"(?:array_(?:filter|map|walk|reduce|udiff|diff_ukey)\w*|assert_options|base64_decode|bzopen|call_user_func(?:_array)?|call_user_method(?:_array)?|convert_uudecode|create_function|curl_(?:exec|init|setopt|multi_exec)|dbmopen|debug_backtrace|escapeshell(?:arg|cmd)|exif_(?:imagetype|read_data|thumbnail)|expect_popen|file_(?:get_contents|put_contents)|fsockopen|fpassthru|func_get_args?|get_(?:cfg_var|current_user|defined_(?:vars|functions|constants)|meta_tags)|getallheaders|getmy(?:uid|pid|gid|inode)|gz(?:compress|decode|deflate|file|inflate|open|passthru|uncompress)|hash_(?:hmac_)?file|highlight_(?:file|string)|ini_(?:get|set|get_all|restore)|invokeargs|iterator_apply|libvirt_\w+|mb_ereg_replace|md5_file|move_uploaded_file|mysqli?_(?:connect|query|real_query|multi_query)|ob_(?:start|get_contents|end_clean|get_clean|end_flush)|odbc_\w+|parse_ini_(?:file|string)|parse_str|passthru|pcntl_(?:exec|fork|alarm|signal\w*)|pfsockopen|pg_(?:connect|execute|query|escape_\w+|send_query)|php_(?:ini_\w+|sapi_name|strip_whitespace|uname)|phpcredits|phpinfo|phpversion|posix_(?:get\w+|kill|mk\w+|set\w+|ttyname|uname)|preg_replace(?:_callback\w*)?|print_r|proc_(?:close|get_status|nice|open|terminate)|putenv|readgzfile|register_(?:shutdown|tick)_function|runkit_\w+|scandir|session_(?:start|id|set_save_handler)|set_(?:error|exception)_handler|sha1_file|shell_exec|shmop_\w+|show_source|simplexml_load_(?:file|string)|socket_(?:connect|create|bind|listen|write|read)|spl_autoload_\w+|splfileobject|sqlite_\w+|ssh2_\w+|stream_(?:context_create|get_\w+|socket_\w+|wrapper_\w+|filter_\w+)|str_rot13|strrev|tempnam|unserialize|var_(?:dump|export)|yaml_parse\w*|zlib_decode|html_entity_decode|htmlspecialchars_decode|hex2bin|rawurldecode|urldecode|gzinflate|getimagesize|wp_remote_\w+|is_(?:executable|readable|writeable|writable)|fileperms|fileowner|filegroup|opendir|readdir|readfile|readlink|fopen|fwrite|fputs|fread|fgets|chdir|getcwd|function_exists|array_key_exists|php_uname|proc_open|popen|imagecreatefrom\w+|imagepng|imagejpeg|error_reporting|create_sid|json_decode|utf8_decode)"
        )
    };
}

pub(super) const CHECKS: &[Check] = &[
    // All that begins `<?` may be PHP's but XML's declaration, `<?xml ` and a name, and its style sheets.
    check!(
        93301,
        1,
        Php,
        VALUES | HEADERS | PATH,
        ALL,
        "PHP's tag",
        r"<\?(?:[^x\s-]|x[^m]|xm[^l]|xml(?:[^\s-]|\s[^a-z]|$)|\s+[a-z$(/'\x22]|\s*$)|\{/?php\}|\[(?:/|\\)?php\]|<script\s+language\s*=\s*['\x22]?php"
    ),
    check!(
        93302,
        1,
        Php,
        VALUES | HEADERS,
        ALL,
        "PHP's variable",
        concat!(
            r"\$_?(?:_(?:cookie|env|files|get|post|request|server|session)|globals|http_(?:cookie_vars|env_vars|get_vars|post_files|post_vars|raw_post_data|request_vars|server_vars|session_vars)|php_errormsg|argv)\b|(?:^|[^\w@$])\$\$(?:\{|[a-z_]\w*\s*(?:$|[=\[({;)}-]))|\$\{\s*['\x22$]|",
            r"^(?:_(?:cookie|env|files|get|post|request|server|session)|globals)\["
        )
    ),
    check!(
        93303,
        1,
        Php,
        VALUES | PATH | HEADERS,
        ALL,
        "PHP's dangerous function",
        concat!(r"(?:^|[^\w>-])", php_sharp!(), r"\s*(?:\\?['\x22]\s*)?(?:/\*.*\*/\s*|#[^\n]*\n\s*|//[^\n]*\n\s*)*\(")
    ),
    check!(
        93304,
        1,
        Php,
        VALUES,
        ALL,
        "PHP's function as code",
        concat!(
            r"(?:^|[;{}(=,.@!&|<>\[]|\b(?:echo|print|return|and|or)\s)\s*\\?(?:eval|assert|exec|system|include|require|include_once|require_once|passthru|popen|mail|chr|glob|unlink|file|dir|link|extract|die|exit|ord|dl|chmod|sleep|rmdir|mkdir|md5|usort|uasort|sha1|getenv|symlink|rename|touch|phpinfo)\s*\(\s*(?:['\x22$@\[({)]|\\|-?\d+\s*\)|[a-z_]\w*\s*\(|/\*|base64|[^)\s]*\)\s*(?:;|\?>))"
        )
    ),
    check!(
        93310,
        1,
        Php,
        VALUES,
        ALL,
        "PHP's function, called in an odd way",
        r"^\W*(?:(?:return|echo|print)\W*)?(?:exec|eval|assert|passthru|popen|proc_open|pcntl_exec|printf|unpack|shell_exec|system|include|require|include_once|require_once|strip_tags|stripslashes|addslashes|intval|floatval|strval|is_(?:a|file|dir|link|array|string|callable)|opendir|readfile|tmpfile|unlink|filegroup|glob|imagegif|md5|sha1|ord|chr|substr|stat|lstat|str_replace|array_\w+|ucwords|ucfirst|nl2br|htmlspecialchars|htmlentities|create_function|file|fopen|extract|compact|serialize|ini_\w+|set_time_limit|error_log|getenv|gettype|symlink|chmod|rmdir|mkdir|touch|usleep|time_nanosleep)\([^)]*\)*\W*$|\b(?:exec|eval|assert|passthru|popen|shell_exec|system|proc_open|phpinfo)\s*(?:#|//|/\*)[^(]{0,60}\(|\b(?:substr|unpack|printf|sprintf|pack|implode|explode|strtr|str_replace|strtolower|strtoupper|ucfirst|trim|count|join|define|constant)\s*\(\s*\$\w|\b(?:return|echo|print)\s*['\x22]\w+['\x22]\s*\("
    ),
    check!(
        93311,
        1,
        Php,
        PATH,
        TEXT,
        "PHP's function in the path",
        r"/(?:substr|unpack|printf|sprintf|pack|implode|explode|strtr|eval|exec|assert|system|phpinfo|print_r|chr|ord|trim|print|md5|sha1|die|exit)\s*\("
    ),
    check!(
        93305,
        1,
        Php,
        VALUES,
        ALL,
        "PHP's variable as a function",
        r"\$\w*\[[^\]]{1,40}\]\s*\(|\$+(?:[a-z_\x7f-\xff][\w\x7f-\xff]*|\s*\{.+\})(?:\s|\[.+\]|\{.+\}|/\*.*\*/|//.*|#.*)*\([^$]*\)\s*(?:;|$|\}|\?)|\$\w+\s*=[^=].*\$\w+\s*\("
    ),
    check!(
        93306,
        1,
        Php,
        VALUES,
        ALL,
        "PHP's string as a function",
        concat!(
            r"[^}\s)]\s*\)\s*(?:['\x22][\w-]+['\x22]\s*)?\(\s*[^)\s][^)]{0,200}\)\s*;|['\x22]\w{1,10}['\x22]\s?\.\s?['\x22]\w{1,10}['\x22]\s*[.)\];(]|\(\s*string\s*\)[^;]{1,60}\(|\[\s*\w+\s*\]\s*\[\s*\d+\s*\]\s*\(|\(\s*['\x22\\\w.\s/*+~^%-]{2,40}\)\s*\(\s*['\x22]\w[^'\x22]*['\x22]\s*\)\s*(?:;|$)|(?:\x22|'|\.)[a-z_]{2,}['\x22]\s*\)\s*\(\s*(?:['\x22$~]|\w+\s*\)\s*;?$)|['\x22][a-z_]{3,}['\x22]\s*\(\s*(?:['\x22$~]|[a-z\d ]+\s*\)\s*(?:;|$))|['\x22]\w+['\x22]\s*\]\s*\(\s*['\x22$]|['\x22]\w+['\x22]\s*\}\s*\(\s*['\x22$]|",
            r"\](?:\s*\)\s*)?\[\s*\d\s*\]\s*\(\s*['\x22$]|\](?:\s*\)\s*)?\{\s*\d?\s*\}\s*\(|\)\s*\[\s*\d\s*\]\s*(?:\[\s*\d\s*\]\s*)*\(\s*['\x22$]|\)\s*\{[^}]*\}\s*\(\s*[a-z\x22'$]+\s*\)\s*;|~[^\s\w]{2,20}\s*\(|\bfunction\s*\([^)]*\)\s*\{[^}]*\}\s*\(\s*['\x22$]"
        )
    ),
    check!(
        93307,
        1,
        Php,
        VALUES | HEADERS,
        RAW | TEXT,
        "PHP's serialised object",
        r"(?:^|[^\w])[oc]:\+?\d+:\\?\x22[\w\\]+\\?\x22:\+?\d+:\{|(?:^|[;:{\s=])[oc]:\d+:\x22.+?\x22:\d+:\{"
    ),
    check!(
        93308,
        1,
        Php,
        VALUES,
        ALL,
        "PHP's directive",
        concat!(
            r"\b(?:allow_url_(?:fopen|include)|auto_(?:append|prepend)_file|disable_(?:classes|functions)|open_basedir|safe_mode(?:_\w+)?|extension_dir|enable_dl|display_errors|expose_php|register_globals|magic_quotes_\w+|upload_(?:tmp_dir|max_filesize)|session\.[\w.]+|suhosin\.\w+|zend\.\w+|include_path|mail\.force_extra_parameters|sendmail_path|user_agent|opcache\.\w+|cgi\.\w+|assert\.\w+|error_(?:append|prepend)_string|error_log|log_errors|short_open_tag|file_uploads|max_execution_time|memory_limit|post_max_size|variables_order|unserialize_callback_func|url_rewriter\.tags|browscap|default_charset|default_mimetype|docref_root|highlight\.\w+|ignore_user_abort|implicit_flush|input_encoding|iconv\.\w+|mbstring\.\w+|output_buffering|pcre\.\w+|precision|realpath_cache_size|serialize_precision|sys_temp_dir|track_errors|xmlrpc_errors?\w*)\s*=\s*[^=\s]"
        )
    ),
    check!(
        93309,
        1,
        Php,
        Part::FileName.bit() | Part::Header.bit(),
        TEXT,
        "upload of a script",
        r"\.(?:ph(?:p\d*|tml|ar|ps|t|pt)|module|inc|jspx?|jsw|jsv|jspf|aspx?|asa|cer|cfm|cgi|pl|sh|htaccess|shtml|phpt)(?:\.[^./\\]{0,8})?\.*\s*;?$|\.\s+(?:ph(?:p\d*|tml|ar|ps|t)|jspx?|aspx?|sh)$"
    ),
    check!(
        93401,
        1,
        Code,
        VALUES | PATH | HEADERS,
        ALL,
        "JavaScript of a server",
        concat!(
            r"\brequire\(\s*['\x22`(\[\w]|\brequire\s\(\s*['\x22`]|_\$\$nd_func\$\$_|_js_function\b|\bfunction\(\)\s?\{|\bprocess\s*\.\s*(?:access|chmod|chown|copyfile|exec\w*|exists|getuid|setuid|link|mkdir|open\w*|read\w*|rename|rmdir|unlink|write\w*|binding)\w*\s*[(.]|\b(?:global|globalthis|module)\s*[.\[]\s*['\x22`]?(?:process|mainmodule|require|constructor|exports)|\bprocess\s*[.\[]\s*['\x22`]?(?:binding|mainmodule|env\b\s*['\x22`\]]*\s*[.\[]|(?:exit|kill|cwd|dlopen)\s*\(|stdout|argv\b\s*[.\[])|\bchild_process\b|\b(?:exec|spawn|fork|execfile)sync\s*\(|\bnew\s+function\s*\(|\bfunction\s*\(\s*\)\s*\{[^}]*\}\s*\(\s*\)|\bthis\s*\.\s*constructor\b|\bconstructor\s*[.\[]\s*['\x22`]?constructor|\bconsole\s*(?:\.|\[\s*['\x22`])\s*(?:debug|error|info|trace|warn|log)\s*['\x22`\]]*\s*\(|\bbuffer\s*\.\s*from\s*\(|\bimport\s*\(\s*['\x22`]|\bfs\s*\.\s*(?:readfile|writefile|readdir|unlink)|\bsetinterval\s*\(|\bstring\s*\.\s*fromcharcode\b|\bmodule\s*\.\s*(?:exports|constructor)\b|\bvm\s*\.\s*runin|\bwhile\s*\(\s*(?:[!+~\[{'\x22-]|true\b|[1-9]|infinity|new\s|this\b|string\b|object\b|date\b|math\b|nan\b)|\beval\s*\(\s*(?:this|string|atob|unescape|decode|require|process|['\x22`])|\bself\s*\.\s*constructor"
        )
    ),
    check!(
        93402,
        1,
        Code,
        VALUES,
        ALL,
        "prototype of JavaScript's objects",
        r"__proto__\s?(?:[.\[\]'\x22:=,}%]|$)|[.\['\x22]\s?__proto__|\bconstructor\s*(?:\.|\]?\s*\[)\s*['\x22`]?prototype|\bprototype\s*\[\s*['\x22`]|\[\s*['\x22`]?(?:constructor|prototype)['\x22`]?\s*\]\s*(?:\.|\[)|__(?:define|lookup)[gs]etter__|^(?:json\.)?(?:[\w.]+\.)?constructor\.prototype"
    ),
    check!(
        93403,
        1,
        Code,
        VALUES,
        ALL,
        "Ruby or Perl",
        concat!(
            r"\bprocess\s*\.\s*spawn\s*\(|\bkernel\s*\.\s*(?:exec|system|open|spawn|`)|\bio\s*\.\s*(?:popen|read|binread)\s*\(|\bopen3?\s*\.\s*(?:popen|capture)|\bfile\s*\.\s*(?:open|read|write|delete)\s*\(|\bdir\s*\[\s*['\x22]|\berb\s*\.\s*new|@\{\s*\[?\s*(?:system|exec|`|qx|print|open|eval)|\b(?:system|exec|qx|open)(?:[{(\[/|!]\s*['\x22]?|\s\(\s*['\x22])(?:/|\w+\s+[-/])|\buse\s+(?:posix|socket|io::socket)\b|%x[({\[|!][^)}\]|!]+[)}\]|!]|\b(?:instance|class|module)_eval\b|\bsend\s*\(\s*:?['\x22]?(?:system|eval|exec)|\bobjectspace\b|\bmarshal\s*\.\s*load"
        )
    ),
    check!(
        93404,
        1,
        Code,
        VALUES | PATH | HEADERS,
        ALL,
        "expression of a template",
        concat!(
            r"\{\{[^}]*(?:__|\bself\b|\bconfig\b|request\.|\.constructor|\bpopen\b|lipsum|cycler|joiner|namespace|get_flashed_messages|url_for|\bclass\b|\bsubclasses\b|_self\b|\bfilter\b|\bmap\(|\bsystem\b|['\x22]\s*\||\d+\s*[*+-]\s*['\x22]?\d+|\bthis\b|#with|\brange\(|\bsort\(|\bdump\(|\.getclass|\benv\b|\$on|php)|\{%[^%]*(?:import|include|for|if|set|block|extends|debug|macro|call|filter|do)\b[^%]*%\}|",
            r"[#$*@~]\{[^}]*(?:\bt\s*\(|\.class\b|runtime|process|getclass|\bnew\s+[a-z]+[.(]|\d+\s*[*]\s*\d+|exec\s*\(|system\s*\(|@[a-z.]+@|forname|\bscriptengine|pagecontext|session\.|applicationscope|param\.|\bopen\s*\(|\bfile\.|\x60)|<%[=@!-].*%>|<%[^%]*[(;.].*%>|\{\s*php\s*\}|\{literal\}|\{(?:system|if|fetch|include|math|\$smarty)\b[^}]*[(.=]|#set\s*\(\s*\$|#(?:include|parse|evaluate)\s*\(|\$\{\{.*\}\}|<#assign|freemarker\.template|\[#assign|\$\{\s*['\x22]{0,2}\s*\+|@\(\d+\s*[*+-]\s*\d+\)|\{\{=|\[\[\s*\$\{|__\$\{|\$\w+\.(?:getclass|class)\b|\$eval\b|a\{\{.*\}\}b|#\{\s*\d+\s*\*|\{\d+\s*\*\s*\d+\}|\{\{\s*\[\s*\]\s*\.|\$\{\d+\s*[*+]\s*\d+\}"
        )
    ),
    check!(
        93405,
        1,
        Code,
        VALUES | HEADERS,
        ALL,
        "Python",
        r"__(?:import|class|globals|builtins|subclasses|mro|bases?|init|getattribute|reduce|code|dict)__|\bos\s*\.\s*(?:system|popen|exec[lv]p?e?|spawn\w*|remove|listdir)\s*\(|\bsubprocess\s*\.\s*(?:popen|call|run|check_output|getoutput)|\bimport\s+(?:os|sys|subprocess|socket|pty)\b\s*(?:;|,|$|\n)|\bpty\s*\.\s*spawn|c(?:os|posix)\nsystem\n|\bpickle\s*\.\s*loads"
    ),
    check!(
        93406,
        1,
        Code,
        VALUES,
        ALL,
        "query of NoSQL",
        r"[\[.{,'\x22]\s*\$(?:ne|eq|lte?|gte?|n?in|mod|all|size|exists|type|slice|x?or|and|nor|not|div|like|between|regex|jsonschema|where|text|elemmatch|comment|expr|lookup|group|function|accumulator)\b['\x22]?\s*[\]:=]|^\$(?:ne|gt|lt|where|regex|or|and|in|nin|eq|exists)$|\bdb\s*\.\s*(?:\w+\s*\.\s*)?(?:find|insert|remove|update|drop|getcollection\w*|eval|collection|mapreduce|injection)\b|\bthis\s*\.\s*\w+\s*={2,3}\s*['\x22]|(?:(?:^|[^)}\s])\s?|^[^'\x22]{0,40}['\x22]\s?[)}][)}\s]*);\s*return\s+(?:true|!?\d|this)|'\s*(?:\|\||&&)\s*(?:'|\d|this)"
    ),
    check!(
        93407,
        1,
        Code,
        Part::ArgName.bit(),
        TEXT,
        "look-up through relations of a model",
        r"\w__\w+__(?:i?(?:contains|exact|startswith|endswith|regex)|in|range|isnull|[gl]te?|has_(?:any_)?keys?|contained_by|overlap|len|date|year|month|day|week(?:_day)?|quarter|hour|minute|second|time|search)$|^(?:password|user|owner|author|created_by|token|secret)\w*__(?:\w+__)*(?:i?(?:contains|exact|startswith|endswith|regex))$|^(?:user|owner|author|created_by)__(?:password|profile|email|token|secret|is_\w+)"
    ),
    check!(
        94401,
        1,
        Java,
        VALUES | HEADERS | TARGET,
        ALL,
        "Java's class or method",
        concat!(
            r"\bjava\.lang\.(?:appendable|autocloseable|boolean|byte|character|charsequence|class|classloader|classvalue|cloneable|comparable|compiler|double|enum|float|integer|iterable|long|math|module|modulelayer|number|object|package|process|processbuilder|processhandle|readable|record|runnable|runtime|runtimepermission|securitymanager|short|stacktraceelement|stackwalker|strictmath|string|stringbuffer|stringbuilder|system|thread|threadgroup|threadlocal|void|annotation|constant|foreign|instrument|invoke|management|ref|reflect)\b|\bjava\.(?:[a-km-z]|l[b-z]|la[a-mo-z]|lan[a-fh-z]|lang[a-z0-9])[a-z0-9]*\.[a-z]|\bjavax\.[a-z]+\.[a-z]|\b(?:com\.sun\.|sun\.(?:misc|reflect|net)\.)|org\.(?:apache\.(?:commons|struts2?|velocity|xalan|xbean|log4j|tomcat|catalina|ibatis|logging|wicket|bcel)|springframework\.(?:\w+\.\w+|beans|expression|context)|codehaus|hibernate|jboss|mozilla\.javascript|omg|python\.core)\b|com\.opensymphony\.xwork2?|ognl\.ognl|freemarker\.(?:template|core)|",
            r"\bprocessbuilder\b|\bgetruntime\b|\bruntime\s*[.@]\s*(?:getruntime|exec)|\bclassloader\b|\bclass\s*[.\[]\s*['\x22]?(?:classloader|module|forname|getmethod|protectiondomain)|\.getclass\s*\(|\bgetclass\(\)\.|\bgetdeclared(?:method|constructor|field)s?\b|\bnewinstance\s*\(|\bbeanutils\b|#_?memberaccess|#(?:context|request|application|session|attr|parameters|root|this)\s*[.\[=]|@[a-z.]+\w@\w|\bscriptengine(?:manager)?\b|\binvokertransformer|\bchainedtransformer|\bbadattributevalueexpexception|\btemplatesimpl\b|\bobjectinputstream\b|\bxmldecoder\b|\bunmarshaller\b|\bysoserial\b|\bbsh\.interpreter\b|\bdeserializ\w+\s*\(|\bclonetransformer|\bforclosure|\binstantiate(?:factory|transformer)|\binvokerfactory|\bprototype(?:clone|serialization)factory|\bwhileclosure|\bgetproperty\s*\(\s*['\x22]|\bfilewriter\b\s*\(|\bfileinputstream\b|\bfileoutputstream\b|\binputstreamreader\b|\bstringbuilder\s*\(|\bbufferedreader\b|\bprintwriter\b|\brandomaccessfile\b|\bsystem\s*\.\s*(?:exit|getproperty|getenv|setproperty)\s*\(|\bsecuritymanager\b|\bjsppagecontext|\bservletcontext\b|\bpagecontext\b|\bhttpservletrequest\b|\bt\s*\(\s*java"
        )
    ),
    check!(
        94402,
        1,
        Java,
        VALUES | HEADERS | TARGET,
        ALL,
        "look-up of log4j",
        r"\$\{\s*(?:jndi|\$\{|(?:lower|upper|env|sys|java|date|ctx|main|bundle|docker|k8s|log4j|marker|sd|map|spring|web)\s*:|:|::-)|\$\{[^}]*(?:jndi|:-[a-z]\}|\blower:|\bupper:)|\$(?:\{|&lcub;?|&lbrace;?|%7b)[^}]{0,20}j[^}]{0,20}n[^}]{0,20}d[^}]{0,20}i"
    ),
    check!(
        94403,
        1,
        Java,
        VALUES | HEADERS,
        RAW | TEXT,
        "Java's serialised object",
        r"(?:^|[^\w+/])(?:ro0ab[a-z0-9]|kztaab|cs7qa|yv66vg|uk8wq)|\xac\xed\x00\x05|\baced0005"
    ),
    check!(
        94404,
        1,
        Java,
        VALUES | HEADERS | TARGET,
        ALL,
        "injection into Spring or Struts",
        r"\bclass\.module\.classloader|spring\.cloud\.function\.routing-expression|\brouting-expression\b|(?:redirect|action|redirectaction|method)\s*:\s*[#$%@]\{|%\{[^}]*[(#@=].*\}|\(#\w+\s*=|\bnew\s+java\.|\.class\.forname|\bmultipart/form-data.*ognl"
    ),
];
