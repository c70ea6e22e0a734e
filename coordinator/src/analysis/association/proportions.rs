//! One share, and two held against each other.

use super::{Estimate, points};

/// Of `n` patients, so many have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::analysis) struct Share {
    pub with: u64,
    pub n: u64,
}

impl Share {
    /// Of those with and without it.
    pub(in crate::analysis) fn of(with: u64, without: u64) -> Self {
        Self { with, n: with + without }
    }

    fn value(self) -> f64 {
        self.with as f64 / self.n as f64
    }

    /// The share with its score interval (Wilson 1927, p. 210): (x + z²/2 ± z √(x(n − x)/n + z²/4)) / (n + z²).
    pub(in crate::analysis) fn wilson(self, z: f64) -> Option<Estimate> {
        let (x, n, zz) = (self.with as f64, self.n as f64, z * z);
        if self.n == 0 {
            return None;
        }
        let centre = x + zz / 2.0;
        let half = z * (x * (n - x) / n + zz / 4.0).sqrt();
        let (from, to) = ((centre - half) / (n + zz), (centre + half) / (n + zz));
        // At an end the interval reaches to it, whatever the last digit says.
        let from = if self.with == 0 { 0.0 } else { from.max(0.0) };
        let to = if self.with == self.n { 1.0 } else { to.min(1.0) };
        Some(Estimate { value: self.value(), from, to })
    }
}

/// p₁ − p₀ with the hybrid score interval (Newcombe 1998, method 10).
pub(in crate::analysis) fn difference(one: Share, zero: Share, z: f64) -> Option<Estimate> {
    let (one, zero) = (one.wilson(z)?, zero.wilson(z)?);
    let value = one.value - zero.value;
    let from = value - (one.value - one.from).hypot(zero.to - zero.value);
    let to = value + (one.to - one.value).hypot(zero.value - zero.from);
    Estimate { value, from, to }.finite()
}

/// p₁ / p₀ with the interval of its logarithm, SE² = 1/x₁ − 1/n₁ + 1/x₀ − 1/n₀ (Katz and others 1978, method C); none where nobody has it in
/// one group.
pub(in crate::analysis) fn risk_ratio(one: Share, zero: Share, z: f64) -> Option<Estimate> {
    if one.with == 0 || zero.with == 0 {
        return None;
    }
    let part = |share: Share| 1.0 / share.with as f64 - 1.0 / share.n as f64;
    Estimate::of_ratio(one.value() / zero.value(), (part(one) + part(zero)).sqrt(), z)
}

/// (x₁ / (n₁ − x₁)) / (x₀ / (n₀ − x₀)) with the interval of its logarithm, SE² = Σ 1/cell (Woolf 1955); none where a cell is 0.
pub(in crate::analysis) fn odds_ratio(one: Share, zero: Share, z: f64) -> Option<Estimate> {
    let cells = [one.with, one.n - one.with, zero.with, zero.n - zero.with];
    if cells.contains(&0) {
        return None;
    }
    let [a, b, c, d] = cells.map(|cell| cell as f64);
    Estimate::of_ratio(a * d / (b * c), (1.0 / a + 1.0 / b + 1.0 / c + 1.0 / d).sqrt(), z)
}

/// The standardised difference (p₁ − p₀) / √((p₁(1 − p₁) + p₀(1 − p₀)) / 2) (Austin 2009, § 2.1); none where neither share varies.
pub(in crate::analysis) fn standardised_difference(one: Share, zero: Share) -> Option<f64> {
    if one.n == 0 || zero.n == 0 {
        return None;
    }
    let (one, zero) = (one.value(), zero.value());
    let variance = f64::midpoint(one * (1.0 - one), zero * (1.0 - zero));
    (variance > 0.0).then(|| (one - zero) / variance.sqrt())
}

/// The exact interval of a share (Clopper and Pearson 1934), by quantiles of beta distributions.
pub(in crate::analysis) fn exact(share: Share, confidence: f64) -> Option<Estimate> {
    if share.n == 0 {
        return None;
    }
    let (x, rest, tail) = (share.with as f64, (share.n - share.with) as f64, (1.0 - confidence) / 2.0);
    let from = if share.with == 0 { 0.0 } else { points::beta(tail, x, rest + 1.0)? };
    let to = if share.with == share.n { 1.0 } else { points::beta(1.0 - tail, x + 1.0, rest)? };
    Estimate { value: share.value(), from, to }.finite()
}

#[cfg(test)]
mod tests {
    use super::super::reference::assert_estimate;
    use super::*;

    const TREATED: Share = Share { with: 27, n: 295 };
    const PLACEBO: Share = Share { with: 52, n: 307 };

    #[test]
    fn the_trial_of_indomethacin_has_the_published_risks_and_the_ratios_of_statsmodels() {
        let z = points::z(0.95);
        assert_estimate(TREATED.wilson(z), "indo.wilson_treated");
        assert_estimate(exact(TREATED, 0.95), "indo.exact_treated");
        assert_estimate(difference(TREATED, PLACEBO, z), "indo.risk_difference");
        assert_estimate(risk_ratio(TREATED, PLACEBO, z), "indo.risk_ratio");
        assert_estimate(odds_ratio(TREATED, PLACEBO, z), "indo.odds_ratio");
    }

    #[test]
    fn where_nobody_has_it_there_is_a_difference_and_no_ratio() {
        let (none, some, z) = (Share::of(0, 20), Share::of(5, 15), points::z(0.95));
        assert_eq!((risk_ratio(some, none, z), odds_ratio(some, none, z)), (None, None));
        let difference = difference(some, none, z).unwrap();
        assert!(difference.from < 0.25 && 0.25 < difference.to && difference.value == 0.25);
        assert_eq!(exact(none, 0.95).unwrap().from, 0.0);
        assert_eq!(none.wilson(z).unwrap().from, 0.0);
        assert_eq!(Share::of(0, 0).wilson(z), None);
        assert_eq!(standardised_difference(none, none), None);
    }
}
