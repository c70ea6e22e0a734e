//! How much is lost on those who were left out, at each penalty, and which penalty that chooses.

use bocage_protocol::analysis::Choice;

/// Of each penalty, each fold's patients and what is lost on one of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Losses {
    /// By penalty, then by fold.
    pub of: Vec<Vec<(f64, f64)>>,
}

impl Losses {
    /// The mean loss at each penalty, with its standard error: over folds, weighted by their patients (`cv.glmnet`, grouped).
    pub fn means(&self) -> Vec<(f64, f64)> {
        let mean = |folds: &Vec<(f64, f64)>| {
            let n: f64 = folds.iter().map(|(n, _)| n).sum();
            let mean = folds.iter().map(|(n, loss)| n * loss).sum::<f64>() / n;
            let varies = folds.iter().map(|(n, loss)| n * (loss - mean).powi(2)).sum::<f64>() / n;
            (mean, (varies / (folds.len() as f64 - 1.0)).sqrt())
        };
        self.of.iter().map(mean).collect()
    }

    /// The penalty with the least loss, and the largest that is within one standard error of it.
    pub fn chosen(&self) -> Option<(usize, usize)> {
        let means = self.means();
        let (least, (loss, error)) = means.iter().enumerate().min_by(|a, b| a.1.0.total_cmp(&b.1.0))?;
        let within = means.iter().position(|(mean, _)| *mean <= loss + error)?;
        Some((least, within.min(least)))
    }

    /// The one that a study asks for.
    pub fn choice(&self, choice: Choice) -> Option<usize> {
        let (least, within) = self.chosen()?;
        Some(match choice {
            Choice::Min => least,
            Choice::OneSe => within,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_penalty_within_an_error_of_the_least_loss_is_chosen_where_it_is_asked() {
        let fold = |losses: [f64; 3]| losses.map(|loss| (10.0, loss)).to_vec();
        let losses = Losses { of: vec![fold([3.0, 3.2, 3.1]), fold([1.0, 1.4, 1.2]), fold([0.9, 1.3, 1.1])] };
        assert_eq!(losses.chosen(), Some((2, 1)));
        assert_eq!((losses.choice(Choice::Min), losses.choice(Choice::OneSe)), (Some(2), Some(1)));
        let (mean, error) = losses.means()[2];
        assert!((mean - 1.1).abs() < 1e-12 && (error - (0.08_f64 / 6.0).sqrt()).abs() < 1e-12);
    }
}
