//! Names of functions that databases have.

use crate::names::Names;

/// Functions of MySQL, PostgreSQL, SQLite, SQL Server and Oracle that injections call, sorted.
#[rustfmt::skip]
pub(super) static FUNCTIONS: Names = Names::new(&[
    b"abs", b"aes_decrypt", b"aes_encrypt", b"ascii", b"asciistr", b"avg", b"benchmark", b"bin", b"bit_and",
    b"bit_count", b"bit_length", b"bit_or", b"cast", b"ceil", b"char", b"char_length", b"character_length",
    b"charindex", b"chr", b"coalesce", b"col_length", b"col_name", b"compress", b"concat", b"concat_ws",
    b"connection_id", b"conv", b"convert", b"count", b"crc32", b"ctxsys.drithsx.sn", b"curdate", b"current_database",
    b"current_schema", b"current_setting", b"current_user", b"curtime", b"database", b"date_add", b"datediff",
    b"dayname", b"db_id", b"db_name", b"dbms_lock", b"dbms_pipe", b"decode", b"des_encrypt", b"elt", b"encode",
    b"encrypt", b"exp", b"export_set", b"extractvalue", b"field", b"find_in_set", b"floor", b"format", b"found_rows",
    b"generate_series", b"geometrycollection", b"greatest", b"group_concat", b"hex", b"host_name", b"if", b"ifnull",
    b"iif", b"in", b"inet_aton", b"inet_ntoa", b"insert", b"instr", b"is_srvrolemember", b"isnull", b"json_extract",
    b"json_keys", b"last_insert_id", b"lcase", b"least", b"left", b"len", b"length", b"linestring", b"ln",
    b"load_extension", b"load_file", b"locate", b"log", b"lower", b"lpad", b"ltrim", b"make_set", b"master_pos_wait",
    b"max", b"md5", b"mid", b"min", b"mod", b"multipoint", b"multipolygon", b"name_const", b"newid", b"now", b"nullif",
    b"nvl", b"object_id", b"object_name", b"octet_length", b"openquery", b"openrowset", b"ord", b"password",
    b"patindex", b"pg_ls_dir", b"pg_read_file", b"pg_sleep", b"pi", b"polygon", b"pow", b"power", b"quarter", b"quote",
    b"quotename", b"rand", b"random", b"randomblob", b"receive_message", b"regexp_replace", b"regexp_substring",
    b"repeat", b"replace", b"replicate", b"reverse", b"right", b"round", b"row", b"row_count", b"rpad", b"rtrim",
    b"schema", b"schema_name", b"session_user", b"sha", b"sha1", b"sha2", b"sign", b"sleep", b"soundex", b"space",
    b"sqlite_version", b"sqrt", b"std", b"str", b"strcmp", b"string_agg", b"strpos", b"stuff", b"substr", b"substring",
    b"substring_index", b"sum", b"suser_name", b"sysdate", b"system_user", b"to_base64", b"to_char", b"to_number",
    b"translate", b"trim", b"truncate", b"typeof", b"ucase", b"unhex", b"unicode", b"updatexml", b"upper", b"user",
    b"user_id", b"user_name", b"utl_http", b"utl_inaddr", b"uuid", b"version", b"weekday", b"xmltype", b"xp_cmdshell",
    b"year", b"zeroblob",
]);
