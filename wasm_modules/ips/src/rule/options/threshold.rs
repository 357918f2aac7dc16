//! `threshold` and `detection_filter`.

use crate::rule::{
    error::{OptionResult, invalid, unsupported},
    number::number_up_to,
};

/// How alerts are thinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The first `count` in `seconds`.
    Limit,
    /// Every `count`th in `seconds`.
    Threshold,
    /// The `count`th in `seconds`, once.
    Both,
    /// All after the `count`th in `seconds`; what comes before is no match.
    DetectionFilter,
}

/// Over what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// Source address.
    Source,
    /// Destination address.
    Destination,
    /// Both addresses.
    Both,
    /// The rule alone.
    Rule,
    /// The flow.
    Flow,
}

/// The option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// How.
    pub mode: Mode,
    /// Over what.
    pub by: By,
    /// How many.
    pub count: u32,
    /// Window in seconds.
    pub seconds: u32,
}

/// Parse `type limit, track by_src, count 1, seconds 60`; `filter` for `detection_filter`, which has no type.
pub fn parse(text: &str, filter: bool) -> OptionResult<Threshold> {
    let mut mode = filter.then_some(Mode::DetectionFilter);
    let (mut by, mut count, mut seconds) = (None, None, None);
    for part in text.split(',') {
        let (word, value) = part.trim().split_once(char::is_whitespace).unwrap_or((part.trim(), ""));
        match (word, value.trim()) {
            ("type", "limit") if !filter => mode = Some(Mode::Limit),
            ("type", "threshold") if !filter => mode = Some(Mode::Threshold),
            ("type", "both") if !filter => mode = Some(Mode::Both),
            ("type", "backoff") if !filter => {
                return unsupported!("threshold: type backoff", "threshold of type backoff is not supported");
            }
            ("track", "by_src") => by = Some(By::Source),
            ("track", "by_dst") => by = Some(By::Destination),
            ("track", "by_both") => by = Some(By::Both),
            ("track", "by_rule") => by = Some(By::Rule),
            ("track", "by_flow") => by = Some(By::Flow),
            ("count", value) => count = Some(number_up_to(value, u64::from(u32::MAX))?),
            ("seconds", value) => seconds = Some(number_up_to(value, u64::from(u32::MAX))?),
            ("multiplier", _) => {
                return unsupported!("threshold: multiplier", "`multiplier` belongs to type backoff, not supported");
            }
            (word, value) => return invalid!("unknown `{word} {value}`"),
        }
    }
    let (Some(mode), Some(by), Some(count), Some(seconds)) = (mode, by, count, seconds) else {
        return invalid!("{}track, count and seconds are needed", if filter { "" } else { "type, " });
    };
    if count == 0 || seconds == 0 {
        return invalid!("count and seconds must be above 0");
    }
    Ok(Threshold {
        mode,
        by,
        count: u32::try_from(count).unwrap_or(u32::MAX),
        seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds() {
        let made = parse("type both, track by_dst, count 5,seconds 60", false).unwrap();
        assert_eq!(made, Threshold { mode: Mode::Both, by: By::Destination, count: 5, seconds: 60 });
        assert_eq!(parse("track by_src, count 2, seconds 3", true).unwrap().mode, Mode::DetectionFilter);
        for bad in ["type limit, track by_src, count 1", "type limit, track by_src, count 0, seconds 1", "type x"] {
            assert!(parse(bad, false).is_err(), "{bad}");
        }
    }
}
