//! Rates weighed by a standard population.

use super::proportions::Share;
use super::{Estimate, points};

/// The rate that a standard population would have, Σ wᵢ xᵢ/nᵢ / Σ wᵢ, with the gamma interval of Fay and Feuer (1997, eqs. 2 and 3). None where
/// a stratum with weight has no patients.
pub(in crate::analysis) fn direct(strata: &[Share], population: &[f64], confidence: f64) -> Option<Estimate> {
    let whole: f64 = population.iter().sum();
    let (mut value, mut variance, mut largest) = (0.0, 0.0, 0.0_f64);
    for (stratum, people) in strata.iter().zip(population).filter(|(_, people)| **people > 0.0) {
        if stratum.n == 0 {
            return None;
        }
        let weight = people / whole / stratum.n as f64;
        value += weight * stratum.with as f64;
        variance += weight * weight * stratum.with as f64;
        largest = largest.max(weight);
    }
    let tail = (1.0 - confidence) / 2.0;
    let from = if variance > 0.0 { variance / value * points::gamma(tail, value * value / variance)? } else { 0.0 };
    let (above, spread) = (value + largest, variance + largest * largest);
    let to = spread / above * points::gamma(1.0 - tail, above * above / spread)?;
    Estimate { value, from, to }.finite()
}

/// Events that were seen over those that the standard's rates expect, Σ xᵢ / Σ nᵢ rᵢ, with the exact interval of a Poisson number (Garwood 1936;
/// for such ratios Ulm 1990), and how many are expected. None where none is.
pub(in crate::analysis) fn indirect(strata: &[Share], rates: &[f64], confidence: f64) -> Option<(f64, Estimate)> {
    let expected: f64 = strata.iter().zip(rates).map(|(stratum, rate)| stratum.n as f64 * rate).sum();
    let seen = strata.iter().map(|stratum| stratum.with).sum::<u64>() as f64;
    if expected <= 0.0 {
        return None;
    }
    let tail = (1.0 - confidence) / 2.0;
    let from = if seen > 0.0 { points::gamma(tail, seen)? } else { 0.0 };
    let to = points::gamma(1.0 - tail, seen + 1.0)?;
    let estimate = Estimate { value: seen / expected, from: from / expected, to: to / expected }.finite()?;
    Some((expected, estimate))
}

#[cfg(test)]
mod tests {
    use super::super::reference::{assert_estimate, assert_near, number};
    use super::*;

    /// Children with Down's syndrome among births by the mother's age, Michigan 1950 to 1964, of first and of fifth and later children, and a
    /// standard (Fleiss 1981; the data of `ageadjust.direct` in R's epitools).
    const FIRST: [(u64, u64); 6] =
        [(107, 230_061), (141, 329_449), (60, 114_920), (40, 39_487), (39, 14_208), (25, 3_052)];
    const FIFTH: [(u64, u64); 6] =
        [(0, 327), (8, 30_666), (63, 123_419), (112, 149_919), (262, 104_088), (295, 34_392)];
    const STANDARD: [f64; 6] = [319_933.0, 931_318.0, 786_511.0, 488_235.0, 237_863.0, 61_313.0];

    fn shares(of: &[(u64, u64)]) -> Vec<Share> {
        of.iter().map(|(with, n)| Share { with: *with, n: *n }).collect()
    }

    #[test]
    fn direct_rates_and_their_gamma_interval_are_those_of_the_script() {
        assert_estimate(direct(&shares(&FIRST), &STANDARD, 0.95), "rates.direct_first");
        // A stratum without events, with weight.
        assert_estimate(direct(&shares(&FIFTH), &STANDARD, 0.95), "rates.direct_fifth");
    }

    #[test]
    fn r_has_the_same_rate_for_first_children() {
        // 92.3 in 100,000, of a crude 56.3.
        let rate = direct(&shares(&FIRST), &STANDARD, 0.95).unwrap();
        assert!((rate.value * 1e5 - 92.3).abs() < 0.05, "{rate:?}");
    }

    #[test]
    fn a_ratio_of_seen_and_expected_has_the_exact_interval() {
        let (expected, ratio) = indirect(&shares(&FIRST), &[0.0004, 0.0005, 0.0006, 0.001, 0.003, 0.01], 0.95).unwrap();
        assert_near(expected, number("rates.indirect_expected"));
        assert_estimate(Some(ratio), "rates.indirect_ratio");
    }

    #[test]
    fn empty_strata_and_events_that_nobody_has_are_told_apart() {
        let strata = [Share::of(0, 10), Share::of(0, 0)];
        assert_eq!(direct(&strata, &[1.0, 1.0], 0.95), None);
        let none = direct(&strata, &[1.0, 0.0], 0.95).unwrap();
        assert!(none.value == 0.0 && none.from == 0.0 && none.to > 0.0);
        assert_eq!(indirect(&strata, &[0.0, 0.5], 0.95), None);
        assert_eq!(indirect(&strata, &[0.5, 0.5], 0.95).unwrap().1.from, 0.0);
    }
}
