//! Proportional hazards (Cox 1972): what is explained is when an event comes. A step's sums are those of the partial likelihood over the risk sets
//! of one site: score, observed information, log-likelihood. No risk set leaves by itself.

use serde::{Deserialize, Serialize};

use super::Scale;
use super::grid::{SharedGrid, TimeGrid};
use super::layout::Check;
use crate::ids::ColumnName;
use crate::limits;
use crate::plan::typing::{Columns, TypeProblem, check_condition};
use crate::plan::{Expr, Measure};

/// When an event comes, and among whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hazard {
    /// The time at which a patient has the event, or is seen without it for the last time.
    pub time: Measure,
    /// The time from which on a patient is watched: at risk after it. Without it, from the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Measure>,
    /// The condition that says which of the two happened.
    pub event: Expr,
    /// A number that is added to the linear predictor as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<Measure>,
    /// What is done with events of the same time.
    pub ties: Ties,
    /// Each combination of these keys' levels has a baseline of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strata: Vec<Expr>,
    /// Along which grid all sites have one baseline. Without it each has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<TimeGrid>,
    /// Whether the squares of patients' scores are summed at the end of the fit, for robust standard errors.
    pub robust: bool,
    /// Along which clock proportionality is tested at the end of the fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proportionality: Option<TimeScale>,
}

/// What is done with events of the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    /// Breslow (1974): each has the risk set of all.
    Breslow,
    /// Efron (1977): each has the mean of the risk sets that an order of them would leave.
    Efron,
}

/// A clock along which coefficients may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeScale {
    /// Time itself.
    Identity,
    /// Its logarithm.
    Log,
}

/// What of a row says when it is at risk, by its inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct RiskSlots {
    /// The time among the measures.
    pub time: usize,
    /// The time of entry among the measures.
    pub start: Option<usize>,
    /// The keys whose levels make strata.
    pub strata: Vec<usize>,
    /// A patient can have several rows, each for a part of the time.
    pub several: bool,
    /// Time on the clock of the test of proportionality.
    pub clock: Option<(TimeScale, Scale)>,
    /// The grid of the baseline that all sites have.
    pub shared: Option<SharedGrid>,
    pub(super) robust: bool,
}

impl RiskSlots {
    /// A moment on the clock of the test of proportionality, from −1 to 1.
    pub fn clock(&self, time: f64) -> f64 {
        match self.clock {
            Some((TimeScale::Identity, scale)) => scale.apply(time),
            Some((TimeScale::Log, scale)) => scale.apply(time.ln()),
            None => 0.0,
        }
    }
}

/// Where the sums of a step of a Cox model stand among its numbers. What is summed at the end only has no place before.
#[derive(Debug, Clone, Copy)]
pub struct CoxSums {
    /// Columns.
    pub width: usize,
    /// The sums are those of the end of a fit.
    pub closing: bool,
    /// Those of scores' squares are among them.
    pub robust: bool,
    /// Those of the test of proportionality are among them.
    pub timed: bool,
}

impl CoxSums {
    /// Events.
    pub const EVENTS: usize = 0;
    /// The logarithm of the partial likelihood.
    pub const LOG_LIKELIHOOD: usize = 1;
    /// Those of single numbers.
    pub const SCALARS: usize = 2;

    fn triangle(self) -> usize {
        self.width * (self.width + 1) / 2
    }

    fn at_end(self, is: bool, size: usize) -> usize {
        if self.closing && is { size } else { 0 }
    }

    /// The score.
    pub fn score(self) -> std::ops::Range<usize> {
        Self::SCALARS..Self::SCALARS + self.width
    }

    /// The lower triangle of the information, row by row.
    pub fn information(self) -> std::ops::Range<usize> {
        let begin = self.score().end;
        begin..begin + self.triangle()
    }

    /// Pairs of patients of whom one has the event while the other is at risk: how many the model orders rightly, wrongly, and not at all.
    pub fn pairs(self) -> std::ops::Range<usize> {
        let begin = self.information().end;
        begin..begin + self.at_end(true, 3)
    }

    /// The lower triangle of the sum of the squares of patients' scores.
    pub fn squares(self) -> std::ops::Range<usize> {
        let begin = self.pairs().end;
        begin..begin + self.at_end(self.robust, self.triangle())
    }

    /// Σ g r: the Schoenfeld residuals, each times its moment on the clock.
    pub fn timed_score(self) -> std::ops::Range<usize> {
        let begin = self.squares().end;
        begin..begin + self.at_end(self.timed, self.width)
    }

    /// The lower triangle of Σ g V: the information of each event, times its moment on the clock.
    pub fn timed_information(self) -> std::ops::Range<usize> {
        let begin = self.timed_score().end;
        begin..begin + self.at_end(self.timed, self.triangle())
    }

    /// The lower triangle of Σ g² V.
    pub fn twice_timed_information(self) -> std::ops::Range<usize> {
        let begin = self.timed_information().end;
        begin..begin + self.at_end(self.timed, self.triangle())
    }

    /// How many numbers there are.
    pub fn values(self) -> usize {
        self.twice_timed_information().end
    }
}

impl RiskSlots {
    pub(super) fn sums(&self, width: usize, closing: bool) -> CoxSums {
        CoxSums { width, closing, robust: self.robust, timed: self.clock.is_some() }
    }
}

impl Hazard {
    /// The same along all ends of its grid, where it has one.
    pub(super) fn along_all(&self) -> Self {
        let grid = self.grid.as_ref().map(|grid| TimeGrid { stay: None, ..grid.clone() });
        Self { grid, ..self.clone() }
    }

    /// The same under other names, with its conditions in another form.
    pub(super) fn map(&self, measure: &impl Fn(&Measure) -> Measure, key: &impl Fn(&Expr) -> Expr) -> Self {
        Self {
            time: measure(&self.time),
            start: self.start.as_ref().map(measure),
            event: key(&self.event),
            offset: self.offset.as_ref().map(measure),
            strata: self.strata.iter().map(key).collect(),
            ..self.clone()
        }
    }

    pub(super) fn columns(&self) -> Vec<&ColumnName> {
        let measures = [Some(&self.time), self.start.as_ref(), self.offset.as_ref()];
        let keys = self.strata.iter().chain([&self.event]).flat_map(Expr::columns);
        measures.into_iter().flatten().flat_map(Measure::columns).chain(keys).collect()
    }
}

impl Check<'_> {
    /// The event's input, and what says when a row is at risk.
    pub(super) fn hazard(&mut self, hazard: &Hazard, width: usize) -> Option<(usize, RiskSlots)> {
        let event = match check_condition(&hazard.event, Columns::Contract(self.contract)) {
            Ok(()) => Some(self.input(&Measure::Condition(hazard.event.clone()), (0.0, 1.0))),
            Err(problem) => self.note("event", problem),
        };
        let time = self.number("time", &hazard.time);
        let start = match &hazard.start {
            Some(of) => Some(self.number("start", of)?),
            None => None,
        };
        let strata: Option<Vec<usize>> =
            hazard.strata.iter().enumerate().map(|(at, key)| self.key(&format!("strata[{at}]"), key)).collect();
        let strata = strata?;
        let combinations = strata.iter().map(|key| self.inputs.keys[*key].1.labels.len());
        let combinations = combinations.fold(1usize, usize::saturating_mul);
        if combinations > limits::COX_STRATA {
            let most = limits::COX_STRATA;
            let problem = TypeProblem::new(format!("the keys make {combinations} strata, a model has {most} at most"));
            return self.note("strata", problem.hint("group the keys' levels"));
        }
        let (event, time) = event.zip(time)?;
        let several = !self.contract.one_row_per_subject();
        let shared = match hazard.grid {
            Some(_) => Some(self.shared(hazard, width, combinations)?),
            None => None,
        };
        let clock = match hazard.proportionality {
            Some(scale) => Some(self.clock(scale, self.inputs.ranges[time])?),
            None => None,
        };
        Some((event, RiskSlots { time, start, strata, several, clock, shared, robust: hazard.robust }))
    }

    fn clock(&mut self, scale: TimeScale, (lo, hi): (f64, f64)) -> Option<(TimeScale, Scale)> {
        let ends = match scale {
            TimeScale::Identity => (lo, hi),
            TimeScale::Log if lo > 0.0 => (lo.ln(), hi.ln()),
            TimeScale::Log => {
                let problem = TypeProblem::new("the range of the time begins at 0 or below, which has no logarithm");
                return self.note("proportionality", problem.hint("proportionality = \"identity\""));
            }
        };
        let of = Scale::of(ends, true);
        if !(of.half > 0.0 && of.half.is_finite()) {
            return self.note("time", TypeProblem::new("the range allows one value only"));
        }
        Some((scale, of))
    }
}
