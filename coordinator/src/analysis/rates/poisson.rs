//! Exact intervals of a rate and of the ratio of two. Numbers in, numbers out.

use statrs::distribution::{Beta, ChiSquared, ContinuousCDF as _};
use statrs::function::beta::checked_beta_reg;

/// Events, and the time in which they were seen, above 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    pub events: u64,
    pub time: f64,
}

/// The ratio of two rates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ratio {
    pub value: f64,
    pub lower: Option<f64>,
    /// None where there is no end.
    pub upper: Option<f64>,
    /// The chance of a share of the events at least as far from what the times make it, on the likelier side, twice.
    pub p: Option<f64>,
}

/// The interval of the rate d / t of a Poisson number: half the α/2 point of χ² with 2d degrees of freedom, and half the 1 − α/2 point with
/// 2d + 2, both by t (Garwood 1936).
pub(super) fn interval(of: Seen, confidence: f64) -> Option<(f64, f64)> {
    let tail = (1.0 - confidence) / 2.0;
    let point = |df: u64, p: f64| Some(ChiSquared::new(df as f64).ok()?.inverse_cdf(p) / 2.0 / of.time);
    let lower = if of.events == 0 { Some(0.0) } else { point(2 * of.events, tail) };
    lower.zip(point(2 * of.events + 2, 1.0 - tail))
}

/// The ratio of a rate to that of `first`. Given all d + d₀ events, d is binomial; its share's interval (Clopper and Pearson 1934) is that of
/// r t / (r t + t₀), r being the ratio (Rothman, Greenland and Lash 2008, chapter 14).
pub(super) fn ratio(of: Seen, first: Seen, confidence: f64) -> Option<Ratio> {
    if first.events == 0 {
        return None;
    }
    let (d, rest, tail) = (of.events as f64, first.events as f64, (1.0 - confidence) / 2.0);
    let from_share = |share: f64| share / (1.0 - share) * first.time / of.time;
    let point = |a: f64, b: f64, p: f64| Some(from_share(Beta::new(a, b).ok()?.inverse_cdf(p)));
    let share = of.time / (of.time + first.time);
    // P(X ≥ d) of a binomial number is the regularised incomplete beta function of d and n − d + 1.
    let n = d + rest;
    let at_least = |d: f64| if d > 0.0 { checked_beta_reg(d, n - d + 1.0, share).ok() } else { Some(1.0) };
    let (above, below) = (at_least(d), at_least(d + 1.0).map(|p| 1.0 - p));
    Some(Ratio {
        value: (d / of.time) / (rest / first.time),
        lower: if of.events == 0 { Some(0.0) } else { point(d, rest + 1.0, tail) },
        upper: point(d + 1.0, rest, 1.0 - tail),
        p: above.zip(below).map(|(above, below)| (2.0 * f64::min(above, below)).clamp(0.0, 1.0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, wanted: f64) -> bool {
        (found - wanted).abs() < 1e-8 * wanted.abs()
    }

    #[test]
    fn the_interval_of_a_few_events_is_that_of_the_tables() {
        // Garwood 1936 to more digits, by scipy 1.17: chi2.ppf(0.025, 20) / 2 and chi2.ppf(0.975, 22) / 2.
        let (lower, upper) = interval(Seen { events: 10, time: 1.0 }, 0.95).unwrap();
        assert!(near(lower, 4.795_388_696_132_433) && near(upper, 18.390_356_042_017_78), "{lower} {upper}");
        let (lower, upper) = interval(Seen { events: 0, time: 2.0 }, 0.95).unwrap();
        assert!(lower == 0.0 && near(upper, -(0.025_f64.ln()) / 2.0), "{upper}");
    }

    #[test]
    fn equal_rates_have_a_ratio_of_one_and_no_evidence() {
        let of = Seen { events: 10, time: 5.0 };
        let ratio = ratio(of, of, 0.95).unwrap();
        assert_eq!((ratio.value, ratio.p), (1.0, Some(1.0)));
        assert!(near(ratio.lower.unwrap() * ratio.upper.unwrap(), 1.0), "symmetric in the logarithm");
        assert_eq!(super::ratio(of, Seen { events: 0, time: 5.0 }, 0.95), None);
        let none = super::ratio(Seen { events: 0, time: 5.0 }, of, 0.95).unwrap();
        assert_eq!((none.value, none.lower), (0.0, Some(0.0)));
        assert!(near(none.p.unwrap(), 2.0 * 0.5_f64.powi(10)));
    }
}
