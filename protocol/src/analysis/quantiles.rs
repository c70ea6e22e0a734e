//! Quantiles of a number, from each site's bins of k or more patients. The answer of all sites together is an interval a quantile.

use serde::{Deserialize, Serialize};

use crate::error::{ErrorCode, PublicError};
use crate::ids::ColumnName;
use crate::limits;
use crate::plan::{Bins, Plan, Query, Statistic};

/// Quantiles as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantilesSpec {
    /// Of which column.
    pub of: ColumnName,
    /// At which shares of the patients: ascending, each above 0 and below 1, at most [`limits::QUANTILES`].
    pub at: Vec<f64>,
}

impl QuantilesSpec {
    /// What is wrong with these shares, if anything.
    pub fn problem_of(at: &[f64]) -> Option<String> {
        let known = (1..=limits::QUANTILES).contains(&at.len()) && at.iter().all(|p| 0.0 < *p && *p < 1.0);
        let ascending = at.windows(2).all(|w| w[0] < w[1]);
        (!known || !ascending)
            .then(|| format!("`at` has 1 to {} ascending shares above 0 and below 1", limits::QUANTILES))
    }

    pub(super) fn plan(&self, query: Query) -> Result<Plan, PublicError> {
        match Self::problem_of(&self.at) {
            Some(problem) => Err(PublicError::new(ErrorCode::StudyInvalid, problem)),
            None => Ok(Plan { query, statistic: Statistic::Bins(Bins::Column(self.of.clone())) }),
        }
    }
}
