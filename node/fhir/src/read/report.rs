//! What was found in an export, by file and line. Never a value.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::json::Malformed;
use crate::path::Trouble;

/// How many places of a finding are kept.
const PLACES: usize = 5;
/// How many damaged files are named.
const DAMAGED_FILES: usize = 100;

/// What is wrong with a line or an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error)]
pub enum What {
    /// It is longer than a resource may be.
    #[error("longer than a resource may be: left out")]
    TooLong,
    /// It is no UTF-8.
    #[error("no UTF-8: left out")]
    NotUtf8,
    /// It is no JSON.
    #[error("{0}: left out")]
    Malformed(Malformed),
    /// It is JSON, and no resource.
    #[error("no `resourceType`: left out")]
    Typeless,
    /// It does not fit the view.
    #[error("{0}: left out")]
    Unfit(Trouble),
    /// Its type has the id of one that was read before.
    #[error("the id of a resource that was there before: kept, so it counts twice")]
    Twice,
    /// A Bundle in which something is wrong.
    #[error("a Bundle without entries that could be read: left out")]
    NoEntries,
    /// Versions of resources instead of their state.
    #[error("a Bundle of type `history`, which holds versions: left out (export the current state)")]
    History,
    /// Two entries of a Bundle have one name.
    #[error("a `fullUrl` that another entry of the Bundle has too: references to it are ambiguous")]
    SameUrl,
}

impl What {
    /// Whether what was found gives no row.
    pub fn leaves_out(&self) -> bool {
        !matches!(self, What::Twice | What::SameUrl)
    }
}

/// A finding: what, and in which column of the view.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// What is wrong.
    pub what: What,
    /// The column, where it is one column's.
    pub column: Option<String>,
}

/// Where something was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// The line, from 1; of a file that is one piece, the value in it.
    pub line: u64,
    /// The entry of a Bundle, from 1.
    pub entry: Option<u64>,
}

/// How often something was found, and where first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Places {
    /// How often.
    pub count: u64,
    /// The first few.
    pub first: Vec<Place>,
}

/// What reading found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Resources of the view's type, left out ones too.
    pub resources: u64,
    /// Resources of other types, which were passed over.
    pub others: u64,
    /// Rows that were made.
    pub rows: u64,
    /// Resources that gave no row, since something is wrong with them.
    pub left_out: u64,
    /// References that name nothing that could be looked up.
    pub unresolved: u64,
    /// Rows that only refer to what their columns should say.
    pub looked_up: u64,
    /// Those that refer to a resource which the export does not have.
    pub not_found: u64,
    /// Files that were left out as a whole, since they are damaged.
    pub damaged: u64,
    /// The first of them.
    pub damaged_files: Vec<DamagedFile>,
    /// What is wrong, most severe kinds first.
    #[serde(with = "pairs")]
    pub findings: BTreeMap<Finding, Places>,
}

/// A file that was left out as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedFile {
    /// Its name.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Findings in formats whose keys are texts.
mod pairs {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::{BTreeMap, Finding, Places};

    pub(super) fn serialize<S: Serializer>(found: &BTreeMap<Finding, Places>, to: S) -> Result<S::Ok, S::Error> {
        found.iter().collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<Finding, Places>, D::Error> {
        Vec::deserialize(from).map(|found| found.into_iter().collect())
    }
}

impl Report {
    pub(super) fn add(&mut self, what: What, column: Option<&str>, place: Place) {
        let finding = Finding { what, column: column.map(str::to_owned) };
        let places = self.findings.entry(finding).or_default();
        places.count += 1;
        if places.first.len() < PLACES {
            places.first.push(place);
        }
    }

    pub(super) fn damaged(&mut self, file: &str, reason: String) {
        self.damaged += 1;
        if self.damaged_files.len() < DAMAGED_FILES {
            self.damaged_files.push(DamagedFile { file: file.to_owned(), reason });
        }
    }

    /// Adds what was found behind all that is in here.
    pub(super) fn append(&mut self, other: Self) {
        self.resources += other.resources;
        self.others += other.others;
        self.rows += other.rows;
        self.left_out += other.left_out;
        self.unresolved += other.unresolved;
        self.looked_up += other.looked_up;
        self.not_found += other.not_found;
        self.damaged += other.damaged;
        let room = DAMAGED_FILES - self.damaged_files.len();
        self.damaged_files.extend(other.damaged_files.into_iter().take(room));
        for (finding, more) in other.findings {
            let places = self.findings.entry(finding).or_default();
            places.count += more.count;
            places.first.extend(more.first.into_iter().take(PLACES - places.first.len()));
        }
    }

    /// How often `what` was found.
    pub fn count(&self, what: What) -> u64 {
        self.findings.iter().filter(|(finding, _)| finding.what == what).map(|(_, places)| places.count).sum()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        match self.entry {
            Some(entry) => write!(f, " entry {entry}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(column) = &self.column {
            write!(f, "column `{column}`: ")?;
        }
        write!(f, "{}", self.what)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} resources, {} rows", self.resources, self.rows)?;
        if self.unresolved > 0 {
            write!(f, "\n  {} references name nothing that could be looked up", self.unresolved)?;
        }
        for DamagedFile { file, reason } in &self.damaged_files {
            write!(f, "\n  {file} was left out as a whole: {reason}")?;
        }
        for (finding, places) in &self.findings {
            let first: Vec<String> = places.first.iter().map(Place::to_string).collect();
            let more = if places.count > first.len() as u64 { ", …" } else { "" };
            write!(f, "\n  {} × {finding} ({}{more})", places.count, first.join(", "))?;
        }
        Ok(())
    }
}
