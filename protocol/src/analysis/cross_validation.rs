//! A regression held against those who were left out of it: fitted again and again, each time on all but one fold or one site, and evaluated there.
//!
//! ```text
//! rounds of fits ─▶ one more at their ends, with squared residuals ─▶ of a condition: slope of the calibration ─▶ lines of who has it, by what is expected ─▶ if asked, the same by fold
//! ```
//! All but the last are steps of the same model ([`crate::plan::Folds`]); the last, or the last two, are a curve ([`RocSpec`]) over what each patient is expected to have
//! by the fit that did not know them.

use serde::{Deserialize, Serialize};

use super::{ModelSpec, RocSpec, RoundState};
use crate::error::{ErrorCode, PublicError};
use crate::ids::ColumnName;
use crate::limits;
use crate::plan::{Derived, Expr, Feature, Fit, Gives, LeftOut, Literal, Plan, Prediction, Query};

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
    /// Whether they are counted once more, in each fold of patients by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fold_areas: bool,
}

impl CrossValidationSpec {
    pub(super) fn plan(&self, query: Query, round: u16, state: &RoundState) -> Result<Plan, PublicError> {
        match (state, &self.curve) {
            (RoundState::LeftOut(beta), Some(curve)) if (1..limits::MODEL_ROUNDS).contains(&round) => {
                Ok(curve.along(self.scored(query, beta, curve)?, vec![]))
            }
            (RoundState::LeftOutByFold(beta), Some(curve))
                if self.fold_areas && (1..limits::MODEL_ROUNDS).contains(&round) =>
            {
                self.by_fold(self.scored(query, beta, curve)?, curve)
            }
            _ => self.model.plan_of_folds(query, Some(self.left_out), (round, limits::MODEL_ROUNDS), state),
        }
    }

    /// The rows with what each patient is expected to have, by the fit that did not know them.
    fn scored(&self, mut query: Query, beta: &[Vec<f64>], curve: &RocSpec) -> Result<Query, PublicError> {
        if let Some(problem) = curve.problem() {
            return Err(PublicError::new(ErrorCode::StudyInvalid, format!("grid: {problem}")));
        }
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
            fit: Fit::Mean(self.model.response.family),
            columns: self.model.columns().map(|column| column.of.clone()).collect(),
            beta: first.clone(),
            gives: Gives::Mean,
            from: None,
            folds: if folds == 1 { Vec::new() } else { beta.to_vec() },
        };
        query.features.push(Feature { name: name.clone(), on: None, of: Derived::Predicted(Box::new(prediction)) });
        Ok(query)
    }

    /// The curve of each fold. Which fold a patient is in stands beside their score.
    fn by_fold(&self, mut query: Query, curve: &RocSpec) -> Result<Plan, PublicError> {
        let invalid =
            || PublicError::new(ErrorCode::StudyInvalid, "a cross-validation has areas by fold of patients alone");
        let (Some(Feature { name, of: Derived::Predicted(scored), .. }), LeftOut::Fold(count)) =
            (query.features.last().cloned(), self.left_out)
        else {
            return Err(invalid());
        };
        let fold: ColumnName = format!("{name}_fold").parse().map_err(|_| invalid())?;
        let of = Derived::Predicted(Box::new(Prediction { gives: Gives::Fold, ..*scored }));
        query.features.push(Feature { name: fold.clone(), on: None, of });
        let breaks = (1..count).map(|fold| f64::from(fold) + 0.5).collect();
        // Who has none has no score either, and is in a line of those of whom that is so.
        let known = Expr::Coalesce(vec![Expr::Column(fold), Expr::Literal(Literal::Float(1.0))]);
        Ok(curve.along(query, vec![Expr::Cut { of: Box::new(known), breaks }]))
    }
}
