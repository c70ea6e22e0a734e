//! Σ w z zᵀ over the rows of a design, a block of rows at a time: products of matrices, which a library makes with what the processor has.

use nalgebra::{DMatrix, DMatrixView};

use super::design::Cases;

/// Rows that are worked on at once: so that their columns stay in the nearest caches.
pub const BLOCK: usize = 512;
/// Rows whose columns are turned into rows at once: what is written stays in the nearest cache until it is whole.
const TILE: usize = 8;

/// The sums so far. Both triangles: the products are made whole.
pub struct Gram {
    square: DMatrix<f64>,
    /// The block's columns, each row times its weight; row by row, so that no operand of a product has gaps between the numbers of a column.
    weighted: Vec<f64>,
}

impl Gram {
    /// Of nothing, for so many columns.
    pub fn new(width: usize) -> Self {
        Self { square: DMatrix::zeros(width, width), weighted: vec![0.0; width * BLOCK] }
    }

    /// Adds the rows from `begin` on, one for each weight, at most a block.
    pub fn add(&mut self, cases: &Cases, begin: usize, weights: &[f64]) {
        let (width, rows) = (self.square.ncols(), weights.len());
        if width == 0 || rows == 0 {
            return;
        }
        let tiles = self.weighted.chunks_mut(TILE * width).zip(weights.chunks(TILE));
        for ((to, weights), from) in tiles.zip((begin..).step_by(TILE)) {
            for j in 0..width {
                let column = cases.column(j)[from..from + weights.len()].iter().zip(weights);
                let weighted = to[j..].iter_mut().step_by(width);
                weighted.zip(column).for_each(|(to, (z, weight))| *to = weight * z);
            }
        }
        let weighted = DMatrixView::from_slice(&self.weighted[..width * rows], width, rows);
        let columns = DMatrixView::from_slice_with_strides(&cases.x[begin..], rows, width, 1, cases.rows);
        self.square.gemm(1.0, &weighted, &columns, 1.0);
    }

    /// The lower triangle, row by row.
    pub fn lower(&self) -> impl Iterator<Item = f64> + '_ {
        let square = &self.square;
        (0..square.ncols()).flat_map(move |i| (0..=i).map(move |j| square[(i, j)]))
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
