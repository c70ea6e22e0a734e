//! What columns are like by themselves, without an outcome: how they vary together, and how patients lie about given centroids.
//!
//! ```text
//! Moments:           n, Σz, Σ z zᵀ                                           of scaled columns z
//! Clusters at given  n, Σz², and of each start's each cluster: n, Σz         each patient belongs to the nearest centroid (Lloyd 1982)
//! ```
//! The sum of squared distances of a cluster's patients from their mean follows from these, so it does not leave by itself: of one cluster alone a
//! patient would often be the most of it.

use serde::{Deserialize, Serialize};

use super::layout::{Check, Slot};
use super::{Explains, Factor, Model};
use crate::limits;
use crate::plan::TypeProblem;

/// The numbers of a round of k-means: whole steps of a public quantum, and what each column counts in a distance. Columns are in the order of the plan's
/// normal form ([`crate::plan::ValidPlan::stands`]), so that all who ask by the same columns ask alike.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Centroids {
    /// What the squared difference in a scaled column is multiplied with, one a column: above 0, at most 1.
    pub weights: Vec<f64>,
    /// Starts that are still on their way, each with the coordinates of its centroids, in steps of [`Centroids::QUANTUM`].
    pub starts: Vec<Vec<Vec<i32>>>,
}

impl Centroids {
    /// A step of a coordinate of a scaled column, whose range is from −1 to 1.
    pub const QUANTUM: f64 = 1.0 / limits::CLUSTER_STEPS as f64;

    /// The step nearest to a coordinate.
    pub fn step(z: f64) -> i32 {
        let most = f64::from(limits::CLUSTER_STEPS);
        (z * most).round().clamp(-most, most) as i32
    }

    /// How many centroids each start has.
    pub fn clusters(&self) -> usize {
        self.starts.first().map_or(0, Vec::len)
    }

    fn fits(&self, columns: usize) -> bool {
        let clusters = self.clusters();
        let coordinate = |step: &i32| step.unsigned_abs() <= limits::CLUSTER_STEPS.unsigned_abs();
        let start = |start: &Vec<Vec<i32>>| {
            start.len() == clusters && start.iter().all(|c| c.len() == columns && c.iter().all(coordinate))
        };
        self.starts.len() <= limits::CLUSTER_STARTS
            && (self.starts.is_empty() || (1..=limits::CLUSTERS).contains(&clusters))
            && self.starts.iter().all(start)
            && self.weights.len() == if self.starts.is_empty() { 0 } else { columns }
            && self.weights.iter().all(|weight| limits::CLUSTER_WEIGHT.contains(weight))
    }
}

/// Where the sums stand among a site's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Described {
    /// Σz, then the lower triangle of Σ z zᵀ.
    Moments {
        /// Columns.
        width: usize,
    },
    /// Σz², then start by start and cluster by cluster: n, Σz. A start of nobody has nothing new.
    Clusters {
        /// Columns.
        width: usize,
        /// Starts that are asked.
        starts: usize,
        /// Clusters of each.
        clusters: usize,
    },
}

impl Described {
    /// How many numbers there are.
    pub fn values(self) -> usize {
        match self {
            Described::Moments { width } => width + width * (width + 1) / 2,
            Described::Clusters { width, starts, .. } => width + starts * self.block(),
        }
    }

    /// How many numbers each start has.
    pub fn block(self) -> usize {
        match self {
            Described::Moments { .. } => 0,
            Described::Clusters { width, clusters, .. } => clusters * (1 + width),
        }
    }

    pub(super) fn of(model: &Model) -> Option<Self> {
        let width = model.columns.len();
        match &model.explains {
            Explains::Moments => Some(Described::Moments { width }),
            Explains::Clusters(at) if at.starts.is_empty() => Some(Described::Moments { width }),
            Explains::Clusters(at) => {
                Some(Described::Clusters { width, starts: at.starts.len(), clusters: at.clusters() })
            }
            Explains::Mean(_) | Explains::Hazard(_) => None,
        }
    }
}

impl Check<'_> {
    /// What columns may be described, and where centroids may be.
    pub(super) fn described(&mut self, model: &Model) {
        if model.by_site || model.columns.iter().any(|product| product.len() != 1 || is_spline(product)) {
            self.note::<()>(
                "columns",
                TypeProblem::new("what is described are numbers, or levels of a key").hint(HINT),
            );
        }
        let Explains::Clusters(at) = &model.explains else { return };
        if model.columns.iter().flatten().any(|factor| !matches!(factor, Factor::Number(_))) {
            // How many of a cluster are at a level would be a count of few.
            let problem = TypeProblem::new("clusters are of numbers, not of keys");
            self.note::<()>("columns", problem.hint("cut the study's patients by the key in `where` instead"));
        }
        if model.columns.len() > limits::CLUSTER_COLUMNS {
            let most = limits::CLUSTER_COLUMNS;
            self.note::<()>("columns", TypeProblem::new(format!("clusters are of at most {most} columns")));
        }
        if !at.fits(model.columns.len()) {
            let problem = "the round's centroids are out of bounds: of scaled columns from −1 to 1, in whole steps";
            self.note::<()>("at", TypeProblem::new(problem));
        }
    }

    /// Of clusters, whole numbers of which there are only a few: each would be counted in each cluster.
    pub(super) fn described_slots(&mut self, model: &Model, columns: &[Vec<Slot>]) {
        let Explains::Clusters(_) = &model.explains else { return };
        let few = |slot: &Slot| match slot {
            Slot::Number { input, .. } => {
                let (lo, hi) = self.inputs.ranges[*input];
                self.inputs.whole[*input] && hi - lo + 1.0 < limits::MEASURE_LEVELS as f64
            }
            Slot::Level { .. } | Slot::Spline { .. } => false,
        };
        if let Some(at) = columns.iter().position(|slots| slots.iter().any(few)) {
            let fewest = limits::MEASURE_LEVELS;
            let problem = TypeProblem::new(format!("clusters are of numbers that can have {fewest} values or more"));
            self.note::<()>(
                &format!("columns[{at}]"),
                problem.hint("cut the study's patients by it in `where` instead"),
            );
        }
    }
}

const HINT: &str = "e.g. columns = [\"age\", \"ln(chol)\"]; no products, splines or powers";

fn is_spline(product: &[Factor]) -> bool {
    matches!(product, [Factor::Spline { .. }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn centroids(starts: Vec<Vec<Vec<i32>>>, weights: Vec<f64>) -> Centroids {
        Centroids { weights, starts }
    }

    #[test]
    fn centroids_fit_within_the_range_one_coordinate_a_column() {
        let one = limits::CLUSTER_STEPS;
        assert!(centroids(vec![vec![vec![one, -one], vec![0, 0]]], vec![1.0, 0.5]).fits(2));
        assert!(Centroids::default().fits(2), "a first round has none");
        for bad in [
            centroids(vec![vec![vec![one + 1, 0]]], vec![1.0, 1.0]),
            centroids(vec![vec![vec![i32::MIN, 0]]], vec![1.0, 1.0]),
            centroids(vec![vec![vec![0]]], vec![1.0, 1.0]),
            centroids(vec![vec![vec![0, 0]], vec![vec![0, 0], vec![1, 1]]], vec![1.0, 1.0]),
            centroids(vec![vec![]], vec![1.0, 1.0]),
            centroids(vec![vec![vec![0, 0]; limits::CLUSTERS + 1]], vec![1.0, 1.0]),
            centroids(vec![vec![vec![0, 0]]; limits::CLUSTER_STARTS + 1], vec![1.0, 1.0]),
            centroids(vec![vec![vec![0, 0]]], vec![1.0]),
            centroids(vec![vec![vec![0, 0]]], vec![1.0, 0.0]),
            centroids(vec![vec![vec![0, 0]]], vec![1.0, f64::NAN]),
            centroids(vec![vec![vec![0, 0]]], vec![1.0, 2.0]),
            centroids(vec![], vec![1.0, 1.0]),
        ] {
            assert!(!bad.fits(2), "{bad:?}");
        }
    }

    #[test]
    fn a_coordinate_is_the_nearest_step_within_the_range() {
        let one = limits::CLUSTER_STEPS;
        assert_eq!([0.0, 1.0, -1.0, 7.0, -7.0].map(Centroids::step), [0, one, -one, one, -one]);
        assert_eq!(Centroids::step(0.6 * Centroids::QUANTUM), 1);
    }
}
