//! Means of groups, from how many there are, their mean and their variance.

use super::{Estimate, Test, points};

/// A group's number of values, mean and standard deviation (divisor n − 1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::analysis) struct Group {
    pub n: u64,
    pub mean: f64,
    pub sd: f64,
}

impl Group {
    fn variance_of_mean(&self) -> f64 {
        self.sd * self.sd / self.n as f64
    }

    /// The mean with Student's interval on n − 1 degrees of freedom.
    pub(in crate::analysis) fn interval(&self, confidence: f64) -> Option<Estimate> {
        if self.n < 2 {
            return None;
        }
        let half = points::t(confidence, (self.n - 1) as f64)? * self.variance_of_mean().sqrt();
        Estimate { value: self.mean, from: self.mean - half, to: self.mean + half }.finite()
    }
}

/// x̄₁ − x̄₀ with its interval and test under unequal variances (Welch 1947; degrees of freedom by Satterthwaite 1946).
pub(in crate::analysis) fn welch(one: &Group, zero: &Group, confidence: f64) -> Option<(Estimate, Test)> {
    if one.n < 2 || zero.n < 2 {
        return None;
    }
    let (v_1, v_0) = (one.variance_of_mean(), zero.variance_of_mean());
    let variance = v_1 + v_0;
    if variance <= 0.0 {
        return None;
    }
    let df = variance * variance / (v_1 * v_1 / (one.n - 1) as f64 + v_0 * v_0 / (zero.n - 1) as f64);
    let (value, se) = (one.mean - zero.mean, variance.sqrt());
    let half = points::t(confidence, df)? * se;
    let p = points::t_beyond(value / se, df)?;
    let estimate = Estimate { value, from: value - half, to: value + half }.finite()?;
    Some((estimate, Test { statistic: value / se, df: Some(df), df_2: None, p }))
}

/// Whether the means are all the same: one-way analysis of variance (Fisher 1925, § 40). None where nothing varies within the groups.
pub(in crate::analysis) fn anova(groups: &[Group]) -> Option<Test> {
    let n: u64 = groups.iter().map(|group| group.n).sum();
    let k = groups.len() as u64;
    if k < 2 || groups.iter().any(|group| group.n == 0) || n <= k {
        return None;
    }
    // About the first mean, so that a common level cancels before anything is squared.
    let about = groups[0].mean;
    let mean = groups.iter().map(|g| g.n as f64 * (g.mean - about)).sum::<f64>() / n as f64;
    let between: f64 = groups.iter().map(|g| g.n as f64 * (g.mean - about - mean).powi(2)).sum();
    let within: f64 = groups.iter().filter(|g| g.n > 1).map(|g| (g.n - 1) as f64 * g.sd * g.sd).sum();
    let (df, df_2) = ((k - 1) as f64, (n - k) as f64);
    if within <= 0.0 {
        return None;
    }
    let statistic = (between / df) / (within / df_2);
    let p = points::f_beyond(statistic, df, df_2)?;
    Some(Test { statistic, df: Some(df), df_2: Some(df_2), p })
}

/// The standardised mean difference (x̄₁ − x̄₀) / √((s₁² + s₀²) / 2) (Austin 2009, § 2.1); none where neither group varies.
pub(in crate::analysis) fn standardised_difference(one: &Group, zero: &Group) -> Option<f64> {
    let variance = f64::midpoint(one.sd * one.sd, zero.sd * zero.sd);
    (one.n > 1 && zero.n > 1 && variance > 0.0).then(|| (one.mean - zero.mean) / variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::super::reference::{assert_estimate, assert_near, assert_test, groups, number};
    use super::*;

    #[test]
    fn cholesterol_of_women_and_men_and_of_three_ages_is_compared_as_scipy_does() {
        let by_sex = groups("heart.chol_by_sex");
        let (difference, test) = welch(&by_sex[1], &by_sex[0], 0.95).unwrap();
        assert_estimate(Some(difference), "heart.chol_welch_difference");
        assert_test(Some(test), "heart.chol_welch");
        assert_near(standardised_difference(&by_sex[1], &by_sex[0]).unwrap(), number("heart.chol_smd"));
        assert_test(anova(&groups("heart.chol_by_age")), "heart.chol_anova");
        assert_estimate(by_sex[0].interval(0.95), "heart.chol_mean_women");
    }

    #[test]
    fn what_does_not_vary_is_not_tested() {
        let constant = |mean| Group { n: 20, mean, sd: 0.0 };
        assert_eq!(welch(&constant(1.0), &constant(2.0), 0.95), None);
        assert_eq!(anova(&[constant(1.0), constant(2.0)]), None);
        assert_eq!(standardised_difference(&constant(1.0), &constant(2.0)), None);
        let one = Group { n: 1, mean: 1.0, sd: 0.0 };
        assert_eq!(welch(&one, &Group { n: 20, mean: 0.0, sd: 1.0 }, 0.95), None);
        assert_eq!(one.interval(0.95), None);
    }

    #[test]
    fn scales_of_1e12_and_1e_minus_9_do_not_show() {
        let group = |n, mean: f64, sd: f64, scale: f64| Group { n, mean: mean * scale, sd: sd * scale };
        let of = |scale| anova(&[group(30, 5.0, 1.0, scale), group(40, 5.5, 1.2, scale)]).unwrap();
        for scale in [1e-9, 1e12] {
            assert!((of(scale).statistic - of(1.0).statistic).abs() < 1e-10);
        }
    }
}
