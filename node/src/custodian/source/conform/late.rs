//! Rules that wait until all rows were read: which rows repeat others is known only then, and another dataset is looked into once.
//!
//! Of a row they keep a [`Key`] of 20 bytes: they are handed out with each batch, put aside with it, and come back part by part to be compared. What is
//! remembered of them is a bit for each row that a rule leaves out, and one for each whose value a rule takes away.

use std::collections::BTreeMap;

use bocage_protocol::ids::ColumnName;
use polars::prelude::{BooleanChunked, DataFrame, IntoColumn as _, NewChunkedArray as _, Series, UInt8Chunked};

use super::evaluate::ROW;
use super::{ID, MARK, Mark};
use crate::custodian::optout::Token;

/// The bytes of a dated key that say whose it is: enough to tell any two patients of a site apart.
const PATIENT_BYTES: usize = 12;

/// What a row has in the columns of one rule, and which row that is. In order, equal ones stand together, the earliest row first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// A digest of the values.
    pub(super) digest: [u8; 16],
    /// The row of the source, from 0.
    pub(super) row: u32,
}

impl Key {
    /// What it takes as bytes.
    pub const BYTES: usize = 20;

    /// Of a patient on a day: a patient's keys stand together, by day.
    pub fn dated(patient: Token, day: i32, row: u32) -> Self {
        let mut digest = patient.to_bytes();
        let day = day.cast_unsigned() ^ (1 << 31);
        digest[PATIENT_BYTES..].copy_from_slice(&day.to_be_bytes());
        Self { digest, row }
    }

    /// Of a patient's row that has this name. Both are tokens, so no two pairs of a site give one.
    pub fn named(patient: Token, name: i64, row: u32) -> Self {
        let mut digest = patient.to_bytes();
        digest.iter_mut().zip(name.to_be_bytes()).for_each(|(byte, of)| *byte ^= of);
        Self { digest, row }
    }

    /// Whose it is, of a dated one.
    pub(super) fn patient(&self) -> &[u8] {
        &self.digest[..PATIENT_BYTES]
    }

    /// To which of so many parts it belongs: equal ones to one.
    pub fn part(&self, parts: usize) -> usize {
        let [a, b, c, d, ..] = self.digest;
        ((u64::from(u32::from_be_bytes([a, b, c, d])) * parts as u64) >> 32) as usize
    }

    /// As bytes.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (digest, row) = bytes.split_at_mut(16);
        digest.copy_from_slice(&self.digest);
        row.copy_from_slice(&self.row.to_le_bytes());
        bytes
    }

    /// From [`Key::to_bytes`].
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let mut key = Self { digest: [0; 16], row: 0 };
        let (digest, row) = bytes.split_at(16);
        key.digest.copy_from_slice(digest);
        key.row = row.first_chunk().map_or(0, |row| u32::from_le_bytes(*row));
        key
    }
}

/// A bit a row of the source.
#[derive(Debug, Default)]
struct Bits(Vec<u64>);

impl Bits {
    /// Whether it was not there before.
    fn add(&mut self, row: u32) -> bool {
        let word = row as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let is_new = !self.has(row);
        self.0[word] |= 1 << (row % 64);
        is_new
    }

    fn has(&self, row: u32) -> bool {
        self.0.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }
}

/// What rules take away when all rows were read.
#[derive(Debug, Default)]
pub struct TakenAway {
    rows: Bits,
    values: BTreeMap<ColumnName, Bits>,
}

impl TakenAway {
    /// A row; whether it was there until now.
    pub(super) fn row(&mut self, row: u32) -> bool {
        self.rows.add(row)
    }

    /// The value that a row has in a column.
    pub(super) fn value(&mut self, column: &ColumnName, row: u32) {
        self.values.entry(column.clone()).or_default().add(row);
    }

    pub(super) fn has_row(&self, row: u32) -> bool {
        self.rows.has(row)
    }

    /// Rows that fit, less those and the values that are taken away, and without their numbers. A row that says that its patient opted out stays for that; none
    /// where the columns are others.
    pub fn out_of(&self, mut rows: DataFrame) -> Option<DataFrame> {
        let Ok(numbers) = rows.drop_in_place(ROW) else { return Some(rows) };
        let numbers = numbers.u32().ok()?;
        for (column, taken) in &self.values {
            let stays = BooleanChunked::from_iter_values(
                "stays".into(),
                numbers.into_no_null_iter().map(|row| !taken.has(row)),
            );
            if stays.all() {
                continue;
            }
            let values = rows.column(column.as_str()).ok()?.as_materialized_series().clone();
            let nothing = Series::full_null(values.name().clone(), values.len(), values.dtype());
            rows.with_column(values.zip_with(&stays, &nothing).ok()?.into_column()).ok()?;
        }
        let marks = rows.column(MARK).ok()?.u8().ok()?;
        let mark = |(row, mark): (u32, u8)| if self.rows.has(row) { Mark::unfit(mark) } else { mark };
        let marks: Vec<u8> = numbers.into_no_null_iter().zip(marks.into_no_null_iter()).map(mark).collect();
        let named = rows.column(ID).is_ok();
        let stays = |mark: &u8| Mark::fits(*mark) || (named && *mark != 0);
        let stay = BooleanChunked::from_iter_values("stay".into(), marks.iter().map(stays));
        rows.with_column(UInt8Chunked::from_vec(MARK.into(), marks).into_column()).ok()?;
        let mut rows = rows.filter(&stay).ok()?;
        rows.rechunk_mut();
        Some(rows)
    }
}
