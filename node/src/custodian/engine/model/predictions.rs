//! How the predictions that a model reads are shared among its cases: what the gate must know of a score that a study brought along.

use bocage_protocol::plan::{Derived, Feature, Fit, Gives, Measure, ModelLayout};

use crate::custodian::gate::Shares;

/// A prediction among the inputs.
#[derive(Clone)]
pub struct Looked {
    /// Which input.
    pub input: usize,
    /// How it is shared.
    pub shares: Shares,
    /// Of a linear predictor, the model that makes a mean of it.
    bends: Option<Fit>,
    lo: f64,
    /// None where it counts as it is: a weight.
    hi: Option<f64>,
}

impl Looked {
    /// Those that a model reads as numbers.
    pub fn all(layout: &ModelLayout, features: &[Feature]) -> Vec<Self> {
        let inputs = layout.inputs.measures.iter().zip(&layout.inputs.ranges).enumerate();
        let look = |(input, (measure, (lo, hi))): (usize, (&Measure, &(f64, f64)))| {
            let Measure::Column(name) = measure else { return None };
            let made = features.iter().find(|feature| feature.name == *name)?;
            let Derived::Predicted(of) = &made.of else { return None };
            let (bends, lo, hi) = match of.gives {
                Gives::Mean | Gives::Fold => (None, *lo, Some(*hi)),
                Gives::Linear => (Some(of.fit), of.fit.mean(*lo), Some(of.fit.mean(*hi))),
                Gives::Inverse(_) => (None, 0.0, None),
            };
            Some(Self { input, shares: Shares::default(), bends, lo, hi })
        };
        inputs.filter_map(look).collect()
    }

    /// The same prediction, of no cases.
    pub fn at_nobody(&self) -> Self {
        Self { shares: Shares::default(), ..self.clone() }
    }

    /// Adds complete cases.
    pub fn add(&mut self, rows: &[usize], numbers: &[Vec<f64>]) {
        for row in rows {
            let value = numbers[self.input][*row];
            let value = self.bends.map_or(value, |fit| fit.mean(value));
            self.shares.add(value - self.lo, self.hi.map(|hi| hi - value));
        }
    }

    /// Adds those of other cases.
    pub fn absorb(&mut self, other: &Self) {
        self.shares.absorb(&other.shares);
    }
}
