//! The moments of columns over all sites: how many patients, means, and how the columns vary together.

use bocage_protocol::ids::SiteId;
use bocage_protocol::plan::{ModelLayout, Scale, Slot};
use bocage_protocol::release::ModelRelease;
use nalgebra::{DMatrix, DVector};

use super::model::add_triangle;

/// Moments of scaled columns, with the way back to the columns as they were asked. Sites are added in the order of their names.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    /// The sites, each with its patients.
    pub sites: Vec<(SiteId, u64)>,
    /// All patients.
    pub n: u64,
    /// How each column is scaled.
    pub scales: Vec<Scale>,
    /// Of scaled columns.
    mean: DVector<f64>,
    /// Σ (z − mean)(z − mean)ᵀ.
    deviations: DMatrix<f64>,
}

impl Moments {
    /// Of what sites released.
    pub(super) fn of(releases: &[(&SiteId, ModelRelease)], layout: &ModelLayout) -> Self {
        let width = layout.columns.len();
        let (mut sum, mut products) = (DVector::zeros(width), DMatrix::zeros(width, width));
        for (_, release) in releases {
            let (own, triangle) = release.sums.split_at(width.min(release.sums.len()));
            sum.iter_mut().zip(own).for_each(|(all, own): (&mut f64, &f64)| *all += own);
            add_triangle(&mut products, triangle, width, |at| at);
        }
        let n: u64 = releases.iter().map(|(_, release)| release.n).sum();
        let mean = sum / n as f64;
        let deviations = products - &mean * mean.transpose() * n as f64;
        let sites = releases.iter().map(|(site, release)| ((*site).clone(), release.n)).collect();
        Self { sites, n, scales: scales(layout), mean, deviations }
    }

    /// Of scaled columns.
    pub(super) fn scaled_mean(&self) -> &DVector<f64> {
        &self.mean
    }

    /// The covariance of scaled columns; of fewer than two patients there is none.
    pub(super) fn scaled_covariance(&self) -> Option<DMatrix<f64>> {
        (self.n >= 2).then(|| &self.deviations / (self.n - 1) as f64)
    }

    /// The mean of a column as it was asked.
    pub(super) fn mean(&self, column: usize) -> f64 {
        self.scales[column].centre + self.scales[column].half * self.mean[column]
    }

    /// Its standard deviation; none where it does not vary beyond what rounding makes of it.
    pub(super) fn sd(&self, column: usize) -> Option<f64> {
        self.scaled_sd(column).map(|sd| self.scales[column].half * sd)
    }

    /// That of the scaled column.
    pub(super) fn scaled_sd(&self, column: usize) -> Option<f64> {
        sd(self.n, self.mean[column], self.deviations[(column, column)])
    }

    /// Whether it varies so much beside its mean that what rounding makes of sums changes a correlation with it in the fourth place at most.
    pub(super) fn is_told(&self, column: usize) -> bool {
        self.deviations[(column, column)] > TOLD * self.n as f64 * self.mean[column] * self.mean[column]
    }
}

/// Of n · mean² rounding to 44 bits leaves some 10⁻¹³, in Σz², in (Σz)² and in the products.
const TOLD: f64 = 1e-9;

/// The standard deviation of a scaled column of `n` patients, of its mean and Σ (z − mean)²; none where it does not vary beyond what rounding makes of it.
pub(super) fn sd(n: u64, mean: f64, square: f64) -> Option<f64> {
    // A constant leaves the rounding of its square, which is one part in 2⁴⁴.
    let noise = 1e-12 * n as f64 * mean * mean;
    (n >= 2 && square > noise).then(|| (square / (n - 1) as f64).sqrt())
}

/// How each column is scaled.
fn scales(layout: &ModelLayout) -> Vec<Scale> {
    let scale = |slots: &Vec<Slot>| match slots.first() {
        Some(Slot::Number { scale, .. } | Slot::Spline { scale, .. }) => *scale,
        Some(Slot::Level { .. }) | None => Scale::NONE,
    };
    layout.columns.iter().map(scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A column of two numbers, ten patients each, about this mean.
    fn two(mean: f64, apart: f64) -> Moments {
        let of = |x: f64| DVector::from_element(1, x);
        let (n, deviations) = (20, DMatrix::from_element(1, 1, 20.0 * apart * apart));
        Moments { sites: vec![], n, scales: vec![Scale::NONE], mean: of(mean), deviations }
    }

    #[test]
    fn what_varies_by_little_beside_its_mean_has_a_spread_and_is_no_number_to_correlate() {
        assert!(two(0.9, 1e-4).is_told(0) && two(0.0, 1e-9).is_told(0));
        assert!(!two(0.9, 1e-5).is_told(0) && !two(0.9, 0.0).is_told(0) && !two(0.0, 0.0).is_told(0));
        assert!(two(0.9, 1e-5).scaled_sd(0).is_some());
    }
}
