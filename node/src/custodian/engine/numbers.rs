//! The sums of one measure of numbers, cell by cell.
//!
//! What keeps the loop short: Σq stands in 64 bits ([`FLUSH_ROWS`] says why that is enough), and how different a cell's values are is looked at
//! only until they are different enough for the gate ([`Spread`]); from then on it costs one branch a row.

use bocage_protocol::plan::Quantum;

use super::pass::NOBODY;
use super::rounding::{MISSING, Quanta};
use crate::custodian::gate::Spread;

/// So many rows' Σq fit 64 bits whatever their values: |q| ≤ 2³², and 2³⁰ · 2³² < 2⁶³.
const FLUSH_ROWS: u64 = 1 << 30;
const _: () = assert!((FLUSH_ROWS as i128) * (Quantum::LARGEST as i128) < i64::MAX as i128);

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
pub struct NumberSums {
    k: u32,
    sums: Vec<Sum>,
    spreads: Vec<Spread>,
    /// Rows added since Σq was last moved to `flushed`.
    pending: u64,
    flushed: Vec<i128>,
}

impl Sum {
    #[inline(always)]
    fn add<'s>(&mut self, subject: u32, q: i64, spread: impl FnOnce() -> &'s mut Spread, k: u32) {
        self.sum += q;
        self.sum_sq += i128::from(q) * i128::from(q);
        if self.narrow && self.last != subject {
            self.look_at(subject, q, spread(), k);
        }
    }

    /// The first value of a subject in a cell whose values are not different enough yet.
    #[cold]
    #[inline(never)]
    fn look_at(&mut self, subject: u32, q: i64, spread: &mut Spread, k: u32) {
        spread.add(q, 1, k);
        (self.last, self.narrow) = (subject, !spread.is_wide());
    }
}

impl NumberSums {
    /// Of no rows, under a threshold of `k`.
    pub fn new(cells: usize, k: u32) -> Self {
        let spread = Spread::new(k);
        let sum = Sum { sum_sq: 0, sum: 0, last: NOBODY, narrow: !spread.is_wide() };
        Self { k, sums: vec![sum; cells], spreads: vec![spread; cells], pending: 0, flushed: vec![0; cells] }
    }

    /// Adds a block of rows; those whose quanta are [`MISSING`] count nowhere.
    pub fn add(&mut self, cells: &[u32], subjects: &[u32], quanta: Quanta<'_>) {
        self.expect(quanta.rows.len());
        // Apart, so that nothing of `self` is read again for every row.
        let (k, sums, spreads) = (self.k, self.sums.as_mut_slice(), self.spreads.as_mut_slice());
        let rows =
            cells.iter().zip(subjects).zip(quanta.rows).map(|((cell, subject), q)| (*cell as usize, *subject, *q));
        if quanta.complete {
            rows.for_each(|(cell, subject, q)| sums[cell].add(subject, q, || &mut spreads[cell], k));
        } else {
            let rows = rows.filter(|(.., q)| *q != MISSING);
            rows.for_each(|(cell, subject, q)| sums[cell].add(subject, q, || &mut spreads[cell], k));
        }
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

    /// Adds what other subjects have.
    pub fn absorb(&mut self, mut other: Self) {
        other.flush();
        for (cell, (sums, flushed)) in other.sums.iter().zip(other.flushed).enumerate() {
            self.flushed[cell] += flushed;
            self.spreads[cell].absorb(&other.spreads[cell], self.k);
            let own = &mut self.sums[cell];
            own.sum_sq += sums.sum_sq;
            own.narrow = !self.spreads[cell].is_wide();
        }
    }
    /// Σq and Σq² per cell, and how different its values are.
    pub fn finish(mut self) -> (Vec<(i128, i128)>, Vec<Spread>) {
        self.flush();
        let sums = self.flushed.into_iter().zip(&self.sums).map(|(sum, Sum { sum_sq, .. })| (sum, *sum_sq)).collect();
        (sums, self.spreads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_the_largest_quanta_move_on_before_they_overflow() {
        let mut numbers = NumberSums::new(1, 1);
        // As if so many rows of the largest value had come already.
        numbers.expect(FLUSH_ROWS as usize);
        numbers.sums[0].sum = FLUSH_ROWS as i64 * Quantum::LARGEST;
        for _ in 0..2 {
            numbers.expect(FLUSH_ROWS as usize);
            numbers.sums[0].sum += FLUSH_ROWS as i64 * Quantum::LARGEST;
        }
        numbers.add(&[0], &[0], Quanta { rows: &[-Quantum::LARGEST], complete: true });
        numbers.flush();
        let largest = i128::from(Quantum::LARGEST);
        assert_eq!(numbers.flushed[0], (3 * i128::from(FLUSH_ROWS) - 1) * largest);
        assert_eq!((numbers.sums[0].sum, numbers.sums[0].sum_sq), (0, largest * largest));
    }
}
