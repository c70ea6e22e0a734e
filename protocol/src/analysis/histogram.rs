//! A histogram over declared bins: a dense table whose last key is the bin.

use serde::{Deserialize, Serialize};

use super::{Key, Show, Shown, TableSpec};
use crate::plan::Expr;

/// A histogram as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistogramSpec {
    /// The number that is counted.
    pub of: Key,
    /// The ascending edges b₁ < … < bₙ of the bins (−∞, b₁), [b₁, b₂), …, [bₙ, ∞).
    pub bins: Vec<f64>,
    /// One histogram for every combination of these keys' levels.
    pub by: Vec<Key>,
    /// Whether a site may fall back to coarser groupings rather than hide cells.
    pub roll_up: bool,
}

impl HistogramSpec {
    /// The table that it is: counts by the keys of `by`, and then by the bin.
    pub fn table(&self) -> TableSpec {
        let cut = Expr::Cut { of: Box::new(self.of.key.clone()), breaks: self.bins.clone() };
        let bin = Key { label: self.of.label.clone(), key: cut };
        TableSpec {
            by: self.by.iter().cloned().chain([bin]).collect(),
            show: vec![Shown { label: "count".to_owned(), show: Show::Count }],
            roll_up: self.roll_up,
        }
    }
}
