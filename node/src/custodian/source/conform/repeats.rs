//! Rows that repeat an earlier one in the columns of a `duplicate` rule.
//!
//! Only when all rows were read is it known which of them do. A row's [`Key`] is 20 bytes, and there are as many as rows: they are handed out with each batch, put
//! aside with it, and come back part by part to be compared. What is remembered of them is a bit for each row that a rule leaves out.

use polars::prelude::{BooleanChunked, DataFrame, IntoColumn as _, NewChunkedArray as _, UInt8Chunked};

use super::evaluate::ROW;
use super::{ID, MARK, Mark};

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

/// Rows of a source that are left out since they repeat others: a bit a row.
#[derive(Debug, Default)]
pub struct Repeated(Vec<u64>);

impl Repeated {
    pub(super) fn add(&mut self, row: u32) {
        let word = row as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (row % 64);
    }

    pub(super) fn has(&self, row: u32) -> bool {
        self.0.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Rows that fit, less those that are left out, and without their numbers. One that says that its patient opted out stays for that; none where the columns
    /// are others.
    pub fn taken_out_of(&self, mut rows: DataFrame) -> Option<DataFrame> {
        let Ok(numbers) = rows.drop_in_place(ROW) else { return Some(rows) };
        let marks = rows.column(MARK).ok()?.u8().ok()?;
        let mark = |(row, mark): (u32, u8)| if self.has(row) { Mark::unfit(mark) } else { mark };
        let marks: Vec<u8> = numbers.u32().ok()?.into_no_null_iter().zip(marks.into_no_null_iter()).map(mark).collect();
        let named = rows.column(ID).is_ok();
        let stays = |mark: &u8| Mark::fits(*mark) || (named && *mark != 0);
        let stay = BooleanChunked::from_iter_values("stay".into(), marks.iter().map(stays));
        rows.with_column(UInt8Chunked::from_vec(MARK.into(), marks).into_column()).ok()?;
        let mut rows = rows.filter(&stay).ok()?;
        rows.rechunk_mut();
        Some(rows)
    }
}
