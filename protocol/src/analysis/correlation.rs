//! How two columns go together, over the patients who have both: one table, of products or of bands; or, of numbers that no table sums beside each other, their
//! moments, as of principal components. A matrix of several columns is as many analyses as it has pairs.

use serde::{Deserialize, Serialize};

use super::pca::described;
use super::{Confidence, Key, Named, Show, Shown, TableSpec};
use crate::ids::ColumnName;
use crate::plan::{Explains, Expr, Factor, Measure, Plan, Query, Statistic};

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
    /// What the researcher wrote for two numbers that have no names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<[String; 2]>,
}

/// What is correlated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pair {
    /// Two numbers: Pearson's r.
    Numbers(ColumnName, ColumnName),
    /// Two keys with ordered levels: Spearman's ρ.
    Ordered(Key, Key),
    /// Two numbers that are made of the same stored values of other rows, which a table keeps apart: Pearson's r of their moments.
    Moments(ColumnName, ColumnName),
}

impl CorrelationSpec {
    /// What the researcher wrote for the two.
    pub fn labels(&self) -> [&str; 2] {
        if let Some([a, b]) = &self.written {
            return [a, b];
        }
        match &self.pair {
            Pair::Numbers(a, b) | Pair::Moments(a, b) => [a.as_str(), b.as_str()],
            Pair::Ordered(a, b) => [&a.label, &b.label],
        }
    }

    /// The table that it is, where it is one.
    pub fn table(&self) -> Option<TableSpec> {
        match &self.pair {
            Pair::Numbers(a, b) => Some(products(a, b)),
            Pair::Ordered(a, b) => Some(TableSpec::counts([a, b])),
            Pair::Moments(..) => None,
        }
    }

    pub(super) fn plan(&self, query: Query) -> Plan {
        let pair = match &self.pair {
            Pair::Numbers(a, b) => vec![a, b],
            // Missing values are levels of their own, and moments are of whom all is known.
            Pair::Ordered(..) | Pair::Moments(..) => vec![],
        };
        let present = |column: &ColumnName| Expr::Not(Box::new(Expr::IsNull(Box::new(Expr::Column(column.clone())))));
        // Who has both of these is for the sites to count: a filter would say it for them.
        let counted = |column: &ColumnName| matches!(&self.pair, Pair::Moments(a, b) if a == column || b == column);
        let complete = self.complete.iter().filter(|column| !counted(column));
        let needed: Vec<Expr> = pair.into_iter().chain(complete).map(present).collect();
        let query = match needed.is_empty() {
            true => query,
            false => {
                let filter = query.filter.iter().cloned().chain(needed).collect();
                Query { filter: Some(Expr::And(filter)), ..query }
            }
        };
        match &self.pair {
            Pair::Numbers(a, b) => products(a, b).plan(query),
            Pair::Ordered(a, b) => TableSpec::counts([a, b]).plan(query),
            Pair::Moments(a, b) => {
                let column = |name: &ColumnName| Named {
                    label: name.to_string(),
                    of: vec![Factor::Number(Measure::Column(name.clone()))],
                };
                Plan { query, statistic: Statistic::Model(described(&[a, b].map(column), Explains::Moments)) }
            }
        }
    }
}

/// Means, standard deviations and the mean product in one cell.
fn products(a: &ColumnName, b: &ColumnName) -> TableSpec {
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
