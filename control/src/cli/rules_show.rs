//! Rules as they are shown.

use super::{
    output::Show,
    table::{remaining, table},
};
use crate::api::{Removed, RuleAdded, Rules};

impl Show for Rules {
    fn show(&self) -> String {
        let rows = self.rules.iter().map(|info| {
            let rule = &info.rule;
            let mut action = rule.action.clone().unwrap_or_default();
            if let Some(chain) = &rule.chain {
                action = format!("{action} {chain}");
            }
            for (holds, word) in [(rule.monitor, " (monitored)"), (!rule.enabled, " (disabled)")] {
                if holds {
                    action.push_str(word);
                }
            }
            let mut proto = or_any(rule.proto.as_ref());
            if let Some(flags) = &rule.tcp_flags {
                proto = format!("{proto} {flags}");
            }
            [
                info.id.to_string(),
                rule.priority.unwrap_or_default().to_string(),
                or_any(rule.src.as_ref()),
                or_any(rule.sport.as_ref()),
                or_any(rule.dst.as_ref()),
                or_any(rule.port.as_ref()),
                proto,
                or_any(rule.vlan.as_ref()),
                action,
                info.expires_in_seconds.map_or_else(|| "-".to_owned(), remaining),
                info.count.packets.to_string(),
                info.count.bytes.to_string(),
                rule.comment.as_deref().unwrap_or_default().replace(char::is_control, "."),
            ]
        });
        let head = [
            "ID",
            "PRIO",
            "SRC",
            "SPORT",
            "DST",
            "PORT",
            "PROTO",
            "VLAN",
            "ACTION",
            "EXPIRES IN",
            "PACKETS",
            "BYTES",
            "COMMENT",
        ];
        table(head, rows, &["PRIO", "PACKETS", "BYTES"])
    }
}

fn or_any(text: Option<&String>) -> String {
    text.map_or_else(|| "any".to_owned(), Clone::clone)
}

impl Show for RuleAdded {
    fn show(&self) -> String {
        format!("{}\n", self.id)
    }
}

impl Show for Removed {
    fn show(&self) -> String {
        format!("{} removed\n", self.removed)
    }
}

#[cfg(test)]
mod tests {
    use secuxflow::{plane::Count, rules::RuleSpec};

    use super::*;
    use crate::{api::RuleInfo, cli::table::cells};

    #[test]
    fn rules_show_what_they_match_and_counted() {
        let rule = RuleSpec {
            src: Some("192.168.1.0/24".into()),
            port: Some("80".into()),
            action: Some("inspect".into()),
            chain: Some("waf".into()),
            ..RuleSpec::default()
        };
        let count = Count { packets: 3, bytes: 180 };
        let info = RuleInfo { id: secuxflow::rules::RuleId(1), rule, expires_in_seconds: None, count };
        let watched = RuleSpec {
            proto: Some("tcp".into()),
            tcp_flags: Some("syn,!ack".into()),
            vlan: Some("none".into()),
            action: Some("drop".into()),
            enabled: true,
            monitor: true,
            ..RuleSpec::default()
        };
        let watched = RuleInfo { rule: watched, expires_in_seconds: Some(598), ..info.clone() };
        let text = Rules { revision: 1, rules: vec![info, watched] }.show();
        let cells = cells(&text);
        assert_eq!(cells[0][..4], ["ID", "PRIO", "SRC", "SPORT"]);
        let row = ["rule-1", "0", "192.168.1.0/24", "any", "any", "80", "any", "any", "inspect waf (disabled)", "-"];
        assert_eq!(cells[1][..11], [&row[..], &["3"]].concat(), "{text}");
        assert_eq!(cells[2][6..10], ["tcp syn,!ack", "none", "drop (monitored)", "9m 58s"], "{text}");
    }
}
