//! `bocage-node datasets`: the site's datasets, their snapshots, and what the taking of a snapshot found. For the hospital's own eyes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use bocage_net::env::SystemClock;
use bocage_protocol::counted::counted;
use bocage_protocol::env::Clock;
use bocage_protocol::front::dates::duration_text;
use bocage_protocol::ids::Digest;
use bocage_protocol::settings::nearest;
use serde::Serialize;

use super::output::{Failure, Format, print, print_csv, print_json};
use super::{quality, warnings};
use crate::config::environment::read_release_key;
use crate::config::{Config, Dataset};
use crate::custodian::data::usable;
use crate::custodian::ledger::{Ledger, Pin};
use crate::custodian::optout::known;
use crate::custodian::others::looked_into;
use crate::custodian::schedule::{longest_wait_secs, wait_secs};
use crate::custodian::snapshot::{self, Held, Manifest};
use crate::custodian::source::Lines;
use crate::ingest::attempt::{Attempt, Unfinished, unfinished};

#[derive(Clone, Serialize)]
struct Listed {
    name: String,
    contract: String,
    contract_hash: String,
    snapshot: Option<String>,
    snapshot_at: Option<String>,
    rows: Option<u64>,
    subjects: Option<u32>,
    /// Why there is no usable snapshot.
    problem: Option<String>,
    /// What became of an ingest that has not succeeded.
    ingest: Option<String>,
    /// Which files of the source were left out of the snapshot, since they are damaged.
    damaged: Option<String>,
    /// How many of the subjects opted out, by list or column, where they can and it is known.
    opted_out: Option<usize>,
}

impl Listed {
    /// Whoever reads the table by place goes on reading it: new columns stand behind all others.
    const COLUMNS: [&str; 11] = [
        "name",
        "contract",
        "contract_hash",
        "snapshot",
        "snapshot_at",
        "rows",
        "subjects",
        "problem",
        "ingest",
        "damaged",
        "opted_out",
    ];

    fn row(self) -> [String; Self::COLUMNS.len()] {
        let text = |value: Option<String>| value.unwrap_or_default();
        let number = |n: Option<u64>| text(n.map(|n| n.to_string()));
        [
            self.name,
            self.contract,
            self.contract_hash,
            text(self.snapshot),
            text(self.snapshot_at),
            number(self.rows),
            number(self.subjects.map(u64::from)),
            text(self.problem),
            text(self.ingest),
            text(self.damaged),
            number(self.opted_out.map(|n| n as u64)),
        ]
    }
}

/// Lists the datasets.
///
/// # Errors
/// Where standard output fails.
pub fn list(config: &Config, format: Format) -> Result<(), Failure> {
    let custodian = config.custodian();
    let key = read_release_key(&config.release_key_file).ok();
    let opted_out = |dataset: &Dataset, manifest: &Manifest| {
        key.as_ref().and_then(|key| Some(known(&custodian, dataset, manifest, key).ok()??.opted_out))
    };
    let listed: Vec<Listed> = config
        .datasets
        .values()
        .map(|dataset| {
            let (manifest, problem) = match usable(&custodian, dataset) {
                Ok(manifest) => (Some(manifest), None),
                Err(reason) => (None, Some(reason)),
            };
            Listed {
                name: dataset.name.clone(),
                contract: dataset.contract.id().to_string(),
                contract_hash: dataset.contract.hash().to_string(),
                snapshot: manifest.as_ref().map(|m| m.content.to_string()),
                snapshot_at: manifest.as_ref().map(|m| m.created_at.to_string()),
                rows: manifest.as_ref().map(|m| m.rows),
                subjects: manifest.as_ref().map(|m| m.subjects),
                problem,
                ingest: unfinished(&custodian.state.snapshots(), &dataset.name).map(|attempt| attempt.sentence()),
                damaged: manifest.as_ref().and_then(|m| m.report.bad_lines.damaged.sentence()),
                opted_out: manifest.as_ref().and_then(|m| opted_out(dataset, m)),
            }
        })
        .collect();
    match format {
        Format::Json => print_json(&listed),
        Format::Csv => print_csv(&Listed::COLUMNS, listed.into_iter().map(|listed| listed.row().into())),
        Format::Text => print(|out| {
            for l in &listed {
                write!(out, "{}  {} ({})  ", l.name, l.contract, &l.contract_hash[..12])?;
                match (&l.snapshot_at, l.rows, l.subjects, &l.problem) {
                    (Some(at), Some(rows), Some(subjects), _) => {
                        write!(out, "snapshot of {at}: {}", rows_of(rows, subjects))?;
                        match l.opted_out {
                            Some(n) => writeln!(out, "; {} opted out", counted(n, "patient"))?,
                            None => writeln!(out)?,
                        }
                    }
                    (.., problem) => writeln!(out, "no snapshot: {}", problem.as_deref().unwrap_or_default())?,
                }
                for line in l.damaged.iter().chain(&l.ingest).flat_map(|text| text.lines()) {
                    writeln!(out, "    {line}")?;
                }
            }
            Ok(())
        }),
    }
}

/// Prints what the taking of the snapshot in use found.
///
/// # Errors
/// Where there is no usable snapshot.
pub fn show(config: &Config, name: &str, format: Format) -> Result<(), Failure> {
    let dataset = find(config, name)?;
    let manifest = usable(&config.custodian(), dataset).map_err(|reason| split_hint(&reason))?;
    shown(&manifest, format)?;
    match format {
        Format::Text => {
            let (held, pins) = kept(config, name)?;
            print(|out| attempt(out, config, dataset))?;
            print(|out| held_against(out, config, dataset, &manifest))?;
            print(|out| optouts(out, config, dataset, &manifest))?;
            print(|out| held.iter().try_for_each(|h| line(out, h, pins.get(&h.manifest.content).copied())))
        }
        Format::Json | Format::Csv => Ok(()),
    }
}

/// What became of an ingest that has not succeeded.
pub(super) fn attempt(out: &mut dyn Write, config: &Config, dataset: &Dataset) -> io::Result<()> {
    let Some(attempt) = unfinished(&config.state.snapshots(), &dataset.name) else { return Ok(()) };
    for line in attempt.sentence().lines() {
        writeln!(out, "             {line}")?;
    }
    if let Unfinished::Failed(attempt @ Attempt { failures: 1.., .. }) = &attempt {
        let wait = duration_text(wait_secs(attempt, longest_wait_secs(dataset)));
        writeln!(out, "             a running node tries again {wait} after that attempt, and reads from the start")?;
    } else if mended(config, dataset, &attempt) {
        writeln!(
            out,
            "             source or node.toml were changed since; a running node tries again within the hour, and at once:"
        )?;
        writeln!(out, "             bocage node datasets refresh {}", dataset.name)?;
    }
    Ok(())
}

/// Whether a failed ingest may go well now: the source, or the file that says how it is read, was changed since.
pub(super) fn mended(config: &Config, dataset: &Dataset, attempt: &Unfinished) -> bool {
    let Unfinished::Failed(Attempt { began_at, .. }) = attempt else { return false };
    let since = UNIX_EPOCH + Duration::from_millis(began_at.0.max(0).unsigned_abs());
    let newer = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).is_ok_and(|at| at > since);
    let files = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let source = dataset.spec.source.file();
    newer(Path::new(&config.file)) || source.is_some_and(|path| newer(path) || files(path).any(|file| newer(&file)))
}

/// How many rows there are, and of how many patients where these are others.
fn rows_of(rows: u64, subjects: u32) -> String {
    if rows == u64::from(subjects) {
        return format!("{}, one row each", counted(rows, "patient"));
    }
    format!("{} of {}", counted(rows, "row"), counted(subjects, "patient"))
}

/// Which of the snapshots that rules were held against have newer ones by now.
pub(super) fn held_against(
    out: &mut dyn Write,
    config: &Config,
    dataset: &Dataset,
    manifest: &Manifest,
) -> io::Result<()> {
    let dir = config.state.snapshots();
    for other in looked_into(&config.datasets, dataset) {
        let Ok(now) = snapshot::current(&dir, &other.name) else { continue };
        let (name, own) = (&other.name, &dataset.name);
        match manifest.against.get(name) {
            Some(then) if *then == now => {}
            Some(_) => writeln!(
                out,
                "             {name} has a newer snapshot than the one that rules were held against; against it: bocage node datasets refresh {own}"
            )?,
            None => writeln!(
                out,
                "             {name} has a snapshot by now, against which rules can be held: bocage node datasets refresh {own}"
            )?,
        }
    }
    Ok(())
}

/// How many opted out of a snapshot.
pub(super) fn optouts(out: &mut dyn Write, config: &Config, dataset: &Dataset, manifest: &Manifest) -> io::Result<()> {
    let Ok(key) = read_release_key(&config.release_key_file) else { return Ok(()) };
    match known(&config.custodian(), dataset, manifest, &key) {
        Ok(None) => Ok(()),
        Ok(Some(known)) => writeln!(out, "opt-outs     {known}"),
        Err(error) => writeln!(out, "opt-outs     {}", error.to_string().lines().next().unwrap_or_default()),
    }
}

/// The snapshots of a dataset, and the studies that each is kept for.
fn kept(config: &Config, name: &str) -> Result<(Vec<Held>, BTreeMap<Digest, Pin>), Failure> {
    let held = snapshot::held(&config.state.snapshots(), name).map_err(|error| split_hint(&error.to_string()))?;
    let path = config.state.ledger();
    if !path.exists() {
        return Ok((held, BTreeMap::new()));
    }
    let ledger = Ledger::open_read_only(&path)?;
    Ok((held, ledger.pinned(SystemClock.now())?))
}

fn line(out: &mut dyn Write, held: &Held, pin: Option<Pin>) -> io::Result<()> {
    let manifest = &held.manifest;
    let (content, at, rows) = (manifest.content.short(), manifest.created_at, manifest.rows);
    write!(out, "kept         {content} of {at}: {rows} rows, {} MiB", held.bytes.div_ceil(1 << 20))?;
    if held.current {
        write!(out, ", in use")?;
    }
    match pin {
        Some(pin) => writeln!(out, ", for {}", unexpired(pin)),
        None => writeln!(out),
    }
}

/// Only the coordinator knows whether a study has ended: here it may ask until it expires.
fn unexpired(pin: Pin) -> String {
    match pin.studies {
        1 => format!("1 study that has not expired (it does on {})", pin.last),
        studies => format!("{studies} studies that have not expired (the last does on {})", pin.last),
    }
}

/// Removes all snapshots of a dataset, if `yes`; else it says what that would be.
///
/// # Errors
/// Where there is nothing to remove, it is not said `yes`, or a file cannot be removed.
pub fn drop(config: &Config, name: &str, yes: bool) -> Result<(), Failure> {
    let (held, pins) = kept(config, name)?;
    if held.is_empty() && !config.state.snapshots().join(name).is_dir() {
        let failure = Failure::theirs(format!("dataset {name} has no snapshot"));
        return Err(failure.hint("`bocage node datasets` lists the datasets"));
    }
    let mib: u64 = held.iter().map(|h| h.bytes.div_ceil(1 << 20)).sum();
    let pin = held.iter().filter_map(|h| pins.get(&h.manifest.content).copied()).reduce(Pin::with);
    let what = format!("{} snapshots of {name} ({mib} MiB)", held.len());
    if !yes {
        let message = match pin {
            None => format!("this removes {what}"),
            Some(pin) => format!("this removes {what}, on which {} could not go on", unexpired(pin)),
        };
        return Err(Failure::theirs(message).hint("say it again with --yes; the source's own files stay as they are"));
    }
    let dropped = snapshot::drop_all(&config.state.snapshots(), name);
    dropped.map_err(|error| split_hint(&error.to_string()))?;
    print(|out| writeln!(out, "removed {what}; the source's own files are as they were"))
}

/// A failure from a text whose last line may be a hint.
pub(super) fn split_hint(text: &str) -> Failure {
    match text.rsplit_once("\n  hint: ") {
        Some((message, hint)) => Failure::theirs(message).hint(hint),
        None => Failure::theirs(text),
    }
}

pub(super) fn find<'a>(config: &'a Config, name: &str) -> Result<&'a Dataset, Failure> {
    config.datasets.get(name).ok_or_else(|| {
        let names = config.datasets.keys().map(String::as_str);
        let failure = Failure::theirs(format!("there is no dataset {name}"));
        match nearest(name, names) {
            Some(near) => failure.hint(format!("did you mean {near}?")),
            None => failure.hint("`bocage node datasets` lists them"),
        }
    })
}

pub(super) fn shown(manifest: &Manifest, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => print_json(manifest),
        Format::Csv => print_csv(
            &["column", "valid", "missing", "wrong_type", "unknown_code", "out_of_range", "null_by_rule", "partial"],
            manifest.report.columns.iter().map(|(name, c)| {
                let counts =
                    [c.valid, c.missing, c.wrong_type, c.unknown_code, c.out_of_range, c.null_by_rule, c.partial];
                [name.to_string()].into_iter().chain(counts.iter().map(u64::to_string)).collect()
            }),
        ),
        Format::Text => print(|out| {
            writeln!(out, "{}  {}  {}", manifest.dataset, manifest.contract, manifest.content.short())?;
            report(out, manifest)
        }),
    }
}

/// What the taking of a snapshot found, for people.
///
/// # Errors
/// Where `out` fails.
pub fn report(out: &mut dyn Write, manifest: &Manifest) -> io::Result<()> {
    const PAD: &str = "             ";
    let Manifest { created_at, rows, subjects, report, .. } = manifest;
    let source = manifest.source.display();
    writeln!(
        out,
        "{PAD}snapshot of {created_at}: {}, from {} rows of {source}",
        rows_of(*rows, *subjects),
        report.source_rows
    )?;
    bad_lines(out, "lines with another number of fields", &report.bad_lines.wrong_field_count)?;
    bad_lines(out, "lines or rows that are not UTF-8", &report.bad_lines.not_utf8)?;
    bad_lines(out, "lines or rows with zero bytes", &report.bad_lines.zero_bytes)?;
    if report.bad_lines.unended {
        writeln!(
            out,
            "{PAD}the last line has no line end: if the file was cut off there, its last value is not whole"
        )?;
    }
    for found in &report.bad_lines.found {
        let more = if found.count > found.first.len() as u64 { ", …" } else { "" };
        let places =
            if found.first.is_empty() { String::new() } else { format!(" ({}{more})", found.first.join(", ")) };
        writeln!(out, "{PAD}{} × {}{places}", found.count, found.what)?;
    }
    if let Some(not_found) = report.bad_lines.looked_up.sentence() {
        writeln!(out, "{PAD}{not_found}")?;
    }
    for rejected in &report.rows_rejected {
        writeln!(out, "{PAD}{} rows left out: {}", rejected.rows, warnings::why(&rejected.reason))?;
    }
    for (name, column) in &report.columns {
        let found = [
            (column.missing, "missing"),
            (column.null_by_rule, "made missing by the mapping"),
            (column.wrong_type, "of another type"),
            (column.unknown_code, "unknown codes"),
            (column.out_of_range, "out of range"),
            (column.partial, "of the values to the month or year only"),
        ];
        let notes: Vec<String> = found.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        match (column.valid, notes.is_empty()) {
            (0, _) => writeln!(out, "{PAD}{name}: no values at all")?,
            (_, true) => {}
            (valid, false) => writeln!(out, "{PAD}{name}: {valid} values; {}", notes.join(", "))?,
        }
    }
    quality::print(out, report)
}

fn bad_lines(out: &mut dyn Write, what: &str, lines: &Lines) -> io::Result<()> {
    if lines.count == 0 {
        return Ok(());
    }
    let numbers: Vec<String> = lines.first.iter().map(u64::to_string).collect();
    let more = if lines.count > lines.first.len() as u64 { ", …" } else { "" };
    writeln!(out, "             {} {what}: {}{more}", lines.count, numbers.join(", "))
}

#[cfg(test)]
mod tests {
    use bocage_protocol::env::Timestamp;

    use super::*;

    #[test]
    fn each_column_of_the_table_stands_under_its_name_and_the_newest_is_the_last() {
        let none = Listed {
            name: "heart".to_owned(),
            contract: "heart@1".to_owned(),
            contract_hash: "1f".to_owned(),
            snapshot: None,
            snapshot_at: None,
            rows: None,
            subjects: None,
            problem: Some("never taken".to_owned()),
            ingest: None,
            damaged: None,
            opted_out: None,
        };
        let full = Listed {
            snapshot: Some("ab".to_owned()),
            snapshot_at: Some("today".to_owned()),
            rows: Some(4),
            subjects: Some(3),
            problem: None,
            ingest: Some("cut short".to_owned()),
            damaged: Some("a file".to_owned()),
            opted_out: Some(0),
            ..none.clone()
        };
        for listed in [none, full] {
            let json = serde_json::to_value(&listed).unwrap();
            let said: Vec<String> = Listed::COLUMNS
                .iter()
                .map(|column| match &json[column] {
                    serde_json::Value::String(text) => text.clone(),
                    serde_json::Value::Null => String::new(),
                    other => other.to_string(),
                })
                .collect();
            assert_eq!((said, json.as_object().unwrap().len()), (listed.row().to_vec(), Listed::COLUMNS.len()));
        }
        assert_eq!(Listed::COLUMNS.last(), Some(&"opted_out"));
    }

    #[test]
    fn studies_are_said_not_to_have_expired_with_the_last_day_of_any() {
        let one = Pin { studies: 1, last: Timestamp(86_400_000) };
        assert_eq!(unexpired(one), "1 study that has not expired (it does on 1970-01-02T00:00:00Z)");
        let both = one.with(Pin { studies: 2, last: Timestamp(0) });
        assert_eq!(unexpired(both), "3 studies that have not expired (the last does on 1970-01-02T00:00:00Z)");
    }
}
