//! Fingerprints of injections.

fn any(letters: &[u8], of: &[u8]) -> bool {
    letters.iter().any(|letter| of.contains(letter))
}

/// Whether what follows a condition is a sentence that goes on: two names, or one behind a comma, and no query around it.
fn prose(tail: &[u8]) -> bool {
    matches!(tail, [b',' | b'n', b'n', next @ ..] if !matches!(next, [b'k' | b'c' | b'u' | b'b' | b'q' | b'&', ..]))
}

/// The shapes of a value that stands where a number does.
pub(super) fn bare(print: &[u8]) -> bool {
    match print {
        // 1 and 1=1, 1 or sleep(5), 1 and (select …
        [b'1' | b's' | b'n' | b'v' | b'f', b'&', b'T', tail @ ..] => !prose(tail),
        [b'1' | b's' | b'n' | b'v' | b'f', b'&', b'f' | b'E', ..] => true,
        [b'1' | b'v' | b'f', b'&', b'L', ..] => true,
        // 1 or 1 --
        [b'1' | b'n' | b's', b'&', b'1' | b's' | b'v' | b'n', b'c', ..] => true,
        [b'1', b'&', b'1' | b's' | b'v', b'&', b'1' | b's' | b'v' | b'T', tail @ ..] => !prose(tail),
        // 1-(select …, 1=(select …
        [b'1' | b's' | b'n' | b'v', b'o' | b'=', b'E', ..] => true,
        [b'1' | b's', b'o' | b'=', b'f', ..] => true,
        [b'T' | b'L', b'&', b'T', tail @ ..] => !prose(tail),
        [b'T' | b'L', b'&', b'f' | b'E', ..] => true,
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
pub(super) fn quoted(print: &[u8]) -> bool {
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
