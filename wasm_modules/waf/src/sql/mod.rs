//! SQL injection by tokens: a value is read as SQL from where an injected one would begin, its tokens are folded into a
//! short fingerprint, and a few shapes of fingerprints are those of injections.
//!
//! An injected value begins as a number or word does, or inside of a string whose quote it then closes; so a text is read
//! three times at most. The fingerprint has one letter a token:
//!
//! ```text
//! 1 number   s string   n word   v variable   f function (   E ( select   e verb   u union   k other keyword
//! & and, or   = comparison   o other operator   b clause (order by …)   c comment   , ; as they are
//! q clause that may follow a condition, and no word of a text (for update, returning …)
//! T comparison that needs no table (1=1, 'a'='a', f()=1)   L of a column with a literal
//! ```

mod fold;
mod functions;
mod shapes;
mod tokens;

use fold::fingerprint;
use shapes::{bare, quoted};

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
                let text_has_it = quote != b'\'' && quotation(&print, behind.first() == Some(&b' '))
                    || print == b"s&s" && quoted_word(text, at, quote)
                    || no_expression(&print)
                    || mixed(behind, quote)
                    || quote == b'`' && code_span(text, at);
                quoted(&print) && !text_has_it
            })
        })
}

/// What a quotation in a text may look like: text is quoted with the double quote and the backtick more than SQL is, and an
/// inch is written so too. With a condition and a comment behind it is none.
fn quotation(print: &[u8], spaced: bool) -> bool {
    match print {
        [b's', b'o' | b'=', b's' | b'v' | b'n' | b'1', rest @ ..] => !rest.contains(&b'c') || !rest.contains(&b'&'),
        [b's', b'&', b's'] => spaced,
        [b's', b'&', b'n', tail @ ..] => spaced && !matches!(tail, [b'=', ..] | [b'c']),
        _ => false,
    }
}

/// Whether the quote at `at` and the one that ends the text set the word `and` apart, as in `the 'and'`: as SQL it would add an
/// empty string to the condition, which is always false. With `or` the condition before it would count alone.
fn quoted_word(text: &[u8], at: usize, quote: u8) -> bool {
    text[..at].ends_with(b" ") && text[at + 1..].strip_suffix(&[quote]) == Some(b"and")
}

/// Whether what follows the string begins as an operation and has three names side by side, as a text does. SQL has them too
/// (`interval id day`, `at time zone`, `natural left join`), so nothing else may make it a condition, a query or a comment.
fn no_expression(print: &[u8]) -> bool {
    let [b's', rest @ ..] = print else { return false };
    matches!(rest.first(), Some(b'o' | b'=' | b'T' | b'L'))
        && rest.windows(3).any(|three| three == b"nnn")
        && !rest.iter().any(|letter| b"&;cuE".contains(letter))
}

/// Whether the backtick at `at` opens what another one closes, as around code in a text.
fn code_span(text: &[u8], at: usize) -> bool {
    let opens = |byte: &u8| byte.is_ascii_whitespace() || b"([{*_-".contains(byte);
    text[..at].last().is_none_or(opens)
        && text.get(at + 1).is_some_and(|byte| !byte.is_ascii_whitespace())
        && memchr::memchr(b'`', &text[at + 1..]).is_some()
}

/// Whether an operator and a string of another quote follow: these two are no string together.
fn mixed(behind: &[u8], quote: u8) -> bool {
    let is_operator = |byte: &&u8| b" +-*/%^|&".contains(byte);
    let rest = &behind[behind.iter().take_while(is_operator).count()..];
    rest.len() < behind.len() && matches!(rest.first(), Some(other @ (b'\'' | b'"')) if *other != quote)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "x' = b'01",
            "a 'or'1",
            "a 'or' b",
            "x' and '",
            "admin 'or'",
            "admin 'xor'",
            "x'=0 and created>current_date-interval id day-- ",
            "x'=0 or 5 member of(tags)#",
            "x'=0 union select 1 from users natural left outer join b where '1'='1",
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
            "failed to open file '/tmp/x': no such file",
            "the word 'and'",
            "oak desk\"> p=\"l\"> <a big red chair",
        ] {
            assert!(injection(text.as_bytes()).is_none(), "{text}");
        }
    }
}
