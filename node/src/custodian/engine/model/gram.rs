//! Σ w z zᵀ over the rows of a design, a block of rows at a time.

use super::design::Cases;
use super::tile::{self, HIGH, WIDE};

/// Rows that are worked on at once: so that their columns stay in the nearest caches.
pub const BLOCK: usize = 512;

/// The sums so far.
pub struct Gram {
    width: usize,
    /// Row by row. Above the diagonal is what tiles across it left.
    square: Vec<f64>,
    /// The block's columns, each number times its row's weight.
    weighted: Vec<f64>,
}

impl Gram {
    /// Of nothing, for so many columns.
    pub fn new(width: usize) -> Self {
        Self { width, square: vec![0.0; width * width], weighted: vec![0.0; width * BLOCK] }
    }

    /// Adds the rows from `begin` on, one for each weight, at most a block.
    pub fn add(&mut self, cases: &Cases, begin: usize, weights: &[f64]) {
        let (width, rows) = (self.width, weights.len());
        let column = |j: usize| &cases.column(j)[begin..begin + rows];
        for (j, to) in self.weighted.chunks_exact_mut(BLOCK).enumerate() {
            to.iter_mut().zip(column(j)).zip(weights).for_each(|((to, z), weight)| *to = weight * z);
        }
        let weighted = |i: usize| &self.weighted[i * BLOCK..i * BLOCK + rows];
        for i in (0..width).step_by(HIGH) {
            for j in (0..(i + HIGH).min(width)).step_by(WIDE) {
                // Past the last column stands the last one again, and is dropped.
                let high = std::array::from_fn(|r| weighted((i + r).min(width - 1)));
                let wide = std::array::from_fn(|c| column((j + c).min(width - 1)));
                let found = tile::products(high, wide);
                for (row, found) in self.square[i * width..].chunks_mut(width).zip(found) {
                    row[j..].iter_mut().zip(found).for_each(|(sum, found)| *sum += found);
                }
            }
        }
    }

    /// The lower triangle, row by row.
    pub fn lower(&self) -> impl Iterator<Item = f64> + '_ {
        let rows = self.square.chunks(self.width.max(1)).enumerate();
        rows.flat_map(|(i, row)| row[..=i].iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every product by itself, in any number of columns and with a last block that is not full.
    #[test]
    fn sums_are_those_of_every_row() {
        for (width, rest) in [(1, 77), (2, 1), (5, 3), (6, 4), (9, 77), (21, 2), (21, 77)] {
            let rows = 2 * BLOCK + rest;
            let x: Vec<f64> = (0..rows * width).map(|i| ((i * 7919) % 1009) as f64 / 1009.0 - 0.4).collect();
            let weights: Vec<f64> = (0..rows).map(|i| ((i * 31) % 97) as f64).collect();
            let plain: Vec<f64> = (0..width)
                .flat_map(|i| (0..=i).map(move |j| (i, j)))
                .map(|(i, j)| (0..rows).map(|row| weights[row] * x[i * rows + row] * x[j * rows + row]).sum())
                .collect();
            let (y, offset, weight, times) = Default::default();
            let cases = Cases { rows, x, y, offset, weight, times, fold: 0 };
            let mut gram = Gram::new(width);
            let mut begin = 0;
            for weights in weights.chunks(BLOCK) {
                gram.add(&cases, begin, weights);
                begin += weights.len();
            }
            for (found, plain) in gram.lower().zip(&plain) {
                assert!((found - plain).abs() < 1e-9 * plain.abs().max(1.0), "{found} of {plain}, {width} columns");
            }
            assert_eq!(gram.lower().count(), plain.len());
        }
    }
}
