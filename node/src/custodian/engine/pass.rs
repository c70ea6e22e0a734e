//! The one pass over the selected rows: counts subjects and sums quanta.
//!
//! Rows come sorted by subject, so that a subject is new to a cell exactly if the cell's last subject was another one. That
//! replaces a set of subjects per cell, the dominant cost of such a query. All sums are integers: the order of rows, chunks
//! and threads never shows. Parts that share no subject may be added in any order, by any number of passes that are put
//! together with [`PartCount::absorb`]. It must never trust the order: a subject number that falls is an error.
//!
//! What keeps it short: rows are added in blocks that stay in a core's nearest cache while their cells are looked up and each measure is rounded and added, and a
//! measure without a missing value so far has no counts of its own, for they are its cells'.

use bocage_protocol::plan::{MeasureLayout, Quantum, TableLayout};
use bocage_protocol::tally::{Cell, Size, Sums, Tally};
use polars::prelude::{BooleanType, PolarsDataType};

use super::numbers::NumberSums;
use super::parts::PartCount;
use super::rounding::{BLOCK_ROWS, Block, MISSING, Numbers};
use crate::custodian::gate::{Counted, Detail};

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
pub(super) const NOBODY: u32 = u32::MAX;
/// A chunk of truth values as Polars holds it.
pub type Truths = <BooleanType as PolarsDataType>::Array;

/// A chunk of one measure. Nulls are rows without a value.
#[derive(Clone, Copy)]
pub enum MeasureChunk<'a> {
    /// Of a number.
    Number(&'a Numbers),
    /// Of a condition.
    Condition(&'a Truths),
}

/// The cells of a chunk's rows.
pub trait RowCells {
    /// How many rows there are.
    fn rows(&self) -> usize;

    /// Those of as many rows as there is room for, from row `from` on. What is not there yet is written into the room.
    ///
    /// # Errors
    /// A row is in none.
    fn block<'c>(&'c self, from: usize, room: &'c mut [u32]) -> Result<&'c [u32], PassError>;
}

impl RowCells for [u32] {
    fn rows(&self) -> usize {
        self.len()
    }

    fn block<'c>(&'c self, from: usize, room: &'c mut [u32]) -> Result<&'c [u32], PassError> {
        self.get(from..from + room.len()).ok_or(PassError::Shape)
    }
}

/// A block of rows, of which the first is a chunk's row `from`.
#[derive(Clone, Copy)]
struct Rows<'a> {
    from: usize,
    cells: &'a [u32],
    subjects: &'a [u32],
}

/// Sums so far.
pub struct Pass {
    /// The first and last subject of the part that is being added.
    span: Option<(u32, u32)>,
    /// The gate's threshold.
    k: u32,
    total: Count,
    sizes: Distinct,
    measures: Vec<Measured>,
    block: Block,
}

struct Measured {
    /// Of the rows with a value; none while no value was missing, for it is then the same as of all rows.
    valid: Option<Distinct>,
    values: Values,
}

enum Values {
    Number(Quantum, NumberSums),
    /// `lacks` counts the rows in which it is neither.
    Condition {
        holds: Distinct,
        fails: Distinct,
        lacks: Distinct,
    },
}

/// Rows, subjects, and the last subject seen. A snapshot's subjects are numbered in 32 bits.
#[derive(Clone, Copy)]
struct Count {
    rows: u64,
    subjects: u32,
    last: u32,
}

/// Rows and distinct subjects per cell.
#[derive(Clone)]
struct Distinct(Vec<Count>);

impl Count {
    /// Of nobody.
    const NONE: Self = Self { rows: 0, subjects: 0, last: NOBODY };

    fn size(self) -> Size {
        Size { subjects: self.subjects.into(), rows: self.rows.into() }
    }

    /// Adds a row. A subject's rows come together.
    #[inline(always)]
    fn add(&mut self, subject: u32) {
        self.rows += 1;
        self.subjects += u32::from(self.last != subject);
        self.last = subject;
    }

    /// Adds the count of other subjects.
    fn absorb(&mut self, other: Self) {
        self.rows += other.rows;
        self.subjects += other.subjects;
    }
}

impl Distinct {
    fn new(cells: usize) -> Self {
        Self(vec![Count::NONE; cells])
    }

    #[inline(always)]
    fn add(&mut self, cell: u32, subject: u32) {
        self.0[cell as usize].add(subject);
    }

    fn absorb(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| own.absorb(*other));
    }
}

impl Pass {
    /// The pass over no rows, for a gate with the threshold `k`: tables of this layout, one behind the other.
    pub fn new(layout: &TableLayout, tables: usize, k: u32) -> Self {
        let cells = tables * layout.cells_at(0);
        let values = |layout: &MeasureLayout| match layout {
            MeasureLayout::Number(quantum) => Values::Number(*quantum, NumberSums::new(cells, k)),
            MeasureLayout::Condition => {
                let [holds, fails, lacks] = std::array::from_fn(|_| Distinct::new(cells));
                Values::Condition { holds, fails, lacks }
            }
        };
        let measures = layout.measures().iter().map(|m| Measured { valid: None, values: values(m) }).collect();
        Self { span: None, k, total: Count::NONE, sizes: Distinct::new(cells), measures, block: Block::new() }
    }

    /// Adds a chunk of rows.
    ///
    /// # Errors
    /// See [`PassError`]; the pass is then of no use.
    pub fn add(
        &mut self,
        cells: &(impl RowCells + ?Sized),
        subjects: &[u32],
        measures: &[MeasureChunk<'_>],
    ) -> Result<(), PassError> {
        let lengths = measures.iter().map(|chunk| chunk.rows());
        if measures.len() != self.measures.len() || !lengths.chain([subjects.len()]).all(|rows| rows == cells.rows()) {
            return Err(PassError::Shape);
        }
        let mut room = [0; BLOCK_ROWS];
        for (i, subjects) in subjects.chunks(BLOCK_ROWS).enumerate() {
            self.add_subjects(subjects)?;
            let from = i * BLOCK_ROWS;
            let cells = cells.block(from, &mut room[..subjects.len()])?;
            // No early end, as below.
            let all = u32::try_from(self.sizes.0.len()).unwrap_or(u32::MAX);
            if cells.iter().fold(false, |any, cell| any | (*cell >= all)) {
                return Err(PassError::OutsideTable);
            }
            let rows = Rows { from, cells, subjects };
            for (measured, chunk) in self.measures.iter_mut().zip(measures) {
                measured.add(&self.sizes, rows, *chunk, &mut self.block)?;
            }
            // Last, so that a measure that misses its first value finds the counts of the rows before.
            rows.each().for_each(|(cell, subject)| self.sizes.add(cell, subject));
        }
        Ok(())
    }

    /// Counts the subjects, and checks that they never fall within a part.
    fn add_subjects(&mut self, subjects: &[u32]) -> Result<(), PassError> {
        let (Some(first), Some(last)) = (subjects.first(), subjects.last()) else { return Ok(()) };
        let (begin, previous) = self.span.unwrap_or((*first, NOBODY));
        let continues = previous != NOBODY;
        let (mut falls, mut changes) = (continues && *first < previous, u32::from(!continues || *first != previous));
        // No early end: the compiler compares several at once.
        for (previous, subject) in subjects.iter().zip(&subjects[1..]) {
            falls |= subject < previous;
            changes += u32::from(subject != previous);
        }
        if falls || *last == NOBODY {
            return Err(PassError::Unsorted);
        }
        self.total.subjects += changes;
        self.total.rows += subjects.len() as u64;
        self.span = Some((begin, *last));
        Ok(())
    }

    /// All rows added, counted.
    pub fn finish(self) -> Counted {
        let sizes = &self.sizes;
        let (sums, details): (Vec<Vec<Sums>>, Vec<Detail>) =
            self.measures.into_iter().map(|measured| measured.finish(sizes)).unzip();
        let mut sums: Vec<std::vec::IntoIter<Sums>> = sums.into_iter().map(Vec::into_iter).collect();
        let cell = |count: &Count| {
            // As many as there will be: a list that grows takes twice the room, in every cell.
            let mut measures = Vec::with_capacity(sums.len());
            measures.extend(sums.iter_mut().filter_map(Iterator::next));
            Cell { size: count.size(), measures }
        };
        let tally = Tally { total: self.total.size(), cells: sizes.0.iter().map(cell).collect() };
        Counted { threshold: self.k, tally, details }
    }
}

impl PartCount for Pass {
    fn end_part(&mut self) -> Option<(u32, u32)> {
        self.span.take()
    }

    fn absorb(&mut self, other: Self) -> Result<(), PassError> {
        if self.sizes.0.len() != other.sizes.0.len() || self.measures.len() != other.measures.len() {
            return Err(PassError::Shape);
        }
        for (own, measured) in self.measures.iter_mut().zip(other.measures) {
            own.absorb(measured, &self.sizes, &other.sizes)?;
        }
        self.total.absorb(other.total);
        self.sizes.absorb(&other.sizes);
        Ok(())
    }
}

impl MeasureChunk<'_> {
    fn rows(&self) -> usize {
        match self {
            MeasureChunk::Number(numbers) => numbers.len(),
            MeasureChunk::Condition(truths) => truths.len(),
        }
    }
}

impl Rows<'_> {
    /// Each row's cell and subject.
    #[inline(always)]
    fn each(&self) -> impl Iterator<Item = (u32, u32)> {
        self.cells.iter().copied().zip(self.subjects.iter().copied())
    }
}

impl Measured {
    /// Adds a block of rows. `before` is of all rows before it.
    fn add(
        &mut self,
        before: &Distinct,
        rows: Rows<'_>,
        chunk: MeasureChunk<'_>,
        block: &mut Block,
    ) -> Result<(), PassError> {
        match (&mut self.values, chunk) {
            (Values::Number(quantum, sums), MeasureChunk::Number(numbers)) => {
                let quanta = block.round(numbers, rows.from, rows.cells.len(), quantum);
                if !quanta.complete || self.valid.is_some() {
                    let valid = self.valid.get_or_insert_with(|| before.clone());
                    let has = rows.each().zip(quanta.rows).filter(|(_, q)| **q != MISSING);
                    has.for_each(|((cell, subject), _)| valid.add(cell, subject));
                }
                sums.add(rows.cells, rows.subjects, quanta);
                Ok(())
            }
            (Values::Condition { holds, fails, lacks }, MeasureChunk::Condition(truths)) => {
                let validity = truths.validity();
                if validity.is_some_and(|bits| bits.null_count_range(rows.from, rows.cells.len()) > 0) {
                    self.valid.get_or_insert_with(|| before.clone());
                }
                for (i, (cell, subject)) in (rows.from..).zip(rows.each()) {
                    let has = validity.is_none_or(|bits| bits.get_bit(i));
                    if let (true, Some(valid)) = (has, &mut self.valid) {
                        valid.add(cell, subject);
                    }
                    let side = match has {
                        true if truths.values().get_bit(i) => &mut *holds,
                        true => &mut *fails,
                        false => &mut *lacks,
                    };
                    side.add(cell, subject);
                }
                Ok(())
            }
            _ => Err(PassError::Shape),
        }
    }

    /// The sizes are those of either pass, before they are put together.
    fn absorb(&mut self, other: Self, own_sizes: &Distinct, other_sizes: &Distinct) -> Result<(), PassError> {
        if self.valid.is_some() || other.valid.is_some() {
            let valid = self.valid.get_or_insert_with(|| own_sizes.clone());
            valid.absorb(other.valid.as_ref().unwrap_or(other_sizes));
        }
        match (&mut self.values, other.values) {
            (Values::Number(_, own), Values::Number(_, other)) => own.absorb(other),
            (Values::Condition { holds, fails, lacks }, Values::Condition { holds: h, fails: f, lacks: l }) => {
                holds.absorb(&h);
                fails.absorb(&f);
                lacks.absorb(&l);
            }
            _ => return Err(PassError::Shape),
        }
        Ok(())
    }

    fn finish(self, sizes: &Distinct) -> (Vec<Sums>, Detail) {
        let valid = self.valid.as_ref().unwrap_or(sizes).0.iter().map(|count| count.size());
        match self.values {
            Values::Number(_, sums) => {
                let (sums, spreads) = sums.finish();
                let number = |(valid, (sum, sum_sq))| Sums::Number { valid, sum, sum_sq };
                (valid.zip(sums).map(number).collect(), Detail::Number(spreads))
            }
            Values::Condition { holds, fails, lacks } => {
                let sides = holds.0.into_iter().zip(fails.0);
                let condition = |(valid, (holds, fails)): (Size, (Count, Count))| Sums::Condition {
                    valid,
                    holds: holds.size(),
                    fails: fails.size(),
                };
                let lacking = lacks.0.into_iter().map(|count| count.subjects).collect();
                (valid.zip(sides).map(condition).collect(), Detail::Condition(lacking))
            }
        }
    }
}
