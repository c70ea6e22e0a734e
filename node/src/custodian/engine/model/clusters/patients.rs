//! The patients of a design as points, and what lies nearest to each.

use bocage_protocol::plan::Centroids;

use crate::custodian::engine::model::design::Cases;
use crate::custodian::engine::model::each_part;
use crate::custodian::gate::Spread;

/// Rows that are worked on at once.
const BLOCK: usize = 512;
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
    at: Vec<Vec<f64>>,
    weights: Vec<f64>,
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

    /// The nearest centroid of each; of equally near ones the first.
    pub fn nearest(&self, start: &Start) -> Vec<u8> {
        let near = |_, cases: &Cases| {
            let mut nearest = vec![0u8; cases.rows];
            let mut begin = 0;
            while begin < cases.rows {
                let end = (begin + BLOCK).min(cases.rows);
                nearest_in(cases, (begin, end), start, &mut nearest[begin..end]);
                begin = end;
            }
            nearest
        };
        each_part(self.parts, near).concat()
    }

    /// The nearest of some centroids to a point.
    pub fn nearest_of(&self, point: usize, start: &Start, open: &[bool]) -> Option<u8> {
        let part = self.begins.partition_point(|begin| *begin <= point) - 1;
        let row = point - self.begins[part];
        let cases = &self.parts[part];
        let distance = |at: &Vec<f64>| {
            let square = |((j, at), weight): ((usize, &f64), &f64)| {
                let difference = cases.column(j)[row] - at;
                weight * (difference * difference)
            };
            at.iter().enumerate().zip(&start.weights).map(square).fold(0.0, |sum, square| sum + square)
        };
        let open = start.at.iter().enumerate().filter(|(cluster, _)| open[*cluster]);
        let distances = open.map(|(cluster, at)| (distance(at), cluster));
        distances.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, cluster)| cluster as u8)
    }

    /// Cluster by cluster: n, Σz.
    pub fn sums(&self, partition: &Partition) -> Vec<f64> {
        let (width, clusters) = (self.width, partition.sizes.len());
        let parts = each_part(self.parts, |at, cases| {
            let of = &partition.of[self.begins[at]..self.begins[at + 1]];
            let mut sums = vec![0.0; clusters * (1 + width)];
            of.iter().for_each(|cluster| sums[usize::from(*cluster) * (1 + width)] += 1.0);
            for j in 0..width {
                for (cluster, z) in of.iter().zip(cases.column(j)) {
                    sums[usize::from(*cluster) * (1 + width) + 1 + j] += z;
                }
            }
            sums
        });
        let mut all = vec![0.0; clusters * (1 + width)];
        for part in parts {
            all.iter_mut().zip(part).for_each(|(all, own)| *all += own);
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

fn nearest_in(cases: &Cases, (begin, end): (usize, usize), start: &Start, nearest: &mut [u8]) {
    let (mut least, mut distances) = ([f64::INFINITY; BLOCK], [0.0; BLOCK]);
    let (least, distances) = (&mut least[..end - begin], &mut distances[..end - begin]);
    for (cluster, at) in start.at.iter().enumerate() {
        distances.fill(0.0);
        for ((j, at), weight) in at.iter().enumerate().zip(&start.weights) {
            for (distance, z) in distances.iter_mut().zip(&cases.column(j)[begin..end]) {
                let difference = z - at;
                *distance += weight * (difference * difference);
            }
        }
        for ((least, nearest), distance) in least.iter_mut().zip(nearest.iter_mut()).zip(distances.iter()) {
            if distance < least {
                (*least, *nearest) = (*distance, cluster as u8);
            }
        }
    }
}
