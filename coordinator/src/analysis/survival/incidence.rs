//! The cumulative incidence of one of several events that compete (Aalen and Johansen 1978). Exact numbers in, numbers out.
//!
//! I at an edge is Σ S d / n over the intervals before it, S being the share without any event at the begin of each. Its variance is that of the delta method
//! (Marubini and Valsecchi 1995, 10.3): Σ (I − Iₜ)² d / (n (n − d)) + Σ S² (n − dᵢ) dᵢ / n³ − 2 Σ (I − Iₜ) S dᵢ / n², with d all events, dᵢ those of
//! the kind, Iₜ the incidence at the interval's end and S at its begin.

use bocage_protocol::analysis::Band;

/// One interval: at risk at its begin, all events, events of the kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    pub at_risk: f64,
    pub all: f64,
    pub kind: f64,
}

/// The incidence after an interval, and its variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Incidence {
    pub value: f64,
    pub variance: f64,
}

/// After each of these intervals.
pub(super) fn incidence(intervals: &[Interval]) -> Vec<Incidence> {
    let (mut s, mut value) = (1.0, 0.0);
    // S at the begin and I at the end of each interval.
    let mut steps: Vec<(Interval, f64, f64)> = Vec::with_capacity(intervals.len());
    for interval in intervals.iter().copied() {
        let before = s;
        if interval.at_risk > 0.0 {
            value += s * interval.kind / interval.at_risk;
            s *= (interval.at_risk - interval.all) / interval.at_risk;
        }
        steps.push((interval, before, value));
    }
    let variance = |upto: usize| {
        let now = steps[upto].2;
        let terms = steps[..=upto].iter().filter(|(interval, ..)| interval.at_risk > 0.0);
        terms
            .map(|(Interval { at_risk: n, all, kind }, s, then)| {
                let beyond = now - then;
                // Where all who are at risk have an event, nothing is beyond.
                let first = if n > all { beyond * beyond * all / (n * (n - all)) } else { 0.0 };
                first + s * s * (n - kind) * kind / (n * n * n) - 2.0 * beyond * s * kind / (n * n)
            })
            .sum::<f64>()
    };
    (0..steps.len()).map(|i| Incidence { value: steps[i].2, variance: variance(i).max(0.0) }).collect()
}

impl Incidence {
    /// Its confidence interval; none before the first event.
    pub(super) fn interval(&self, z: f64, band: Band) -> Option<(f64, f64)> {
        let Self { value, variance } = *self;
        if value <= 0.0 || value >= 1.0 {
            return None;
        }
        let se = variance.sqrt();
        Some(match band {
            Band::Plain => ((value - z * se).max(0.0), (value + z * se).min(1.0)),
            Band::LogLog => {
                let wide = z * se / (value * value.ln().abs());
                (value.powf(wide.exp()), value.powf((-wide).exp()))
            }
        })
    }
}
