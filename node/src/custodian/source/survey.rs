//! What the columns of a file seem to be, for a person who writes a contract.
//!
//! A contract is public, so a survey is held to more than a snapshot's report: it names no value that fewer than k patients have (rows, where no column
//! names the patient), and its ranges end beside the data, not at its extremes. What it cannot be sure of it says.

mod column;
mod round;

use std::collections::HashMap;

use bocage_protocol::ids::ColumnName;
use bocage_protocol::settings::nearest;
use polars::prelude::DataFrame;

use self::column::{Holder, Watch};
use super::{BadLines, BatchSize, Mapping, Opened, SourceError, SourceSpec};

/// What a file's columns seem to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// In the file's order.
    pub columns: Vec<Surveyed>,
    /// Lines or rows that are none, and were passed over.
    pub bad_lines: BadLines,
}

/// A column of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Surveyed {
    /// Its name.
    pub name: ColumnName,
    /// What it seems to hold.
    pub seems: Seems,
    /// Whether some rows have no value.
    pub gaps: bool,
}

/// What a column seems to hold. Ranges are rounded outward.
#[derive(Debug, Clone, PartialEq)]
pub enum Seems {
    /// It names the patient.
    Subject,
    /// Whole numbers.
    Int {
        /// The lower end.
        lo: i64,
        /// The upper end.
        hi: i64,
    },
    /// Numbers.
    Float {
        /// The lower end.
        lo: f64,
        /// The upper end.
        hi: f64,
    },
    /// Few values that come again.
    Code {
        /// Those that k or more have.
        codes: Vec<String>,
        /// Whether there are others.
        more: bool,
        /// The range, where all of them are whole numbers: it may be a number.
        number: Option<(i64, i64)>,
    },
    /// Dates, from the first day of a decade to the last of another one.
    Date {
        /// The first day.
        lo: String,
        /// The last day.
        hi: String,
    },
    /// Datetimes, from the beginning of a decade to the end of another one.
    Datetime {
        /// The first moment.
        lo: String,
        /// The last moment.
        hi: String,
        /// Whether each is a midnight: it may be a date.
        midnight: bool,
    },
    /// Words for true and false.
    Bool,
    /// Texts.
    Text,
    /// Each row has another value.
    Identifier,
    /// Fewer than k have a value.
    Rare,
    /// It cannot be read as text, and why.
    Unreadable(String),
}

/// Surveys a file.
///
/// # Errors
/// It cannot be read, has no column `subject`, seems to have no header, or fewer than `k` patients.
pub fn survey(source: &SourceSpec, subject: Option<&ColumnName>, k: u32) -> Result<Survey, SourceError> {
    let opened = Opened::open(source)?;
    let refused = |reason: String| SourceError::Header { path: source.path().to_owned(), reason };
    let names = opened.columns();
    let given = match source {
        SourceSpec::Csv(csv) => csv.columns.is_some(),
        SourceSpec::Parquet(_) | SourceSpec::Fhir(_) | SourceSpec::Postgres(_) => true,
    };
    if !given && headerless(&names) {
        return Err(refused(
            "its columns have numbers for names\n  hint: if the first line is a row already, name the columns yourself (--columns), with \
             --no-header"
                .to_owned(),
        ));
    }
    if let Some(wanted) = subject.filter(|wanted| !names.contains(wanted)) {
        let near = nearest(wanted.as_str(), names.iter().map(ColumnName::as_str));
        let hint = near
            .map_or_else(|| "name the column that names the patient".to_owned(), |n| format!("did you mean `{n}`?"));
        return Err(refused(format!("there is no column `{wanted}`\n  hint: {hint}")));
    }
    let textless: HashMap<ColumnName, String> =
        names.iter().filter_map(|name| Some((name.clone(), opened.textless(name)?))).collect();
    let readable: Vec<ColumnName> = names.iter().filter(|name| !textless.contains_key(*name)).cloned().collect();
    let mut watches: Vec<Watch> = readable.iter().map(|_| Watch::new(k)).collect();
    let mut patients = Patients::default();
    let mut reading = opened.read(&Mapping::plain(&readable), BatchSize::default())?;
    while let Some(batch) = reading.next()? {
        take(&batch, &readable, subject, &mut patients, &mut watches)?;
    }
    let bad_lines = reading.finish()?.bad_lines;
    if patients.count() < u64::from(k) {
        let who = if subject.is_some() { "patients" } else { "rows" };
        return Err(refused(format!(
            "it has fewer than {k} {who}, so nothing could be said of it\n  hint: draft from a larger file, or write the contract by hand"
        )));
    }
    let mut found: HashMap<ColumnName, (Seems, bool)> =
        readable.into_iter().zip(watches).map(|(name, watch)| (name, watch.seems())).collect();
    let column = |name: ColumnName| {
        let (seems, gaps) = match textless.get(&name) {
            Some(reason) => (Seems::Unreadable(reason.clone()), false),
            None if subject == Some(&name) => (Seems::Subject, false),
            None => found.remove(&name).unwrap_or((Seems::Rare, true)),
        };
        Surveyed { name, seems, gaps }
    };
    Ok(Survey { columns: names.into_iter().map(column).collect(), bad_lines })
}

/// Whether most names are numbers, as they are known here: a file without a header has such.
fn headerless(names: &[ColumnName]) -> bool {
    let number = |name: &&ColumnName| {
        name.as_str()
            .strip_prefix('c')
            .is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit() || c == '_'))
    };
    2 * names.iter().filter(number).count() > names.len()
}

/// Who the rows are about.
#[derive(Default)]
struct Patients {
    by_id: HashMap<String, u64>,
    rows: u64,
}

impl Patients {
    fn count(&self) -> u64 {
        if self.by_id.is_empty() { self.rows } else { self.by_id.len() as u64 }
    }

    /// Whose a row is: by its id, or by itself.
    fn holder(&mut self, id: Option<Option<&str>>) -> Holder {
        self.rows += 1;
        match id {
            None => Some(self.rows),
            Some(None) => None,
            Some(Some(id)) => {
                let next = self.by_id.len() as u64;
                Some(*self.by_id.entry(id.to_owned()).or_insert(next))
            }
        }
    }
}

/// Looks at the next rows of the file.
fn take(
    batch: &DataFrame,
    names: &[ColumnName],
    subject: Option<&ColumnName>,
    patients: &mut Patients,
    watches: &mut [Watch],
) -> Result<(), SourceError> {
    let texts = |name: &ColumnName| {
        let column = batch.column(name.as_str()).ok().and_then(|c| c.str().ok());
        column.ok_or_else(|| SourceError::Computation { dataset: name.to_string(), stage: "surveying the file" })
    };
    let ids = subject.map(texts).transpose()?;
    let holders: Vec<Holder> = (0..batch.height()).map(|row| patients.holder(ids.map(|ids| ids.get(row)))).collect();
    for (name, watch) in names.iter().zip(watches) {
        for (text, holder) in texts(name)?.iter().zip(&holders) {
            watch.see(text, *holder);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
