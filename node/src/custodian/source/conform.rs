//! Rows made to fit a contract: each value read as its column's type, checked against range and codes, every deviation
//! counted. The result is sorted by a dense subject number; the patients' own ids are not part of it, only tokens for opt-outs.

use std::collections::HashMap;

use bocage_protocol::contract::{Column as ContractColumn, Contract, Kind, OnInvalid, Subject};
use bocage_protocol::ids::ColumnName;
use polars::prelude::{
    BooleanChunked, Column, DataFrame, DataType, Float64Chunked, Int32Chunked, Int64Chunked, IntoColumn, NamedFrom,
    NewChunkedArray, Series, StringChunked, UInt8Chunked, UInt16Chunked, UInt32Chunked,
};

use super::mapping::Rule;
use super::report::{ColumnReport, Reason, Rejected, Report};
use super::value::{self, CodeBook};
use super::{DatasetSpec, Mapping, SourceError, SourceRows};
use crate::custodian::optout::{IdForm, SubjectIds, Token, composed};

mod evaluate;
#[cfg(test)]
mod tests;

use evaluate::{Evaluated, Input, ROW, evaluate};

/// The snapshot's column of subject numbers. No contract column can have this name: those begin with a letter.
pub const SUBJECT: &str = "__subject";

/// Rows that fit a contract.
pub struct Conformed {
    /// [`SUBJECT`], then the contract's columns (without the subject column) in their physical types.
    pub frame: DataFrame,
    /// Distinct patients.
    pub subjects: u32,
    /// How they are known again, where that was asked for.
    pub ids: Option<SubjectIds>,
    /// What was found.
    pub report: Report,
}

/// The physical type of a column. Codes are positions in the contract's list, in the smallest type that holds them.
pub fn physical_type(kind: &Kind) -> DataType {
    match kind {
        Kind::Int { .. } | Kind::Datetime { .. } => DataType::Int64,
        Kind::Float { .. } => DataType::Float64,
        Kind::Code { codes, .. } if codes.len() <= 1 << 8 => DataType::UInt8,
        Kind::Code { codes, .. } if codes.len() <= 1 << 16 => DataType::UInt16,
        Kind::Code { .. } => DataType::UInt32,
        Kind::Date { .. } => DataType::Int32,
        Kind::Bool => DataType::Boolean,
        Kind::Text => DataType::String,
    }
}

/// Applies a mapping and the contract's rules to the rows of a source. With a `form` the patients' tokens are part of the result.
///
/// # Errors
/// No row fits, or a fault of ours in computing the mapping.
pub fn conform(
    spec: &DatasetSpec,
    contract: &Contract,
    mapping: &Mapping,
    source: SourceRows,
    form: Option<&IdForm>,
) -> Result<Conformed, SourceError> {
    let rows = source.rows as usize;
    let fault = |stage| SourceError::Computation { dataset: spec.name.clone(), stage };
    let mut texts = source.frame;
    let row_numbers = UInt32Chunked::from_iter_values(ROW.into(), 0..source.rows as u32);
    texts.with_column(row_numbers.into_column()).map_err(|_| fault("numbering the rows"))?;
    let mut report = Report { source_rows: source.rows, bad_lines: source.bad_lines, ..Report::default() };
    let mut rejected: Vec<Option<Reason>> = vec![None; rows];
    let mut columns = Vec::new();
    for (column, rule) in contract.columns().iter().zip(&mapping.rules) {
        let computed = match rule {
            Rule::Absent => None,
            Rule::Expression(expr) => Some(evaluate(expr, &texts).map_err(fault)?),
        };
        let (values, fates) = read_column(&column.kind, rows, computed.as_ref());
        report.columns.insert(column.name.clone(), count(&fates));
        reject(column, &fates, &mut rejected);
        columns.push((column, values));
    }
    let optout = mapping.optout.as_ref().map(|expr| evaluate(expr, &texts).map_err(fault)).transpose()?;
    let subjects = subjects_of(contract, &columns, &mut rejected);
    let ids = form.map(|form| subjects.ids(form, contract, &columns, &rejected, optout.as_ref()));
    let order = order(&subjects.of_row, &rejected);
    report.rows_kept = order.len() as u64;
    report.rows_rejected = tally(rejected);
    if order.is_empty() {
        let reasons: Vec<String> = report.rows_rejected.iter().map(|r| format!("{}: {}", r.reason, r.rows)).collect();
        let reason = format!("no row fits the contract ({})", reasons.join("; "));
        return Err(SourceError::Empty { path: spec.source.path().to_owned(), reason });
    }
    let frame = frame(contract, &columns, &subjects.of_row, &order).ok_or_else(|| fault("building its columns"))?;
    Ok(Conformed { frame, subjects: subjects.count, ids, report })
}

/// What became of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Valid,
    Missing,
    WrongType,
    UnknownCode,
    OutOfRange,
    NullByRule,
}

/// A contract column's values, one a source row.
enum Values {
    Int(Vec<Option<i64>>),
    Float(Vec<Option<f64>>),
    Code(Vec<Option<u32>>),
    Date(Vec<Option<i32>>),
    Datetime(Vec<Option<i64>>),
    Bool(Vec<Option<bool>>),
    Text(Vec<Option<String>>),
}

fn read_column(kind: &Kind, rows: usize, computed: Option<&Evaluated>) -> (Values, Vec<Fate>) {
    let within = |fits: bool| if fits { Ok(()) } else { Err(Fate::OutOfRange) };
    match kind {
        Kind::Int { lo, hi } => {
            let (values, fates) = read_values(rows, computed, |input| {
                let i = match input {
                    Input::Text(text) => value::int(text),
                    Input::Number(x) => value::int_of_float(x),
                    _ => None,
                };
                let i = i.ok_or(Fate::WrongType)?;
                within((lo..=hi).contains(&&i)).map(|()| i)
            });
            (Values::Int(values), fates)
        }
        Kind::Float { lo, hi } => {
            let (values, fates) = read_values(rows, computed, |input| {
                let x = match input {
                    Input::Text(text) => value::float(text),
                    Input::Number(x) => Some(x),
                    _ => None,
                };
                let x = x.ok_or(Fate::WrongType)?;
                within((lo..=hi).contains(&&x)).map(|()| x)
            });
            (Values::Float(values), fates)
        }
        Kind::Code { codes, .. } => {
            let book = CodeBook::new(codes);
            let (values, fates) = read_values(rows, computed, |input| {
                let position = match input {
                    Input::Text(text) => book.position(text),
                    Input::Number(x) => value::int_of_float(x).and_then(|code| book.number(code)),
                    _ => None,
                };
                position.ok_or(Fate::UnknownCode)
            });
            (Values::Code(values), fates)
        }
        Kind::Date { lo, hi } => {
            let (values, fates) = read_values(rows, computed, |input| {
                let day = match input {
                    Input::Text(text) => value::date(text),
                    Input::Days(day) => Some(day),
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
                Input::Text(text) => Ok(text.to_owned()),
                _ => Err(Fate::WrongType),
            });
            (Values::Text(values), fates)
        }
    }
}

fn read_values<T>(
    rows: usize,
    computed: Option<&Evaluated>,
    read: impl Fn(Input<'_>) -> Result<T, Fate>,
) -> (Vec<Option<T>>, Vec<Fate>) {
    let (mut values, mut fates) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    for row in 0..rows {
        let (value, fate) = match computed.map(|c| (c.input(row), c)) {
            None => (None, Fate::Missing),
            Some((Some(input), _)) => match read(input) {
                Ok(value) => (Some(value), Fate::Valid),
                Err(fate) => (None, fate),
            },
            Some((None, c)) if c.misread(row) => (None, Fate::WrongType),
            Some((None, c)) if c.present(row) => (None, Fate::NullByRule),
            Some((None, _)) => (None, Fate::Missing),
        };
        values.push(value);
        fates.push(fate);
    }
    (values, fates)
}

fn count(fates: &[Fate]) -> ColumnReport {
    let mut report = ColumnReport::default();
    for fate in fates {
        *match fate {
            Fate::Valid => &mut report.valid,
            Fate::Missing => &mut report.missing,
            Fate::WrongType => &mut report.wrong_type,
            Fate::UnknownCode => &mut report.unknown_code,
            Fate::OutOfRange => &mut report.out_of_range,
            Fate::NullByRule => &mut report.null_by_rule,
        } += 1;
    }
    report
}

/// Marks the rows that this column rejects. The first reason stays.
fn reject(column: &ContractColumn, fates: &[Fate], rejected: &mut [Option<Reason>]) {
    for (fate, rejection) in fates.iter().zip(rejected).filter(|(_, rejection)| rejection.is_none()) {
        let reason = match fate {
            Fate::Valid => continue,
            Fate::WrongType | Fate::UnknownCode | Fate::OutOfRange if column.invalid == OnInvalid::Reject => {
                Reason::Invalid(column.name.clone())
            }
            _ if column.required => Reason::Required(column.name.clone()),
            _ => continue,
        };
        *rejection = Some(reason);
    }
}

struct Subjects {
    /// A dense number a row; of no meaning in rejected rows.
    of_row: Vec<u32>,
    count: u32,
    /// By id; empty where each row is a patient.
    numbers: HashMap<String, u32>,
}

impl Subjects {
    /// How the patients are known again, and which of them opted out: those who did in any row, also in one that is rejected.
    fn ids(
        &self,
        form: &IdForm,
        contract: &Contract,
        columns: &[(&ContractColumn, Values)],
        rejected: &[Option<Reason>],
        optout: Option<&Evaluated>,
    ) -> SubjectIds {
        let named = named(contract, columns);
        let mut tokens: Vec<Option<Token>> = vec![None; self.count as usize];
        for (id, number) in &self.numbers {
            tokens[*number as usize] = Some(form.of_subject(id));
        }
        // Without ids a patient is a row, known again in this snapshot alone.
        let token =
            |(number, token): (u32, Option<Token>)| token.unwrap_or_else(|| form.of_subject(&number.to_string()));
        let tokens = (0..).zip(tokens).map(token).collect();
        // What cannot be read is taken for an opt-out.
        let out =
            |row: &usize| optout.is_some_and(|o| matches!(o.input(*row), Some(Input::Truth(true))) || o.misread(*row));
        let number = |row: usize| match named {
            None => rejected[row].is_none().then(|| self.of_row[row]),
            Some(values) => self.numbers.get(&identity(values, row)?).copied(),
        };
        SubjectIds { tokens, flagged: (0..rejected.len()).filter(out).filter_map(number).collect() }
    }
}

/// The column that names the patients, if one does.
fn named<'a>(contract: &Contract, columns: &'a [(&ContractColumn, Values)]) -> Option<&'a Values> {
    match contract.subject() {
        Subject::Row => None,
        Subject::Column(name) => columns.iter().find(|(c, _)| c.name == *name).map(|(_, values)| values),
    }
}

/// Numbers the patients of the rows that are still in, in order of first appearance.
fn subjects_of(
    contract: &Contract,
    columns: &[(&ContractColumn, Values)],
    rejected: &mut [Option<Reason>],
) -> Subjects {
    let named = named(contract, columns);
    let mut subjects = Subjects { of_row: vec![0; rejected.len()], count: 0, numbers: HashMap::new() };
    for (row, rejection) in rejected.iter_mut().enumerate().filter(|(_, rejection)| rejection.is_none()) {
        let next = subjects.count;
        let number = match named {
            None => next,
            Some(values) => match identity(values, row) {
                None => {
                    *rejection = Some(Reason::NoSubject);
                    continue;
                }
                Some(id) => *subjects.numbers.entry(id).or_insert(next),
            },
        };
        if number == next {
            subjects.count += 1;
        } else if contract.one_row_per_subject() {
            *rejection = Some(Reason::RepeatedSubject);
        }
        subjects.of_row[row] = number;
    }
    subjects
}

fn identity(values: &Values, row: usize) -> Option<String> {
    match values {
        Values::Int(ids) => ids[row].map(|id| id.to_string()),
        // Who is written in two ways is one patient.
        Values::Text(ids) => ids[row].as_deref().map(|id| composed(id).into_owned()),
        _ => None,
    }
}

/// The rows that are kept, by subject; a subject's rows stay in the source's order.
fn order(subject_of_row: &[u32], rejected: &[Option<Reason>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rejected.len()).filter(|row| rejected[*row].is_none()).collect();
    order.sort_by_key(|row| subject_of_row[*row]);
    order
}

fn tally(rejected: Vec<Option<Reason>>) -> Vec<Rejected> {
    let mut counts = std::collections::BTreeMap::new();
    for reason in rejected.into_iter().flatten() {
        *counts.entry(reason).or_insert(0) += 1;
    }
    counts.into_iter().map(|(reason, rows)| Rejected { reason, rows }).collect()
}

fn frame(
    contract: &Contract,
    columns: &[(&ContractColumn, Values)],
    subjects: &[u32],
    order: &[usize],
) -> Option<DataFrame> {
    let numbers: Vec<u32> = order.iter().map(|row| subjects[*row]).collect();
    let mut built = vec![Series::new(SUBJECT.into(), numbers).into_column()];
    for (column, values) in columns.iter().filter(|(c, _)| !contract.is_subject(c.name.as_str())) {
        built.push(physical(&column.name, &column.kind, values, order));
    }
    DataFrame::new(order.len(), built).ok()
}

fn physical(name: &ColumnName, kind: &Kind, values: &Values, order: &[usize]) -> Column {
    fn pick<'a, T>(values: &'a [Option<T>], order: &'a [usize]) -> impl Iterator<Item = Option<&'a T>> {
        order.iter().map(|row| values[*row].as_ref())
    }
    let name = name.as_str().into();
    match values {
        Values::Int(v) | Values::Datetime(v) => {
            Int64Chunked::from_iter_options(name, pick(v, order).map(Option::<&i64>::copied)).into_column()
        }
        Values::Float(v) => Float64Chunked::from_iter_options(name, pick(v, order).map(|x| x.copied())).into_column(),
        Values::Date(v) => Int32Chunked::from_iter_options(name, pick(v, order).map(|x| x.copied())).into_column(),
        Values::Bool(v) => BooleanChunked::from_iter_options(name, pick(v, order).map(|x| x.copied())).into_column(),
        Values::Text(v) => StringChunked::from_iter_options(name, pick(v, order)).into_column(),
        Values::Code(v) => {
            let positions = pick(v, order).map(|x| x.copied());
            match physical_type(kind) {
                DataType::UInt8 => {
                    UInt8Chunked::from_iter_options(name, positions.map(|p| p.map(|p| p as u8))).into_column()
                }
                DataType::UInt16 => {
                    UInt16Chunked::from_iter_options(name, positions.map(|p| p.map(|p| p as u16))).into_column()
                }
                _ => UInt32Chunked::from_iter_options(name, positions).into_column(),
            }
        }
    }
}
