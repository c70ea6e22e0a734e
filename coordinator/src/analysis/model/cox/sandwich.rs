//! Robust errors along a grid. A patient with columns x who leaves in an interval has the score
//!
//! u = δ (x − x̃) − w (A x − B),  A = Σ dΛ,  B = Σ x̄ dΛ
//!
//! over the intervals up to it (Lin, Wei 1989; with Efron's ties Therneau, Grambsch 2000, §4.6), so Σ u uᵀ of a group that leaves together follows from
//! its Σ wᵖ, Σ wᵖ x and Σ wᵖ x xᵀ, p = 0, 1, 2: what the sites answer at coefficients of 0, at the fit's end, and at twice those.

use std::collections::BTreeMap;

use bocage_protocol::ids::SiteId;
use bocage_protocol::limits;
use bocage_protocol::plan::{GridSums, Position};
use bocage_protocol::release::ModelRelease;
use nalgebra::{DMatrix, DVector};

use super::shared::Along;
use super::{CoxDriver, End, square};

/// The sums that a fit passes on its way and needs again at its end.
#[derive(Debug, Default)]
pub(super) struct Powers {
    /// Each site's patients and groups at coefficients of 0.
    zero: BTreeMap<SiteId, (u64, Vec<f64>)>,
    /// The end, while the sites are asked at twice its coefficients.
    waiting: Option<(Box<End>, Vec<String>)>,
}

/// A group's sums of some power of the weights.
struct Moments {
    n: f64,
    first: DVector<f64>,
    second: DMatrix<f64>,
}

impl Moments {
    fn of(group: &[f64], width: usize) -> Self {
        let first = DVector::from_column_slice(&group[1..=width]);
        Self { n: group[0], first, second: square(&group[1 + width..], width) }
    }

    /// Σ wᵖ (x − u) (c x − v)ᵀ.
    fn about(&self, u: &DVector<f64>, c: f64, v: &DVector<f64>) -> DMatrix<f64> {
        &self.second * c - &self.first * v.transpose() - u * self.first.transpose() * c + u * v.transpose() * self.n
    }
}

impl Along {
    /// Σ u uᵀ, of the groups at coefficients of 0 and at twice the fit's.
    fn squares(&self, zero: &[f64], twice: &[f64]) -> DMatrix<f64> {
        let (grid, width) = (self.grid(), self.grid().width);
        let mut all = DMatrix::zeros(width, width);
        let begin = grid.group(0, false).start;
        for stratum in 0..grid.strata {
            let (mut hazard, mut drift) = (0.0, DVector::zeros(width));
            for slot in (0..grid.intervals).map(|interval| stratum * grid.intervals + interval) {
                let step = self.step(slot);
                for (event, own) in [(false, &step.others), (true, &step.events)] {
                    let (a, b) = (hazard + own.0, &drift + &own.1);
                    let range = grid.group(slot, event);
                    let range = range.start - begin..range.end - begin;
                    // Σ w² (A x − B) (A x − B)ᵀ, as A² Σ w² (x − B/A) (x − B/A)ᵀ where A is not 0.
                    if a > 0.0 {
                        let of = Moments::of(&twice[range.clone()], width);
                        all += of.about(&(&b / a), a * a, &(&b * a));
                    }
                    if event && self.events(slot) > 0.0 {
                        let own = Moments::of(&zero[range.clone()], width);
                        all += own.about(&step.mean, 1.0, &step.mean);
                        let once = Moments::of(self.group(slot, true), width).about(&step.mean, a, &b);
                        all -= &once + once.transpose();
                    }
                }
                hazard += step.others.0;
                drift += step.others.1;
            }
        }
        all
    }
}

impl Powers {
    /// Notes what the sites answer at coefficients of 0.
    pub(super) fn at_zero(&mut self, releases: &[(&SiteId, &ModelRelease)], grid: GridSums) {
        let groups = |release: &ModelRelease| release.sums[grid.group(0, false).start..].to_vec();
        self.zero = releases.iter().map(|(site, release)| ((*site).clone(), (release.n, groups(release)))).collect();
    }

    /// Where to ask once more; without errors where that is out of bounds, or where other patients are in than were at first.
    pub(super) fn ask(
        &mut self,
        mut end: Box<End>,
        mut notes: Vec<String>,
    ) -> Result<Position, (Box<End>, Vec<String>)> {
        let beta: Vec<f64> = end.beta.iter().map(|beta| 2.0 * beta).collect();
        let within = beta.iter().all(|beta| beta.abs() <= limits::MODEL_SLOPE);
        let same = end.merged.sites.iter().all(|(site, n)| self.zero.get(site).is_some_and(|(first, _)| first == n));
        if !(within && same) {
            let why =
                if within { "other patients are in the fit than at its begin" } else { "a coefficient is too steep" };
            notes.push(format!("no robust errors: {why}"));
            end.without_squares();
            return Err((end, notes));
        }
        let at = Position { beta, ..Position::of_hazards(end.beta.len()) };
        self.waiting = Some((end, notes));
        Ok(at)
    }

    /// The end, if the sites have answered for the last time.
    pub(super) fn answered(
        &mut self,
        releases: &[(&SiteId, &ModelRelease)],
        grid: Option<GridSums>,
    ) -> Option<(Box<End>, Vec<String>)> {
        let (mut end, mut notes) = self.waiting.take()?;
        let there: Vec<(SiteId, u64)> = releases.iter().map(|(site, release)| ((*site).clone(), release.n)).collect();
        let squares = match (&end.along, grid) {
            (Some(along), Some(grid)) if there == end.merged.sites => {
                let twice = super::added(releases, grid.values());
                let mut zero = vec![0.0; grid.values() - grid.group(0, false).start];
                let own = end.merged.sites.iter().filter_map(|(site, _)| self.zero.get(site));
                own.for_each(|(_, own)| zero.iter_mut().zip(own).for_each(|(all, own)| *all += own));
                Some(along.squares(&zero, &twice[grid.group(0, false).start..]))
            }
            _ => None,
        };
        match squares {
            Some(squares) => end.merged.squares = squares,
            None => {
                notes.push(
                    "no robust errors: a site did not answer the last round, at twice the coefficients".to_owned(),
                );
                end.without_squares();
            }
        }
        Some((end, notes))
    }
}

impl CoxDriver {
    /// Whether errors are made of patients' scores along the grid.
    pub(super) fn is_robust_along(&self) -> bool {
        self.spec.hazard.robust && self.spec.hazard.grid.is_some()
    }
}

#[cfg(test)]
mod tests {
    use bocage_protocol::plan::Ties;

    use super::*;

    /// Data set 1 of Therneau, Grambsch (2000), appendix E: in which interval each patient leaves, whether by the event, and x.
    const BOOK: [(usize, bool, f64); 6] =
        [(0, true, 1.0), (0, false, 1.0), (1, true, 1.0), (1, true, 0.0), (2, false, 0.0), (3, true, 0.0)];

    /// Their scores with Efron's ties, as they stand there, of a hazard ratio r.
    fn scores(r: f64) -> [f64; 6] {
        let (a, b, c) = (r + 1.0, r + 3.0, r + 5.0);
        let all = 3.0 * (a * b * c).powi(2);
        let last = 2.0 * r * (177.0 + r * (282.0 + r * (182.0 + r * (50.0 + 5.0 * r)))) / all;
        let third = (675.0 + r * (1305.0 + r * (756.0 + r * (-4.0 + r * (-79.0 - 13.0 * r))))) / all;
        let fourth = r * (1.0 / (3.0 * a * a) - a / (2.0 * b * b) - b / (2.0 * c * c));
        [(2.0 * r + 3.0) / (3.0 * a * a), -r / (3.0 * a * a), third, fourth, last, last]
    }

    #[test]
    fn the_scores_of_a_books_six_patients_have_its_squares() {
        let grid = GridSums { width: 1, strata: 1, intervals: 4, enters: 0, closing: false, timed: false };
        // The sums of r to this power.
        let sums = |r: f64, power: i32| {
            let mut sums = vec![0.0; grid.values()];
            for (interval, event, x) in BOOK {
                let weight = if x > 0.0 { r.powi(power) } else { 1.0 };
                let group = grid.group(interval, event);
                let own = [weight, weight * x, weight * x * x];
                sums[group].iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
                sums[grid.events(interval)] += f64::from(u8::from(event));
            }
            sums
        };
        let begin = grid.group(0, false).start;
        // The last one is its estimate.
        for r in [1.0, 2.0, 1.676_857_f64.exp()] {
            let along = Along::of(grid, sums(r, 1), Ties::Efron);
            let found = along.squares(&sums(r, 0)[begin..], &sums(r, 2)[begin..])[(0, 0)];
            let wanted: f64 = scores(r).iter().map(|score| score * score).sum();
            assert!((found / wanted - 1.0).abs() < 1e-12, "{r}: {found}, {wanted}");
        }
    }
}
