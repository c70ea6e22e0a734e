//! One step of the fit of a model: what a node computes of its rows at given coefficients, as data.
//!
//! A design column is a product of factors: numbers of the contract, or levels of keys (0 or 1). An empty product is the intercept. Every column
//! is brought to [−1, 1] by the contract's ranges alone ([`scale`]), so that the coefficients of a step have public bounds.
//!
//! The sums of a step are those of Fisher scoring (McCullagh, Nelder 1989, §2.5): score, expected information, deviance.

mod explain;
mod family;
mod layout;
mod scale;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Expr, Measure};
use crate::ids::{ColumnName, SiteId};

pub use family::{Family, Link, Row, digamma};
pub(super) use layout::lower;
pub use layout::{Inputs, ModelLayout, Slot, Sums};
pub use scale::{Scale, Spline, Transform};

/// A model at one step of its fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What is explained, and how it varies.
    pub response: Response,
    /// The columns of the design.
    pub columns: Vec<Product>,
    /// Whether every site has an intercept of its own. The design then has none.
    pub by_site: bool,
    /// Where the fit is.
    pub at: Position,
}

/// What a model explains.
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

/// The numbers of a step. All coefficients are those of the scaled columns. It travels to sites as it is, so none of its fields may be left out: the
/// wire's form has no names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// One a design column.
    pub beta: Vec<f64>,
    /// With intercepts by site: theirs. A site that is not named is at 0.
    pub sites: BTreeMap<SiteId, f64>,
    /// Of a negative binomial family.
    pub theta: Option<f64>,
    /// Whether the squares of the rows' scores are summed as well, for robust standard errors.
    pub robust: bool,
}

impl Position {
    /// Where every fit begins.
    pub fn start(columns: usize, family: Family) -> Self {
        let theta = matches!(family, Family::NegativeBinomial).then_some(1.0);
        Self { beta: vec![0.0; columns], sites: BTreeMap::new(), theta, robust: false }
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

    fn columns(&self) -> Vec<&ColumnName> {
        match self {
            Factor::Number(of) | Factor::Spline { of, .. } => of.columns(),
            Factor::Level { key, .. } => key.columns(),
        }
    }
}

impl Model {
    /// The same under other names, with its conditions in another form.
    pub(super) fn map(&self, measure: &impl Fn(&Measure) -> Measure, key: &impl Fn(&Expr) -> Expr) -> Self {
        let Response { of, family, offset, weight } = &self.response;
        let optional = |of: &Option<Measure>| of.as_ref().map(measure);
        let product = |product: &Product| product.iter().map(|factor| factor.map(measure, key)).collect();
        Self {
            response: Response { of: measure(of), family: *family, offset: optional(offset), weight: optional(weight) },
            columns: self.columns.iter().map(product).collect(),
            ..self.clone()
        }
    }

    /// Every column of the contract that it reads, with repeats.
    pub fn reads(&self) -> Vec<&ColumnName> {
        let Response { of, offset, weight, .. } = &self.response;
        let response = [Some(of), offset.as_ref(), weight.as_ref()].into_iter().flatten().flat_map(Measure::columns);
        response.chain(self.columns.iter().flatten().flat_map(Factor::columns)).collect()
    }

    /// The same question at no particular step.
    #[must_use]
    pub fn unplaced(&self) -> Self {
        Self { at: Position::start(0, self.response.family), ..self.clone() }
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
