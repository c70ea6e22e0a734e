//! How well a score tells who has something from who has not: a line of each along a declared grid. Curve and area are the coordinator's.

use serde::{Deserialize, Serialize};

use super::{Confidence, Key};
use crate::error::{ErrorCode, PublicError};
use crate::limits;
use crate::plan::{Bins, Branch, Expr, Lines, Literal, Plan, Query, Statistic};

/// A score held against the truth, as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RocSpec {
    /// A number that is higher in who has it.
    pub score: Key,
    /// Whether they have it: a condition.
    pub truth: Key,
    /// The ascending edges along which patients are counted.
    pub grid: Vec<f64>,
    /// That of the interval.
    pub confidence: Confidence,
}

/// Of whom a line is, in the order of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Of whom score or truth is not known.
    Unknown,
    /// Who has it not.
    Without,
    /// Who has it.
    With,
}

impl Class {
    /// All of them, in the order of the lines.
    pub const ALL: [Class; 3] = [Class::Unknown, Class::Without, Class::With];
}

impl RocSpec {
    /// What is wrong with the grid, if anything.
    pub fn problem(&self) -> Option<String> {
        let grid = &self.grid;
        let ascending = grid.windows(2).all(|w| w[0] < w[1]) && grid.iter().all(|edge| edge.is_finite());
        let fits = ascending && (1..=limits::BREAKS).contains(&grid.len());
        (!fits).then(|| format!("a grid has 1 to {} ascending edges", limits::BREAKS))
    }

    pub(super) fn plan(&self, query: Query) -> Result<Plan, PublicError> {
        if let Some(problem) = self.problem() {
            return Err(PublicError::new(ErrorCode::StudyInvalid, format!("grid: {problem}")));
        }
        Ok(self.along(query, vec![]))
    }

    /// Lines of each class, and within it of each combination of these keys.
    pub(super) fn along(&self, query: Query, keys: Vec<Expr>) -> Plan {
        let by = [self.class()].into_iter().chain(keys).collect();
        let lines = Lines { by, of: self.score.key.clone(), edges: self.grid.clone() };
        Plan { query, statistic: Statistic::Bins(Bins::Lines(lines)) }
    }

    /// The class as a key whose levels are those of [`Class::ALL`].
    fn class(&self) -> Expr {
        let null = |of: &Key| Expr::IsNull(Box::new(of.key.clone()));
        let level = |i: usize| Expr::Literal(Literal::Text(i.to_string()));
        let branches = vec![
            Branch { when: Expr::Or(vec![null(&self.score), null(&self.truth)]), then: level(0) },
            Branch { when: Expr::Not(Box::new(self.truth.key.clone())), then: level(1) },
        ];
        Expr::Case { branches, otherwise: Some(Box::new(level(2))) }
    }
}
