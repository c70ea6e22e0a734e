//! Likelihood-ratio tests of a fitted model against smaller ones within it (Wilks 1938): twice the log-likelihood that is lost, held against χ² with a
//! degree of freedom for each column that is left out.
//!
//! A smaller model is the same plan with some coefficients held at 0, so that it is of the same rows by what it is. Its fit begins where the whole
//! model's curvature says that it ends, which takes few rounds; the tests end where other patients answer than those of the whole fit.

use bocage_protocol::analysis::ModelSpec;
use bocage_protocol::plan::{ModelLayout, Position, Sums};
use nalgebra::{DMatrix, DVector};

use super::errors::Reference;
use super::fit::{Fit, Fitted, Merged, Verdict, inverse};
use super::published::{headed, log_likelihood, number};
use crate::api::types::{Block, Value};

/// Why a test is not given.
const NO_ROUNDS: &str = "a model has no more rounds";

/// The tests of a model on their way.
#[derive(Debug)]
pub(super) struct Nesting {
    /// The whole model's fit.
    pub whole: Box<Fitted>,
    fit: Fit,
    /// Twice the log-likelihood that each smaller model loses, as far as they are fitted.
    found: Vec<Option<f64>>,
    /// What came in between.
    pub notes: Vec<String>,
}

impl Nesting {
    /// The first smaller model of a fit, where any is asked for.
    pub(super) fn begin(spec: &ModelSpec, fit: &Fit, whole: Box<Fitted>) -> Self {
        let mut nesting = Self { whole, fit: fit.clone(), found: Vec::new(), notes: Vec::new() };
        nesting.next(spec);
        nesting
    }

    /// Where the sites are asked; none where there is nothing more to ask.
    pub(super) fn position(&self, spec: &ModelSpec) -> Option<Position> {
        (self.found.len() < spec.likelihood_ratio.len()).then(|| self.fit.position().clone())
    }

    /// Takes in the sums at [`Nesting::position`].
    pub(super) fn step(&mut self, spec: &ModelSpec, layout: &ModelLayout, merged: Option<Merged>) {
        let Some(merged) = merged.filter(|merged| merged.sites == self.whole.merged.sites) else {
            self.end(spec, "not the patients of the whole fit answer any more");
            return;
        };
        match self.fit.step(merged) {
            Verdict::Go(_) => return,
            Verdict::Done(smaller) => {
                let of = |fitted: &Fitted| log_likelihood(spec, layout, fitted);
                let lost = of(&self.whole).zip(of(&smaller)).map(|(whole, smaller)| 2.0 * (whole - smaller));
                // Rounding can make nothing a little less.
                self.found.push(lost.map(|lost| lost.max(0.0)));
            }
            Verdict::Failed(_) if self.fit.has_no_rounds() => {
                self.end(spec, NO_ROUNDS);
                return;
            }
            Verdict::Failed(failure) => {
                let label = &spec.likelihood_ratio[self.found.len()].label;
                let name = |at: usize| spec.columns().nth(at).map_or("an intercept of a site", |column| &column.label);
                self.notes.push(format!("no likelihood-ratio test of `{label}`: without it {}", failure.words(name)));
                self.found.push(None);
            }
        }
        self.next(spec);
    }

    /// Begins the next smaller model.
    fn next(&mut self, spec: &ModelSpec) {
        let Some(nested) = spec.likelihood_ratio.get(self.found.len()) else { return };
        let held: Vec<usize> = nested.without.iter().map(|column| *column as usize).collect();
        let Merged { n, scalars, .. } = &self.whole.merged;
        let unit = if spec.response.family.is_dispersed() { scalars[Sums::PEARSON] / *n as f64 } else { 1.0 };
        match self.fit.holding(&held, without(&self.whole, &held), unit) {
            Some(fit) => self.fit = fit,
            None => self.end(spec, NO_ROUNDS),
        }
    }

    fn end(&mut self, spec: &ModelSpec, why: &str) {
        let left = spec.likelihood_ratio.iter().skip(self.found.len());
        let left: Vec<String> = left.map(|nested| format!("`{}`", nested.label)).collect();
        self.notes.push(format!("no likelihood-ratio test of {}: {why}", left.join(", ")));
        self.found.resize(spec.likelihood_ratio.len(), None);
    }

    /// The tests.
    pub(super) fn block(&self, spec: &ModelSpec) -> Block {
        let mut block = headed(&["without", "statistic", "degrees of freedom", "p"]);
        for (nested, lost) in spec.likelihood_ratio.iter().zip(&self.found) {
            let df = nested.without.len();
            let p = lost.and_then(|lost| Reference::Normal.p_of_several(lost, df as f64));
            let label = Value::Text(nested.label.clone());
            block.rows.push(vec![label, number(*lost), Value::Count(df as u64), number(p)]);
        }
        block
    }
}

/// Where the coefficients come to lie when some are 0, as far as the information at the fit tells: β − C₍ₕ₎ C₍ₕₕ₎⁻¹ βₕ with the covariance C.
fn without(whole: &Fitted, held: &[usize]) -> DVector<f64> {
    let covariance = &whole.inverse;
    let both = DMatrix::from_fn(held.len(), held.len(), |i, j| covariance[(held[i], held[j])]);
    let lost = DVector::from_fn(held.len(), |i, _| whole.beta[held[i]]);
    let of_all = DMatrix::from_fn(whole.beta.len(), held.len(), |i, j| covariance[(i, held[j])]);
    let mut beta = match inverse(&both) {
        Ok(inverse) => &whole.beta - of_all * inverse * lost,
        Err(_) => whole.beta.clone(),
    };
    held.iter().for_each(|at| beta[*at] = 0.0);
    beta
}
