//! Two keys against each other: a dense table by both. χ² and the like are the coordinator's.

use serde::{Deserialize, Serialize};

use super::{Key, Show, Shown, TableSpec};

/// A cross-tabulation as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrosstabSpec {
    /// The key whose levels are the rows.
    pub rows: Key,
    /// The key whose levels are the columns.
    pub columns: Key,
    /// Whether a site may fall back to coarser groupings rather than hide cells.
    pub roll_up: bool,
}

impl CrosstabSpec {
    /// The table that it is: counts by rows, and then by columns.
    pub fn table(&self) -> TableSpec {
        TableSpec {
            by: vec![self.rows.clone(), self.columns.clone()],
            show: vec![Shown { label: "count".to_owned(), show: Show::Count }],
            roll_up: self.roll_up,
        }
    }
}
