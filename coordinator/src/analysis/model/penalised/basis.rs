//! The columns as they stand, each by itself moved and scaled, which is no matter to a net. A design centres the factors of a product, so that its column
//! is mixed with those of its parts; held as it is, the net would be another one than was asked.
//!
//! With z = x T of the columns x as they were asked, w = x W of this basis has T's diagonal and what T gives to the intercept, and nothing between slopes.

use bocage_protocol::plan::ModelLayout;
use nalgebra::{DMatrix, DVector};

use super::super::fit::Merged;

/// How a design's columns follow from those that a net holds.
#[derive(Debug, Clone)]
pub(super) struct Basis {
    /// Which column is the intercept.
    pub intercept: usize,
    /// W.
    own: DMatrix<f64>,
    /// T⁻¹ W: scaled coefficients from those of this basis.
    scaled: DMatrix<f64>,
}

impl Basis {
    /// That of a design; none where its transform has no inverse.
    pub fn of(layout: &ModelLayout, intercept: usize) -> Option<Self> {
        let (rows, width) = (layout.transform.rows(), layout.columns.len());
        let whole = DMatrix::from_fn(width, width, |i, j| rows[i][j]);
        let own = DMatrix::from_fn(width, width, |i, j| if i == j || i == intercept { whole[(i, j)] } else { 0.0 });
        // Where nothing is mixed, nothing is to be rounded.
        let scaled = if own == whole { DMatrix::identity(width, width) } else { whole.try_inverse()? * &own };
        Some(Self { intercept, own, scaled })
    }

    /// A design's sums, of these columns.
    pub fn sums(&self, mut merged: Merged) -> Merged {
        merged.score = self.scaled.tr_mul(&merged.score);
        merged.information = self.scaled.tr_mul(&merged.information) * &self.scaled;
        merged
    }

    /// The coefficients of a design's scaled columns.
    pub fn scaled(&self, beta: &DVector<f64>) -> DVector<f64> {
        &self.scaled * beta
    }

    /// Those of the columns as they were asked. What is 0 stays so.
    pub fn as_asked(&self, beta: &DVector<f64>) -> DVector<f64> {
        &self.own * beta
    }
}
