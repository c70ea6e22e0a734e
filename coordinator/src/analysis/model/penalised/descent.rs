//! The coefficients that a penalty leaves of a quadratic: coordinate descent (Friedman, Hastie, Tibshirani 2010, §2.1 and §2.4) on
//!
//! ```text
//! ½ γᵀ G γ − cᵀ γ + λ Σⱼ ( (1 − α)/2 γⱼ² + α |γⱼ| )          γⱼ = sⱼ βⱼ
//! ```
//! with the intercept taken out of G and c (a Schur complement), so that it is not held. Numbers in, numbers out.

use nalgebra::{DMatrix, DVector};

/// A sweep that moves no coefficient by more, beside the largest, is the last.
const CLOSE: f64 = 1e-13;
/// Sweeps at most; those of nearly collinear columns are slow.
const SWEEPS: u32 = 200_000;
/// A column of which less than this share is left beside the intercept never varies.
const CONSTANT: f64 = 1e-12;

/// A quadratic in the coefficients of a design: its gradient at `at` is −`score`, its curvature `information`, both over n.
pub(super) struct Quadratic<'a> {
    pub at: &'a DVector<f64>,
    pub score: &'a DVector<f64>,
    pub information: &'a DMatrix<f64>,
    pub n: f64,
    /// Which column is not held.
    pub intercept: usize,
}

/// How much it is held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Penalty {
    pub lambda: f64,
    pub mix: f64,
}

impl Quadratic<'_> {
    fn slopes(&self) -> impl Iterator<Item = usize> + Clone {
        let intercept = self.intercept;
        (0..self.at.len()).filter(move |j| *j != intercept)
    }

    /// What is left of a column's square beside the intercept, over n.
    pub fn variance(&self, column: usize) -> f64 {
        self.left(column, column) / self.n
    }

    fn left(&self, i: usize, j: usize) -> f64 {
        let (of, at) = (self.information, self.intercept);
        of[(i, j)] - of[(i, at)] * of[(at, j)] / of[(at, at)]
    }

    /// The first column that never varies.
    pub fn constant(&self) -> Option<usize> {
        self.slopes().find(|j| self.left(*j, *j).is_nan() || self.left(*j, *j) <= CONSTANT * self.information[(*j, *j)])
    }

    /// −Gradient in the slopes, where the intercept gives way, at coefficients of 0 or wherever this is.
    fn pull(&self, j: usize) -> f64 {
        let at = self.intercept;
        (self.score[j] - self.information[(j, at)] / self.information[(at, at)] * self.score[at]) / self.n
    }

    /// The least λ at which no slope is left, where the slopes of this quadratic are 0. `deviations` are by columns.
    pub fn largest(&self, deviations: &[f64], mix: f64) -> f64 {
        self.slopes().map(|j| self.pull(j).abs() / deviations[j]).fold(0.0, f64::max) / mix
    }

    /// Where it is least under a penalty, from here on. None if that takes too long.
    pub fn least(&self, deviations: &[f64], penalty: Penalty) -> Option<DVector<f64>> {
        let slopes: Vec<usize> = self.slopes().collect();
        let scaled = |i: usize, j: usize| self.left(i, j) / (self.n * deviations[i] * deviations[j]);
        let gram = DMatrix::from_fn(slopes.len(), slopes.len(), |i, j| scaled(slopes[i], slopes[j]));
        let mut gamma = DVector::from_iterator(slopes.len(), slopes.iter().map(|j| self.at[*j] * deviations[*j]));
        let start = gamma.clone();
        // c − G γ, the gradient of what is not held.
        let mut pull = DVector::from_iterator(slopes.len(), slopes.iter().map(|j| self.pull(*j) / deviations[*j]));
        let Penalty { lambda, mix } = penalty;
        let mut settled = false;
        for _ in 0..SWEEPS {
            let (mut moved, mut largest) = (0.0_f64, 0.0_f64);
            for j in 0..gamma.len() {
                let curve = gram[(j, j)];
                let free = pull[j] + curve * gamma[j];
                let kept = (free.abs() - lambda * mix).max(0.0).copysign(free) / (curve + lambda * (1.0 - mix));
                let step = kept - gamma[j];
                if step != 0.0 {
                    pull.axpy(-step, &gram.column(j), 1.0);
                    gamma[j] = kept;
                }
                moved = moved.max(step.abs());
                largest = largest.max(kept.abs());
            }
            if moved <= CLOSE * largest.max(f64::MIN_POSITIVE) {
                settled = true;
                break;
            }
        }
        if !settled {
            return None;
        }
        let mut beta = self.at.clone();
        for (place, j) in slopes.iter().enumerate() {
            beta[*j] = gamma[place] / deviations[*j];
        }
        let given = slopes
            .iter()
            .zip(&gamma)
            .zip(&start)
            .map(|((j, now), before)| self.information[(self.intercept, *j)] * (now - before) / deviations[*j]);
        let at = self.intercept;
        beta[at] += (self.score[at] - given.sum::<f64>()) / self.information[(at, at)];
        Some(beta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quadratic(rows: &[[f64; 3]], y: &[f64]) -> (DVector<f64>, DMatrix<f64>) {
        let x = DMatrix::from_fn(rows.len(), 3, |i, j| rows[i][j]);
        (x.transpose() * DVector::from_row_slice(y), x.transpose() * x)
    }

    const ROWS: [[f64; 3]; 5] = [[1.0, 0.1, 0.9], [1.0, 0.4, 0.1], [1.0, 0.5, 0.6], [1.0, 0.8, 0.3], [1.0, 0.9, 0.7]];
    const Y: [f64; 5] = [0.3, 0.9, 0.8, 1.9, 1.7];

    #[test]
    fn nothing_is_left_at_the_largest_penalty_and_something_just_below() {
        let (score, information) = quadratic(&ROWS, &Y);
        let at = DVector::zeros(3);
        let of = Quadratic { at: &at, score: &score, information: &information, n: 5.0, intercept: 0 };
        let deviations: Vec<f64> = (0..3).map(|j| if j == 0 { 1.0 } else { of.variance(j).sqrt() }).collect();
        let largest = of.largest(&deviations, 0.5);
        let found = |share: f64| of.least(&deviations, Penalty { lambda: share * largest, mix: 0.5 }).unwrap();
        let mean = Y.iter().sum::<f64>() / 5.0;
        assert!((found(1.0 + 1e-12)[0] - mean).abs() < 1e-12 && found(1.0 + 1e-12).iter().skip(1).all(|b| *b == 0.0));
        assert!(found(0.99)[1] > 0.0);
    }

    #[test]
    fn where_it_ends_no_coordinate_would_move() {
        let (score, information) = quadratic(&ROWS, &Y);
        // From anywhere: the quadratic is the same about another point.
        let elsewhere = DVector::from_row_slice(&[0.3, -0.2, 0.4]);
        let moved = &score - &information * &elsewhere;
        let (zero, penalty) = (DVector::zeros(3), Penalty { lambda: 0.05, mix: 0.7 });
        let of = |at, score| Quadratic { at, score, information: &information, n: 5.0, intercept: 0 };
        let deviations = [1.0, 0.3, 0.2];
        let [a, b] = [of(&zero, &score), of(&elsewhere, &moved)].map(|of| of.least(&deviations, penalty).unwrap());
        assert!((&a - &b).amax() < 1e-11, "{a} {b}");
        let gradient = (&score - &information * &a) / 5.0;
        assert!(gradient[0].abs() < 1e-12);
        for j in 1..3 {
            let (gamma, pull) = (a[j] * deviations[j], gradient[j] / deviations[j]);
            let held = 0.05 * 0.3 * gamma;
            let fits = if gamma == 0.0 {
                pull.abs() <= 0.05 * 0.7
            } else {
                (pull - held - 0.05 * 0.7 * gamma.signum()).abs() < 1e-12
            };
            assert!(fits, "{j}: {gamma} {pull}");
        }
    }

    #[test]
    fn a_column_that_never_varies_is_named() {
        let mut rows = ROWS;
        rows.iter_mut().for_each(|row| row[2] = 0.5);
        let (score, information) = quadratic(&rows, &Y);
        let at = DVector::zeros(3);
        let of = Quadratic { at: &at, score: &score, information: &information, n: 5.0, intercept: 0 };
        assert_eq!(of.constant(), Some(2));
    }
}
