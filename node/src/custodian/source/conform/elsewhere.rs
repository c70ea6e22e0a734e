//! Rules that look into another dataset of the node: what is noted of each row, and what is found when all rows, and that dataset's, are there.

use bocage_protocol::contract::{Check, Contract, Precision};
use bocage_protocol::ids::ColumnName;
use polars::prelude::{Column, DataFrame, DataType};

use super::late::Key;
use crate::custodian::optout::Token;

const DAY_MS: i64 = 86_400_000;

/// One rule.
pub(super) struct Elsewhere<'a> {
    check: &'a Check,
    column: &'a ColumnName,
    precision: Option<Precision>,
    /// Of the rows that nobody took yet.
    pub(super) keys: Vec<Key>,
    /// Why it is not looked at, where it is not.
    pub(super) unheld: Option<String>,
}

/// Rows on which keys are noted.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// As a snapshot has them.
    pub(super) rows: &'a DataFrame,
    /// Their numbers in the source.
    pub(super) numbers: &'a [u32],
    /// Their patients.
    pub(super) patients: &'a [Token],
    /// Which of them stand in the snapshot, as far as is known.
    pub(super) fit: &'a [bool],
}

impl<'a> Elsewhere<'a> {
    /// A rule about a column.
    pub(super) fn new(check: &'a Check, column: &'a ColumnName, contract: &Contract, unheld: Option<String>) -> Self {
        let precision = contract.column(column.as_str()).and_then(|column| column.precision);
        Self { check, column, precision, keys: Vec::new(), unheld }
    }

    /// What is looked for, where it is.
    pub(super) fn held(&self) -> Option<&'a Check> {
        self.unheld.is_none().then_some(self.check)
    }

    /// Notes the keys of rows that have a value.
    pub(super) fn note(&mut self, of: Rows<'_>) -> Result<(), &'static str> {
        let column = of.rows.column(self.column.as_str()).map_err(|_| "finding a rule's column")?;
        let seen = seen(self.check, column, self.precision, Side::Own).ok_or("reading a rule's column")?;
        let each = of.numbers.iter().zip(of.patients).zip(of.fit).zip(seen);
        self.keys.extend(
            each.filter_map(|(((row, patient), fit), seen)| seen.filter(|_| *fit).map(|seen| seen.key(*patient, *row))),
        );
        Ok(())
    }

    /// The rows that fail, of some that are in order, beside all keys of the other dataset which any of them could find.
    pub(super) fn failing(&self, rows: &[Key], mut theirs: Vec<Key>) -> Vec<u32> {
        theirs.sort_unstable();
        let mut theirs = theirs.iter().peekable();
        let fails = |key: &&Key| match self.check {
            Check::Dangling { .. } => {
                while theirs.next_if(|other| other.digest < key.digest).is_some() {}
                theirs.peek().is_none_or(|other| other.digest != key.digest)
            }
            // Of several births of a patient, the first.
            _ => {
                while theirs.next_if(|other| other.patient() < key.patient()).is_some() {}
                theirs.peek().is_some_and(|born| born.patient() == key.patient() && key.digest < born.digest)
            }
        };
        rows.iter().filter(fails).map(|key| key.row).collect()
    }
}

/// What a rule sees of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The token of a row's name.
    Name(i64),
    /// A day.
    Day(i32),
}

impl Seen {
    /// The key by which a patient's row is found.
    pub fn key(self, patient: Token, row: u32) -> Key {
        match self {
            Seen::Name(name) => Key::named(patient, name, row),
            Seen::Day(day) => Key::dated(patient, day, row),
        }
    }
}

/// Whose rows these are. Of the days that a day may stand for an event's is the last, and a birth's the first: only what is surely wrong is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The dataset's own.
    Own,
    /// Those of the other.
    Other,
}

/// What a rule sees in the rows of a column, as a snapshot has it; none where that is of another type.
pub fn seen(check: &Check, column: &Column, precision: Option<Precision>, side: Side) -> Option<Vec<Option<Seen>>> {
    if matches!(check, Check::Dangling { .. }) {
        return Some(column.i64().ok()?.iter().map(|name| name.map(Seen::Name)).collect());
    }
    let meant = |day: i32| {
        let days = precision.map_or(day..=day, |precision| precision.meant(day));
        Seen::Day(if side == Side::Own { *days.end() } else { *days.start() })
    };
    // A moment is of the day that it has in UTC: dates have no zone.
    let of_moment = |ms: i64| i32::try_from(ms.div_euclid(DAY_MS)).ok().map(meant);
    match column.dtype() {
        DataType::Int32 => Some(column.i32().ok()?.iter().map(|day| day.map(meant)).collect()),
        DataType::Int64 => Some(column.i64().ok()?.iter().map(|ms| ms.and_then(of_moment)).collect()),
        _ => None,
    }
}
