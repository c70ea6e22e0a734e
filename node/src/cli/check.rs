//! `bocage-node check`: looks at the configuration and at everything that it names, and says what the node would do. It starts nothing
//! and takes no snapshot.

use std::io::{self, Write};

use bocage_protocol::env::Timestamp;

use super::output::{Failure, print};
use crate::config::{Config, Depth, Origin, Researcher};
use crate::custodian::data::usable;
use crate::custodian::optout::List;

/// Prints what the node would do.
///
/// # Errors
/// All problems at once.
pub fn run(origin: &Origin, now: Timestamp) -> Result<(), Failure> {
    let config = Config::check(origin, Depth::Everything, now).map_err(|problems| {
        let count = problems.0.len();
        let what = if count == 1 { "1 problem".to_owned() } else { format!("{count} problems") };
        Failure::theirs(format!("{what} found\n\n{problems}"))
    })?;
    print(|out| plan(out, &config))
}

fn plan(out: &mut dyn Write, config: &Config) -> io::Result<()> {
    writeln!(out, "{}: no problems\n", config.file)?;
    writeln!(out, "site         {} in network {}", config.site, config.network)?;
    writeln!(out, "coordinator  {} (certificate name {})", config.coordinator.address, config.coordinator.name)?;
    writeln!(out, "state        {}", config.state.0.display())?;
    let policy = config.policy;
    writeln!(out, "policy       no count below {}; a query may take {} s", policy.threshold, policy.query_secs)?;
    if config.datasets.is_empty() {
        writeln!(out, "datasets     none: the node answers no study")?;
    }
    let custodian = config.custodian();
    for dataset in config.datasets.values() {
        let contract = &dataset.contract;
        writeln!(out, "dataset      {}: {} ({})", dataset.name, contract.id(), contract.hash().short())?;
        match usable(&custodian, dataset) {
            Ok(manifest) => super::datasets::report(out, &manifest)?,
            Err(reason) => {
                let reason = reason.lines().next().unwrap_or_default().to_owned();
                writeln!(out, "             a snapshot will be taken when the node starts: {reason}")?;
            }
        }
    }
    if let Some(optouts) = &config.optouts {
        let ids = if optouts.salt_file.is_some() { "hashed ids" } else { "plain ids" };
        let lines = List::read(optouts).map_or(0, |list| list.optouts.len());
        writeln!(out, "opt-outs     {}: {lines} lines with {ids}", optouts.path.display())?;
    }
    if config.trust.is_empty() {
        writeln!(out, "trust        nobody: every study is refused")?;
    }
    config.trust.iter().try_for_each(|researcher| trusted(out, researcher))
}

fn trusted(out: &mut dyn Write, researcher: &Researcher) -> io::Result<()> {
    let mode = match researcher.mode {
        Some(mode) => format!("answers are {}", mode.as_str()),
        None => "no answers: mode is not set".to_owned(),
    };
    let datasets = match &researcher.datasets {
        Some(ids) => ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        None => "all datasets".to_owned(),
    };
    writeln!(out, "trust        {} {}; {datasets}; {mode}", researcher.name, researcher.key)
}
