//! What falls to each patient of a step of a Cox model: the events that the model expects of them, which are their weight in its sums, and their part
//! of the score.
//!
//! The expected events are w Λ over the time at risk, with the baseline's increments 1 / (S₀ − f D₀); for one of the events of a time, those of that
//! time count 1 − f. The score's part is δ (x − x̄) − Σ w (x − x̄) dΛ (Therneau, Grambsch 2000, §4.6; Lin, Wei 1989).

use super::{AtRisk, Pass, Stratum};

/// The events of one time, for those who are at risk then.
pub(super) struct Moment {
    time: f64,
    /// Of the baseline: its increment, and that for those with the event.
    step: [f64; 2],
    /// Increment times mean of the risk set, as above; empty where it is not needed.
    drift: [Vec<f64>; 2],
    /// The mean of the risk set for those with the event; empty where it is not needed.
    mean: Vec<f64>,
}

impl Moment {
    pub(super) fn new(time: f64, width: usize) -> Self {
        Self { time, step: [0.0; 2], drift: [vec![0.0; width], vec![0.0; width]], mean: vec![0.0; width] }
    }

    /// One of its events, or all: with the baseline's increment, the share of the deaths that is taken off, and this part of all of them.
    pub(super) fn add(&mut self, step: f64, share: f64, mean: &[f64], part: f64) {
        for (at, step) in [step, step * (1.0 - share)].into_iter().enumerate() {
            self.step[at] += step;
            self.drift[at].iter_mut().zip(mean).for_each(|(drift, mean)| *drift += step * mean);
        }
        self.mean.iter_mut().zip(mean).for_each(|(all, mean)| *all += part * mean);
    }
}

/// Baseline and drift up to each of the stratum's times with events, the first first. Before any of them both are 0.
struct Path {
    times: Vec<f64>,
    baseline: Vec<f64>,
    drift: Vec<f64>,
    width: usize,
}

impl Path {
    fn of(moments: &[Moment], width: usize) -> Self {
        let mut path = Self { times: Vec::new(), baseline: vec![0.0], drift: vec![0.0; width], width };
        for (at, moment) in moments.iter().rev().enumerate() {
            path.times.push(moment.time);
            path.baseline.push(path.baseline[at] + moment.step[0]);
            path.drift.extend_from_within(at * width..);
            path.drift[(at + 1) * width..].iter_mut().zip(&moment.drift[0]).for_each(|(all, own)| *all += own);
        }
        path
    }

    /// How many of the times are not after this one.
    fn until(&self, time: f64) -> usize {
        self.times.partition_point(|of| *of <= time)
    }

    fn drift(&self, at: usize) -> &[f64] {
        &self.drift[at * self.width..(at + 1) * self.width]
    }
}

/// What falls to each patient, added up over their rows; of nobody where everybody has one row.
pub(super) struct Several {
    residual: Vec<f64>,
    expected: Vec<f64>,
    scores: Vec<f64>,
}

impl Several {
    pub(super) fn new(risk: &AtRisk, width: usize) -> Self {
        let patients = if risk.patient.is_empty() { 0 } else { risk.patients };
        Self { residual: vec![0.0; patients], expected: vec![0.0; patients], scores: vec![0.0; patients * width] }
    }
}

/// Adds the lower triangle of a score's square.
fn add_square(values: &mut [f64], score: &[f64]) {
    let mut values = values.iter_mut();
    for (i, one) in score.iter().enumerate() {
        score[..=i].iter().zip(&mut values).for_each(|(other, value)| *value += one * other);
    }
}

impl Pass<'_> {
    /// Weights and squares of patients with several rows, when all strata have been passed.
    pub(super) fn end(&mut self) {
        let Several { residual, expected, scores } = &self.several;
        residual.iter().zip(expected).for_each(|(residual, expected)| self.weights.add(*residual, *expected));
        let squares = self.sums.squares();
        if !squares.is_empty() {
            // Of the squared scores, of which a residual is a factor, nobody may have too much either.
            residual.iter().for_each(|residual| self.weights.add_square(residual * residual));
        }
        for score in scores.chunks_exact(self.sums.width.max(1)) {
            add_square(&mut self.values[squares.clone()], score);
        }
    }

    /// Weights of all patients of a stratum, and where it is asked for the squares of their scores.
    pub(super) fn patients(&mut self, stratum: &Stratum) {
        let squares = self.sums.squares();
        let width = if squares.is_empty() { 0 } else { self.sums.width };
        let path = Path::of(&self.moments, width);
        let risk: &AtRisk = self.risk;
        let mut score = vec![0.0; width];
        for row in stratum.rows.clone() {
            let (event, weight) = (risk.event[row], self.weight[row]);
            let until = path.until(risk.time[row]);
            let from = risk.start.get(row).map_or(0, |start| path.until(*start));
            // The last of its times is its own event's.
            let own = event.then(|| &self.moments[self.moments.len() - until]);
            let whole = until - usize::from(event);
            let baseline = path.baseline[whole] - path.baseline[from] + own.map_or(0.0, |moment| moment.step[1]);
            let expected = weight * baseline;
            let residual = f64::from(u8::from(event)) - expected;
            let patient = risk.patient.get(row).map(|patient| *patient as usize);
            match patient {
                Some(patient) => {
                    self.several.residual[patient] += residual;
                    self.several.expected[patient] += expected;
                }
                None => self.weights.add(residual, expected),
            }
            if width == 0 {
                continue;
            }
            if patient.is_none() {
                self.weights.add_square(residual * residual);
            }
            for (i, (score, x)) in score.iter_mut().zip(risk.row(row)).enumerate() {
                let drift = path.drift(whole)[i] - path.drift(from)[i] + own.map_or(0.0, |moment| moment.drift[1][i]);
                *score = own.map_or(0.0, |moment| x - moment.mean[i]) - weight * (x * baseline - drift);
            }
            match patient {
                Some(patient) => {
                    let own = &mut self.several.scores[patient * width..(patient + 1) * width];
                    own.iter_mut().zip(&score).for_each(|(all, own)| *all += own);
                }
                None => add_square(&mut self.values[squares.clone()], &score),
            }
        }
    }
}
