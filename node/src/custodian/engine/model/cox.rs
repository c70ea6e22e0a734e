//! The sums of a step of a Cox model at one site: one pass from the latest time to the first makes every event's risk set, one back what falls to
//! each patient.
//!
//! With w = e^η, the risk set's S₀ = Σ w, S₁ = Σ w x, S₂ = Σ w x xᵀ, and D₀, D₁, D₂ the same over the d events of a time, the l-th of them adds
//! ln(S₀ − f D₀) to what the log-likelihood loses, x̄ = (S₁ − f D₁) / (S₀ − f D₀) to what the score does, and V = (S₂ − f D₂) / (S₀ − f D₀) − x̄ x̄ᵀ to
//! the information; f = l / d of Efron's ties, 0 of Breslow's (Therneau, Grambsch, *Modeling Survival Data* (2000), §3.1 and §3.3).

mod concordance;
mod patients;
mod shared;

use bocage_protocol::plan::{CoxSums, Hazard, Model, ModelLayout, RiskSlots, Ties};

use self::patients::{Moment, Several};
use super::at_risk::{AtRisk, Stratum};
use super::design::Design;
use crate::custodian::gate::{CountedModel, CountedRisk, Weights};

/// Of the logarithms of two weights no more is told apart: the smaller one is nothing beside the larger.
const APART: f64 = 700.0;

/// The sums at a step's coefficients, with what the gate must know.
pub fn at(
    design: &Design,
    risk: &AtRisk,
    (model, hazard): (&Model, &Hazard),
    layout: &ModelLayout,
) -> Option<CountedModel> {
    let (sums, slots) = (layout.cox_sums()?, layout.risk.as_ref()?);
    if let Some(leaving) = &design.leaving {
        return shared::at(design, risk, leaving, model, layout);
    }
    let mut pass = Pass {
        risk,
        slots,
        ties: hazard.ties,
        sums,
        eta: Vec::new(),
        weight: Vec::new(),
        moments: Vec::new(),
        values: vec![0.0; sums.values()],
        weights: Weights::default(),
        counted: CountedRisk::new(sums.width, sums.closing && sums.timed),
        several: Several::new(risk, if sums.squares().is_empty() { 0 } else { sums.width }),
    };
    pass.predict(&model.at.beta);
    for stratum in &risk.strata {
        pass.stratum(stratum);
    }
    pass.end();
    let facts = design.facts.clone();
    pass.counted.ever = facts.n;
    Some(CountedModel {
        predictions: facts.shares(),
        n: risk.patients as u64,
        sides: facts.sides,
        ones: facts.ones,
        both: facts.both,
        spreads: facts.spreads,
        sums: pass.values,
        weights: pass.weights,
        risk: Some(pass.counted),
        described: None,
        folds: Vec::new(),
    })
}

struct Pass<'a> {
    risk: &'a AtRisk,
    slots: &'a RiskSlots,
    ties: Ties,
    sums: CoxSums,
    /// Each row's linear predictor, less its stratum's largest.
    eta: Vec<f64>,
    /// e to its power.
    weight: Vec<f64>,
    /// The stratum's times with events, the latest first.
    moments: Vec<Moment>,
    values: Vec<f64>,
    weights: Weights,
    counted: CountedRisk,
    /// What falls to each patient, where they have several rows.
    several: Several,
}

/// Weighted sums over some patients.
struct Sums {
    zeroth: f64,
    first: Vec<f64>,
    /// The lower triangle, row by row.
    second: Vec<f64>,
}

impl Sums {
    fn new(width: usize) -> Self {
        Self { zeroth: 0.0, first: vec![0.0; width], second: vec![0.0; width * (width + 1) / 2] }
    }

    #[inline]
    fn add(&mut self, x: &[f64], weight: f64) {
        self.zeroth += weight;
        let mut second = self.second.iter_mut();
        for (i, (first, xi)) in self.first.iter_mut().zip(x).enumerate() {
            let weighted = weight * xi;
            *first += weighted;
            x[..=i].iter().zip(&mut second).for_each(|(xj, second)| *second += weighted * xj);
        }
    }

    fn clear(&mut self) {
        self.zeroth = 0.0;
        self.first.fill(0.0);
        self.second.fill(0.0);
    }
}

impl Pass<'_> {
    /// A constant within a stratum changes nothing: with its largest taken off no weight overflows.
    fn predict(&mut self, beta: &[f64]) {
        let risk = self.risk;
        let product = |row: usize| risk.row(row).iter().zip(beta).map(|(x, beta)| x * beta).sum::<f64>();
        let offset = |row: usize| risk.offset.get(row).copied().unwrap_or(0.0);
        self.eta = (0..risk.time.len()).map(|row| product(row) + offset(row)).collect();
        for stratum in &risk.strata {
            let eta = &mut self.eta[stratum.rows.clone()];
            let most = eta.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            eta.iter_mut().for_each(|eta| *eta = (*eta - most).max(-APART));
        }
        self.weight = self.eta.iter().map(|eta| eta.exp()).collect();
    }

    fn stratum(&mut self, stratum: &Stratum) {
        let (risk, rows) = (self.risk, stratum.rows.clone());
        if !self.slots.strata.is_empty() {
            self.counted.strata.push(risk.patients_of(stratum));
        }
        self.moments.clear();
        let (mut all, mut deaths) = (Sums::new(risk.width), Sums::new(risk.width));
        let (mut largest, mut coming, mut begin) = (0.0f64, stratum.coming.iter().peekable(), rows.start);
        while begin < rows.end {
            let time = risk.time[begin];
            let end = begin + risk.time[begin..rows.end].iter().take_while(|other| **other == time).count();
            deaths.clear();
            let (mut tied, mut eta) = (0u32, 0.0);
            for row in begin..end {
                all.add(risk.row(row), self.weight[row]);
                largest = largest.max(self.weight[row]);
                if risk.event[row] {
                    deaths.add(risk.row(row), self.weight[row]);
                    (tied, eta) = (tied + 1, eta + self.eta[row]);
                    let values = self.values[self.sums.score()].iter_mut();
                    values.zip(risk.row(row)).for_each(|(score, x)| *score += x);
                }
            }
            // Who comes at this time or later is not at risk at it.
            while let Some(row) = coming.next_if(|row| risk.start[**row] >= time) {
                all.add(risk.row(*row), -self.weight[*row]);
            }
            if tied > 0 {
                self.values[CoxSums::EVENTS] += f64::from(tied);
                self.values[CoxSums::LOG_LIKELIHOOD] += eta;
                self.moment(time, begin..end, tied, &all, &deaths, largest);
            }
            begin = end;
        }
        self.patients(stratum);
        if self.sums.closing {
            let pairs = concordance::pairs(risk, (&risk.start, &risk.time), stratum, &self.eta);
            self.values[self.sums.pairs()].iter_mut().zip(pairs).for_each(|(all, own)| *all += own as f64);
        }
    }

    /// The events of one time. `largest`: no weight of the risk set is more.
    fn moment(&mut self, time: f64, rows: std::ops::Range<usize>, tied: u32, all: &Sums, deaths: &Sums, largest: f64) {
        let sums = self.sums;
        let clock = self.slots.clock(time);
        let counting = rows.clone().filter(|row| self.risk.counts(*row)).count() as u32;
        self.counted.event_among(all.zeroth, largest, counting);
        let steps: Vec<(f64, f64)> = match self.ties {
            Ties::Breslow => vec![(0.0, f64::from(tied))],
            Ties::Efron => (0..tied).map(|l| (f64::from(l) / f64::from(tied), 1.0)).collect(),
        };
        let keeps = sums.closing && sums.robust;
        let mut moment = Moment::new(time, if keeps { sums.width } else { 0 });
        let mut mean = vec![0.0; sums.width];
        for (share, times) in steps {
            let zeroth = all.zeroth - share * deaths.zeroth;
            mean.iter_mut()
                .zip(all.first.iter().zip(&deaths.first))
                .for_each(|(mean, (all, deaths))| *mean = (all - share * deaths) / zeroth);
            self.values[CoxSums::LOG_LIKELIHOOD] -= times * zeroth.ln();
            self.values[sums.score()].iter_mut().zip(&mean).for_each(|(score, mean)| *score -= times * mean);
            if sums.closing && sums.timed {
                let timed = self.values[sums.timed_score()].iter_mut();
                timed.zip(&mean).for_each(|(score, mean)| *score -= clock * times * mean);
            }
            let mut at = 0;
            for i in 0..sums.width {
                for j in 0..=i {
                    let second = all.second[at] - share * deaths.second[at];
                    let information = second / zeroth - mean[i] * mean[j];
                    self.values[sums.information().start + at] += times * information;
                    if i == j {
                        self.counted.part(i, information, times, clock);
                    }
                    if sums.closing && sums.timed {
                        self.values[sums.timed_information().start + at] += clock * times * information;
                        self.values[sums.twice_timed_information().start + at] += clock * clock * times * information;
                    }
                    at += 1;
                }
            }
            moment.add(times / zeroth, share, &mean, times / f64::from(tied));
        }
        if sums.closing && sums.timed {
            for row in rows.filter(|row| self.risk.event[*row]) {
                let timed = self.values[sums.timed_score()].iter_mut();
                timed.zip(self.risk.row(row)).for_each(|(score, x)| *score += clock * x);
            }
        }
        self.moments.push(moment);
    }
}
