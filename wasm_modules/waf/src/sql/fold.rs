//! Tokens of a text, folded into its fingerprint.

use alloc::vec::Vec;

use super::{
    functions::FUNCTIONS,
    tokens::{next, string_end},
};

/// Most tokens that are read.
const TOKENS: usize = 40;

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    letter: u8,
    text: &'a [u8],
}

/// Tokens, folded. With `inside`, the text begins inside of a string of that quote.
pub(super) fn fingerprint(text: &[u8], inside: Option<u8>) -> Vec<u8> {
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
        b'(' if before == b'n' && tokens.last().is_some_and(|name| FUNCTIONS.contains(name.text)) => {
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
