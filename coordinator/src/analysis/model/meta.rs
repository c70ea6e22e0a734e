//! Estimates of several sites as one: fixed effect, random effects, and how the sites differ. Numbers in, numbers out.

use super::errors::Reference;

/// What a site estimates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub value: f64,
    pub variance: f64,
}

/// What the sites estimate together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Together {
    /// By inverse variances, of sites that have one truth: Σ w y / Σ w with w = 1 / v.
    pub fixed: Pooled,
    /// Of sites whose truths vary about a mean with τ²: w = 1 / (v + τ²) (DerSimonian, Laird 1986).
    pub random: Pooled,
    /// The same mean, with the error √(Σ w (y − μ)² / (k − 1) / Σ w) and t of k − 1 (Hartung, Knapp 2001); of two sites and more.
    pub hartung_knapp: Option<Pooled>,
    /// Each site's share in the mean of [`Together::fixed`].
    pub fixed_shares: Vec<f64>,
    /// In that of [`Together::random`].
    pub shares: Vec<f64>,
    /// How the sites differ; of two sites and more.
    pub heterogeneity: Option<Heterogeneity>,
}

/// A mean of sites.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pooled {
    pub value: f64,
    pub error: f64,
    pub reference: Reference,
}

/// How sites differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Heterogeneity {
    /// Σ w (y − μ)² with the fixed mean (Cochran 1954), χ² of k − 1 where the sites have one truth.
    pub q: f64,
    pub df: f64,
    pub p: Option<f64>,
    /// The share of Q beyond what chance has of it, (Q − df) / Q, at least 0 (Higgins, Thompson 2002).
    pub i_squared: f64,
    /// The variance of truths: (Q − df) / (Σ w − Σ w² / Σ w), at least 0 (DerSimonian, Laird 1986).
    pub tau_squared: f64,
}

/// Puts estimates together; none of none, and of none that has no variance.
pub(super) fn together(sites: &[Estimate]) -> Option<Together> {
    let sound = |site: &Estimate| site.value.is_finite() && site.variance > 0.0 && site.variance.is_finite();
    if sites.is_empty() || !sites.iter().all(sound) {
        return None;
    }
    let df = sites.len() as f64 - 1.0;
    let weights = |tau_squared: f64| sites.iter().map(|site| 1.0 / (site.variance + tau_squared)).collect::<Vec<f64>>();
    let own = weights(0.0);
    let fixed = mean(sites, &own);
    let q: f64 = sites.iter().zip(&own).map(|(site, w)| w * (site.value - fixed.value).powi(2)).sum();
    let all: f64 = own.iter().sum();
    let spread = all - own.iter().map(|w| w * w).sum::<f64>() / all;
    let tau_squared = if df > 0.0 && spread > 0.0 { ((q - df) / spread).max(0.0) } else { 0.0 };
    let fixed_shares = own.iter().map(|w| w / all).collect();
    let weights = weights(tau_squared);
    let random = mean(sites, &weights);
    let around: f64 = sites.iter().zip(&weights).map(|(site, w)| w * (site.value - random.value).powi(2)).sum();
    let all: f64 = weights.iter().sum();
    let error = (around / df / all).sqrt();
    let several = df > 0.0;
    Some(Together {
        fixed,
        fixed_shares,
        random,
        hartung_knapp: several.then_some(Pooled { value: random.value, error, reference: Reference::T(df) }),
        shares: weights.iter().map(|w| w / all).collect(),
        heterogeneity: several.then(|| Heterogeneity {
            q,
            df,
            p: Reference::Normal.p_of_several(q, df),
            i_squared: if q > df { (q - df) / q } else { 0.0 },
            tau_squared,
        }),
    })
}

fn mean(sites: &[Estimate], weights: &[f64]) -> Pooled {
    let all: f64 = weights.iter().sum();
    let value = sites.iter().zip(weights).map(|(site, w)| w * site.value).sum::<f64>() / all;
    Pooled { value, error: (1.0 / all).sqrt(), reference: Reference::Normal }
}

impl Together {
    /// Where the truth of another such site lies: μ ± t √(τ² + error²) with t of k − 2, of three sites and more (Higgins, Thompson, Spiegelhalter 2009).
    pub(super) fn prediction(&self, confidence: f64) -> Option<[f64; 2]> {
        let tau_squared = self.heterogeneity?.tau_squared;
        let df = self.shares.len() as f64 - 2.0;
        let t = Some(Reference::T(df)).filter(|_| df > 0.0)?.quantile(confidence)?;
        let half = t * (tau_squared + self.random.error.powi(2)).sqrt();
        Some([self.random.value - half, self.random.value + half])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(of: &[(f64, f64)]) -> Vec<Estimate> {
        of.iter().map(|(value, variance)| Estimate { value: *value, variance: *variance }).collect()
    }

    #[test]
    fn sites_that_differ_less_than_chance_have_one_truth() {
        let alike = together(&sites(&[(1.0, 0.5), (1.1, 0.25), (0.9, 1.0)])).unwrap();
        let differ = alike.heterogeneity.unwrap();
        assert_eq!((differ.tau_squared, differ.i_squared), (0.0, 0.0));
        assert_eq!((alike.random.value, alike.random.error), (alike.fixed.value, alike.fixed.error));
        assert!(differ.q < differ.df && differ.p.unwrap() > 0.9);
    }

    #[test]
    fn one_site_says_what_it_says_and_nothing_of_how_sites_differ() {
        let one = together(&sites(&[(2.0, 0.25)])).unwrap();
        assert_eq!((one.fixed.value, one.fixed.error, one.random.value), (2.0, 0.5, 2.0));
        assert_eq!((one.hartung_knapp, one.heterogeneity, one.prediction(0.95)), (None, None, None));
    }

    #[test]
    fn two_sites_have_no_prediction_and_three_that_differ_have_a_wide_one() {
        assert_eq!(together(&sites(&[(0.0, 1.0), (9.0, 1.0)])).unwrap().prediction(0.95), None);
        let three = together(&sites(&[(0.0, 1.0), (9.0, 1.0), (4.0, 1.0)])).unwrap();
        let [lo, hi] = three.prediction(0.95).unwrap();
        // t of 1 is a wide one.
        assert!(lo < -40.0 && hi > 40.0, "{lo} {hi}");
    }

    #[test]
    fn nothing_is_made_of_nothing_or_of_what_has_no_variance() {
        assert_eq!(together(&[]), None);
        assert_eq!(together(&sites(&[(1.0, 0.0), (1.0, 1.0)])), None);
        assert_eq!(together(&sites(&[(f64::NAN, 1.0)])), None);
    }
}
