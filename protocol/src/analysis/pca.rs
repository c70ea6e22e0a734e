//! Principal components (Pearson 1901; Hotelling 1933): the directions in which columns vary most, from their moments in one round.

use serde::{Deserialize, Serialize};

use super::Named;
use crate::limits;
use crate::plan::{Explains, Model, Plan, Position, Query, Statistic};

/// Principal components as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PcaSpec {
    /// Of which columns.
    pub columns: Vec<Named>,
    /// Of what matrix.
    pub scale: PcaScale,
    /// How many are shown of their directions.
    pub components: u32,
}

/// What is decomposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PcaScale {
    /// The correlation matrix: every column counts alike, whatever its unit.
    Correlation,
    /// The covariance matrix: columns in their own units.
    Covariance,
}

impl PcaSpec {
    /// Every text of the researcher that the answer repeats.
    pub fn headings(&self) -> Vec<&str> {
        self.columns.iter().map(|column| column.label.as_str()).collect()
    }

    /// How many components are shown.
    pub fn shown(&self) -> usize {
        (self.components as usize).clamp(1, self.columns.len().clamp(1, limits::MODEL_COLUMNS))
    }

    pub(super) fn plan(&self, query: Query) -> Plan {
        Plan { query, statistic: Statistic::Model(described(&self.columns, Explains::Moments)) }
    }
}

/// Columns without an outcome.
pub(super) fn described(columns: &[Named], explains: Explains) -> Model {
    let columns: Vec<_> = columns.iter().map(|column| column.of.clone()).collect();
    let at = Position::of_hazards(columns.len());
    Model { explains, columns, by_site: false, at, folds: None }
}
