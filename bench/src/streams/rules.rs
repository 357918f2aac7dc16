//! Rules of the Suricata language, in the mix of kinds that feeds have. None of them matches the traffic of the benchmark: what
//! is measured is looking, not finding.

use secuxflow::rules::shapes::Random;

/// Seed of the rules: the n-th rule of any number of rules is always the same.
const SEED: u64 = 0x1b5_0001;

const SYLLABLES: [&str; 16] =
    ["ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va"];
/// How paths begin, some as those of the traffic do.
const FOLDERS: [&str; 8] = ["/wp-content/", "/shop/", "/cgi-bin/", "/admin/", "/api/v1/", "/", "/images/", "/upload/"];
const EXTENSIONS: [&str; 6] = [".php", ".asp", ".cgi", ".exe", ".zip", ".jsp"];
const PORTS: [&str; 8] = ["any", "any", "$HTTP_PORTS", "445", "[21,25,110,143]", "1024:", "3306", "!80"];

/// `count` rules, one a line.
///
/// Of 100 rules: 30 on URIs (every third with a `pcre`), 15 on other headers of requests, 8 on bodies of requests, 7 on bodies
/// of responses, 25 on streams of TCP (one `content`, or several that stand in some distance), 5 on server names of TLS, 5
/// on names that DNS is asked for, 3 on UDP, 2 on packets of a size.
pub(super) fn rules(count: usize) -> String {
    let mut random = Random(SEED);
    (1..=count).map(|sid| rule(&mut random, sid)).collect()
}

/// A word of eight letters and more that no text of the traffic has; the number makes it unlike every other.
fn word(random: &mut Random, sid: usize) -> String {
    let syllables: String = (0..4 + random.below(4)).map(|_| random.pick(&SYLLABLES)).collect();
    format!("{syllables}{sid:x}")
}

fn rule(random: &mut Random, sid: usize) -> String {
    let (name, second) = (word(random, sid), word(random, sid));
    let http = |flow: &str| format!("alert http any any -> any any (msg:\"rule {sid}\"; flow:established,{flow};");
    let body = match sid % 100 {
        0..30 => {
            let (folder, extension) = (random.pick(&FOLDERS), random.pick(&EXTENSIONS));
            let pcre = if sid.is_multiple_of(3) {
                format!(" pcre:\"/{name}[a-z0-9]{{1,16}}\\{extension}\\?id=[0-9]+/U\";")
            } else {
                format!(" content:\"{extension}?id=\"; distance:0;")
            };
            format!("{} http.uri; content:\"{folder}{name}\"; fast_pattern;{pcre}", http("to_server"))
        }
        30..38 => format!("{} http.user_agent; content:\"Mozilla/{name}\"; nocase;", http("to_server")),
        38..42 => format!("{} http.host; content:\"{name}.example.net\"; endswith;", http("to_server")),
        42..45 => format!("{} http.cookie; content:\"session={name}\";", http("to_server")),
        45..53 => format!("{} http.request_body; content:\"name={name}\"; content:\"&cmd=\";", http("to_server")),
        53..60 => format!("{} file.data; content:\"<script>{name}(\"; nocase; content:\"eval\";", http("to_client")),
        60..85 => {
            let (flow, port) = (random.pick(&["to_server", "to_client"]), random.pick(&PORTS));
            let ports =
                if flow == "to_server" { format!("any any -> any {port}") } else { format!("any {port} -> any any") };
            let more = match sid % 3 {
                0 => String::new(),
                1 => format!(" content:\"|00 ff|{second}\"; distance:4; within:64;"),
                _ => format!(" pcre:\"/{name}\\s+[A-Za-z]{{4,32}}\\x3a/\";"),
            };
            format!(
                "alert tcp {ports} (msg:\"rule {sid}\"; flow:established,{flow}; content:\"{name}\"; fast_pattern;{more}"
            )
        }
        85..90 => format!(
            "alert tls any any -> any any (msg:\"rule {sid}\"; flow:established,to_server; tls.sni; content:\"{name}.example\"; \
             endswith;"
        ),
        90..95 => format!(
            "alert dns any any -> any any (msg:\"rule {sid}\"; dns.query; content:\"{name}.example.org\"; nocase;"
        ),
        95..98 => format!("alert udp any any -> any any (msg:\"rule {sid}\"; content:\"{name}\"; depth:64;"),
        _ => format!(
            "alert tcp any any -> any 445 (msg:\"rule {sid}\"; flow:established,to_server; dsize:>64; content:\"|ff|{name}\"; \
             offset:4; depth:32;"
        ),
    };
    format!("{body} classtype:trojan-activity; sid:{sid}; rev:1;)\n")
}

#[cfg(test)]
mod tests {
    use ips::{config::Config, engine::Engine};

    use super::*;

    #[test]
    fn all_rules_run() {
        let rules = rules(1000);
        let engine = Engine::new(&Config { rules, strict: true, ..Config::default() }).unwrap();
        assert_eq!((engine.report().loaded, engine.report().rejected.len()), (1000, 0));
    }
}
