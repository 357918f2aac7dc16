//! `set create`, `list`, `show`, `add`, `remove`, `import`, `clear` and `delete`.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Subcommand;

use super::{ask::segment, exit::Failure, output::Output, sets_show::SetCreated};
use crate::{
    api::{AddEntries, CreateSet, MAX_FEED_BODY, RemoveEntries, Removed, SetChange, SetEntries, SetImported, Sets},
    client::Client,
    sets::feed::BadLine,
};

/// `secuxflow set`.
#[derive(Debug, Subcommand)]
pub(crate) enum SetCommand {
    /// Create an empty set.
    Create {
        /// Its name: 1 to 32 of a-z, 0-9, _, - and . ; rules call it @NAME.
        name: String,
        /// Drop packets from its addresses before any rule is looked at.
        #[arg(long)]
        blocklist: bool,
        /// Text for people.
        #[arg(long)]
        comment: Option<String>,
    },
    /// List sets, how many entries they have and how many rules use them.
    List,
    /// Show a set's entries and how long they stay.
    Show {
        /// The set.
        name: String,
        /// Most entries to show.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Add addresses and prefixes; of what is there already, the later end counts.
    Add {
        /// The set.
        name: String,
        /// Addresses and prefixes, as in 192.0.2.1 or 2001:db8::/32.
        #[arg(required = true, value_name = "PREFIX")]
        prefixes: Vec<String>,
        /// Let them leave by themselves after this time, as in 90s, 10m, 1h30m or 7d.
        #[arg(long, value_name = "TIME")]
        ttl: Option<String>,
    },
    /// Remove addresses and prefixes: all that are named, or none when one is not there.
    Remove {
        /// The set.
        name: String,
        /// Prefixes as they were added.
        #[arg(required = true, value_name = "PREFIX")]
        prefixes: Vec<String>,
    },
    /// Add a feed's prefixes: one a line, comments behind # or ;.
    Import {
        /// The set; it must exist.
        name: String,
        /// The file; - reads standard input.
        file: PathBuf,
        /// Refuse the whole feed when a line is bad.
        #[arg(long)]
        strict: bool,
        /// Make the set exactly the feed: what is not in it goes.
        #[arg(long)]
        replace: bool,
        /// Let the entries leave by themselves after this time.
        #[arg(long, value_name = "TIME")]
        ttl: Option<String>,
    },
    /// Remove all entries of a set.
    Clear {
        /// The set.
        name: String,
    },
    /// Delete a whole set that no rule uses. Single entries go by `set remove`.
    Delete {
        /// The set.
        name: String,
    },
}

/// Run one of these.
///
/// # Errors
/// The daemon cannot be reached or refuses, a feed cannot be read, or the answer cannot be written.
pub(super) async fn run(client: &Client, command: SetCommand, out: Output) -> Result<(), Failure> {
    let path = |name: &str, rest: &str| format!("/v1/sets/{}{rest}", segment(name));
    match command {
        SetCommand::Create { name, blocklist, comment } => {
            let request = CreateSet { name, blocklist, comment };
            out.answer(&SetCreated(client.post("/v1/sets", &request).await?))
        }
        SetCommand::List => out.answer(&client.get::<Sets>("/v1/sets").await?),
        SetCommand::Show { name, limit } => {
            out.answer(&client.get::<SetEntries>(&path(&name, &format!("?limit={limit}"))).await?)
        }
        SetCommand::Add { name, prefixes, ttl } => {
            let request = AddEntries { prefixes, ttl };
            out.answer(&client.post::<SetChange>(&path(&name, "/entries"), &request).await?)
        }
        SetCommand::Remove { name, prefixes } => {
            let request = RemoveEntries { prefixes };
            out.answer(&client.post::<SetChange>(&path(&name, "/entries/remove"), &request).await?)
        }
        SetCommand::Import { name, file, strict, replace, ttl } => {
            let mut query = format!("/feed?strict={strict}&replace={replace}");
            if let Some(ttl) = ttl {
                query.push_str(&format!("&ttl={}", segment(&ttl)));
            }
            import(client, &path(&name, &query), &file, out).await
        }
        SetCommand::Clear { name } => out.answer(&client.delete::<Removed>(&path(&name, "/entries")).await?),
        SetCommand::Delete { name } => out.answer(&client.delete::<Removed>(&path(&name, "")).await?),
    }
}

async fn import(client: &Client, path: &str, file: &Path, out: Output) -> Result<(), Failure> {
    let (name, text) = read(file)?;
    let done: SetImported = client.post_text(path, text).await?;
    warn(out, &name, "was left out", &done.bad, done.bad_lines);
    warn(out, &name, "was cut", &done.widened, done.widened_lines);
    out.answer(&done)
}

/// Each line that is told, and how many more there are.
fn warn(out: Output, name: &str, what: &str, told: &[BadLine], count: usize) {
    for bad in told {
        out.warn(&format!("{name}: {bad}"));
    }
    let more = count - told.len().min(count);
    if more > 0 {
        out.warn(&format!("{name}: {more} more such lines; each {what}"));
    }
}

/// The bytes of `path`, or of standard input for `-`; with its name for messages.
fn read(path: &Path) -> Result<(String, Vec<u8>), Failure> {
    let stdin = path == Path::new("-");
    let name = if stdin { "standard input".to_owned() } else { path.display().to_string() };
    let most = u64::try_from(MAX_FEED_BODY).unwrap_or(u64::MAX);
    let mut text = Vec::new();
    let mut fill = |from: &mut dyn Read| from.take(most.saturating_add(1)).read_to_end(&mut text);
    let done =
        if stdin { fill(&mut io::stdin().lock()) } else { File::open(path).and_then(|mut file| fill(&mut file)) };
    match done {
        Ok(read) if read > MAX_FEED_BODY => {
            let limit = format!("larger than {} MiB; split the feed", MAX_FEED_BODY >> 20);
            Err(Failure::Feed { name, source: io::Error::new(io::ErrorKind::FileTooLarge, limit) })
        }
        Ok(_) => Ok((name, text)),
        Err(source) => Err(Failure::Feed { name, source }),
    }
}
