//! Pearson's correlation, from sums.

use super::{Estimate, Test, points};

/// What the sums say of two numbers x and y over the same n patients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::analysis) struct Sums {
    pub n: u64,
    pub mean_x: f64,
    pub sd_x: f64,
    pub mean_y: f64,
    pub sd_y: f64,
    /// The mean of x·y.
    pub mean_xy: f64,
}

/// Pearson's r, (Σxy − n x̄ȳ) / ((n − 1) sₓ s_y) (Pearson 1895). None where one of them does not vary.
pub(in crate::analysis) fn pearson(sums: &Sums) -> Option<f64> {
    let n = sums.n as f64;
    let spread = (n - 1.0) * sums.sd_x * sums.sd_y;
    let r = n * (sums.mean_xy - sums.mean_x * sums.mean_y) / spread;
    (sums.n > 2 && spread > 0.0 && r.is_finite()).then(|| r.clamp(-1.0, 1.0))
}

/// r with the interval of its inverse hyperbolic tangent, SE = 1 / √(n − 3) (Fisher 1921); none for fewer than four, or where all lies on a line.
pub(in crate::analysis) fn interval(r: f64, n: u64, confidence: f64) -> Option<Estimate> {
    if n < 4 {
        return None;
    }
    let half = points::z(confidence) / (n as f64 - 3.0).sqrt();
    Estimate { value: r, from: (r.atanh() - half).tanh(), to: (r.atanh() + half).tanh() }
        .finite()
        .filter(|_| r.abs() < 1.0)
}

/// Whether there is any correlation: t = r √((n − 2) / (1 − r²)) on n − 2 degrees of freedom (Fisher 1915; for ranks as scipy's `spearmanr`).
pub(in crate::analysis) fn test(r: f64, n: u64) -> Option<Test> {
    if n < 3 {
        return None;
    }
    let df = (n - 2) as f64;
    let statistic = r * (df / (1.0 - r * r)).sqrt();
    let p = points::t_beyond(statistic, df)?;
    Some(Test { statistic, df: Some(df), df_2: None, p })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_on_a_line_has_r_of_1_and_no_interval() {
        // 1, 2, 3, 4 and their doubles.
        let sd = (5.0_f64 / 3.0).sqrt();
        let sums = Sums { n: 4, mean_x: 2.5, sd_x: sd, mean_y: 5.0, sd_y: 2.0 * sd, mean_xy: 15.0 };
        let r = pearson(&sums).unwrap();
        assert!((r - 1.0).abs() < 1e-12);
        assert_eq!((interval(1.0, 4, 0.95), test(1.0, 4)), (None, None));
    }

    #[test]
    fn what_does_not_vary_has_no_correlation() {
        assert_eq!(pearson(&Sums { n: 9, mean_x: 1.0, sd_x: 0.0, mean_y: 1.0, sd_y: 1.0, mean_xy: 1.0 }), None);
        assert_eq!(interval(0.5, 3, 0.95), None);
        assert_eq!(test(0.5, 2), None);
    }
}
