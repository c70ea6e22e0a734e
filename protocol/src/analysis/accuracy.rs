//! A test held against the truth: a dense table of both. Sensitivity and the like are the coordinator's.

use serde::{Deserialize, Serialize};

use super::{Confidence, Key, TableSpec};

/// A test's accuracy as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccuracySpec {
    /// Whether the test says yes: a condition.
    pub test: Key,
    /// Whether it is so: a condition.
    pub truth: Key,
    /// Whether shares have the exact interval rather than the score interval.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
    /// That of the intervals.
    pub confidence: Confidence,
}

impl AccuracySpec {
    /// The table that it is: counts by the test, and then by the truth.
    pub fn table(&self) -> TableSpec {
        TableSpec::counts([&self.test, &self.truth])
    }
}
