//! `bocage-node ledger export`: the ledger as a page for people and as tables for programs. Files appear whole or not at all, for their owner alone.

use std::fs::DirBuilder;
use std::io::{BufWriter, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use bocage_protocol::env::Timestamp;

use super::verify::{compare_all, holds, read_all};
use super::{Failure, open, print};
use crate::config::Config;
use crate::config::environment::read_release_key;
use crate::custodian::ledger::account::Window;
use crate::report::{self, Report, ReportError, Witness};

/// What is to be written where.
#[derive(Debug, Default)]
pub struct What {
    /// The page.
    pub report: Option<PathBuf>,
    /// A folder of tables, or one `.csv` file of the cells that left.
    pub csv: Option<PathBuf>,
    /// Checkpoints that the coordinator remembers, with which the page compares the ledger.
    pub checkpoints: Vec<PathBuf>,
    /// Of which time.
    pub window: Window,
}

/// Writes what is wanted.
///
/// # Errors
/// Where nothing is wanted, the ledger cannot be read, does not hold or is not the one that is remembered, or a file cannot be written.
pub fn export(config: &Config, what: &What, now: Timestamp) -> Result<(), Failure> {
    if what.report.is_none() && what.csv.is_none() {
        return Err(Failure::theirs("nothing to export").hint("--report FILE.html writes a page, --csv DIR tables"));
    }
    if let Window { from: Some(from), until: Some(until) } = what.window
        && until <= from
    {
        return Err(Failure::theirs(format!("the time ends at {until}, before it begins at {from}"))
            .hint("--from is the earlier day, --to the later one"));
    }
    let kept = read_all(&what.checkpoints)?;
    let ledger = open(config)?;
    let verified = ledger.verify()?;
    let compared = compare_all(config, &ledger, &kept);
    let accounts = ledger.accounts(&what.window)?;
    let mut written = Vec::new();
    if let Some(file) = &what.report {
        let (window, made_at) = (what.window, now);
        let witness = match &compared {
            Ok(_) if kept.is_empty() => Witness::NotAsked,
            Ok(said) => Witness::Fits(said.clone()),
            Err((differs, _)) => Witness::Differs(differs.clone()),
        };
        let (verified, accounts) = (&verified, &accounts);
        // Whoever may read the ledger need not be allowed to read the key: then the page says that seals were not checked.
        let key = read_release_key(&config.release_key_file).ok();
        let release_key = key.as_ref();
        let report = Report { config, ledger: &ledger, accounts, verified, witness, release_key, window, made_at };
        write(file, |out| report.write(out))?;
        written.push(file.clone());
    }
    if let Some(place) = &what.csv {
        let cells = |out: &mut dyn Write| report::cells(config, &ledger, &accounts, &what.window, out);
        if place.extension().is_some_and(|extension| extension == "csv") {
            write(place, cells)?;
            written.push(place.clone());
        } else {
            DirBuilder::new().recursive(true).mode(0o700).create(place).map_err(|e| cannot(place, &e))?;
            let [cells_file, studies, records] =
                ["cells.csv", "studies.csv", "records.csv"].map(|name| place.join(name));
            write(&cells_file, cells)?;
            write(&studies, |out| Ok(report::studies(&accounts.studies, out)?))?;
            write(&records, |out| report::records(&ledger, &what.window, out))?;
            written.extend([cells_file, studies, records]);
        }
    }
    print(|out| written.iter().try_for_each(|file| writeln!(out, "{}", file.display())))?;
    // The files are there and say so themselves where they can; whoever reads only the exit code is told too.
    holds(&ledger)?;
    compared.map(|_| ()).map_err(|(message, hint)| Failure::theirs(message).hint(hint))
}

/// Writes beside the file and renames: a report that was cut off must not pass for one.
fn write(file: &Path, content: impl FnOnce(&mut dyn Write) -> Result<(), ReportError>) -> Result<(), Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Failure::theirs(format!(
            "cannot write {}: there is no folder {}",
            file.display(),
            folder.display()
        ))
        .hint("make the folder first, or name another place"));
    }
    let beside = tempfile::NamedTempFile::new_in(folder).map_err(|e| cannot(file, &e))?;
    let mut out = BufWriter::new(beside);
    content(&mut out).map_err(|error| match error {
        ReportError::Ledger(error) => error.into(),
        ReportError::Write(error) => cannot(file, &error),
    })?;
    let beside = out.into_inner().map_err(|e| cannot(file, e.error()))?;
    beside.persist(file).map_err(|e| cannot(file, &e.error))?;
    Ok(())
}

fn cannot(file: &Path, error: &std::io::Error) -> Failure {
    Failure::theirs(format!("cannot write {}: {}", file.display(), error.kind()))
        .hint("name a place that you can write to and that has room")
}
