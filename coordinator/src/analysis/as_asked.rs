//! Columns without an outcome in the order in which they were asked. Sites answer in that of the plan's normal form, whoever asks.

use bocage_protocol::ids::SiteId;
use bocage_protocol::plan::{Centroids, Described, ModelLayout, ValidPlan};
use bocage_protocol::release::ModelRelease;

/// Of each column as it was asked, which one it is in the plan.
#[derive(Debug)]
pub(super) struct AsAsked(Vec<usize>);

impl AsAsked {
    pub(super) fn of(plan: &ValidPlan) -> Self {
        Self(plan.stands().to_vec())
    }

    pub(super) fn layout(&self, layout: &ModelLayout) -> ModelLayout {
        let mut turned = layout.clone();
        turned.columns = self.picked(&layout.columns);
        turned
    }

    pub(super) fn releases<'a>(
        &self,
        releases: &[(&'a SiteId, &ModelRelease)],
        of: Described,
    ) -> Vec<(&'a SiteId, ModelRelease)> {
        let turned = |release: &ModelRelease| ModelRelease { sums: self.sums(&release.sums, of), ..*release };
        releases.iter().map(|(site, release)| (*site, turned(release))).collect()
    }

    /// Centroids as sites are asked.
    pub(super) fn asked(&self, centroids: &Centroids) -> Centroids {
        let start = |start: &Vec<Vec<i32>>| start.iter().map(|at| self.put(at)).collect();
        Centroids { weights: self.put(&centroids.weights), starts: centroids.starts.iter().map(start).collect() }
    }

    fn sums(&self, sums: &[f64], of: Described) -> Vec<f64> {
        let (front, rest) = sums.split_at(self.0.len().min(sums.len()));
        let mut turned = self.picked(front);
        match of {
            Described::Moments { width } => {
                let place = |i: usize, j: usize| {
                    let (row, column) = (i.max(j), i.min(j));
                    row * (row + 1) / 2 + column
                };
                let pairs = (0..width).flat_map(|i| (0..=i).map(move |j| (i, j)));
                turned.extend(pairs.filter_map(|(i, j)| rest.get(place(self.0[i], self.0[j]))));
            }
            Described::Clusters { width, .. } => {
                for cluster in rest.chunks(1 + width) {
                    turned.extend(cluster.first());
                    turned.extend(self.picked(&cluster[1..]));
                }
            }
        }
        turned
    }

    /// From the plan's order to that of the question.
    fn picked<T: Clone>(&self, of: &[T]) -> Vec<T> {
        self.0.iter().filter_map(|at| of.get(*at).cloned()).collect()
    }

    /// And back.
    fn put<T: Clone>(&self, of: &[T]) -> Vec<T> {
        let mut at: Vec<(&usize, &T)> = self.0.iter().zip(of).collect();
        at.sort_by_key(|(at, _)| **at);
        at.into_iter().map(|(_, value)| value.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first column that was asked is the last of three.
    fn turned() -> AsAsked {
        AsAsked(vec![2, 0, 1])
    }

    #[test]
    fn moments_and_clusters_are_those_of_the_columns_as_asked() {
        let moments = [1.0, 2.0, 3.0, 11.0, 12.0, 22.0, 13.0, 23.0, 33.0];
        let wanted = [3.0, 1.0, 2.0, 33.0, 13.0, 11.0, 23.0, 12.0, 22.0];
        assert_eq!(turned().sums(&moments, Described::Moments { width: 3 }), wanted);
        let clusters = [1.0, 2.0, 3.0, 50.0, 5.1, 5.2, 5.3, 60.0, 6.1, 6.2, 6.3];
        let wanted = [3.0, 1.0, 2.0, 50.0, 5.3, 5.1, 5.2, 60.0, 6.3, 6.1, 6.2];
        assert_eq!(turned().sums(&clusters, Described::Clusters { width: 3, starts: 1, clusters: 2 }), wanted);
    }

    #[test]
    fn centroids_are_asked_in_the_order_of_the_plan() {
        let asked = Centroids { weights: vec![0.3, 0.1, 0.2], starts: vec![vec![vec![3, 1, 2]]] };
        let wanted = Centroids { weights: vec![0.1, 0.2, 0.3], starts: vec![vec![vec![1, 2, 3]]] };
        assert_eq!(turned().asked(&asked), wanted);
        assert_eq!(turned().picked(&wanted.weights), asked.weights);
    }
}
