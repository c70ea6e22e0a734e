//! How far a model's expectations are from what came: one step of a regression that has nothing to fit, at a coefficient of 0. Its residuals are the
//! outcome less what the model expects, so the sum of their squares is Brier's score.

use serde::{Deserialize, Serialize};

use super::Key;
use crate::error::{ErrorCode, PublicError};
use crate::ids::ColumnName;
use crate::plan::{Explains, Family, Link, Measure, Model, Plan, Position, Query, Response, Statistic};

/// A model's probabilities held against the truth, as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoredSpec {
    /// What the model is of.
    pub truth: Key,
    /// Its linear predictor.
    pub linear: ColumnName,
}

impl ScoredSpec {
    /// The regression, of which the linear predictor is the offset.
    pub fn response(&self) -> Response {
        Response {
            of: Measure::Condition(self.truth.key.clone()),
            family: Family::Binomial(Link::Logit),
            offset: Some(Measure::Column(self.linear.clone())),
            weight: None,
        }
    }

    pub(super) fn plan(&self, query: Query) -> Result<Plan, PublicError> {
        let response = self.response();
        let at = Position { robust: true, ..Position::start(1, response.family) };
        let model =
            Model { explains: Explains::Mean(response), columns: vec![vec![]], by_site: false, at, folds: None };
        if query.features.iter().all(|feature| feature.name != self.linear) {
            return Err(PublicError::new(ErrorCode::StudyInvalid, "what is scored is no fitted model"));
        }
        Ok(Plan { query, statistic: Statistic::Model(model) })
    }
}
