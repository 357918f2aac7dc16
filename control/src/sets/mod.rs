//! Prefix sets: feeds, entries with an end, and the files that they survive a restart in.

pub(crate) mod feed;
mod file;
mod set;

use ipnet::IpNet;

pub(crate) use file::{SetFileError, delete, directory, load, save};
pub(crate) use set::{Delta, End, Set, SetError, Sets};

/// Longest comment in bytes.
const MAX_COMMENT: usize = 256;

/// Whether a set may have this comment.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_comment(comment: &str) -> Result<(), String> {
    if comment.len() > MAX_COMMENT {
        return Err(format!("comment: {} bytes; at most {MAX_COMMENT} fit", comment.len()));
    }
    Ok(())
}

/// Prefixes that a person named, ascending, each once. Unlike in a feed, host bits are a mistake.
///
/// # Errors
/// The first that is wrong.
pub(crate) fn named(texts: &[String]) -> Result<Vec<IpNet>, String> {
    let one = |text: &String| match feed::prefix(text) {
        Ok((net, false)) => Ok(net),
        Ok((net, true)) => Err(format!("'{text}': bits are set behind the prefix; did you mean {net}?")),
        Err(reason) => Err(format!("'{text}': {reason}")),
    };
    let mut nets = texts.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    nets.sort_unstable();
    nets.dedup();
    Ok(nets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_prefix_with_host_bits_is_a_mistake() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert!(named(&texts(&["10.0.0.1/8"])).unwrap_err().contains("did you mean 10.0.0.0/8?"));
        assert!(named(&texts(&["10.0.0.0/8", "x"])).unwrap_err().contains("'x': an address"));
        assert_eq!(named(&texts(&["10.0.0.1", "10.0.0.1/32"])).unwrap().len(), 1);
    }
}
