//! Whether a share rises or falls along ordered groups.

use super::Test;
use super::proportions::Share;

/// The test for trend of Cochran (1954) and Armitage (1955, eq. 5), with scores sᵢ of the groups: T = Σ sᵢ (xᵢ − nᵢ p),
/// Var T = p (1 − p) (Σ nᵢ sᵢ² − (Σ nᵢ sᵢ)² / n), χ² = T² / Var T on one degree of freedom. None where the share or the scores do not vary.
pub(in crate::analysis) fn cochran_armitage(groups: &[Share], scores: &[f64]) -> Option<Test> {
    let n: f64 = groups.iter().map(|group| group.n as f64).sum();
    let with: f64 = groups.iter().map(|group| group.with as f64).sum();
    let p = with / n;
    let weighed = || groups.iter().zip(scores).map(|(group, score)| (group.n as f64, *score));
    let mean = weighed().map(|(n, s)| n * s).sum::<f64>() / n;
    let spread: f64 = weighed().map(|(n, s)| n * (s - mean).powi(2)).sum();
    let t: f64 = groups.iter().zip(scores).map(|(g, s)| (s - mean) * (g.with as f64 - g.n as f64 * p)).sum();
    let variance = p * (1.0 - p) * spread;
    if variance > 0.0 { Test::chi2(t * t / variance, 1.0) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_with_tonsils_of_three_sizes_have_the_papers_trend() {
        // Holmes and Williams 1954, as in Armitage, Berry and Matthews 2002, example 15.1: carriers of Streptococcus pyogenes; χ² = 7.19.
        let groups = [Share { with: 19, n: 516 }, Share { with: 29, n: 589 }, Share { with: 24, n: 293 }];
        let trend = cochran_armitage(&groups, &[-1.0, 0.0, 1.0]).unwrap();
        assert!((trend.statistic - 7.19).abs() < 0.005, "{trend:?}");
        let moved = cochran_armitage(&groups, &[10.0, 20.0, 30.0]).unwrap();
        assert!((moved.statistic - trend.statistic).abs() < 1e-12, "scores count by their distances");
    }

    #[test]
    fn where_nobody_or_everybody_has_it_there_is_no_trend() {
        let groups = [Share::of(0, 10), Share::of(0, 20)];
        assert_eq!(cochran_armitage(&groups, &[0.0, 1.0]), None);
        assert_eq!(cochran_armitage(&[Share::of(5, 5)], &[0.0]), None);
    }
}
