//! The baseline along a grid, and how long patients with given values go without the event.
//!
//! With d events and S₀ = Σ w of those at risk in an interval the cumulative hazard of a patient with the columns x grows by e^(β x) d / S₀ (Breslow
//! 1972). Its variance is e^(2βx) (Σ d / S₀² + qᵀ I⁻¹ q) with q = Σ (x̄ − x) d / S₀ (Tsiatis 1981; Therneau, Grambsch 2000, §10.2), and the interval of
//! S = e^(−Λ) is symmetric for ln Λ, as that of a curve by `log_log`.

use bocage_protocol::analysis::Pattern;
use bocage_protocol::plan::{Factor, Slot};
use nalgebra::DVector;

use super::super::errors::Reference;
use super::super::published::{headed, number};
use super::shared::Along;
use super::{CoxDriver, End};
use crate::api::types::{Block, Value};

impl CoxDriver {
    /// The cumulative hazard of whoever has 0 in all numbers and the references of all categories.
    pub(super) fn baseline(&self, end: &End, along: &Along) -> Block {
        let mut block = self.by_interval(&["events", "cumulative hazard"]);
        let ratio = self.row(None).dot(&end.beta).exp();
        self.each(along, |driver, slot, row| {
            let events = along.events(slot);
            row.push(Value::Count(events.round() as u64));
            row.push(number(Some(ratio * driver.hazard(along, slot))));
        })
        .for_each(|row| block.rows.push(row));
        block
    }

    /// The share of patients with a pattern who go without the event until the end of each interval.
    pub(super) fn without_event(&self, end: &End, along: &Along) -> Block {
        let mut block = self.by_interval(&["survival", "lower", "upper"]);
        block.columns.insert(0, "at".to_owned());
        let within = Reference::Normal.quantile(self.spec.confidence);
        for pattern in &self.spec.patterns {
            let x = self.row(Some(pattern));
            let ratio = x.dot(&end.beta).exp();
            let rows = self.each(along, |driver, slot, row| {
                let hazard = ratio * driver.hazard(along, slot);
                let error = ratio * driver.variance(along, slot, &x, end).sqrt();
                row.insert(0, Value::Text(pattern.label.clone()));
                row.push(number(Some((-hazard).exp())));
                let ends = within.filter(|_| hazard > 0.0).map(|within| (within * error / hazard).exp());
                row.push(number(ends.map(|factor| (-hazard * factor).exp())));
                row.push(number(ends.map(|factor| (-hazard / factor).exp())));
            });
            block.rows.extend(rows);
        }
        block
    }

    fn by_interval(&self, more: &[&str]) -> Block {
        let strata = self.layout.risk.as_ref().map_or(&[][..], |risk| risk.strata.as_slice());
        let mut block = headed(if strata.is_empty() { &[] } else { &["stratum"] });
        block.columns.push("to".to_owned());
        block.columns.extend(more.iter().map(|name| (*name).to_owned()));
        block
    }

    /// A row for each interval of each stratum.
    fn each<'a>(
        &'a self,
        along: &'a Along,
        fill: impl Fn(&Self, usize, &mut Vec<Value>) + 'a,
    ) -> impl Iterator<Item = Vec<Value>> + 'a {
        let (grid, ends) = (along.grid(), self.ends());
        (0..grid.slots()).map(move |slot| {
            let mut row: Vec<Value> = self.stratum(slot / grid.intervals).map(Value::Text).into_iter().collect();
            row.push(number(ends.get(slot % grid.intervals).copied()));
            fill(self, slot, &mut row);
            row
        })
    }

    /// The levels of a stratum's keys, where it has any.
    fn stratum(&self, stratum: usize) -> Option<String> {
        let keys = &self.layout.risk.as_ref()?.strata;
        let (mut rest, mut names) = (stratum, Vec::new());
        for key in keys.iter().rev() {
            let domain = &self.layout.inputs.keys[*key].1;
            names.push(domain.label_at(0, rest % domain.labels.len()).to_owned());
            rest /= domain.labels.len();
        }
        names.reverse();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// Scaled columns at a pattern, or where all numbers are 0 and all categories at their references.
    fn row(&self, pattern: Option<&Pattern>) -> DVector<f64> {
        let value = |factor: &Factor, slot: &Slot| match (pattern, slot) {
            (Some(pattern), Slot::Level { .. }) => pattern.value(factor).unwrap_or(0.0),
            (None, Slot::Level { .. }) => 0.0,
            (Some(pattern), Slot::Number { scale, .. } | Slot::Spline { scale, .. }) => {
                scale.apply(pattern.value(factor).unwrap_or(0.0))
            }
            (None, Slot::Number { scale, .. }) => scale.apply(0.0),
            (None, Slot::Spline { of, scale, .. }) => scale.apply(of.value(0.0)),
        };
        let columns = self.spec.columns().zip(&self.layout.columns);
        let product =
            columns.map(|(asked, slots)| asked.of.iter().zip(slots).map(|(f, slot)| value(f, slot)).product());
        DVector::from_iterator(self.layout.columns.len(), product)
    }

    /// Of scaled columns of 0, up to the end of an interval.
    fn hazard(&self, along: &Along, slot: usize) -> f64 {
        until(along, slot).map(|(events, at_risk, _)| events / at_risk).sum()
    }

    fn variance(&self, along: &Along, slot: usize, x: &DVector<f64>, end: &End) -> f64 {
        let (mut own, mut drift) = (0.0, DVector::zeros(x.len()));
        for (events, at_risk, mean) in until(along, slot) {
            own += events / at_risk / at_risk;
            drift += (DVector::from_vec(mean) - x) * (events / at_risk);
        }
        own + (drift.transpose() * &end.inverse * &drift)[(0, 0)]
    }
}

/// Events, Σ w and means of the risk sets of the stratum's intervals up to this one that have events.
fn until(along: &Along, slot: usize) -> impl Iterator<Item = (f64, f64, Vec<f64>)> + '_ {
    let begin = slot - slot % along.grid().intervals;
    (begin..=slot).filter(|slot| along.events(*slot) > 0.0).map(|slot| {
        let (at_risk, mean) = along.at_risk(slot);
        (along.events(slot), at_risk, mean)
    })
}
