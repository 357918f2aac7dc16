//! URIs of requests: what is shown of them, and the host in them.

use alloc::vec::Vec;

/// `path?query`, both decoded, the path's dots and double slashes resolved.
pub fn normalise(raw: &[u8]) -> Vec<u8> {
    let (_, target) = split_authority(raw);
    let end = target.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(target.len());
    let mut path = decode_path(&target[..end]);
    remove_dots(&mut path);
    path.extend(percent(&target[end..]));
    path
}

/// The authority of an absolute URI, and what follows it.
pub fn split_authority(raw: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let scheme =
        raw.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')).count();
    if scheme == 0 || !raw[scheme..].starts_with(b"://") {
        return (None, raw);
    }
    let rest = &raw[scheme + 3..];
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\')).unwrap_or(rest.len());
    let authority = &rest[..end];
    let host = authority.iter().rposition(|byte| *byte == b'@').map_or(authority, |at| &authority[at + 1..]);
    (Some(host), &rest[end..])
}

/// The host's name of `host:port`, in lower case.
pub fn host_name(host: &[u8]) -> Vec<u8> {
    let name = match host.first() {
        Some(b'[') => host.iter().position(|byte| *byte == b']').map_or(host, |at| &host[..=at]),
        _ => host.iter().position(|byte| *byte == b':').map_or(host, |at| &host[..at]),
    };
    let mut name = name.to_ascii_lowercase();
    while name.last() == Some(&b'.') {
        name.pop();
    }
    name
}

fn hex(byte: Option<&u8>) -> Option<u8> {
    let digit = (*byte? as char).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// Percent decoding; what is no pair of digits stays.
fn percent(text: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut at = 0;
    core::iter::from_fn(move || {
        let byte = *text.get(at)?;
        at += 1;
        if byte == b'%'
            && let (Some(high), Some(low)) = (hex(text.get(at)), hex(text.get(at + 1)))
        {
            at += 2;
            return Some(high * 16 + low);
        }
        Some(byte)
    })
}

/// Percent decoding, backslashes to slashes, runs of slashes to one.
fn decode_path(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for decoded in percent(path) {
        let byte = if decoded == b'\\' { b'/' } else { decoded };
        if !(byte == b'/' && out.last() == Some(&b'/')) {
            out.push(byte);
        }
    }
    out
}

/// `/a/./b/../c` to `/a/c`.
fn remove_dots(path: &mut Vec<u8>) {
    if !path.windows(2).any(|pair| pair == b"/.") && !path.starts_with(b".") {
        return;
    }
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    let mut rest = &path[..];
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(b"../").or_else(|| rest.strip_prefix(b"./")) {
            rest = after;
        } else if rest.starts_with(b"/./") {
            rest = &rest[2..];
        } else if rest == b"/." {
            rest = b"/";
        } else if rest.starts_with(b"/../") || rest == b"/.." {
            rest = if rest.len() == 3 { b"/" } else { &rest[3..] };
            let cut = out.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            out.truncate(cut);
        } else if rest == b"." || rest == b".." {
            rest = b"";
        } else {
            let skip = usize::from(rest[0] == b'/');
            let end = rest[skip..].iter().position(|byte| *byte == b'/').map_or(rest.len(), |at| at + skip);
            out.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
        }
    }
    *path = out;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_forms() {
        for (raw, normal) in [
            ("/a/b/../c/./d", "/a/c/d"),
            ("/a%2fb//c\\d?x=%41#f", "/a/b/c/d?x=A#f"),
            ("http://Host:80/x/%2e%2e/y", "/y"),
            ("/../../etc", "/etc"),
            ("/a/..", "/"),
            ("*", "*"),
            ("/%zz%4", "/%zz%4"),
            ("http://h", ""),
        ] {
            assert_eq!(normalise(raw.as_bytes()), normal.as_bytes(), "{raw}");
        }
        assert_eq!(split_authority(b"http://u@h:1/p"), (Some(&b"h:1"[..]), &b"/p"[..]));
        assert_eq!(host_name(b"WWW.x.ORG.:8080"), b"www.x.org");
        assert_eq!(host_name(b"[::1]:80"), b"[::1]");
    }
}
