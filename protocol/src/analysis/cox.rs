//! A model of proportional hazards (Cox 1972), with a baseline for each site or one along a grid: fitted by Newton's method over several rounds, and one more at its end.

use serde::{Deserialize, Serialize};

use super::survival::least_problem;
use super::{Contrast, Named, Pooling, RoundState, Term};
use crate::error::{ErrorCode, PublicError};
use crate::limits;
use crate::plan::{Explains, Expr, Factor, Hazard, Measure, Model, Plan, Position, Query, Spline, Statistic};

/// A Cox model as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoxSpec {
    /// As the researcher wrote it.
    pub formula: String,
    /// When the event comes, and among whom.
    pub hazard: Hazard,
    /// By what it is explained.
    pub terms: Vec<Term>,
    /// The coverage of confidence intervals, from 0.5 to below 1.
    pub confidence: f64,
    /// Patients of whom is said how long they go without the event, at most [`limits::COX_PATTERNS`]. A node never looks at them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<Pattern>,
    /// Combinations of coefficients. A node never looks at them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contrasts: Vec<Contrast>,
    /// Along a grid: a site that keeps fewer of its intervals is left out. A node never looks at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_intervals: Option<u32>,
    /// Where every site is fitted by itself: how their estimates are put together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub two_stage: Option<Pooling>,
}

/// A patient who may be none of the data: of each number and key of the terms a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// As the researcher wrote it.
    pub label: String,
    /// The numbers.
    pub numbers: Vec<(Measure, f64)>,
    /// The levels of the keys.
    pub levels: Vec<(Expr, u32)>,
}

impl Pattern {
    /// The value that a factor of a column takes before it is scaled, given the functions of splines.
    pub fn value(&self, factor: &Factor) -> Option<f64> {
        let number = |of: &Measure| self.numbers.iter().find(|(known, _)| known == of).map(|(_, value)| *value);
        match factor {
            Factor::Number(of) => number(of),
            Factor::Level { key, level } => {
                let found = self.levels.iter().find(|(known, _)| known == key)?;
                Some(f64::from(u8::from(found.1 == *level)))
            }
            Factor::Spline { of, knots, at } => Some(Spline::new(knots, *at)?.value(number(of)?)),
        }
    }
}

impl CoxSpec {
    /// Its columns, term by term.
    pub fn columns(&self) -> impl Iterator<Item = &Named> {
        self.terms.iter().flat_map(|term| &term.columns)
    }

    /// Every text of the researcher that the answer repeats.
    pub fn headings(&self) -> Vec<&str> {
        let labels = self.columns().map(|column| column.label.as_str());
        let patterns = self.patterns.iter().map(|pattern| pattern.label.as_str());
        let terms = self.terms.iter().map(|term| term.label.as_str());
        let contrasts = self.contrasts.iter().map(|contrast| contrast.label.as_str());
        std::iter::once(self.formula.as_str()).chain(terms).chain(labels).chain(patterns).chain(contrasts).collect()
    }

    /// What is wrong with the fewest intervals that a site may keep, if anything.
    pub fn least_problem(&self) -> Option<String> {
        let least = self.least_intervals?;
        match &self.hazard.grid {
            Some(grid) => least_problem(least, grid.ends.len()),
            None => Some("`least_intervals` is of a grid, and there is none".to_owned()),
        }
    }

    /// Where the fit begins.
    pub fn start(&self) -> Position {
        Position::of_hazards(self.columns().count())
    }

    pub(super) fn plan(&self, query: Query, round: u16, state: &RoundState) -> Result<Plan, PublicError> {
        let mut hazard = self.hazard.clone();
        if let Some(grid) = &mut hazard.grid {
            grid.stay = None;
        }
        let later = round > 0 && round < limits::MODEL_ROUNDS;
        let at = match (state, &mut hazard.grid) {
            (RoundState::First, _) if round == 0 => self.start(),
            (RoundState::At(at), None) if later => at.clone(),
            (RoundState::Along { at, stay }, Some(grid)) if later => {
                grid.stay = Some(stay.clone());
                at.clone()
            }
            _ => {
                let most = limits::MODEL_ROUNDS;
                let message = format!("a cox model has {most} rounds, each but the first with numbers");
                return Err(PublicError::new(ErrorCode::RoundInvalid, message));
            }
        };
        if !(0.5..1.0).contains(&self.confidence) {
            return Err(PublicError::new(ErrorCode::StudyInvalid, "`confidence` is from 0.5 to below 1"));
        }
        let fits = |pattern: &Pattern| {
            let mut factors = self.columns().flat_map(|column| &column.of);
            factors.all(|factor| pattern.value(factor).is_some_and(f64::is_finite))
        };
        if self.patterns.len() > limits::COX_PATTERNS || !self.patterns.iter().all(fits) {
            let message =
                format!("at most {} patients, each with a value for all terms, are in `at`", limits::COX_PATTERNS);
            return Err(PublicError::new(ErrorCode::StudyInvalid, message));
        }
        if let Some(problem) = self.least_problem() {
            return Err(PublicError::new(ErrorCode::StudyInvalid, problem));
        }
        let width = self.columns().count();
        let fits = |contrast: &Contrast| contrast.fits(width, false);
        if self.contrasts.len() > limits::MODEL_COLUMNS || !self.contrasts.iter().all(fits) {
            return Err(PublicError::new(ErrorCode::StudyInvalid, "contrasts are combinations of the model's columns"));
        }
        let more = !self.contrasts.is_empty()
            || hazard.grid.is_some()
            || hazard.proportionality.is_some()
            || !self.patterns.is_empty();
        if self.two_stage.is_some() && more {
            let message = "a Cox model in two stages is that of each site by itself, without grid, patterns, contrasts and test of proportionality";
            return Err(PublicError::new(ErrorCode::StudyInvalid, message));
        }
        let columns = self.columns().map(|column| column.of.clone()).collect();
        let model = Model { explains: Explains::Hazard(Box::new(hazard)), columns, by_site: false, at, folds: None };
        Ok(Plan { query, statistic: Statistic::Model(model) })
    }
}
