//! Questions across the tables of a site: which other datasets a query looks into, and what it makes of a patient's rows there.
//!
//! A **feature** is one value for each patient: whether there are such rows, how many, the first, the last. Or it is one for each row: an age, what stands
//! in the row that this one refers to, how many other rows of the patient lie about this one. It is then a column like any other. Rows of two tables
//! never meet in any other way: there is no product of tables, and nothing that grows with one. Rows of two patients never meet at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Expr, Prediction};
use crate::contract::Contract;
use crate::ids::{ColumnName, ContractId, Digest, TableName};

/// Another dataset of the site, that features look into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelatedTable {
    /// The dataset's contract.
    pub dataset: ContractId,
    /// The contract's hash.
    pub contract: Digest,
}

/// A column that is made of a patient's rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// Its name: that of a column, which neither its table nor another feature has.
    pub name: ColumnName,
    /// The related table of whose rows it is a column, with a value for each; absent if it is one of the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<TableName>,
    /// What it is.
    pub of: Derived,
}

/// What a feature is. Rows of a patient are found by the subject; those of other patients do not exist for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Derived {
    /// Whether the patient has at least so many of these rows. Never null.
    Has {
        /// Which rows.
        rows: Rows,
        /// From 1 to [`crate::limits::FEATURE_COUNT`].
        at_least: u32,
    },
    /// How many of these rows the patient has; more than [`crate::limits::FEATURE_COUNT`] count as that. Never null.
    Count {
        /// Which rows.
        rows: Rows,
    },
    /// A value of one of these rows, or of all; null where there is none with a value.
    Pick {
        /// Of which.
        pick: Pick,
        /// The column.
        column: ColumnName,
        /// Which rows.
        rows: Rows,
    },
    /// The sum of these rows' values, 0 where there are none. What lies beyond `at_most` times the column's range counts as its end. Never null.
    Sum {
        /// The column.
        column: ColumnName,
        /// Which rows.
        rows: Rows,
        /// From 1 to [`crate::limits::FEATURE_COUNT`].
        at_most: u32,
    },
    /// The value in the row that a row refers to: the one of the same patient with this key; null where there is none, or more than one.
    Reached {
        /// The column that refers.
        through: ColumnName,
        /// The table to whose rows it refers.
        table: TableName,
        /// The column there.
        column: ColumnName,
    },
    /// The value in the patient's row of a table that has one row of each; null where it has none of this one.
    Value {
        /// The table.
        table: TableName,
        /// The column.
        column: ColumnName,
    },
    /// Completed years from birth; null before it and after [`crate::limits::AGE`] years.
    Age {
        /// The table whose `birth` counts, which has one row a patient; the base where there is none.
        table: Option<TableName>,
        /// The day. Here a base column may stand even where a patient has several rows: the age is then that of the row.
        at: Moment,
    },
    /// What a fitted model makes of the row; null where it reads something that is not known.
    Predicted(Box<Prediction>),
    /// A number of the feature's own table where it is plausible; null where it is not, and never its nearest end.
    Plausible {
        /// A column of the base, or an earlier feature.
        column: ColumnName,
        /// The least plausible value.
        lo: f64,
        /// The greatest.
        hi: f64,
    },
}

/// Which value of several. Rows without a value are no rows for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// That of the earliest row by the contract's time and order; of several at that moment the smallest.
    First,
    /// That of the latest row by the contract's time and order; of several at that moment the smallest.
    Last,
    /// The smallest.
    Least,
    /// The greatest.
    Greatest,
    /// Their mean.
    Mean,
}

/// Rows of a related table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// The table.
    pub table: TableName,
    /// Rows for which this is true; all if absent. It reads the table's own columns, and features of its rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Expr>,
    /// Rows whose time lies in it; those without a time do not. All if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

/// A stretch of whole days in UTC, both ends included. It is empty where an end's moment is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The first day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Edge>,
    /// The last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Edge>,
}

/// So many days after a moment's day; before it where the number is negative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// The moment.
    pub at: Moment,
    /// At most [`crate::limits::WINDOW_DAYS`] either way.
    pub days: i32,
}

/// A day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Days since 1970-01-01.
    Date(i32),
    /// An earlier feature or a column of the feature's own table: a date, or the day of a datetime. What is of a row is a window for that row alone.
    Column(ColumnName),
}

/// The contracts that a plan is checked against.
#[derive(Debug, Clone)]
pub struct Contracts<'a> {
    /// That of the dataset whose rows are counted.
    pub base: &'a Contract,
    /// Those of the related tables, by the names that the plan gives them. More than it names do no harm.
    pub related: BTreeMap<TableName, &'a Contract>,
}

impl<'a> From<&'a Contract> for Contracts<'a> {
    fn from(base: &'a Contract) -> Self {
        Self { base, related: BTreeMap::new() }
    }
}

impl<'a> From<&'a Arc<Contract>> for Contracts<'a> {
    fn from(base: &'a Arc<Contract>) -> Self {
        Self::from(base.as_ref())
    }
}

impl<'a> Contracts<'a> {
    /// Those of a query, of which `find` knows the contracts. One that it does not know is missing: the check says so.
    pub fn of(
        base: &'a Contract,
        related: &BTreeMap<TableName, RelatedTable>,
        find: impl Fn(&ContractId) -> Option<&'a Contract>,
    ) -> Self {
        let found = related.iter().filter_map(|(name, table)| Some((name.clone(), find(&table.dataset)?)));
        Self { base, related: found.collect() }
    }
}

impl Derived {
    /// The table that it looks into; none where that is the base.
    pub fn table(&self) -> Option<&TableName> {
        match self {
            Derived::Value { table, .. } | Derived::Reached { table, .. } => Some(table),
            Derived::Age { table, .. } => table.as_ref(),
            _ => self.rows().map(|rows| &rows.table),
        }
    }

    /// The rows that it looks at.
    pub fn rows(&self) -> Option<&Rows> {
        match self {
            Derived::Has { rows, .. }
            | Derived::Count { rows }
            | Derived::Pick { rows, .. }
            | Derived::Sum { rows, .. } => Some(rows),
            Derived::Value { .. }
            | Derived::Reached { .. }
            | Derived::Age { .. }
            | Derived::Predicted(_)
            | Derived::Plausible { .. } => None,
        }
    }

    /// The columns of its own table, and earlier features of that, which it reads as days or, as a prediction or a plausible number, at all.
    pub fn reads(&self) -> impl Iterator<Item = &ColumnName> {
        let at = match self {
            Derived::Age { at, .. } => Some(at),
            _ => None,
        };
        let window = self.rows().and_then(|rows| rows.window.as_ref());
        let edges = window.into_iter().flat_map(|window| window.from.iter().chain(&window.to));
        let moments = edges.map(|edge| &edge.at).chain(at).filter_map(|moment| match moment {
            Moment::Column(name) => Some(name),
            Moment::Date(_) => None,
        });
        let own = match self {
            Derived::Predicted(of) => of.reads(),
            Derived::Plausible { column, .. } => vec![column],
            _ => vec![],
        };
        moments.chain(own)
    }
}

impl Feature {
    /// What it reads, each with the table whose column it is: none is the base.
    pub fn reads(&self) -> Vec<(Option<&TableName>, &ColumnName)> {
        let own = self.of.reads().map(|name| (self.on.as_ref(), name));
        let (through, there) = match &self.of {
            Derived::Reached { through, table, column } => (Some(through), Some((Some(table), column))),
            Derived::Value { table, column } => (None, Some((Some(table), column))),
            Derived::Pick { column, rows, .. } | Derived::Sum { column, rows, .. } => {
                (None, Some((Some(&rows.table), column)))
            }
            _ => (None, None),
        };
        let rows = self.of.rows().into_iter().flat_map(|rows| {
            rows.filter.iter().flat_map(|filter| filter.columns()).map(|name| (Some(&rows.table), name))
        });
        own.chain(through.map(|name| (self.on.as_ref(), name))).chain(there).chain(rows).collect()
    }

    /// The tables that it looks into, or is a column of.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.on.iter().chain(self.of.table())
    }

    /// Whether it has a value for each row of its table, and not one for each patient. `before` are the features before it.
    pub fn is_of_rows(&self, base: &Contract, before: &[Feature]) -> bool {
        let of_a_row = |name: &ColumnName| match before.iter().find(|f| f.on.is_none() && f.name == *name) {
            Some(feature) => matches!(feature.of, Derived::Reached { .. }),
            None => !base.one_row_per_subject(),
        };
        self.on.is_some()
            || matches!(self.of, Derived::Reached { .. })
            || (self.of.rows().is_some() && self.of.reads().any(of_a_row))
    }
}
