//! The patients of a design as points, and what lies nearest to each.

use bocage_protocol::plan::Centroids;

use super::nearest::{BLOCK, Nearest, Sums};
use crate::custodian::engine::model::design::Cases;
use crate::custodian::engine::model::each_part;
use crate::custodian::gate::Spread;

/// Quanta of half a column's range, to tell its values apart.
const STEPS: f64 = 4_294_967_296.0;

/// Points, numbered through all parts.
pub struct Patients<'a> {
    parts: &'a [Cases],
    /// The number of each part's first point, and of one after the last.
    begins: Vec<usize>,
    width: usize,
}

/// Centroids, and how distances from them are measured.
#[derive(Clone)]
pub struct Start {
    pub(super) at: Vec<Vec<f64>>,
    pub(super) weights: Vec<f64>,
}

impl Start {
    /// Of whole steps.
    pub fn new(at: &[Vec<i32>], weights: &[f64]) -> Self {
        let centroid = |steps: &Vec<i32>| steps.iter().map(|step| f64::from(*step) * Centroids::QUANTUM).collect();
        Self { at: at.iter().map(centroid).collect(), weights: weights.to_vec() }
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        self.at.iter().chain([&self.weights]).map(|numbers| size_of_val(&numbers[..])).sum()
    }

    /// How many there are.
    pub fn clusters(&self) -> usize {
        self.at.len()
    }

    /// The squared distance of a row from a centroid.
    pub fn distance(&self, cluster: usize, cases: &Cases, row: usize) -> f64 {
        let square = |((j, at), weight): ((usize, &f64), &f64)| {
            let difference = cases.column(j)[row] - at;
            weight * (difference * difference)
        };
        self.at[cluster].iter().enumerate().zip(&self.weights).map(square).fold(0.0, |sum, square| sum + square)
    }
}

/// Which cluster each point is in.
#[derive(Clone, Debug, PartialEq)]
pub struct Partition {
    /// By point.
    pub of: Vec<u8>,
    /// Points of each.
    pub sizes: Vec<u64>,
}

impl Partition {
    /// Into so many clusters.
    pub fn of(of: Vec<u8>, clusters: usize) -> Self {
        let mut sizes = vec![0; clusters];
        of.iter().for_each(|cluster| sizes[usize::from(*cluster)] += 1);
        Self { of, sizes }
    }

    /// Puts a point into another cluster.
    pub fn put(&mut self, point: usize, cluster: u8) {
        let before = std::mem::replace(&mut self.of[point], cluster);
        self.sizes[usize::from(before)] -= 1;
        self.sizes[usize::from(cluster)] += 1;
    }
}

impl<'a> Patients<'a> {
    /// Of a design's parts.
    pub fn of(parts: &'a [Cases], width: usize) -> Self {
        let mut begins = vec![0];
        for cases in parts {
            begins.push(begins[begins.len() - 1] + cases.rows);
        }
        Self { parts, begins, width }
    }

    /// How many there are.
    pub fn rows(&self) -> usize {
        self.begins[self.begins.len() - 1]
    }

    /// What they take in memory.
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(|cases| size_of_val(&cases.x[..])).sum()
    }

    /// The nearest centroid of each; of equally near ones the first.
    pub fn nearest(&self, start: &Start) -> Vec<u8> {
        each_part(self.parts, |_, cases| nearest_in(cases, start, |_, _| ())).concat()
    }

    /// The same, with the sums of those clusters.
    pub fn about(&self, start: &Start) -> (Partition, Vec<f64>) {
        let parts = each_part(self.parts, |_, cases| {
            let mut sums = Sums::new(self.width, start.clusters());
            (nearest_in(cases, start, |begin, of| sums.add(cases, begin, of)), sums)
        });
        let (of, sums): (Vec<Vec<u8>>, Vec<Sums>) = parts.into_iter().unzip();
        let mut sizes = vec![0; start.clusters()];
        sums.iter().for_each(|part| sizes.iter_mut().zip(part.sizes()).for_each(|(all, own)| *all += own));
        (Partition { of: of.concat(), sizes }, self.added(&sums, start.clusters()))
    }

    /// The nearest of some centroids to a point.
    pub fn nearest_of(&self, point: usize, start: &Start, open: &[bool]) -> Option<u8> {
        let part = self.begins.partition_point(|begin| *begin <= point) - 1;
        let (cases, row) = (&self.parts[part], point - self.begins[part]);
        let open = (0..start.clusters()).filter(|cluster| open[*cluster]);
        let distances = open.map(|cluster| (start.distance(cluster, cases, row), cluster));
        distances.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, cluster)| cluster as u8)
    }

    /// Cluster by cluster: n, Σz.
    pub fn sums(&self, partition: &Partition) -> Vec<f64> {
        let clusters = partition.sizes.len();
        let parts = each_part(self.parts, |at, cases| {
            let of = &partition.of[self.begins[at]..self.begins[at + 1]];
            let mut sums = Sums::new(self.width, clusters);
            (0..).step_by(BLOCK).zip(of.chunks(BLOCK)).for_each(|(begin, of)| sums.add(cases, begin, of));
            sums
        });
        self.added(&parts, clusters)
    }

    /// Parts are added in their order.
    fn added(&self, parts: &[Sums], clusters: usize) -> Vec<f64> {
        let mut all = vec![0.0; clusters * (1 + self.width)];
        for part in parts {
            all.iter_mut().zip(part.told()).for_each(|(all, own)| *all += own);
        }
        all
    }

    /// Of each cluster, whether its points are too like each other in some column.
    pub fn uniform(&self, partition: &Partition, k: u32) -> Vec<bool> {
        let clusters = partition.sizes.len();
        let mut spreads = vec![vec![Spread::new(k); self.width]; clusters];
        let mut narrow: Vec<usize> = vec![self.width; clusters];
        let mut left = partition.sizes.iter().filter(|size| **size > 0).count();
        let points = self.parts.iter().flat_map(|cases| (0..cases.rows).map(move |row| (cases, row)));
        for ((cases, row), cluster) in points.zip(&partition.of) {
            if left == 0 {
                break;
            }
            let cluster = usize::from(*cluster);
            if narrow[cluster] == 0 {
                continue;
            }
            for (j, spread) in spreads[cluster].iter_mut().enumerate().filter(|(_, spread)| !spread.is_wide()) {
                spread.add((cases.column(j)[row] * STEPS) as i64, 1, k);
                narrow[cluster] -= usize::from(spread.is_wide());
            }
            left -= usize::from(narrow[cluster] == 0);
        }
        narrow.iter().map(|columns| *columns > 0).collect()
    }
}

/// The nearest centroid of each row of a part; `each` sees them block by block, with the first row of each.
fn nearest_in(cases: &Cases, start: &Start, mut each: impl FnMut(usize, &[u8])) -> Vec<u8> {
    let (mut near, mut nearest) = (Nearest::new(start), vec![0u8; cases.rows]);
    for (begin, nearest) in (0..).step_by(BLOCK).zip(nearest.chunks_mut(BLOCK)) {
        near.look(cases, begin, nearest);
        each(begin, nearest);
    }
    nearest
}
