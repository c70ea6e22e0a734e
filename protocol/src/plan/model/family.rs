//! Families and links: what a row adds to the sums of a step. The formulas are those of McCullagh, Nelder, *Generalized Linear Models* (1989), table
//! 2.1 and §2.3; the negative binomial is NB2 of Hilbe, *Negative Binomial Regression* (2011), §8.2, with variance μ + μ² / θ.

use libm::{erfc, lgamma};
use serde::{Deserialize, Serialize};

/// How an outcome varies about its mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// A number with constant variance; the mean is the linear predictor.
    Gaussian,
    /// True or false.
    Binomial(Link),
    /// A count, or true or false; the logarithm of the mean is the linear predictor.
    Poisson,
    /// A positive number whose variance is proportional to the square of its mean; logarithmic.
    Gamma,
    /// A count with variance μ + μ² / θ; logarithmic.
    NegativeBinomial,
}

/// How the linear predictor becomes a probability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// 1 / (1 + e^−η).
    Logit,
    /// Φ(η).
    Probit,
    /// 1 − exp(−e^η).
    Cloglog,
}

/// What a row adds, by what the design is multiplied with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Of the score: (y − μ) μ′ / V.
    pub residual: f64,
    /// Of the expected information: μ′² / V.
    pub weight: f64,
    /// The logarithm of the density as far as it follows from μ and θ; of gamma ln y; of gaussian 0 (a weight adds
    /// half its logarithm).
    pub log_density: f64,
    /// Twice the log-density that is lost against a mean of y.
    pub deviance: f64,
    /// (y − μ)² / V.
    pub pearson: f64,
    /// Of a negative binomial: the derivative of the log-density in θ, and minus the second one.
    pub theta: [f64; 2],
}

/// What many rows add: a column for each of the numbers of a [`Row`].
#[derive(Debug, Clone)]
pub struct RowColumns {
    /// As [`Row::residual`].
    pub residual: Vec<f64>,
    /// As [`Row::weight`].
    pub weight: Vec<f64>,
    /// As [`Row::log_density`].
    pub log_density: Vec<f64>,
    /// As [`Row::deviance`].
    pub deviance: Vec<f64>,
    /// As [`Row::pearson`].
    pub pearson: Vec<f64>,
    /// As [`Row::theta`]; other families leave it alone.
    pub theta: [Vec<f64>; 2],
}

impl RowColumns {
    /// For so many rows; all of them add nothing.
    pub fn new(rows: usize) -> Self {
        let column = || vec![0.0; rows];
        let (residual, weight, log_density, deviance, pearson) = (column(), column(), column(), column(), column());
        Self { residual, weight, log_density, deviance, pearson, theta: [column(), column()] }
    }

    /// The columns of the first rows.
    pub fn first(&mut self, rows: usize) -> [&mut [f64]; 7] {
        let [slope, curve] = &mut self.theta;
        let columns = [
            &mut self.residual,
            &mut self.weight,
            &mut self.log_density,
            &mut self.deviance,
            &mut self.pearson,
            slope,
            curve,
        ];
        columns.map(|column| &mut column[..rows])
    }
}

/// No linear predictor is larger.
const ETA: f64 = 30.0;

impl Family {
    /// Its name in study texts.
    pub fn name(self) -> &'static str {
        match self {
            Family::Gaussian => "gaussian",
            Family::Binomial(_) => "binomial",
            Family::Poisson => "poisson",
            Family::Gamma => "gamma",
            Family::NegativeBinomial => "negative_binomial",
        }
    }

    /// Whether its variance has a factor that is estimated: the dispersion.
    pub fn is_dispersed(self) -> bool {
        matches!(self, Family::Gaussian | Family::Gamma)
    }

    /// The link's name.
    pub fn link(self) -> &'static str {
        match self {
            Family::Gaussian => "identity",
            Family::Binomial(Link::Logit) => "logit",
            Family::Binomial(Link::Probit) => "probit",
            Family::Binomial(Link::Cloglog) => "cloglog",
            Family::Poisson | Family::Gamma | Family::NegativeBinomial => "log",
        }
    }

    /// The mean at the linear predictor `eta`.
    pub fn mean(self, eta: f64) -> f64 {
        let eta = if self == Family::Gaussian { eta } else { eta.clamp(-ETA, ETA) };
        match self {
            Family::Gaussian => eta,
            Family::Binomial(Link::Logit) => 1.0 / (1.0 + (-eta).exp()),
            Family::Binomial(Link::Probit) => normal(eta),
            Family::Binomial(Link::Cloglog) => -(-eta.exp()).exp_m1(),
            Family::Poisson | Family::Gamma | Family::NegativeBinomial => eta.exp(),
        }
    }

    /// What an outcome `y` adds at the linear predictor `eta`.
    #[inline]
    pub fn row(self, y: f64, eta: f64, theta: f64) -> Row {
        match self {
            Family::Gaussian => {
                let residual = y - eta;
                let square = residual * residual;
                row(residual, 1.0, 0.0, square, square)
            }
            Family::Binomial(Link::Logit) => logit(y, eta.clamp(-ETA, ETA), small(eta)),
            Family::Binomial(Link::Probit) => {
                let eta = eta.clamp(-8.0, 8.0);
                let (p, q) = (normal(eta), normal(-eta));
                let slope = (-0.5 * eta * eta).exp() / (2.0 * std::f64::consts::PI).sqrt();
                binomial(y, p, q, slope)
            }
            Family::Binomial(Link::Cloglog) => {
                let eta = eta.clamp(-ETA, 3.5);
                let hazard = eta.exp();
                binomial(y, -(-hazard).exp_m1(), (-hazard).exp(), hazard * (-hazard).exp())
            }
            Family::Poisson => {
                let eta = eta.clamp(-ETA, ETA);
                let mu = eta.exp();
                let lost = y_ln(y, mu) - (y - mu);
                row(y - mu, mu, y * eta - mu - lgamma(y + 1.0), 2.0 * lost, (y - mu) * (y - mu) / mu)
            }
            Family::Gamma => {
                let mu = eta.clamp(-ETA, ETA).exp();
                let relative = (y - mu) / mu;
                let lost = relative - (y / mu).ln();
                row(relative, 1.0, y.ln(), 2.0 * lost, relative * relative)
            }
            Family::NegativeBinomial => negative_binomial(y, eta.clamp(-ETA, ETA), theta),
        }
    }

    /// What outcomes add at as many linear predictors.
    pub fn rows(self, y: &[f64], eta: &[f64], theta: f64, rows: &mut RowColumns) {
        let n = y.len();
        let (eta, [residual, weight, log_density, deviance, pearson, slope, curve]) = (&eta[..n], rows.first(n));
        let logit_link = self == Family::Binomial(Link::Logit);
        if logit_link {
            // The exponentials first: the rest of it is done for several rows at once.
            weight.iter_mut().zip(eta).for_each(|(to, eta)| *to = small(*eta));
        }
        let counted = self == Family::NegativeBinomial;
        for i in 0..n {
            let row = if logit_link {
                logit(y[i], eta[i].clamp(-ETA, ETA), weight[i])
            } else {
                self.row(y[i], eta[i], theta)
            };
            (residual[i], weight[i], log_density[i]) = (row.residual, row.weight, row.log_density);
            (deviance[i], pearson[i]) = (row.deviance, row.pearson);
            if counted {
                [slope[i], curve[i]] = row.theta;
            }
        }
    }
}

fn row(residual: f64, weight: f64, log_density: f64, deviance: f64, pearson: f64) -> Row {
    Row { residual, weight, log_density, deviance, pearson, theta: [0.0; 2] }
}

/// e^−|η| ≤ 1, so that nothing overflows.
#[inline]
fn small(eta: f64) -> f64 {
    (-eta.clamp(-ETA, ETA).abs()).exp()
}

/// The commonest by itself: two exponentials and a logarithm fewer than by way of [`binomial`].
#[inline(always)]
fn logit(y: f64, eta: f64, small: f64) -> Row {
    let (near, far) = (1.0 / (1.0 + small), small / (1.0 + small));
    let p = if eta >= 0.0 { near } else { far };
    let variance = near * far;
    // y η − ln(1 + e^η).
    let log_density = y * eta - eta.max(0.0) - ln_1p_of_share(small);
    let residual = y - p;
    row(residual, variance, log_density, -2.0 * log_density, residual * residual / variance)
}

fn binomial(y: f64, p: f64, q: f64, slope: f64) -> Row {
    let variance = p * q;
    let log_density = y * p.ln() + (1.0 - y) * q.ln();
    // y − p without cancelling where p is near 1.
    let residual = if y > 0.5 { q } else { -p };
    row(
        residual * slope / variance,
        slope * slope / variance,
        log_density,
        -2.0 * log_density,
        residual * residual / variance,
    )
}

fn negative_binomial(y: f64, eta: f64, theta: f64) -> Row {
    let mu = eta.exp();
    let sum = mu + theta;
    let lost = y_ln(y, mu) - (y + theta) * ((y + theta) / sum).ln();
    let shrink = theta / sum;
    let variance = mu / shrink;
    let (log_density, theta) =
        if theta < LARGE { of_theta(y, eta, mu, theta) } else { of_large_theta(y, eta, mu, theta) };
    Row { theta, ..row((y - mu) * shrink, mu * shrink, log_density, 2.0 * lost, (y - mu) * (y - mu) / variance) }
}

/// From here on the asymptotic series of [`digamma`] needs no recurrence.
const LARGE: f64 = 10.0;

/// The log-density of a negative binomial, its derivative in θ, and minus the second one.
fn of_theta(y: f64, eta: f64, mu: f64, theta: f64) -> (f64, [f64; 2]) {
    let sum = mu + theta;
    let log_density =
        lgamma(y + theta) - lgamma(theta) - lgamma(y + 1.0) + theta * (theta / sum).ln() + y * (eta - sum.ln());
    let slope = digamma(y + theta) - digamma(theta) + (theta / sum).ln() + 1.0 - (y + theta) / sum;
    let curve = trigamma(theta) - trigamma(y + theta) - 1.0 / theta + 2.0 / sum - (y + theta) / (sum * sum);
    (log_density, [slope, curve])
}

/// The same of a θ beside which counts are small, where differences of large numbers would be rounding alone: with d = (y − μ) / (θ + μ) and the series
/// of ln Γ, ψ and ψ′, what cancels is left out.
fn of_large_theta(y: f64, eta: f64, mu: f64, theta: f64) -> (f64, [f64; 2]) {
    let sum = mu + theta;
    let d = (y - mu) / sum;
    let less = ln_1p_less(d);
    let gamma = |x: f64| {
        let r = 1.0 / (x * x);
        (1.0 / 12.0 - r * (1.0 / 360.0 - r * (1.0 / 1260.0 - r / 1680.0))) / x
    };
    let log_density =
        sum * ((1.0 + d) * less + d * d) - mu - 0.5 * (y / theta).ln_1p() + gamma(y + theta) - gamma(theta) + y * eta
            - lgamma(y + 1.0);
    let slope = less + y / (2.0 * theta * (theta + y)) + digamma_series(theta) - digamma_series(y + theta);
    let curve = -d * d / ((1.0 + d) * sum)
        + y * (2.0 * theta + y) / (2.0 * (theta * (theta + y)).powi(2))
        + trigamma_series(theta)
        - trigamma_series(y + theta);
    (log_density, [slope, curve])
}

/// ln(1 + s) of 0 ≤ s ≤ 1 to two units of the last place, without a branch: 2 artanh(s / (2 + s)), by its series.
#[inline(always)]
fn ln_1p_of_share(s: f64) -> f64 {
    const TERMS: usize = 16;
    let z = s / (2.0 + s);
    let square = z * z;
    let series = (0..TERMS).rev().fold(1.0 / (2 * TERMS + 1) as f64, |sum, n| sum * square + 1.0 / (2 * n + 1) as f64);
    2.0 * z * series
}

/// ln(1 + d) − d.
fn ln_1p_less(d: f64) -> f64 {
    if d.abs() > 0.01 {
        return d.ln_1p() - d;
    }
    -d * d * (0.5 - d * (1.0 / 3.0 - d * (0.25 - d * (0.2 - d * (1.0 / 6.0 - d * (1.0 / 7.0 - d / 8.0))))))
}

/// y ln(y / μ), 0 at 0.
fn y_ln(y: f64, mu: f64) -> f64 {
    if y > 0.0 { y * (y / mu).ln() } else { 0.0 }
}

fn normal(x: f64) -> f64 {
    0.5 * erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// ψ(x) for x > 0: by its recurrence up to 10, then its asymptotic series (Abramowitz, Stegun 1964, 6.3.5 and 6.3.18).
pub fn digamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 10.0 {
        shift -= 1.0 / x;
        x += 1.0;
    }
    shift + x.ln() - 0.5 / x - digamma_series(x)
}

/// ln x − 1 / (2x) − ψ(x).
fn digamma_series(x: f64) -> f64 {
    let r = 1.0 / (x * x);
    r * (1.0 / 12.0
        - r * (1.0 / 120.0 - r * (1.0 / 252.0 - r * (1.0 / 240.0 - r * (1.0 / 132.0 - r * (691.0 / 32760.0))))))
}

/// ψ′(x) for x > 0 (Abramowitz, Stegun 1964, 6.4.6 and 6.4.12).
fn trigamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 10.0 {
        shift += 1.0 / (x * x);
        x += 1.0;
    }
    shift + 1.0 / x + 0.5 / (x * x) + trigamma_series(x)
}

/// ψ′(x) − 1 / x − 1 / (2x²).
fn trigamma_series(x: f64) -> f64 {
    let r = 1.0 / (x * x);
    (1.0 / 6.0 - r * (1.0 / 30.0 - r * (1.0 / 42.0 - r * (1.0 / 30.0 - r * (5.0 / 66.0))))) * r / x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logarithm_by_its_series_is_that_of_the_library() {
        for s in (0..=10_000).map(|i| f64::from(i) / 10_000.0).chain([1e-300, 1e-20, 1e-9]) {
            let (found, library) = (ln_1p_of_share(s), s.ln_1p());
            assert!((found - library).abs() <= 5e-16 * library, "{s}: {found} {library}");
        }
    }

    #[test]
    fn many_rows_add_what_each_adds() {
        let families = [
            Family::Gaussian,
            Family::Binomial(Link::Logit),
            Family::Binomial(Link::Probit),
            Family::Poisson,
            Family::NegativeBinomial,
        ];
        let eta: Vec<f64> = (0..77).map(|i| f64::from(i) - 38.0).collect();
        let y: Vec<f64> = (0..77).map(|i| f64::from(i % 2)).collect();
        for family in families {
            let mut rows = RowColumns::new(100);
            family.rows(&y, &eta, 2.5, &mut rows);
            for i in 0..77 {
                let theta = [rows.theta[0][i], rows.theta[1][i]];
                let (residual, weight, log_density) = (rows.residual[i], rows.weight[i], rows.log_density[i]);
                let found =
                    Row { residual, weight, log_density, deviance: rows.deviance[i], pearson: rows.pearson[i], theta };
                assert_eq!(found, family.row(y[i], eta[i], 2.5), "{family:?} at {}", eta[i]);
            }
        }
    }

    #[test]
    fn of_a_large_theta_and_a_small_one_the_formulas_say_the_same() {
        for (y, eta) in [(0.0, -2.0), (1.0, 0.5), (7.0, 2.5), (40.0, 3.0), (300.0, 5.5)] {
            let (a, b) = (of_theta(y, eta, f64::exp(eta), 12.0), of_large_theta(y, eta, f64::exp(eta), 12.0));
            for (a, b) in [(a.0, b.0), (a.1[0], b.1[0]), (a.1[1], b.1[1])] {
                assert!((a - b).abs() < 1e-11 * (1.0 + a.abs()), "{y} {eta}: {a} {b}");
            }
        }
    }

    #[test]
    fn near_the_poisson_family_a_theta_s_slope_is_no_rounding() {
        // The density about 1 / θ = 0: its derivative there is ((y − μ)² − y) / 2, and that in θ is − 1 / θ² of it.
        for (y, mu) in [(0.0, 3.0_f64), (9.0, 4.0), (80.0, 75.0)] {
            let (theta, of_dispersion) = (1e7, ((y - mu) * (y - mu) - y) / 2.0);
            let (density, [slope, _]) = of_large_theta(y, mu.ln(), mu, theta);
            assert!((-slope * theta * theta - of_dispersion).abs() < 1e-3 * of_dispersion.abs(), "{slope}");
            let poisson = y * mu.ln() - mu - lgamma(y + 1.0);
            assert!((density - poisson - of_dispersion / theta).abs() < 1e-9, "{density} {poisson}");
        }
    }
}
