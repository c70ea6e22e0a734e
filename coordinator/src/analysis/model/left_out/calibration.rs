//! How what was expected of those who were left out goes with what came: y explained by a + b · η, where η is the linear predictor of the fit that did
//! not know them (Cox 1958). A step of it is a step of the fits themselves, each at b · β with a added to its intercept.

use bocage_protocol::limits;
use nalgebra::{Matrix2, Vector2};

use super::super::fit::Merged;

/// A step that moves neither by more is the last.
const CLOSE: f64 = 1e-7;

/// The fit of intercept and slope on its way.
#[derive(Debug, Clone)]
pub(super) struct Calibration {
    /// Of each fit, its coefficients in scaled columns.
    beta: Vec<Vec<f64>>,
    /// Which column is the intercept.
    intercept: usize,
    at: Vector2<f64>,
    /// Estimates with their standard errors, at the end.
    pub end: Option<[(f64, f64); 2]>,
}

impl Calibration {
    pub fn new(beta: Vec<Vec<f64>>, intercept: usize) -> Self {
        Self { beta, intercept, at: Vector2::new(0.0, 1.0), end: None }
    }

    /// The fits' coefficients at this step; none where some are out of bounds.
    pub fn position(&self) -> Option<Vec<Vec<f64>>> {
        let at = |beta: &Vec<f64>| -> Vec<f64> {
            let own = |(j, beta): (usize, &f64)| self.at[1] * beta + if j == self.intercept { self.at[0] } else { 0.0 };
            beta.iter().enumerate().map(own).collect()
        };
        let within = |beta: &Vec<f64>| {
            let most = |j: usize| if j == self.intercept { limits::MODEL_INTERCEPT } else { limits::MODEL_SLOPE };
            beta.iter().enumerate().all(|(j, x)| x.abs() < most(j))
        };
        let position: Vec<Vec<f64>> = self.beta.iter().map(at).collect();
        position.iter().all(within).then_some(position)
    }

    /// Takes in the sums of those who were left out of each fit. Whether it is at its end.
    pub fn step(&mut self, out: &[Merged]) -> bool {
        let (mut score, mut information) = (Vector2::zeros(), Matrix2::zeros());
        for (beta, sums) in self.beta.iter().zip(out) {
            let along = |of: &dyn Fn(usize) -> f64| beta.iter().enumerate().map(|(j, b)| b * of(j)).sum::<f64>();
            let with = |i: usize| along(&|j| sums.information[(i, j)]);
            score += Vector2::new(sums.score[self.intercept], along(&|j| sums.score[j]));
            let both = with(self.intercept);
            information += Matrix2::new(sums.information[(self.intercept, self.intercept)], both, both, along(&with));
        }
        let Some(inverse) = information.try_inverse() else { return true };
        let step = inverse * score;
        if !step.iter().all(|x| x.is_finite()) {
            return true;
        }
        self.at += step;
        let done = step.amax() <= CLOSE;
        if done {
            let error = |i: usize| inverse[(i, i)].max(0.0).sqrt();
            self.end = Some([(self.at[0], error(0)), (self.at[1], error(1))]);
        }
        done
    }
}
