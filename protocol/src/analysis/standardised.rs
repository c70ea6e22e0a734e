//! Rates made comparable by a standard population: a dense table by group, stratum and outcome. The weighing is the coordinator's.

use serde::{Deserialize, Serialize};

use super::{Confidence, Key, TableSpec};
use crate::error::{ErrorCode, PublicError};
use crate::limits;
use crate::plan::{Plan, Query};

/// Standardised rates as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandardisedSpec {
    /// Who has the event: a condition.
    pub events: Key,
    /// One rate for every level of this key; one for all where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Key>,
    /// The keys whose levels are the strata.
    pub over: Vec<Key>,
    /// What the strata are weighed by.
    pub standard: Standard,
    /// Rates are events in so many patients.
    pub per: f64,
    /// That of the intervals.
    pub confidence: Confidence,
}

/// What strata are weighed by: a number for each combination of the levels of `over`, the last key fastest, without missing ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standard {
    /// How many people of the standard population are in it: direct standardisation.
    Population(Vec<f64>),
    /// The standard population's own rate in it, of one patient: indirect standardisation.
    Rates(Vec<f64>),
}

impl Standard {
    /// Its numbers.
    pub fn numbers(&self) -> &[f64] {
        match self {
            Standard::Population(numbers) | Standard::Rates(numbers) => numbers,
        }
    }

    /// What is wrong with them, if anything.
    pub fn problem(&self) -> Option<String> {
        let numbers = self.numbers();
        if !(1..=limits::CELLS).contains(&numbers.len()) {
            return Some(format!("a standard population has 1 to {} strata", limits::CELLS));
        }
        let (most, what) = match self {
            Standard::Population(_) => (limits::STANDARD_POPULATION, "people"),
            Standard::Rates(_) => (1.0, "events of one patient"),
        };
        if !numbers.iter().all(|n| (0.0..=most).contains(n)) || numbers.iter().all(|n| *n == 0.0) {
            return Some(format!("a stratum has 0 to {most} {what}, and one of them more than 0"));
        }
        None
    }
}

impl StandardisedSpec {
    /// The table that it is: counts by group, then strata, then whether the event happened.
    pub fn table(&self) -> TableSpec {
        TableSpec::counts(self.by.iter().chain(&self.over).chain([&self.events]))
    }

    /// What is wrong with `per`, if anything.
    pub fn problem_of_per(per: f64) -> Option<String> {
        let known = (1.0..=limits::PER).contains(&per);
        (!known).then(|| format!("`per` is 1 to {}", limits::PER))
    }

    pub(super) fn plan(&self, query: Query) -> Result<Plan, PublicError> {
        match self.standard.problem().or_else(|| Self::problem_of_per(self.per)) {
            Some(problem) => Err(PublicError::new(ErrorCode::StudyInvalid, problem)),
            None => Ok(self.table().plan(query)),
        }
    }
}
