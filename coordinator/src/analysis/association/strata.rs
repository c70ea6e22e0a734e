//! Fourfold tables of several strata, put together without mixing them.

use super::{Estimate, Test, points};

/// A stratum: the compared group with and without the event, then the reference group.
pub(in crate::analysis) type Stratum = [[u64; 2]; 2];

/// What the strata say together.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::analysis) struct Together {
    /// Mantel and Haenszel's odds ratio Σ aᵢdᵢ/nᵢ / Σ bᵢcᵢ/nᵢ (1959), its logarithm's variance by Robins, Breslow and Greenland (1986).
    pub odds_ratio: Option<Estimate>,
    /// Mantel and Haenszel's risk ratio, its logarithm's variance by Greenland and Robins (1985, eq. 4).
    pub risk_ratio: Option<Estimate>,
    /// Mantel and Haenszel's risk difference Σ (aᵢ n₀ᵢ − cᵢ n₁ᵢ)/nᵢ / Σ n₁ᵢ n₀ᵢ/nᵢ, with the variance of Sato, Greenland and Robins (1989), which holds for few
    /// large and for many small strata.
    pub risk_difference: Option<Estimate>,
    /// Whether there is any association: (Σ aᵢ − Σ E aᵢ)² / Σ Var aᵢ (Cochran 1954; Mantel and Haenszel 1959), without a correction for continuity.
    pub association: Option<Test>,
    /// Whether the strata have one odds ratio: Breslow and Day (1980, eq. 4.30) with the correction of Tarone (1985).
    pub homogeneity: Option<Test>,
}

/// Puts strata together. Those in which a group is empty say nothing.
pub(in crate::analysis) fn together(strata: &[Stratum], confidence: f64) -> Together {
    let z = points::z(confidence);
    let strata: Vec<[f64; 4]> = strata
        .iter()
        .filter(|[one, zero]| one.iter().sum::<u64>() > 0 && zero.iter().sum::<u64>() > 0)
        .map(|[[a, b], [c, d]]| [a, b, c, d].map(|n| *n as f64))
        .collect();
    let odds_ratio = odds_ratio(&strata, z);
    Together {
        risk_ratio: risk_ratio(&strata, z),
        risk_difference: risk_difference(&strata, z),
        association: association(&strata),
        homogeneity: odds_ratio.and_then(|odds| homogeneity(&strata, odds.value)),
        odds_ratio,
    }
}

fn odds_ratio(strata: &[[f64; 4]], z: f64) -> Option<Estimate> {
    let (mut r, mut s, mut pr, mut cross, mut qs) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for [a, b, c, d] in strata {
        let n = a + b + c + d;
        let (r_i, s_i, p, q) = (a * d / n, b * c / n, (a + d) / n, (b + c) / n);
        r += r_i;
        s += s_i;
        pr += p * r_i;
        cross += p * s_i + q * r_i;
        qs += q * s_i;
    }
    if r <= 0.0 || s <= 0.0 {
        return None;
    }
    let variance = pr / (2.0 * r * r) + cross / (2.0 * r * s) + qs / (2.0 * s * s);
    Estimate::of_ratio(r / s, variance.sqrt(), z)
}

fn risk_ratio(strata: &[[f64; 4]], z: f64) -> Option<Estimate> {
    let (mut one, mut zero, mut spread) = (0.0, 0.0, 0.0);
    for [a, b, c, d] in strata {
        let (n_1, n_0, n) = (a + b, c + d, a + b + c + d);
        one += a * n_0 / n;
        zero += c * n_1 / n;
        spread += (n_1 * n_0 * (a + c) - a * c * n) / (n * n);
    }
    if one <= 0.0 || zero <= 0.0 {
        return None;
    }
    Estimate::of_ratio(one / zero, (spread / (one * zero)).sqrt(), z)
}

fn risk_difference(strata: &[[f64; 4]], z: f64) -> Option<Estimate> {
    let (mut beyond, mut weights, mut with_it, mut by_itself) = (0.0, 0.0, 0.0, 0.0);
    for [a, b, c, d] in strata {
        let (n_1, n_0, n) = (a + b, c + d, a + b + c + d);
        beyond += (a * n_0 - c * n_1) / n;
        weights += n_1 * n_0 / n;
        with_it += (c * n_1 * n_1 - a * n_0 * n_0 + n_1 * n_0 * (n_0 - n_1) / 2.0) / (n * n);
        by_itself += (a * d + c * b) / (2.0 * n);
    }
    let value = beyond / weights;
    let half = z * (value * with_it + by_itself).sqrt() / weights;
    // Where nobody or everybody has the event, nothing says how sure no difference is.
    if half > 0.0 { Estimate { value, from: value - half, to: value + half }.finite() } else { None }
}

fn association(strata: &[[f64; 4]]) -> Option<Test> {
    let (mut beyond, mut variance) = (0.0, 0.0);
    for [a, b, c, d] in strata {
        let (n_1, n_0, with, n) = (a + b, c + d, a + c, a + b + c + d);
        beyond += a - n_1 * with / n;
        variance += n_1 * n_0 * with * (n - with) / (n * n * (n - 1.0).max(1.0));
    }
    if variance > 0.0 { Test::chi2(beyond * beyond / variance, 1.0) } else { None }
}

fn homogeneity(strata: &[[f64; 4]], odds: f64) -> Option<Test> {
    let (mut chi2, mut beyond, mut spread, mut counted) = (0.0, 0.0, 0.0, 0.0);
    for [a, b, c, d] in strata {
        let (n_1, n_0, with) = (a + b, c + d, a + c);
        let expected = expected(n_1, n_0, with, odds)?;
        let cells = [expected, with - expected, n_1 - expected, n_0 - with + expected];
        let variance = 1.0 / cells.iter().map(|cell| 1.0 / cell).sum::<f64>();
        // Where everybody or nobody has the event, any odds ratio fits.
        if variance.is_finite() && variance > 0.0 {
            chi2 += (a - expected).powi(2) / variance;
            beyond += a - expected;
            spread += variance;
            counted += 1.0;
        }
    }
    if counted < 2.0 { None } else { Test::chi2(chi2 - beyond * beyond / spread, counted - 1.0) }
}

/// How many of the compared group have the event, of these margins and odds ratio: the root of A (n₀ − m + A) = ψ (n₁ − A)(m − A) that is possible.
fn expected(n_1: f64, n_0: f64, with: f64, odds: f64) -> Option<f64> {
    let (square, linear, constant) = (1.0 - odds, n_0 - with + odds * (n_1 + with), -odds * n_1 * with);
    let half = -0.5 * (linear + linear.signum() * (linear * linear - 4.0 * square * constant).max(0.0).sqrt());
    let possible = |root: &f64| root.is_finite() && (with - n_0).max(0.0) <= *root && *root <= n_1.min(with);
    [constant / half, half / square].into_iter().find(possible)
}

#[cfg(test)]
mod tests {
    use super::super::reference::{assert_estimate, assert_test, strata};
    use super::*;

    #[test]
    fn the_four_hospitals_of_the_trial_say_together_what_statsmodels_says() {
        let together = together(&strata("indo.strata"), 0.95);
        assert_estimate(together.odds_ratio, "indo.mh_odds_ratio");
        assert_estimate(together.risk_ratio, "indo.mh_risk_ratio");
        assert_estimate(together.risk_difference, "indo.mh_risk_difference");
        assert_test(together.association, "indo.cmh");
        assert_test(together.homogeneity, "indo.breslow_day_tarone");
    }

    #[test]
    fn one_stratum_has_its_own_odds_ratio_and_no_homogeneity() {
        let together = together(&[[[27, 268], [52, 255]]], 0.95);
        assert!((together.odds_ratio.unwrap().value - 27.0 * 255.0 / (268.0 * 52.0)).abs() < 1e-12);
        assert_eq!(together.homogeneity, None);
    }

    #[test]
    fn strata_of_one_odds_ratio_are_homogeneous_also_where_it_is_1() {
        for strata in [[[[10, 20], [10, 20]], [[40, 40], [20, 20]]], [[[10, 20], [5, 30]], [[40, 40], [20, 60]]]] {
            let homogeneity = together(&strata, 0.95).homogeneity.unwrap();
            assert!(homogeneity.statistic < 1e-10 && homogeneity.p > 0.999, "{homogeneity:?}");
        }
    }

    #[test]
    fn empty_groups_and_events_that_nobody_has_leave_nothing() {
        let nothing = Together {
            odds_ratio: None,
            risk_ratio: None,
            risk_difference: None,
            association: None,
            homogeneity: None,
        };
        assert_eq!(together(&[[[0, 0], [5, 5]], [[0, 10], [0, 12]]], 0.95), nothing);
        assert_eq!(together(&[], 0.95), nothing);
    }
}
