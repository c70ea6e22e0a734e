//! What is published of a pooled table: the publication rule, intervals, statistics, coverage.
//!
//! **The rule.** A number is published only if at least `min_sites` sites stand behind it. Where fewer do, nothing of it may show, not even as
//! the width of an interval: an end that fewer sites stand behind is first rounded up to a power of two, so that subtracting what is published
//! elsewhere yields no single site's count.

use bocage_protocol::analysis::{Show, TableSpec};
use bocage_protocol::plan::{Measure, MeasureLayout};

use super::pool::{Bounds, Pool, Pooled, PooledMeasure};
use super::rounded::share_ends;
use crate::api::types::{Block, Coverage, Hidden, HiddenReason, Interval, Value, Within};

/// What a column of the answer is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Count,
    Rows,
    Of(usize, Statistic),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Statistic {
    Sum,
    Mean,
    Sd,
}

/// Whether a column can show what it asks of its measure.
pub(super) fn fits(show: &Show, measure: Option<&MeasureLayout>) -> bool {
    match show {
        Show::Count | Show::Rows => true,
        Show::Sum(_) | Show::Mean(_) | Show::Sd(_) => matches!(measure, Some(MeasureLayout::Number(_))),
        Show::Share(_) => matches!(measure, Some(MeasureLayout::Condition)),
    }
}

/// The published form of a pool.
pub(super) fn publish(spec: &TableSpec, pool: &Pool<'_>, min_sites: u32) -> Block {
    let measures = spec.measures();
    let columns: Vec<Column> = spec.show.iter().map(|s| column(&s.show, &measures)).collect();
    let mut writer = Writer { pool, min_sites, keys: spec.by.len(), hidden: vec![], coverage: vec![], within: vec![] };
    let rows = (0..pool.cells.len()).map(|row| writer.row(row, &columns)).collect();
    let headings = spec.by.iter().map(|k| k.label.clone()).chain(spec.show.iter().map(|s| s.label.clone()));
    let Writer { hidden, coverage, within, .. } = writer;
    Block { columns: headings.collect(), rows, hidden, coverage, within }
}

fn column(show: &Show, measures: &[&Measure]) -> Column {
    let at = |wanted: &Measure| measures.iter().position(|m| *m == wanted).unwrap_or_default();
    match show {
        Show::Count => Column::Count,
        Show::Rows => Column::Rows,
        Show::Sum(m) => Column::Of(at(m), Statistic::Sum),
        Show::Mean(m) | Show::Share(m) => Column::Of(at(m), Statistic::Mean),
        Show::Sd(m) => Column::Of(at(m), Statistic::Sd),
    }
}

impl Block {
    /// A statistic, or a null whose reason is recorded.
    pub(super) fn value_or_hidden(
        &mut self,
        row: usize,
        column: usize,
        value: Option<f64>,
        reason: HiddenReason,
    ) -> Value {
        match value {
            Some(x) => Value::Number(x),
            None => {
                self.hidden.push(Hidden { row, column, interval: None, reason });
                Value::Null
            }
        }
    }

    /// A count that is exact, or a null with the interval that holds it: its own, which it has for `inexact`, or `cohort` where nothing of it may
    /// show.
    pub(super) fn count_or_hidden(
        &mut self,
        (row, column): (usize, usize),
        count: Result<Interval, HiddenReason>,
        inexact: HiddenReason,
        cohort: Interval,
    ) -> Value {
        let (interval, reason) = match count {
            Ok(Interval(lo, Some(hi))) if lo == hi => return Value::Count(lo),
            Ok(interval) => (interval, inexact),
            Err(reason) => (cohort, reason),
        };
        self.hidden.push(Hidden { row, column, interval: Some(interval), reason });
        Value::Null
    }
}

struct Writer<'a> {
    pool: &'a Pool<'a>,
    min_sites: u32,
    keys: usize,
    hidden: Vec<Hidden>,
    coverage: Vec<Coverage>,
    within: Vec<Within>,
}

impl Writer<'_> {
    fn row(&mut self, row: usize, columns: &[Column]) -> Vec<Value> {
        let mut values: Vec<Value> = self.pool.labels(row).into_iter().map(Value::Text).collect();
        for (index, column) in columns.iter().enumerate() {
            let value = self.value(row, self.keys + index, *column);
            values.push(value);
        }
        values
    }

    fn value(&mut self, row: usize, at: usize, column: Column) -> Value {
        let cell = &self.pool.cells[row];
        let enough = cell.sites >= self.min_sites;
        let answer = match column {
            Column::Count if enough => self.count(&cell.subjects, cell),
            Column::Rows if enough => self.count(&cell.rows, cell),
            Column::Count => Err((Some(self.cohort(self.pool.cohort_subjects)), HiddenReason::TooFewSites)),
            Column::Rows => Err((Some(self.cohort(self.pool.cohort_rows)), HiddenReason::TooFewSites)),
            Column::Of(measure, statistic) => {
                let pooled = &cell.measures[measure];
                if enough && pooled.sites >= self.min_sites {
                    statistic.of(pooled, &self.pool.measure(measure)).ok_or((None, HiddenReason::TooFewValues))
                } else {
                    Err((None, HiddenReason::TooFewSites))
                }
            }
        };
        match answer {
            Ok(value) => {
                if let Column::Of(measure, _) = column {
                    let pooled = &cell.measures[measure];
                    // In the sites' own numbers, as those of the measure are.
                    let of = self.interval(&Bounds { off: 0, ..cell.rows }, cell);
                    self.coverage.push(Coverage { row, column: at, n: pooled.rows, of, off: cell.rows.off });
                }
                if let Column::Of(measure, statistic) = column
                    && let Some((from, to)) =
                        statistic.ends(&cell.measures[measure], &self.pool.measure(measure), self.min_sites)
                {
                    self.within.push(Within { row, column: at, from, to });
                }
                value
            }
            Err((interval, reason)) => {
                self.hidden.push(Hidden { row, column: at, interval, reason });
                Value::Null
            }
        }
    }

    fn count(&self, bounds: &Bounds, cell: &Pooled) -> Result<Value, (Option<Interval>, HiddenReason)> {
        match self.interval(bounds, cell) {
            Interval(lo, Some(hi)) if lo == hi => Ok(Value::Count(lo)),
            interval => Err((Some(interval), bounds.inexact())),
        }
    }

    /// Where a number of a cell lies that enough sites show.
    fn interval(&self, bounds: &Bounds, cell: &Pooled) -> Interval {
        let coarser = match cell.coarser_sites {
            0 => 0,
            sites if sites >= self.min_sites => bounds.coarser,
            _ => bounds.coarser.next_power_of_two(),
        };
        let (least, most) = (bounds.shown.saturating_sub(bounds.off), bounds.shown + bounds.off);
        Interval(least, bounds.below_k.map(|below| most + below + coarser))
    }

    /// Where a number lies of which nothing may show but that it is part of the cohorts.
    fn cohort(&self, upper: Option<u64>) -> Interval {
        let enough = self.pool.sites >= self.min_sites;
        Interval(0, upper.filter(|_| enough).map(u64::next_power_of_two))
    }
}

impl Bounds {
    /// Why it is not exact.
    fn inexact(&self) -> HiddenReason {
        match (self.below_k, self.coarser) {
            (Some(0), 0) => HiddenReason::Rounded,
            _ => HiddenReason::FewerThanK,
        }
    }
}

impl Statistic {
    /// Where the statistic lies, where sites round.
    fn ends(self, pooled: &PooledMeasure, layout: &MeasureLayout, min_sites: u32) -> Option<(f64, f64)> {
        let sums = pooled.rounded_sums(min_sites)?;
        Some(match (self, layout) {
            (Statistic::Sum, MeasureLayout::Number(quantum)) => sums.sum_ends(*quantum),
            (Statistic::Mean, MeasureLayout::Number(quantum)) => sums.mean_ends(*quantum),
            (Statistic::Sd, MeasureLayout::Number(quantum)) => sums.sd_ends(*quantum),
            (_, MeasureLayout::Condition) => share_ends(pooled.holds, pooled.rows, pooled.off()),
        })
    }

    /// The statistic over all sites that show the measure, or none where it needs more values.
    fn of(self, pooled: &PooledMeasure, layout: &MeasureLayout) -> Option<Value> {
        let n = pooled.rows;
        let value = match (self, layout) {
            (Statistic::Sum, MeasureLayout::Number(quantum)) => quantum.sum(n, pooled.sum),
            (Statistic::Mean, MeasureLayout::Number(quantum)) if n >= 1 => quantum.mean(n, pooled.sum),
            (Statistic::Sd, MeasureLayout::Number(quantum)) if n >= 2 => {
                quantum.variance(n, pooled.sum, pooled.sum_sq).sqrt()
            }
            (Statistic::Mean, MeasureLayout::Condition) if n >= 1 => pooled.holds as f64 / n as f64,
            _ => return None,
        };
        value.is_finite().then_some(Value::Number(value))
    }
}
