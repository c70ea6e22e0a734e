//! `bocage-node ledger show|verify`: what left this site, and whether its record holds. Reads the ledger, never the data.

use std::io::{self, Write};

use bocage_protocol::ids::StudyId;

use super::output::{Failure, Format, print, print_csv, print_json};
use crate::config::Config;
use crate::custodian::ledger::show::{Left, Reader, Shown, ShownMeasure};
use crate::custodian::ledger::{Ledger, LedgerError};

fn open(config: &Config) -> Result<Ledger, Failure> {
    let path = config.state.ledger();
    if !path.exists() {
        return Err(Failure::theirs(format!("there is no ledger at {}", path.display()))
            .hint("the ledger begins when the node runs for the first time"));
    }
    Ledger::open_read_only(&path).map_err(unusable)
}

fn unusable(error: LedgerError) -> Failure {
    Failure::theirs(error).hint("run the command as the node's own user")
}

/// Prints the records of a study, or all.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn show(config: &Config, study: Option<&str>, format: Format) -> Result<(), Failure> {
    let ledger = open(config)?;
    let study = study.map(|text| find(&ledger, text)).transpose()?;
    let mut reader = Reader::new(&config.contracts);
    let mut records = Vec::new();
    ledger.records(study.as_ref(), |record| records.push(reader.show(record))).map_err(unusable)?;
    match format {
        Format::Json => print_json(&records),
        Format::Csv => print_csv(
            &["seq", "at", "kind", "study", "round", "body", "hash"],
            records.into_iter().map(|r| {
                let round = r.round.map(|n| n.to_string()).unwrap_or_default();
                vec![r.seq.to_string(), r.at, r.kind, r.study.unwrap_or_default(), round, r.body.to_string(), r.hash]
            }),
        ),
        Format::Text => print(|out| records.iter().try_for_each(|record| text(out, record))),
    }
}

/// The study whose id begins with `text`.
fn find(ledger: &Ledger, text: &str) -> Result<StudyId, Failure> {
    let mut found: Vec<String> = Vec::new();
    ledger
        .records(None, |record| {
            if let Some(study) = record.study
                && study.starts_with(text)
                && !found.contains(&study)
            {
                found.push(study);
            }
        })
        .map_err(unusable)?;
    match found.as_slice() {
        [one] => one.parse().map_err(|_| {
            Failure::theirs("the ledger holds a malformed study id").hint("run `bocage-node ledger verify`")
        }),
        [] => Err(Failure::theirs(format!("no record is about a study {text}"))
            .hint("`bocage-node ledger show` lists all records")),
        _ => Err(Failure::theirs(format!("several studies begin with {text}")).hint("give more digits of the id")),
    }
}

/// Recomputes the chain.
///
/// # Errors
/// Where it breaks, or the ledger cannot be read.
pub fn verify(config: &Config, format: Format) -> Result<(), Failure> {
    let ledger = open(config)?;
    let verified = ledger.verify().map_err(unusable)?.map_err(|broken| {
        let after =
            broken.last_good.map(|at| format!("; the last record that holds was written at {at}")).unwrap_or_default();
        Failure::theirs(format!("{broken}{after}"))
            .hint("the file was changed or damaged: keep it as it is, and compare it with a backup")
    })?;
    let records = verified.records.to_string();
    match format {
        Format::Json => {
            print_json(&serde_json::json!({"ok": true, "records": verified.records, "head": verified.head}))
        }
        Format::Csv => print_csv(&["ok", "records", "head"], [vec!["true".to_owned(), records, verified.head]]),
        Format::Text => print(|out| {
            writeln!(out, "the chain of {records} records holds")?;
            writeln!(out, "head {}", verified.head)
        }),
    }
}

fn text(out: &mut dyn Write, record: &Shown) -> io::Result<()> {
    let study = record.study.as_deref().map(|s| format!("  study {}", s.get(..12).unwrap_or(s))).unwrap_or_default();
    let round = record.round.map(|n| format!("  round {n}")).unwrap_or_default();
    writeln!(out, "#{}  {}  {}{study}{round}", record.seq, record.at, record.kind)?;
    if let serde_json::Value::Object(fields) = &record.body {
        for (name, value) in fields.iter().filter(|(name, _)| record.left.is_empty() || name.as_str() != "parts") {
            field(out, 4, name, value)?;
        }
    }
    record.left.iter().try_for_each(|left| what_left(out, left))
}

fn field(out: &mut dyn Write, indent: usize, name: &str, value: &serde_json::Value) -> io::Result<()> {
    match value {
        serde_json::Value::Null => Ok(()),
        serde_json::Value::Object(fields) => {
            writeln!(out, "{:indent$}{name}", "")?;
            fields.iter().try_for_each(|(name, value)| field(out, indent + 4, name, value))
        }
        serde_json::Value::Array(items) if items.iter().all(|item| item.is_string()) => {
            let texts: Vec<&str> = items.iter().filter_map(|item| item.as_str()).collect();
            writeln!(out, "{:indent$}{name}  {}", "", texts.join(", "))
        }
        serde_json::Value::Array(items) => items.iter().try_for_each(|item| field(out, indent, name, item)),
        serde_json::Value::String(text) if text.contains('\n') => {
            writeln!(out, "{:indent$}{name}", "")?;
            text.lines().try_for_each(|line| writeln!(out, "{:indent$}    {line}", ""))
        }
        serde_json::Value::String(text) => writeln!(out, "{:indent$}{name}  {text}", ""),
        other => writeln!(out, "{:indent$}{name}  {other}", ""),
    }
}

fn what_left(out: &mut dyn Write, left: &Left) -> io::Result<()> {
    if let Some(refused) = &left.refused {
        return writeln!(out, "    {}: nothing left: {refused}", left.analysis);
    }
    let total =
        left.total.map(|t| format!(", cohort of {} patients in {} rows", t.subjects, t.rows)).unwrap_or_default();
    writeln!(out, "    {}: {} cells{total}", left.analysis, left.cells.len())?;
    for cell in &left.cells {
        let name = if cell.cell.is_empty() { "all".to_owned() } else { cell.cell.join(", ") };
        match cell.count {
            None => writeln!(out, "        {name}: fewer than {}", left.threshold.unwrap_or_default())?,
            Some(count) => {
                writeln!(out, "        {name}: {} patients, {} rows", count.subjects, count.rows)?;
                cell.measures.iter().try_for_each(|measure| measure_text(out, measure))?;
            }
        }
    }
    Ok(())
}

fn measure_text(out: &mut dyn Write, measure: &ShownMeasure) -> io::Result<()> {
    write!(out, "            {}: ", measure.measure)?;
    let Some(valid) = measure.valid else { return writeln!(out, "hidden") };
    write!(out, "{} rows of {} patients with a value", valid.rows, valid.subjects)?;
    if let Some(holds) = measure.holds_rows {
        write!(out, ", true in {holds}")?;
    }
    if let Some(sum) = measure.sum {
        write!(out, ", sum {sum}")?;
    }
    if let (Some(sum), Some(sum_sq)) = (&measure.sum_quanta, &measure.sum_sq_quanta) {
        write!(out, " (quanta: sum {sum}, sum of squares {sum_sq})")?;
    }
    writeln!(out)
}
