//! The arithmetic of association: numbers in, numbers out, each with its formula's source. It never sees a hidden cell, and never gives a number that
//! is not one: what cannot be computed is none.

pub(super) mod accuracy;
pub(super) mod correlation;
pub(super) mod fisher;
pub(super) mod means;
pub(super) mod points;
pub(super) mod proportions;
pub(super) mod ranks;
pub(super) mod rates;
#[cfg(test)]
pub(super) mod reference;
pub(super) mod strata;
pub(super) mod trend;

/// A number with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub value: f64,
    pub from: f64,
    pub to: f64,
}

impl Estimate {
    /// The three, where all are numbers.
    pub(super) fn finite(self) -> Option<Self> {
        [self.value, self.from, self.to].iter().all(|x| x.is_finite()).then_some(self)
    }

    /// A ratio whose logarithm has this standard error.
    pub(super) fn of_ratio(ratio: f64, se: f64, z: f64) -> Option<Self> {
        let factor = (z * se).exp();
        Self { value: ratio, from: ratio / factor, to: ratio * factor }.finite()
    }
}

/// A test's statistic and how likely one at least as extreme is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Test {
    pub statistic: f64,
    /// Degrees of freedom; none where the statistic is standard normal.
    pub df: Option<f64>,
    /// The second degrees of freedom of an F.
    pub df_2: Option<f64>,
    pub p: f64,
}

impl Test {
    /// χ² on `df` degrees of freedom.
    pub(super) fn chi2(statistic: f64, df: f64) -> Option<Self> {
        let p = points::chi2_beyond(statistic, df)?;
        Some(Self { statistic, df: Some(df), df_2: None, p })
    }
}
