//! The log-rank test: whether the groups' hazards are the same. Exact numbers in, numbers out.
//!
//! With nⱼ at risk at the begin of an interval, dⱼ events in it and nᵢⱼ of them in group i, group i has nᵢⱼ dⱼ / nⱼ events on average if its hazard is that
//! of all, with covariance dⱼ (nⱼ − dⱼ) / (nⱼ − 1) · nᵢⱼ / nⱼ · (δ − nₗⱼ / nⱼ) (Mantel 1966; Peto and Peto 1972). Observed less expected and covariances
//! are added up over intervals, and over strata; χ² is (O − E)ᵀ V⁻¹ (O − E) of all groups but one.

use nalgebra::{DMatrix, DVector};
use statrs::function::gamma::checked_gamma_ur;

/// At one edge, of each group: who is at risk, and who has the event before the next edge.
pub(super) type Step = Vec<(u64, u64)>;

/// What is added up.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LogRank {
    /// Events of each group.
    pub observed: Vec<f64>,
    /// And how many there would be if hazards were the same.
    pub expected: Vec<f64>,
    covariance: DMatrix<f64>,
}

/// The test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Test {
    /// χ².
    pub chi2: f64,
    /// Groups less one.
    pub df: usize,
    /// The chance of a χ² at least as large if hazards were the same.
    pub p: f64,
}

impl LogRank {
    /// Of so many groups, nothing yet.
    pub(super) fn new(groups: usize) -> Self {
        let none = vec![0.0; groups];
        Self { observed: none.clone(), expected: none, covariance: DMatrix::zeros(groups, groups) }
    }

    /// Adds the steps of one stratum.
    pub(super) fn add(&mut self, steps: &[Step]) {
        for step in steps {
            let (n, d) = step.iter().fold((0, 0), |(n, d), (at_risk, events)| (n + at_risk, d + events));
            let (n, d) = (n as f64, d as f64);
            if d == 0.0 {
                continue;
            }
            let scale = if n > 1.0 { d * (n - d) / (n - 1.0) } else { 0.0 };
            for (i, (at_risk, events)) in step.iter().enumerate() {
                let part = *at_risk as f64 / n;
                self.observed[i] += *events as f64;
                self.expected[i] += d * part;
                for (j, (other, _)) in step.iter().enumerate() {
                    let same = if i == j { 1.0 } else { 0.0 };
                    self.covariance[(i, j)] += scale * part * (same - *other as f64 / n);
                }
            }
        }
    }

    /// The test, or none where fewer than two groups are ever at risk when there is an event, or never beside each other.
    pub(super) fn test(&self) -> Option<Test> {
        // A group in which nobody ever is at risk of it says nothing.
        let at_risk: Vec<usize> = (0..self.observed.len()).filter(|i| self.expected[*i] > 0.0).collect();
        let df = at_risk.len().checked_sub(1).filter(|df| *df > 0)?;
        let difference =
            DVector::from_iterator(df, at_risk[..df].iter().map(|i| self.observed[*i] - self.expected[*i]));
        let covariance = DMatrix::from_fn(df, df, |i, j| self.covariance[(at_risk[i], at_risk[j])]);
        let variances = covariance.diagonal();
        let root = covariance.cholesky()?;
        // What is left of rounding is no variance, of a group by itself or beside those before it.
        let rounding = |i: usize| {
            let left = root.l_dirty()[(i, i)].powi(2);
            variances[i] <= 1e-12 * self.expected[at_risk[i]] || left <= 1e-12 * variances[i]
        };
        if (0..df).any(rounding) {
            return None;
        }
        let chi2 = difference.dot(&root.solve(&difference));
        let p = if chi2 > 0.0 { checked_gamma_ur(df as f64 / 2.0, chi2 / 2.0).ok()? } else { 1.0 };
        Some(Test { chi2: chi2.max(0.0), df, p: p.clamp(0.0, 1.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_of_a_textbook_has_its_numbers() {
        // Freireich 1963 (6-MP against placebo, weeks), as in Kalbfleisch and Prentice: O = 9 and 21, E = 19.25 and 10.75, χ² = 16.79.
        let mp: [(u64, bool); 21] = [
            (6, true),
            (6, true),
            (6, true),
            (6, false),
            (7, true),
            (9, false),
            (10, true),
            (10, false),
            (11, false),
            (13, true),
            (16, true),
            (17, false),
            (19, false),
            (20, false),
            (22, true),
            (23, true),
            (25, false),
            (32, false),
            (32, false),
            (34, false),
            (35, false),
        ];
        let placebo: [u64; 21] = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23];
        let step = |week: u64| {
            let of = |times: &[(u64, bool)]| {
                let at_risk = times.iter().filter(|(time, _)| *time >= week).count() as u64;
                (at_risk, times.iter().filter(|of| **of == (week, true)).count() as u64)
            };
            vec![of(&mp), of(&placebo.map(|time| (time, true)))]
        };
        let mut test = LogRank::new(2);
        test.add(&(1..=35).map(step).collect::<Vec<_>>());
        assert_eq!(test.observed, [9.0, 21.0]);
        assert!((test.expected[0] - 19.25).abs() < 0.005 && (test.expected[1] - 10.75).abs() < 0.005);
        let Test { chi2, df, p } = test.test().unwrap();
        assert!((chi2 - 16.79).abs() < 0.005 && df == 1 && p < 1e-4, "{chi2} {p}");
    }

    #[test]
    fn without_events_or_with_one_group_there_is_no_test() {
        let none = LogRank::new(2).test();
        assert_eq!(none, None);
        let mut alone = LogRank::new(2);
        alone.add(&[vec![(10, 3), (0, 0)], vec![(5, 1), (0, 0)]]);
        assert_eq!(alone.test(), None);
        // Two groups beside each other, the third alone: nothing compares it to them, whatever rounding leaves.
        for events in 1..40 {
            let mut apart = LogRank::new(3);
            apart.add(&[vec![(61, events), (47 + events, 7), (0, 0)], vec![(0, 0), (0, 0), (10, 3)]]);
            apart.add(&[vec![(31, 3), (13, events / 4), (0, 0)]]);
            assert_eq!(apart.test(), None, "{events}");
        }
        let mut one = LogRank::new(1);
        one.add(&[vec![(10, 3)]]);
        assert_eq!(one.test(), None);
    }
}
