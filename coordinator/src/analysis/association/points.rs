//! Quantiles and tails of the distributions, from statrs. Its quantiles are polished by Newton's method on its own distribution functions, which have
//! more digits.

use statrs::distribution::{Beta, Continuous, ContinuousCDF, FisherSnedecor, Gamma, Normal, StudentsT};
use statrs::function::gamma::checked_gamma_ur;

/// The standard normal's point that a share of (1 + confidence) / 2 lies below.
pub(in crate::analysis) fn z(confidence: f64) -> f64 {
    polished(&Normal::standard(), f64::midpoint(1.0, confidence))
}

/// The chance of a standard normal beyond ±`z`.
pub(in crate::analysis) fn normal_beyond(z: f64) -> Option<f64> {
    z.is_finite().then(|| (2.0 * Normal::standard().sf(z.abs())).min(1.0))
}

/// Student's point that a share of (1 + confidence) / 2 lies below.
pub(in crate::analysis) fn t(confidence: f64, df: f64) -> Option<f64> {
    let student = StudentsT::new(0.0, 1.0, df).ok()?;
    Some(polished(&student, f64::midpoint(1.0, confidence))).filter(|t| t.is_finite())
}

/// The chance of a Student's t beyond ±`t`.
pub(in crate::analysis) fn t_beyond(t: f64, df: f64) -> Option<f64> {
    let student = StudentsT::new(0.0, 1.0, df).ok()?;
    t.is_finite().then(|| (2.0 * student.sf(t.abs())).min(1.0))
}

/// The chance of a χ² above `x`.
pub(in crate::analysis) fn chi2_beyond(x: f64, df: f64) -> Option<f64> {
    if x <= 0.0 {
        return (x == 0.0).then_some(1.0);
    }
    checked_gamma_ur(df / 2.0, x / 2.0).ok().filter(|p| p.is_finite()).map(|p| p.clamp(0.0, 1.0))
}

/// The chance of an F above `x`.
pub(in crate::analysis) fn f_beyond(x: f64, df: f64, df_2: f64) -> Option<f64> {
    let f = FisherSnedecor::new(df, df_2).ok()?;
    (x.is_finite() && x >= 0.0).then(|| f.sf(x).clamp(0.0, 1.0))
}

/// The point of a beta distribution that a share of `p` lies below.
pub(in crate::analysis) fn beta(p: f64, a: f64, b: f64) -> Option<f64> {
    let beta = Beta::new(a, b).ok()?;
    Some(polished(&beta, p)).filter(|x| (0.0..=1.0).contains(x))
}

/// The point of a gamma distribution of scale 1 that a share of `p` lies below.
pub(in crate::analysis) fn gamma(p: f64, shape: f64) -> Option<f64> {
    let gamma = Gamma::new(shape, 1.0).ok()?;
    Some(polished(&gamma, p)).filter(|x| x.is_finite() && *x >= 0.0)
}

fn polished<D: ContinuousCDF<f64, f64> + Continuous<f64, f64>>(of: &D, p: f64) -> f64 {
    let mut x = of.inverse_cdf(p);
    for _ in 0..4 {
        let step = (of.cdf(x) - p) / of.pdf(x);
        if !step.is_finite() || step.abs() > x.abs() * 0.1 {
            break;
        }
        x -= step;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::super::reference::{assert_near, number};
    use super::*;

    #[test]
    fn quantiles_and_tails_are_those_of_scipy() {
        let of = |name: &str| number(&format!("points.{name}"));
        assert_near(z(0.95), of("z_95"));
        assert_near(z(0.9999), of("z_9999"));
        assert_near(t(0.95, 7.3).unwrap(), of("t_95_7.3"));
        assert_near(t(0.99, 1200.5).unwrap(), of("t_99_1200.5"));
        assert_near(t_beyond(-2.5, 30.0).unwrap(), of("t_beyond_2.5_30"));
        assert_near(t_beyond(9.0, 600.0).unwrap(), of("t_beyond_9_600"));
        assert_near(normal_beyond(-4.0).unwrap(), of("normal_beyond_4"));
        assert_near(chi2_beyond(30.0, 2.0).unwrap(), of("chi2_beyond_30_2"));
        assert_near(f_beyond(3.7, 3.0, 420.0).unwrap(), of("f_beyond_3.7_3_420"));
        assert_near(beta(0.025, 27.0, 269.0).unwrap(), of("beta_025_27_269"));
        assert_near(gamma(0.975, 28.0).unwrap(), of("gamma_975_28"));
        assert_near(gamma(0.025, 0.7).unwrap(), of("gamma_025_0.7"));
    }

    #[test]
    fn what_is_no_number_has_no_tail() {
        assert_eq!(normal_beyond(f64::NAN), None);
        assert_eq!(t_beyond(1.0, 0.0), None);
        assert_eq!(chi2_beyond(f64::NAN, 1.0), None);
        assert_eq!(chi2_beyond(0.0, 1.0), Some(1.0));
        assert_eq!(f_beyond(f64::INFINITY, 1.0, 1.0), None);
    }
}
