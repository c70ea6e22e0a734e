//! One baseline for all sites: which ends of the grid all of them keep, and the sums over everybody's risk sets, from those who leave in each interval.

use std::collections::BTreeMap;

use bocage_protocol::analysis::RoundState;
use bocage_protocol::ids::SiteId;
use bocage_protocol::limits;
use bocage_protocol::plan::{CoxSums, GridSums, SharedGrid, Ties, TimeGrid};
use bocage_protocol::release::ModelRelease;
use nalgebra::DVector;

use super::{Answer, CoxDriver, SiteAnswer};

/// Those who leave, of all sites, with the risk sets that they make.
#[derive(Debug)]
pub(super) struct Along {
    grid: GridSums,
    /// As the sites answer, added up.
    sums: Vec<f64>,
    ties: Ties,
    /// Of each interval of each stratum, those at risk in it: as a group of [`GridSums`].
    at_risk: Vec<Vec<f64>>,
}

/// Of an interval with its events: Σ dΛ and Σ x̄ dΛ as they fall to those who go on or leave otherwise, and to those with the event; and what the columns
/// of the latter are held against.
pub(super) struct Step {
    pub others: (f64, DVector<f64>),
    pub events: (f64, DVector<f64>),
    pub mean: DVector<f64>,
}

impl Along {
    pub(super) fn of(grid: GridSums, sums: Vec<f64>, ties: Ties) -> Self {
        let mut at_risk: Vec<Vec<f64>> = vec![Vec::new(); grid.slots()];
        for stratum in 0..grid.strata {
            let mut all = vec![0.0; grid.group(0, false).len()];
            for interval in (0..grid.intervals).rev() {
                let slot = stratum * grid.intervals + interval;
                for event in [false, true] {
                    all.iter_mut().zip(&sums[grid.group(slot, event)]).for_each(|(all, own)| *all += own);
                }
                at_risk[slot] = all.clone();
                // Who comes in it is at risk in no earlier one.
                if let Some(group) = grid.enter(stratum, interval) {
                    all.iter_mut().zip(&sums[group]).for_each(|(all, own)| *all -= own);
                }
            }
        }
        Self { grid, sums, ties, at_risk }
    }

    pub(super) fn grid(&self) -> GridSums {
        self.grid
    }

    /// Events in an interval of a stratum.
    pub(super) fn events(&self, slot: usize) -> f64 {
        self.sums[self.grid.events(slot)]
    }

    /// The sums of those who leave in an interval of a stratum, by the event or otherwise.
    pub(super) fn group(&self, slot: usize, event: bool) -> &[f64] {
        &self.sums[self.grid.group(slot, event)]
    }

    /// What an interval of a stratum adds to the scores of those at risk in it.
    pub(super) fn step(&self, slot: usize) -> Step {
        let width = self.grid.width;
        let none = || (0.0, DVector::zeros(width));
        let mut step = Step { others: none(), events: none(), mean: DVector::zeros(width) };
        let events = self.events(slot);
        let (all, deaths) = (&self.at_risk[slot], self.group(slot, true));
        let mut add = |share: f64, times: f64| {
            let left = |at: usize| all[at] - share * deaths[at];
            let hazard = times / left(0);
            let mean = DVector::from_fn(width, |i, _| left(1 + i) / left(0));
            step.mean += &mean * (times / events);
            for (own, part) in [(&mut step.others, 1.0), (&mut step.events, 1.0 - share)] {
                own.0 += hazard * part;
                own.1 += &mean * (hazard * part);
            }
        };
        match self.ties {
            _ if events == 0.0 => {}
            Ties::Breslow => add(0.0, events),
            Ties::Efron => tied(events).for_each(|(share, times)| add(share, times)),
        }
        step
    }

    /// Σ w of those at risk in it, and the mean of their columns.
    pub(super) fn at_risk(&self, slot: usize) -> (f64, Vec<f64>) {
        let all = &self.at_risk[slot];
        (all[0], all[1..=self.grid.width].iter().map(|sum| sum / all[0]).collect())
    }

    /// The numbers that one site would answer with whose own all patients were. `clock` of an interval.
    pub(super) fn sums(&self, shape: CoxSums, clock: impl Fn(usize) -> f64) -> Vec<f64> {
        let grid = self.grid;
        let mut values = vec![0.0; shape.values()];
        values[CoxSums::LOG_LIKELIHOOD] = self.sums[GridSums::PREDICTORS];
        let mut take = |to: std::ops::Range<usize>, from: std::ops::Range<usize>| {
            values[to].iter_mut().zip(&self.sums[from]).for_each(|(own, sum)| *own = *sum);
        };
        take(shape.score(), grid.columns());
        take(shape.pairs(), grid.pairs());
        take(shape.timed_score(), grid.timed_columns());
        for slot in (0..grid.slots()).filter(|slot| self.events(*slot) > 0.0) {
            let moment = clock(slot % grid.intervals);
            let events = self.events(slot);
            values[CoxSums::EVENTS] += events;
            match self.ties {
                Ties::Breslow => self.event(&mut values, shape, slot, (0.0, events), moment),
                Ties::Efron => {
                    tied(events).for_each(|(share, times)| self.event(&mut values, shape, slot, (share, times), moment))
                }
            }
        }
        values
    }

    /// So many events, beside this share of those who leave with them.
    fn event(&self, values: &mut [f64], shape: CoxSums, slot: usize, (share, times): (f64, f64), moment: f64) {
        let (all, deaths) = (&self.at_risk[slot], &self.sums[self.grid.group(slot, true)]);
        let width = self.grid.width;
        let left = |at: usize| all[at] - share * deaths[at];
        let zeroth = left(0);
        values[CoxSums::LOG_LIKELIHOOD] -= times * zeroth.ln();
        let mean: Vec<f64> = (1..=width).map(|at| left(at) / zeroth).collect();
        let mut take = |at: std::ops::Range<usize>, weight: f64, of: &[f64]| {
            values[at].iter_mut().zip(of).for_each(|(sum, x)| *sum += weight * times * x);
        };
        take(shape.score(), -1.0, &mean);
        take(shape.timed_score(), -moment, &mean);
        let mut at = 1 + width;
        let mut variance = Vec::with_capacity(all.len() - at);
        for i in 0..width {
            for j in 0..=i {
                variance.push(left(at) / zeroth - mean[i] * mean[j]);
                at += 1;
            }
        }
        take(shape.information(), 1.0, &variance);
        take(shape.timed_information(), moment, &variance);
        take(shape.twice_timed_information(), moment * moment, &variance);
    }
}

/// Of the events of an interval, l of d, the shares l / d of those who leave with them, each with how many there are of it. Beyond a bound neighbours
/// share their middle: of what varies as little as from one of 16,384 groups to the next, a sum over them is the same to nine digits.
fn tied(events: f64) -> impl Iterator<Item = (f64, f64)> {
    let all = events as u64;
    let groups = all.min(limits::COX_TIED);
    (0..groups).map(move |group| {
        let begin = |group: u64| (u128::from(group) * u128::from(all) / u128::from(groups)) as f64;
        let (from, to) = (begin(group), begin(group + 1));
        ((from + to - 1.0) / 2.0 / events, to - from)
    })
}

impl CoxDriver {
    /// Where the sums of a step stand, along a grid.
    pub(super) fn along(&self, closing: bool) -> Option<GridSums> {
        let risk = self.layout.risk.as_ref()?;
        let shared = risk.shared.as_ref()?;
        let grid = TimeGrid { stay: Some(self.stay.clone()?), ..shared.grid.clone() };
        SharedGrid { grid, ..*shared }.sums(self.layout.columns.len(), closing, risk.clock.is_some())
    }

    /// The ends of the intervals that stay.
    pub(super) fn ends(&self) -> Vec<f64> {
        let (Some(grid), Some(stay)) = (&self.spec.hazard.grid, &self.stay) else { return Vec::new() };
        stay.iter().filter_map(|end| grid.ends.get(*end as usize).copied()).collect()
    }

    /// An interval's moment on the clock of the test of proportionality: its end.
    pub(super) fn clock(&self, interval: usize) -> f64 {
        let end = self.ends().get(interval).copied().unwrap_or_default();
        self.layout.risk.as_ref().map_or(0.0, |risk| risk.clock(end))
    }

    /// Why there is no fit where of many intervals one is kept: all events would be at one time, before which nobody leaves.
    pub(super) fn blind(&self) -> Option<String> {
        let asked = self.spec.hazard.grid.as_ref().map_or(0, |grid| grid.ends.len());
        let one = self.stay.as_ref().is_some_and(|stay| stay.len() == 1) && asked > 1;
        one.then(|| {
            format!(
                "no fit: all sites keep 1 of the {asked} intervals ({}), which does not say who has the event earlier; fewer and wider intervals may be kept, `least_intervals` leaves sites out that keep few, and without a grid each site has a baseline of its own",
                self.kept_by_site()
            )
        })
    }

    /// How many intervals each site keeps.
    pub(super) fn kept_by_site(&self) -> String {
        self.kept.iter().map(|(site, kept)| format!("{site} {kept}")).collect::<Vec<_>>().join(", ")
    }

    /// The sites that keep fewer intervals than are asked of each, and what is said of them.
    pub(super) fn keeping_few(&self, answers: &[SiteAnswer<'_>]) -> BTreeMap<SiteId, String> {
        let (Some(grid), Some(least)) = (&self.spec.hazard.grid, self.spec.least_intervals) else {
            return BTreeMap::new();
        };
        let few = |answer: &SiteAnswer<'_>| {
            let Answer::Model(release) = answer.answer else { return None };
            let (kept, all) = (kept(release), grid.ends.len());
            let why = || format!("keeps {kept} of {all} intervals, and `least_intervals` is {least}");
            (kept < least as usize).then(|| (answer.site.clone(), why()))
        };
        answers.iter().filter_map(few).collect()
    }

    /// The first step, along the ends that all sites keep.
    pub(super) fn along_what_stays(&mut self, releases: &[(&SiteId, &ModelRelease)]) -> RoundState {
        let ends = self.spec.hazard.grid.as_ref().map_or(0, |grid| grid.ends.len());
        let stays = |end: &u32| {
            *end as usize + 1 == ends
                || releases.iter().all(|(_, release)| release.sums.get(*end as usize).is_some_and(|says| *says == 1.0))
        };
        self.kept = releases.iter().map(|(site, release)| ((*site).clone(), kept(release))).collect();
        self.stay = Some((0..ends as u32).filter(stays).collect());
        self.at(self.spec.start())
    }
}

/// How many intervals a site keeps, as it says in the first round.
fn kept(release: &ModelRelease) -> usize {
    release.sums.iter().filter(|stays| **stays == 1.0).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tied_events_are_taken_one_by_one_up_to_a_bound_and_beyond_it_in_as_many_groups() {
        let few: Vec<(f64, f64)> = tied(4.0).collect();
        assert_eq!(few, [(0.0, 1.0), (0.25, 1.0), (0.5, 1.0), (0.75, 1.0)]);
        let events = 1e12;
        assert_eq!(tied(events).count() as u64, limits::COX_TIED);
        assert_eq!(tied(events).map(|(_, times)| times).sum::<f64>(), events);
        // Of a hundred thousand, against each by itself, where all but one in twenty of those at risk leave.
        let events = 100_000.0;
        let hazard = |share: f64| 1.0 / (1.0 - 0.95 * share);
        let found: f64 = tied(events).map(|(share, times)| times * hazard(share)).sum();
        let each: f64 = (0..events as u64).map(|l| hazard(l as f64 / events)).sum();
        assert!((found / each - 1.0).abs() < 1e-7, "{found} {each}");
    }
}
