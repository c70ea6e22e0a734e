//! The shape of a table's result: keys with their levels, a ladder of coarser keys, and what each cell holds.

use serde::{Deserialize, Serialize};

use super::domain::KeyDomain;
use crate::limits;

/// How a number becomes an integer: `q = round((x − centre) / step)`. Public, from the contract's range alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantum {
    /// The middle of the contract's range.
    pub centre: f64,
    /// 1 for integers, so that their sums are exact; else 2⁻³² of the range.
    pub step: f64,
}

impl Quantum {
    /// The quantum of a real-valued range.
    pub fn of_float_range(lo: f64, hi: f64) -> Self {
        Self { centre: lo / 2.0 + hi / 2.0, step: (hi - lo) / 4_294_967_296.0 }
    }

    /// The quantum of an integer range, which must be narrower than 2³².
    pub fn of_int_range(lo: i64, hi: i64) -> Self {
        Self { centre: (lo + (hi - lo) / 2) as f64, step: 1.0 }
    }

    /// The largest |q| that a value inside the range can have.
    pub const LARGEST: i64 = 1 << 32;

    /// The quanta of `x`, or `None` where they are not finite or too large.
    pub fn quanta(&self, x: f64) -> Option<i64> {
        let (q, fits) = self.quanta_if(x);
        fits.then_some(q)
    }

    /// [`Quantum::quanta`] without a branch, for loops over many: the number means something only where the second is true.
    ///
    /// The processor rounds halves to even; those that went towards zero are moved away from it, as `f64::round` does.
    #[inline]
    pub fn quanta_if(&self, x: f64) -> (i64, bool) {
        // 1.5 · 2⁵²: numbers below 2⁵¹ added to it leave their whole part in the last bits.
        const MAGIC: f64 = 6_755_399_441_055_744.0;
        let exact = (x - self.centre) / self.step;
        let even = (exact + MAGIC) - MAGIC;
        let rest = exact - even;
        // A choice, not a branch: the compiler does several numbers at once.
        let away = if rest == 0.5_f64.copysign(exact) { 1_f64.copysign(exact) } else { 0.0 };
        let q = even + away;
        // Wraps where the number means nothing.
        let whole = ((q + MAGIC).to_bits() as i64).wrapping_sub(MAGIC.to_bits() as i64);
        // False also where it is not a number.
        (whole, q.abs() <= Self::LARGEST as f64)
    }

    /// Σx from Σq over `n` values.
    pub fn sum(&self, n: u64, sum: i128) -> f64 {
        if self.step == 1.0 && self.centre.fract() == 0.0 {
            return (self.centre as i128 * i128::from(n) + sum) as f64;
        }
        self.centre * n as f64 + self.step * sum as f64
    }

    /// The mean from Σq over `n` ≥ 1 values.
    pub fn mean(&self, n: u64, sum: i128) -> f64 {
        let (whole, rest) = (sum.div_euclid(i128::from(n)), sum.rem_euclid(i128::from(n)));
        self.centre + self.step * (whole as f64 + rest as f64 / n as f64)
    }

    /// The sample variance (divisor n − 1) from Σq and Σq² over `n` ≥ 2 values.
    ///
    /// Shifted by the rounded mean in exact integers first, so that nothing cancels.
    pub fn variance(&self, n: u64, sum: i128, sum_sq: i128) -> f64 {
        let count = i128::from(n);
        let shift = sum.div_euclid(count);
        let rest = sum - shift * count;
        let about_shift = sum_sq - 2 * shift * sum + count * shift * shift;
        let about_mean = about_shift as f64 - (rest as f64) * (rest as f64) / n as f64;
        self.step * self.step * about_mean.max(0.0) / (n - 1) as f64
    }
}

/// One key of a table at one level of the ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLevels {
    /// The levels' labels. Missing values, where the key can be null, are the last level.
    pub labels: Vec<String>,
    /// Whether the last level stands for missing values.
    pub missing: bool,
}

/// What a cell holds of a measure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasureLayout {
    /// Valid rows and subjects, Σq, Σq².
    Number(Quantum),
    /// Valid rows and subjects, rows that satisfy the condition, subjects on either side.
    Condition,
}

/// The layout of a table's cells, row-major with the last key fastest.
#[derive(Debug, Clone, PartialEq)]
pub struct TableLayout {
    keys: Vec<KeyDomain>,
    /// For each step of the ladder, which coarser grouping (0 = none) each key uses.
    ladder: Vec<Vec<usize>>,
    measures: Vec<MeasureLayout>,
    /// For each measure whether it reads a feature; empty where none does.
    chosen: Vec<bool>,
    /// For each measure what its sums are multiples of where a site rounds, in quanta; a condition has none.
    units: Vec<i128>,
}

impl TableLayout {
    /// The same shape, of measures whose rounded sums are multiples of these.
    pub(super) fn in_units(self, units: Vec<i128>) -> Self {
        Self { units, ..self }
    }

    /// What the sums of a measure are multiples of where a site rounds, in quanta.
    pub fn unit(&self, measure: usize) -> i128 {
        self.units.get(measure).copied().unwrap_or(1)
    }

    /// The same shape, of measures of which some read a feature.
    pub(super) fn choosing(self, chosen: Vec<bool>) -> Self {
        Self { chosen, ..self }
    }

    /// Whether the researcher chooses who has a value of this measure: it reads a feature, which is missing for whom it is not made. How many
    /// lack one is then an answer like any other.
    pub fn chosen(&self, measure: usize) -> bool {
        self.chosen.get(measure).copied().unwrap_or(false)
    }

    pub(super) fn new(keys: Vec<KeyDomain>, measures: Vec<MeasureLayout>, roll_up: bool) -> Self {
        let mut rung = vec![0; keys.len()];
        let mut ladder = vec![rung.clone()];
        if roll_up {
            for key in (0..keys.len()).rev() {
                for coarser in 1..=keys[key].coarser.len() {
                    rung[key] = coarser;
                    ladder.push(rung.clone());
                }
            }
        }
        Self { keys, ladder, measures, chosen: Vec::new(), units: Vec::new() }
    }

    /// Whether a ladder climbs the same steps whatever the order of the keys.
    pub(super) fn keys_may_move(&self) -> bool {
        self.steps() == 1 || self.keys.iter().filter(|key| !key.coarser.is_empty()).count() == 1
    }

    /// The same table with its keys and measures in another order: `keys[i]` is the one here that is there the i-th. The keys must be some that may
    /// move.
    pub(super) fn turned(&self, keys: &[usize], measures: &[usize]) -> Self {
        fn picked<T: Clone>(of: &[T], order: &[usize]) -> Vec<T> {
            order.iter().filter_map(|at| of.get(*at).cloned()).collect()
        }
        Self {
            keys: picked(&self.keys, keys),
            ladder: self.ladder.iter().map(|rung| picked(rung, keys)).collect(),
            measures: picked(&self.measures, measures),
            chosen: picked(&self.chosen, measures),
            units: picked(&self.units, measures),
        }
    }

    /// For each cell of a step of the `turned` table, the cell that it is here.
    pub(super) fn places(&self, turned: &Self, keys: &[usize], step: usize) -> Vec<usize> {
        if step >= self.steps() {
            return Vec::new();
        }
        let (here, there) = (self.counts_at(step), turned.counts_at(step));
        let place = |cell: usize| {
            let mut levels = vec![0; keys.len()];
            keys.iter().zip(unravel(cell, &there)).for_each(|(at, level)| levels[*at] = level);
            levels.iter().zip(&here).fold(0, |at, (level, count)| at * count + level)
        };
        (0..turned.cells_at(step)).map(place).collect()
    }

    /// The measures, in the plan's order.
    pub fn measures(&self) -> &[MeasureLayout] {
        &self.measures
    }

    /// Whether any key has a level for missing values.
    pub fn can_be_missing(&self) -> bool {
        self.keys.iter().any(|key| key.missing)
    }

    /// Whether there is any key: else the table is one cell.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The number of steps of the ladder; step 0 is the table as asked.
    pub fn steps(&self) -> usize {
        self.ladder.len()
    }

    /// The keys at a step of the ladder.
    pub fn keys_at(&self, step: usize) -> Vec<KeyLevels> {
        self.keys.iter().zip(&self.ladder[step]).map(|(key, coarser)| key.levels_at(*coarser)).collect()
    }

    /// The number of cells at a step of the ladder.
    pub fn cells_at(&self, step: usize) -> usize {
        self.counts_at(step).iter().product()
    }

    /// For each cell of `from`, the cell of the coarser step `to` that contains it.
    pub fn containing(&self, from: usize, to: usize) -> Vec<usize> {
        let (fine, coarse) = (self.counts_at(from), self.counts_at(to));
        let maps: Vec<Vec<usize>> =
            self.keys.iter().enumerate().map(|(i, key)| key.map(self.ladder[from][i], self.ladder[to][i])).collect();
        (0..self.cells_at(from))
            .map(|cell| {
                let indices = unravel(cell, &fine);
                indices.iter().zip(&maps).zip(&coarse).fold(0, |at, ((i, map), levels)| at * levels + map[*i])
            })
            .collect()
    }

    /// The label of each key in a cell of a step.
    pub fn labels(&self, step: usize, cell: usize) -> Vec<String> {
        let levels = unravel(cell, &self.counts_at(step));
        let label = |((key, coarser), level): ((&KeyDomain, &usize), &usize)| key.label_at(*coarser, *level).to_owned();
        self.keys.iter().zip(&self.ladder[step]).zip(&levels).map(label).collect()
    }

    /// How many levels each key has at a step.
    fn counts_at(&self, step: usize) -> Vec<usize> {
        self.keys.iter().zip(&self.ladder[step]).map(|(key, coarser)| key.count_at(*coarser)).collect()
    }

    /// Of how many discovered keys one tally can hold this table.
    pub fn keys_that_fit(&self) -> usize {
        let cells = limits::CELLS / self.cells_at(0).max(1);
        cells.min(limits::TALLY_VALUES / self.values().max(1)).min(limits::DISCOVERED_KEYS)
    }

    /// Whether every cell of this layout fits the bounds of a tally.
    pub fn values(&self) -> usize {
        self.cells_at(0).saturating_mul(2 + 5 * self.measures.len())
    }
}

fn unravel(mut cell: usize, counts: &[usize]) -> Vec<usize> {
    let mut indices = vec![0; counts.len()];
    for (index, levels) in indices.iter_mut().zip(counts).rev() {
        *index = cell % levels;
        cell /= levels;
    }
    indices
}

#[cfg(test)]
mod tests {
    use proptest::strategy::Strategy as _;

    use super::super::domain::Coarser;
    use super::*;

    fn key(labels: &[&str], missing: bool, coarser: Vec<Coarser>) -> KeyDomain {
        KeyDomain { labels: labels.iter().map(|l| (*l).to_owned()).collect(), missing, coarser }
    }

    fn coarser(labels: &[&str], of: &[usize]) -> Coarser {
        Coarser { labels: labels.iter().map(|l| (*l).to_owned()).collect(), of: of.to_vec() }
    }

    #[test]
    fn a_ladder_climbs_the_last_key_first_and_every_cell_knows_its_container() {
        let sex = key(&["f", "m"], false, vec![]);
        let age =
            key(&["a", "b", "c", "d"], true, vec![coarser(&["ab", "cd"], &[0, 0, 1, 1]), coarser(&["all"], &[0; 4])]);
        let layout = TableLayout::new(vec![sex, age], vec![], true);
        assert_eq!(layout.steps(), 3);
        assert_eq!((0..3).map(|s| layout.cells_at(s)).collect::<Vec<_>>(), [10, 6, 4]);
        assert_eq!(layout.containing(0, 1), [0, 0, 1, 1, 2, 3, 3, 4, 4, 5]);
        assert_eq!(layout.containing(1, 2), [0, 0, 1, 2, 2, 3]);
        assert_eq!(layout.labels(0, 7), ["m", "c"]);
        assert_eq!(layout.labels(1, 5), ["m", crate::plan::MISSING]);
    }

    #[test]
    fn a_table_without_keys_is_one_cell() {
        let layout = TableLayout::new(vec![], vec![], true);
        assert_eq!((layout.steps(), layout.cells_at(0), layout.containing(0, 0)), (1, 1, vec![0]));
    }

    proptest::proptest! {
        #[test]
        fn quanta_are_rounded_as_defined(
            x in proptest::prop_oneof![
                proptest::num::f64::ANY,
                -1e3..1e3,
                // Halves, and their neighbours.
                (-5_000_000_000i64..5_000_000_000, -1i64..=1).prop_map(|(halves, ulps)| {
                    let half = halves as f64 / 2.0;
                    f64::from_bits((half.to_bits() as i64 + ulps) as u64)
                }),
            ],
            quantum in proptest::sample::select(vec![
                Quantum { centre: 0.0, step: 1.0 },
                Quantum::of_int_range(0, 121),
                Quantum::of_float_range(50.0, 700.0),
            ]),
        ) {
            let defined = ((x - quantum.centre) / quantum.step).round();
            let fits = defined.is_finite() && defined.abs() <= Quantum::LARGEST as f64;
            proptest::prop_assert_eq!(quantum.quanta(x), fits.then_some(defined as i64));
        }
    }

    #[test]
    fn mean_and_variance_come_back_from_quanta() {
        let values = [233.0, 286.0, 229.0, 250.5, 204.0];
        let quantum = Quantum::of_float_range(50.0, 700.0);
        let quanta: Vec<i128> = values.iter().map(|x| i128::from(quantum.quanta(*x).unwrap())).collect();
        let (sum, sum_sq) = (quanta.iter().sum(), quanta.iter().map(|q| q * q).sum());
        let mean = values.iter().sum::<f64>() / 5.0;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4.0;
        assert!((quantum.mean(5, sum) - mean).abs() < 650.0 * 1e-9);
        assert!((quantum.variance(5, sum, sum_sq).sqrt() - variance.sqrt()).abs() < 650.0 * 1e-9);
        let integers = Quantum::of_int_range(0, 121);
        assert_eq!(integers.sum(3, [-10, 50, 60].iter().sum()), (60 - 10 + 60 + 50 + 60 + 60) as f64);
        assert_eq!(quantum.quanta(f64::NAN), None);
        assert_eq!(quantum.quanta(1e300), None);
    }
}
