//! What a snapshot's taking found. For the hospital's own eyes: it is kept in the manifest and shown by local commands,
//! and must never go on the wire.

use std::collections::BTreeMap;
use std::fmt;

use bocage_fhir::DamagedFile;
use bocage_protocol::contract::OnFail;
use bocage_protocol::ids::{ColumnName, RuleName};
use serde::{Deserialize, Serialize};

use super::fallen::Fallen;

/// Line numbers kept of each kind of bad line: enough to look at, not a copy of the file.
const LINES_KEPT: usize = 20;

/// What became of a source's rows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Lines of a CSV file that were read as rows, or rows of a Parquet file.
    pub source_rows: u64,
    /// Lines that were not.
    pub bad_lines: BadLines,
    /// Rows of the snapshot.
    pub rows_kept: u64,
    /// Rows left out, each under the first reason that applies.
    pub rows_rejected: Vec<Rejected>,
    /// One entry a contract column, over all source rows, kept or not.
    pub columns: BTreeMap<ColumnName, ColumnReport>,
    /// One entry a rule of the contract, over the rows that passed their columns' checks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<RuleName, RuleReport>,
    /// Columns that had far more values in the snapshot before, as they were then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fallen: BTreeMap<ColumnName, Fallen>,
}

/// What a rule found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleReport {
    /// What it wants, for people.
    pub check: String,
    /// What became of the rows that fail.
    pub on_fail: OnFail,
    /// The rows that fail: of the source's rows, counted from 1 without header and bad lines.
    pub failed: Lines,
    /// Why it was not looked at, where it was not: there was no dataset to look into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unheld: Option<String>,
}

/// Lines that are no rows; of a Parquet file, rows with a text that is none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BadLines {
    /// Another number of fields than there are columns.
    pub wrong_field_count: Lines,
    /// Not UTF-8.
    pub not_utf8: Lines,
    /// With zero bytes, which no text has.
    #[serde(default)]
    pub zero_bytes: Lines,
    /// Whether the last line has no line end: a file that was cut within its last field looks the same.
    #[serde(default)]
    pub unended: bool,
    /// Of a FHIR export: what else was found, by file and line.
    #[serde(default)]
    pub found: Vec<Found>,
    /// Of a FHIR export: files that were left out as a whole, where the settings want that.
    #[serde(default)]
    pub damaged: DamagedFiles,
    /// Of a FHIR export: what rows only refer to.
    #[serde(default, skip_serializing_if = "LookedUp::is_nothing")]
    pub looked_up: LookedUp,
}

/// Rows that only refer to the Medication which has their codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LookedUp {
    /// How many.
    pub rows: u64,
    /// Those whose Medication was not read.
    pub nowhere: u64,
}

impl LookedUp {
    fn is_nothing(&self) -> bool {
        self.rows == 0
    }

    /// That some were not found, as a sentence without its end.
    pub fn sentence(&self) -> Option<String> {
        let Self { rows, nowhere } = self;
        let what = format!("{nowhere} of {rows} rows that only refer to a Medication name one that was not read");
        (*nowhere > 0).then(|| format!("{what}: their codes are missing"))
    }
}

/// Files that were left out as a whole, since they are damaged.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DamagedFiles {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<DamagedFile>,
}

impl DamagedFiles {
    /// That there are some, as a sentence without its end.
    pub fn sentence(&self) -> Option<String> {
        let files = if self.count == 1 {
            "1 damaged file was".to_owned()
        } else {
            format!("{} damaged files were", self.count)
        };
        let names: Vec<&str> = self.first.iter().map(|file| file.file.as_str()).collect();
        let more = if self.count > names.len() as u64 { ", …" } else { "" };
        (self.count > 0).then(|| format!("{files} left out as a whole: {}{more}", names.join(", ")))
    }
}

/// Something that was found in a FHIR export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// What is wrong, and what became of it.
    pub what: String,
    /// How often.
    pub count: u64,
    /// Whether the resource gave no row.
    pub left_out: bool,
    /// Where first: file and line.
    pub first: Vec<String>,
}

/// Some lines of a CSV file, or rows of a Parquet file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lines {
    /// How many.
    pub count: u64,
    /// The numbers of the first of them, from 1.
    pub first: Vec<u64>,
}

impl Lines {
    /// Whether a further number is kept.
    pub(super) fn wants_numbers(&self) -> bool {
        self.first.len() < LINES_KEPT
    }

    /// Counts the line of this number, in whatever order they come.
    pub(super) fn note(&mut self, line: u64) {
        self.count += 1;
        let at = self.first.partition_point(|before| *before < line);
        if at < LINES_KEPT {
            self.first.truncate(LINES_KEPT - 1);
            self.first.insert(at, line);
        }
    }
}

/// Rows left out for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// The reason.
    pub reason: Reason,
    /// How many rows.
    pub rows: u64,
}

/// Why a row is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The column's value is of the wrong type, an unknown code or out of range, and the contract says `reject`.
    Invalid(ColumnName),
    /// A required column has no value.
    Required(ColumnName),
    /// The row names no patient.
    NoSubject,
    /// The patient has an earlier row, and the contract allows one.
    RepeatedSubject,
    /// It fails a rule, and what happens then is `reject`.
    Rule(RuleName),
}

/// What was found in one contract column. The counts add up to the source's rows; partial values are among the valid ones.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ColumnReport {
    /// Values that fit.
    pub valid: u64,
    /// Those of them that are known to the month or year only: the middle stands for it.
    #[serde(default)]
    pub partial: u64,
    /// No value in the source.
    pub missing: u64,
    /// Not readable as the column's type.
    pub wrong_type: u64,
    /// Not a code of the contract.
    pub unknown_code: u64,
    /// Outside the contract's range.
    pub out_of_range: u64,
    /// Those of them that are whole numbers beyond ±2⁵³: most likely they name something.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub inexact: u64,
    /// The source had values, and the mapping's rule gave none, e.g. `nullif(chol, 0)`.
    pub null_by_rule: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Invalid(column) => write!(f, "`{column}` is not valid"),
            Reason::Required(column) => write!(f, "`{column}` has no value"),
            Reason::NoSubject => f.write_str("no patient is named"),
            Reason::RepeatedSubject => f.write_str("the patient has an earlier row"),
            Reason::Rule(rule) => write!(f, "rule `{rule}` fails"),
        }
    }
}
