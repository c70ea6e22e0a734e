//! The curve of a group: the share without an event at each edge (Kaplan and Meier 1958), its confidence, its quantiles and its mean. Numbers in,
//! numbers out.
//!
//! With n at risk at the begin of an interval and d who have an event in it, S is the product of (n − d) / n, and its variance
//! S² Σ d / (n (n − d)) (Greenwood 1926). An event counts as before whoever is censored in the same interval: times are rounded to the grid.
//!
//! **Bounds.** Let x be who has an event from an edge on, and y all others at risk. S at edge e is Π (xₜ₊₁ + yₜ) / (xₜ + yₜ) over t < e. It falls
//! with xₜ for t < e (each stands in (xₜ + yₜ₋₁) / (xₜ + yₜ), which falls since y does not rise) and rises with xₑ and with each yₜ. So it is
//! least with the most events as late as can be and everybody else gone as early as can be, and most the other way round. Σ d / (n (n − d)) is
//! Σ 1/(xₜ₊₁ + yₜ) − 1/(xₜ + yₜ), which rises and falls against S: it is largest where S is least.

use bocage_protocol::analysis::Band;

use super::groups::Line;

/// A curve at the edges of the grid: 0, and the ends of its intervals.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Curve {
    /// S at exact edges, with events as early and all else as late as what is told allows; and where its bounds are one.
    pub survival: Vec<Option<f64>>,
    /// The least that S over all intervals of the grid can be.
    pub least: Vec<f64>,
    /// And the most.
    pub most: Vec<f64>,
    /// The most that Σ d / (n (n − d)) can be.
    pub variance: Vec<f64>,
}

/// The restricted mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mean {
    /// The area under the curve if events are at the begin of their intervals, and its standard error; none where an edge is not exact.
    pub value: Option<(f64, f64)>,
    /// The least that the mean can be, wherever events are in their intervals.
    pub least: f64,
    /// And the most.
    pub most: f64,
}

/// The place of a quantile, in edges: it lies between the one before `from` and `to`.
pub(super) type Place = (Option<usize>, Option<usize>);

/// At which edges both numbers are exact: who has an event from there on, and who else is at risk.
pub(super) fn exact_edges(events: &Line, others: &Line) -> Vec<(usize, u64, u64)> {
    let last = events.least.len() - 1;
    let at = |edge: usize| {
        // Nobody is at risk of anything after the last edge.
        let others = if edge == last { others.least[edge] } else { others.exact(edge)? };
        Some((edge, events.exact(edge)?, others))
    };
    let edges: Vec<_> = (0..=last).filter_map(at).collect();
    if edges.first().is_some_and(|first| first.0 == 0) { edges } else { Vec::new() }
}

impl Curve {
    /// The curve of those who have an event and of the others at risk.
    pub(super) fn new(events: &Line, others: &Line) -> Self {
        let edges = events.least.len();
        let low = |line: &Line| line.least.iter().map(|n| *n as f64).collect::<Vec<_>>();
        let high = |line: &Line| line.most.iter().map(|n| n.map_or(f64::INFINITY, |n| n as f64)).collect::<Vec<_>>();
        let (x, y) = ([low(events), high(events)], [low(others), high(others)]);
        let (mut least, mut most, mut variance) = (vec![1.0; edges], vec![1.0; edges], vec![0.0; edges]);
        // The products over all intervals but the last one, along the ends of the bounds.
        let (mut early, mut late, mut sum) = (vec![1.0; edges], 1.0, 0.0);
        for edge in 1..edges {
            let (n, rest) = (x[1][edge - 1] + y[0][edge - 1], x[0][edge] + y[0][edge - 1]);
            least[edge] = late * share(x[0][edge], x[1][edge - 1], y[0][edge - 1]);
            variance[edge] = sum + greenwood(n, rest);
            late *= share(x[1][edge], x[1][edge - 1], y[0][edge - 1]);
            sum += greenwood(n, x[1][edge] + y[0][edge - 1]);
            early[edge] = early[edge - 1] * share(x[0][edge], x[0][edge - 1], y[1][edge - 1]);
            let after = x[0].partition_point(|n| *n > x[1][edge]);
            most[edge] = match after.checked_sub(1) {
                None => 1.0,
                Some(last) => early[last] * share(x[1][edge], x[0][last], y[1][last]),
            };
        }
        let exact: Vec<usize> = exact_edges(events, others).iter().map(|edge| edge.0).collect();
        // Exact also where nothing that is hidden matters.
        let given = |edge: usize| exact.contains(&edge) || least[edge] == most[edge];
        let survival = (0..edges).map(|edge| given(edge).then_some(most[edge])).collect();
        Self { survival, least, most, variance }
    }

    /// The confidence interval at an edge: one that holds that of the curve over all intervals of the grid. None where it has none.
    ///
    /// `plain` is S ± z·SE; `log_log` is S^exp(± z·SE / (S·ln S)) (Kalbfleisch and Prentice 1980, §1.4).
    pub(super) fn interval(&self, edge: usize, z: f64, band: Band) -> Option<(f64, f64)> {
        let (least, most, variance) = (self.least[edge], self.most[edge], self.variance[edge]);
        if variance == 0.0 && most >= 1.0 {
            return Some((least, 1.0));
        }
        if !variance.is_finite() || most <= 0.0 {
            return None;
        }
        let wide = z * variance.sqrt();
        Some(match band {
            Band::Plain => ((least - most * wide).max(0.0), (most + most * wide).min(1.0)),
            Band::LogLog if most >= 1.0 => (0.0, 1.0),
            Band::LogLog => {
                let wide = wide / most.ln().abs();
                (least.powf(wide.exp()), most.powf((-wide).exp()))
            }
        })
    }

    /// Where the time lies by which a share `p` has had an event: the first edge at which S is 1 − p or less.
    pub(super) fn quantile(&self, p: f64) -> Place {
        (first_below(&self.least, p), first_below(&self.most, p))
    }

    /// Its confidence interval: where those of the curve fall to 1 − p (Brookmeyer and Crowley 1982).
    pub(super) fn quantile_interval(&self, p: f64, z: f64, band: Band) -> Place {
        let ends: Vec<(f64, f64)> =
            (0..self.least.len()).map(|edge| self.interval(edge, z, band).unwrap_or((0.0, 1.0))).collect();
        let ends_of = |end: fn(&(f64, f64)) -> f64| ends.iter().map(end).collect::<Vec<f64>>();
        (first_below(&ends_of(|end| end.0), p), first_below(&ends_of(|end| end.1), p))
    }

    /// The mean time without an event up to the grid's end: the area under the curve. `times` are those of the edges.
    ///
    /// Its variance is Σ Aₜ² d / (n (n − d)), Aₜ being the area from t on (Klein and Moeschberger 2003, 4.5.2).
    pub(super) fn restricted_mean(&self, times: &[f64]) -> Mean {
        let widths: Vec<f64> = times.windows(2).map(|w| w[1] - w[0]).collect();
        let area = |heights: &[f64]| widths.iter().zip(heights).map(|(width, height)| width * height).sum::<f64>();
        let exact: Option<Vec<f64>> = self.survival.iter().copied().collect();
        let value = exact.map(|survival| {
            let (mut variance, mut rest) = (0.0, 0.0);
            for (i, width) in widths.iter().enumerate().rev() {
                rest += width * survival[i + 1];
                let step = self.variance[i + 1] - self.variance[i];
                // With nobody left there is no area either.
                variance += if rest > 0.0 { rest * rest * step } else { 0.0 };
            }
            (area(&survival[1..]), f64::max(variance, 0.0).sqrt())
        });
        Mean { value, least: area(&self.least[1..]), most: area(&self.most) }
    }
}

/// The first edge at which a curve is 1 − p or less.
fn first_below(curve: &[f64], p: f64) -> Option<usize> {
    // A product that is exactly 1 − p in numbers is not always so in doubles.
    curve.iter().position(|s| *s <= 1.0 - p + 1e-12)
}

/// (x' + y) / (x + y), or 1 where nobody is at risk or they are without number.
fn share(after: f64, before: f64, others: f64) -> f64 {
    let n = before + others;
    if n == 0.0 || others.is_infinite() { 1.0 } else { (after + others) / n }
}

/// d / (n (n − d)) of who is at risk and who of them is left.
fn greenwood(n: f64, left: f64) -> f64 {
    if n == left { 0.0 } else { (n - left) / (n * left) }
}

#[cfg(test)]
mod tests;
