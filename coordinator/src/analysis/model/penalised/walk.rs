//! One logistic fit along a path of penalties: Newton's steps on the penalised likelihood, each from where the last one ended (Friedman, Hastie,
//! Tibshirani 2010, §3). Numbers in, numbers out.

use bocage_protocol::limits;
use bocage_protocol::plan::Sums;
use nalgebra::DVector;

use super::super::fit::Merged;
use super::basis::Basis;
use super::descent::{Penalty, Quadratic};

/// A step that moves no coefficient of a scaled column by more is a penalty's last: the next would move them by about its square.
const CLOSE: f64 = 1e-5;
/// A coefficient stays so far short of its bound.
const WITHIN: f64 = 0.999;
/// So often in a row a step is halved.
const HALVINGS: u32 = 8;

/// What all fits of an analysis have in common.
#[derive(Debug, Clone)]
pub(super) struct Path {
    /// Descending.
    pub lambdas: Vec<f64>,
    pub mix: f64,
    pub basis: Basis,
}

/// A fit on its way.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    /// Of each column, its standard deviation among those whom this is fitted to.
    deviations: Vec<f64>,
    /// Where the sites are asked.
    pub at: DVector<f64>,
    /// The coefficients at the penalties that are done.
    pub done: Vec<DVector<f64>>,
    before: Option<(DVector<f64>, f64)>,
    halvings: u32,
    /// Why it goes no further, where it does not.
    pub stopped: Option<&'static str>,
}

impl Walk {
    /// From the sums at coefficients of 0, where every weight is a quarter: begins at the outcome's mean. The column that never varies, if there is one.
    pub fn begin(merged: &Merged, intercept: usize) -> Result<Self, usize> {
        let zero = DVector::zeros(merged.score.len());
        let of = quadratic(&zero, merged, intercept);
        if let Some(constant) = of.constant() {
            return Err(constant);
        }
        let deviation = |j: usize| if j == intercept { 1.0 } else { (4.0 * of.variance(j)).sqrt() };
        let deviations = (0..zero.len()).map(deviation).collect();
        let (n, events) = (merged.scalars[Sums::WEIGHT], merged.scalars[Sums::OUTCOME]);
        let mut at = zero;
        at[intercept] = (events / (n - events)).ln();
        let stopped = (!at[intercept].is_finite()).then_some("everybody has the outcome, or nobody");
        Ok(Self { deviations, at, done: Vec::new(), before: None, halvings: 0, stopped })
    }

    /// The least penalty at which no slope is left, from the sums at the begin.
    pub fn largest(&self, merged: &Merged, mix: f64, intercept: usize) -> f64 {
        quadratic(&self.at, merged, intercept).largest(&self.deviations, mix)
    }

    /// Whether it is at its end.
    pub fn is_done(&self, path: &Path) -> bool {
        self.stopped.is_some() || self.done.len() == path.lambdas.len()
    }

    /// Takes in the sums where it is.
    pub fn step(&mut self, merged: &Merged, path: &Path) {
        let Some(lambda) = path.lambdas.get(self.done.len()).filter(|_| self.stopped.is_none()) else { return };
        let penalty = Penalty { lambda: *lambda, mix: path.mix };
        let objective = merged.objective / (2.0 * merged.n as f64) + self.held(penalty, path.basis.intercept);
        if let Some((before, least)) = &self.before
            && (objective.is_nan() || objective > least + 1e-12 * (least.abs() + 1.0))
        {
            self.halvings += 1;
            if self.halvings > HALVINGS {
                self.stopped = Some("the steps do not come to an end");
                return;
            }
            self.at = (before + &self.at) / 2.0;
            return;
        }
        self.halvings = 0;
        let Some(next) = quadratic(&self.at, merged, path.basis.intercept).least(&self.deviations, penalty) else {
            self.stopped = Some("the columns are nearly made of each other");
            return;
        };
        let bound = |j: usize| if j == path.basis.intercept { limits::MODEL_INTERCEPT } else { limits::MODEL_SLOPE };
        if !path.basis.scaled(&next).iter().enumerate().all(|(j, beta)| beta.abs() <= WITHIN * bound(j)) {
            self.stopped =
                Some("a coefficient leaves the bounds of a fit: its column may tell the outcome apart completely");
            return;
        }
        let moved = (&next - &self.at).amax();
        let before = std::mem::replace(&mut self.at, next);
        self.before = Some((before, objective));
        if moved <= CLOSE {
            self.done.push(self.at.clone());
            self.before = None;
        }
    }

    fn held(&self, Penalty { lambda, mix }: Penalty, intercept: usize) -> f64 {
        let gammas = self.at.iter().zip(&self.deviations).enumerate().filter(|(j, _)| *j != intercept);
        gammas.map(|(_, (beta, s))| beta * s).map(|g| lambda * ((1.0 - mix) / 2.0 * g * g + mix * g.abs())).sum()
    }
}

fn quadratic<'a>(at: &'a DVector<f64>, merged: &'a Merged, intercept: usize) -> Quadratic<'a> {
    Quadratic { at, score: &merged.score, information: &merged.information, n: merged.n as f64, intercept }
}
