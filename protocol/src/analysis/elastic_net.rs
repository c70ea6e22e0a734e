//! A regression whose coefficients are held small: those of
//!
//! ```text
//! 1/(2n) · deviance + λ · Σⱼ ( (1 − α)/2 · (sⱼ βⱼ)² + α · |sⱼ βⱼ| )        sⱼ: the standard deviation of column j, 1/n; no intercept is held
//! ```
//! along a path of λ (Zou, Hastie 2005; Friedman, Hastie, Tibshirani 2010, equation 1, with `standardize = TRUE`). A linear one needs one round: its
//! sums at coefficients of 0 are all that any λ asks for, also of each fold.

use serde::{Deserialize, Serialize};

use super::{ModelSpec, RoundState};
use crate::error::{ErrorCode, PublicError};
use crate::limits;
use crate::plan::{Family, LeftOut, Plan, Query};

/// An elastic net as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElasticNetSpec {
    /// What is fitted; without a ridge of its own.
    pub model: ModelSpec,
    /// α: 1 is the lasso, near 0 a ridge.
    pub mix: f64,
    /// λ, descending. None: so many, from the least that leaves no column, to a share of it.
    pub lambdas: Vec<f64>,
    /// How many there are, where none is named.
    pub points: u16,
    /// By whom λ is chosen: those who were left out.
    pub left_out: Option<LeftOut>,
    /// How it is chosen.
    pub choice: Choice,
}

/// How λ is chosen by those who were left out of the fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The one with the least loss.
    Min,
    /// The largest whose loss is within one standard error of the least (Breiman et al. 1984).
    OneSe,
}

impl ElasticNetSpec {
    /// What is wrong with it, if anything.
    pub fn problem(&self) -> Option<String> {
        let most = match self.model.response.family {
            Family::Gaussian => limits::PATH_POINTS,
            _ => limits::PATH_STEPS,
        };
        let descending = self.lambdas.windows(2).all(|w| w[0] > w[1]);
        let positive = self.lambdas.iter().all(|lambda| lambda.is_finite() && *lambda > 0.0);
        if !(0.01..=1.0).contains(&self.mix) {
            return Some("`mix` is 0.01 to 1, the lasso; a ridge is a `model` with `ridge`".to_owned());
        }
        if !(descending && positive) || self.lambdas.len() > most {
            return Some(format!("`lambdas` are at most {most}, descending and above 0"));
        }
        let points = usize::from(self.points);
        (self.lambdas.is_empty() && !(2..=most).contains(&points)).then(|| format!("`points` are 2 to {most}"))
    }

    pub(super) fn plan(&self, query: Query, round: u16, state: &RoundState) -> Result<Plan, PublicError> {
        let rounds = match self.model.response.family {
            Family::Gaussian => 1,
            _ => limits::PATH_ROUNDS,
        };
        if let Some(problem) = self.problem() {
            return Err(PublicError::new(ErrorCode::StudyInvalid, problem));
        }
        self.model.plan_of_folds(query, self.left_out, (round, rounds), state)
    }
}
