//! SQL injection by tokens: a value is read as SQL from where an injected one would begin, its tokens are folded into a
//! short fingerprint, and a few shapes of fingerprints are those of injections.
//!
//! An injected value begins as a number or word does, or inside of a string whose quote it then closes; so a text is read
//! three times at most. The fingerprint has one letter a token:
//!
//! ```text
//! 1 number   s string   n word   v variable   f function (   E ( select   e verb   u union   k other keyword
//! & and, or   = comparison   o other operator   b clause (order by …)   c comment   , ; as they are
//! T comparison that needs no table (1=1, 'a'='a', f()=1)   L of a column with a literal
//! ```

use alloc::vec::Vec;

/// Most tokens that are read.
const TOKENS: usize = 40;

/// What an injection is about, when `text` has the shape of one. `text` is in small letters.
pub(crate) fn injection(text: &[u8]) -> Option<&[u8]> {
    // Leading space says nothing.
    let text = text.trim_ascii();
    found(text).then_some(text)
}

fn found(text: &[u8]) -> bool {
    bare(&fingerprint(text, None))
        || [b'\'', b'"', b'`'].into_iter().any(|quote| {
            memchr::memchr(quote, text).is_some_and(|at| {
                let print = fingerprint(text, Some(quote));
                let behind = &text[at + 1..];
                quoted(&print)
                    && !(quote != b'\'' && quotation(&print, behind.first() == Some(&b' ')))
                    && !mixed(behind, quote)
            })
        })
}

/// What a quotation in a text may look like: text is quoted with the double quote and the backtick more than SQL is, and an
/// inch is written so too.
fn quotation(print: &[u8], spaced: bool) -> bool {
    match print {
        [b's', b'o' | b'=', b's' | b'v' | b'n' | b'1', ..] => true,
        [b's', b'&', b's'] => spaced,
        [b's', b'&', b'n', tail @ ..] => spaced && !matches!(tail, [b'=', ..] | [b'c']),
        _ => false,
    }
}

/// Whether an operator and a string of another quote follow: these two are no string together.
fn mixed(behind: &[u8], quote: u8) -> bool {
    let is_operator = |byte: &&u8| b" +-*/%^|&".contains(byte);
    let rest = &behind[behind.iter().take_while(is_operator).count()..];
    rest.len() < behind.len() && matches!(rest.first(), Some(other @ (b'\'' | b'"')) if *other != quote)
}

fn any(letters: &[u8], of: &[u8]) -> bool {
    letters.iter().any(|letter| of.contains(letter))
}

/// The shapes of a value that stands where a number does.
fn bare(print: &[u8]) -> bool {
    match print {
        // 1 and 1=1, 1 or sleep(5), 1 and (select …
        [b'1' | b's' | b'n' | b'v' | b'f', b'&', b'T' | b'f' | b'E', ..] => true,
        [b'1' | b'v' | b'f', b'&', b'L', ..] => true,
        // 1 or 1 --
        [b'1' | b'n' | b's', b'&', b'1' | b's' | b'v' | b'n', b'c', ..] => true,
        [b'1', b'&', b'1' | b's' | b'v', b'&', b'1' | b's' | b'v' | b'T', ..] => true,
        // 1-(select …, 1=(select …
        [b'1' | b's' | b'n' | b'v', b'o' | b'=', b'E', ..] => true,
        [b'1' | b's', b'o' | b'=', b'f', ..] => true,
        [b'T' | b'L', b'&', b'T' | b'f' | b'E', ..] => true,
        [b'T', b'c'] => true,
        // (select 1 …, select from
        [b'E', rest @ ..] => any(&rest[..rest.len().min(8)], b"k1f") || rest.len() > 3 && any(rest, b",k"),
        // 1 order by 3, 1 union select
        [b'1' | b's' | b'n', b'b', b'1', tail @ ..] => matches!(tail, [] | [b'c' | b',' | b'o', ..]),
        [b'1' | b's' | b'n', b'b', b'T' | b'L', ..] => true,
        [b'1' | b's' | b'n' | b'v' | b'f' | b'T', b'u', b'e' | b'E', ..] => true,
        [b'1' | b's', b';', b'e', b'k' | b'f' | b's' | b'1', ..] => true,
        [b'1' | b's', b'c', b'&' | b'u' | b'e' | b'E' | b'b', ..] => true,
        [b'1' | b's' | b'n', b'k', b'E', ..] => true,
        [b'1', b'k', b'n', b'k', ..] | [b'1' | b's', b';', b'e', b'n', b'c'] => true,
        [b'1' | b's', b'b', b'f', ..] => true,
        // A function of a function; formulas of spreadsheets begin with a sign.
        [b'f', b'f', ..] | [b'1' | b's', b'o', .., b'f', b'f', _] | [b'1' | b's', b'o', .., b'f', b'f', _, _] => true,
        _ => false,
    }
}

/// The shapes of a value that closes a string; the first letter is that string's.
fn quoted(print: &[u8]) -> bool {
    let [b's', rest @ ..] = print else { return false };
    match rest {
        [b'&', b'T' | b'L' | b'f' | b'E' | b'v', ..] => true,
        [b'&', b'1' | b's', tail @ ..] => {
            matches!(tail, [] | [b'c' | b'&' | b'=' | b'o' | b';' | b'b' | b'u' | b'?', ..])
        }
        [b'&', b'n', b'o', b'1' | b's' | b'v' | b'f' | b'E' | b'T' | b'L', ..] => true,
        [b'&', b'n', tail @ ..] => matches!(tail, [b'c' | b'=' | b';' | b'k' | b'&', ..]),
        [b'&', b'&', ..] => true,
        // ' = ', '|'b
        [b'=' | b'o', b's' | b'v', tail @ ..] => {
            matches!(tail, [] | [b'c' | b'&' | b'=' | b'o' | b';' | b'b' | b'u', ..])
        }
        [b'=' | b'o', b'1', tail @ ..] => {
            matches!(tail, [b'c' | b'&' | b'=' | b'o' | b';' | b'u', ..] | []) && rest[0] == b'='
                || matches!(tail, [b'c' | b'&' | b'o', ..])
        }
        [b'=' | b'o', b'f' | b'E', ..] => true,
        [b'o', b'n', b'o', b's' | b'T' | b'L', ..] | [b'o', b'n', b'&', ..] => true,
        [b'o', b'n', b'o', b'1', b'o' | b'=' | b'&' | b'c', ..] => true,
        [b'o' | b'=', b'T' | b'L', ..] => true,
        [b'T', ..] => true,
        // '--, '; drop
        [b'c', ..] => true,
        [b';', b'e' | b'c' | b'E' | b'f', ..] => true,
        [b'u', b'e' | b'E', ..] => true,
        [b'b', b'1', tail @ ..] => matches!(tail, [] | [b'c' | b',' | b'o' | b';', ..]),
        [b'b', b'T' | b'L' | b'f' | b'E', ..] => true,
        [b'b', b'n', b'c' | b'=', ..] => true,
        [b'k', b'E' | b'f', ..] => true,
        [b',', b'E' | b'f', ..] => true,
        [b',', b'1' | b's' | b'n', b',', .., b'c'] | [b',', b'1' | b's' | b'n', b'c'] => true,
        [b'E' | b'e', ..] => matches!(rest, [_, b'f' | b'1' | b'k', ..]),
        _ => false,
    }
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    letter: u8,
    text: &'a [u8],
}

/// Tokens, folded. With `inside`, the text begins inside of a string of that quote.
fn fingerprint(text: &[u8], inside: Option<u8>) -> Vec<u8> {
    let mut tokens: Vec<Token<'_>> = Vec::with_capacity(TOKENS + 1);
    let mut at = 0;
    if let Some(quote) = inside {
        at = string_end(text, 0, quote);
        tokens.push(Token { letter: b's', text: &text[..at] });
    }
    while at < text.len() && tokens.len() < TOKENS {
        let (letter, end) = next(text, at);
        let token = Token { letter, text: &text[at..end] };
        at = end;
        if letter != b' ' {
            push(&mut tokens, token);
        }
    }
    fold(&tokens)
}

/// Add a token, or what it makes of the one before.
fn push<'a>(tokens: &mut Vec<Token<'a>>, token: Token<'a>) {
    let before = tokens.last().map_or(0, |token| token.letter);
    match token.letter {
        // A call: only of names that SQL has.
        b'(' if before == b'n' && tokens.last().is_some_and(|name| FUNCTIONS.binary_search(&name.text).is_ok()) => {
            if let Some(name) = tokens.last_mut() {
                name.letter = b'f';
            }
        }
        b'(' if before != b'(' => tokens.push(token),
        b'(' => {}
        b'e' if before == b'(' && token.text == b"select" => {
            tokens.pop();
            tokens.push(Token { letter: b'E', ..token });
        }
        b')' => {
            if before == b'(' {
                tokens.pop();
            }
        }
        // Names of several parts, and an alias, are one name.
        b'.' => tokens.push(token),
        b'n' | b'k' if before == b'.' => {
            tokens.pop();
            if tokens.last().is_none_or(|token| token.letter != b'n' && token.letter != b'v') {
                tokens.push(Token { letter: b'n', ..token });
            }
        }
        // Adjacent strings are one.
        b's' if before == b's' && tokens.len() > 1 => {}
        b'&' if token.text == b"not" || token.text == b"!" => {}
        // A sign after an operator or at the start is part of what follows.
        b'o' if matches!(token.text, b"-" | b"+" | b"~" | b"!" | b"@")
            && !matches!(before, b'1' | b's' | b'n' | b'v' | b'f' | b')')
            && before != 0 => {}
        b'o' if before == 0 && matches!(token.text, b"-" | b"+" | b"~" | b"!") => {}
        b'o' if before == b'o' || before == b'=' => {}
        b'=' if before == b'=' => {}
        b'=' if before == b'o' => {
            if let Some(last) = tokens.last_mut() {
                last.letter = b'=';
            }
        }
        b'&' if before == b'&' && token.text != b"||" && token.text != b"&&" => {}
        b',' if before == b',' => {}
        _ => tokens.push(token),
    }
}

/// Comparisons and arithmetic as one letter.
fn fold(tokens: &[Token<'_>]) -> Vec<u8> {
    let tokens: Vec<Token<'_>> = tokens.iter().filter(|token| !matches!(token.letter, b'(' | b'.')).copied().collect();
    let value = |token: &Token<'_>| matches!(token.letter, b'1' | b's' | b'n' | b'v' | b'f');
    let mut print = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        // The string that the text begins in is no operand: what it is compared with, is.
        let whole = at > 0 || tokens[at].letter != b's';
        match &tokens[at..] {
            [left, operator, right, ..]
                if whole && operator.letter == b'=' && value(left) && value(right) && left.letter != b'f' =>
            {
                let literal = |token: &Token<'_>| matches!(token.letter, b'1' | b's' | b'v' | b'f');
                let same = bare_word(left.text) == bare_word(right.text);
                print.push(if (literal(left) && literal(right)) || same || right.letter == b'f' {
                    b'T'
                } else if literal(left) || literal(right) {
                    b'L'
                } else {
                    b'n'
                });
                // A call's arguments follow it, as any tokens.
                at += 3;
            }
            [token, ..] => {
                print.push(token.letter);
                at += 1;
            }
            [] => break,
        }
    }
    print
}

fn bare_word(text: &[u8]) -> &[u8] {
    let text = text.strip_prefix(b"'").unwrap_or(text);
    text.strip_suffix(b"'").unwrap_or(text)
}

/// End of a string that begins at `at` (behind its quote): behind the closing quote, or the text's.
fn string_end(text: &[u8], mut at: usize, quote: u8) -> usize {
    while at < text.len() {
        match text[at] {
            b'\\' => at += 1,
            byte if byte == quote => {
                if text.get(at + 1) != Some(&quote) || at + 2 >= text.len() {
                    return at + 1;
                }
                at += 1;
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Letter and end of the token at `at`; a space for what is none.
fn next(text: &[u8], at: usize) -> (u8, usize) {
    let rest = &text[at..];
    let run = |from: usize, of: fn(u8) -> bool| at + from + rest[from..].iter().take_while(|byte| of(**byte)).count();
    match rest {
        [b'-', b'-', b'-' | b'a'..=b'z', ..] => (b'o', at + 1),
        [b'#', next, ..]
            if text[..at].last().is_none_or(|byte| !byte.is_ascii_alphanumeric())
                && *next != b'\n'
                && rest.trim_ascii().len() > 1
                && !rest.contains(&b'\n') =>
        {
            (b'?', at + 1)
        }
        [b'-', b'-', ..] | [b'#', ..] => {
            // To the line's end: what follows is SQL again.
            let end = rest.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| at + end + 1);
            if end < text.len() {
                (b' ', end)
            } else if text[..at].ends_with(b" ") && wordy(&rest[1..]) {
                // A dash in a text, and what it adds.
                (b'?', at + 2)
            } else {
                (b'c', end)
            }
        }
        [b'/', b'*', b'!', ..] => (b' ', run(3, |byte| byte.is_ascii_digit())),
        [b'/', b'*', ..] => match rest.windows(2).skip(2).position(|pair| pair == b"*/") {
            Some(end) => (b' ', at + end + 4),
            None => (b'c', text.len()),
        },
        [b'*', b'/', ..] => (b' ', at + 2),
        [quote @ (b'\'' | b'"'), ..] => (b's', string_end(text, at + 1, *quote)),
        [b'`', ..] => (b'n', rest[1..].iter().position(|byte| *byte == b'`').map_or(text.len(), |end| at + end + 2)),
        [b'x' | b'b' | b'n' | b'q' | b'u', quote @ b'\'', ..] => (b's', string_end(text, at + 2, *quote)),
        [b'0', b'x', ..] => (b'1', run(2, |byte| byte.is_ascii_hexdigit())),
        [b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..] => {
            let end = run(0, |byte| byte.is_ascii_digit() || byte == b'.');
            let exponent = matches!(text.get(end..), Some([b'e', b'0'..=b'9' | b'+' | b'-', ..]));
            let end = if exponent {
                end + 2 + text[end + 2..].iter().take_while(|byte| byte.is_ascii_digit()).count()
            } else {
                end
            };
            // 3abc is no number of SQL, but a word; 1or 1 is read by some databases.
            let tail = text[end..].iter().take_while(|byte| word(**byte)).count();
            if tail == 0 || starts_keyword(&text[end..end + tail]) { (b'1', end) } else { (b'n', end + tail) }
        }
        [b'@', ..] => (b'v', run(1, |byte| word(byte) || matches!(byte, b'@' | b'.' | b'`' | b'\''))),
        [b'&', b'&', ..] | [b'|', b'|', ..] => (b'&', at + 2),
        // A parameter of a URL, not a bit operation.
        [b'&', b'a'..=b'z', ..] if text[run(1, word)..].starts_with(b"=") && !rest[1..].starts_with(b"&") => {
            (b'?', at + 1)
        }
        [b'<', b'=', b'>', ..] => (b'=', at + 3),
        [b'<', b'<', ..] | [b'>', b'>', ..] | [b':', b':', ..] => (b'o', at + 2),
        [b'<' | b'>' | b'!' | b':' | b'^', b'=' | b'>', ..] => (b'=', at + 2),
        [b'=' | b'<' | b'>', ..] => (b'=', at + 1),
        [b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'|' | b'&' | b'~' | b'!', ..] => (b'o', at + 1),
        [byte @ (b'(' | b')' | b',' | b';' | b'.'), ..] => (*byte, at + 1),
        [b'{' | b'}' | b'[' | b']', ..] => (b' ', at + 1),
        [byte, ..] if word(*byte) => {
            let end = run(0, word);
            let name = &text[at..end];
            (keyword(name, &text[end..]), end)
        }
        // \N is NULL.
        [b'\\', b'n', ..] => (b'1', at + 2),
        [b'\\', ..] => (b'\\', at + 1),
        [byte, ..] if byte.is_ascii_whitespace() || byte.is_ascii_control() => (b' ', at + 1),
        _ => (b'?', at + 1),
    }
}

/// Whether it is several words of a text, and none of them SQL's sign.
fn wordy(text: &[u8]) -> bool {
    let words = text.split(|byte| *byte == b' ').filter(|word| word.iter().any(u8::is_ascii_alphabetic)).count();
    words > 1 && !text.iter().any(|byte| b"=;()".contains(byte))
}

fn starts_keyword(text: &[u8]) -> bool {
    [&b"or"[..], b"and", b"union", b"xor", b"div", b"like", b"from", b"between"]
        .iter()
        .any(|known| text.starts_with(known))
}

/// The letter of a word, by what follows it.
fn keyword(name: &[u8], rest: &[u8]) -> u8 {
    let then = |word: &[u8]| rest.trim_ascii_start().starts_with(word);
    match name {
        b"and" | b"or" | b"xor" | b"not" => b'&',
        b"like" | b"rlike" | b"regexp" | b"between" | b"is" | b"in" | b"sounds" | b"glob" | b"ilike" | b"similar" => {
            b'='
        }
        b"binary" => b' ',
        b"div" | b"mod" | b"collate" | b"escape" => b'o',
        b"union" | b"intersect" | b"except" | b"minus" => b'u',
        b"all" | b"distinct" if then(b"select") || then(b"(") => b' ',
        b"select" | b"insert" | b"update" | b"delete" | b"drop" | b"create" | b"alter" | b"truncate" | b"exec"
        | b"execute" | b"declare" | b"merge" | b"shutdown" | b"waitfor" | b"grant" | b"revoke" | b"call" | b"copy"
        | b"backup" | b"restore" | b"handler" | b"kill" | b"load" | b"replace" | b"if" | b"begin" => b'e',
        b"order" | b"group" | b"partition" if then(b"by") => b'b',
        b"by" => b' ',
        b"having" | b"limit" | b"offset" | b"procedure" => b'b',
        b"from" | b"where" | b"into" | b"values" | b"table" | b"database" | b"set" | b"case" | b"when" | b"then"
        | b"else" | b"end" | b"as" | b"join" | b"outfile" | b"dumpfile" | b"using" | b"exists" | b"any" | b"cast" => {
            b'k'
        }
        b"null" | b"true" | b"false" => b'1',
        b"current_user" | b"user" | b"current_timestamp" | b"session_user" if then(b"(") => b'n',
        _ => b'n',
    }
}

/// Functions, sorted.
const FUNCTIONS: &[&[u8]] = &[
    b"abs",
    b"aes_decrypt",
    b"aes_encrypt",
    b"ascii",
    b"asciistr",
    b"avg",
    b"benchmark",
    b"bin",
    b"bit_and",
    b"bit_count",
    b"bit_length",
    b"bit_or",
    b"cast",
    b"ceil",
    b"char",
    b"char_length",
    b"character_length",
    b"charindex",
    b"chr",
    b"coalesce",
    b"col_length",
    b"col_name",
    b"compress",
    b"concat",
    b"concat_ws",
    b"connection_id",
    b"conv",
    b"convert",
    b"count",
    b"crc32",
    b"ctxsys.drithsx.sn",
    b"curdate",
    b"current_database",
    b"current_schema",
    b"current_setting",
    b"current_user",
    b"curtime",
    b"database",
    b"date_add",
    b"datediff",
    b"dayname",
    b"db_id",
    b"db_name",
    b"dbms_lock",
    b"dbms_pipe",
    b"decode",
    b"des_encrypt",
    b"elt",
    b"encode",
    b"encrypt",
    b"exp",
    b"export_set",
    b"extractvalue",
    b"field",
    b"find_in_set",
    b"floor",
    b"format",
    b"found_rows",
    b"generate_series",
    b"geometrycollection",
    b"greatest",
    b"group_concat",
    b"hex",
    b"host_name",
    b"if",
    b"ifnull",
    b"iif",
    b"in",
    b"inet_aton",
    b"inet_ntoa",
    b"insert",
    b"instr",
    b"is_srvrolemember",
    b"isnull",
    b"json_extract",
    b"json_keys",
    b"last_insert_id",
    b"lcase",
    b"least",
    b"left",
    b"len",
    b"length",
    b"linestring",
    b"ln",
    b"load_extension",
    b"load_file",
    b"locate",
    b"log",
    b"lower",
    b"lpad",
    b"ltrim",
    b"make_set",
    b"master_pos_wait",
    b"max",
    b"md5",
    b"mid",
    b"min",
    b"mod",
    b"multipoint",
    b"multipolygon",
    b"name_const",
    b"newid",
    b"now",
    b"nullif",
    b"nvl",
    b"object_id",
    b"object_name",
    b"octet_length",
    b"openquery",
    b"openrowset",
    b"ord",
    b"password",
    b"patindex",
    b"pg_ls_dir",
    b"pg_read_file",
    b"pg_sleep",
    b"pi",
    b"polygon",
    b"pow",
    b"power",
    b"quarter",
    b"quote",
    b"quotename",
    b"rand",
    b"random",
    b"randomblob",
    b"receive_message",
    b"regexp_replace",
    b"regexp_substring",
    b"repeat",
    b"replace",
    b"replicate",
    b"reverse",
    b"right",
    b"round",
    b"row",
    b"row_count",
    b"rpad",
    b"rtrim",
    b"schema",
    b"schema_name",
    b"session_user",
    b"sha",
    b"sha1",
    b"sha2",
    b"sign",
    b"sleep",
    b"soundex",
    b"space",
    b"sqlite_version",
    b"sqrt",
    b"std",
    b"str",
    b"strcmp",
    b"string_agg",
    b"strpos",
    b"stuff",
    b"substr",
    b"substring",
    b"substring_index",
    b"sum",
    b"suser_name",
    b"sysdate",
    b"system_user",
    b"to_base64",
    b"to_char",
    b"to_number",
    b"translate",
    b"trim",
    b"truncate",
    b"typeof",
    b"ucase",
    b"unhex",
    b"unicode",
    b"updatexml",
    b"upper",
    b"user",
    b"user_id",
    b"user_name",
    b"utl_http",
    b"utl_inaddr",
    b"uuid",
    b"version",
    b"weekday",
    b"xmltype",
    b"xp_cmdshell",
    b"year",
    b"zeroblob",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_sorted() {
        assert!(FUNCTIONS.is_sorted(), "{:?}", FUNCTIONS.windows(2).find(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn injections_and_prose() {
        for text in [
            "1 or 1=1",
            "1' or '1'='1",
            "x' or 1=1 -- ",
            "admin'--",
            "admin' #",
            "1 and sleep(5)",
            "1) or (1=1",
            "-1' union select 1,2",
            "1 order by 10",
            "' or ''='",
            "a' = 'b",
            "1 and (select count(*) from users) > 0",
            "x\" or \"a\"=\"a",
            "1'; drop table users",
            "' having 1=1--",
            "1/**/or/**/1=1",
            "1 or 2>1",
            "1-(select 1)",
            "(select load_file(0x61))",
            "' || 'x'='x",
        ] {
            assert!(
                injection(text.as_bytes()).is_some(),
                "{text}: {:?}",
                fingerprint(text.as_bytes(), None).escape_ascii().to_string()
            );
        }
        for text in [
            "salt and pepper",
            "2 or 4 metal buttons",
            "it's a dog's life",
            "rock 'n' roll",
            "the boys' and girls' room",
            "o'neil",
            "5' - 6' tall",
            "jack-o'-lantern?",
            "1-1/8 plugs",
            "c# and f#",
            "select one of them",
            "x = y and z",
            "7 and a half",
            "\"quoted\" and \"again\"",
            "don't order by phone",
            "what's new?",
            "tel: +1 (917) 555-0100",
            "a, b; c",
            "hello -- world",
        ] {
            assert!(injection(text.as_bytes()).is_none(), "{text}");
        }
    }
}
