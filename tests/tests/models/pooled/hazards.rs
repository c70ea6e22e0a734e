//! A plain pooled Cox model: event by event over everybody at risk. Therneau, Grambsch, *Modeling Survival Data* (2000), §3.1–3.3; robust errors of
//! patients' scores, §4.6 and 7.1.

use super::inverse;

/// A patient: at risk in their stratum after `come` until `leave`.
#[derive(Debug, Clone)]
pub struct Patient {
    pub come: f64,
    pub leave: f64,
    pub event: bool,
    pub stratum: usize,
    pub x: Vec<f64>,
    pub offset: f64,
}

pub struct Hazards {
    pub estimates: Vec<f64>,
    pub errors: Vec<f64>,
    pub robust: Vec<f64>,
    pub log_likelihood: f64,
}

/// The numbers of one step, and each patient's part of the score.
struct Sums {
    log_likelihood: f64,
    information: Vec<Vec<f64>>,
    scores: Vec<Vec<f64>>,
}

/// With `efron`, the l-th of d tied events is against those at risk without l/d of the d; else each is against all of them.
fn sums(patients: &[Patient], beta: &[f64], efron: bool) -> Sums {
    let p = beta.len();
    let eta: Vec<f64> =
        patients.iter().map(|of| of.offset + of.x.iter().zip(beta).map(|(x, b)| x * b).sum::<f64>()).collect();
    let mut sums =
        Sums { log_likelihood: 0.0, information: vec![vec![0.0; p]; p], scores: vec![vec![0.0; p]; patients.len()] };
    for (i, one) in patients.iter().enumerate().filter(|(_, one)| one.event) {
        let at_risk = |of: &Patient| of.stratum == one.stratum && of.leave >= one.leave && of.come < one.leave;
        let tied = |of: &Patient| of.event && of.stratum == one.stratum && of.leave == one.leave;
        let ties = patients.iter().filter(|of| tied(of)).count() as f64;
        let before = patients[..i].iter().filter(|of| tied(of)).count() as f64;
        let share = if efron { before / ties } else { 0.0 };
        let weight: Vec<f64> = patients
            .iter()
            .zip(&eta)
            .map(|(of, eta)| match (at_risk(of), tied(of)) {
                (true, true) => (1.0 - share) * eta.exp(),
                (true, false) => eta.exp(),
                (false, _) => 0.0,
            })
            .collect();
        let all: f64 = weight.iter().sum();
        let weighted = |of: &dyn Fn(&Patient) -> f64| {
            weight.iter().zip(patients).map(|(weight, patient)| weight * of(patient)).sum::<f64>() / all
        };
        let mean: Vec<f64> = (0..p).map(|j| weighted(&|of| of.x[j])).collect();
        sums.log_likelihood += eta[i] - all.ln();
        for j in 0..p {
            for k in 0..p {
                sums.information[j][k] += weighted(&|of| (of.x[j] - mean[j]) * (of.x[k] - mean[k]));
            }
            for ((of, weight), score) in patients.iter().zip(&weight).zip(&mut sums.scores) {
                let own = if tied(of) { 1.0 / ties } else { 0.0 };
                score[j] += (own - weight / all) * (of.x[j] - mean[j]);
            }
        }
    }
    sums
}

/// The fit; none where it does not come to an end at moderate coefficients.
pub fn fit(patients: &[Patient], efron: bool) -> Option<Hazards> {
    let p = patients.first()?.x.len();
    let mut beta = vec![0.0; p];
    for _ in 0..50 {
        let found = sums(patients, &beta, efron);
        let inverse = inverse(found.information)?;
        let score: Vec<f64> = (0..p).map(|j| found.scores.iter().map(|own| own[j]).sum()).collect();
        let times = |row: &[f64], by: &[f64]| row.iter().zip(by).map(|(a, b)| a * b).sum::<f64>();
        let step: Vec<f64> = inverse.iter().map(|row| times(row, &score)).collect();
        if step.iter().zip(&beta).all(|(s, b)| s.abs() <= 1e-10 * b.abs().max(1.0)) {
            let own: Vec<Vec<f64>> =
                found.scores.iter().map(|score| inverse.iter().map(|row| times(row, score)).collect()).collect();
            let robust = (0..p).map(|j| own.iter().map(|own: &Vec<f64>| own[j] * own[j]).sum::<f64>().sqrt()).collect();
            let errors = (0..p).map(|j| inverse[j][j].sqrt()).collect();
            return Some(Hazards { estimates: beta, errors, robust, log_likelihood: found.log_likelihood });
        }
        beta.iter_mut().zip(&step).for_each(|(b, s)| *b += s);
        if beta.iter().any(|b| !b.is_finite() || b.abs() > 20.0) {
            return None;
        }
    }
    None
}

/// Times along a grid: whoever leaves, or comes, within an interval does so at its end, or its begin; who is still there at the last end is there without
/// the event; who comes later is left out.
pub fn along(patients: &[Patient], ends: &[f64]) -> Vec<Patient> {
    let (last, place) = (ends[ends.len() - 1], |time: f64| ends.iter().filter(|end| **end <= time).count());
    let patient = |of: &Patient| Patient {
        come: if of.come < 0.0 { of.come } else { [&[0.0], ends].concat()[place(of.come)] },
        leave: ends[place(of.leave).min(ends.len() - 1)],
        event: of.event && of.leave < last,
        ..of.clone()
    };
    patients.iter().filter(|of| of.come < last).map(patient).collect()
}
