//! The making of one feature: what it looks at, and what is made of it.

use std::collections::BTreeSet;

use bocage_protocol::ids::{ColumnName, TableName};
use bocage_protocol::plan::{Derived, Edge, Feature, Moment, Pick, Rows, ValidPlan};
use polars::prelude::{Column, IdxCa, NewChunkedArray as _};

use super::days::{self, Ages, Bounds, Day};
use super::look::Look;
use super::plausible::Plausible;
use super::predicting::Predicting;
use super::{Columns, Made, Table, Tables, fold};
use crate::custodian::engine::parts::Partition;
use crate::custodian::engine::pass::PassError;
use crate::custodian::engine::{EngineError, Fault, Unfit};

/// The making of a feature.
pub struct Making<'a> {
    pub plan: &'a ValidPlan,
    pub tables: &'a Tables<'a>,
    /// The features before it.
    pub before: &'a Columns,
    pub partition: Partition,
}

impl<'a> Making<'a> {
    /// Its values.
    ///
    /// # Errors
    /// A table is missing or not of the contract that the plan names, or a pass over its rows fails.
    pub fn make(&self, feature: &'a Feature) -> Result<Made, EngineError> {
        let subjects = self.tables.subjects;
        let base = self.plan.contract(self.tables.contract);
        let before = self.plan.features().iter().position(|other| other.name == feature.name).unwrap_or(0);
        if feature.is_of_rows(base, &self.plan.features()[..before]) {
            return self.of_rows(feature);
        }
        Ok(Made::BySubject(match &feature.of {
            Derived::Has { rows, at_least } => {
                let counts = self.look(rows)?.each(self.partition, fold::count)?;
                fold::at_least(&counts, subjects, *at_least)
            }
            Derived::Count { rows } => {
                let counts = self.look(rows)?.each(self.partition, fold::count)?;
                return Ok(Made::Counts(fold::counts(&counts, subjects)));
            }
            Derived::Pick { pick: Pick::Mean, column, rows } => {
                let look = self.look_of(rows, column)?;
                fold::means(&look.each(self.partition, fold::mean)?, subjects)
            }
            Derived::Sum { column, rows, .. } => {
                let sums = self.look_of(rows, column)?.each(self.partition, fold::sum)?;
                let kind = base.column(feature.name.as_str()).map(|column| &column.kind);
                fold::sums(&sums, subjects, kind).ok_or_else(|| self.unfit("a sum is no number"))?
            }
            Derived::Pick { pick, column, rows } => {
                let look = self.look_of(rows, column)?;
                let rows = look.each(self.partition, |mine, part| fold::pick(*pick, mine, part))?;
                self.picked(&look, column, &rows)?
            }
            Derived::Value { table, column } => {
                let look = self.with(Look::at(self.table(table)?), table, [column.as_str()]);
                let rows = look.each(self.partition, |mine, part| mine.first().and_then(|at| part.place(*at)))?;
                self.picked(&look, column, &rows)?
            }
            Derived::Predicted(of) => {
                let contract = self.plan.contract(self.tables.contract);
                let folds = self.tables.folds.clone();
                let predicting = Predicting::new(of, contract, folds).map_err(|cause| self.unfit(cause.0))?;
                return Ok(Made::Predicted(Box::new(predicting)));
            }
            Derived::Plausible { column, lo, hi } => {
                return Ok(Made::Plausible(Plausible::new(column.clone(), (*lo, *hi))));
            }
            Derived::Age { table, at } => {
                let birth = match table {
                    None => Day::of_base(self.tables.contract.birth(), self.tables.contract),
                    Some(table) => self.birth(self.table(table)?)?,
                };
                let at = match at {
                    Moment::Date(day) => Some(Day::At(*day)),
                    Moment::Column(name) => match self.before.get(None, name.as_str()) {
                        Some(Made::BySubject(days)) => Day::by_subject(days),
                        Some(Made::ByRow(_)) => Some(Day::OfRow(name.clone())),
                        Some(Made::Counts(_) | Made::Ages(_) | Made::Predicted(_) | Made::Plausible(_)) => None,
                        None => Day::of_base(Some(name), self.tables.contract),
                    },
                };
                let (birth, at) = birth.zip(at).ok_or_else(|| self.unfit("an age needs two days"))?;
                return Ok(Made::Ages(Ages { birth, at }));
            }
            Derived::Reached { .. } => return Err(self.unfit("a row refers to a row")),
        }))
    }

    /// A value for each row of the feature's table.
    fn of_rows(&self, feature: &'a Feature) -> Result<Made, EngineError> {
        Ok(Made::ByRow(match &feature.of {
            Derived::Has { rows, at_least } => fold::truths(&self.about(feature, rows)?, *at_least),
            Derived::Count { rows } => fold::numbers(&self.about(feature, rows)?),
            Derived::Reached { through, table, column } => return self.reached(feature, (through, table, column)),
            _ => return Err(self.unfit("a value for each row")),
        }))
    }

    /// The table that a feature is a column of.
    pub(super) fn own(&self, feature: &Feature) -> Result<Table<'a>, EngineError> {
        match &feature.on {
            Some(table) => self.table(table),
            None => Ok(self.tables.own()),
        }
    }

    pub(super) fn table(&self, name: &TableName) -> Result<Table<'a>, EngineError> {
        let named = self.plan.related().get(name).ok_or_else(|| self.unfit("a feature looks into no table"))?;
        let mismatch = || EngineError::ContractMismatch { contract: named.dataset.clone() };
        let table = self.tables.related.get(&named.dataset).ok_or_else(mismatch)?;
        if table.contract.hash() != named.contract {
            return Err(mismatch());
        }
        Ok(Table { contract: self.plan.table_contract(name, table.contract), ..*table })
    }

    /// The rows of a table for which a feature's condition is true, whenever they happened.
    pub(super) fn filtered(&self, rows: &'a Rows) -> Result<Look<'a>, EngineError> {
        let look = Look::at(self.table(&rows.table)?);
        let Some(filter) = &rows.filter else { return Ok(look) };
        let look = self.with(look, &rows.table, filter.columns().into_iter().map(ColumnName::as_str));
        look.filtered(filter).map_err(|cause| self.unfit(cause.0))
    }

    /// With the features of a table's rows that are among these columns.
    fn with(&self, look: Look<'a>, table: &TableName, columns: impl IntoIterator<Item = &'a str>) -> Look<'a> {
        let made = columns.into_iter().collect::<BTreeSet<_>>().into_iter();
        let before: &'a Columns = self.before;
        let made = made.filter_map(|name| Some((name, before.of_rows(table, name)?)));
        made.fold(look, |look, (name, values)| look.with(name, values))
    }

    /// The values of a column of a table, or of a feature of its rows.
    pub(super) fn values_of(&self, table: &TableName, there: Table<'a>, column: &ColumnName) -> Option<&'a Column> {
        let before: &'a Columns = self.before;
        before.of_rows(table, column.as_str()).or_else(|| there.rows.column(column.as_str()))
    }

    /// The rows with a value in a column that a feature is made of.
    fn look_of(&self, rows: &'a Rows, column: &'a ColumnName) -> Result<Look<'a>, EngineError> {
        let look = self.look(rows)?;
        let read = rows.filter.as_ref().is_some_and(|filter| filter.columns().contains(&column));
        let look = if read { look } else { self.with(look, &rows.table, [column.as_str()]) };
        Ok(look.of(column))
    }

    /// The rows that a feature is made of.
    fn look(&self, rows: &'a Rows) -> Result<Look<'a>, EngineError> {
        let look = self.filtered(rows)?;
        let Some(window) = &rows.window else { return Ok(look) };
        let day = |edge: &Edge| -> Result<Day, EngineError> {
            match &edge.at {
                Moment::Date(day) => Ok(Day::At(*day)),
                Moment::Column(name) => self.by_subject(name),
            }
        };
        let edge = |edge: &Option<Edge>| edge.as_ref().map(|edge| Ok((day(edge)?, edge.days))).transpose();
        Ok(look.within(Bounds { from: edge(&window.from)?, to: edge(&window.to)? }))
    }

    /// The day of each subject of the base: an earlier feature's, or that of the base's one row of the subject.
    fn by_subject(&self, name: &ColumnName) -> Result<Day, EngineError> {
        let unfit = || self.unfit("a window needs one day for each patient");
        match self.before.get(None, name.as_str()) {
            Some(Made::BySubject(days)) => Day::by_subject(days).ok_or_else(unfit),
            Some(Made::Counts(_) | Made::Ages(_) | Made::ByRow(_) | Made::Predicted(_) | Made::Plausible(_)) => {
                Err(unfit())
            }
            None if self.tables.contract.one_row_per_subject() => {
                days::of_one_row(self.tables.base, name, self.tables.subjects, Some)
                    .map_err(|cause| Fault::from(cause).of(self.tables.snapshot))
            }
            None => Err(unfit()),
        }
    }

    fn birth(&self, table: Table<'_>) -> Result<Option<Day>, EngineError> {
        let Some(birth) = table.contract.birth() else { return Ok(None) };
        let base = |subject| table.patient(subject);
        days::of_one_row(table.rows, birth, self.tables.subjects, base)
            .map(Some)
            .map_err(|cause| Fault::from(cause).of(table.snapshot))
    }

    /// The values in these rows of a table, by the base's subjects.
    fn picked(&self, look: &Look<'_>, column: &ColumnName, rows: &[(u32, u32)]) -> Result<Column, EngineError> {
        let rows = fold::placed(rows.iter().map(|(subject, row)| (*subject, Some(*row))), self.tables.subjects, None);
        let shape = || Fault::from(PassError::Shape).of(look.table.snapshot);
        let rows = IdxCa::from_slice_options("rows".into(), &rows);
        let values = look.column(column.as_str()).ok_or_else(shape)?;
        Ok(values.take(&rows).map_err(|_| shape())?.rechunk())
    }

    pub(super) fn unfit(&self, cause: &'static str) -> EngineError {
        EngineError::Plan { snapshot: self.tables.snapshot, cause: Unfit(cause) }
    }
}
