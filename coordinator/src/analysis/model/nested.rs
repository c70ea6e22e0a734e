//! Likelihood-ratio tests of a fitted model against smaller ones within it (Wilks 1938): twice the log-likelihood that is lost, held against χ² with a
//! degree of freedom for each column that is left out; where all sites have one intercept, for each site but one.
//!
//! A smaller model is the same plan with some coefficients held, so that it is of the same rows by what it is. Its fit begins where the whole
//! model's curvature says that it ends, which takes few rounds; the tests end where other patients answer than those of the whole fit.

use bocage_protocol::analysis::{ModelSpec, Nested};
use bocage_protocol::plan::{ModelLayout, Position, Sums};
use nalgebra::DVector;

use super::errors::Reference;
use super::fit::{Fit, Fitted, Merged, Verdict, inverse};
use super::held::Held;
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
        let held = self.held(spec, nested);
        if held.degrees() == 0 {
            self.notes.push(format!("no likelihood-ratio test of `{}`: one site is in the fit", nested.label));
            self.found.push(None);
            return self.next(spec);
        }
        let beta = without(&self.whole, &held);
        match self.fit.holding(held, beta) {
            Some(fit) => self.fit = fit,
            None => self.end(spec, NO_ROUNDS),
        }
    }

    /// What a smaller model holds.
    fn held(&self, spec: &ModelSpec, nested: &Nested) -> Held {
        let Merged { n, scalars, .. } = &self.whole.merged;
        // Not of Pearson's χ², which a site may keep back.
        let unit = if spec.response.family.is_dispersed() { scalars[Sums::DEVIANCE] / *n as f64 } else { 1.0 };
        let sites = spec.columns().count()..self.whole.beta.len();
        let together = if nested.one_intercept { sites } else { 0..0 };
        Held { columns: nested.without.iter().map(|column| *column as usize).collect(), together, unit }
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
            let df = self.held(spec, nested).degrees();
            let p = lost.and_then(|lost| Reference::Normal.p_of_several(lost, df as f64));
            let label = Value::Text(nested.label.clone());
            block.rows.push(vec![label, number(*lost), Value::Count(df as u64), number(p)]);
        }
        block
    }
}

/// Where the coefficients come to lie when combinations R of them are 0, as far as the information at the fit tells: β − C Rᵀ (R C Rᵀ)⁻¹ R β with the
/// covariance C.
fn without(whole: &Fitted, held: &Held) -> DVector<f64> {
    let rows = held.combinations(whole.beta.len());
    let of_all = &whole.inverse * rows.transpose();
    match inverse(&(&rows * &of_all)) {
        Ok(inverse) => &whole.beta - of_all * inverse * rows * &whole.beta,
        Err(_) => whole.beta.clone(),
    }
}
