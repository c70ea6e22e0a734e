//! What the steps so far tell of the curvature that the expected information does not have: where the link is not the family's own, Fisher's scoring alone
//! comes nearer by the same share each round. Limited-memory BFGS (Nocedal, Wright, *Numerical Optimization*, 2006, algorithm 7.4), begun at the
//! inverse of the expected information.

use nalgebra::DVector;

/// So many steps are remembered.
const MOST: usize = 10;

/// Steps, each with how much the score fell.
#[derive(Debug, Clone, Default)]
pub(super) struct Secants {
    pairs: Vec<(DVector<f64>, DVector<f64>)>,
    /// The step to here, and the score before it.
    last: Option<(DVector<f64>, DVector<f64>)>,
}

impl Secants {
    /// The score where the last step led.
    pub(super) fn arrive(&mut self, score: &DVector<f64>) {
        let Some((step, before)) = self.last.take() else { return };
        let fall = before - score;
        if step.dot(&fall) > 1e-12 * step.norm() * fall.norm() {
            self.pairs.push((step, fall));
        }
        if self.pairs.len() > MOST {
            self.pairs.remove(0);
        }
    }

    /// The step that is taken from here.
    pub(super) fn leave(&mut self, step: &DVector<f64>, score: DVector<f64>) {
        self.last = Some((step.clone(), score));
    }

    /// Nothing of before can be compared with what comes.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Where the score leads, by `scoring` and what is known beside it.
    pub(super) fn step(&self, scoring: impl Fn(&DVector<f64>) -> DVector<f64>, score: &DVector<f64>) -> DVector<f64> {
        let mut left = score.clone();
        let mut shares = Vec::with_capacity(self.pairs.len());
        for (step, fall) in self.pairs.iter().rev() {
            let share = step.dot(&left) / step.dot(fall);
            left.axpy(-share, fall, 1.0);
            shares.push(share);
        }
        let mut found = scoring(&left);
        for ((step, fall), share) in self.pairs.iter().zip(shares.iter().rev()) {
            let back = fall.dot(&found) / step.dot(fall);
            found.axpy(share - back, step, 1.0);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::DMatrix;

    use super::*;

    #[test]
    fn steps_in_all_directions_tell_the_whole_curvature() {
        let curvature = DMatrix::from_row_slice(2, 2, &[3.0, 1.0, 1.0, 2.0]);
        let top = DVector::from_column_slice(&[1.0, -2.0]);
        let score = |at: &DVector<f64>| &curvature * (&top - at);
        let (mut secants, inverse) = (Secants::default(), DMatrix::identity(2, 2) / 4.0);
        let mut at = DVector::zeros(2);
        for _ in 0..8 {
            let score = score(&at);
            secants.arrive(&score);
            let step = secants.step(|left| &inverse * left, &score);
            secants.leave(&step, score);
            at += step;
        }
        // The inverse alone would be a hundredth away yet.
        assert!((&at - &top).norm() < 1e-12, "{at}");
        secants.forget();
        assert_eq!(secants.step(|left| &inverse * left, &top), &inverse * &top);
    }
}
