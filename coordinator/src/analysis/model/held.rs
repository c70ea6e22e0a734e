//! What a fit within another holds: coefficients at 0, and intercepts of sites together.

use std::ops::Range;

use nalgebra::{DMatrix, DVector};

/// What makes a fit one within another.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// Columns whose coefficients stay 0.
    pub columns: Vec<usize>,
    /// Those that are one: the intercepts of all sites, or none.
    pub together: Range<usize>,
    /// The objective's unit: the dispersion, where that is estimated.
    pub unit: f64,
}

impl Held {
    /// How many degrees of freedom it takes.
    pub(super) fn degrees(&self) -> usize {
        self.columns.len() + self.together.len().saturating_sub(1)
    }

    /// Combinations of so many coefficients that are 0 where it holds, each a row.
    pub(super) fn combinations(&self, coefficients: usize) -> DMatrix<f64> {
        let mut rows = DMatrix::zeros(self.degrees(), coefficients);
        let others = self.together.clone().skip(1);
        for (row, column) in self.columns.iter().copied().chain(others.clone()).enumerate() {
            rows[(row, column)] = 1.0;
        }
        for (row, _) in (self.columns.len()..).zip(others) {
            rows[(row, self.together.start)] = -1.0;
        }
        rows
    }

    /// Score and information of the coefficients that are left: of those together the first stands for all.
    pub(super) fn narrow(&self, score: &mut DVector<f64>, information: &mut DMatrix<f64>) {
        let first = self.together.start;
        for other in self.together.clone().skip(1) {
            score[first] += score[other];
            let row = information.row(other).clone_owned();
            information.row_mut(first).zip_apply(&row, |all, own| *all += own);
            let column = information.column(other).clone_owned();
            information.column_mut(first).zip_apply(&column, |all, own| *all += own);
            hold(other, score, information);
        }
        self.columns.iter().for_each(|column| hold(*column, score, information));
    }

    /// Puts coefficients where it holds: of those together where the first is.
    pub(super) fn put(&self, beta: &mut DVector<f64>) {
        self.columns.iter().for_each(|column| beta[*column] = 0.0);
        self.together.clone().skip(1).for_each(|other| beta[other] = beta[self.together.start]);
    }
}

/// Keeps a coefficient where it is.
pub(super) fn hold(i: usize, score: &mut DVector<f64>, information: &mut DMatrix<f64>) {
    score[i] = 0.0;
    information.row_mut(i).fill(0.0);
    information.column_mut(i).fill(0.0);
    information[(i, i)] = 1.0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_what_is_held_together_is_that_of_a_model_with_one_column_for_it() {
        let information = DMatrix::from_row_slice(
            4,
            4,
            &[
                5.0, 1.0, 2.0, 0.5, //
                1.0, 4.0, 0.0, 0.0, //
                2.0, 0.0, 3.0, 0.0, //
                0.5, 0.0, 0.0, 2.0,
            ],
        );
        let score = DVector::from_column_slice(&[1.0, -2.0, 3.0, 0.5]);
        // One column in the place of the last three.
        let one = DMatrix::from_row_slice(4, 2, &[1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
        let smaller = one.transpose() * &information * &one;
        let step = smaller.try_inverse().unwrap() * one.transpose() * &score;
        let held = Held { columns: vec![], together: 1..4, unit: 1.0 };
        let (mut narrowed, mut of) = (score.clone(), information.clone());
        held.narrow(&mut narrowed, &mut of);
        let mut found = of.try_inverse().unwrap() * narrowed;
        held.put(&mut found);
        assert!((found - one * step).amax() < 1e-14);
        assert_eq!(held.degrees(), 2);
        let beta = DVector::from_column_slice(&[7.0, 1.0, 3.0, 6.0]);
        assert_eq!(held.combinations(4) * beta, DVector::from_column_slice(&[2.0, 5.0]));
    }
}
