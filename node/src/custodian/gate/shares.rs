//! How a score that a study brought along is shared among patients. What is steep is a count of those whom it singles out: then one patient has most
//! of it, or lacks most of what the others have.

/// What patients have of a score above the least that it can be, and what they lack of the most.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Shares {
    above: (f64, f64),
    below: (f64, f64),
}

impl Shares {
    /// Adds a patient's.
    pub fn add(&mut self, above: f64, below: Option<f64>) {
        let one = |all: &mut (f64, f64), x: f64| *all = (all.0 + x, all.1.max(x));
        one(&mut self.above, above);
        if let Some(below) = below {
            one(&mut self.below, below);
        }
    }

    /// Adds other patients'.
    pub fn absorb(&mut self, other: &Self) {
        let both = |own: &mut (f64, f64), other: (f64, f64)| *own = (own.0 + other.0, own.1.max(other.1));
        both(&mut self.above, other.above);
        both(&mut self.below, other.below);
    }

    /// Whether nobody has more than 1/k of all, nor lacks more.
    pub fn are_even(&self, k: u32) -> bool {
        [self.above, self.below].iter().all(|(all, most)| most * f64::from(k) <= *all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Shares {
        let mut shares = Shares::default();
        values.iter().for_each(|value| shares.add(*value, Some(1.0 - value)));
        shares
    }

    #[test]
    fn a_score_that_singles_one_patient_out_is_not_even_and_a_gentle_one_is() {
        let mut values = vec![0.01; 200];
        assert!(of(&values).are_even(11));
        values[7] = 0.99;
        assert!(!of(&values).are_even(11), "one has a third of it");
        values.iter_mut().for_each(|value| *value = 1.0 - *value);
        assert!(!of(&values).are_even(11), "one lacks a third of it");
        let gentle: Vec<f64> = (0..200).map(|i| 0.1 + f64::from(i) / 400.0).collect();
        assert!(of(&gentle).are_even(11));
        let mut halves = of(&gentle[..3]);
        assert!(!halves.are_even(11), "three patients");
        halves.absorb(&of(&gentle[3..]));
        assert!(halves.are_even(11));
    }
}
