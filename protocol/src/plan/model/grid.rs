//! One baseline of hazards for all sites: times are rounded to the intervals of a declared grid, as a curve over a grid has them. A step's sums are
//! then of those who leave in one interval, by the event and otherwise; whoever has those of all sites adds up every risk set from the last interval
//! to the first, less those who come later. No risk set leaves a site by itself: the difference of two that follow each other would be the few who left or came between them.

use serde::{Deserialize, Serialize};

use super::Hazard;
use super::layout::Check;
use crate::ids::ColumnName;
use crate::limits;
use crate::plan::typing::TypeProblem;
use crate::plan::{DateUnit, Expr, Lines, Measure};

/// A declared grid, and which of its intervals a step is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeGrid {
    /// The ascending ends e₁ < … < eₙ of the intervals (−∞, e₁), [e₁, e₂), …. Who is still there at the last is there without the event.
    pub ends: Vec<f64>,
    /// Which of them stay, ascending, the last included: the intervals between are merged. Without it a site is asked which can stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stay: Option<Vec<u32>>,
    /// Of those who come late: nobody is in who comes from this end on. Without it, from the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enter_until: Option<f64>,
}

impl TimeGrid {
    /// The declared interval of a time; their number for one from the grid's end on.
    pub fn interval(&self, time: f64) -> usize {
        self.ends.partition_point(|end| *end <= time)
    }

    /// Of each declared interval that in which it is merged; none where a site is asked which ends can stay.
    pub fn merged(&self) -> Option<Vec<usize>> {
        let stay = self.stay.as_ref()?;
        Some((0..self.ends.len()).map(|own| stay.partition_point(|end| (*end as usize) < own)).collect())
    }

    /// The ends that stay; all of them where a site is asked which can.
    pub fn staying(&self) -> Vec<f64> {
        match &self.stay {
            Some(stay) => stay.iter().filter_map(|end| self.ends.get(*end as usize).copied()).collect(),
            None => self.ends.clone(),
        }
    }

    /// From when on nobody comes.
    pub fn last_entry(&self) -> f64 {
        let last = self.ends.last().copied().unwrap_or_default();
        self.enter_until.map_or(last, |until| until.min(last))
    }

    /// In how many of the intervals that stay, but the first, somebody can come.
    fn entering(&self) -> usize {
        let begins = self.staying();
        begins.iter().take(begins.len().saturating_sub(1)).filter(|begin| **begin < self.last_entry()).count()
    }

    fn is_in_order(&self) -> bool {
        let Some(stay) = &self.stay else { return true };
        stay.windows(2).all(|w| w[0] < w[1]) && stay.last().is_some_and(|last| *last as usize + 1 == self.ends.len())
    }
}

/// A grid with the strata whose baselines are along it.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedGrid {
    /// The grid.
    pub grid: TimeGrid,
    /// Strata by declared keys, one where there are none.
    pub strata: usize,
    /// Whether patients can come late: they are at risk from the begin of the interval in which they come.
    pub late: bool,
}

impl SharedGrid {
    /// Where the sums stand; none where a site is asked which ends can stay.
    pub fn sums(&self, width: usize, closing: bool, timed: bool) -> Option<GridSums> {
        let intervals = self.grid.stay.as_ref()?.len();
        let enters = if self.late { self.grid.entering() } else { 0 };
        Some(GridSums { width, strata: self.strata, intervals, enters, closing, timed })
    }
}

/// Where the sums of a step stand among its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GridSums {
    /// Columns.
    pub width: usize,
    /// Strata.
    pub strata: usize,
    /// Intervals.
    pub intervals: usize,
    /// How many of them, from the second on, have a group of those who come in them.
    pub enters: usize,
    /// The sums are those of the end of a fit.
    pub closing: bool,
    /// Those of the test of proportionality are among them.
    pub timed: bool,
}

impl GridSums {
    /// Σ of the linear predictors of those with the event.
    pub const PREDICTORS: usize = 0;

    fn triangle(self) -> usize {
        self.width * (self.width + 1) / 2
    }

    /// Σ of the columns of those with the event.
    pub fn columns(self) -> std::ops::Range<usize> {
        1..1 + self.width
    }

    /// As [`super::CoxSums::pairs`], within the site.
    pub fn pairs(self) -> std::ops::Range<usize> {
        let begin = self.columns().end;
        begin..begin + if self.closing { 3 } else { 0 }
    }

    /// Σ of the columns of those with the event, each times its moment on the clock.
    pub fn timed_columns(self) -> std::ops::Range<usize> {
        let begin = self.pairs().end;
        begin..begin + if self.closing && self.timed { self.width } else { 0 }
    }

    /// Strata times intervals, each of which has two groups.
    pub fn slots(self) -> usize {
        self.strata * self.intervals
    }

    /// How many have the event in an interval of a stratum.
    pub fn events(self, slot: usize) -> usize {
        self.timed_columns().end + slot
    }

    /// Σ w, Σ w x and the lower triangle of Σ w x xᵀ, row by row, of those who leave then: by the event, or otherwise.
    pub fn group(self, slot: usize, event: bool) -> std::ops::Range<usize> {
        let begin = self.events(self.slots()) + (2 * slot + usize::from(event)) * self.size();
        begin..begin + self.size()
    }

    /// The same of those who come in an interval of a stratum; none where that is known to be nobody.
    pub fn enter(self, stratum: usize, interval: usize) -> Option<std::ops::Range<usize>> {
        let place = stratum * self.enters + interval.checked_sub(1).filter(|place| *place < self.enters)?;
        let begin = self.group(self.slots(), false).start + place * self.size();
        Some(begin..begin + self.size())
    }

    fn size(self) -> usize {
        1 + self.width + self.triangle()
    }

    /// How many numbers there are.
    pub fn values(self) -> usize {
        self.group(self.slots(), false).start + self.strata * self.enters * self.size()
    }
}

impl Check<'_> {
    /// The grid of a hazard with so many columns and strata.
    pub(super) fn shared(&mut self, hazard: &Hazard, width: usize, strata: usize) -> Option<SharedGrid> {
        let grid = hazard.grid.clone()?;
        let Some(of) = along(&hazard.time) else {
            let problem = TypeProblem::new("a grid is along a number column, or the days between two dates");
            return self.note("time", problem.hint("leave `grid` out, or name the column itself"));
        };
        let lines = Lines { by: Vec::new(), of, edges: grid.ends.clone() };
        if let Err(problem) = lines.check_edges() {
            return self.note("grid", problem);
        }
        if let Err(problem) = lines.check_of(self.contract) {
            return self.note("time", problem);
        }
        if !grid.is_in_order() {
            return self
                .note("at", TypeProblem::new("the ends that stay are no ascending ones of the grid with its last"));
        }
        if hazard.start.is_some() && !self.contract.one_row_per_subject() {
            let problem = TypeProblem::new("along a grid a patient has one row");
            return self.note("start", problem.hint("leave `grid` out"));
        }
        let until = |until: &f64| hazard.start.is_some() && grid.ends.contains(until);
        if grid.enter_until.is_some_and(|known| !until(&known)) {
            let problem = TypeProblem::new("`enter_until` is an end of the grid, of patients who come late");
            return self.note("grid", problem.hint("surv(start, stop, event) says when they come"));
        }
        if hazard.robust && (hazard.offset.is_some() || hazard.start.is_some()) {
            let problem = TypeProblem::new("patients' scores along a grid know no offset, and nobody who comes late");
            return self.note(
                "robust",
                problem.hint("leave `grid`, the offset or the start out, or standard_errors = \"model\""),
            );
        }
        let timed = hazard.proportionality.is_some();
        let late = hazard.start.is_some();
        let enters = if late { grid.entering() } else { 0 };
        let sums = GridSums { width, strata, intervals: grid.ends.len(), enters, closing: true, timed };
        if sums.values() > limits::COX_GRID_VALUES {
            let (found, most) = (sums.values(), limits::COX_GRID_VALUES);
            let problem = TypeProblem::new(format!("a step has {found} numbers of a site, {most} at most"));
            return self.note("grid", problem.hint("wider intervals, fewer terms, or fewer strata"));
        }
        Some(SharedGrid { grid, strata, late })
    }
}

fn along(time: &Measure) -> Option<Expr> {
    let column = |name: &ColumnName| Expr::Column(name.clone());
    match time {
        Measure::Column(name) => Some(column(name)),
        Measure::Days { from, to } => {
            Some(Expr::Between { unit: DateUnit::Days, from: Box::new(column(from)), to: Box::new(column(to)) })
        }
        Measure::Ln(_) | Measure::Sqrt(_) | Measure::Product(..) | Measure::Condition(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_lies_below_the_end_of_its_interval() {
        let grid = TimeGrid { ends: vec![10.0, 20.0, 30.0, 40.0], stay: None, enter_until: None };
        let found: Vec<usize> = [0.0, 9.9, 10.0, 39.0, 40.0, 99.0].iter().map(|time| grid.interval(*time)).collect();
        assert_eq!(found, [0, 0, 1, 3, 4, 4]);
        assert_eq!((grid.merged(), grid.staying().len()), (None, 4));
        let some = TimeGrid { stay: Some(vec![1, 3]), ..grid };
        assert_eq!(some.merged(), Some(vec![0, 0, 1, 1]));
        assert_eq!(some.staying(), [20.0, 40.0]);
    }

    #[test]
    fn ends_that_stay_ascend_to_the_last() {
        let with = |stay: &[u32]| {
            let (ends, stay) = (vec![1.0, 2.0, 3.0], Some(stay.to_vec()));
            TimeGrid { ends, stay, enter_until: None }.is_in_order()
        };
        assert!(with(&[2]) && with(&[0, 2]));
        assert!(!with(&[]) && !with(&[0, 1]) && !with(&[1, 0, 2]) && !with(&[2, 2]) && !with(&[0, 3]));
    }

    #[test]
    fn sums_follow_each_other_without_gaps() {
        let sums = GridSums { width: 2, strata: 2, intervals: 3, enters: 0, closing: true, timed: true };
        assert_eq!((sums.columns(), sums.pairs(), sums.timed_columns()), (1..3, 3..6, 6..8));
        assert_eq!((sums.events(0), sums.events(5), sums.group(0, false)), (8, 13, 14..20));
        assert_eq!((sums.group(0, true), sums.group(1, false), sums.values()), (20..26, 26..32, 14 + 12 * 6));
        let late = GridSums { enters: 2, ..sums };
        let all = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (1, 3)].map(|(stratum, at)| late.enter(stratum, at));
        assert_eq!(all, [None, Some(86..92), Some(92..98), Some(98..104), Some(104..110), None]);
        assert_eq!((late.values(), sums.enter(0, 1)), (110, None));
    }

    #[test]
    fn nobody_comes_in_the_first_interval_or_from_the_last_entry_on() {
        let grid = TimeGrid { ends: vec![10.0, 20.0, 30.0, 40.0], stay: Some(vec![0, 1, 2, 3]), enter_until: None };
        assert_eq!(grid.entering(), 3);
        let until = |until: f64, stay: &[u32]| {
            TimeGrid { stay: Some(stay.to_vec()), enter_until: Some(until), ..grid.clone() }.entering()
        };
        // Of two ends that are merged into one interval, that interval.
        assert_eq!(
            [until(20.0, &[0, 1, 2, 3]), until(20.0, &[1, 3]), until(30.0, &[1, 3]), until(10.0, &[0, 3])],
            [1, 0, 1, 0]
        );
    }
}
