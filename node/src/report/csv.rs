//! The ledger as tables for programs: every cell that left, every study, every record.
//!
//! A text that a spreadsheet would take for a formula gets an apostrophe before it: titles are a stranger's words.

use std::io::{self, Write};

use bocage_protocol::release::rounding;
use csv::Writer;

use super::ReportError;
use crate::config::Config;
use crate::custodian::ledger::account::{Account, Accounts, Cells, Window};
use crate::custodian::ledger::bodies::About;
use crate::custodian::ledger::show::{Left, Reader, Shown, ShownCell, ShownMeasure};
use crate::custodian::ledger::{Kind, Ledger};

const CELLS: [&str; 29] = [
    "study",
    "title",
    "researcher",
    "organisation",
    "purpose",
    "permit",
    "permit_digest",
    "decided_by",
    "dataset",
    "filter",
    "snapshot",
    "public_snapshot",
    "record",
    "round",
    "released_at",
    "again_of_record",
    "analysis",
    "threshold",
    "rounded_to",
    "cell",
    "subjects",
    "rows",
    "measure",
    "valid_subjects",
    "valid_rows",
    "holds_rows",
    "sum",
    "sum_quanta",
    "sum_sq_quanta",
];
const STUDIES: [&str; 17] = [
    "study",
    "first_at",
    "last_at",
    "researcher",
    "organisation",
    "key",
    "purpose",
    "permit",
    "permit_digest",
    "dataset",
    "decision",
    "decided_by",
    "shown",
    "hidden",
    "again",
    "state",
    "title",
];
const RECORDS: [&str; 7] = ["record", "at", "kind", "study", "round", "body", "hash"];

/// One line for each number that left: a cell has as many as it has measures, and at least one. Hidden numbers are empty.
///
/// # Errors
/// Where the ledger cannot be read or the table not be written.
pub fn cells(
    config: &Config,
    ledger: &Ledger,
    accounts: &Accounts,
    window: &Window,
    out: &mut dyn Write,
) -> Result<(), ReportError> {
    let mut writer = Writer::from_writer(out);
    line(&mut writer, CELLS.map(str::to_owned))?;
    let mut reader = Reader::over(ledger, &config.contracts)?;
    for account in accounts.studies.iter().filter(|account| !account.releases.is_empty()) {
        let Ok(id) = account.study.parse() else { continue };
        reader.forget();
        let mut written = Ok(());
        ledger.records(Some(&id), |record| {
            let wanted = record.kind() == Some(Kind::Release) && window.has(record.at);
            let shown = reader.show(record);
            if wanted && written.is_ok() {
                written = release(&mut writer, account, &shown);
            }
        })?;
        written?;
    }
    Ok(writer.flush()?)
}

fn release(writer: &mut Writer<&mut dyn Write>, account: &Account, shown: &Shown) -> io::Result<()> {
    for (at, left) in shown.left.iter().enumerate() {
        let again = account.left_before(shown.seq, at);
        for cell in &left.cells {
            if cell.measures.is_empty() {
                line(writer, number(account, (shown, again), left, cell, None))?;
            }
            for measure in &cell.measures {
                line(writer, number(account, (shown, again), left, cell, Some(measure)))?;
            }
        }
    }
    Ok(())
}

fn number(
    account: &Account,
    (shown, again): (&Shown, Option<i64>),
    left: &Left,
    cell: &ShownCell,
    measure: Option<&ShownMeasure>,
) -> [String; CELLS.len()] {
    let about = account.about.as_ref();
    let text = |of: Option<String>| of.unwrap_or_default();
    let valid = measure.and_then(|m| m.valid);
    [
        account.study.clone(),
        text(about.map(|a| a.title.clone())),
        text(about.map(|a| a.researcher.clone())),
        text(about.and_then(|a| a.organisation.clone())),
        text(about.map(purpose)),
        text(account.permit.clone()),
        text(account.permit_digest.map(|digest| digest.short())),
        account.decided_by().join("; "),
        text(about.map(About::datasets)),
        text(left.filter.clone()),
        text(shown.round.and_then(|round| account.computed.get(&round)).map(|on| on.snapshot.to_string())),
        text(shown.snapshot.as_ref().map(|public| public.name.to_string())),
        shown.seq.to_string(),
        text(shown.round.map(|round| round.to_string())),
        shown.at.clone(),
        text(again.map(|record| record.to_string())),
        left.analysis.clone(),
        text(left.threshold.filter(|_| cell.count.is_some() || !left.held_back).map(|k| k.to_string())),
        text(left.rounded.then(|| rounding::BASE.to_string())),
        cell.cell.join("; "),
        text(cell.count.map(|n| n.subjects.to_string())),
        text(cell.count.map(|n| n.rows.to_string())),
        text(measure.map(|m| m.measure.clone())),
        text(valid.map(|n| n.subjects.to_string())),
        text(valid.map(|n| n.rows.to_string())),
        text(measure.and_then(|m| m.holds_rows).map(|n| n.to_string())),
        text(measure.and_then(|m| m.sum).map(|n| n.to_string())),
        text(measure.and_then(|m| m.sum_quanta.clone())),
        text(measure.and_then(|m| m.sum_sq_quanta.clone())),
    ]
}

/// One line for each study.
///
/// # Errors
/// Where the table cannot be written.
pub fn studies(accounts: &[Account], out: &mut dyn Write) -> io::Result<()> {
    let mut writer = Writer::from_writer(out);
    line(&mut writer, STUDIES.map(str::to_owned))?;
    for account in accounts {
        let (about, Cells { shown, hidden, again }) = (account.about.as_ref(), account.cells());
        let text = |of: Option<String>| of.unwrap_or_default();
        let fields: [String; STUDIES.len()] = [
            account.study.clone(),
            account.first.to_string(),
            account.last.to_string(),
            text(about.map(|a| a.researcher.clone())),
            text(about.and_then(|a| a.organisation.clone())),
            text(about.map(|a| a.key.to_string())),
            text(about.map(purpose)),
            text(account.permit.clone()),
            text(account.permit_digest.map(|digest| digest.short())),
            text(about.map(About::datasets)),
            account.decision(),
            account.decided_by().join("; "),
            shown.to_string(),
            hidden.to_string(),
            again.to_string(),
            account.state().as_str().to_owned(),
            text(about.map(|a| a.title.clone())),
        ];
        line(&mut writer, fields)?;
    }
    writer.flush()
}

/// One line for each record, its body as JSON.
///
/// # Errors
/// Where the ledger cannot be read or the table not be written.
pub fn records(ledger: &Ledger, window: &Window, out: &mut dyn Write) -> Result<(), ReportError> {
    let mut writer = Writer::from_writer(out);
    line(&mut writer, RECORDS.map(str::to_owned))?;
    let mut written = Ok(());
    ledger.outlines(|record| {
        if window.has(record.at) && written.is_ok() {
            let round = record.round.map(|round| round.to_string()).unwrap_or_default();
            let study = record.study.unwrap_or_default();
            let at = record.at.to_string();
            written =
                line(&mut writer, [record.seq.to_string(), at, record.kind, study, round, record.body, record.hash]);
        }
    })?;
    written?;
    Ok(writer.flush()?)
}

/// The purpose as a study spells it.
pub(crate) fn purpose(about: &crate::custodian::ledger::bodies::About) -> String {
    let all = bocage_protocol::trust::Purpose::ALL;
    all.iter().find(|(_, purpose)| *purpose == about.purpose).map(|(text, _)| (*text).to_owned()).unwrap_or_default()
}

fn line<const N: usize>(writer: &mut Writer<&mut dyn Write>, fields: [String; N]) -> io::Result<()> {
    writer.write_record(fields.map(|field| plain(&field))).map_err(|error| match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    })
}

/// A text that no spreadsheet takes for a formula. A number stays one, also below zero.
pub(crate) fn plain(text: &str) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n') if text.parse::<f64>().is_err() => format!("'{text}"),
        _ => text.to_owned(),
    }
}
