//! A table by a key that is found in the data: the values of a column that are frequent enough to be said, most frequent first.

use serde::{Deserialize, Serialize};

use super::TableSpec;
use crate::error::{ErrorCode, PublicError};
use crate::ids::ColumnName;
use crate::limits;
use crate::plan::{Discovered, Plan, Query, Statistic};

/// A table by discovered keys as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscoveredSpec {
    /// The heading of the keys.
    pub label: String,
    /// The column whose values are the keys.
    pub key: ColumnName,
    /// The other keys, and what is shown.
    pub table: TableSpec,
    /// So many keys are shown, those with the most patients; at most [`limits::TOP`].
    pub top: u32,
}

impl DiscoveredSpec {
    /// What is wrong with this number of keys, if anything.
    pub fn problem_of(top: u32) -> Option<String> {
        let known = (1..=limits::TOP as u64).contains(&u64::from(top));
        (!known).then(|| format!("`top` is 1 to {}", limits::TOP))
    }

    pub(super) fn plan(&self, query: Query) -> Result<Plan, PublicError> {
        if let Some(problem) = Self::problem_of(self.top) {
            return Err(PublicError::new(ErrorCode::StudyInvalid, problem));
        }
        let discovered = Discovered { key: self.key.clone(), table: self.table.lowered() };
        Ok(Plan { query, statistic: Statistic::Discovered(discovered) })
    }
}
