//! A pass over the offered rows of a table, patient by patient: which of a patient's rows count, and what is made of them.
//!
//! A patient's rows stand together and in one part, so each patient is done by one thread; the values are put in their places at the end. Rows of
//! nobody in the base are passed over.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use bocage_protocol::contract::Kind;
use bocage_protocol::ids::ColumnName;
use bocage_protocol::plan::Expr;
use polars::prelude as pl;
use polars::prelude::{Column, DataFrame, DataType, IntoLazy as _, StringChunked};

use super::Table;
use super::days::{Bounds, MS_PER_DAY};
use crate::custodian::engine::compile::{Scope, Unfit, condition};
use crate::custodian::engine::parts::{PartCount, Partition};
use crate::custodian::engine::pass::PassError;
use crate::custodian::engine::{EngineError, Fault, collect_on};
use crate::custodian::snapshot::Part;
use crate::custodian::source::SUBJECT;

/// No number that a snapshot holds: beyond every integer of a contract, and of the order of no finite double.
const NULL: i64 = i64::MIN;

/// Which rows of a table are looked at.
pub struct Look<'a> {
    pub table: Table<'a>,
    filter: Option<pl::Expr>,
    reads: BTreeSet<&'a str>,
    bounds: Option<Bounds>,
    value: Option<&'a ColumnName>,
    timed: bool,
    /// Features of the table's rows, by their names.
    made: Vec<(&'a str, &'a Column)>,
}

impl<'a> Look<'a> {
    /// At all.
    pub fn at(table: Table<'a>) -> Self {
        Self { table, filter: None, reads: BTreeSet::new(), bounds: None, value: None, timed: false, made: Vec::new() }
    }

    /// At those for which this is true.
    ///
    /// # Errors
    /// It is no condition over the table's contract.
    pub fn filtered(mut self, filter: &'a Expr) -> Result<Self, Unfit> {
        self.filter = Some(condition(filter, Scope::Snapshot(self.table.contract))?);
        self.reads = filter.columns().into_iter().map(ColumnName::as_str).collect();
        Ok(self)
    }

    /// At those within bounds.
    pub fn within(self, bounds: Bounds) -> Self {
        Self { bounds: Some(bounds), ..self }
    }

    /// At those with a value in this column.
    pub fn of(self, column: &'a ColumnName) -> Self {
        Self { value: Some(column), ..self }
    }

    /// With the days on which rows happened.
    pub fn timed(self) -> Self {
        Self { timed: true, ..self }
    }

    /// With a feature of the table's rows.
    pub fn with(mut self, name: &'a str, values: &'a Column) -> Self {
        self.made.push((name, values));
        self
    }

    /// The values of a column, or of a feature of the rows that it was given; only those of offered rows may be read.
    pub fn column(&self, name: &str) -> Option<&'a Column> {
        let made = self.made.iter().find(|(known, _)| *known == name).map(|(_, values)| *values);
        made.or_else(|| self.table.rows.column(name))
    }

    /// What `fold` makes of each patient's rows, with the base's number of the patient; in any order. It is not asked about patients without such
    /// rows.
    ///
    /// # Errors
    /// The rows cannot be read.
    pub fn each<T, F>(&self, partition: Partition, fold: F) -> Result<Vec<(u32, T)>, EngineError>
    where
        T: Send,
        F: Fn(&[usize], &PartRows) -> Option<T> + Sync,
    {
        self.each_of(partition, |_, mine, rows| fold(mine, rows))
    }

    /// As [`Look::each`]; `fold` is told whose rows they are.
    ///
    /// # Errors
    /// The rows cannot be read.
    pub fn each_of<T, F>(&self, partition: Partition, fold: F) -> Result<Vec<(u32, T)>, EngineError>
    where
        T: Send,
        F: Fn(u32, &[usize], &PartRows) -> Option<T> + Sync,
    {
        let empty = || Found { of: Vec::new(), span: None };
        let count = |part: &Part, found: &mut Found<T>| self.part(part, found, &fold);
        let found = partition.count(self.table.rows, empty, count);
        found.map(|found| found.of).map_err(|fault: Fault| fault.of(self.table.snapshot))
    }

    fn part<T>(
        &self,
        part: &Part,
        found: &mut Found<T>,
        fold: &impl Fn(u32, &[usize], &PartRows) -> Option<T>,
    ) -> Result<(), Fault> {
        let subjects = self.table.rows.subjects(part);
        let (Some(first), Some(last)) = (subjects.first(), subjects.last()) else { return Ok(()) };
        if subjects.windows(2).any(|pair| pair[1] < pair[0]) {
            return Err(PassError::Unsorted.into());
        }
        found.span = Some((*first, *last));
        let rows = self.rows(part)?;
        let mut mine = Vec::new();
        let mut begin = 0;
        for run in subjects.chunk_by(|a, b| a == b) {
            let end = begin + run.len();
            let patient = self.table.patient(run[0]);
            let span = patient.and_then(|patient| match &self.bounds {
                Some(bounds) => bounds.of(patient),
                None => Some((i64::MIN, i64::MAX)),
            });
            if let Some((patient, (from, to))) = patient.zip(span) {
                mine.clear();
                mine.extend((begin..end).filter(|at| {
                    rows.counts(*at)
                        && (self.bounds.is_none() || rows.day(*at).is_some_and(|day| (from..=to).contains(&day)))
                }));
                if !mine.is_empty() {
                    found.of.extend(fold(patient, &mine, &rows).map(|value| (patient, value)));
                }
            }
            begin = end;
        }
        Ok(())
    }

    /// The rows of a part as they are folded.
    fn rows(&self, part: &Part) -> Result<PartRows, Fault> {
        let contract = self.table.contract;
        let time = contract.time().filter(|_| self.bounds.is_some() || self.value.is_some() || self.timed);
        let mut columns = self.reads.clone();
        let order = contract.order().filter(|_| time.is_some() && self.value.is_some());
        columns.extend(time.into_iter().chain(order).chain(self.value).map(ColumnName::as_str));
        columns.retain(|name| self.made.iter().all(|(made, _)| made != name));
        let mut frame = self.table.rows.frame(part, columns).ok_or(PassError::Shape)?;
        for (name, values) in &self.made {
            let values = super::of_places(values, part)?.with_name((*name).into());
            frame.with_column(values).map_err(|_| PassError::Shape)?;
        }
        let of = |name: &ColumnName| frame.column(name.as_str()).map_err(|_| PassError::Shape);
        let counts = self.filter.as_ref().map(|filter| truths(&frame, filter)).transpose()?;
        let wholes = |name: Option<&ColumnName>| name.map(|name| whole(of(name)?)).transpose();
        let (times, orders) = (wholes(time)?, wholes(order)?);
        let datetime = time.and_then(|name| contract.column(name.as_str()));
        let datetime = datetime.is_some_and(|column| matches!(column.kind, Kind::Datetime { .. }));
        let values = self.value.map(|name| Values::of(of(name)?)).transpose()?;
        let places = part.ranges().flatten().map(|row| row as u32).collect();
        Ok(PartRows { places, counts, times, orders, datetime, values })
    }
}

/// The rows of a part, column by column.
pub struct PartRows {
    /// Their places in the snapshot.
    places: Vec<u32>,
    counts: Option<Vec<bool>>,
    times: Option<Vec<i64>>,
    /// What puts rows of one time in order.
    orders: Option<Vec<i64>>,
    /// Whether times are milliseconds, not days.
    datetime: bool,
    values: Option<Values>,
}

impl PartRows {
    /// Where a row stands in the snapshot.
    pub fn place(&self, at: usize) -> Option<u32> {
        self.places.get(at).copied()
    }

    /// The time of a row, at its own resolution.
    pub fn time(&self, at: usize) -> Option<i64> {
        self.times.as_ref().and_then(|times| times.get(at)).copied().filter(|time| *time != NULL)
    }

    /// Which of two rows is the earlier one: by their times, and of one time by the contract's order. What has none there is earlier than what has one.
    pub fn earlier(&self, a: usize, b: usize) -> Ordering {
        let order = |at: usize| self.orders.as_ref().and_then(|orders| orders.get(at));
        self.time(a).cmp(&self.time(b)).then_with(|| order(a).cmp(&order(b)))
    }

    /// The values, where a column was asked for.
    pub fn values(&self) -> Option<&Values> {
        self.values.as_ref()
    }

    /// The day of a row.
    pub fn day(&self, at: usize) -> Option<i64> {
        self.time(at).map(|time| if self.datetime { time.div_euclid(MS_PER_DAY) } else { time })
    }

    fn counts(&self, at: usize) -> bool {
        self.counts.as_ref().is_none_or(|counts| counts.get(at) == Some(&true))
            && self.values.as_ref().is_none_or(|values| values.has(at))
    }
}

/// The values of a column in a part.
pub enum Values {
    /// Whole numbers, days, milliseconds, places of codes, and truths.
    Whole(Vec<i64>),
    /// Numbers, as integers in the order of [`f64::total_cmp`].
    Numbers(Vec<i64>),
    /// Texts.
    Texts(StringChunked),
}

impl Values {
    fn of(column: &Column) -> Result<Self, PassError> {
        Ok(match column.dtype() {
            DataType::String => Values::Texts(column.str().map_err(|_| PassError::Shape)?.rechunk().into_owned()),
            DataType::Float64 => {
                let numbers = column.f64().map_err(|_| PassError::Shape)?;
                Values::Numbers(numbers.iter().map(|x| x.map_or(NULL, ordered)).collect())
            }
            _ => Values::Whole(whole(column)?),
        })
    }

    fn has(&self, at: usize) -> bool {
        match self {
            Values::Whole(values) | Values::Numbers(values) => values.get(at).is_some_and(|value| *value != NULL),
            Values::Texts(texts) => texts.get(at).is_some(),
        }
    }

    /// The order of two values: of numbers and dates theirs, of codes the contract's, of texts that of their bytes.
    pub fn order(&self, a: usize, b: usize) -> Ordering {
        match self {
            Values::Whole(values) | Values::Numbers(values) => values.get(a).cmp(&values.get(b)),
            Values::Texts(texts) => texts.get(a).cmp(&texts.get(b)),
        }
    }

    /// A value as it is held, of a column of whole numbers.
    pub fn whole(&self, at: usize) -> Option<i64> {
        match self {
            Values::Whole(values) => values.get(at).copied().filter(|value| *value != NULL),
            Values::Numbers(_) | Values::Texts(_) => None,
        }
    }

    /// A value as a number.
    pub fn number(&self, at: usize) -> Option<f64> {
        match self {
            Values::Whole(values) => values.get(at).map(|value| *value as f64),
            Values::Numbers(values) => values.get(at).map(|value| unordered(*value)),
            Values::Texts(_) => None,
        }
    }
}

/// A finite double as an integer in the same order, and back.
fn ordered(x: f64) -> i64 {
    let bits = x.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

fn unordered(value: i64) -> f64 {
    f64::from_bits((value ^ (((value >> 63) as u64) >> 1) as i64) as u64)
}

/// A column that is held in whole numbers, or in truths.
fn whole(column: &Column) -> Result<Vec<i64>, PassError> {
    let numbers = column.cast(&DataType::Int64).map_err(|_| PassError::Shape)?;
    let numbers = numbers.i64().map_err(|_| PassError::Shape)?;
    Ok(numbers.iter().map(|value| value.unwrap_or(NULL)).collect())
}

/// In which rows a condition is true.
fn truths(rows: &DataFrame, condition: &pl::Expr) -> Result<Vec<bool>, Fault> {
    // Beside the subjects, so that a constant is as long as they are.
    let select = [condition.clone().alias("counts"), pl::col(SUBJECT)];
    let selected = collect_on(pl::Engine::InMemory, rows.clone().lazy().select(select)).map_err(Fault::Query)?;
    let truths = selected.column("counts").and_then(|counts| counts.bool()).map_err(|_| PassError::Shape)?;
    Ok(truths.iter().map(|truth| truth == Some(true)).collect())
}

/// What a thread has found, and the subjects of its part.
struct Found<T> {
    of: Vec<(u32, T)>,
    span: Option<(u32, u32)>,
}

impl<T: Send> PartCount for Found<T> {
    fn end_part(&mut self) -> Option<(u32, u32)> {
        self.span.take()
    }

    fn absorb(&mut self, other: Self) -> Result<(), PassError> {
        self.of.extend(other.of);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_keep_their_order_and_their_bits(a in any::<f64>(), b in any::<f64>()) {
            prop_assert_eq!(ordered(a).cmp(&ordered(b)), a.total_cmp(&b));
            prop_assert_eq!(unordered(ordered(a)).to_bits(), a.to_bits());
        }
    }
}
