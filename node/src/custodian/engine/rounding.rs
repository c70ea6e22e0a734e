//! Numbers become quanta a block at a time, right before the pass adds them: what is rounded never leaves the core's nearest cache, and
//! no column of quanta is ever made.
//!
//! What has no quanta is [`MISSING`] among them: a missing value, and one that [`Quantum::quanta`] gives none. It must never round
//! otherwise than that function.

use bocage_protocol::plan::Quantum;
use polars::prelude::{Float64Type, PolarsDataType};

/// A chunk of numbers as Polars holds it.
pub type Numbers = <Float64Type as PolarsDataType>::Array;

/// Rows that are rounded at once.
pub const BLOCK_ROWS: usize = 2048;
/// The quanta of no number: |q| ≤ 2³².
pub const MISSING: i64 = i64::MIN;

/// Where a block's quanta are written, block after block.
pub struct Block(Box<[i64; BLOCK_ROWS]>);

/// A block's quanta, row by row.
#[derive(Clone, Copy)]
pub struct Quanta<'a> {
    /// [`MISSING`] where a row has none.
    pub rows: &'a [i64],
    /// Whether every row has some.
    pub complete: bool,
}

impl Block {
    /// A block of nothing.
    pub fn new() -> Self {
        Self(Box::new([MISSING; BLOCK_ROWS]))
    }

    /// Rounds `rows` numbers, no more than [`BLOCK_ROWS`], from row `from` on.
    pub fn round(&mut self, numbers: &Numbers, from: usize, rows: usize, quantum: &Quantum) -> Quanta<'_> {
        let values = &numbers.values()[from..from + rows];
        let quanta = &mut self.0[..rows];
        let mut complete = round(values, quantum, quanta);
        if !complete {
            let lack = values.iter().map(|x| !quantum.quanta_if(*x).1);
            quanta.iter_mut().zip(lack).filter(|(_, lacks)| *lacks).for_each(|(q, _)| *q = MISSING);
        }
        if let Some(bits) = numbers.validity().filter(|bits| bits.null_count_range(from, rows) > 0) {
            let lack = (from..).map(|i| !bits.get_bit(i));
            quanta.iter_mut().zip(lack).filter(|(_, lacks)| *lacks).for_each(|(q, _)| *q = MISSING);
            complete = false;
        }
        Quanta { rows: quanta, complete }
    }
}

/// Rounds all, and answers whether all have quanta; if not, those that have none hold anything.
fn round(values: &[f64], quantum: &Quantum, rows: &mut [i64]) -> bool {
    let mut all_fit = true;
    for (q, x) in rows.iter_mut().zip(values) {
        let fits;
        (*q, fits) = quantum.quanta_if(*x);
        all_fit &= fits;
    }
    all_fit
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number() -> impl Strategy<Value = Option<f64>> {
        prop_oneof![
            8 => (0.0..700.0f64).prop_map(Some),
            // Halves of an integer's quanta.
            4 => (-300i32..300).prop_map(|halves| Some(f64::from(halves) / 2.0)),
            1 => any::<f64>().prop_map(Some),
            1 => Just(None),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        #[test]
        fn a_block_rounds_as_the_quantum_does_row_by_row(
            blocks in prop::collection::vec(prop_oneof![
                prop::collection::vec(number(), 0..40),
                prop::collection::vec((0.0..700.0f64).prop_map(Some), 0..40),
            ], 1..4),
            quantum in prop::sample::select(vec![Quantum::of_int_range(0, 121), Quantum::of_float_range(50.0, 700.0)]),
        ) {
            let mut block = Block::new();
            let chunk = Numbers::from(blocks.concat());
            let mut from = 0;
            for values in blocks {
                let quanta = block.round(&chunk, from, values.len(), &quantum);
                from += values.len();
                let defined: Vec<Option<i64>> = values.iter().map(|x| quantum.quanta((*x)?)).collect();
                let found: Vec<Option<i64>> = quanta.rows.iter().map(|q| (*q != MISSING).then_some(*q)).collect();
                prop_assert_eq!(quanta.complete, !defined.contains(&None));
                prop_assert_eq!(found, defined);
            }
        }
    }
}
