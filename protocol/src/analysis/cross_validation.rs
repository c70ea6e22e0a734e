//! A regression held against those who were left out of it: fitted again and again, each time on all but one fold or one site, and evaluated there.
//!
//! ```text
//! rounds of fits ─▶ one more at their ends, with squared residuals ─▶ of a condition: slope of the calibration ─▶ lines of who has it, by what is expected
//! ```
//! All but the last are steps of the same model ([`crate::plan::Folds`]); the last is a curve ([`RocSpec`]) over what each patient is expected to have
//! by the fit that did not know them.

use serde::{Deserialize, Serialize};

use super::{ModelSpec, RocSpec, RoundState};
use crate::error::{ErrorCode, PublicError};
use crate::limits;
use crate::plan::{Derived, Expr, Feature, Gives, LeftOut, Plan, Prediction, Query};

/// A cross-validation as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossValidationSpec {
    /// What is fitted.
    pub model: ModelSpec,
    /// Who is left out of each fit.
    pub left_out: LeftOut,
    /// Of a condition: along what its probabilities are counted. The score is a column that the last round makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<RocSpec>,
}

impl CrossValidationSpec {
    pub(super) fn plan(&self, query: Query, round: u16, state: &RoundState) -> Result<Plan, PublicError> {
        match (state, &self.curve) {
            (RoundState::LeftOut(beta), Some(curve)) if (1..limits::MODEL_ROUNDS).contains(&round) => {
                self.curve(query, beta, curve)
            }
            _ => self.model.plan_of_folds(query, Some(self.left_out), (round, limits::MODEL_ROUNDS), state),
        }
    }

    fn curve(&self, mut query: Query, beta: &[Vec<f64>], curve: &RocSpec) -> Result<Plan, PublicError> {
        let invalid = |message: &str| PublicError::new(ErrorCode::StudyInvalid, message);
        let Expr::Column(name) = &curve.score.key else {
            return Err(invalid("the score of a cross-validation is a column of its own"));
        };
        let folds = match self.left_out {
            LeftOut::Site => 1,
            LeftOut::Fold(count) => usize::from(count),
        };
        let (Some(first), true) = (beta.first(), beta.len() == folds) else {
            return Err(invalid("the round's coefficients are of other folds"));
        };
        let prediction = Prediction {
            family: self.model.response.family,
            columns: self.model.columns().map(|column| column.of.clone()).collect(),
            beta: first.clone(),
            gives: Gives::Mean,
            folds: if folds == 1 { Vec::new() } else { beta.to_vec() },
        };
        query.features.push(Feature { name: name.clone(), on: None, of: Derived::Predicted(Box::new(prediction)) });
        curve.plan(query)
    }
}
