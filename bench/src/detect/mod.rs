//! How much of what it should find a module finds, and how much it finds that is none: on corpora of other projects, which
//! are only read, never part of this one.

mod suricata;

use std::{io::stdout, path::PathBuf};

use anyhow::Result;
use serde_json::json;

use crate::bars::Bar;

/// Flags of `detect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder with the corpora.
    #[arg(long, value_name = "DIR")]
    corpora: PathBuf,
    /// Folder with the built modules.
    #[arg(long, value_name = "DIR", default_value = "target/wasm")]
    modules: PathBuf,
    /// Only directories of suricata-verify whose name contains this.
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Name every case that was missed or wrong.
    #[arg(long)]
    details: bool,
    /// Print JSON instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// Exit with 3 when an aim is missed.
    #[arg(long)]
    pub(crate) check: bool,
}

/// Score the modules; the answer is how the results stand to the aims.
///
/// # Errors
/// No corpus is there, one cannot be read, or a module is missing.
pub(crate) fn run(options: &Options) -> Result<Vec<Bar>> {
    let folder = options.corpora.join("suricata-verify/tests");
    anyhow::ensure!(folder.is_dir(), "{} is not there", folder.display());
    let report = suricata::run(&folder, &options.modules.join("ips.wasm"), options.only.as_deref())?;
    let share = report.share().map(|share| {
        Bar::least("suricata-verify, exact of claimed", share * 100.0, suricata::LEAST_EXACT * 100.0, "%")
    });
    let bars: Vec<Bar> = share.into_iter().collect();
    if options.json {
        println!("{}", json!({"suricata_verify": report.json(), "aims": bars}));
    } else {
        report.write(&mut stdout().lock(), options.details)?;
    }
    Ok(bars)
}
