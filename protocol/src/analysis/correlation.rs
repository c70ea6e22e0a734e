//! How two columns go together, over the patients who have both: one table, of products or of bands. A matrix of several columns is as many
//! analyses as it has pairs.

use serde::{Deserialize, Serialize};

use super::{Confidence, Key, Show, Shown, TableSpec};
use crate::ids::ColumnName;
use crate::plan::{Expr, Measure, Plan, Query};

/// The correlation of a pair as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrelationSpec {
    /// Of what.
    pub pair: Pair,
    /// Other columns that a patient must have, too: those of the other pairs, where all are to be of the same patients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub complete: Vec<ColumnName>,
    /// That of the interval.
    pub confidence: Confidence,
}

/// What is correlated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pair {
    /// Two numbers: Pearson's r.
    Numbers(ColumnName, ColumnName),
    /// Two keys with ordered levels: Spearman's ρ.
    Ordered(Key, Key),
}

impl CorrelationSpec {
    /// What the researcher wrote for the two.
    pub fn labels(&self) -> [&str; 2] {
        match &self.pair {
            Pair::Numbers(a, b) => [a.as_str(), b.as_str()],
            Pair::Ordered(a, b) => [&a.label, &b.label],
        }
    }

    /// The table that it is: means, standard deviations and the mean product in one cell, or counts by the levels of both.
    pub fn table(&self) -> TableSpec {
        match &self.pair {
            Pair::Numbers(a, b) => {
                let product = Measure::Product(a.clone(), b.clone());
                let mut table = TableSpec::counts([]);
                for (label, measure) in [
                    (a.to_string(), Measure::Column(a.clone())),
                    (b.to_string(), Measure::Column(b.clone())),
                    (format!("{a} * {b}"), product),
                ] {
                    table.show.push(Shown { label: format!("mean({label})"), show: Show::Mean(measure.clone()) });
                    table.show.push(Shown { label: format!("sd({label})"), show: Show::Sd(measure) });
                }
                table
            }
            Pair::Ordered(a, b) => TableSpec::counts([a, b]),
        }
    }

    pub(super) fn plan(&self, query: Query) -> Plan {
        let pair = match &self.pair {
            Pair::Numbers(a, b) => vec![a, b],
            // Missing values are levels of their own.
            Pair::Ordered(..) => vec![],
        };
        let present = |column: &ColumnName| Expr::Not(Box::new(Expr::IsNull(Box::new(Expr::Column(column.clone())))));
        let needed: Vec<Expr> = pair.into_iter().chain(&self.complete).map(present).collect();
        if needed.is_empty() {
            return self.table().plan(query);
        }
        let filter = query.filter.iter().cloned().chain(needed).collect();
        self.table().plan(Query { filter: Some(Expr::And(filter)), ..query })
    }
}
