//! Scripts in HTML: a value is read as a browser reads it, and what would run there is reported.

/// What would run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An element that runs or loads something.
    Element,
    /// An attribute that is an event's handler.
    Handler,
    /// A URL or a style that runs.
    Url,
    /// A declaration or comment that browsers take for markup of their own.
    Markup,
}

/// Elements that no text of a user needs.
const ELEMENTS: &[&[u8]] = &[
    b"animate",
    b"animatemotion",
    b"animatetransform",
    b"applet",
    b"audio",
    b"base",
    b"bgsound",
    b"blink",
    b"body",
    b"comment",
    b"embed",
    b"foreignobject",
    b"form",
    b"frame",
    b"frameset",
    b"handler",
    b"head",
    b"html",
    b"iframe",
    b"ilayer",
    b"image",
    b"import",
    b"isindex",
    b"keygen",
    b"layer",
    b"link",
    b"listener",
    b"marquee",
    b"math",
    b"meta",
    b"noembed",
    b"noframes",
    b"noscript",
    b"object",
    b"param",
    b"plaintext",
    b"portal",
    b"script",
    b"set",
    b"style",
    b"svg",
    b"template",
    b"textarea",
    b"title",
    b"video",
    b"vmlframe",
    b"xml",
    b"xmp",
    b"xss",
];
/// Attributes whose value is a URL that may run.
const URLS: &[&[u8]] = &[
    b"action",
    b"background",
    b"by",
    b"code",
    b"codebase",
    b"data",
    b"dynsrc",
    b"folder",
    b"formaction",
    b"from",
    b"href",
    b"lowsrc",
    b"poster",
    b"src",
    b"srcset",
    b"to",
    b"values",
    b"xlink:href",
];

/// The first thing in `text`, which is in small letters, that a browser would run.
pub(crate) fn script(text: &[u8]) -> Option<(Kind, &[u8])> {
    let mut at = 0;
    while let Some(open) = text[at..].iter().position(|byte| *byte == b'<') {
        let start = at + open;
        let in_word = start > 0 && text[start - 1].is_ascii_alphanumeric();
        if let Some(kind) = tag(&text[start + 1..])
            && !(in_word && type_parameter(&text[start + 1..]))
        {
            return Some((kind, &text[start..]));
        }
        at = start + 1;
    }
    None
}

/// Whether it is one name and `>`, as behind the name of a generic type, and no element whose content runs.
fn type_parameter(rest: &[u8]) -> bool {
    let name = &rest[..rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count()];
    let runs: [&[u8]; 6] = [b"script", b"style", b"svg", b"math", b"iframe", b"noscript"];
    rest.get(name.len()) == Some(&b'>') && !runs.contains(&name)
}

fn space(byte: u8) -> bool {
    byte <= b' ' || byte == b'/'
}

/// What runs in the tag whose text follows `<`.
fn tag(rest: &[u8]) -> Option<Kind> {
    match rest {
        [b'!', b'-', b'-', more @ ..] => {
            return (more.starts_with(b"[if") || more.starts_with(b"#") || more.starts_with(b">"))
                .then_some(Kind::Markup);
        }
        [b'!', more @ ..] => {
            let declared: [&[u8]; 4] = [b"doctype", b"entity", b"attlist", b"element"];
            let runs = declared.iter().any(|name| more.starts_with(name)) || more.starts_with(b"[cdata[<");
            return runs.then_some(Kind::Markup);
        }
        [b'?', b'i', b'm', b'p', ..] => return Some(Kind::Markup),
        [b'%', ..] => return None,
        _ => {}
    }
    let closing = rest.first() == Some(&b'/');
    let rest = &rest[usize::from(closing)..];
    if !rest.first().is_some_and(u8::is_ascii_alphabetic) {
        return None;
    }
    let length = rest
        .iter()
        .take_while(|byte| {
            !space(**byte) && !matches!(**byte, b'>' | b'<' | b'=' | b'"' | b'\'' | b'(' | b')' | b',' | b'+')
        })
        .count();
    let full = &rest[..length];
    let name = full.rsplit(|byte| *byte == b':').next().unwrap_or_default();
    let known = ELEMENTS.contains(&name) || full.starts_with(b"xsl") || full.starts_with(b"svg");
    let next = rest.get(length).copied();
    // `a<b`, `<html@example.com>`: no tag unless it is one to its end, or has attributes.
    let ends = next.is_none_or(|byte| space(byte) || matches!(byte, b'>' | b'<'));
    if known
        && ends
        && (next.is_some() || matches!(name, b"script" | b"iframe" | b"svg"))
        && !(closing && name != b"script")
    {
        return Some(Kind::Element);
    }
    if closing { None } else { attributes(&rest[length..]) }
}

/// What runs among the attributes of a tag.
fn attributes(mut rest: &[u8]) -> Option<Kind> {
    loop {
        let skip = rest.iter().take_while(|byte| space(**byte) || matches!(**byte, b'"' | b'\'' | b'`')).count();
        rest = &rest[skip..];
        if matches!(rest.first(), None | Some(b'>')) {
            return None;
        }
        let length = rest.iter().take_while(|byte| !space(**byte) && !matches!(**byte, b'=' | b'>')).count();
        let name = &rest[..length];
        rest = &rest[length..];
        let skip = rest.iter().take_while(|byte| **byte <= b' ').count();
        let mut value = &b""[..];
        let assigned = rest.get(skip) == Some(&b'=');
        if assigned {
            rest = &rest[skip + 1..];
            let skip = rest.iter().take_while(|byte| **byte <= b' ').count();
            rest = &rest[skip..];
            let end = match rest.first() {
                Some(quote @ (b'"' | b'\'' | b'`')) => {
                    rest = &rest[1..];
                    rest.iter().position(|byte| byte == quote).unwrap_or(rest.len())
                }
                _ => rest.iter().position(|byte| *byte <= b' ' || *byte == b'>').unwrap_or(rest.len()),
            };
            value = &rest[..end];
            rest = &rest[end..];
        } else if length == 0 {
            rest = &rest[1..];
        }
        if let Some(kind) = attribute(name, value, assigned) {
            return Some(kind);
        }
    }
}

fn attribute(name: &[u8], value: &[u8], assigned: bool) -> Option<Kind> {
    let name = name
        .rsplit(|byte| !byte.is_ascii_alphanumeric() && !matches!(*byte, b':' | b'-' | b'_'))
        .next()
        .unwrap_or_default();
    let handler = name.len() > 4 && name.starts_with(b"on") && name[2..].iter().all(u8::is_ascii_alphanumeric);
    if handler && assigned {
        return Some(Kind::Handler);
    }
    let local = name.rsplit(|byte| *byte == b':').next().unwrap_or_default();
    if (URLS.contains(&name) || URLS.contains(&local)) && runs(value)
        || matches!(name, b"srcdoc" | b"datasrc" | b"dataformatas" | b"datafld")
        || name == b"xmlns" && !value.is_empty() && !value.starts_with(b"http")
    {
        return Some(Kind::Url);
    }
    let styled: [&[u8]; 8] = [
        b"expression",
        b"javascript",
        b"behavior",
        b"-moz-binding",
        b"binding:",
        b"@import",
        b"vbscript",
        b"content:url(",
    ];
    if name == b"style" && contains_any(&compact(value), &styled) {
        return Some(Kind::Url);
    }
    None
}

fn contains_any(text: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|word| text.windows(word.len()).any(|window| window == *word))
}

/// Without what browsers skip in URLs and styles.
fn compact(value: &[u8]) -> alloc::vec::Vec<u8> {
    let mut out = alloc::vec::Vec::with_capacity(value.len());
    let mut at = 0;
    while at < value.len() {
        if value[at..].starts_with(b"/*") {
            let end = value[at + 2..].windows(2).position(|pair| pair == b"*/");
            at = end.map_or(value.len(), |end| at + end + 4);
        } else {
            // \6a, as CSS escapes letters.
            let digits = value[at + 1..].iter().take(6).take_while(|byte| byte.is_ascii_hexdigit()).count();
            if value[at] == b'\\' && digits > 1 {
                let code = value[at + 1..=at + digits]
                    .iter()
                    .fold(0, |code, byte| code << 4 | u32::from(crate::normalise::hex(*byte).unwrap_or(0)));
                out.push(u8::try_from(code).unwrap_or(b'?').to_ascii_lowercase());
                at += digits + 1;
                continue;
            }
            if value[at] > b' ' && value[at] != b'\\' {
                out.push(value[at]);
            }
            at += 1;
        }
    }
    out
}

/// Whether a URL runs something.
fn runs(url: &[u8]) -> bool {
    let url: alloc::vec::Vec<u8> = url.iter().copied().filter(|byte| *byte > b' ').take(200).collect();
    let schemes: [&[u8]; 6] = [b"javascript:", b"vbscript:", b"livescript:", b"mocha:", b"jar:", b"view-source:"];
    schemes.iter().any(|scheme| url.starts_with(scheme))
        || url.starts_with(b"data:")
            && !url.starts_with(b"data:image/png")
            && !url.starts_with(b"data:image/jp")
            && !url.starts_with(b"data:image/gif")
            && !url.starts_with(b"data:image/webp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_and_what_does_not() {
        for (text, kind) in [
            ("<script>alert(1)</script>", Kind::Element),
            ("<img src=x onerror=alert(1)>", Kind::Handler),
            ("<img/src=x onerror = 'alert(1)'", Kind::Handler),
            ("<a href=\"java\tscript:alert(1)\">", Kind::Url),
            ("<a href='data:text/html,x'>", Kind::Url),
            ("<p style=\"width:expr/**/ession(alert(1))\">", Kind::Url),
            ("x<svg/onload=1", Kind::Element),
            ("<!doctype html", Kind::Markup),
            ("</script>", Kind::Element),
        ] {
            assert_eq!(script(text.as_bytes()).map(|found| found.0), Some(kind), "{text}");
        }
        for text in [
            "a < b and c > d",
            "<b>bold</b> <p class=\"x\">text</p>",
            "<a href=\"https://example.com/?a=b\">link</a>",
            "i <3 you",
            "<img src=\"/a.png\" alt=\"on the road\">",
            "vector<string> v",
            "<joe@example.com>",
            "<!-- note -->",
            "<img src=\"data:image/png;base64,iVBORw0KGgo=\">",
            "<span style=\"color: red\">x</span>",
            "x <= y",
            "<br/>",
        ] {
            assert_eq!(script(text.as_bytes()), None, "{text}");
        }
    }
}
