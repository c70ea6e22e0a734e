//! Values read as their columns' types, and what became of each.

use bocage_protocol::contract::{Column as ContractColumn, Kind, OnInvalid};
use bocage_protocol::limits::EXACT_INT;

use super::super::report::{ColumnReport, Reason};
use super::super::value::{self, CodeBook};
use super::evaluate::{Evaluated, Input};

/// What became of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Valid,
    /// Valid, and known to the month or year only.
    Partial,
    Missing,
    WrongType,
    UnknownCode,
    OutOfRange,
    /// Out of range, and beyond the whole numbers that a double holds exactly.
    Inexact,
    NullByRule,
}

/// A contract column's values, one a source row.
pub(super) enum Values<'t> {
    Int(Vec<Option<i64>>),
    Float(Vec<Option<f64>>),
    Code(Vec<Option<u32>>),
    Date(Vec<Option<i32>>),
    Datetime(Vec<Option<i64>>),
    Bool(Vec<Option<bool>>),
    Text(Vec<Option<&'t str>>),
}

/// Reads a rule's results as a column's values, and says what became of each.
pub(super) fn read_column<'t>(
    column: &ContractColumn,
    book: Option<&CodeBook>,
    rows: usize,
    computed: Option<&'t Evaluated>,
) -> (Values<'t>, Vec<Fate>) {
    let within = |fits: bool| if fits { Ok(()) } else { Err(Fate::OutOfRange) };
    match &column.kind {
        Kind::Int { lo, hi } => {
            let (values, fates) = read_values(rows, computed, |input| {
                let i = match input {
                    Input::Text(text) => value::int(text),
                    Input::Whole(i) => Some(i),
                    Input::Number(x) | Input::Double(x) => value::int_of_float(x),
                    _ => None,
                };
                let i = i.ok_or(Fate::WrongType)?;
                let exact = i.unsigned_abs() <= EXACT_INT.unsigned_abs();
                within((lo..=hi).contains(&&i)).map(|()| i).map_err(|fate| if exact { fate } else { Fate::Inexact })
            });
            (Values::Int(values), fates)
        }
        Kind::Float { lo, hi } => {
            let (values, fates) = read_values(rows, computed, |input| {
                let x = match input {
                    Input::Text(text) => value::float(text),
                    Input::Number(x) => Some(x),
                    Input::Whole(i) => Some(i as f64),
                    Input::Double(x) => value::finite(x),
                    _ => None,
                };
                let x = x.ok_or(Fate::WrongType)?;
                within((lo..=hi).contains(&&x)).map(|()| x)
            });
            (Values::Float(values), fates)
        }
        Kind::Code { .. } => {
            let (values, fates) = read_values(rows, computed, |input| {
                let position = match input {
                    Input::Text(text) => book.and_then(|book| book.position(text)),
                    Input::Whole(code) => book.and_then(|book| book.number(code)),
                    Input::Number(x) => value::int_of_float(x).and_then(|code| book?.number(code)),
                    _ => None,
                };
                position.ok_or(Fate::UnknownCode)
            });
            (Values::Code(values), fates)
        }
        Kind::Date { lo, hi } => {
            let (values, fates) = read_values(rows, computed, |input| {
                let day = match input {
                    Input::Text(text) => value::date(text).or_else(|| column.precision?.middle(text.trim())),
                    Input::Days(day) => Some(day).filter(|day| *day != value::NO_DAY),
                    _ => None,
                };
                let day = day.ok_or(Fate::WrongType)?;
                within((lo..=hi).contains(&&day)).map(|()| day)
            });
            (Values::Date(values), fates)
        }
        Kind::Datetime { lo, hi } => {
            let (values, fates) = read_values(rows, computed, |input| {
                let ms = match input {
                    Input::Text(text) => value::datetime(text),
                    Input::Millis(ms) => Some(ms),
                    Input::Whole(ms) => Some(ms).filter(|ms| *ms != value::NO_MOMENT),
                    _ => None,
                };
                let ms = ms.ok_or(Fate::WrongType)?;
                within((lo..=hi).contains(&&ms)).map(|()| ms)
            });
            (Values::Datetime(values), fates)
        }
        Kind::Bool => {
            let (values, fates) = read_values(rows, computed, |input| match input {
                Input::Text(text) => value::bool(text).ok_or(Fate::WrongType),
                Input::Truth(truth) => Ok(truth),
                _ => Err(Fate::WrongType),
            });
            (Values::Bool(values), fates)
        }
        Kind::Text => {
            let (values, fates) = read_values(rows, computed, |input| match input {
                Input::Text(text) => Ok(text),
                _ => Err(Fate::WrongType),
            });
            (Values::Text(values), fates)
        }
    }
}

fn read_values<'t, T: Clone>(
    rows: usize,
    computed: Option<&'t Evaluated>,
    read: impl Fn(Input<'t>) -> Result<T, Fate>,
) -> (Vec<Option<T>>, Vec<Fate>) {
    let Some(computed) = computed else { return (vec![None; rows], vec![Fate::Missing; rows]) };
    let (mut values, mut fates) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    computed.each(|row, input| {
        let (value, fate) = match input.map(&read) {
            Some(Ok(value)) => (Some(value), Fate::Valid),
            Some(Err(fate)) => (None, fate),
            None if computed.misread(row) => (None, Fate::WrongType),
            None if computed.present(row) => (None, Fate::NullByRule),
            None => (None, Fate::Missing),
        };
        values.push(value);
        fates.push(fate);
    });
    (values, fates)
}

/// Tells the dates for which the middle of a month or year stands.
pub(super) fn mark_partial(column: &ContractColumn, computed: Option<&Evaluated>, fates: &mut [Fate]) {
    let Some((precision, computed)) = column.precision.zip(computed) else { return };
    for (row, fate) in fates.iter_mut().enumerate().filter(|(_, fate)| **fate == Fate::Valid) {
        if let Some(Input::Text(text)) = computed.input(row)
            && precision.middle(text.trim()).is_some()
        {
            *fate = Fate::Partial;
        }
    }
}

/// Adds what became of values to a column's report; whether each is one.
pub(super) fn count(fates: &[Fate], report: &mut ColumnReport) -> bool {
    if fates.iter().all(|fate| *fate == Fate::Valid) {
        report.valid += fates.len() as u64;
        return true;
    }
    for fate in fates {
        *match fate {
            Fate::Valid => &mut report.valid,
            Fate::Partial => {
                report.partial += 1;
                &mut report.valid
            }
            Fate::Missing => &mut report.missing,
            Fate::WrongType => &mut report.wrong_type,
            Fate::UnknownCode => &mut report.unknown_code,
            Fate::OutOfRange => &mut report.out_of_range,
            Fate::Inexact => {
                report.inexact += 1;
                &mut report.out_of_range
            }
            Fate::NullByRule => &mut report.null_by_rule,
        } += 1;
    }
    false
}

/// Marks the rows that this column rejects. The first reason stays.
pub(super) fn reject(column: &ContractColumn, fates: &[Fate], rejected: &mut [Option<Reason>]) {
    for (fate, rejection) in fates.iter().zip(rejected).filter(|(_, rejection)| rejection.is_none()) {
        let reason = match fate {
            Fate::Valid | Fate::Partial => continue,
            Fate::WrongType | Fate::UnknownCode | Fate::OutOfRange | Fate::Inexact
                if column.invalid == OnInvalid::Reject =>
            {
                Reason::Invalid(column.name.clone())
            }
            _ if column.required => Reason::Required(column.name.clone()),
            _ => continue,
        };
        *rejection = Some(reason);
    }
}
