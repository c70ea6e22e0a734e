//! The rounds after the first, each as large as it may be: for whoever decides about all of them before the first.

use super::{CoxSpec, KmeansSpec, ModelSpec, RoundState, Spec};
use crate::limits;
use crate::plan::{Centroids, Family, LeftOut, Position};

impl Spec {
    /// How many rounds there are after the first, at most.
    pub fn further_rounds(&self) -> u16 {
        // How many sites are asked shows in what a round asks, not in how many there are.
        self.later_rounds(1).into_iter().fold(0, |sum: u16, (rounds, _)| sum.saturating_add(rounds))
    }

    /// The later rounds by their form, asked of so many sites, each with how many of it there are at most.
    pub fn later_rounds(&self, sites: usize) -> Vec<(u16, RoundState)> {
        let after_the_first = limits::MODEL_ROUNDS - 1;
        match self {
            Spec::Model(model) => vec![(after_the_first, RoundState::At(model.start()))],
            // The last is the one at the end of the fit, in which more is summed.
            Spec::Cox(cox) => vec![(after_the_first - 1, along(cox, false)), (1, along(cox, true))],
            Spec::Kmeans(kmeans) => vec![(kmeans.iterations, RoundState::Centroids(centroids(kmeans)))],
            Spec::CrossValidation(spec) => {
                // At coefficients of 0 everybody is expected to be alike, which is no curve. At a site there is one fit that did not know it.
                let mut beta = folds(&spec.model, spec.left_out, 1);
                beta.iter_mut().flatten().for_each(|slope| *slope = 1e-9);
                let areas = spec.fold_areas.then(|| (1, RoundState::LeftOutByFold(beta.clone())));
                let curve = spec.curve.is_some().then_some((1, RoundState::LeftOut(beta)));
                let fits = after_the_first - u16::from(curve.is_some()) - u16::from(areas.is_some());
                let fits = (fits, fit(&spec.model, Some(spec.left_out), sites));
                [fits].into_iter().chain(curve).chain(areas).collect()
            }
            Spec::ElasticNet(spec) if spec.model.response.family == Family::Gaussian => vec![],
            Spec::ElasticNet(spec) => vec![(limits::PATH_ROUNDS - 1, fit(&spec.model, spec.left_out, sites))],
            _ => vec![],
        }
    }
}

/// How many rounds a study of these analyses has after its first at most. Where one is of another's end they follow each other.
pub fn most_later_rounds<'a>(specs: impl Iterator<Item = &'a Spec>) -> u16 {
    let (analyses, later) = specs.fold((0_u16, 0_u16), |(analyses, sum), spec| {
        (analyses.saturating_add(1), sum.saturating_add(spec.further_rounds()))
    });
    if later == 0 { 0 } else { later.saturating_add(analyses - 1) }
}

fn along(cox: &CoxSpec, at_the_end: bool) -> RoundState {
    let at = Position { robust: at_the_end, ..cox.start() };
    match &cox.hazard.grid {
        None => RoundState::At(at),
        Some(grid) => RoundState::Along { at, stay: (0..).take(grid.ends.len()).collect() },
    }
}

fn centroids(kmeans: &KmeansSpec) -> Centroids {
    let columns = kmeans.columns.len();
    let start = vec![vec![0; columns]; kmeans.clusters as usize];
    Centroids { weights: vec![1.0; columns], starts: vec![start; kmeans.starts as usize] }
}

fn fit(model: &ModelSpec, left_out: Option<LeftOut>, sites: usize) -> RoundState {
    match left_out {
        None => RoundState::At(model.start()),
        // At the end of each fit the squares of residuals are summed as well.
        Some(left_out) => {
            let at = Position { robust: true, ..model.start() };
            RoundState::Folds { at, folds: folds(model, left_out, sites) }
        }
    }
}

fn folds(model: &ModelSpec, left_out: LeftOut, sites: usize) -> Vec<Vec<f64>> {
    let count = match left_out {
        LeftOut::Site => sites.clamp(1, limits::FITS),
        LeftOut::Fold(count) => usize::from(count),
    };
    vec![model.start().beta; count]
}
