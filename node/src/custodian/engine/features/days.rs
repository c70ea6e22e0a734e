//! Days: the ends of windows, and ages. A datetime is the day in UTC that it lies in.

use bocage_protocol::contract::{Contract, Kind};
use bocage_protocol::ids::ColumnName;
use bocage_protocol::limits;
use chrono::NaiveDate;
use polars::prelude::{Column, DataFrame, DataType, Int64Chunked, IntoColumn as _};

use crate::custodian::engine::parts::PART_ROWS;
use crate::custodian::engine::pass::PassError;
use crate::custodian::snapshot::Rows;

/// Of a datetime.
pub const MS_PER_DAY: i64 = 86_400_000;
/// No day.
const UNKNOWN: i64 = i64::MIN;

/// A day.
pub enum Day {
    /// The same for all.
    At(i32),
    /// One for each subject of the base, or none.
    BySubject(Vec<i64>),
    /// That of each row of the base, in this column or feature.
    OfRow(ColumnName),
    /// That of each row of a table, by its place in the snapshot.
    ByPlace(Vec<i64>),
}

impl Day {
    /// Of a feature's values; none if they are no dates.
    pub fn by_subject(values: &Column) -> Option<Self> {
        days(values).map(|days| Day::BySubject(days.iter().map(|day| day.unwrap_or(UNKNOWN)).collect()))
    }

    /// Of the rows of a snapshot.
    pub fn by_place(days: &Int64Chunked) -> Self {
        Day::ByPlace(days.iter().map(|day| day.unwrap_or(UNKNOWN)).collect())
    }

    /// That of a row of a patient.
    pub fn of_row(&self, patient: u32, place: u32) -> Option<i64> {
        match self {
            Day::At(day) => Some(i64::from(*day)),
            Day::BySubject(days) => known(days, patient),
            Day::ByPlace(days) => known(days, place),
            Day::OfRow(_) => None,
        }
    }

    /// Of a column of the base; none if that is none of dates.
    pub fn of_base(name: Option<&ColumnName>, contract: &Contract) -> Option<Self> {
        let column = contract.column(name?.as_str())?;
        matches!(column.kind, Kind::Date { .. } | Kind::Datetime { .. }).then(|| Day::OfRow(column.name.clone()))
    }

    /// For each row of a part of the base.
    fn of_rows(&self, rows: &DataFrame, subjects: &[u32]) -> Result<Vec<Option<i64>>, PassError> {
        Ok(match self {
            Day::At(day) => vec![Some(i64::from(*day)); subjects.len()],
            Day::BySubject(days) => subjects.iter().map(|subject| known(days, *subject)).collect(),
            Day::OfRow(name) => {
                let column = rows.column(name.as_str()).map_err(|_| PassError::Shape)?;
                days(column).ok_or(PassError::Shape)?.iter().collect()
            }
            Day::ByPlace(_) => return Err(PassError::Shape),
        })
    }
}

fn known(days: &[i64], at: u32) -> Option<i64> {
    days.get(at as usize).copied().filter(|day| *day != UNKNOWN)
}

/// The days of a column of dates or datetimes, as a snapshot holds them; none if it is another.
pub fn days(column: &Column) -> Option<Int64Chunked> {
    match column.dtype() {
        DataType::Int32 => Some(column.cast(&DataType::Int64).ok()?.i64().ok()?.clone()),
        DataType::Int64 => Some(column.i64().ok()?.iter().map(|ms| ms.map(|ms| ms.div_euclid(MS_PER_DAY))).collect()),
        _ => None,
    }
}

/// The day in the one row that each subject has in a table; `base` says who of the base it is.
///
/// # Errors
/// The column is not there, or holds no days.
pub fn of_one_row(
    rows: Rows<'_>,
    name: &ColumnName,
    subjects: usize,
    base: impl Fn(u32) -> Option<u32>,
) -> Result<Day, PassError> {
    let mut of = vec![UNKNOWN; subjects];
    for part in rows.parts(PART_ROWS) {
        let frame = rows.frame(&part, [name.as_str()]).ok_or(PassError::Shape)?;
        let days = days(frame.column(name.as_str()).map_err(|_| PassError::Shape)?).ok_or(PassError::Shape)?;
        for (subject, day) in rows.subjects(&part).iter().zip(days.iter()) {
            if let (Some(base), Some(day)) = (base(*subject), day)
                && let Some(of) = of.get_mut(base as usize)
            {
                *of = day;
            }
        }
    }
    Ok(Day::BySubject(of))
}

/// The ends of a window: a day each, and so many days after it. Both are part of it.
pub struct Bounds {
    pub from: Option<(Day, i32)>,
    pub to: Option<(Day, i32)>,
}

impl Bounds {
    /// The first and the last day for a subject of the base; none if one of them is not known.
    pub fn of(&self, subject: u32) -> Option<(i64, i64)> {
        let day = |end: &Option<(Day, i32)>, open: i64| match end {
            None => Some(open),
            Some((Day::At(day), after)) => Some(i64::from(*day) + i64::from(*after)),
            Some((Day::BySubject(days), after)) => {
                known(days, subject).map(|day| day.saturating_add(i64::from(*after)))
            }
            // A row is no window for all of a patient's rows.
            Some((Day::OfRow(_) | Day::ByPlace(_), _)) => None,
        };
        Some((day(&self.from, i64::MIN)?, day(&self.to, i64::MAX)?))
    }
}

/// Ages in completed years.
pub struct Ages {
    pub birth: Day,
    pub at: Day,
}

impl Ages {
    /// The columns and features of the base's rows that they are computed from.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        [&self.birth, &self.at].into_iter().filter_map(|day| match day {
            Day::OfRow(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Those of the rows of a part.
    ///
    /// # Errors
    /// The part lacks a column.
    pub fn of(&self, rows: &DataFrame, subjects: &[u32]) -> Result<Column, PassError> {
        let (birth, at) = (self.birth.of_rows(rows, subjects)?, self.at.of_rows(rows, subjects)?);
        if birth.len() != at.len() {
            return Err(PassError::Shape);
        }
        let ages: Int64Chunked = birth.into_iter().zip(at).map(|(birth, at)| age(birth?, at?)).collect();
        Ok(ages.into_column())
    }
}

/// Completed years; none before birth, after [`limits::AGE`], and of days that no calendar has. Who was born on 29 February has the birthday on 1
/// March in other years.
fn age(birth: i64, at: i64) -> Option<i64> {
    let date = |day: i64| NaiveDate::from_epoch_days(i32::try_from(day).ok()?);
    let years = i64::from(date(at)?.years_since(date(birth)?)?);
    (years <= limits::AGE).then_some(years)
}
