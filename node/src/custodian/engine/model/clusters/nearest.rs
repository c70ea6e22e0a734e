//! One way over a part's rows: the nearest centroid of each, and the sums of those who share one.
//!
//! A product of matrices says of nearly all rows which centroid is the nearest. Where two are as near as its rounding may hide, they are measured one by
//! one, so that each row has the centroid which measuring gives it, and no library shows: of equally near ones the first.

use bocage_protocol::limits;
use nalgebra::{DMatrix, DMatrixView, DMatrixViewMut};

use super::patients::Start;
use crate::custodian::engine::model::design::Cases;

/// Rows that are worked on at once: their columns stay in the nearest caches.
pub const BLOCK: usize = 512;
/// A bit for each: see [`Nearest::look`].
const _: () = assert!(limits::CLUSTERS <= u64::BITS as usize);
/// With fewer columns the library makes a product row by row.
const COLUMNS: usize = 8;
/// Columns that are summed side by side: no addition waits for the one before.
const LANES: usize = 4;

/// Centroids, ready to be compared. The squared distance of z from c is Σ w z² − 2 Σ w c z + Σ w c²: the first does not depend on c.
pub struct Nearest<'a> {
    start: &'a Start,
    /// −2 w c, a column for each centroid.
    slopes: DMatrix<f64>,
    /// Σ w c².
    levels: Vec<f64>,
    /// Differences below it are measured.
    blur: f64,
    /// A block's products.
    products: Vec<f64>,
}

impl<'a> Nearest<'a> {
    /// Of these centroids.
    pub fn new(start: &'a Start) -> Self {
        let (width, columns) = (start.weights.len(), start.clusters().max(COLUMNS));
        let slope = |j: usize, c: usize| start.at.get(c).map_or(0.0, |at| -2.0 * start.weights[j] * at[j]);
        let level = |at: &Vec<f64>| at.iter().zip(&start.weights).map(|(c, weight)| weight * c * c).sum();
        // Columns lie in [−1, 1]: no term is larger, and each of the two ways to compare makes fewer than width + 4 roundings of each.
        let most = |at: &Vec<f64>| at.iter().zip(&start.weights).map(|(c, w)| w * (1.0 + c.abs()).powi(2)).sum();
        let most = start.at.iter().map(most).fold(0.0, f64::max);
        Self {
            start,
            slopes: DMatrix::from_fn(width, columns, slope),
            levels: start.at.iter().map(level).collect(),
            blur: 8.0 * (width + 8) as f64 * f64::EPSILON * most,
            products: vec![0.0; columns * BLOCK],
        }
    }

    /// The nearest centroid of each row from `begin` on, of no more than a block.
    pub fn look(&mut self, cases: &Cases, begin: usize, nearest: &mut [u8]) {
        let (rows, width, columns) = (nearest.len(), self.slopes.nrows(), self.slopes.ncols());
        if rows == 0 {
            return;
        }
        let products = &mut self.products[..rows * columns];
        products.fill(0.0);
        if width > 0 {
            let z = DMatrixView::from_slice_with_strides(&cases.x[begin..], rows, width, 1, cases.rows);
            DMatrixViewMut::from_slice(products, rows, columns).gemm(1.0, &z, &self.slopes, 0.0);
        }
        // Each loop is of choices and no branches, over one cluster: the compiler does several rows at once.
        let mut least = [f64::INFINITY; BLOCK];
        for (level, products) in self.levels.iter().zip(products.chunks(rows)) {
            for (least, product) in least.iter_mut().zip(products) {
                let score = product + level;
                *least = if score < *least { score } else { *least };
            }
        }
        // Of each row, which are as near as the nearest, or nearly so: a bit for each.
        let mut near = [0u64; BLOCK];
        for ((bit, level), products) in (0..).map(|c| 1u64 << c).zip(&self.levels).zip(products.chunks(rows)) {
            for ((near, least), product) in near.iter_mut().zip(&least).zip(products) {
                *near |= if product + level - least <= self.blur { bit } else { 0 };
            }
        }
        for (i, (nearest, near)) in nearest.iter_mut().zip(&near).enumerate() {
            *nearest = match near.is_power_of_two() {
                true => near.trailing_zeros() as u8,
                false => self.measured(cases, begin + i),
            };
        }
    }

    fn measured(&self, cases: &Cases, row: usize) -> u8 {
        let distances = (0..self.start.clusters()).map(|cluster| self.start.distance(cluster, cases, row));
        let nearer = |(nearest, least), (cluster, distance)| match distance < least {
            true => (cluster, distance),
            false => (nearest, least),
        };
        (0..).zip(distances).fold((0, f64::INFINITY), nearer).0
    }
}

/// Of each cluster how many lie in it, and the sums of their columns. Each sum is made in the order of the rows.
pub struct Sums {
    width: usize,
    sizes: Vec<u64>,
    /// By group of columns and cluster.
    sums: Vec<[f64; LANES]>,
}

impl Sums {
    /// Of nobody.
    pub fn new(width: usize, clusters: usize) -> Self {
        Self { width, sizes: vec![0; clusters], sums: vec![[0.0; LANES]; width.div_ceil(LANES) * clusters] }
    }

    /// Adds the rows from `begin` on, which lie in these clusters: no more than a block.
    pub fn add(&mut self, cases: &Cases, begin: usize, of: &[u8]) {
        const NOTHING: [f64; BLOCK] = [0.0; BLOCK];
        of.iter().for_each(|cluster| self.sizes[usize::from(*cluster)] += 1);
        let groups = self.sums.chunks_mut(self.sizes.len().max(1));
        for (sums, first) in groups.zip((0..self.width).step_by(LANES)) {
            let column = |lane: usize| match first + lane < self.width {
                true => &cases.column(first + lane)[begin..begin + of.len()],
                false => &NOTHING[..of.len()],
            };
            let [a, b, c, d] = std::array::from_fn(column);
            for ((((cluster, a), b), c), d) in of.iter().zip(a).zip(b).zip(c).zip(d) {
                let sums = &mut sums[usize::from(*cluster)];
                sums[0] += a;
                sums[1] += b;
                sums[2] += c;
                sums[3] += d;
            }
        }
    }

    /// Points of each cluster.
    pub fn sizes(&self) -> &[u64] {
        &self.sizes
    }

    /// Cluster by cluster: n, Σz.
    pub fn told(&self) -> Vec<f64> {
        let clusters = self.sizes.len();
        let of = |cluster: usize| {
            let sum = move |j: usize| self.sums[j / LANES * clusters + cluster][j % LANES];
            std::iter::once(self.sizes[cluster] as f64).chain((0..self.width).map(sum))
        };
        (0..clusters).flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::patients::Patients;
    use super::*;

    /// As it is defined: distances one by one, sums row by row.
    fn plainly(cases: &[Cases], start: &Start) -> (Vec<u8>, Vec<f64>) {
        let (width, clusters) = (start.weights.len(), start.clusters());
        let mut of = Vec::new();
        let mut sums = vec![0.0; clusters * (1 + width)];
        for part in cases {
            let mut own = vec![0.0; clusters * (1 + width)];
            for row in 0..part.rows {
                let mut nearest = (f64::INFINITY, 0);
                for (cluster, at) in start.at.iter().enumerate() {
                    let mut distance = 0.0;
                    for (j, c) in at.iter().enumerate() {
                        let difference = part.column(j)[row] - c;
                        distance += start.weights[j] * (difference * difference);
                    }
                    if distance < nearest.0 {
                        nearest = (distance, cluster);
                    }
                }
                let own = &mut own[nearest.1 * (1 + width)..][..1 + width];
                own[0] += 1.0;
                (0..width).for_each(|j| own[1 + j] += part.column(j)[row]);
                of.push(nearest.1 as u8);
            }
            sums.iter_mut().zip(own).for_each(|(all, own)| *all += own);
        }
        (of, sums)
    }

    /// Numbers of a coarse grid, so that many are as near to one centroid as to another, and some that are not on it.
    fn numbers(seed: u64, count: usize) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let number =
            |_| if next() % 4 == 0 { next() as f64 / (1u64 << 31) as f64 } else { (next() % 17) as f64 / 8.0 - 1.0 };
        (0..count).map(number).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

        #[test]
        fn each_row_has_the_centroid_and_each_cluster_the_sums_that_measuring_gives(
            seed in any::<u64>(),
            width in 1usize..12,
            clusters in 1usize..12,
            rows in prop::collection::vec(prop_oneof![0usize..20, 500usize..1_100], 1..4),
            even in any::<bool>(),
        ) {
            let at: Vec<Vec<f64>> = numbers(!seed, clusters * width).chunks(width).map(<[f64]>::to_vec).collect();
            let part = |(i, rows): (usize, &usize)| {
                let mut x = numbers(seed ^ i as u64, rows * width);
                // Every third is in the middle between two centroids: only rounding tells which is nearer.
                let middle = |j: usize| (at[0][j] + at[clusters - 1][j]) / 2.0;
                (0..*rows).step_by(3).for_each(|row| (0..width).for_each(|j| x[j * rows + row] = middle(j)));
                let (y, offset, weight, times) = Default::default();
                Cases { rows: *rows, x, y, offset, weight, times, fold: 0 }
            };
            let cases: Vec<Cases> = rows.iter().enumerate().map(part).collect();
            let weights = if even { vec![1.0; width] } else { numbers(seed / 3, width).iter().map(|w| w.abs()).collect() };
            let start = Start { at, weights };
            let (of, sums) = plainly(&cases, &start);
            let patients = Patients::of(&cases, width);
            let (found, told) = patients.about(&start);
            prop_assert_eq!(&found.of, &of);
            prop_assert_eq!(&told, &sums);
            prop_assert_eq!(&patients.sums(&found), &sums);
            prop_assert_eq!(&patients.nearest(&start), &of);
            let sizes: Vec<f64> = found.sizes.iter().map(|size| *size as f64).collect();
            prop_assert_eq!(sizes, told.chunks(1 + width).map(|cluster| cluster[0]).collect::<Vec<f64>>());
        }
    }
}
