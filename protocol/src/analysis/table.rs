//! A dense table: counts, sums, means, standard deviations and shares by up to six keys.

use serde::{Deserialize, Serialize};

use crate::plan::{Expr, Measure, Plan, Query, Statistic, Table};

/// A table as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    /// The keys.
    pub by: Vec<Key>,
    /// The columns of the answer.
    pub show: Vec<Shown>,
    /// Whether a site may fall back to coarser groupings rather than hide cells.
    pub roll_up: bool,
}

/// A key with the text that the researcher wrote for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The column's heading.
    pub label: String,
    /// What it is.
    pub key: Expr,
}

/// A column of the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// The column's heading.
    pub label: String,
    /// What it shows.
    pub show: Show,
}

/// What a column of the answer shows. Means, sums and standard deviations are over rows with a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Show {
    /// Distinct patients.
    Count,
    /// Rows.
    Rows,
    /// Σx.
    Sum(Measure),
    /// Σx / n.
    Mean(Measure),
    /// √(Σ(x − x̄)² / (n − 1)).
    Sd(Measure),
    /// The share of rows that satisfy a condition, of those where it is not null.
    Share(Measure),
}

impl Show {
    /// The measure that the column needs.
    pub fn measure(&self) -> Option<&Measure> {
        match self {
            Show::Count | Show::Rows => None,
            Show::Sum(m) | Show::Mean(m) | Show::Sd(m) | Show::Share(m) => Some(m),
        }
    }
}

impl TableSpec {
    /// Counts by keys. They are never rolled up: a statistic is of the groups that were asked for.
    pub(super) fn counts<'a>(by: impl IntoIterator<Item = &'a Key>) -> Self {
        let show = vec![Shown { label: "count".to_owned(), show: Show::Count }];
        Self { by: by.into_iter().cloned().collect(), show, roll_up: false }
    }

    /// The distinct measures, in order of first use: the plan's measures.
    pub fn measures(&self) -> Vec<&Measure> {
        let mut measures: Vec<&Measure> = Vec::new();
        for measure in self.show.iter().filter_map(|s| s.show.measure()) {
            if !measures.contains(&measure) {
                measures.push(measure);
            }
        }
        measures
    }

    /// Its columns' headings: those of the keys, then of what is shown.
    pub fn headings(&self) -> impl Iterator<Item = &str> {
        let keys = self.by.iter().map(|key| key.label.as_str());
        keys.chain(self.show.iter().map(|shown| shown.label.as_str()))
    }

    /// The table that an engine computes.
    pub(super) fn lowered(&self) -> Table {
        Table {
            by: self.by.iter().map(|k| k.key.clone()).collect(),
            measures: self.measures().into_iter().cloned().collect(),
            roll_up: self.roll_up,
        }
    }

    pub(super) fn plan(&self, query: Query) -> Plan {
        Plan { query, statistic: Statistic::Table(self.lowered()) }
    }
}
