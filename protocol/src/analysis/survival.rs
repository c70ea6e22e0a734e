//! Time to an event over a declared grid: who leaves by which event, or without one, in which interval. Curves and tests are the coordinator's.
//!
//! A patient stands in one line and one cell: by how they left (an event, a competing one, or without), and by the interval in which they did.
//! Behind the last interval stands who is event-free at the grid's end.

use serde::{Deserialize, Serialize};

use super::{Key, QuantilesSpec};
use crate::error::{ErrorCode, PublicError};
use crate::limits;
use crate::plan::{Bins, Branch, Comparison, Expr, Lines, Literal, Plan, Query, Statistic};

/// Survival as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurvivalSpec {
    /// The time at which a patient left: a number column, or days between two dates.
    pub time: Key,
    /// Whether they left by the event.
    pub event: Key,
    /// Other events that end the wait for this one, at most [`limits::COMPETING`]. Who has several left by the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub competing: Vec<Key>,
    /// One curve for every combination of these keys' levels.
    pub by: Vec<Key>,
    /// The ascending ends of the intervals, each above 0; the last is where the study of it ends.
    pub grid: Vec<f64>,
    /// At which shares of patients with an event to give the time.
    pub at: Vec<f64>,
    /// The level of all confidence intervals.
    pub confidence: f64,
    /// How those of a curve are made.
    pub band: Band,
    /// A site that keeps fewer intervals of a group is left out of its curve. A node never looks at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_intervals: Option<u32>,
}

/// What is wrong with the fewest intervals that a site may keep of so many, if anything.
pub(super) fn least_problem(least: u32, intervals: usize) -> Option<String> {
    let problem = format!("a site keeps from 1 to all {intervals} intervals of the grid");
    (!(1..=intervals).contains(&(least as usize))).then_some(problem)
}

/// The scale on which a confidence interval of a curve is symmetric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Band {
    /// log(−log S): never outside 0 … 1.
    LogLog,
    /// S itself.
    Plain,
}

/// How a patient left, in the order of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Nothing is known: no time, one before 0, or an event that is neither true nor false.
    Unknown,
    /// Without an event, or event-free at the grid's end.
    Free,
    /// By the event.
    Event,
    /// By the competing event of this number.
    Competing(usize),
}

/// What is wrong with a level of confidence, if anything.
pub(super) fn level_problem(confidence: f64) -> Option<String> {
    let problem = "a level of confidence is 0.5 or more, and below 1";
    (!(0.5..1.0).contains(&confidence)).then(|| problem.to_owned())
}

impl Exit {
    /// Whether it is the event, or one that competes with it.
    pub fn is_event(self) -> bool {
        matches!(self, Exit::Event | Exit::Competing(_))
    }
}

impl SurvivalSpec {
    /// Every way of leaving, in the order of the lines.
    pub fn exits(&self) -> Vec<Exit> {
        let competing = (0..self.competing.len()).map(Exit::Competing);
        [Exit::Unknown, Exit::Free, Exit::Event].into_iter().chain(competing).collect()
    }

    /// Its headings, as the researcher wrote them.
    pub(super) fn headings(&self) -> impl Iterator<Item = &str> {
        [&self.time, &self.event].into_iter().chain(&self.competing).chain(&self.by).map(|key| key.label.as_str())
    }

    /// What is wrong with the numbers, if anything, with the name of the key.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let ascending = self.grid.windows(2).all(|w| w[0] < w[1]) && self.grid.iter().all(|end| end.is_finite());
        if !ascending || !(1..=limits::BREAKS).contains(&self.grid.len()) || self.grid.iter().any(|end| *end <= 0.0) {
            return Some(("grid", format!("a grid has 1 to {} ascending ends above 0", limits::BREAKS)));
        }
        if self.competing.len() > limits::COMPETING {
            return Some(("competing", format!("at most {} competing events", limits::COMPETING)));
        }
        if let Some(problem) = self.least_intervals.and_then(|least| least_problem(least, self.grid.len())) {
            return Some(("least_intervals", problem));
        }
        let confidence = level_problem(self.confidence).map(|problem| ("confidence", problem));
        confidence.or_else(|| QuantilesSpec::problem_of(&self.at).map(|problem| ("at", problem)))
    }

    pub(super) fn plan(&self, query: Query) -> Result<Plan, PublicError> {
        if let Some((key, problem)) = self.problem() {
            return Err(PublicError::new(ErrorCode::StudyInvalid, format!("{key}: {problem}")));
        }
        let by = self.by.iter().map(|key| key.key.clone()).chain([self.exit()]).collect();
        let lines = Lines { by, of: self.time.key.clone(), edges: self.grid.clone() };
        Ok(Plan { query, statistic: Statistic::Bins(Bins::Lines(lines)) })
    }

    /// How a patient left, as a key whose levels are those of [`SurvivalSpec::exits`].
    fn exit(&self) -> Expr {
        let boxed = |of: &Expr| Box::new(of.clone());
        let time = |op, to| Expr::Compare { op, left: boxed(&self.time.key), right: Box::new(Expr::Literal(to)) };
        let events = || std::iter::once(&self.event).chain(&self.competing).map(|event| &event.key);
        let nothing = std::iter::once(&self.time.key).chain(events()).map(|of| Expr::IsNull(boxed(of)));
        let unknown = Expr::Or(nothing.chain([time(Comparison::Less, Literal::Int(0))]).collect());
        let end = self.grid.last().copied().unwrap_or_default();
        let reached = time(Comparison::GreaterOrEqual, Literal::Float(end));
        let level = |i: usize| Expr::Literal(Literal::Text(i.to_string()));
        let conditions = [unknown, reached].into_iter().chain(events().cloned());
        let branches: Vec<Branch> = conditions.enumerate().map(|(i, when)| Branch { when, then: level(i) }).collect();
        // Whoever left otherwise did so without an event.
        let otherwise = Some(Box::new(level(1)));
        Expr::Case { branches, otherwise }
    }
}
