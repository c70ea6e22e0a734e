//! How well a test tells who has it.

use super::proportions::{Share, exact, odds_ratio, risk_ratio};
use super::{Estimate, points};

/// Patients by a test and the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::analysis) struct Fourfold {
    pub true_positive: u64,
    pub false_positive: u64,
    pub false_negative: u64,
    pub true_negative: u64,
}

/// Each measure's name with its value, as far as there is one: shares with Wilson's interval or the exact one, likelihood ratios with that of
/// their logarithm, as two independent shares' (Simel, Samsa and Matchar 1991), the diagnostic odds ratio with Woolf's (Glas and others 2003).
pub(in crate::analysis) fn measures(
    of: &Fourfold,
    confidence: f64,
    is_exact: bool,
) -> Vec<(&'static str, Option<Estimate>)> {
    let z = points::z(confidence);
    let Fourfold { true_positive: tp, false_positive: fp, false_negative: fn_, true_negative: tn } = *of;
    let share = |with, without| match is_exact {
        true => exact(Share::of(with, without), confidence),
        false => Share::of(with, without).wilson(z),
    };
    let (sick, well) = (Share::of(tp, fn_), Share::of(fp, tn));
    vec![
        ("sensitivity", share(tp, fn_)),
        ("specificity", share(tn, fp)),
        ("ppv", share(tp, fp)),
        ("npv", share(tn, fn_)),
        ("accuracy", share(tp + tn, fp + fn_)),
        ("prevalence", share(tp + fn_, fp + tn)),
        ("lr_positive", risk_ratio(sick, well, z)),
        ("lr_negative", risk_ratio(Share::of(fn_, tp), Share::of(tn, fp), z)),
        ("diagnostic_odds_ratio", odds_ratio(sick, well, z)),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::reference::assert_estimate;
    use super::*;

    #[test]
    fn a_test_has_the_measures_of_the_script_and_none_where_a_cell_is_empty() {
        let of = Fourfold { true_positive: 120, false_positive: 30, false_negative: 45, true_negative: 205 };
        for (name, found) in measures(&of, 0.95, false) {
            assert_estimate(found, &format!("accuracy.{name}"));
        }
        assert_estimate(measures(&of, 0.95, true)[0].1, "accuracy.exact_sensitivity");
        let perfect = Fourfold { true_positive: 10, false_positive: 0, false_negative: 0, true_negative: 10 };
        let found = measures(&perfect, 0.95, false);
        assert_eq!(found[0].1.map(|e| (e.value, e.to)), Some((1.0, 1.0)));
        assert!(found[6..].iter().all(|(_, ratio)| ratio.is_none()));
        let nobody = Fourfold { true_positive: 0, false_positive: 0, false_negative: 0, true_negative: 0 };
        assert!(measures(&nobody, 0.95, true).iter().all(|(_, found)| found.is_none()));
    }
}
