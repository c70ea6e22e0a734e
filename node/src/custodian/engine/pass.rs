//! The one pass over the selected rows: counts subjects and sums quanta.
//!
//! Rows come sorted by subject, so that a subject is new to a cell exactly if the cell's last subject was another one. That
//! replaces a set of subjects per cell, the dominant cost of such a query. All sums are integers: the order of rows, chunks
//! and threads never shows. Parts that share no subject may be added in any order, by any number of passes that are put
//! together with [`PartCount::absorb`]. It must never trust the order: a subject number that falls is an error.
//!
//! What keeps the loop short: counts and Σq stand in 64 bits ([`FLUSH_ROWS`] says why that is enough), and a measure without a
//! missing value so far has no counts of its own, for they are its cells'. How different a number's values are is looked at only
//! until they are different enough for the gate ([`Spread`]); from then on it costs one branch a row.

use bocage_protocol::plan::{MeasureLayout, Quantum, TableLayout};
use bocage_protocol::tally::{Cell, Size, Sums, Tally};
use polars::prelude::{BooleanType, Int64Type, PolarsDataType};

use super::parts::PartCount;
use crate::custodian::gate::{Counted, Detail, Spread};

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
/// So many rows' Σq fit 64 bits whatever their values: |q| ≤ 2³², and 2³⁰ · 2³² < 2⁶³.
const FLUSH_ROWS: u64 = 1 << 30;
const _: () = assert!((FLUSH_ROWS as i128) * (Quantum::LARGEST as i128) < i64::MAX as i128);

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
    /// The first and last subject of the part that is being added.
    span: Option<(u32, u32)>,
    /// The gate's threshold.
    k: u32,
    total: Count,
    sizes: Distinct,
    measures: Vec<Measured>,
}

struct Measured {
    /// Of the rows with a value; none while no value was missing, for it is then the same as of all rows.
    valid: Option<Distinct>,
    values: Values,
}

enum Values {
    Number(Numbers),
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

/// What is summed of one cell's rows with a value. 32 bytes.
#[derive(Clone, Copy)]
struct Sum {
    sum_sq: i128,
    /// Σq.
    sum: i64,
    /// The last subject that was looked at.
    last: u32,
    /// Whether the values are not different enough yet.
    narrow: bool,
}

/// Σq and Σq² per cell, and how different the values are.
struct Numbers {
    k: u32,
    sums: Vec<Sum>,
    spreads: Vec<Spread>,
    /// Rows added since Σq was last moved to `flushed`.
    pending: u64,
    flushed: Vec<i128>,
}

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
    fn add(&mut self, cell: usize, subject: u32) {
        self.0[cell].add(subject);
    }

    fn absorb(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| own.absorb(*other));
    }
}

impl Numbers {
    fn new(cells: usize, k: u32) -> Self {
        let spread = Spread::new(k);
        let sum = Sum { sum_sq: 0, sum: 0, last: NOBODY, narrow: !spread.is_wide() };
        Self { k, sums: vec![sum; cells], spreads: vec![spread; cells], pending: 0, flushed: vec![0; cells] }
    }

    #[inline(always)]
    fn add(&mut self, cell: usize, subject: u32, q: i64) {
        let sums = &mut self.sums[cell];
        sums.sum += q;
        sums.sum_sq += i128::from(q) * i128::from(q);
        if sums.narrow && sums.last != subject {
            self.look_at(cell, subject, q);
        }
    }

    /// The first value of a subject in a cell whose values are not different enough yet.
    #[cold]
    #[inline(never)]
    fn look_at(&mut self, cell: usize, subject: u32, q: i64) {
        let (sums, spread) = (&mut self.sums[cell], &mut self.spreads[cell]);
        spread.add(q, 1, self.k);
        (sums.last, sums.narrow) = (subject, !spread.is_wide());
    }

    /// To be called before so many rows are added.
    fn expect(&mut self, rows: usize) {
        self.pending += rows as u64;
        if self.pending > FLUSH_ROWS {
            self.flush();
            self.pending = rows as u64;
        }
    }

    fn flush(&mut self) {
        for (sums, flushed) in self.sums.iter_mut().zip(&mut self.flushed) {
            *flushed += i128::from(std::mem::take(&mut sums.sum));
        }
        self.pending = 0;
    }

    fn absorb(&mut self, mut other: Self) {
        other.flush();
        for (cell, (sums, flushed)) in other.sums.iter().zip(other.flushed).enumerate() {
            self.flushed[cell] += flushed;
            self.spreads[cell].absorb(&other.spreads[cell], self.k);
            let own = &mut self.sums[cell];
            own.sum_sq += sums.sum_sq;
            own.narrow = !self.spreads[cell].is_wide();
        }
    }
}

impl Pass {
    /// The pass over no rows, for a gate with the threshold `k`: tables of this layout, one behind the other.
    pub fn new(layout: &TableLayout, tables: usize, k: u32) -> Self {
        let cells = tables * layout.cells_at(0);
        let values = |layout: &MeasureLayout| match layout {
            MeasureLayout::Number(_) => Values::Number(Numbers::new(cells, k)),
            MeasureLayout::Condition => {
                let [holds, fails, lacks] = std::array::from_fn(|_| Distinct::new(cells));
                Values::Condition { holds, fails, lacks }
            }
        };
        let measures = layout.measures().iter().map(|m| Measured { valid: None, values: values(m) }).collect();
        Self { span: None, k, total: Count::NONE, sizes: Distinct::new(cells), measures }
    }

    /// Adds a chunk of rows.
    ///
    /// # Errors
    /// See [`PassError`]; the pass is then of no use.
    pub fn add(&mut self, cells: &[u32], subjects: &[u32], measures: &[MeasureChunk<'_>]) -> Result<(), PassError> {
        if cells.len() != subjects.len() || measures.len() != self.measures.len() {
            return Err(PassError::Shape);
        }
        let table = self.sizes.0.len();
        if cells.iter().copied().max().is_some_and(|largest| largest as usize >= table) {
            return Err(PassError::OutsideTable);
        }
        self.add_subjects(subjects)?;
        for (measured, chunk) in self.measures.iter_mut().zip(measures) {
            measured.add(&self.sizes, cells, subjects, *chunk)?;
        }
        // Last, so that a measure that misses its first value finds the counts of the rows before.
        cells.iter().zip(subjects).for_each(|(cell, subject)| self.sizes.add(*cell as usize, *subject));
        Ok(())
    }

    /// Counts the subjects, and checks that they never fall within a part.
    fn add_subjects(&mut self, subjects: &[u32]) -> Result<(), PassError> {
        let (Some(first), Some(last)) = (subjects.first(), subjects.last()) else { return Ok(()) };
        let (begin, previous) = self.span.unwrap_or((*first, NOBODY));
        let continues = previous != NOBODY;
        let falls = (continues && *first < previous) || subjects.windows(2).any(|pair| pair[1] < pair[0]);
        if falls || *last == NOBODY {
            return Err(PassError::Unsorted);
        }
        let changes = subjects.windows(2).map(|pair| u32::from(pair[0] != pair[1])).sum::<u32>();
        self.total.subjects += changes + u32::from(!continues || *first != previous);
        self.total.rows += subjects.len() as u64;
        self.span = Some((begin, *last));
        Ok(())
    }

    /// All rows added, counted.
    pub fn finish(self) -> Counted {
        let sizes = &self.sizes;
        let (sums, details): (Vec<Vec<Sums>>, Vec<Detail>) =
            self.measures.into_iter().map(|measured| measured.finish(sizes)).unzip();
        let mut measures: Vec<std::vec::IntoIter<Sums>> = sums.into_iter().map(Vec::into_iter).collect();
        let cell = |count: &Count| Cell {
            size: count.size(),
            measures: measures.iter_mut().filter_map(Iterator::next).collect(),
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

impl Measured {
    /// `before` is of all rows before this chunk.
    fn add(
        &mut self,
        before: &Distinct,
        cells: &[u32],
        subjects: &[u32],
        chunk: MeasureChunk<'_>,
    ) -> Result<(), PassError> {
        let (rows, validity) = match chunk {
            MeasureChunk::Number(quanta) => (quanta.len(), quanta.validity()),
            MeasureChunk::Condition(truths) => (truths.len(), truths.validity()),
        };
        if rows != cells.len() {
            return Err(PassError::Shape);
        }
        let validity = validity.filter(|bits| bits.unset_bits() > 0);
        if validity.is_some() && self.valid.is_none() {
            self.valid = Some(before.clone());
        }
        if let Some(valid) = &mut self.valid {
            let rows = cells.iter().zip(subjects);
            match validity {
                None => rows.for_each(|(cell, subject)| valid.add(*cell as usize, *subject)),
                Some(bits) => rows
                    .zip(bits.iter())
                    .filter(|(_, has)| *has)
                    .for_each(|((cell, subject), _)| valid.add(*cell as usize, *subject)),
            }
        }
        match (&mut self.values, chunk) {
            (Values::Number(numbers), MeasureChunk::Number(quanta)) => {
                numbers.expect(rows);
                let rows = cells.iter().zip(subjects).zip(quanta.values().as_slice());
                match validity {
                    None => rows.for_each(|((cell, subject), q)| numbers.add(*cell as usize, *subject, *q)),
                    Some(bits) => rows
                        .zip(bits.iter())
                        .filter(|(_, has)| *has)
                        .for_each(|(((cell, subject), q), _)| numbers.add(*cell as usize, *subject, *q)),
                }
                Ok(())
            }
            (Values::Condition { holds, fails, lacks }, MeasureChunk::Condition(truths)) => {
                for (i, ((cell, subject), truth)) in cells.iter().zip(subjects).zip(truths.values().iter()).enumerate()
                {
                    let side = match validity.is_none_or(|bits| bits.get_bit(i)) {
                        true if truth => &mut *holds,
                        true => &mut *fails,
                        false => &mut *lacks,
                    };
                    side.add(*cell as usize, *subject);
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
            (Values::Number(own), Values::Number(other)) => own.absorb(other),
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
            Values::Number(mut numbers) => {
                numbers.flush();
                let sums = numbers.flushed.into_iter().zip(numbers.sums);
                let number = |(valid, (sum, Sum { sum_sq, .. }))| Sums::Number { valid, sum, sum_sq };
                (valid.zip(sums).map(number).collect(), Detail::Number(numbers.spreads))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_the_largest_quanta_move_on_before_they_overflow() {
        let mut numbers = Numbers::new(1, 1);
        // As if so many rows of the largest value had come already.
        numbers.expect(FLUSH_ROWS as usize);
        numbers.sums[0].sum = FLUSH_ROWS as i64 * Quantum::LARGEST;
        for _ in 0..2 {
            numbers.expect(FLUSH_ROWS as usize);
            numbers.sums[0].sum += FLUSH_ROWS as i64 * Quantum::LARGEST;
        }
        numbers.add(0, 0, -Quantum::LARGEST);
        numbers.flush();
        let largest = i128::from(Quantum::LARGEST);
        assert_eq!(numbers.flushed[0], (3 * i128::from(FLUSH_ROWS) - 1) * largest);
        assert_eq!((numbers.sums[0].sum, numbers.sums[0].sum_sq), (0, largest * largest));
    }
}
