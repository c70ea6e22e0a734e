//! Fits beside the one at a step's own position, each on all patients but some: for validation by those who were left out.
//!
//! ```text
//! all at the position │ of each fit:  those whom it is fitted to, at its coefficients │ those who are left out of it, at the same
//! ```
//! Where whole sites are left out, a site is in all fits but one or in that one alone, so it answers with all of its patients at each fit's coefficients.
//! Where patients are, each is in one fold, by a hash that the site alone can compute: no study can choose it or have another.

use serde::{Deserialize, Serialize};

use super::layout::Check;
use super::{Explains, Family, Model};
use crate::limits;
use crate::plan::TypeProblem;

/// Further fits of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folds {
    /// Who is left out of each.
    pub by: LeftOut,
    /// The coefficients of each, of the scaled columns.
    pub at: Vec<Vec<f64>>,
}

/// Who is left out of a fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// The patients of one site.
    Site,
    /// The patients of one of so many folds, at every site.
    Fold(u8),
}

impl LeftOut {
    /// How many blocks of sums there are of each fit.
    pub fn blocks(self) -> usize {
        match self {
            LeftOut::Site => 1,
            LeftOut::Fold(_) => 2,
        }
    }

    /// Whether a study may ask for it.
    pub fn is_allowed(self) -> bool {
        match self {
            LeftOut::Site => true,
            LeftOut::Fold(count) => limits::FOLDS.contains(&count),
        }
    }
}

impl Folds {
    /// How many blocks of sums a step has, the one of all patients included.
    pub(super) fn blocks(of: Option<&Self>) -> usize {
        1 + of.map_or(0, |folds| folds.by.blocks() * folds.at.len())
    }

    /// The same at no particular step; none where the patients are told apart by no fold.
    pub(super) fn unplaced(&self) -> Option<Self> {
        match self.by {
            LeftOut::Site => None,
            LeftOut::Fold(_) => Some(Self { by: self.by, at: Vec::new() }),
        }
    }
}

impl Check<'_> {
    /// Which models have further fits, and how many of them.
    pub(super) fn folds(&mut self, model: &Model) {
        let Some(folds) = &model.folds else { return };
        let fits = match folds.by {
            LeftOut::Site => (1..=limits::FITS).contains(&folds.at.len()),
            LeftOut::Fold(count) => folds.by.is_allowed() && folds.at.len() == usize::from(count),
        };
        if !fits {
            let problem = format!("the fits that leave some out are {}, of so many there are none", folds.at.len());
            self.note::<()>("folds", TypeProblem::new(problem).hint(format!("folds are one of {:?}", limits::FOLDS)));
        }
        let plain = match &model.explains {
            Explains::Mean(response) => response.weight.is_none() && response.family != Family::NegativeBinomial,
            Explains::Hazard(_) | Explains::Moments | Explains::Clusters(_) => false,
        };
        if !plain || model.by_site || !model.columns.iter().any(Vec::is_empty) {
            let problem = TypeProblem::new(
                "a model that leaves some out has one intercept, no weights, and no dispersion of its own",
            );
            self.note::<()>("folds", problem);
        }
    }
}
