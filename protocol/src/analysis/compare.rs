//! Groups compared by an outcome: a dense table of groups, by the outcome's levels or with the outcome's sums. Ratios and tests are the coordinator's.

use serde::{Deserialize, Serialize};

use super::{Confidence, Key, Show, Shown, TableSpec};
use crate::error::{ErrorCode, PublicError};
use crate::limits;
use crate::plan::{Measure, Plan, Query};

/// A comparison as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareSpec {
    /// By what the groups are compared.
    pub outcome: Outcome,
    /// The key whose levels are the groups.
    pub by: Key,
    /// The group that the others are held against: the position of its level.
    pub reference: u32,
    /// Where the groups have an order, a number for each level: the test for trend goes by them. Empty: there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<f64>,
    /// Whether the groups are compared within each site too, and what the sites say is put together (Mantel and Haenszel).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub within_sites: bool,
    /// That of the intervals.
    pub confidence: Confidence,
}

/// By what groups are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Whether a condition holds.
    Holds(Key),
    /// Levels in their order: the bands of a number.
    Ordered(Key),
    /// The mean of a number.
    Number {
        /// The researcher's text.
        label: String,
        /// It.
        measure: Measure,
    },
}

impl Outcome {
    /// What the researcher wrote for it.
    pub fn label(&self) -> &str {
        match self {
            Outcome::Holds(key) | Outcome::Ordered(key) => &key.label,
            Outcome::Number { label, .. } => label,
        }
    }
}

impl CompareSpec {
    /// The table that it is: of groups and the outcome's levels, or of groups with the outcome's mean.
    pub fn table(&self) -> TableSpec {
        match &self.outcome {
            Outcome::Holds(key) | Outcome::Ordered(key) => TableSpec::counts([&self.by, key]),
            Outcome::Number { label, measure } => {
                let shown = |name: &str, show| Shown { label: format!("{name}({label})"), show };
                let mut table = TableSpec::counts([&self.by]);
                table.show.push(shown("mean", Show::Mean(measure.clone())));
                table.show.push(shown("sd", Show::Sd(measure.clone())));
                table
            }
        }
    }

    pub(super) fn plan(&self, query: Query) -> Result<Plan, PublicError> {
        // How many groups there are is not known here; whoever reads the scores holds them against these.
        if self.scores.len() > limits::GROUPS || !self.scores.iter().all(|score| score.abs() <= limits::SCORE) {
            let message = format!("`scores` are at most {} numbers within ±{}", limits::GROUPS, limits::SCORE);
            return Err(PublicError::new(ErrorCode::StudyInvalid, message));
        }
        Ok(self.table().plan(query))
    }

    /// What is wrong with its numbers, if anything: they are as many as the groups.
    pub fn problem_of(&self, groups: usize) -> Option<String> {
        if groups > limits::GROUPS {
            return Some(format!("{groups} groups: at most {} are compared", limits::GROUPS));
        }
        if self.reference as usize >= groups {
            return Some(format!("`reference` is none of the {groups} groups"));
        }
        let bounded = |score: &f64| score.abs() <= limits::SCORE;
        let differ = self.scores.windows(2).any(|pair| pair[0] != pair[1]);
        if !self.scores.is_empty() && (self.scores.len() != groups || !differ || !self.scores.iter().all(bounded)) {
            return Some(format!("`scores` are {groups} numbers within ±{}, not all the same", limits::SCORE));
        }
        None
    }
}
