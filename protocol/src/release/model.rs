//! The sums of one step of a model's fit at one site.

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::plan::{Described, ModelLayout, Sums};

/// Sums over the complete cases of a site, or none of them: nothing of a model is hidden by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRelease {
    /// k: no level, side or pair of levels that the sums tell apart has fewer patients.
    pub threshold: u32,
    /// Patients, each in one row: those for whom everything that the model reads is known.
    pub n: u64,
    /// As [`crate::plan::Sums`] says, each with 44 bits. Pearson's χ² is no number where one patient has too much of it.
    pub sums: Vec<f64>,
}

impl ModelRelease {
    /// Whether this could be an honest answer: shape, and numbers that can be added up.
    pub fn fits(&self, layout: &ModelLayout) -> bool {
        let k = u64::from(self.threshold.max(1));
        (k..=limits::ROWS).contains(&self.n)
            && self.sums.len() == layout.values()
            && self.sums.iter().enumerate().all(|(at, sum)| {
                // What one patient has too much of is no number.
                let kept_back = at == Sums::PEARSON && sum.is_nan() && layout.explains_a_mean();
                kept_back || sum.is_finite() && sum.abs() <= limits::MODEL_SUM
            })
            && layout.described.is_none_or(|described| self.fits_clusters(described, k))
    }

    /// Of each start, whether everybody is in one cluster, or nobody in any; and of each cluster, whether it is nobody or k.
    fn fits_clusters(&self, described: Described, k: u64) -> bool {
        let Described::Clusters { width, .. } = described else { return true };
        let whole = |n: f64| n == 0.0 || n.fract() == 0.0 && (k as f64..=self.n as f64).contains(&n);
        self.sums[width..].chunks(described.block()).all(|start| {
            let sizes = || start.chunks(1 + width).map(|cluster| cluster[0]);
            let all: f64 = sizes().sum();
            sizes().all(whole) && (all == 0.0 || all == self.n as f64)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Described = Described::Clusters { width: 1, starts: 1, clusters: 2 };

    #[test]
    fn clusters_are_nobody_or_k_and_everybody_together_or_none() {
        let fits = |a: f64, b: f64| {
            let sums = vec![1.0, a, 0.5, b, -0.5];
            ModelRelease { threshold: 3, n: 10, sums }.fits_clusters(TWO, 3)
        };
        assert!(fits(7.0, 3.0) && fits(10.0, 0.0) && fits(0.0, 0.0));
        for (a, b) in [(8.0, 2.0), (6.0, 3.0), (7.5, 2.5), (11.0, -1.0), (10.0, 10.0), (-3.0, 13.0)] {
            assert!(!fits(a, b), "{a}, {b}");
        }
    }
}
