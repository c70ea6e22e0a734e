//! Additive cells with a layout: the only form in which a computation's result exists.
//!
//! All values are integers, so merging is exact: commutative, associative, with [`Tally::zero`] as its zero, and a table's cells are the
//! same bits for any split of rows over sites and any order.

use std::borrow::Cow;

use crate::plan::{MeasureLayout, TableLayout};

/// A table's cells at step 0 of its ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Of the whole cohort: a subject may be in several cells.
    pub total: Size,
    /// One a cell, in the layout's order.
    pub cells: Vec<Cell>,
}

/// How many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Distinct patients.
    pub subjects: i128,
    /// Rows.
    pub rows: i128,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// How many subjects and rows are in it.
    pub size: Size,
    /// One a measure, in the layout's order.
    pub measures: Vec<Sums>,
}

/// What a cell holds of one measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sums {
    /// Of a number.
    Number {
        /// Rows and subjects with a value.
        valid: Size,
        /// Σq.
        sum: i128,
        /// Σq².
        sum_sq: i128,
    },
    /// Of a condition.
    Condition {
        /// Rows and subjects for which it is true or false.
        valid: Size,
        /// Rows and subjects for which it is true.
        holds: Size,
        /// Rows and subjects for which it is false.
        fails: Size,
    },
}

/// Two tallies of different layouts, or a sum beyond 127 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tallies cannot be merged: {0}")]
pub struct MergeError(&'static str);

impl Size {
    fn add(self, other: Self) -> Option<Self> {
        Some(Self { subjects: self.subjects.checked_add(other.subjects)?, rows: self.rows.checked_add(other.rows)? })
    }
}

impl Sums {
    /// The zero of a measure.
    pub fn zero(layout: &MeasureLayout) -> Self {
        let none = Size::default();
        match layout {
            MeasureLayout::Number(_) => Sums::Number { valid: none, sum: 0, sum_sq: 0 },
            MeasureLayout::Condition => Sums::Condition { valid: none, holds: none, fails: none },
        }
    }

    /// The exact sum of two measures' values.
    pub fn merge(&self, other: &Self) -> Result<Self, MergeError> {
        let merged = match (self, other) {
            (Sums::Number { valid, sum, sum_sq }, Sums::Number { valid: v, sum: s, sum_sq: q }) => (|| {
                Some(Sums::Number { valid: valid.add(*v)?, sum: sum.checked_add(*s)?, sum_sq: sum_sq.checked_add(*q)? })
            })(),
            (Sums::Condition { valid, holds, fails }, Sums::Condition { valid: v, holds: h, fails: f }) => {
                (|| Some(Sums::Condition { valid: valid.add(*v)?, holds: holds.add(*h)?, fails: fails.add(*f)? }))()
            }
            _ => return Err(MergeError("a number meets a condition")),
        };
        merged.ok_or(MergeError("overflow"))
    }
}

impl Cell {
    /// An empty cell.
    pub fn zero(layout: &TableLayout) -> Self {
        Self { size: Size::default(), measures: layout.measures().iter().map(Sums::zero).collect() }
    }

    /// The exact sum of two cells.
    pub fn merge(&self, other: &Self) -> Result<Self, MergeError> {
        if self.measures.len() != other.measures.len() {
            return Err(MergeError("different numbers of measures"));
        }
        let measures = self.measures.iter().zip(&other.measures).map(|(a, b)| a.merge(b)).collect::<Result<_, _>>()?;
        Ok(Self { size: self.size.add(other.size).ok_or(MergeError("overflow"))?, measures })
    }
}

impl Tally {
    /// The tally of no rows.
    pub fn zero(layout: &TableLayout) -> Self {
        Self { total: Size::default(), cells: vec![Cell::zero(layout); layout.cells_at(0)] }
    }

    /// The exact sum of two tallies of the same layout.
    pub fn merge(&self, other: &Self) -> Result<Self, MergeError> {
        if self.cells.len() != other.cells.len() {
            return Err(MergeError("different numbers of cells"));
        }
        let cells = self.cells.iter().zip(&other.cells).map(|(a, b)| a.merge(b)).collect::<Result<_, _>>()?;
        Ok(Self { total: self.total.add(other.total).ok_or(MergeError("overflow"))?, cells })
    }

    /// The cells at a step of the ladder: the tally's own, or coarser ones.
    ///
    /// Subjects are added over the cells that fall together, which counts a subject twice that is in two of them; a table whose subjects
    /// have several rows is therefore never rolled up (see the gate).
    pub fn rolled_up(&self, layout: &TableLayout, step: usize) -> Result<Cow<'_, [Cell]>, MergeError> {
        if step == 0 {
            return Ok(Cow::Borrowed(&self.cells));
        }
        let mut cells = vec![Cell::zero(layout); layout.cells_at(step)];
        for (fine, coarse) in self.cells.iter().zip(layout.containing(0, step)) {
            cells[coarse] = cells[coarse].merge(fine)?;
        }
        Ok(Cow::Owned(cells))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::Quantum;

    fn size() -> impl Strategy<Value = Size> {
        (0..1i128 << 40, 0..1i128 << 40).prop_map(|(subjects, rows)| Size { subjects, rows })
    }

    fn cell() -> impl Strategy<Value = Cell> {
        let big = 1i128 << 104;
        (size(), size(), -big..big, 0..big, size(), size()).prop_map(|(size, valid, sum, sum_sq, holds, fails)| Cell {
            size,
            measures: vec![Sums::Number { valid, sum, sum_sq }, Sums::Condition { valid, holds, fails }],
        })
    }

    fn tally() -> impl Strategy<Value = Tally> {
        (size(), prop::collection::vec(cell(), 3)).prop_map(|(total, cells)| Tally { total, cells })
    }

    proptest! {
        #[test]
        fn merging_is_commutative_and_associative_and_has_a_zero(a in tally(), b in tally(), c in tally()) {
            let ab = a.merge(&b).unwrap();
            prop_assert_eq!(&ab, &b.merge(&a).unwrap());
            prop_assert_eq!(ab.merge(&c).unwrap(), a.merge(&b.merge(&c).unwrap()).unwrap());
            let layout = [MeasureLayout::Number(Quantum::of_float_range(0.0, 1.0)), MeasureLayout::Condition];
            let empty = Cell { size: Size::default(), measures: layout.iter().map(Sums::zero).collect() };
            let zero = Tally { total: Size::default(), cells: vec![empty; 3] };
            prop_assert_eq!(a.merge(&zero).unwrap(), a);
        }
    }

    #[test]
    fn tallies_of_other_shapes_or_beyond_127_bits_do_not_merge() {
        let count = |rows| Tally { total: Size { subjects: 0, rows }, cells: vec![] };
        assert!(count(i128::MAX).merge(&count(1)).is_err());
        let other = Tally { total: Size::default(), cells: vec![Cell { size: Size::default(), measures: vec![] }] };
        assert!(count(1).merge(&other).is_err());
    }
}
