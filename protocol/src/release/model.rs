//! The sums of one step of a model's fit at one site.

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::plan::ModelLayout;

/// Sums over the complete cases of a site, or none of them: nothing of a model is hidden by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRelease {
    /// k: no level, side or pair of levels that the sums tell apart has fewer patients.
    pub threshold: u32,
    /// Patients, each in one row: those for whom everything that the model reads is known.
    pub n: u64,
    /// As [`crate::plan::Sums`] says, each with 44 bits.
    pub sums: Vec<f64>,
}

impl ModelRelease {
    /// Whether this could be an honest answer: shape, and numbers that can be added up.
    pub fn fits(&self, layout: &ModelLayout) -> bool {
        let k = u64::from(self.threshold.max(1));
        (k..=limits::ROWS).contains(&self.n)
            && self.sums.len() == layout.values()
            && self.sums.iter().all(|sum| sum.is_finite() && sum.abs() <= limits::MODEL_SUM)
    }
}
