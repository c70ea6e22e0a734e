//! Means and variances of the families, as textbooks have them.

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Family {
    Gaussian,
    Binomial,
    Probit,
    Cloglog,
    Poisson,
    Gamma,
    NegativeBinomial,
}

impl Family {
    pub const ALL: [Family; 7] = [
        Family::Gaussian,
        Family::Binomial,
        Family::Probit,
        Family::Cloglog,
        Family::Poisson,
        Family::Gamma,
        Family::NegativeBinomial,
    ];

    /// Whether its variance has a factor that is estimated.
    pub fn is_dispersed(self) -> bool {
        matches!(self, Family::Gaussian | Family::Gamma)
    }

    /// Whether the mean is e to the power of the linear predictor.
    pub fn is_logarithmic(self) -> bool {
        matches!(self, Family::Poisson | Family::Gamma | Family::NegativeBinomial)
    }

    /// Mean, and its derivative in the linear predictor; none where no probability is told from 0 or 1 with all its digits.
    pub fn mean(self, eta: f64) -> Option<(f64, f64)> {
        let (mean, slope) = match self {
            Family::Gaussian => (eta, 1.0),
            Family::Binomial => {
                let p = 1.0 / (1.0 + (-eta).exp());
                (p, p * (1.0 - p))
            }
            Family::Probit => (normal(eta), (-eta * eta / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()),
            Family::Cloglog => (-(-eta.exp()).exp_m1(), (eta - eta.exp()).exp()),
            Family::Poisson | Family::Gamma | Family::NegativeBinomial => (eta.exp(), eta.exp()),
        };
        let share = 1e-6..1.0 - 1e-6;
        (!matches!(self, Family::Probit | Family::Cloglog) || share.contains(&mean)).then_some((mean, slope))
    }

    /// The variance at a mean, but for the dispersion.
    pub fn variance(self, mean: f64, theta: f64) -> f64 {
        match self {
            Family::Gaussian => 1.0,
            Family::Binomial | Family::Probit | Family::Cloglog => mean * (1.0 - mean),
            Family::Poisson => mean,
            Family::Gamma => mean * mean,
            Family::NegativeBinomial => mean + mean * mean / theta,
        }
    }
}

/// The two derivatives in θ of a negative binomial log-density; of whole numbers Γ(y + θ) / Γ(θ) is a product.
pub fn of_theta(y: f64, mean: f64, theta: f64) -> [f64; 2] {
    let (mut slope, mut curve) = (0.0, 0.0);
    for k in 0..y as u32 {
        let one = 1.0 / (theta + f64::from(k));
        slope += one;
        curve -= one * one;
    }
    let all = mean + theta;
    slope += (theta / all).ln() + 1.0 - (y + theta) / all;
    curve += 1.0 / theta - 2.0 / all + (y + theta) / (all * all);
    [slope, curve]
}

/// Φ by its series about 0 (Marsaglia 2004).
fn normal(x: f64) -> f64 {
    let (mut sum, mut term, mut before, mut k) = (x, x, 0.0, 1.0);
    while sum != before {
        before = sum;
        k += 2.0;
        term *= x * x / k;
        sum += term;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}
