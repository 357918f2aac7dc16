//! Checks of a request's form: code, not patterns.

mod head;
mod rules;
mod values;

pub(crate) use head::check_head;
pub(crate) use rules::*;
pub(crate) use values::{check_encoding, check_escapes, check_file_name, check_value};

const CHARSETS: [&[u8]; 6] = [b"utf-8", b"utf8", b"iso-8859-1", b"iso-8859-15", b"windows-1252", b"us-ascii"];

pub(crate) fn charset_allowed(charset: &[u8]) -> bool {
    CHARSETS.iter().any(|known| charset.trim_ascii().eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_there_twice() {
        for (at, rule) in ALL.iter().enumerate() {
            assert!(ALL[..at].iter().all(|other| other.id != rule.id), "{}", rule.id);
        }
    }

    #[test]
    fn charsets_are_those_whose_letters_are_read() {
        for charset in ["utf-8", "UTF-8", " iso-8859-1 ", "us-ascii"] {
            assert!(charset_allowed(charset.as_bytes()), "{charset}");
        }
        for charset in ["utf-7", "utf-16", "", "shift_jis"] {
            assert!(!charset_allowed(charset.as_bytes()), "{charset}");
        }
    }
}
