//! What is asked of a fitted model beside its estimates: smaller models within it, and combinations of its coefficients. A node never looks at it.

use serde::{Deserialize, Serialize};

use crate::limits;

/// A model within a model: some of its columns have a coefficient of 0. It is fitted to the same rows, since the same plan is put at other coefficients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nested {
    /// The terms that are left out, as the researcher wrote them.
    pub label: String,
    /// Their columns, by position, ascending.
    pub without: Vec<u32>,
}

/// Combinations of coefficients that are estimated or, where there are several, tested together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contrast {
    /// What the researcher calls it.
    pub label: String,
    /// One is estimated; several are tested for being 0 together.
    pub combinations: Vec<Vec<Weighted>>,
}

/// A coefficient in a combination.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weighted {
    /// Its column, by position.
    pub column: u32,
    /// What it is multiplied by.
    pub by: f64,
}

impl Nested {
    /// Whether it is within a model of so many columns, and smaller.
    pub(super) fn fits(&self, columns: usize) -> bool {
        !self.without.is_empty()
            && self.without.windows(2).all(|w| w[0] < w[1])
            && self.without.iter().all(|column| (*column as usize) < columns)
    }
}

impl Contrast {
    /// Whether it is about a model of so many columns.
    pub(super) fn fits(&self, columns: usize) -> bool {
        let fits = |of: &Weighted| (of.column as usize) < columns && of.by.is_finite() && of.by.abs() <= 1e9;
        (1..=limits::MODEL_COLUMNS).contains(&self.combinations.len())
            && self
                .combinations
                .iter()
                .all(|of| !of.is_empty() && of.len() <= limits::MODEL_COLUMNS && of.iter().all(fits))
    }
}
