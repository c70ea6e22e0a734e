//! A fitted model as a column. Its coefficients stand in the study, so that every node computes the column of its own rows, by itself.
//!
//! A prediction is a feature (`plan::relation`) of the row that it stands beside: it reads no table. Of coefficients the same bounds hold as of a
//! fit's: on the scaled columns they are no steeper than any step of a fit may be.

use serde::{Deserialize, Serialize};

use super::layout::Check;
use super::scale::{Scale, Transform, can_centre, same};
use super::{Factor, Family, Inputs, Product, Slot};
use crate::contract::Contract;
use crate::ids::{AnalysisName, ColumnName};
use crate::limits;
use crate::plan::typing::{Columns, TypeProblem, check_condition};
use crate::plan::{Calls, Expr, Measure, written};

/// What a fitted model is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// The hazard, by how many times it is that of a patient in the middle of all ranges with the references of all categories: no baseline is known.
    ProportionalHazards,
    /// The mean of an outcome.
    #[serde(untagged)]
    Mean(Family),
}

impl Fit {
    /// Its name to people.
    pub fn name(self) -> &'static str {
        match self {
            Fit::ProportionalHazards => "cox",
            Fit::Mean(family) => family.name(),
        }
    }

    /// What follows of the linear predictor: a mean, or a ratio of hazards.
    pub fn mean(self, eta: f64) -> f64 {
        match self {
            Fit::ProportionalHazards => Family::Poisson.mean(eta),
            Fit::Mean(family) => family.mean(eta),
        }
    }

    /// Whether that is another number than the linear predictor.
    fn bends(self) -> bool {
        self != Fit::Mean(Family::Gaussian)
    }
}

/// A fitted model, and what of it is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prediction {
    /// What becomes of the linear predictor.
    #[serde(rename = "family")]
    pub fit: Fit,
    /// The columns of the design.
    pub columns: Vec<Product>,
    /// The coefficients of the columns as they stand, one each; none where an analysis of the same study has to find them first.
    pub beta: Vec<f64>,
    /// What is wanted.
    pub gives: Gives,
    /// The analysis of the same study that fits it: a later round brings the coefficients along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<AnalysisName>,
    /// In the place of `beta`, those of the patients of each fold. A round's, never a study's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folds: Vec<Vec<f64>>,
}

/// What of a fitted model is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gives {
    /// The mean of the outcome: of a condition its probability, of hazards their ratio.
    Mean,
    /// The linear predictor; not beyond ±[`limits::LINEAR_PREDICTOR`] where a link bends it.
    Linear,
    /// One over the probability of what the patient has of this condition; at most [`limits::INVERSE_PROBABILITY`].
    Inverse(Expr),
    /// In which fold the patient is, from 1. A round's, never a study's.
    Fold,
}

/// What follows from a prediction and the contract alone.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictionLayout {
    /// What is read of each row.
    pub inputs: Inputs,
    /// The design's columns.
    pub columns: Vec<Vec<Slot>>,
    /// Their coefficients, scaled as they are; none where they are not known yet.
    pub beta: Vec<f64>,
    /// Those of each fold's patients, where they have such.
    pub folds: Vec<Vec<f64>>,
    /// The condition of [`Gives::Inverse`] among the measures.
    pub condition: Option<usize>,
    /// The least and the most that the column can be.
    pub range: (f64, f64),
    fit: Fit,
}

impl Prediction {
    /// The same under other names, with its conditions in another form.
    pub(in crate::plan) fn map(&self, measure: &impl Fn(&Measure) -> Measure, key: &impl Fn(&Expr) -> Expr) -> Self {
        let product = |product: &Product| product.iter().map(|factor| factor.map(measure, key)).collect();
        let gives = match &self.gives {
            Gives::Inverse(condition) => Gives::Inverse(key(condition)),
            other => other.clone(),
        };
        Self { columns: self.columns.iter().map(product).collect(), gives, ..self.clone() }
    }

    /// The same with its columns in an order that does not depend on how they were written.
    pub(in crate::plan) fn sorted(mut self) -> Self {
        let place = |product: &Product| crate::trust::canonical(product).unwrap_or_default();
        let mut order: Vec<usize> = (0..self.columns.len()).collect();
        order.sort_by_cached_key(|at| place(&self.columns[*at]));
        let sorted = |beta: &Vec<f64>| order.iter().filter_map(|at| beta.get(*at).copied()).collect::<Vec<f64>>();
        (self.beta, self.folds) = (sorted(&self.beta), self.folds.iter().map(sorted).collect());
        self.columns = order.iter().map(|at| self.columns[*at].clone()).collect();
        self
    }

    /// Every column that it reads, with repeats.
    pub fn reads(&self) -> Vec<&ColumnName> {
        let condition = match &self.gives {
            Gives::Inverse(condition) => condition.columns(),
            Gives::Mean | Gives::Linear | Gives::Fold => vec![],
        };
        self.columns.iter().flatten().flat_map(Factor::columns).chain(condition).collect()
    }

    /// In words.
    pub(in crate::plan) fn plainly(&self, calls: &Calls) -> String {
        let mut names: Vec<String> = Vec::new();
        for name in self.columns.iter().flatten().flat_map(Factor::columns).map(|name| calls.name(name)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let whose = match &self.from {
            None => "that the study names".to_owned(),
            Some(analysis) => format!("that `{analysis}` finds first"),
        };
        let by = format!("a {} model of {} with coefficients {whose}", self.fit.name(), names.join(", "));
        match &self.gives {
            Gives::Mean => format!("what {by} expects"),
            Gives::Linear => format!("the linear predictor of {by}"),
            Gives::Fold => "the fold that the patient is in".to_owned(),
            Gives::Inverse(of) => {
                format!("one over the probability, by {by}, of what the patient has of {}", calls.say(&written(of)))
            }
        }
    }

    /// Checks it against the contract, and lays it out.
    ///
    /// # Errors
    /// All problems.
    pub fn lower(&self, contract: &Contract) -> Result<PredictionLayout, Vec<TypeProblem>> {
        let mut check = Check { contract, inputs: Inputs::default(), problems: Vec::new() };
        let of = &self.columns;
        let whole = |beta: &Vec<f64>| of.len() == beta.len() && beta.iter().all(|x| x.is_finite());
        let own = if self.from.is_some() { self.beta.is_empty() } else { whole(&self.beta) };
        let numbers = own && self.folds.iter().all(whole);
        let counted = u8::try_from(self.folds.len()).is_ok_and(|count| limits::FOLDS.contains(&count));
        if (!self.folds.is_empty() || self.gives == Gives::Fold) && !counted {
            return Err(vec![TypeProblem::new(format!("folds are one of {:?}", limits::FOLDS))]);
        }
        if !(1..=limits::MODEL_COLUMNS).contains(&of.len()) || !numbers {
            let most = limits::MODEL_COLUMNS;
            let problem =
                TypeProblem::new(format!("a model has 1 to {most} columns, and a finite coefficient of each"));
            return Err(vec![problem]);
        }
        if (0..of.len()).any(|at| of[..at].iter().any(|earlier| same(earlier, &of[at]))) {
            check.note::<()>("", TypeProblem::new("a column stands twice in the model"));
        }
        let column = |product: &Product| {
            if product.len() > limits::MODEL_FACTORS {
                let most = limits::MODEL_FACTORS;
                let problem = TypeProblem::new(format!("a column is a product of at most {most} factors"));
                return check.note("", problem);
            }
            let centred = can_centre(of, product, self.fit == Fit::ProportionalHazards);
            product.iter().map(|factor| check.slot("", factor, centred)).collect()
        };
        let columns: Option<Vec<Vec<Slot>>> = of.iter().map(column).collect::<Vec<_>>().into_iter().collect();
        let condition = self.condition(&mut check);
        let Some(columns) = columns.filter(|_| check.problems.is_empty()) else {
            return Err(check.problems.into_iter().map(|(_, problem)| problem).collect());
        };
        if self.from.is_some() {
            let range = self.clamped(-limits::LINEAR_COEFFICIENT, limits::LINEAR_COEFFICIENT);
            let (beta, folds) = (Vec::new(), Vec::new());
            return Ok(PredictionLayout {
                inputs: check.inputs,
                columns,
                beta,
                folds,
                condition,
                range,
                fit: self.fit,
            });
        }
        let beta = scaled(of, &self.beta, &columns);
        let folds: Vec<Vec<f64>> = self.folds.iter().map(|beta| scaled(of, beta, &columns)).collect();
        let mut range = self.range(of, &beta).map_err(|problem| vec![problem])?;
        for fold in &folds {
            let (lo, hi) = self.range(of, fold).map_err(|problem| vec![problem])?;
            range = (range.0.min(lo), range.1.max(hi));
        }
        Ok(PredictionLayout { inputs: check.inputs, columns, beta, folds, condition, range, fit: self.fit })
    }

    fn condition(&self, check: &mut Check<'_>) -> Option<usize> {
        let Gives::Inverse(condition) = &self.gives else { return None };
        if !matches!(self.fit, Fit::Mean(Family::Binomial(_))) {
            let problem = TypeProblem::new(format!("a {} model has no probabilities", self.fit.name()));
            return check.note("", problem.hint("weights are made of a binomial model of a condition"));
        }
        match check_condition(condition, Columns::Contract(check.contract)) {
            Ok(()) => Some(check.input(&Measure::Condition(condition.clone()), (0.0, 1.0))),
            Err(problem) => check.note("", problem),
        }
    }

    /// The least and the most that it can be, where its coefficients are in bounds.
    fn range(&self, columns: &[Product], beta: &[f64]) -> Result<(f64, f64), TypeProblem> {
        let bends = self.fit.bends();
        // What a fit's step may be, but for what going there and back costs.
        let bound = |product: &Product| {
            let most = if product.is_empty() { limits::MODEL_INTERCEPT } else { limits::MODEL_SLOPE };
            if bends { most * (1.0 + 1e-9) } else { limits::LINEAR_COEFFICIENT }
        };
        // Nor is one that is no number any more.
        let within = |at: &usize| beta[*at].abs() <= bound(&columns[*at]);
        if let Some(at) = (0..beta.len()).find(|at| !within(at)) {
            let problem = match columns[at].first() {
                None => format!("the intercept is {:.1} in the middle of the ranges", beta[at]),
                Some(_) => format!(
                    "the coefficient of {} changes the linear predictor by {:.1} over half of its range",
                    named(&columns[at]),
                    beta[at].abs()
                ),
            };
            let problem = TypeProblem::new(format!("{problem}: at most {:.0}", bound(&columns[at])));
            return Err(problem.hint("a steeper model could single a patient out"));
        }
        let ends = |(lo, hi): (f64, f64), (product, beta): (&Product, &f64)| {
            let levels = product.iter().all(|factor| matches!(factor, Factor::Level { .. }));
            match (product.is_empty(), levels) {
                (true, _) => (lo + beta, hi + beta),
                (false, true) => (lo + beta.min(0.0), hi + beta.max(0.0)),
                (false, false) => (lo - beta.abs(), hi + beta.abs()),
            }
        };
        let (lo, hi) = columns.iter().zip(beta).fold((0.0, 0.0), ends);
        let range = self.clamped(lo, hi);
        // Of a probability the range does not say it.
        let differs = lo < hi && range.0 < range.1;
        if differs { Ok(range) } else { Err(TypeProblem::new("the model expects the same of everybody")) }
    }

    /// The least and the most that it can be where the linear predictor is between these.
    fn clamped(&self, lo: f64, hi: f64) -> (f64, f64) {
        let near = |eta: f64| {
            if self.fit.bends() { eta.clamp(-limits::LINEAR_PREDICTOR, limits::LINEAR_PREDICTOR) } else { eta }
        };
        match (&self.gives, self.fit) {
            (Gives::Linear, _) => (near(lo), near(hi)),
            (Gives::Mean, Fit::Mean(Family::Binomial(_))) => (0.0, 1.0),
            (Gives::Mean, fit) => (fit.mean(lo), fit.mean(hi)),
            (Gives::Inverse(_), _) => (1.0, limits::INVERSE_PROBABILITY),
            (Gives::Fold, _) => (1.0, self.folds.len() as f64),
        }
    }
}

impl PredictionLayout {
    /// The column's value at a linear predictor, of who has the condition or has it not, in a fold from 0.
    pub fn value(&self, of: &Prediction, eta: f64, has: bool, fold: usize) -> f64 {
        let (lo, hi) = self.range;
        match &of.gives {
            Gives::Mean => self.fit.mean(eta),
            Gives::Linear => eta,
            Gives::Fold => (fold + 1) as f64,
            Gives::Inverse(_) => {
                let p = self.fit.mean(eta);
                1.0 / if has { p } else { 1.0 - p }
            }
        }
        .clamp(lo, hi)
    }
}

/// The coefficients of the scaled columns, of those of the columns as they stand: T γ = β, where each row of T has, beside its own column, only those
/// that have more factors ([`Transform`]).
fn scaled(columns: &[Product], beta: &[f64], slots: &[Vec<Slot>]) -> Vec<f64> {
    let scales: Vec<Vec<Scale>> = slots.iter().map(|slots| slots.iter().map(Slot::scale).collect()).collect();
    let transform = Transform::of(columns, &scales);
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(columns[*at].len()));
    let mut scaled = vec![0.0; columns.len()];
    for (done, at) in order.iter().enumerate() {
        let row = &transform.rows()[*at];
        let others: f64 = order[..done].iter().map(|other| row[*other] * scaled[*other]).sum();
        scaled[*at] = (beta[*at] - others) / row[*at];
    }
    scaled
}

fn named(product: &Product) -> String {
    let names: Vec<&str> = product.iter().flat_map(Factor::columns).map(ColumnName::as_str).collect();
    names.join(" × ")
}

#[cfg(test)]
mod tests {
    use super::super::Link;
    use super::*;

    #[test]
    fn a_fit_is_written_as_its_family_where_it_has_one() {
        for (fit, text) in [
            (Fit::Mean(Family::Poisson), "\"poisson\""),
            (Fit::Mean(Family::Binomial(Link::Logit)), "{\"binomial\":\"logit\"}"),
            (Fit::ProportionalHazards, "\"proportional_hazards\""),
        ] {
            assert_eq!(serde_json::to_string(&fit).unwrap(), text);
            assert_eq!(serde_json::from_str::<Fit>(text).unwrap(), fit);
        }
        assert!(serde_json::from_str::<Fit>("\"hazards\"").is_err());
    }
}
