//! What the parts of a summary say of one column. It never knows more than they published.

use bocage_protocol::analysis::{Show, Spec};
use bocage_protocol::plan::MISSING;

use super::label;
use crate::analysis::quantiles::VALUES;
use crate::api::types::{AnalysisResult, Block, Coverage, Hidden, HiddenReason, Interval, Value, Within};

/// A value, or why there is none and where it lies.
pub(in crate::analysis) type Found = Result<Value, (Option<Interval>, HiddenReason)>;

/// The parts of one column.
#[derive(Debug)]
pub(super) struct ColumnRow<'a> {
    pub column: &'a str,
    /// How many, mean and standard deviation of a number; one row.
    pub table: Option<&'a Block>,
    /// The share of rows without a value; one row.
    pub absent: Option<&'a Block>,
    /// Counts by level: all of them, unless there is a table too.
    pub levels: Option<&'a Block>,
    pub quantiles: Option<&'a Block>,
    /// How many have a value, beside the quantiles.
    pub patients: Option<&'a Block>,
}

impl<'a> ColumnRow<'a> {
    pub(super) fn new(column: &'a str) -> Self {
        Self { column, table: None, absent: None, levels: None, quantiles: None, patients: None }
    }

    /// Takes in a part.
    pub(super) fn take(&mut self, spec: &Spec, result: &'a AnalysisResult) {
        match spec {
            Spec::Quantiles(_) => {
                self.quantiles = Some(&result.block);
                self.patients = result.also.iter().map(|named| &named.block).find(|block| block.columns == VALUES);
            }
            Spec::Table(table) if !table.by.is_empty() => self.levels = Some(&result.block),
            Spec::Discovered(_) => self.levels = Some(&result.block),
            Spec::Table(table) => {
                let shows = |what: fn(&Show) -> bool| table.show.iter().any(|shown| what(&shown.show));
                let (share, mean) = (shows(|s| matches!(s, Show::Share(_))), shows(|s| matches!(s, Show::Mean(_))));
                self.absent = share.then_some(&result.block);
                self.table = (mean || !share).then_some(&result.block);
            }
            // No other kind is a part of a summary.
            _ => {}
        }
    }

    /// How many have a value, and how many have none.
    pub(super) fn present(&self) -> (Found, Found) {
        if let Some(block) = self.patients {
            return (found(block, 0, 0), found(block, 0, 1));
        }
        match (self.absent, self.table) {
            // Few with or without a value hide the share, not the mean.
            (Some(block), table) => match (of_share(block), table) {
                ((Err((None, _)), _), Some(table)) => of_measure(table),
                (present, _) => present,
            },
            (None, Some(block)) if self.quantiles.is_some() => of_measure(block),
            // Where it is not asked how many have no value, none can be missing.
            (None, Some(block)) => (found(block, 0, 0), Ok(Value::Count(0))),
            (None, None) => match self.levels {
                Some(block) => of_levels(block),
                None => (Err((None, HiddenReason::TooFewSites)), Err((None, HiddenReason::TooFewSites))),
            },
        }
    }

    /// The share of each level in those with a value; none for the level of missing values.
    pub(super) fn shares(&self) -> Vec<Option<Found>> {
        let Some(block) = self.levels else { return vec![] };
        let valid = self.present().0;
        let share = |row: usize| match (found(block, row, 1), &valid) {
            (Ok(Value::Count(n)), Ok(Value::Count(all))) if *all > 0 => Ok(Value::Number(n as f64 / *all as f64)),
            (Ok(_), Ok(_)) => Err((None, HiddenReason::TooFewValues)),
            (Err((_, reason)), _) => Err((None, reason)),
            (Ok(_), Err(_)) => Err((None, HiddenReason::NotAllExact)),
        };
        (0..block.rows.len()).map(|row| (!is_missing(block, row)).then(|| share(row))).collect()
    }
}

fn is_missing(block: &Block, row: usize) -> bool {
    label(&block.rows[row]) == Some(MISSING)
}

/// A value of a block, with what is said of it where it is hidden.
pub(in crate::analysis) fn found(block: &Block, row: usize, column: usize) -> Found {
    match block.rows.get(row).and_then(|values| values.get(column)) {
        Some(Value::Null) | None => {
            let hidden = block.hidden.iter().find(|hidden| (hidden.row, hidden.column) == (row, column));
            Err(hidden.map_or((None, HiddenReason::TooFewSites), |hidden| (hidden.interval, hidden.reason)))
        }
        Some(value) => Ok(value.clone()),
    }
}

/// Where a count lies, and why it is not exact.
fn bounds(found: &Found) -> (Option<Interval>, Option<HiddenReason>) {
    match found {
        Ok(Value::Count(n)) => (Some(Interval(*n, Some(*n))), None),
        Ok(_) => (None, None),
        Err((interval, reason)) => (*interval, Some(*reason)),
    }
}

/// A count within bounds.
fn within(interval: Option<Interval>, reason: HiddenReason) -> Found {
    match interval {
        Some(Interval(lo, Some(hi))) if lo == hi => Ok(Value::Count(lo)),
        interval => Err((interval, reason)),
    }
}

/// From counts by level: of patients with one row each, or of rows.
fn of_levels(block: &Block) -> (Found, Found) {
    let missing = (0..block.rows.len()).find(|row| is_missing(block, *row));
    let missing = missing.map_or(Ok(Value::Count(0)), |row| found(block, row, 1));
    let levels: Vec<_> =
        (0..block.rows.len()).filter(|row| !is_missing(block, *row)).map(|row| bounds(&found(block, row, 1))).collect();
    let lower = levels.iter().filter_map(|(interval, _)| interval.map(|i| i.0)).sum::<u64>();
    let upper = levels.iter().map(|(interval, _)| interval.and_then(|i| i.1)).sum::<Option<u64>>();
    let few = levels.iter().any(|(_, reason)| *reason == Some(HiddenReason::TooFewSites));
    let rounded = levels.iter().all(|(_, reason)| reason.is_none_or(|reason| reason == HiddenReason::Rounded));
    let reason = match (few, rounded) {
        (true, _) => HiddenReason::TooFewSites,
        (false, true) => HiddenReason::Rounded,
        (false, false) => HiddenReason::FewerThanK,
    };
    (within(Some(Interval(lower, upper)), reason), missing)
}

/// From a share of rows without a value: it is over `n` of all rows, the rest may be either.
fn of_share(block: &Block) -> (Found, Found) {
    let column = block.columns.len() - 1;
    let coverage = block.coverage.iter().find(|coverage| coverage.column == column);
    match (found(block, 0, column), coverage) {
        (Ok(Value::Number(share)), Some(coverage)) => {
            let absent = (share * coverage.n as f64).round() as u64;
            let present = coverage.n - absent.min(coverage.n);
            let rest = coverage.of.1.map(|hi| hi.saturating_sub(coverage.n));
            // The difference of two numbers that are off, and of what is beside them.
            let off = 2 * coverage.off;
            let interval = |n: u64| Some(Interval(n.saturating_sub(off), rest.map(|rest| n + rest + off)));
            let reason = inexact(coverage, rest);
            (within(interval(present), reason), within(interval(absent), reason))
        }
        (Err((_, reason)), _) => (Err((None, reason)), Err((None, reason))),
        _ => (Err((None, HiddenReason::TooFewSites)), Err((None, HiddenReason::TooFewSites))),
    }
}

/// From a mean: `n` rows have a value where it is shown, the rest may or may not.
fn of_measure(block: &Block) -> (Found, Found) {
    let Some(coverage) = block.coverage.first() else {
        let reason = block.hidden.iter().map(|hidden| hidden.reason).next_back().unwrap_or(HiddenReason::TooFewSites);
        return (Err((None, reason)), Err((None, reason)));
    };
    let (off, rest) = (coverage.off, coverage.of.1.map(|hi| hi.saturating_sub(coverage.n)));
    let valid = Interval(coverage.n.saturating_sub(off), coverage.of.1.map(|hi| hi + off));
    let missing = Interval(0, rest.map(|rest| rest + 2 * off));
    let reason = inexact(coverage, rest);
    (within(Some(valid), reason), within(Some(missing), reason))
}

/// Why a number beside which there may be so many others is not exact.
fn inexact(coverage: &Coverage, rest: Option<u64>) -> HiddenReason {
    if coverage.off > 0 && rest == Some(0) { HiddenReason::Rounded } else { HiddenReason::FewerThanK }
}

impl Block {
    /// Puts a value at a place of the row that is being made; what is hidden is recorded.
    pub(in crate::analysis) fn place(&mut self, row: usize, column: usize, found: Found) -> Value {
        found.unwrap_or_else(|(interval, reason)| {
            self.hidden.push(Hidden { row, column, interval, reason });
            Value::Null
        })
    }

    /// Puts a value of another block at a place of the row that is being made, with its coverage.
    pub(in crate::analysis) fn copy(&mut self, row: usize, column: usize, from: &Block, at: (usize, usize)) -> Value {
        let coverage = from.coverage.iter().filter(|coverage| (coverage.row, coverage.column) == at);
        self.coverage.extend(coverage.cloned().map(|mut coverage| {
            (coverage.row, coverage.column) = (row, column);
            coverage
        }));
        let within = from.within.iter().filter(|within| (within.row, within.column) == at);
        self.within.extend(within.map(|within| Within { row, column, ..*within }));
        self.place(row, column, found(from, at.0, at.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number of a contract with several rows a patient, of 100 rows at all sites.
    fn number(share: Option<f64>) -> Block {
        let columns = ["rows", "mean(x)", "sd(x)", "share(x is null)"].map(str::to_owned).to_vec();
        let shown = share.map_or(Value::Null, Value::Number);
        let rows = vec![vec![Value::Count(100), Value::Number(1.0), Value::Number(2.0), shown]];
        let coverage = [(1, 80), (2, 80), (3, 100)];
        let coverage =
            coverage.map(|(column, n)| Coverage { row: 0, column, n, of: Interval(100, Some(100)), off: 0 }).to_vec();
        let reason = HiddenReason::FewerThanK;
        let hidden = share.is_none().then_some(Hidden { row: 0, column: 3, interval: None, reason });
        Block { columns, rows, coverage, hidden: hidden.into_iter().collect(), within: vec![] }
    }

    fn present(block: &Block) -> (Found, Found) {
        ColumnRow { table: Some(block), absent: Some(block), ..ColumnRow::new("x") }.present()
    }

    #[test]
    fn rows_without_a_number_are_counted_by_their_share_and_else_bounded_by_the_mean() {
        assert_eq!(present(&number(Some(0.2))), (Ok(Value::Count(80)), Ok(Value::Count(20))));
        let bounded = |lo, hi| Err((Some(Interval(lo, Some(hi))), HiddenReason::FewerThanK));
        assert_eq!(present(&number(None)), (bounded(80, 100), bounded(0, 20)));
    }

    #[test]
    fn levels_that_are_not_all_have_shares_of_those_who_have_a_value() {
        let text = |name: &str| Value::Text(name.into());
        let rows = vec![vec![text("icu"), Value::Count(40)], vec![text(MISSING), Value::Count(20)]];
        let levels = Block { columns: ["ward", "rows"].map(str::to_owned).to_vec(), rows, ..Block::default() };
        let (of, all) = (number(Some(0.2)), ColumnRow::new("ward"));
        let row = ColumnRow { table: Some(&of), absent: Some(&of), levels: Some(&levels), ..all };
        assert_eq!(row.present(), (Ok(Value::Count(80)), Ok(Value::Count(20))));
        assert_eq!(row.shares(), [Some(Ok(Value::Number(0.5))), None]);
    }
}
