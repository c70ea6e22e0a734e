//! A flow of inclusion steps: how many patients every step leaves.
//!
//! A patient's first step that is not true (false or missing) is an ordered level, 0 … n − 1; who passes all is at level n.

use serde::{Deserialize, Serialize};

use crate::plan::{Bins, Expr, Plan, Query, Statistic};

/// A flow as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttritionSpec {
    /// The steps, in order; at most [`crate::limits::ATTRITION_STEPS`].
    pub steps: Vec<AttritionStep>,
    /// Whether it begins with all patients, whatever the study's own conditions are: its steps are these then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
}

/// A step with the text that the researcher wrote for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttritionStep {
    /// The text.
    pub label: String,
    /// Who passes: rows for which this is true.
    pub keep: Expr,
}

impl AttritionSpec {
    pub(super) fn plan(&self, query: Query) -> Plan {
        let steps = self.steps.iter().map(|s| s.keep.clone()).collect();
        let filter = query.filter.clone().filter(|_| !self.whole);
        Plan { query: Query { filter, ..query }, statistic: Statistic::Bins(Bins::Steps(steps)) }
    }
}
