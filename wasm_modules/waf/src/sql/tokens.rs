//! Tokens of SQL: the letter that each has in a fingerprint, and where it ends.

/// End of a string that begins at `at` (behind its quote): behind the closing quote, or the text's.
pub(super) fn string_end(text: &[u8], mut at: usize, quote: u8) -> usize {
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

/// Whether a string with this letter before its quote may have these bytes: `x'…'` is of hexadecimal digits, `b'…'` of bits.
fn prefixed(prefix: u8, inner: &[u8]) -> bool {
    let content = inner.split(|byte| *byte == b'\'').next().unwrap_or_default();
    match prefix {
        b'x' => content.iter().all(u8::is_ascii_hexdigit),
        b'b' => content.iter().all(|byte| matches!(byte, b'0' | b'1')),
        _ => true,
    }
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Letter and end of the token at `at`; a space for what is none.
pub(super) fn next(text: &[u8], at: usize) -> (u8, usize) {
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
        [prefix @ (b'x' | b'b' | b'n' | b'q' | b'u'), b'\'', inner @ ..] if prefixed(*prefix, inner) => {
            (b's', string_end(text, at + 2, b'\''))
        }
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

/// What `for` asks of a query.
const FOR: [&[u8]; 7] = [b"update", b"share", b"no key", b"key share", b"xml", b"json", b"browse"];

/// The letter of a word, by what follows it.
fn keyword(name: &[u8], rest: &[u8]) -> u8 {
    let rest = rest.trim_ascii_start();
    let then = |word: &[u8]| rest.starts_with(word) || rest.starts_with(b"/*");
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
        b"for" if FOR.iter().any(|what| then(what)) => b'q',
        b"lock" if then(b"in") => b'q',
        b"fetch" if then(b"first") || then(b"next") => b'q',
        b"use" | b"force" | b"ignore" if then(b"index") || then(b"key") => b'q',
        b"connect" if then(b"by") => b'q',
        b"allow" if then(b"filtering") => b'q',
        b"option" if then(b"(") => b'q',
        b"returning" | b"window" | b"isnull" | b"notnull" => b'q',
        b"null" | b"true" | b"false" => b'1',
        b"current_user" | b"user" | b"current_timestamp" | b"session_user" if then(b"(") => b'n',
        _ => b'n',
    }
}
