//! For how many of its rows a number stands. What follows from such numbers stands for no more, and says so as they do.

use std::ops::Range;

use crate::api::types::{Block, Coverage, Interval, Value};

impl Coverage {
    /// Of so many at the sites that show it, which are not all: how many the others have is not known.
    pub(super) fn of_some_sites(n: u64) -> Self {
        Self { row: 0, column: 0, n, of: Interval(n, None), off: 0 }
    }

    /// Of two groups together.
    pub(super) fn and(&self, other: &Self) -> Self {
        let most = self.of.1.zip(other.of.1).map(|(one, other)| one + other);
        let of = Interval(self.of.0 + other.of.0, most);
        Self { n: self.n + other.n, of, off: self.off + other.off, ..self.clone() }
    }
}

impl Block {
    /// What a value stands for, where it says so.
    pub(super) fn coverage_of(&self, row: usize, column: usize) -> Option<&Coverage> {
        self.coverage.iter().find(|coverage| (coverage.row, coverage.column) == (row, column))
    }

    /// The published values of a row in these columns follow from numbers that stand for so much.
    pub(super) fn cover(&mut self, row: usize, columns: Range<usize>, by: Option<&Coverage>) {
        let Some(by) = by else { return };
        let is_number = |value: &Value| matches!(value, Value::Count(_) | Value::Number(_));
        let published = |column: &usize| self.rows.get(row).and_then(|of| of.get(*column)).is_some_and(is_number);
        let covered = columns.filter(published).map(|column| Coverage { row, column, ..by.clone() });
        self.coverage.extend(covered.collect::<Vec<_>>());
    }
}

#[cfg(test)]
impl Block {
    /// The numbers, from a column on, that do not say that they stand for part of their rows.
    pub(super) fn unmarked(&self, from: usize) -> Vec<(usize, usize)> {
        let partly = |at: &(usize, usize)| {
            self.coverage_of(at.0, at.1).is_some_and(|covered| covered.of != Interval(covered.n, Some(covered.n)))
        };
        let is_number = |at: &(usize, usize)| matches!(self.rows[at.0][at.1], Value::Count(_) | Value::Number(_));
        let all = (0..self.rows.len()).flat_map(|row| (from..self.columns.len()).map(move |column| (row, column)));
        all.filter(is_number).filter(|at| !partly(at)).collect()
    }
}
