//! θ of a negative binomial family, which is estimated beside the coefficients: by its inverse, the dispersion, in which the log-likelihood is near a
//! parabola down to the Poisson family at 0.

use bocage_protocol::limits;
use bocage_protocol::plan::Sums;
use nalgebra::DVector;

use super::fit::Merged;

/// A step leads at most to so many times θ, or to one part of so many.
const FAR: f64 = 5.0;
/// While a step moves a coefficient of a scaled column, or a share of the dispersion, by more, what earlier steps tell is of elsewhere.
const NEAR: f64 = 0.1;

/// θ where the sites were asked, and what they say of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Theta {
    /// Its value.
    pub is: f64,
    /// Whether it would leave its limits, and stays.
    stays: bool,
    /// How the log-likelihood rises with the dispersion: 0 where it stays.
    slope: f64,
    /// One over the curvature. Where that is no hill, what leads as far down as a step does.
    pub inverse: f64,
}

impl Theta {
    /// By the sums of all sites.
    pub(super) fn at(theta: f64, merged: &Merged) -> Self {
        let [slope, curve] = Sums::THETA.map(|at| merged.scalars[at]);
        let (least, most) = (*limits::MODEL_THETA.start(), *limits::MODEL_THETA.end());
        let stays = (slope > 0.0 && theta >= most) || (slope < 0.0 && theta <= least);
        let (slope, curve) = (-slope * theta.powi(2), curve * theta.powi(4) - 2.0 * slope * theta.powi(3));
        let inverse = if curve > 0.0 {
            1.0 / curve
        } else if slope == 0.0 {
            0.0
        } else {
            (1.0 - 1.0 / FAR) / theta / slope.abs()
        };
        Self { is: theta, stays, slope: if stays { 0.0 } else { slope }, inverse }
    }

    /// The score of all that is estimated: the dispersion stands last.
    pub(super) fn beside(&self, score: DVector<f64>) -> DVector<f64> {
        score.push(self.slope)
    }

    /// Whether a step of all that is estimated is of what earlier steps tell nothing about.
    pub(super) fn is_far(&self, step: &DVector<f64>) -> bool {
        let (dispersion, coefficients) = step.as_slice().split_last().unwrap_or((&0.0, &[]));
        self.stays || dispersion.abs() * self.is > NEAR || coefficients.iter().any(|step| step.abs() > NEAR)
    }

    /// The θ to which a step of the dispersion leads.
    pub(super) fn next(&self, step: f64) -> f64 {
        let dispersion = (1.0 / self.is + step).clamp(1.0 / self.is / FAR, FAR / self.is);
        (1.0 / dispersion).clamp(*limits::MODEL_THETA.start(), *limits::MODEL_THETA.end())
    }

    /// The step of the dispersion that leads to this θ.
    pub(super) fn step_to(&self, theta: f64) -> f64 {
        1.0 / theta - 1.0 / self.is
    }
}
