//! The sums of one step of a model's fit at one site.

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::plan::{Described, GridSums, ModelLayout, Sums};

/// Sums over the complete cases of a site, or none of them: nothing of a model is hidden by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRelease {
    /// k: no level, side or pair of levels that the sums tell apart has fewer patients.
    pub threshold: u32,
    /// Patients, each in one row: those for whom everything that the model reads is known.
    pub n: u64,
    /// As [`crate::plan::Sums`] says, each with 44 bits. Pearson's χ² is no number where one patient has too much of it.
    pub sums: Vec<f64>,
}

impl ModelRelease {
    /// Whether this could be an honest answer: shape, and numbers that can be added up.
    pub fn fits(&self, layout: &ModelLayout) -> bool {
        let k = u64::from(self.threshold.max(1));
        (k..=limits::ROWS).contains(&self.n)
            && self.sums.len() == layout.values()
            && self.sums.iter().enumerate().all(|(at, sum)| {
                // What one patient has too much of is no number.
                let pearson = layout.explains_a_mean() && at % layout.block_values() == Sums::PEARSON;
                let kept_back = pearson && sum.is_nan();
                kept_back || sum.is_finite() && sum.abs() <= limits::MODEL_SUM
            })
            && layout.described.is_none_or(|described| self.fits_clusters(described, k))
            && layout.grid_sums().is_none_or(|sums| self.fits_intervals(sums))
    }

    /// Along a grid: whether as many have the event as can, each in one interval, and nobody's weight is negative. Risk sets are made of these.
    fn fits_intervals(&self, of: GridSums) -> bool {
        let events = |slot: usize| self.sums[of.events(slot)];
        let weight = |slot: usize, event: bool| self.sums[of.group(slot, event).start];
        let whole = |slot: usize| events(slot) >= 0.0 && events(slot).fract() == 0.0;
        // A steep step can leave nothing of a weight.
        let weighs = |slot: usize| weight(slot, false) >= 0.0 && weight(slot, true) >= 0.0;
        (0..of.slots()).all(|slot| whole(slot) && weighs(slot))
            && (0..of.slots()).map(events).sum::<f64>() <= self.n as f64
            && (0..of.strata).all(|stratum| self.fits_entries(of, stratum, weight))
    }

    /// Whether those at risk in each interval are at least those with the event: nobody comes who does not leave later.
    fn fits_entries(&self, of: GridSums, stratum: usize, weight: impl Fn(usize, bool) -> f64) -> bool {
        let (mut at_risk, mut ever) = (0.0, 0.0);
        (0..of.intervals).rev().all(|interval| {
            let slot = stratum * of.intervals + interval;
            let leave = weight(slot, false) + weight(slot, true);
            (at_risk, ever) = (at_risk + leave, ever + leave);
            // Of numbers that leave with 44 bits.
            let fits = at_risk - weight(slot, true) >= -1e-9 * ever;
            let enter = of.enter(stratum, interval).map_or(0.0, |group| self.sums[group.start]);
            at_risk -= enter;
            fits && enter >= 0.0
        })
    }

    /// Of each start, whether everybody is in one cluster, or nobody in any; and of each cluster, whether it is nobody or k.
    fn fits_clusters(&self, described: Described, k: u64) -> bool {
        let Described::Clusters { width, .. } = described else { return true };
        let whole = |n: f64| n == 0.0 || n.fract() == 0.0 && (k as f64..=self.n as f64).contains(&n);
        self.sums[width..].chunks(described.block()).all(|start| {
            let sizes = || start.chunks(1 + width).map(|cluster| cluster[0]);
            let all: f64 = sizes().sum();
            sizes().all(whole) && (all == 0.0 || all == self.n as f64)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Described = Described::Clusters { width: 1, starts: 1, clusters: 2 };

    #[test]
    fn clusters_are_nobody_or_k_and_everybody_together_or_none() {
        let fits = |a: f64, b: f64| {
            let sums = vec![1.0, a, 0.5, b, -0.5];
            ModelRelease { threshold: 3, n: 10, sums }.fits_clusters(TWO, 3)
        };
        assert!(fits(7.0, 3.0) && fits(10.0, 0.0) && fits(0.0, 0.0));
        for (a, b) in [(8.0, 2.0), (6.0, 3.0), (7.5, 2.5), (11.0, -1.0), (10.0, 10.0), (-3.0, 13.0)] {
            assert!(!fits(a, b), "{a}, {b}");
        }
    }

    #[test]
    fn along_a_grid_no_more_have_the_event_than_there_are_patients_and_no_weight_is_negative() {
        let of = GridSums { width: 1, strata: 1, intervals: 2, enters: 0, closing: false, timed: false };
        let fits = |events: [f64; 2], [without, with]: [f64; 2]| {
            let mut sums = vec![0.5; of.values()];
            for (slot, n) in events.into_iter().enumerate() {
                sums[of.events(slot)] = n;
                sums[of.group(slot, false).start] = without;
                sums[of.group(slot, true).start] = if n == 0.0 { 0.0 } else { with };
            }
            ModelRelease { threshold: 3, n: 20, sums }.fits_intervals(of)
        };
        assert!(fits([12.0, 8.0], [1.5, 2.0]) && fits([20.0, 0.0], [0.0, 1e-9]) && fits([0.0, 0.0], [1.0, 0.0]));
        for events in [[12.0, 9.0], [1e100, 0.0], [-1.0, 3.0], [2.5, 3.0], [30.0, -10.0]] {
            assert!(!fits(events, [1.0, 1.0]), "{events:?}");
        }
        for weights in [[-1.0, 1.0], [1.0, -1.0]] {
            assert!(!fits([3.0, 3.0], weights), "{weights:?}");
        }
    }

    #[test]
    fn along_a_grid_nobody_comes_who_does_not_leave_later() {
        let of = GridSums { width: 1, strata: 1, intervals: 2, enters: 1, closing: false, timed: false };
        let fits = |leave: [f64; 2], enter: f64| {
            let mut sums = vec![0.0; of.values()];
            (0..2).for_each(|slot| sums[of.group(slot, true).start] = leave[slot]);
            sums[of.enter(0, 1).unwrap().start] = enter;
            ModelRelease { threshold: 3, n: 20, sums }.fits_intervals(of)
        };
        assert!(fits([3.0, 4.0], 4.0) && fits([3.0, 4.0], 0.0));
        assert!(!fits([3.0, 4.0], 4.1) && !fits([3.0, 4.0], -1.0));
    }
}
