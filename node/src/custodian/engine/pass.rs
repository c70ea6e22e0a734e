//! The one pass over the selected rows: counts subjects and sums quanta.
//!
//! Rows come sorted by subject, so that a subject is new to a cell exactly if the cell's last subject was another one. That
//! replaces a set of subjects per cell, the dominant cost of such a query. All sums are integers: the order of rows, chunks
//! and threads never shows. It must never trust the order: a subject number that falls is an error.

use bocage_protocol::plan::{MeasureLayout, TableLayout};
use bocage_protocol::tally::{Cell, Size, Sums, Tally};
use polars::prelude::{BooleanType, Int64Type, PolarsDataType};

/// Why the rows cannot be counted. Each means a damaged snapshot or a fault of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PassError {
    /// The subject numbers fall somewhere.
    #[error("the snapshot's rows are not sorted by subject")]
    Unsorted,
    /// A row's cell is not in the table, or it has none.
    #[error("a row is in no cell of the table")]
    OutsideTable,
    /// Columns of different lengths or kinds.
    #[error("the selected columns do not fit the plan")]
    Shape,
}

/// No subject has this number.
const NOBODY: u32 = u32::MAX;

/// A chunk of quanta as Polars holds it.
pub type Quanta = <Int64Type as PolarsDataType>::Array;
/// A chunk of truth values as Polars holds it.
pub type Truths = <BooleanType as PolarsDataType>::Array;

/// A chunk of one measure. Nulls are rows without a value.
#[derive(Clone, Copy)]
pub enum MeasureChunk<'a> {
    /// Of a number.
    Number(&'a Quanta),
    /// Of a condition.
    Condition(&'a Truths),
}

/// Sums so far.
pub struct Pass {
    previous: u32,
    total: Size,
    sizes: Distinct,
    measures: Vec<Measured>,
}

enum Measured {
    Number { valid: Distinct, sums: Vec<(i128, i128)> },
    Condition { valid: Distinct, holds: Distinct, fails: Distinct },
}

/// Rows and distinct subjects per cell.
struct Distinct {
    last: Vec<u32>,
    sizes: Vec<Size>,
}

impl Distinct {
    fn new(cells: usize) -> Self {
        Self { last: vec![NOBODY; cells], sizes: vec![Size::default(); cells] }
    }

    #[inline]
    fn add(&mut self, cell: usize, subject: u32) {
        self.sizes[cell].rows += 1;
        if self.last[cell] != subject {
            self.last[cell] = subject;
            self.sizes[cell].subjects += 1;
        }
    }
}

impl Pass {
    /// The pass over no rows.
    pub fn new(layout: &TableLayout) -> Self {
        let cells = layout.cells_at(0);
        let measured = |layout: &MeasureLayout| match layout {
            MeasureLayout::Number(_) => Measured::Number { valid: Distinct::new(cells), sums: vec![(0, 0); cells] },
            MeasureLayout::Condition => Measured::Condition {
                valid: Distinct::new(cells),
                holds: Distinct::new(cells),
                fails: Distinct::new(cells),
            },
        };
        Self {
            previous: NOBODY,
            total: Size::default(),
            sizes: Distinct::new(cells),
            measures: layout.measures().iter().map(measured).collect(),
        }
    }

    /// Adds a chunk of rows.
    ///
    /// # Errors
    /// See [`PassError`]; the pass is then of no use.
    pub fn add(&mut self, cells: &[u32], subjects: &[u32], measures: &[MeasureChunk<'_>]) -> Result<(), PassError> {
        if cells.len() != subjects.len() || measures.len() != self.measures.len() {
            return Err(PassError::Shape);
        }
        self.add_sizes(cells, subjects)?;
        for (measured, chunk) in self.measures.iter_mut().zip(measures) {
            measured.add(cells, subjects, *chunk)?;
        }
        Ok(())
    }

    fn add_sizes(&mut self, cells: &[u32], subjects: &[u32]) -> Result<(), PassError> {
        let table = self.sizes.sizes.len();
        for (cell, subject) in cells.iter().zip(subjects) {
            if *subject != self.previous {
                let falls = self.previous != NOBODY && *subject < self.previous;
                if falls || *subject == NOBODY {
                    return Err(PassError::Unsorted);
                }
                self.previous = *subject;
                self.total.subjects += 1;
            }
            let cell = *cell as usize;
            if cell >= table {
                return Err(PassError::OutsideTable);
            }
            self.sizes.add(cell, *subject);
        }
        self.total.rows += cells.len() as i128;
        Ok(())
    }

    /// The tally of all rows added.
    pub fn finish(self) -> Tally {
        let mut measures: Vec<std::vec::IntoIter<Sums>> =
            self.measures.into_iter().map(|m| m.finish().into_iter()).collect();
        let cell = |size: Size| Cell { size, measures: measures.iter_mut().filter_map(Iterator::next).collect() };
        Tally { total: self.total, cells: self.sizes.sizes.into_iter().map(cell).collect() }
    }
}

impl Measured {
    fn add(&mut self, cells: &[u32], subjects: &[u32], chunk: MeasureChunk<'_>) -> Result<(), PassError> {
        let rows = cells.iter().map(|c| *c as usize).zip(subjects.iter().copied()).enumerate();
        match (self, chunk) {
            (Measured::Number { valid, sums }, MeasureChunk::Number(quanta)) if quanta.len() == cells.len() => {
                let values = quanta.values().as_slice();
                let mut add = |i: usize, cell: usize, subject: u32| {
                    valid.add(cell, subject);
                    let q = i128::from(values[i]);
                    sums[cell].0 += q;
                    sums[cell].1 += q * q;
                };
                match quanta.validity() {
                    None => rows.for_each(|(i, (cell, subject))| add(i, cell, subject)),
                    Some(is_valid) => rows
                        .filter(|(i, _)| is_valid.get_bit(*i))
                        .for_each(|(i, (cell, subject))| add(i, cell, subject)),
                }
                Ok(())
            }
            (Measured::Condition { valid, holds, fails }, MeasureChunk::Condition(truths))
                if truths.len() == cells.len() =>
            {
                let (values, validity) = (truths.values(), truths.validity());
                for (i, (cell, subject)) in rows.filter(|(i, _)| validity.is_none_or(|v| v.get_bit(*i))) {
                    valid.add(cell, subject);
                    let side = if values.get_bit(i) { &mut *holds } else { &mut *fails };
                    side.add(cell, subject);
                }
                Ok(())
            }
            _ => Err(PassError::Shape),
        }
    }

    fn finish(self) -> Vec<Sums> {
        match self {
            Measured::Number { valid, sums } => valid
                .sizes
                .into_iter()
                .zip(sums)
                .map(|(valid, (sum, sum_sq))| Sums::Number { valid, sum, sum_sq })
                .collect(),
            Measured::Condition { valid, holds, fails } => valid
                .sizes
                .into_iter()
                .zip(holds.sizes)
                .zip(fails.sizes)
                .map(|((valid, holds), fails)| Sums::Condition { valid, holds, fails })
                .collect(),
        }
    }
}
