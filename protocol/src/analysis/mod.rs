//! The questions of a study, and how a node derives each round's plan from them.

mod table;

use serde::{Deserialize, Serialize};

use crate::error::{ErrorCode, PublicError};
use crate::ids::AnalysisName;
use crate::plan::{Plan, Query};

pub use table::{Key, Show, Shown, TableSpec};

/// A named question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnalysisSpec {
    /// Its name within the study.
    pub name: AnalysisName,
    /// The question.
    pub spec: Spec,
}

/// The kinds of question. A closed list that later analyses extend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spec {
    /// A dense table.
    Table(TableSpec),
}

impl Spec {
    /// The kind's name in study texts and results.
    pub fn kind(&self) -> &'static str {
        match self {
            Spec::Table(_) => "table",
        }
    }
}

/// What a coordinator may add to a study from round to round: numbers that are bounded by shape and range, nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoundState {
    /// The first round needs nothing.
    First,
}

/// The plan of a round, derived from the signed study and the round's state alone.
///
/// # Errors
/// `round_invalid` where the analysis has no such round.
pub fn plan_for(spec: &Spec, query: Query, round: u16, state: &RoundState) -> Result<Plan, PublicError> {
    match (spec, round, state) {
        (Spec::Table(table), 0, RoundState::First) => Ok(table.plan(query)),
        (Spec::Table(_), ..) => Err(PublicError::new(ErrorCode::RoundInvalid, "a table has one round only")),
    }
}
