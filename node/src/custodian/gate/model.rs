//! The gate's rules for a step of a model. All of it leaves, or nothing.
//!
//! Its sums at coefficients of 0 are counts and sums of groups: of each column that is 0 or 1, of each pair of them, and of numbers within them. What
//! a table would hide must not leave this way, so
//!
//! 1. **Size.** k patients, three times as many as parameters, and ten more than parameters (the rules of DataSHIELD; Wolfson et al. 2010).
//! 2. **Sides.** Of each column of 0 and 1, and of an outcome that is true or false, both sides have k patients. What lies between two knots of a spline
//!    counts as such a column: some sum of its functions is 0 elsewhere.
//! 3. **Numbers** are different enough ([`Spread`]) among all, and on each of these sides.
//! 4. **Together.** The four cells of each two sides have k patients, but those that no patient can be in. A site may ask for fewer here
//!    ([`super::GatePolicy`]), but not where patients have several rows, of which one counts.
//! 5. **Weights.** No patient's residual and no patient's weight at the step's coefficients is more than 1/k of all: else steep coefficients make the
//!    sums those of a few. Nor is the square of a residual, where the sums of squared scores leave, nor what a patient adds to the deviance. Pearson's
//!    χ² of which one patient has more stays behind by itself. And of what the information says of any combination of columns nobody has more than half ([`LEVERAGE`]).
//! 6. **Folds.** Of fits that leave some out, all of this holds of those who are left out and of all others, each by themselves.
//! 7. **Scores.** Of a prediction that the study brought along no patient has more than 1/k of all, nor lacks more of the most ([`Shares`]).
//!
//! 8. **Opt-outs.** Of whoever has come or gone since earlier answers, sides, numbers, pairs, scores and folds have nobody or as many ([`super::moved`]).
//!
//! A policy with k = 1 does without: it is for tests. What it does not hold back: sums at many coefficients are many equations about the same
//! patients; their number and the range of coefficients are bounded ([`bocage_protocol::limits`]), not their use.

use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::plan::{ModelLayout, Sums};
use bocage_protocol::release::ModelRelease;

use super::columns;
use super::cox::{self, CountedRisk};
use super::described::{self, CountedDescribed};
use super::leaving;
use super::moved;
use super::{Rules, Shares, Spread, Withheld};
use crate::custodian::controls::Control;

/// What the engine has added up at a step, and what it counted of the design.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct CountedModel {
    /// Complete cases, each a patient.
    pub n: u64,
    /// What is told apart.
    pub sides: Vec<Side>,
    /// Cases of each.
    pub ones: Vec<u64>,
    /// Cases of each two: the lower triangle without the diagonal, row by row.
    pub both: Vec<u64>,
    /// The numbers' inputs, each with its spread among all, then where each side is false, and true.
    pub spreads: Vec<(usize, Vec<Spread>)>,
    /// The predictions' inputs, each with how it is shared.
    pub predictions: Vec<(usize, Shares)>,
    /// As [`bocage_protocol::plan::Sums`] says.
    pub sums: Vec<f64>,
    /// How the patients weigh.
    pub weights: Weights,
    /// Of hazards, who is at risk.
    pub risk: Option<CountedRisk>,
    /// Without an outcome, how the columns vary and who lies where.
    pub described: Option<CountedDescribed>,
    /// Where fits leave some out, the further blocks of the step: each a model's sums by itself.
    pub folds: Vec<CountedModel>,
}

impl CountedModel {
    /// What it takes in memory, nearly: the sums, and what is told apart.
    pub fn bytes(&self) -> usize {
        let spreads = self.spreads.iter().map(|(_, spreads)| spreads.iter().map(Spread::bytes).sum::<usize>());
        size_of::<Self>()
            + size_of_val(&self.sides[..])
            + size_of_val(&self.ones[..])
            + size_of_val(&self.both[..])
            + size_of_val(&self.sums[..])
            + size_of_val(&self.predictions[..])
            + spreads.sum::<usize>()
    }

    /// The patients who are in the sums: those of whom sides and spreads are.
    pub(super) fn summed(&self) -> u64 {
        self.risk.as_ref().map_or(self.n, |risk| risk.ever)
    }
}

/// Something that is true or false of a patient, and that sums tell apart.
#[derive(Debug, Clone, PartialEq)]
pub enum Side {
    /// A column of the design that is 1 where keys are at these levels.
    Levels {
        /// Which column.
        column: usize,
        /// Key and level.
        levels: Vec<(usize, u32)>,
    },
    /// An outcome.
    Outcome {
        /// Which measure.
        input: usize,
    },
    /// A whole number that can be one of two.
    Two {
        /// Which measure.
        input: usize,
        /// The larger one.
        upper: f64,
    },
    /// A number between two knots of a spline.
    Stretch {
        /// Which measure.
        input: usize,
        /// From here on.
        from: f64,
        /// To below here.
        to: f64,
    },
}

/// How patients weigh in the sums of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Weights {
    /// Σ |residual|, and the largest.
    residuals: (f64, f64),
    /// Σ weight, and the largest.
    weights: (f64, f64),
    /// Σ residual², and the largest, where they are added up.
    squares: (f64, f64),
    /// Pearson's χ², and the most that one adds.
    pearson: (f64, f64),
    /// The deviance, and the most that one adds.
    deviance: (f64, f64),
    /// The largest share that anybody has of the information on some combination of columns.
    leverage: f64,
}

/// Of what a step's information says of any combination of columns one patient may have so much at most: then all others together have as much.
///
/// A share of 1/k would need a design of some k times as many patients as columns, with none of them far out; this holds of designs that anybody fits.
pub const LEVERAGE: f64 = 0.5;

impl Weights {
    /// Adds a patient's.
    #[inline]
    pub fn add(&mut self, residual: f64, weight: f64) {
        add(&mut self.residuals, residual.abs());
        add(&mut self.weights, weight);
    }

    /// Adds the square of a patient's residual, which robust errors are made of.
    #[inline]
    pub fn add_square(&mut self, square: f64) {
        add(&mut self.squares, square);
    }

    /// Adds many patients', one row each.
    pub fn add_all(&mut self, residuals: &[f64], weights: &[f64]) {
        add_column(&mut self.residuals, residuals, f64::abs);
        add_column(&mut self.weights, weights, |weight| weight);
    }

    /// Adds the squares of many patients' residuals.
    pub fn add_squares(&mut self, squares: &[f64]) {
        add_column(&mut self.squares, squares, |square| square);
    }

    /// Adds what patients add to Pearson's χ² and to the deviance.
    pub fn add_fit(&mut self, pearson: &[f64], deviance: &[f64]) {
        add_column(&mut self.pearson, pearson, |pearson| pearson);
        // What is lost of nothing is nothing, but for the last bit.
        add_column(&mut self.deviance, deviance, |deviance| larger(deviance, 0.0));
    }

    /// Takes in the largest leverage.
    pub fn leverage(&mut self, largest: f64) {
        self.leverage = self.leverage.max(largest);
    }

    /// The largest weight.
    pub fn largest(&self) -> f64 {
        self.weights.1
    }

    /// Adds other patients'.
    pub fn absorb(&mut self, other: &Self) {
        let both = |own: &mut (f64, f64), other: (f64, f64)| *own = (own.0 + other.0, own.1.max(other.1));
        both(&mut self.residuals, other.residuals);
        both(&mut self.weights, other.weights);
        both(&mut self.squares, other.squares);
        both(&mut self.pearson, other.pearson);
        both(&mut self.deviance, other.deviance);
        self.leverage(other.leverage);
    }

    /// Whether nobody has more than 1/k of all.
    fn are_shared(&self, k: u32) -> bool {
        [self.residuals, self.weights, self.squares].iter().all(|of| is_shared(*of, k))
    }
}

fn is_shared((all, most): (f64, f64), k: u32) -> bool {
    most * f64::from(k) <= all
}

fn add(all: &mut (f64, f64), x: f64) {
    *all = (all.0 + x, all.1.max(x));
}

/// Adds many, in eight running sums: the compiler does several at once.
fn add_column(all: &mut (f64, f64), column: &[f64], of: impl Fn(f64) -> f64) {
    let (mut sums, mut most) = ([0.0; 8], [0.0; 8]);
    let (whole, rest) = column.as_chunks::<8>();
    for numbers in whole {
        for i in 0..8 {
            let x = of(numbers[i]);
            sums[i] += x;
            most[i] = larger(x, most[i]);
        }
    }
    sums.into_iter().zip(most).for_each(|(sum, most)| *all = (all.0 + sum, larger(most, all.1)));
    rest.iter().for_each(|x| add(all, of(*x)));
}

/// The larger; where one is not a number, the second.
fn larger(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// Why nothing of a model leaves, in words that name columns of the study and nothing of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooFew {
    why: String,
    hint: String,
}

impl TooFew {
    /// In these words.
    pub(super) fn because(why: impl Into<String>) -> Self {
        Self { why: why.into(), hint: ELSE.to_owned() }
    }

    /// The same where this helps, too.
    pub(super) fn or(self, remedy: &str) -> Self {
        Self { hint: format!("{remedy}; or {ELSE}"), ..self }
    }

    /// The same with all that a study can do about it.
    pub(super) fn hint(self, hint: String) -> Self {
        Self { hint, ..self }
    }

    /// The words.
    #[cfg(test)]
    pub(super) fn why(&self) -> &str {
        &self.why
    }
}

/// What helps where levels are too many.
pub(super) const GROUP: &str =
    "group levels (grouped(column, 'name'), or a condition); a declared level that nobody has here is such, too";
/// What helps where one patient is far from the others.
pub(super) const NEARER: &str =
    "bring a number's ends nearer: ln(column), plausible(column, LEAST, GREATEST) or cut(column, …)";
/// What helps always.
pub(super) const ELSE: &str = "leave the term out, or ask other sites";

impl From<TooFew> for PublicError {
    fn from(TooFew { why, hint }: TooFew) -> Self {
        PublicError::new(ErrorCode::TooFewForModel, why).hint(hint)
    }
}

/// Parameters may be at most a third of the patients.
const PATIENTS_A_PARAMETER: u64 = 3;
/// So many more patients than parameters there must be.
const RESIDUAL_DEGREES: u64 = 10;
/// So many bits of a sum leave: what a pass over the same rows in another order changes does not.
const BITS: u32 = 44;

/// Whether so many patients are enough for so many parameters.
pub(super) fn are_enough(n: u64, parameters: u64) -> bool {
    n >= PATIENTS_A_PARAMETER * parameters && n >= parameters + RESIDUAL_DEGREES
}

/// Lets all of a step's sums out, or says why not. Those of fits that leave some out are as many models', of each of which all of this must hold:
/// who are left out, and all others, are groups that the difference of two blocks tells of.
pub(super) fn exact(
    mut counted: CountedModel,
    moved: &[CountedModel],
    layout: &ModelLayout,
    rules: Rules,
) -> Result<ModelRelease, Withheld> {
    let folds = std::mem::take(&mut counted.folds);
    if 1 + folds.len() != layout.blocks {
        return Err(Withheld::Inconsistent);
    }
    enough(std::slice::from_ref(&counted), layout, rules)?;
    let mut release = block(counted, moved.iter().collect(), layout, rules)?;
    let alone = if rules.controls.enforces(Control::ModelFolds) { rules } else { Rules { threshold: 1, ..rules } };
    enough(&folds, layout, alone).map_err(left_out)?;
    for (at, fold) in folds.into_iter().enumerate() {
        let moved = moved.iter().map(|part| part.folds.get(at).ok_or(Withheld::Inconsistent));
        let of_fold = block(fold, moved.collect::<Result<_, _>>()?, layout, alone).map_err(left_out)?;
        release.sums.extend(of_fold.sums);
    }
    Ok(release)
}

/// What is too little of all is said as it is; here it is so of some of them.
fn left_out(withheld: Withheld) -> Withheld {
    match withheld {
        Withheld::Model(TooFew { why, hint }) => {
            Withheld::Model(TooFew { why: format!("of a fold, or without it: {why}"), hint })
        }
        other => other,
    }
}

/// Whether each of these has enough patients, and enough of them of all that its columns tell apart.
fn enough(of: &[CountedModel], layout: &ModelLayout, rules: Rules) -> Result<(), Withheld> {
    let (k, parameters) = (rules.threshold, layout.sums().width as u64);
    for counted in of {
        if counted.ones.len() != counted.sides.len() || counted.both.len() != pairs(counted.sides.len()) {
            return Err(Withheld::Inconsistent);
        }
        if counted.n < u64::from(k.max(1)) {
            let why = format!("fewer than {k} patients have all that the model reads");
            return Err(Withheld::Model(TooFew::because(why)));
        }
        if k > 1 && rules.controls.enforces(Control::ModelSize) && !are_enough(counted.summed(), parameters) {
            let why = format!("there are too few patients for {parameters} parameters");
            return Err(Withheld::Model(TooFew::because(why).or(GROUP)));
        }
    }
    if k > 1 { columns::check(of, layout, rules).map_err(Withheld::Model) } else { Ok(()) }
}

/// How many twos there are.
fn pairs(of: usize) -> usize {
    of * of.saturating_sub(1) / 2
}

fn block(
    mut counted: CountedModel,
    moved: Vec<&CountedModel>,
    layout: &ModelLayout,
    rules: Rules,
) -> Result<ModelRelease, Withheld> {
    let k = rules.threshold;
    if let Some(clusters) = counted.described.as_mut().and_then(|described| described.clusters.take()) {
        let of = layout.described.ok_or(Withheld::Inconsistent)?;
        counted.sums = described::clustered(counted.sums, clusters, of, rules)?;
    }
    if counted.sums.len() != layout.block_values() {
        return Err(Withheld::Inconsistent);
    }
    let few = |why: &str| Err(Withheld::Model(TooFew::because(why)));
    let far = |why: &str| Err(Withheld::Model(TooFew::because(why).or(NEARER)));
    if !counted.sums.iter().all(|sum| sum.is_finite()) {
        return few("the step's sums are not finite at these coefficients");
    }
    if k > 1 {
        if rules.controls.enforces(Control::ModelWeights) && !counted.weights.are_shared(k) {
            return far("a patient weighs too much in the model at this step");
        }
        if rules.controls.enforces(Control::ModelSquares) {
            if !is_shared(counted.weights.deviance, k) {
                return far("a patient is too far from what the model says at this step");
            }
            // No fit needs it, and of a rare outcome a few are most of it: then it is no number.
            if !is_shared(counted.weights.pearson, k) {
                counted.sums[Sums::PEARSON] = f64::NAN;
            }
        }
        if rules.controls.enforces(Control::ModelLeverage) && counted.weights.leverage > LEVERAGE {
            return far("a patient is too far from the others in what the model reads");
        }
        let even = counted.predictions.iter().all(|(_, shares)| shares.are_even(k));
        if rules.controls.enforces(Control::ModelScores) && !even {
            return few("a prediction is so steep that it singles patients out");
        }
        if let Some(risk) = counted.risk.as_ref().filter(|_| rules.controls.enforces(Control::ModelRiskSets)) {
            cox::check(risk, |column| layout.name(column), k).map_err(Withheld::Model)?;
        }
        if let Some(described) = &counted.described {
            described::check(described, |column| layout.name(column), rules).map_err(Withheld::Model)?;
        }
        let chosen = counted.described.as_ref().and_then(|described| described::few_lack(described, k));
        if let Some(column) = chosen.filter(|_| rules.controls.enforces(Control::MomentNulls)) {
            let column = layout.name(column);
            return few(&format!("fewer than {k} patients have no `{column}`, of which the study says who has it"));
        }
        if !moved.iter().all(|part| moved::is_settled(part, layout, rules)) {
            return Err(Withheld::Model(waits(k)));
        }
    }
    leaving::exact(&mut counted, &moved, layout, rules)?;
    Ok(ModelRelease { threshold: k, n: counted.n, sums: counted.sums.into_iter().map(rounded).collect() })
}

/// Why a model is not answered after opt-outs. Where they are few is not said: it would be said of them.
fn waits(k: u32) -> TooFew {
    let why =
        "patients have come or gone since the model was last answered, in all or on a side of what it tells apart";
    let hint = "the earlier answer stands; leave the site out of the study to have one of the other sites";
    TooFew::because(format!("fewer than {k} {why}")).hint(hint.to_owned())
}

/// The nearest number with [`BITS`] bits.
fn rounded(x: f64) -> f64 {
    let dropped = f64::MANTISSA_DIGITS - BITS;
    let half = 1u64 << (dropped - 1);
    let bits = x.to_bits().saturating_add(half) & !((1u64 << dropped) - 1);
    let near = f64::from_bits(bits);
    if near.is_finite() { near } else { x }
}
