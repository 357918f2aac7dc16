//! What clients and servers say: requests with the headers that browsers send, their answers, uploads, and bytes in bulk.
//! The same in every run.

use anyhow::{Context, Result};
use secuxflow::rules::shapes::Random;

/// Different small requests.
const COUNT: usize = 64;
/// Bytes of a file in an upload.
const FILE: usize = 1_000_000;
const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW8";

const WORDS: [&str; 32] = [
    "order", "garden", "winter", "music", "travel", "paper", "yellow", "river", "kitchen", "window", "history",
    "small", "morning", "letter", "market", "station", "summer", "bicycle", "doctor", "evening", "forest", "harbour",
    "island", "journey", "lantern", "mountain", "number", "orange", "picture", "quiet", "railway", "street",
];

/// Words with blanks between them, `len` bytes.
fn text(random: &mut Random, len: usize) -> String {
    let mut text = String::with_capacity(len + 16);
    while text.len() < len {
        text.push_str(random.pick(&WORDS));
        text.push(if random.below(12) == 0 { '\n' } else { ' ' });
    }
    text.truncate(len);
    text
}

/// Small requests, some 600 bytes each: three of four are GET, the others forms.
pub(super) fn small() -> Vec<Vec<u8>> {
    let mut random = Random(0x0005_7ea3_0001);
    (0..COUNT).map(|number| request(&mut random, number)).collect()
}

fn request(random: &mut Random, number: usize) -> Vec<u8> {
    let (word, other) = (random.pick(&WORDS), random.pick(&WORDS));
    let session = format!("{:016x}{:016x}", random.next(), random.next());
    let form = number % 4 == 3;
    let body = if form {
        format!("name={word}&comment={}&page={number}", text(random, 80).replace([' ', '\n'], "+"))
    } else {
        String::new()
    };
    let first = if form {
        format!("POST /shop/{word}/comment HTTP/1.1")
    } else {
        format!("GET /shop/{word}/{number}.html?q={other}+{word}&page={}&sort=price HTTP/1.1", random.below(20))
    };
    let mut head = format!(
        "{first}\r\n\
         Host: www.example.com\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
         Accept-Language: en-US,en;q=0.5\r\n\
         Accept-Encoding: gzip, deflate, br\r\n\
         Connection: keep-alive\r\n\
         Referer: http://www.example.com/shop/{other}/\r\n\
         Cookie: session={session}; theme=light; seen={other}-{number}\r\n\
         Upgrade-Insecure-Requests: 1\r\n"
    );
    if form {
        let length = body.len();
        head.push_str(&format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n"));
    }
    format!("{head}\r\n{body}").into_bytes()
}

/// A form with a file of text.
pub(super) fn upload() -> Vec<u8> {
    form(FILE)
}

/// A form with a file of `len` bytes of text.
pub(super) fn form(len: usize) -> Vec<u8> {
    let file = text(&mut Random(0x0005_7ea3_0002), len);
    let body = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nmorning letter\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"letter.txt\"\r\n\
         Content-Type: text/plain\r\n\r\n{file}\r\n--{BOUNDARY}--\r\n"
    );
    format!(
        "POST /shop/letters HTTP/1.1\r\nHost: www.example.com\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
         Accept: */*\r\nConnection: keep-alive\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// An answer with `len` bytes of text.
pub(super) fn response(len: usize) -> Vec<u8> {
    let body = text(&mut Random(0x0005_7ea3_0003), len);
    format!(
        "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: no-cache\r\n\
         Content-Length: {len}\r\nConnection: keep-alive\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Bytes in bulk: text and noise in turns of a kilobyte.
pub(super) fn block(len: usize) -> Vec<u8> {
    let mut random = Random(0x0005_7ea3_0004);
    let mut block = Vec::with_capacity(len + 1024);
    while block.len() < len {
        block.extend(text(&mut random, 1024).into_bytes());
        block.extend((0..1024).map(|_| random.byte()));
    }
    block.truncate(len);
    block
}

/// Length of the request that `bytes` begins with, once its head is there.
pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..head]).context("a head that is no text")?;
    let length = text.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let body: usize = length.map_or(Ok(0), str::parse).context("Content-Length")?;
    Ok(Some(head + 4 + body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_whole_and_about_as_long_as_a_browsers() {
        for request in small() {
            assert_eq!(length(&request).unwrap(), Some(request.len()));
            assert!((500..800).contains(&request.len()), "{}", request.len());
        }
        let upload = upload();
        assert_eq!(length(&upload).unwrap(), Some(upload.len()));
        assert_eq!(length(&upload[..100]).unwrap(), None);
        assert_eq!(block(10_000).len(), 10_000);
    }
}
