//! How much of what a step's information says about some combination of columns one patient can have: their leverage, hᵢ = wᵢ xᵢᵀ A⁻¹ xᵢ with
//! A = Σ w x xᵀ (Hoaglin, Welsch 1978), which is the largest share that they have of vᵀ A v for any v.
//!
//! It does not depend on how columns are scaled or put together: a power of a number, or a product of two, that is next to nothing for everybody else
//! shows here whatever other columns there are. A pass over all rows is made only where somebody could have much at all.
//!
//! The decomposition is written out and not nalgebra's: designs at a site often have columns that others make up (a level that nobody has, say), beside
//! which the others' leverages are still those that count. nalgebra's Cholesky decomposes no such matrix. An inverse by eigenvalues would, but takes
//! twice the time for each row, and says of all directions together, not of each column, which is left out for being one of the others.

/// A lower triangle that A is the square of. A column that the others make up has none.
pub(super) struct Triangle {
    width: usize,
    /// Row by row.
    values: Vec<f64>,
}

/// Of a column's own information, what is left beside the others must be more than this part, or it is one of them.
const DEPENDENT: f64 = 1e-10;

impl Triangle {
    /// Of the lower triangle of A, row by row (Cholesky).
    pub(super) fn of(information: &[f64], width: usize) -> Self {
        let mut values = information.to_vec();
        let at = |i: usize, j: usize| i * (i + 1) / 2 + j;
        for j in 0..width {
            let own = values[at(j, j)];
            let left = own - (0..j).map(|k| values[at(j, k)].powi(2)).sum::<f64>();
            let pivot = if left > DEPENDENT * own { left.sqrt() } else { 0.0 };
            values[at(j, j)] = pivot;
            for i in j + 1..width {
                let dot: f64 = (0..j).map(|k| values[at(i, k)] * values[at(j, k)]).sum();
                values[at(i, j)] = if pivot > 0.0 { (values[at(i, j)] - dot) / pivot } else { 0.0 };
            }
        }
        Self { width, values }
    }

    /// xᵀ A⁻¹ x; `room` is for as many numbers as there are columns.
    fn square(&self, x: impl Iterator<Item = f64>, room: &mut [f64]) -> f64 {
        let mut square = 0.0;
        for (i, x) in x.enumerate().take(self.width) {
            let row = &self.values[i * (i + 1) / 2..];
            let pivot = row[i];
            let dot: f64 = row[..i].iter().zip(&room[..i]).map(|(a, b)| a * b).sum();
            room[i] = if pivot > 0.0 { (x - dot) / pivot } else { 0.0 };
            square += room[i] * room[i];
        }
        square
    }

    /// No x in [−1, 1] has more, and the columns of a design lie there.
    fn most(&self) -> f64 {
        // xᵀ A⁻¹ x is at most |x|² times the sum of the eigenvalues of A⁻¹, which is its trace.
        let mut room = vec![0.0; self.width];
        let unit = |i: usize| (0..self.width).map(move |j| if i == j { 1.0 } else { 0.0 });
        let trace: f64 = (0..self.width).map(|i| self.square(unit(i), &mut room)).sum();
        trace * self.width as f64
    }

    /// The largest leverage among rows of these columns and weights.
    pub(super) fn largest(&self, columns: &[&[f64]], weights: &[f64]) -> f64 {
        let mut room = vec![0.0; self.width];
        let row = |i: usize, room: &mut [f64]| weights[i] * self.square(columns.iter().map(|x| x[i]), room);
        (0..weights.len()).map(|i| row(i, &mut room)).fold(0.0, f64::max)
    }

    /// Whether somebody who weighs so much at most can have more than this leverage.
    pub(super) fn can_exceed(&self, leverage: f64, weight: f64) -> bool {
        weight * self.most() > leverage
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The lower triangle of Σ w x xᵀ.
    fn information(columns: &[&[f64]], weights: &[f64]) -> Vec<f64> {
        let mut all = Vec::new();
        for i in 0..columns.len() {
            for j in 0..=i {
                all.push(weights.iter().enumerate().map(|(row, w)| w * columns[i][row] * columns[j][row]).sum());
            }
        }
        all
    }

    fn largest(columns: &[&[f64]], weights: &[f64]) -> f64 {
        Triangle::of(&information(columns, weights), columns.len()).largest(columns, weights)
    }

    #[test]
    fn an_outlier_has_all_of_a_combination_of_columns_that_others_do_not_have() {
        let ones = [1.0; 40];
        let mut x: Vec<f64> = (0..40).map(|i| 0.1 + f64::from(i % 7) / 100.0).collect();
        assert!(largest(&[&ones, &x], &ones) < 0.15);
        x[39] = 0.9;
        assert!(largest(&[&ones, &x], &ones) > 0.9, "one number far from the others");
        let cube: Vec<f64> = x.iter().map(|x| (x - 0.13).powi(3)).collect();
        assert!(largest(&[&ones, &x, &cube], &ones) > 0.99);
    }

    #[test]
    fn a_column_that_others_make_up_changes_nothing() {
        let ones = [1.0; 30];
        let x: Vec<f64> = (0..30).map(|i| f64::from(i) / 30.0).collect();
        let twice: Vec<f64> = x.iter().map(|x| 2.0 * x - 1.0).collect();
        assert!((largest(&[&ones, &x, &twice], &ones) - largest(&[&ones, &x], &ones)).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn leverages_are_shares_that_add_up_to_the_columns_and_no_bound_is_below_them(
            rows in prop::collection::vec((-1.0..1.0f64, -1.0..1.0f64, 0.1..1.0f64), 10..40),
        ) {
            let (x, y): (Vec<f64>, Vec<f64>) = rows.iter().map(|(x, y, _)| (*x, *y)).unzip();
            let (ones, weights) = (vec![1.0; rows.len()], rows.iter().map(|row| row.2).collect::<Vec<f64>>());
            let columns: [&[f64]; 3] = [&ones, &x, &y];
            let triangle = Triangle::of(&information(&columns, &weights), 3);
            let of = |i: usize| {
                let one: Vec<&[f64]> = columns.iter().map(|column| &column[i..=i]).collect();
                triangle.largest(&one, &weights[i..=i])
            };
            let all: Vec<f64> = (0..rows.len()).map(of).collect();
            prop_assert!((all.iter().sum::<f64>() - 3.0).abs() < 1e-6 && all.iter().all(|h| *h <= 1.0 + 1e-9));
            let most = all.iter().copied().fold(0.0, f64::max);
            prop_assert!(triangle.can_exceed(most * 0.999, 1.0));
            // What somebody has is their share of any combination at most.
            let combined = |v: [f64; 3], i: usize| weights[i] * (v[0] + v[1] * x[i] + v[2] * y[i]).powi(2);
            for v in [[1.0, 0.0, 0.0], [0.0, 1.0, -1.0], [0.3, 2.0, 0.5]] {
                let whole: f64 = (0..rows.len()).map(|i| combined(v, i)).sum();
                prop_assert!((0..rows.len()).all(|i| combined(v, i) <= all[i] * whole * (1.0 + 1e-9) + 1e-12));
            }
        }
    }
}
