//! Rows made to fit a contract, batch by batch: each value read as its column's type, checked against range and codes, every deviation
//! counted. Who a row's patient is stays beside it, until the snapshot has numbered the patients.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hash};

use bocage_protocol::contract::{Check, Column as ContractColumn, Contract, Kind, Subject};
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::RuleName;
use foldhash::quality::FixedState;
use polars::prelude::{
    Column, DataFrame, DataType, Int64Chunked, IntoColumn, NewChunkedArray, Schema, StringChunked, UInt8Chunked,
    UInt32Chunked, UInt64Chunked,
};

use serde::{Deserialize, Serialize};

use super::mapping::Rule;
use super::report::{ColumnReport, Reason, Rejected, Report};
use super::value::CodeBook;
use super::{DatasetSpec, Findings, Mapping, SourceError};
use crate::custodian::optout::{IdForm, Token, composed};

mod built;
mod elsewhere;
mod evaluate;
mod late;
mod rules;
#[cfg(test)]
mod tests;
mod values;

pub use elsewhere::{Side, seen};
pub use late::{Key, TakenAway};

use built::{physical, tokens};
use evaluate::{Input, ROW, evaluate};
use rules::Rules;
use values::{Values, count, mark_partial, read_column, reject};

/// The snapshot's column of subject numbers. No contract column can have this name: those begin with a letter.
pub const SUBJECT: &str = "__subject";
/// A column of rows that fit: what names the patient. Absent where each row is a patient.
pub const ID: &str = "__id";
/// A column of rows that fit: a hash of the id, by which patients are put in order.
pub const PLACE: &str = "__place";
/// A column of rows that fit: a [`Mark`].
pub const MARK: &str = "__mark";

/// What becomes of a row.
pub struct Mark;

impl Mark {
    const FITS: u8 = 1;
    const OPTS_OUT: u8 = 2;

    /// Whether the row is one of the snapshot. One that is not is there for its opt-out only.
    pub fn fits(mark: u8) -> bool {
        mark & Self::FITS != 0
    }

    /// The mark of a row that fits no longer.
    fn unfit(mark: u8) -> u8 {
        mark & !Self::FITS
    }

    /// Whether the row says that its patient opted out.
    pub fn opts_out(mark: u8) -> bool {
        mark & Self::OPTS_OUT != 0
    }
}

/// Rows on their way through a mapping and a contract's rules.
pub struct Conforming<'a> {
    spec: &'a DatasetSpec,
    contract: &'a Contract,
    mapping: &'a Mapping,
    /// One a column, where it has codes.
    books: Vec<Option<CodeBook>>,
    columns: Vec<ColumnReport>,
    rules: Rules<'a>,
    form: Option<&'a IdForm>,
    source_rows: u64,
    fitting: u64,
    rejected: BTreeMap<Reason, u64>,
}

impl<'a> Conforming<'a> {
    /// Before the first row of a snapshot that is taken now. Rules that look into other datasets are looked at but for those that are `unheld`, each with the
    /// reason; the others need what names patients ([`Conforming::naming_rows`]).
    pub fn new(
        spec: &'a DatasetSpec,
        contract: &'a Contract,
        mapping: &'a Mapping,
        now: Timestamp,
        unheld: &BTreeMap<RuleName, String>,
    ) -> Self {
        let book = |column: &ContractColumn| match &column.kind {
            Kind::Code { codes, .. } => Some(CodeBook::new(codes)),
            _ => None,
        };
        Self {
            spec,
            contract,
            mapping,
            books: contract.columns().iter().map(book).collect(),
            columns: vec![ColumnReport::default(); contract.columns().len()],
            rules: Rules::new(spec, contract, now, unheld),
            form: None,
            source_rows: 0,
            fitting: 0,
            rejected: BTreeMap::new(),
        }
    }

    /// With what names of rows become tokens by; without it, no row is known again.
    #[must_use]
    pub fn naming_rows(self, form: Option<&'a IdForm>) -> Self {
        Self { form, ..self }
    }

    /// The rows of a batch that fit, in its order: [`ID`] and [`PLACE`] where patients are named, [`MARK`], and the contract's columns (without the subject
    /// column) in their physical types. Beside them rows that do not fit, of named patients who opted out in them. Where a row may be left out later, since it
    /// repeats another or another dataset speaks against it, each has its number ([`TakenAway::out_of`]).
    ///
    /// # Errors
    /// A fault of ours in computing the mapping.
    pub fn batch(&mut self, mut texts: DataFrame) -> Result<DataFrame, SourceError> {
        let rows = texts.height();
        let fault = |stage| SourceError::Computation { dataset: self.spec.name.clone(), stage };
        let row_numbers = UInt32Chunked::from_iter_values(ROW.into(), 0..rows as u32);
        texts.with_column(row_numbers.into_column()).map_err(|_| fault("numbering the rows"))?;
        let mut rejected: Vec<Option<Reason>> = vec![None; rows];
        let computed = |rule: &Rule| match rule {
            Rule::Absent => Ok(None),
            Rule::Expression(expr) => evaluate(expr, &texts).map(Some).map_err(fault),
        };
        let computed = self.mapping.rules.iter().map(computed).collect::<Result<Vec<_>, _>>()?;
        let mut columns = Vec::new();
        let of_contract = self.contract.columns().iter().zip(&computed);
        for (((column, computed), report), book) in of_contract.zip(&mut self.columns).zip(&self.books) {
            let (values, mut fates) = read_column(column, book.as_ref(), rows, computed.as_ref());
            mark_partial(column, computed.as_ref(), &mut fates);
            if !count(&fates, report) {
                reject(column, &fates, &mut rejected);
            }
            columns.push((column, values));
        }
        let seen = self.rules.look(&mut columns, &mut rejected).map_err(fault)?;
        let optout = self.mapping.optout.as_ref().map(|expr| evaluate(expr, &texts).map_err(fault)).transpose()?;
        let ids = named(self.contract, &columns);
        if let Some(ids) = ids {
            let nameless = |(row, rejection): &(usize, &mut Option<Reason>)| rejection.is_none() && !ids.has(*row);
            rejected.iter_mut().enumerate().filter(nameless).for_each(|(_, to)| *to = Some(Reason::NoSubject));
        }
        self.rules.note_keys(&seen, &rejected).map_err(fault)?;
        // What cannot be read is taken for an opt-out.
        let out = |row: usize| {
            optout.as_ref().is_some_and(|o| matches!(o.input(row), Some(Input::Truth(true))) || o.misread(row))
        };
        let (mut stay, mut marks) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        for (row, rejection) in rejected.iter().enumerate() {
            let mark = u8::from(rejection.is_none()) * Mark::FITS + u8::from(out(row)) * Mark::OPTS_OUT;
            if Mark::fits(mark) || (mark != 0 && ids.is_some_and(|ids| ids.has(row))) {
                stay.push(row);
                marks.push(mark);
            }
        }
        let before = self.source_rows;
        self.source_rows += rows as u64;
        let misfits = rejected.into_iter().flatten();
        let mut fitting = rows as u64;
        misfits.for_each(|reason| {
            fitting -= 1;
            *self.rejected.entry(reason).or_insert(0) += 1;
        });
        self.fitting += fitting;
        let mut built = ids.map(|ids| ids.columns(&stay)).unwrap_or_default();
        built.push(UInt8Chunked::from_vec(MARK.into(), marks).into_column());
        // A source has no more rows than a number of 32 bits can say.
        let numbers: Vec<u32> = stay.iter().map(|row| (before + *row as u64) as u32).collect();
        for (column, values) in columns.iter().filter(|(c, _)| !self.contract.is_subject(c.name.as_str())) {
            built.push(match self.contract.names_a_row(column.name.as_str()) {
                true => tokens(
                    column,
                    column.references.as_deref().unwrap_or(self.contract.id().name()),
                    values,
                    &stay,
                    self.form,
                ),
                false => physical(&column.name, &column.kind, values, &stay),
            });
        }
        let mut built = DataFrame::new(stay.len(), built).map_err(|_| fault("building its columns"))?;
        let patients = || ids.zip(self.form).map(|(ids, form)| ids.tokens(&stay, form)).unwrap_or_default();
        self.rules.note_elsewhere(&built, &numbers, patients).map_err(fault)?;
        if self.rules.take_away_late() {
            let numbers = UInt32Chunked::from_vec(ROW.into(), numbers).into_column();
            built.with_column(numbers).map_err(|_| fault("building its columns"))?;
        }
        Ok(built)
    }

    /// The columns of [`Conforming::batch`], and their types.
    pub fn schema(&self) -> Schema {
        let (contract, columns) = (self.contract, self.contract.columns().iter());
        let id = match contract.subject() {
            Subject::Column(name) => contract.column(name.as_str()).map(|column| physical_type(&column.kind)),
            Subject::Row => None,
        };
        let named = id.map(|id| [(ID, id), (PLACE, DataType::UInt64)]).into_iter().flatten();
        let columns = columns.filter(|column| !contract.is_subject(column.name.as_str())).map(|column| {
            let token = contract.names_a_row(column.name.as_str());
            (column.name.as_str(), if token { DataType::Int64 } else { physical_type(&column.kind) })
        });
        let number = self.rules.take_away_late().then_some((ROW, DataType::UInt32));
        named
            .chain([(MARK, DataType::UInt8)])
            .chain(columns)
            .chain(number)
            .map(|(name, dtype)| (name.into(), dtype))
            .collect()
    }

    /// What was found, when all rows went through, and so many were left out since their patient has an earlier row.
    ///
    /// # Errors
    /// No row fits.
    pub fn finish(self, findings: Findings, repeated: u64) -> Result<Report, SourceError> {
        let (mut fitting, mut rejected) = (self.fitting, self.rejected);
        for (reason, rows) in self.rules.left_out_late() {
            fitting -= rows;
            rejected.insert(reason, rows);
        }
        if repeated > 0 {
            rejected.insert(Reason::RepeatedSubject, repeated);
        }
        let rows_rejected: Vec<Rejected> =
            rejected.into_iter().map(|(reason, rows)| Rejected { reason, rows }).collect();
        if fitting == 0 {
            let reasons: Vec<String> = rows_rejected.iter().map(|r| format!("{}: {}", r.reason, r.rows)).collect();
            let mut reason = format!("no row fits the contract ({})", reasons.join("; "));
            let mut columns = self.contract.columns().iter().zip(&self.columns);
            if let Some((column, _)) = columns.find(|(_, report)| report.inexact > 0) {
                let name = &column.name;
                reason += &format!(
                    "\n  hint: `{name}` has whole numbers beyond ±2⁵³: numbers that name something are texts, so have the contract declare it as text"
                );
            }
            return Err(SourceError::Empty { path: self.spec.source.path().to_owned(), reason });
        }
        let names = self.contract.columns().iter().map(|column| column.name.clone());
        Ok(Report {
            source_rows: self.source_rows,
            bad_lines: findings.bad_lines,
            rows_kept: fitting - repeated,
            rows_rejected,
            columns: names.zip(self.columns).collect(),
            rules: self.rules.finish(),
            // Whoever knows the snapshot before says it.
            fallen: BTreeMap::new(),
        })
    }
}

/// What was found in the rows up to some row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conformed {
    columns: Vec<ColumnReport>,
    rules: rules::Looked,
    source_rows: u64,
    fitting: u64,
    rejected: Vec<Rejected>,
}

impl Conformed {
    /// So many rows of the source there were.
    pub fn source_rows(&self) -> u64 {
        self.source_rows
    }
}

impl Conforming<'_> {
    /// What was found so far.
    pub fn so_far(&self) -> Conformed {
        let rejected = self.rejected.iter().map(|(reason, rows)| Rejected { reason: reason.clone(), rows: *rows });
        Conformed {
            columns: self.columns.clone(),
            rules: self.rules.so_far(),
            source_rows: self.source_rows,
            fitting: self.fitting,
            rejected: rejected.collect(),
        }
    }

    /// Goes on behind rows in which this was found.
    pub fn go_on(&mut self, found: Conformed) {
        self.columns = found.columns;
        (self.source_rows, self.fitting) = (found.source_rows, found.fitting);
        self.rejected = found.rejected.into_iter().map(|rejected| (rejected.reason, rejected.rows)).collect();
        self.rules.go_on(found.rules);
    }
}

/// Rules that wait until all rows were read.
impl Conforming<'_> {
    /// Each of them, with what it looks for in another dataset, where it does.
    pub fn late(&self) -> Vec<Option<&Check>> {
        self.rules.late()
    }

    /// The keys of the rows since the last call: one list for each of these rules.
    pub fn take_keys(&mut self) -> Vec<Vec<Key>> {
        self.rules.take_keys()
    }

    /// Compares keys of one of these rules, when all rows went through, with those of the other dataset, where it looks into one: all that are of one part
    /// ([`Key::part`]). The rules come in turn.
    pub fn compare(&mut self, late: usize, keys: Vec<Key>, theirs: Vec<Key>) {
        self.rules.compare(late, keys, theirs);
    }

    /// What they take away.
    pub fn taken(&self) -> &TakenAway {
        self.rules.taken()
    }
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

/// The ids of patients, one a source row.
#[derive(Clone, Copy)]
enum Ids<'a> {
    Numbers(&'a [Option<i64>]),
    Texts(&'a [Option<&'a str>]),
}

/// The place of an id among others: the same in every process and on every machine.
pub(in crate::custodian) fn place(id: &(impl Hash + ?Sized)) -> u64 {
    FixedState::with_seed(0).hash_one(id)
}

/// The column that names the patients, if one does.
fn named<'a>(contract: &Contract, columns: &'a [(&ContractColumn, Values<'a>)]) -> Option<Ids<'a>> {
    let Subject::Column(name) = contract.subject() else { return None };
    match columns.iter().find(|(c, _)| c.name == *name) {
        Some((_, Values::Int(ids))) => Some(Ids::Numbers(ids)),
        Some((_, Values::Text(ids))) => Some(Ids::Texts(ids)),
        // A contract has no other subjects.
        _ => None,
    }
}

impl Ids<'_> {
    fn has(self, row: usize) -> bool {
        match self {
            Ids::Numbers(ids) => ids[row].is_some(),
            Ids::Texts(ids) => ids[row].is_some(),
        }
    }

    /// The ids of some rows, and their places. Each of the rows has an id.
    fn columns(self, rows: &[usize]) -> Vec<Column> {
        let (ids, places) = match self {
            Ids::Numbers(ids) => {
                let ids: Vec<i64> = rows.iter().filter_map(|row| ids[*row]).collect();
                let places = ids.iter().map(place).collect();
                (Int64Chunked::from_vec(ID.into(), ids).into_column(), places)
            }
            Ids::Texts(ids) => {
                // Who is spelled in two ways is one patient.
                let ids: Vec<Cow<'_, str>> = rows.iter().filter_map(|row| ids[*row]).map(composed).collect();
                let places = ids.iter().map(|id| place(id.as_ref())).collect();
                (StringChunked::from_iter_values(ID.into(), ids.iter()).into_column(), places)
            }
        };
        vec![ids, UInt64Chunked::from_vec(PLACE.into(), places).into_column()]
    }

    /// How the patients of some rows are known again. Each of the rows has an id.
    fn tokens(self, rows: &[usize], form: &IdForm) -> Vec<Token> {
        // A patient's rows mostly stand together.
        fn each<T: Copy + PartialEq>(ids: impl Iterator<Item = T>, of: impl Fn(T) -> Token) -> Vec<Token> {
            let mut last: Option<(T, Token)> = None;
            ids.map(|id| match last {
                Some((same, token)) if same == id => token,
                _ => last.insert((id, of(id))).1,
            })
            .collect()
        }
        match self {
            Ids::Numbers(ids) => each(rows.iter().filter_map(|row| ids[*row]), |id| form.of_subject(&id.to_string())),
            Ids::Texts(ids) => each(rows.iter().filter_map(|row| ids[*row]), |id| form.of_subject(id)),
        }
    }
}
