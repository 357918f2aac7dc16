//! `secuxflow-bench detect`: what is measured, and how it is told.

use std::{io::stdout, path::PathBuf};

use anyhow::Result;
use serde_json::json;

use super::{score_waf, suricata};
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
    /// Paranoia level of the module waf.
    #[arg(long, value_name = "LEVEL", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=4))]
    level: u8,
    /// Nothing but directories of suricata-verify whose name contains this.
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
    let there = |path: &str| options.corpora.join(path).is_dir();
    let suricata = there("suricata-verify/tests").then_some("suricata-verify/tests");
    let requests = options.only.is_none() && (there("coreruleset") || there("libinjection"));
    anyhow::ensure!(requests || suricata.is_some(), "{}: no corpus is there", options.corpora.display());
    let (mut answer, mut bars) = (json!({}), Vec::new());
    if requests {
        let report = score_waf(&options.corpora, options.level)?;
        answer["waf"] = report.json();
        bars.extend(report.bars());
        if !options.json {
            report.write(&mut stdout().lock(), options.details)?;
        }
    }
    if let Some(tests) = suricata {
        let module = options.modules.join("ips.wasm");
        let report = suricata::run(&options.corpora.join(tests), &module, options.only.as_deref())?;
        answer["suricata_verify"] = report.json();
        bars.extend(report.bar());
        if !options.json {
            report.write(&mut stdout().lock(), options.details)?;
        }
    }
    if options.json {
        answer["aims"] = json!(bars);
        println!("{answer}");
    }
    Ok(bars)
}
