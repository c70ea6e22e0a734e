//! Events by time under observation: a dense table of time summed and events counted. Rates and their intervals are the coordinator's.

use serde::{Deserialize, Serialize};

use super::survival::level_problem;
use super::{Key, Show, Shown, TableSpec};
use crate::error::{ErrorCode, PublicError};
use crate::plan::{Comparison, DateUnit, Expr, Literal, Measure, Plan, Query};

/// Rates as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RatesSpec {
    /// The time under observation that a row stands for: a number column, or days between two dates.
    pub time: Shown,
    /// Whether it ended by the event, or had one.
    pub event: Key,
    /// One rate for every combination of these keys' levels.
    pub by: Vec<Key>,
    /// A rate is of so much time.
    pub per: f64,
    /// The level of the confidence intervals.
    pub confidence: f64,
}

impl RatesSpec {
    /// Its headings, as the researcher wrote them.
    pub(super) fn headings(&self) -> impl Iterator<Item = &str> {
        [self.time.label.as_str(), &self.event.label].into_iter().chain(self.by.iter().map(|key| key.label.as_str()))
    }

    /// What is wrong with the numbers, if anything, with the name of the key.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        if !(self.per > 0.0 && self.per.is_finite()) {
            return Some(("per", "a rate is per so much time, above 0".to_owned()));
        }
        level_problem(self.confidence).map(|problem| ("confidence", problem))
    }

    /// The table that it is: time and events of each group.
    pub fn table(&self) -> TableSpec {
        let event = Show::Share(Measure::Condition(self.event.key.clone()));
        TableSpec {
            by: self.by.clone(),
            show: vec![
                Shown { label: "count".to_owned(), show: Show::Count },
                self.time.clone(),
                Shown { label: "events".to_owned(), show: event },
            ],
            roll_up: false,
        }
    }

    pub(super) fn plan(&self, query: Query) -> Result<Plan, PublicError> {
        let invalid = |problem| PublicError::new(ErrorCode::StudyInvalid, problem);
        if let Some((key, problem)) = self.problem() {
            return Err(invalid(format!("{key}: {problem}")));
        }
        let time =
            self.time_of().ok_or_else(|| invalid("time: a number column, or days between two dates".to_owned()))?;
        let after = Expr::Compare {
            op: Comparison::GreaterOrEqual,
            left: Box::new(time),
            right: Box::new(Expr::Literal(Literal::Int(0))),
        };
        // Time and events are of the same rows: of others neither is known.
        let known = Expr::Not(Box::new(Expr::IsNull(Box::new(self.event.key.clone()))));
        let filter = Expr::And(query.filter.iter().cloned().chain([after, known]).collect());
        Ok(self.table().plan(Query { filter: Some(filter), ..query }))
    }

    /// The time as an expression, if it is one of those that a rate is of.
    fn time_of(&self) -> Option<Expr> {
        match &self.time.show {
            Show::Sum(Measure::Column(name)) => Some(Expr::Column(name.clone())),
            Show::Sum(Measure::Days { from, to }) => Some(Expr::Between {
                unit: DateUnit::Days,
                from: Box::new(Expr::Column(from.clone())),
                to: Box::new(Expr::Column(to.clone())),
            }),
            _ => None,
        }
    }
}
