//! Values for each row of a table, and not for each patient: what stands in the row that a row refers to, and how many rows of the same patient
//! lie about it.
//!
//! ```text
//! rows there ──filter (Polars)──▶ each patient's, in order of key or day ──┐
//! rows here  ──each patient's ────────────────────────────look up─────────┴▶ a value for each, by its place in the snapshot
//! ```
//!
//! Rows of one patient are looked up among rows of the same patient, in order: a pair of rows is never made, so that nothing grows with their number.
//! A key that two rows of a patient have is that of neither. A row is not one of those about itself.

use bocage_protocol::ids::{ColumnName, TableName};
use bocage_protocol::limits;
use bocage_protocol::plan::{Edge, Feature, Moment, Rows};
use polars::prelude::{Column, IdxCa, NewChunkedArray as _};

use super::days::{Day, days};
use super::look::{Look, PartRows};
use super::making::Making;
use super::{Made, Table};
use crate::custodian::engine::pass::PassError;
use crate::custodian::engine::{EngineError, Fault};

/// What a patient's rows are looked up by, each with its place, in order.
type Ordered = Box<[(i64, u32)]>;

impl<'a> Making<'a> {
    /// The values in the rows that those of a feature's table refer to.
    ///
    /// # Errors
    /// A table or a column is not there, or a pass over rows fails.
    pub(super) fn reached(
        &self,
        feature: &'a Feature,
        (through, table, column): (&'a ColumnName, &'a TableName, &'a ColumnName),
    ) -> Result<Made, EngineError> {
        let (here, there) = (self.own(feature)?, self.table(table)?);
        let key = there.contract.key().ok_or_else(|| self.unfit("the table has no key"))?;
        let keys = by_patient(Look::at(there).of(key).each(self.partition, |mine, part| {
            let keyed = |at: &usize| Some((part.values()?.whole(*at)?, part.place(*at)?));
            Some(once(mine.iter().filter_map(keyed).collect()))
        })?);
        let found = Look::at(here).of(through).each_of(self.partition, |patient, mine, part| {
            let keys = of(&keys, patient)?;
            let look_up = |at: &usize| {
                let key = part.values()?.whole(*at)?;
                let found = keys.binary_search_by_key(&key, |(key, _)| *key).ok()?;
                Some((part.place(*at)?, keys[found].1))
            };
            Some(mine.iter().filter_map(look_up).collect::<Vec<_>>())
        })?;
        let mut places = vec![None; here.rows.len()];
        for (place, row) in found.into_iter().flat_map(|(_, rows)| rows) {
            places[place as usize] = Some(row);
        }
        let places = IdxCa::from_slice_options("rows".into(), &places);
        let shape = || Fault::from(PassError::Shape).of(there.snapshot);
        let values = self.values_of(table, there, column).ok_or_else(shape)?;
        Ok(Made::ByRow(values.take(&places).map_err(|_| shape())?.rechunk()))
    }

    /// How many of these rows of the same patient lie about each row of a feature's table; as many as [`limits::FEATURE_COUNT`] at most.
    ///
    /// # Errors
    /// As [`Making::reached`].
    pub(super) fn about(&self, feature: &'a Feature, rows: &'a Rows) -> Result<Vec<u32>, EngineError> {
        let (here, there) = (self.own(feature)?, self.table(&rows.table)?);
        let itself = here.contract.id() == there.contract.id();
        let look = self.filtered(rows)?;
        let (look, timed) = if rows.window.is_some() { (look.timed(), true) } else { (look, false) };
        let placed = move |at: usize, part: &PartRows| Some((if timed { part.day(at)? } else { 0 }, part.place(at)?));
        let ordered = by_patient(look.each(self.partition, |mine, part| {
            let mut ordered: Vec<(i64, u32)> = mine.iter().filter_map(|at| placed(*at, part)).collect();
            ordered.sort_unstable();
            Some(ordered.into_boxed_slice())
        })?);
        let window = rows.window.as_ref();
        let end =
            |edge: Option<&Edge>| edge.map(|edge| Ok((self.day(feature, here, &edge.at)?, edge.days))).transpose();
        let from = end(window.and_then(|window| window.from.as_ref()))?;
        let to = end(window.and_then(|window| window.to.as_ref()))?;
        let look = if timed && itself { Look::at(here).timed() } else { Look::at(here) };
        let found = look.each_of(self.partition, |patient, mine, part| {
            let ordered = of(&ordered, patient)?;
            let count = |at: &usize| {
                let place = part.place(*at)?;
                let bound = |end: &Option<(Day, i32)>, open: i64| match end {
                    None => Some(open),
                    Some((day, after)) => Some(day.of_row(patient, place)?.saturating_add(i64::from(*after))),
                };
                let (first, last) = (bound(&from, i64::MIN)?, bound(&to, i64::MAX)?);
                let begin = ordered.partition_point(|(day, _)| *day < first);
                let end = ordered.partition_point(|(day, _)| *day <= last);
                let own = placed(*at, part).filter(|own| itself && (first..=last).contains(&own.0));
                let own = own.is_some_and(|own| ordered.binary_search(&own).is_ok());
                let count = end.saturating_sub(begin) - usize::from(own);
                Some((place, count.min(limits::FEATURE_COUNT as usize) as u32))
            };
            Some(mine.iter().filter_map(count).collect::<Vec<_>>())
        })?;
        let mut counts = vec![0; here.rows.len()];
        for (place, count) in found.into_iter().flat_map(|(_, rows)| rows) {
            counts[place as usize] = count;
        }
        Ok(counts)
    }

    /// The day at which a window of a row begins or ends.
    fn day(&self, feature: &Feature, here: Table<'_>, moment: &Moment) -> Result<Day, EngineError> {
        let name = match moment {
            Moment::Date(day) => return Ok(Day::At(*day)),
            Moment::Column(name) => name,
        };
        let stored = || here.rows.column(name.as_str());
        let days_of = |values: &Column| days(values).map(|days| Day::by_place(&days));
        let day = match self.before.get(feature.on.as_ref(), name.as_str()) {
            Some(Made::BySubject(values)) => Day::by_subject(values),
            Some(Made::ByRow(values)) => days_of(values),
            Some(Made::Counts(_) | Made::Ages(_) | Made::Predicted(_) | Made::Plausible(_)) => None,
            None => stored().and_then(days_of),
        };
        day.ok_or_else(|| self.unfit("a window needs days"))
    }
}

/// In the order of the patients.
fn by_patient(mut found: Vec<(u32, Ordered)>) -> Vec<(u32, Ordered)> {
    found.sort_unstable_by_key(|(patient, _)| *patient);
    found
}

/// Those of a patient.
fn of(all: &[(u32, Ordered)], patient: u32) -> Option<&[(i64, u32)]> {
    let at = all.binary_search_by_key(&patient, |(patient, _)| *patient).ok()?;
    Some(&all[at].1)
}

/// In order of the keys, without those that stand in several rows.
fn once(mut keyed: Vec<(i64, u32)>) -> Ordered {
    keyed.sort_unstable();
    let alone = |run: &&[(i64, u32)]| run.len() == 1;
    keyed.chunk_by(|a, b| a.0 == b.0).filter(alone).map(|run| run[0]).collect()
}
