//! Plain survival of pooled rows: who is at risk is counted anew for every interval. Kaplan, Meier 1958; Greenwood 1926; Kalbfleisch, Prentice 1980, §1.4;
//! Klein, Moeschberger 2003, 4.5.2; Mantel 1966; Aalen, Johansen 1978; Marubini, Valsecchi 1995, 10.3.

/// A patient who left in this interval by this event (1 is the one that is looked at, further ones compete with it), or without one (0). Who is there at
/// the grid's end left in the interval behind the last one, without an event.
#[derive(Debug, Clone, Copy)]
pub struct Patient {
    pub interval: usize,
    pub exit: usize,
    pub group: usize,
    pub site: usize,
}

/// A time along a grid.
pub fn interval(ends: &[f64], time: f64) -> usize {
    ends.iter().filter(|end| **end <= time).count()
}

/// Of one interval.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub at_risk: f64,
    /// By any event.
    pub events: f64,
    /// Without one.
    pub censored: f64,
    /// The share without an event after it, and the standard error of that.
    pub survival: f64,
    pub error: f64,
}

fn count(patients: &[Patient], of: impl Fn(&Patient) -> bool) -> f64 {
    patients.iter().filter(|patient| of(patient)).count() as f64
}

pub fn curve(patients: &[Patient], intervals: usize) -> Vec<Step> {
    let (mut survival, mut greenwood) = (1.0, 0.0);
    let step = |at: usize| {
        let n = count(patients, |of| of.interval >= at);
        let d = count(patients, |of| of.interval == at && of.exit > 0);
        if n > 0.0 {
            survival *= 1.0 - d / n;
            greenwood += if d > 0.0 { d / (n * (n - d)) } else { 0.0 };
        }
        let censored = count(patients, |of| of.interval == at && of.exit == 0);
        Step { at_risk: n, events: d, censored, survival, error: survival * f64::sqrt(greenwood) }
    };
    (0..intervals).map(step).collect()
}

impl Step {
    /// The confidence interval of the share; none where nobody is without the event.
    pub fn interval(&self, z: f64, log_log: bool) -> Option<(f64, f64)> {
        let (s, error) = (self.survival, self.error);
        match () {
            () if s == 1.0 => Some((1.0, 1.0)),
            () if s == 0.0 => None,
            () if log_log => {
                let wide = z * error / (s * s.ln());
                Some((s.powf((-wide).exp()), s.powf(wide.exp())))
            }
            () => Some(((s - z * error).max(0.0), (s + z * error).min(1.0))),
        }
    }
}

/// The end of the first interval after which a share is 1 − p or less.
pub fn quantile(ends: &[f64], shares: impl Iterator<Item = f64>, p: f64) -> Option<f64> {
    ends.iter().zip(shares).find(|(_, share)| *share <= 1.0 - p + 1e-12).map(|(end, _)| *end)
}

/// The area under the curve whose events are at the begin of their intervals, and its standard error.
pub fn restricted_mean(ends: &[f64], curve: &[Step]) -> (f64, f64) {
    let width = |i: usize| ends[i] - if i == 0 { 0.0 } else { ends[i - 1] };
    let area = |from: usize| (from..ends.len()).map(|i| width(i) * curve[i].survival).sum::<f64>();
    let variance = |(i, Step { at_risk: n, events: d, .. }): (usize, &Step)| match area(i) {
        area if area > 0.0 && *d > 0.0 => area * area * d / (n * (n - d)),
        _ => 0.0,
    };
    (area(0), curve.iter().enumerate().map(variance).sum::<f64>().sqrt())
}

/// Of an event, the share who have had it after each interval, and the standard error.
pub fn incidence(patients: &[Patient], exit: usize, intervals: usize) -> Vec<(f64, f64)> {
    let curve = curve(patients, intervals);
    let before = |at: usize| if at == 0 { 1.0 } else { curve[at - 1].survival };
    let own = |at: usize| count(patients, |of| of.interval == at && of.exit == exit);
    let until = |at: usize| {
        let part = |t: usize| if curve[t].at_risk > 0.0 { before(t) * own(t) / curve[t].at_risk } else { 0.0 };
        (0..=at).map(part).sum::<f64>()
    };
    let variance = |at: usize| {
        let part = |t: usize| {
            let (s, n, d, di) = (before(t), curve[t].at_risk, curve[t].events, own(t));
            let beyond = until(at) - until(t);
            if n == 0.0 {
                return 0.0;
            }
            let survive = if n > d { beyond * beyond * d / (n * (n - d)) } else { 0.0 };
            survive + s * s * (n - di) * di / n.powi(3) - 2.0 * beyond * s * di / (n * n)
        };
        (0..=at).map(part).sum::<f64>().max(0.0)
    };
    (0..intervals).map(|at| (until(at), variance(at).sqrt())).collect()
}

/// χ² of the log-rank test of several groups, added up over strata; none where groups are never at risk beside each other. Other events than 1 are censored.
pub fn log_rank(
    patients: &[Patient],
    groups: usize,
    intervals: usize,
    strata: impl Fn(&Patient) -> usize,
) -> Option<f64> {
    let (mut difference, mut expected) = (vec![0.0; groups], vec![0.0; groups]);
    let mut covariance = vec![vec![0.0; groups]; groups];
    let last = patients.iter().map(&strata).max()?;
    for stratum in 0..=last {
        let own: Vec<Patient> = patients.iter().filter(|of| strata(of) == stratum).copied().collect();
        for at in 0..intervals {
            let n = count(&own, |of| of.interval >= at);
            let d = count(&own, |of| of.interval == at && of.exit == 1);
            if d == 0.0 {
                continue;
            }
            let share = |group: usize| count(&own, |of| of.interval >= at && of.group == group) / n;
            let scale = if n > 1.0 { d * (n - d) / (n - 1.0) } else { 0.0 };
            for i in 0..groups {
                expected[i] += d * share(i);
                difference[i] += count(&own, |of| of.interval == at && of.exit == 1 && of.group == i) - d * share(i);
                for (j, sum) in covariance[i].iter_mut().enumerate() {
                    *sum += scale * share(i) * (f64::from(u8::from(i == j)) - share(j));
                }
            }
        }
    }
    // Who is never at risk of an event is in no test, and one group follows from the others.
    let tested: Vec<usize> = (0..groups).filter(|group| expected[*group] > 0.0).collect();
    let (of, u) = (|i: usize, j: usize| covariance[tested[i]][tested[j]], |i: usize| difference[tested[i]]);
    match tested.len() {
        2 => (of(0, 0) > 1e-9).then(|| u(0) * u(0) / of(0, 0)),
        3 => {
            let det = of(0, 0) * of(1, 1) - of(0, 1) * of(1, 0);
            let form = of(1, 1) * u(0) * u(0) - 2.0 * of(0, 1) * u(0) * u(1) + of(0, 0) * u(1) * u(1);
            (det > 1e-9).then(|| form / det)
        }
        _ => None,
    }
}
