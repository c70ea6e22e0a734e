//! A model of proportional hazards (Cox 1972), stratified by site: fitted by Newton's method over several rounds, and one more at its end.

use serde::{Deserialize, Serialize};

use super::{Named, RoundState, Term};
use crate::error::{ErrorCode, PublicError};
use crate::limits;
use crate::plan::{Explains, Hazard, Model, Plan, Position, Query, Statistic};

/// A Cox model as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoxSpec {
    /// As the researcher wrote it.
    pub formula: String,
    /// When the event comes, and among whom.
    pub hazard: Hazard,
    /// By what it is explained.
    pub terms: Vec<Term>,
    /// The coverage of confidence intervals, from 0.5 to below 1.
    pub confidence: f64,
}

impl CoxSpec {
    /// Its columns, term by term.
    pub fn columns(&self) -> impl Iterator<Item = &Named> {
        self.terms.iter().flat_map(|term| &term.columns)
    }

    /// Every text of the researcher that the answer repeats.
    pub fn headings(&self) -> Vec<&str> {
        let labels = self.columns().map(|column| column.label.as_str());
        let terms = self.terms.iter().map(|term| term.label.as_str());
        std::iter::once(self.formula.as_str()).chain(terms).chain(labels).collect()
    }

    /// Where the fit begins.
    pub fn start(&self) -> Position {
        Position::of_hazards(self.columns().count())
    }

    pub(super) fn plan(&self, query: Query, round: u16, state: &RoundState) -> Result<Plan, PublicError> {
        let at = match state {
            RoundState::First if round == 0 => self.start(),
            RoundState::At(at) if round > 0 && round < limits::MODEL_ROUNDS => at.clone(),
            _ => {
                let most = limits::MODEL_ROUNDS;
                let message = format!("a cox model has {most} rounds, each but the first with numbers");
                return Err(PublicError::new(ErrorCode::RoundInvalid, message));
            }
        };
        if !(0.5..1.0).contains(&self.confidence) {
            return Err(PublicError::new(ErrorCode::StudyInvalid, "`confidence` is from 0.5 to below 1"));
        }
        let columns = self.columns().map(|column| column.of.clone()).collect();
        let model = Model { explains: Explains::Hazard(Box::new(self.hazard.clone())), columns, by_site: false, at };
        Ok(Plan { query, statistic: Statistic::Model(model) })
    }
}
