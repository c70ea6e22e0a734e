//! One start on its way: where its centroids are, what each site last said of it, and where they go.

use std::collections::BTreeMap;

use bocage_protocol::ids::SiteId;
use bocage_protocol::plan::Centroids;
use bocage_protocol::release::ModelRelease;

use crate::analysis::moments::sd;

/// What sites said of all starts of a round.
pub(super) struct Round<'a> {
    /// By the sites' names.
    pub releases: &'a [(&'a SiteId, ModelRelease)],
    /// Which of the round's starts.
    pub position: usize,
    pub weights: &'a [f64],
}

/// A start.
#[derive(Debug, Clone)]
pub(super) struct Try {
    /// Where its centroids are, in steps.
    pub centroids: Vec<Vec<i32>>,
    state: State,
    /// What each site last said of it.
    said: BTreeMap<SiteId, Vec<f64>>,
    found: Option<Found>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its centroids still move.
    OnItsWay,
    /// They have come to rest.
    AtRest,
    /// A site has said nothing of it.
    GivenUp,
}

/// The clusters about a start's centroids.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Patients of each.
    pub sizes: Vec<u64>,
    /// At how many sites somebody is in it.
    pub sites: Vec<u32>,
    /// Means of scaled columns; of nobody, where the centroid was.
    pub means: Vec<Vec<f64>>,
    /// Σ z² of each scaled column over all patients.
    pub squares: Vec<f64>,
    /// Σ of the weighted squared distances from the means.
    pub within: f64,
    /// Sites whose answer is an earlier one.
    pub as_before: Vec<SiteId>,
    /// How often its centroids had moved.
    pub moves: u32,
}

impl Try {
    pub(super) fn new(centroids: Vec<Vec<i32>>) -> Self {
        Self { centroids, state: State::OnItsWay, said: BTreeMap::new(), found: None }
    }

    pub(super) fn is_on_its_way(&self) -> bool {
        self.state == State::OnItsWay
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.state == State::AtRest
    }

    /// What was found where it is, unless it was given up.
    pub(super) fn found(&self) -> Option<&Found> {
        self.found.as_ref().filter(|_| self.state != State::GivenUp)
    }

    /// Goes on with whatever sites there are.
    pub(super) fn resume(&mut self) {
        if self.is_at_rest() {
            self.state = State::OnItsWay;
        }
        self.found = None;
    }

    /// Takes in a round in which it was asked.
    pub(super) fn take(&mut self, round: &Round<'_>) {
        let (width, clusters) = (round.weights.len(), self.centroids.len());
        let block = clusters * (1 + width);
        let (mut sums, mut sites, mut as_before) = (vec![0.0; block], vec![0; clusters], Vec::new());
        let mut squares = vec![0.0; width];
        for (site, release) in round.releases {
            let (front, starts) = release.sums.split_at(width.min(release.sums.len()));
            let own = starts.chunks(block).nth(round.position).unwrap_or_default();
            if patients(own, width) > 0 {
                self.said.insert((*site).clone(), own.to_vec());
            } else {
                as_before.push((*site).clone());
            }
            // What it said of other patients it has not said of these.
            let Some(said) = self.said.get(*site).filter(|said| patients(said, width) == release.n) else {
                (self.state, self.found) = (State::GivenUp, None);
                return;
            };
            squares.iter_mut().zip(front).for_each(|(all, own): (&mut f64, &f64)| *all += own);
            sums.iter_mut().zip(said).for_each(|(all, own): (&mut f64, &f64)| *all += own);
            let inhabited = said.chunks(1 + width).map(|cluster| u32::from(cluster[0] > 0.0));
            sites.iter_mut().zip(inhabited).for_each(|(all, own)| *all += own);
        }
        let mut within: f64 = squares.iter().zip(round.weights).map(|(square, weight)| square * weight).sum();
        let (mut sizes, mut means) = (Vec::new(), Vec::new());
        for (cluster, at) in sums.chunks(1 + width).zip(&self.centroids) {
            let n = cluster[0];
            sizes.push(n as u64);
            if n == 0.0 {
                means.push(at.iter().map(|step| f64::from(*step) * Centroids::QUANTUM).collect());
                continue;
            }
            within -= cluster[1..].iter().zip(round.weights).map(|(sum, weight)| weight * sum * sum / n).sum::<f64>();
            means.push(cluster[1..].iter().map(|sum| sum / n).collect::<Vec<f64>>());
        }
        let next: Vec<Vec<i32>> = means.iter().map(|mean| mean.iter().map(|z| Centroids::step(*z)).collect()).collect();
        let moves = self.found.as_ref().map_or(0, |found| found.moves + 1);
        // What is below 0 is so by rounding.
        self.found = Some(Found { sizes, sites, means, squares, within: within.max(0.0), as_before, moves });
        self.state = if next == self.centroids { State::AtRest } else { State::OnItsWay };
        self.centroids = next;
    }
}

impl Found {
    /// All patients that were found.
    pub(super) fn patients(&self) -> u64 {
        self.sizes.iter().sum()
    }

    /// The mean and standard deviation of a scaled column over all of them: those of the sites that are left, whoever was there at first.
    pub(super) fn of_all(&self, column: usize) -> (f64, Option<f64>) {
        let n = self.patients();
        let sum: f64 = self.sizes.iter().zip(&self.means).map(|(size, means)| *size as f64 * means[column]).sum();
        let mean = sum / n as f64;
        (mean, sd(n, mean, self.squares[column] - sum * mean))
    }
}

/// How many patients a start's sums are of.
fn patients(block: &[f64], width: usize) -> u64 {
    block.chunks(1 + width).filter_map(|cluster| cluster.first()).sum::<f64>() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(sums: &[f64], n: u64) -> ModelRelease {
        ModelRelease { threshold: 1, n, sums: sums.to_vec() }
    }

    fn take(of: &mut Try, answers: &[(&str, ModelRelease)]) {
        let sites: Vec<SiteId> = answers.iter().map(|(site, _)| site.parse().unwrap()).collect();
        let releases: Vec<(&SiteId, ModelRelease)> =
            sites.iter().zip(answers).map(|(site, (_, release))| (site, release.clone())).collect();
        of.take(&Round { releases: &releases, position: 0, weights: &[1.0] });
    }

    /// Two patients at −0.5 and at 0.5, one each.
    const APART: [f64; 5] = [0.5, 1.0, -0.5, 1.0, 0.5];
    const NOTHING_NEW: [f64; 5] = [0.5, 0.0, 0.0, 0.0, 0.0];

    fn start() -> Try {
        Try::new(vec![vec![Centroids::step(-0.4)], vec![Centroids::step(0.4)]])
    }

    #[test]
    fn centroids_move_to_the_means_and_rest_there() {
        let mut of = start();
        take(&mut of, &[("aa", release(&APART, 2)), ("bb", release(&APART, 2))]);
        assert!(of.is_on_its_way());
        assert_eq!(of.centroids, [[Centroids::step(-0.5)], [Centroids::step(0.5)]]);
        assert_eq!(of.found().map(|found| (found.within, found.sizes.clone())), Some((0.0, vec![2, 2])));
        take(&mut of, &[("aa", release(&APART, 2)), ("bb", release(&APART, 2))]);
        assert!(of.is_at_rest());
    }

    #[test]
    fn a_site_that_says_nothing_new_counts_as_it_did() {
        let mut of = start();
        take(&mut of, &[("aa", release(&APART, 2)), ("bb", release(&APART, 2))]);
        take(&mut of, &[("aa", release(&APART, 2)), ("bb", release(&NOTHING_NEW, 2))]);
        let found = of.found().unwrap();
        assert_eq!((found.sizes.clone(), found.as_before.len()), (vec![2, 2], 1));
    }

    #[test]
    fn a_start_of_which_a_site_has_said_nothing_is_given_up() {
        let mut of = start();
        take(&mut of, &[("aa", release(&APART, 2)), ("bb", release(&NOTHING_NEW, 2))]);
        assert!(of.found().is_none() && !of.is_on_its_way());
        let mut of = start();
        take(&mut of, &[("aa", release(&APART, 2))]);
        take(&mut of, &[("aa", release(&NOTHING_NEW, 3))]);
        assert!(of.found().is_none(), "what it said was of two patients, and now there are three");
    }

    #[test]
    fn a_centroid_of_nobody_stays_where_it_is() {
        let mut of = start();
        take(&mut of, &[("aa", release(&[0.5, 2.0, 0.0, 0.0, 0.0], 2))]);
        assert_eq!(of.centroids, [[0], [Centroids::step(0.4)]]);
        let found = of.found().unwrap();
        assert_eq!((found.sizes.clone(), found.within), (vec![2, 0], 0.5));
    }
}
