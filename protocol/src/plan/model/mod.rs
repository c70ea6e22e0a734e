//! One step of the fit of a model: what a node computes of its rows at given coefficients, as data.
//!
//! A design column is a product of factors: numbers of the contract, or levels of keys (0 or 1). An empty product is the intercept. Every column
//! is brought to [−1, 1] by the contract's ranges alone ([`scale`]), so that the coefficients of a step have public bounds.
//!
//! The sums of a step are those of Fisher scoring (McCullagh, Nelder 1989, §2.5): score, expected information, deviance; of proportional hazards
//! those of Newton's method on the partial likelihood ([`cox`]).

mod cox;
mod described;
mod explain;
mod family;
mod folds;
mod grid;
mod layout;
mod prediction;
mod scale;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Expr, Measure};
use crate::ids::{ColumnName, SiteId};

pub use cox::{CoxSums, Hazard, RiskSlots, Ties, TimeScale};
pub use described::{Centroids, Described};
pub use family::{Family, Link, Row, RowColumns, digamma};
pub use folds::{Folds, LeftOut};
pub use grid::{GridSums, SharedGrid, TimeGrid};
pub(super) use layout::lower;
pub use layout::{Inputs, ModelLayout, Slot, Sums};
pub use prediction::{Fit, Gives, Prediction, PredictionLayout};
pub use scale::{Scale, Spline, Transform};

/// A model at one step of its fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What is explained.
    pub explains: Explains,
    /// The columns of the design.
    pub columns: Vec<Product>,
    /// Whether every site has an intercept of its own. The design then has none.
    pub by_site: bool,
    /// Where the fit is.
    pub at: Position,
    /// Further fits, each on all patients but some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folds: Option<Box<Folds>>,
}

/// What a model explains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Explains {
    /// The mean of an outcome: a linear or generalised linear model.
    Mean(Response),
    /// When an event comes: a model of proportional hazards.
    Hazard(Box<Hazard>),
    /// Nothing: how the columns vary together.
    Moments,
    /// Nothing: which patients lie about which of these centroids. Without any: the moments from which starts are drawn.
    Clusters(Box<Centroids>),
}

/// An outcome whose mean is explained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// The outcome: a number, or a condition.
    pub of: Measure,
    /// How it varies about its mean, and by which link that is explained.
    pub family: Family,
    /// A number that is added to the linear predictor as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<Measure>,
    /// A number that each row counts with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Measure>,
}

/// A design column: the product of its factors, 1 of none.
pub type Product = Vec<Factor>;

/// A factor of a design column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// A number.
    Number(Measure),
    /// 1 where a key is at this level, else 0.
    Level {
        /// The key.
        key: Expr,
        /// The position among its declared levels.
        level: u32,
    },
    /// A function of a natural cubic spline's basis.
    Spline {
        /// Of which number.
        of: Measure,
        /// Boundary and inner knots, ascending.
        knots: Vec<f64>,
        /// Which function, from 0: the first is the number itself.
        at: u32,
    },
}

/// The numbers of a step. All coefficients are those of the scaled columns. Nothing is left out where it is empty: messages are read by position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// One a design column.
    pub beta: Vec<f64>,
    /// With intercepts by site: theirs. A site that is not named is at 0.
    pub sites: BTreeMap<SiteId, f64>,
    /// Of a negative binomial family.
    pub theta: Option<f64>,
    /// Whether the squares of the rows' scores are summed as well, for robust standard errors. Of hazards: whether the fit is at its end, so that
    /// everything is summed that is only asked there.
    pub robust: bool,
}

impl Position {
    /// Where every fit begins.
    pub fn start(columns: usize, family: Family) -> Self {
        let theta = matches!(family, Family::NegativeBinomial).then_some(1.0);
        Self { theta, ..Self::of_hazards(columns) }
    }

    /// Where every fit of hazards begins.
    pub fn of_hazards(columns: usize) -> Self {
        Self { beta: vec![0.0; columns], sites: BTreeMap::new(), theta: None, robust: false }
    }
}

impl Factor {
    /// The same under other names, with its conditions in another form.
    pub(super) fn map(&self, measure: &impl Fn(&Measure) -> Measure, key: &impl Fn(&Expr) -> Expr) -> Self {
        match self {
            Factor::Number(of) => Factor::Number(measure(of)),
            Factor::Level { key: of, level } => Factor::Level { key: key(of), level: *level },
            Factor::Spline { of, knots, at } => Factor::Spline { of: measure(of), knots: knots.clone(), at: *at },
        }
    }

    /// Every column of the contract that it reads.
    pub fn columns(&self) -> Vec<&ColumnName> {
        match self {
            Factor::Number(of) | Factor::Spline { of, .. } => of.columns(),
            Factor::Level { key, .. } => key.columns(),
        }
    }
}

impl Model {
    /// The same under other names, with its conditions in another form.
    pub(super) fn map(&self, measure: &impl Fn(&Measure) -> Measure, key: &impl Fn(&Expr) -> Expr) -> Self {
        let optional = |of: &Option<Measure>| of.as_ref().map(measure);
        let explains = match &self.explains {
            Explains::Mean(Response { of, family, offset, weight }) => Explains::Mean(Response {
                of: measure(of),
                family: *family,
                offset: optional(offset),
                weight: optional(weight),
            }),
            Explains::Hazard(hazard) => Explains::Hazard(Box::new(hazard.map(measure, key))),
            Explains::Moments | Explains::Clusters(_) => self.explains.clone(),
        };
        let product = |product: &Product| product.iter().map(|factor| factor.map(measure, key)).collect();
        Self { explains, columns: self.columns.iter().map(product).collect(), ..self.clone() }
    }

    /// Every column of the contract that it reads, with repeats.
    pub fn reads(&self) -> Vec<&ColumnName> {
        let explained = match &self.explains {
            Explains::Mean(Response { of, offset, weight, .. }) => {
                [Some(of), offset.as_ref(), weight.as_ref()].into_iter().flatten().flat_map(Measure::columns).collect()
            }
            Explains::Hazard(hazard) => hazard.columns(),
            Explains::Moments | Explains::Clusters(_) => vec![],
        };
        explained.into_iter().chain(self.columns.iter().flatten().flat_map(Factor::columns)).collect()
    }

    /// The same question at no particular step.
    #[must_use]
    pub fn unplaced(&self) -> Self {
        let at = match &self.explains {
            Explains::Mean(response) => Position::start(0, response.family),
            Explains::Hazard(_) | Explains::Moments | Explains::Clusters(_) => Position::of_hazards(0),
        };
        let explains = match &self.explains {
            // Whatever the centroids, the patients are the same, and whichever ends of a grid stay.
            Explains::Clusters(_) => Explains::Moments,
            Explains::Hazard(hazard) => Explains::Hazard(Box::new(hazard.along_all())),
            explains => explains.clone(),
        };
        let folds = self.folds.as_ref().and_then(|folds| folds.unplaced()).map(Box::new);
        Self { at, explains, folds, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::RoundState;
    use crate::limits;
    use crate::wire::codec;

    #[test]
    fn a_step_reaches_a_site_as_it_was_sent_also_where_it_has_no_sites_and_no_theta() {
        let plain = Position { beta: vec![0.25, -1.5], ..Position::start(2, Family::Poisson) };
        let mut full = Position { theta: Some(2.0), robust: true, ..plain.clone() };
        full.sites.insert("cleveland".parse().unwrap(), 0.5);
        for state in [RoundState::At(plain), RoundState::At(full), RoundState::First] {
            let bytes = codec::encode(&state).unwrap();
            assert_eq!(codec::decode::<RoundState>(&bytes, limits::FRAME_BYTES), Ok(state));
        }
    }
}
