//! The sums of a step of a Cox model with one baseline for all sites: of those who leave in an interval by the event, and of those who leave then
//! otherwise, Σ w, Σ w x and Σ w x xᵀ with w = e^η, and of those who come in it. Risk sets are made of them where those of all sites are.

use std::sync::Arc;

use bocage_protocol::plan::{GridSums, Model, ModelLayout, SharedGrid};

use super::super::at_risk::AtRisk;
use super::super::design::Design;
use super::concordance;
use crate::custodian::gate::{CountedLeaving, CountedModel, CountedRisk, Weights};

/// The sums at a step's coefficients; where a site is asked which ends of the grid can stay, none: the gate says it.
pub(super) fn at(
    design: &Design,
    risk: &AtRisk,
    leaving: &Arc<Vec<CountedModel>>,
    model: &Model,
    layout: &ModelLayout,
) -> Option<CountedModel> {
    let shared = layout.risk.as_ref()?.shared.as_ref()?;
    let mut counted = CountedModel { n: risk.time.len() as u64, ..design.facts.clone().told() };
    let mut found = CountedLeaving { cells: Arc::clone(leaving), weights: Vec::new() };
    counted.sums = match (layout.grid_sums(), shared.grid.merged()) {
        (Some(sums), Some(merged)) => {
            found.weights = vec![(0.0, 0.0); 2 * sums.slots() + sums.strata * sums.enters];
            let pass = Pass { risk, layout, shared, sums, merged, beta: &model.at.beta };
            pass.sums(&mut found.weights, &mut counted.weights)
        }
        _ => vec![0.0; layout.values()],
    };
    let mut known = CountedRisk::default();
    (known.ever, known.leaving) = (counted.n, Some(found));
    counted.risk = Some(known);
    Some(counted)
}

struct Pass<'a> {
    risk: &'a AtRisk,
    layout: &'a ModelLayout,
    shared: &'a SharedGrid,
    sums: GridSums,
    /// Of each declared interval that of the step.
    merged: Vec<usize>,
    beta: &'a [f64],
}

impl Pass<'_> {
    /// `shares`: of each group the sum of weights, and the largest.
    fn sums(&self, shares: &mut [(f64, f64)], weights: &mut Weights) -> Vec<f64> {
        let (risk, sums) = (self.risk, self.sums);
        let ends = self.shared.grid.staying();
        let clock = |interval: usize| self.layout.risk.as_ref().map_or(0.0, |slots| slots.clock(ends[interval]));
        // The same constant at all sites would change nothing, one of a site's own everything: none is taken off.
        let eta: Vec<f64> = (0..risk.time.len()).map(|row| self.predictor(row)).collect();
        let times: Vec<f64> = risk.time.iter().map(|time| self.merged[*time as usize] as f64).collect();
        // Who comes in an interval is at risk in it: they came after the one before.
        let starts: Vec<f64> = risk.start.iter().map(|start| self.merged[*start as usize] as f64 - 1.0).collect();
        let mut values = vec![0.0; sums.values()];
        for stratum in &risk.strata {
            for row in stratum.rows.clone() {
                let (interval, event, x) = (times[row] as usize, risk.event[row], risk.row(row));
                let (slot, weight) = (stratum.key as usize * sums.intervals + interval, eta[row].exp());
                weights.add(weight, weight);
                let (all, most) = &mut shares[2 * slot + usize::from(event)];
                (*all, *most) = (*all + weight, most.max(weight));
                add(&mut values[sums.group(slot, event)], x, weight);
                let place = (stratum.key as usize, starts.get(row).map_or(0, |start| (start + 1.0) as usize));
                if let Some(group) = sums.enter(place.0, place.1) {
                    let (all, most) = &mut shares[2 * sums.slots() + place.0 * sums.enters + place.1 - 1];
                    (*all, *most) = (*all + weight, most.max(weight));
                    add(&mut values[group], x, weight);
                }
                if event {
                    values[GridSums::PREDICTORS] += eta[row];
                    values[sums.events(slot)] += 1.0;
                    values[sums.columns()].iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
                    let moment = clock(interval);
                    values[sums.timed_columns()].iter_mut().zip(x).for_each(|(sum, x)| *sum += moment * x);
                }
            }
            if sums.closing {
                let pairs = concordance::pairs(risk, (&starts, &times), stratum, &eta);
                values[sums.pairs()].iter_mut().zip(pairs).for_each(|(all, own)| *all += own as f64);
            }
        }
        values
    }

    fn predictor(&self, row: usize) -> f64 {
        let product: f64 = self.risk.row(row).iter().zip(self.beta).map(|(x, beta)| x * beta).sum();
        product + self.risk.offset.get(row).copied().unwrap_or(0.0)
    }
}

fn add(group: &mut [f64], x: &[f64], weight: f64) {
    let (zeroth, rest) = group.split_at_mut(1);
    let (first, second) = rest.split_at_mut(x.len());
    zeroth[0] += weight;
    let mut second = second.iter_mut();
    for (i, (first, xi)) in first.iter_mut().zip(x).enumerate() {
        let weighted = weight * xi;
        *first += weighted;
        x[..=i].iter().zip(&mut second).for_each(|(xj, second)| *second += weighted * xj);
    }
}
