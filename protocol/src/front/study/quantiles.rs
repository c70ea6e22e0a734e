//! `quantiles = { of, at }`: quantiles of one number column.

use serde::Deserialize;

use super::Binding;
use crate::analysis::{QuantilesSpec, Spec};
use crate::plan::{Expr, TypeProblem};
use crate::settings::join;

/// The quartiles.
const DEFAULT_AT: [f64; 3] = [0.25, 0.5, 0.75];

/// Where the text says what the plan's check found.
pub(super) const TEXT_PLACE: &str = "quantiles.of";

#[derive(Deserialize)]
pub(super) struct RawQuantiles {
    of: String,
    at: Option<Vec<f64>>,
}

impl Binding<'_> {
    pub(super) fn quantiles(&mut self, key: &str, raw: &RawQuantiles) -> Option<Spec> {
        let of = self.with_binder(&join(key, TEXT_PLACE), &raw.of, |binder, sql| match binder.bind(sql)?.0 {
            Expr::Column(column) => Some(column),
            _ => binder.refuse(
                TypeProblem::new(format!("`{sql}` is no column, so it has no public range"))
                    .hint("quantiles are of a number column of the contract; put the logic into `where`"),
            ),
        });
        let at = raw.at.clone().unwrap_or_else(|| DEFAULT_AT.to_vec());
        let spec = of.map(|of| QuantilesSpec { of, at: at.clone() });
        if let Some(problem) = QuantilesSpec::problem_of(&at) {
            self.refuse::<()>(
                &join(key, "quantiles.at"),
                TypeProblem::new(problem).hint("e.g. at = [0.25, 0.5, 0.75]"),
            );
        }
        spec.map(Spec::Quantiles)
    }
}
