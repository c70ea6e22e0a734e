//! What the gate must know of a design that no sum says: how many patients stand on either side of each thing that is told apart, and how different
//! the numbers are there.

use bocage_protocol::plan::{Feature, Measure, ModelLayout, RiskSlots, Slot};

use super::predictions::Looked;
use crate::custodian::gate::{CountedModel, Shares, Side, Spread, Weights};

/// Quanta of a number's range, to tell its values apart.
const STEPS: f64 = 4_294_967_296.0;

/// Counts of the complete cases. One row is one patient.
#[derive(Clone)]
pub struct Facts {
    k: u32,
    /// Complete cases.
    pub n: u64,
    /// What is told apart, each by itself.
    pub sides: Vec<Side>,
    /// Cases in which both of two are true; the lower triangle without the diagonal, row by row.
    pub both: Vec<u64>,
    /// Of each side its cases.
    pub ones: Vec<u64>,
    /// The inputs that are numbers, with the spread of their values: of all, then where each side is false, and true.
    pub spreads: Vec<(usize, Vec<Spread>)>,
    /// How predictions are shared among the cases.
    pub predictions: Vec<Looked>,
    /// Those spreads that are not wide yet.
    narrow: Vec<(usize, usize)>,
}

impl Facts {
    /// Of no cases.
    pub fn new(layout: &ModelLayout, k: u32) -> Self {
        Self::telling(layout, sides(layout), |_| true, k)
    }

    /// Of no cases either, without event and time: of those who leave in one interval, and all by the event or all without, only columns tell anything.
    pub fn of_columns(&self, layout: &ModelLayout, k: u32) -> Self {
        let sides = sides(layout).into_iter().filter(|side| !matches!(side, Side::Outcome { .. })).collect();
        let predictions = self.predictions.iter().map(Looked::at_nobody).collect();
        Self { predictions, ..Self::telling(layout, sides, |input| reads_column(layout, input), k) }
    }

    fn telling(layout: &ModelLayout, sides: Vec<Side>, reads: impl Fn(usize) -> bool, k: u32) -> Self {
        let inputs = &layout.inputs;
        let numbers = inputs
            .measures
            .iter()
            .enumerate()
            .filter(|(input, measure)| !matches!(measure, Measure::Condition(_)) && !is_side(&sides, *input))
            .filter(|(input, _)| reads(*input));
        // Many begin at the same day and are there at the end. Where no sum is of times they must differ among all, not on each side; the test of
        // proportionality sums them.
        let untold = |input: usize| {
            let is_time =
                |slots: &RiskSlots| (slots.time == input && slots.clock.is_none()) || slots.start == Some(input);
            layout.risk.as_ref().is_some_and(is_time) && !reads_column(layout, input)
        };
        let slots = |input: usize| if untold(input) { 1 } else { 1 + 2 * sides.len() };
        let spreads: Vec<(usize, Vec<Spread>)> =
            numbers.map(|(input, _)| (input, vec![Spread::new(k); slots(input)])).collect();
        let mut facts = Self {
            k,
            n: 0,
            both: vec![0; sides.len() * sides.len().saturating_sub(1) / 2],
            ones: vec![0; sides.len()],
            sides,
            spreads,
            predictions: Vec::new(),
            narrow: Vec::new(),
        };
        facts.look_for_narrow();
        facts
    }

    /// Looks at how the predictions among these features are shared, from now on.
    pub fn look_at_predictions(&mut self, layout: &ModelLayout, features: &[Feature]) {
        self.predictions = Looked::all(layout, features);
    }

    /// How each prediction is shared, by its input.
    pub fn shares(&self) -> Vec<(usize, Shares)> {
        self.predictions.iter().map(|looked| (looked.input, looked.shares)).collect()
    }

    fn look_for_narrow(&mut self) {
        let narrow = |(at, (_, spreads)): (usize, &(usize, Vec<Spread>))| {
            let narrow = spreads.iter().enumerate().filter(|(_, spread)| !spread.is_wide());
            narrow.map(|(slot, _)| (at, slot)).collect::<Vec<_>>()
        };
        self.narrow = self.spreads.iter().enumerate().flat_map(narrow).collect();
    }

    /// Adds complete cases.
    pub fn add(&mut self, layout: &ModelLayout, rows: &[usize], numbers: &[Vec<f64>], levels: &[Vec<u32>]) {
        self.n += rows.len() as u64;
        let mut holds = vec![false; self.sides.len()];
        let mut held = Vec::with_capacity(self.sides.len());
        for looked in &mut self.predictions {
            looked.add(rows, numbers);
        }
        for row in rows {
            held.clear();
            for (at, side) in self.sides.iter().enumerate() {
                holds[at] = match side {
                    Side::Levels { levels: all, .. } => all.iter().all(|(key, level)| levels[*key][*row] == *level),
                    Side::Outcome { input } => numbers[*input][*row] > 0.5,
                    Side::Two { input, upper } => numbers[*input][*row] == *upper,
                    Side::Stretch { input, from, to } => (*from..*to).contains(&numbers[*input][*row]),
                };
                if holds[at] {
                    held.push(at);
                    self.ones[at] += 1;
                }
            }
            for (i, one) in held.iter().enumerate() {
                for other in &held[..i] {
                    self.both[one * (one - 1) / 2 + other] += 1;
                }
            }
            if !self.narrow.is_empty() {
                self.look_at(layout, *row, numbers, &holds);
            }
        }
    }

    #[cold]
    fn look_at(&mut self, layout: &ModelLayout, row: usize, numbers: &[Vec<f64>], holds: &[bool]) {
        let mut widened = false;
        for (at, slot) in &self.narrow {
            // Slot 0 is everybody; then two a side.
            let counts = slot.checked_sub(1).is_none_or(|slot| holds[slot / 2] == (slot % 2 == 1));
            if counts {
                let (input, spreads) = &mut self.spreads[*at];
                let (lo, hi) = layout.inputs.ranges[*input];
                let quanta = ((numbers[*input][row] - lo) / (hi - lo).max(f64::MIN_POSITIVE) * STEPS) as i64;
                spreads[*slot].add(quanta, 1, self.k);
                widened |= spreads[*slot].is_wide();
            }
        }
        if widened {
            self.look_for_narrow();
        }
    }

    /// What the gate must know of them, without any sums.
    pub fn told(self) -> CountedModel {
        let predictions = self.shares();
        let Self { n, sides, ones, both, spreads, .. } = self;
        let (sums, weights) = (Vec::new(), Weights::default());
        CountedModel {
            n,
            sides,
            ones,
            both,
            spreads,
            predictions,
            sums,
            weights,
            risk: None,
            described: None,
            folds: Vec::new(),
        }
    }

    /// Adds what other patients have.
    pub fn absorb(&mut self, other: &Self) {
        self.n += other.n;
        let add = |own: &mut [u64], other: &[u64]| own.iter_mut().zip(other).for_each(|(own, other)| *own += other);
        add(&mut self.both, &other.both);
        add(&mut self.ones, &other.ones);
        for ((_, own), (_, other)) in self.spreads.iter_mut().zip(&other.spreads) {
            own.iter_mut().zip(other).for_each(|(own, other)| own.absorb(other, self.k));
        }
        self.predictions.iter_mut().zip(&other.predictions).for_each(|(own, other)| own.absorb(other));
        self.look_for_narrow();
    }
}

/// Whether a column or the offset reads an input.
fn reads_column(layout: &ModelLayout, input: usize) -> bool {
    let is = |slot: &Slot| match slot {
        Slot::Number { input: of, .. } | Slot::Spline { input: of, .. } => *of == input,
        Slot::Level { .. } => false,
    };
    layout.offset == Some(input) || layout.columns.iter().flatten().any(is)
}

/// Whether a number is told apart by its two values.
fn is_side(sides: &[Side], input: usize) -> bool {
    sides.iter().any(|side| matches!(side, Side::Two { input: of, .. } if *of == input))
}

/// Columns that are 0 or 1, a true or false outcome, whole numbers that can be one of two, and what lies between the knots of splines.
fn sides(layout: &ModelLayout) -> Vec<Side> {
    let levels = (0..layout.columns.len()).filter_map(|column| {
        let levels = layout.levels(column).filter(|levels| !levels.is_empty())?;
        Some(Side::Levels { column, levels })
    });
    let inputs = &layout.inputs;
    let outcome = inputs.measures.iter().enumerate().filter(|(_, measure)| matches!(measure, Measure::Condition(_)));
    let outcome = outcome.map(|(input, _)| Side::Outcome { input });
    let two = |(input, (lo, hi)): (usize, &(f64, f64))| {
        let number =
            layout.columns.iter().flatten().any(|slot| matches!(slot, Slot::Number { input: of, .. } if *of == input));
        let is_column = matches!(inputs.measures[input], Measure::Column(_));
        let is_two = inputs.whole[input] && hi - lo == 1.0;
        (number && is_column && is_two).then_some(Side::Two { input, upper: *hi })
    };
    let mut all: Vec<Side> = levels.chain(outcome).chain(inputs.ranges.iter().enumerate().filter_map(two)).collect();
    for stretch in layout.columns.iter().flatten().flat_map(stretches) {
        if !all.contains(&stretch) {
            all.push(stretch);
        }
    }
    all
}

/// Below, between and above the inner knots: a spline with close knots would else be a column of the few who lie there.
fn stretches(slot: &Slot) -> Vec<Side> {
    let Slot::Spline { input, of, .. } = slot else { return Vec::new() };
    let knots = of.knots();
    let inner = &knots[1..knots.len() - 1];
    let froms = [f64::NEG_INFINITY].into_iter().chain(inner.iter().copied());
    let tos = inner.iter().copied().chain([f64::INFINITY]);
    froms.zip(tos).map(|(from, to)| Side::Stretch { input: *input, from, to }).collect()
}
