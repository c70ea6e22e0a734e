//! A date as the calendar period that it lies in: ISO weeks, months, quarters, years. Levels follow from the signed plan and the contract's
//! range alone: the periods between two days, and where the range goes beyond them a level before and a level after.

use chrono::{Datelike as _, Days, Months, NaiveDate};
use serde::{Deserialize, Serialize};

use super::domain::Coarser;
use super::typing::TypeProblem;
use crate::contract::{Contract, Kind};
use crate::ids::ColumnName;
use crate::limits;

/// How long a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeriodUnit {
    /// ISO 8601: Monday to Sunday, `2020-W12`.
    Week,
    /// `2020-03`.
    Month,
    /// `2020-Q1`.
    Quarter,
    /// `2020`.
    Year,
}

impl PeriodUnit {
    /// Every unit, as a study's text calls it.
    pub const ALL: [(&str, PeriodUnit); 4] = [
        ("week", PeriodUnit::Week),
        ("month", PeriodUnit::Month),
        ("quarter", PeriodUnit::Quarter),
        ("year", PeriodUnit::Year),
    ];

    /// As a study's text calls it.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, unit)| *unit == self).map_or("", |(name, _)| name)
    }

    /// The first day of the period that `day` lies in.
    fn start(self, day: NaiveDate) -> Option<NaiveDate> {
        match self {
            PeriodUnit::Week => day.checked_sub_days(Days::new(day.weekday().num_days_from_monday().into())),
            PeriodUnit::Month => day.with_day(1),
            PeriodUnit::Quarter => day.with_day(1)?.with_month(day.month0() / 3 * 3 + 1),
            PeriodUnit::Year => day.with_day(1)?.with_month(1),
        }
    }

    /// The first day of the period after the one that begins on `start`.
    fn next(self, start: NaiveDate) -> Option<NaiveDate> {
        match self {
            PeriodUnit::Week => start.checked_add_days(Days::new(7)),
            PeriodUnit::Month => start.checked_add_months(Months::new(1)),
            PeriodUnit::Quarter => start.checked_add_months(Months::new(3)),
            PeriodUnit::Year => start.checked_add_months(Months::new(12)),
        }
    }

    fn label(self, start: NaiveDate) -> String {
        match self {
            PeriodUnit::Week => start.format("%G-W%V").to_string(),
            PeriodUnit::Month => start.format("%Y-%m").to_string(),
            PeriodUnit::Quarter => format!("{}-Q{}", start.year(), start.month0() / 3 + 1),
            PeriodUnit::Year => start.year().to_string(),
        }
    }

    /// The longer units that every period of this one lies within, finest first.
    fn coarser(self) -> &'static [PeriodUnit] {
        match self {
            PeriodUnit::Week | PeriodUnit::Year => &[],
            PeriodUnit::Month => &[PeriodUnit::Quarter, PeriodUnit::Year],
            PeriodUnit::Quarter => &[PeriodUnit::Year],
        }
    }
}

/// The periods of one date or datetime column (by its UTC day) between two days, both first days of a period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Periods {
    /// The column.
    pub column: ColumnName,
    /// How long a period is.
    pub unit: PeriodUnit,
    /// The first day of the first period, in days since 1970-01-01.
    pub from: i32,
    /// The first day after the last period.
    pub to: i32,
}

/// The levels of [`Periods`] under a contract.
pub(super) struct PeriodLevels {
    pub labels: Vec<String>,
    pub coarser: Vec<Coarser>,
}

impl Periods {
    /// The periods that touch the days `first` to `last`, or all that the contract's range of the column touches.
    ///
    /// # Errors
    /// The column has no range of days, or there would be too many periods.
    pub fn spanning(
        column: ColumnName,
        unit: PeriodUnit,
        between: Option<(i32, i32)>,
        contract: &Contract,
    ) -> Result<Self, TypeProblem> {
        let range = range(&column, contract)?;
        let (first, last) = between.unwrap_or(range);
        let bounds = || {
            let from = unit.start(date(first)?)?;
            let to = unit.next(unit.start(date(last)?)?)?;
            Some((days(from), days(to)))
        };
        let (from, to) = bounds().filter(|(from, to)| from < to).ok_or_else(|| wrong_days(unit))?;
        let periods = Self { column, unit, from, to };
        periods.starts()?;
        Ok(periods)
    }

    /// The first days of all periods.
    fn starts(&self) -> Result<Vec<NaiveDate>, TypeProblem> {
        let (Some(mut start), Some(end)) = (date(self.from), date(self.to)) else { return Err(wrong_days(self.unit)) };
        let mut starts = Vec::new();
        while start < end {
            if self.unit.start(start) != Some(start) {
                return Err(wrong_days(self.unit));
            }
            if starts.len() == limits::BREAKS {
                let (unit, column) = (self.unit.as_str(), &self.column);
                return Err(TypeProblem::new(format!("{unit}({column}) has more than {} periods", limits::BREAKS)).hint(
                    format!(
                        "say which: {unit}({column}, date '2020-01-01', date '2020-12-31'); what lies outside is counted before or after them"
                    ),
                ));
            }
            starts.push(start);
            start = self.unit.next(start).ok_or_else(|| wrong_days(self.unit))?;
        }
        if starts.is_empty() || start != end { Err(wrong_days(self.unit)) } else { Ok(starts) }
    }

    /// Whether the contract's range has days before the first period, and after the last.
    fn beyond(&self, contract: &Contract) -> Result<(bool, bool), TypeProblem> {
        let (lo, hi) = range(&self.column, contract)?;
        Ok((lo < self.from, hi >= self.to))
    }

    /// The ascending days at which a new level begins: a day's level is how many of them are not after it.
    ///
    /// # Errors
    /// The periods are not such that [`Periods::spanning`] makes them.
    pub fn edges(&self, contract: &Contract) -> Result<Vec<i32>, TypeProblem> {
        let (before, after) = self.beyond(contract)?;
        let starts = self.starts()?;
        let inner = starts.into_iter().map(days).skip(usize::from(!before));
        Ok(inner.chain(after.then_some(self.to)).collect())
    }

    pub(super) fn levels(&self, contract: &Contract) -> Result<PeriodLevels, TypeProblem> {
        let (before, after) = self.beyond(contract)?;
        let starts = self.starts()?;
        let coarser = self.unit.coarser().iter().filter(|unit| self.begins_and_ends_with(**unit));
        Ok(PeriodLevels {
            labels: labels(&starts, self.unit, before, after),
            coarser: coarser.map(|unit| coarser_view(&starts, *unit, before, after)).collect(),
        })
    }

    /// Whether no period of a longer unit is cut off.
    fn begins_and_ends_with(&self, unit: PeriodUnit) -> bool {
        [self.from, self.to].into_iter().all(|day| date(day).is_some_and(|day| unit.start(day) == Some(day)))
    }
}

fn labels(starts: &[NaiveDate], unit: PeriodUnit, before: bool, after: bool) -> Vec<String> {
    let first = starts.first().map(|start| format!("<{}", unit.label(*start)));
    let last = starts.last().map(|start| format!(">{}", unit.label(*start)));
    let beyond = |label: Option<String>, there: bool| label.filter(|_| there);
    let within = starts.iter().map(|start| unit.label(*start));
    beyond(first, before).into_iter().chain(within).chain(beyond(last, after)).collect()
}

fn coarser_view(starts: &[NaiveDate], unit: PeriodUnit, before: bool, after: bool) -> Coarser {
    let mut coarse: Vec<NaiveDate> = Vec::new();
    let mut of = if before { vec![0] } else { vec![] };
    for start in starts.iter().filter_map(|start| unit.start(*start)) {
        if coarse.last() != Some(&start) {
            coarse.push(start);
        }
        of.push(coarse.len() - 1 + usize::from(before));
    }
    of.extend(after.then_some(coarse.len() + usize::from(before)));
    Coarser { labels: labels(&coarse, unit, before, after), of }
}

/// The days of the contract's range of a column.
fn range(column: &ColumnName, contract: &Contract) -> Result<(i32, i32), TypeProblem> {
    const DAY_MS: i64 = 86_400_000;
    match contract.column(column.as_str()).map(|c| &c.kind) {
        Some(Kind::Date { lo, hi }) => Ok((*lo, *hi)),
        Some(Kind::Datetime { lo, hi }) => {
            let day =
                |ms: &i64| i32::try_from(ms.div_euclid(DAY_MS)).unwrap_or(if *ms < 0 { i32::MIN } else { i32::MAX });
            Ok((day(lo), day(hi)))
        }
        _ => Err(TypeProblem::new(format!("`{column}` is no date"))
            .hint("week(…), month(…), quarter(…) and year(…) take a column of dates or datetimes")),
    }
}

fn wrong_days(unit: PeriodUnit) -> TypeProblem {
    let unit = unit.as_str();
    TypeProblem::new(format!("{unit}(…) needs a first day that is not after the last"))
        .hint(format!("e.g. {unit}(admitted, date '2020-01-01', date '2020-12-31')"))
}

fn date(day: i32) -> Option<NaiveDate> {
    NaiveDate::default().checked_add_signed(chrono::TimeDelta::days(day.into()))
}

fn days(date: NaiveDate) -> i32 {
    date.signed_duration_since(NaiveDate::default()).num_days() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(range: &str) -> Contract {
        let text = format!(
            "id = \"stay@1\"\nsubject = \"row\"\n[[column]]\nname = \"day\"\ntype = \"date\"\nrange = {range}\n\
             [[column]]\nname = \"age\"\ntype = \"int\"\nrange = [0, 120]\n"
        );
        crate::contract::parse(&text, "stay.toml").unwrap()
    }

    fn day(text: &str) -> i32 {
        days(text.parse().unwrap())
    }

    fn levels(unit: PeriodUnit, between: Option<(&str, &str)>, range: &str) -> PeriodLevels {
        let contract = contract(range);
        let between = between.map(|(first, last)| (day(first), day(last)));
        let periods = Periods::spanning("day".parse().unwrap(), unit, between, &contract).unwrap();
        let levels = periods.levels(&contract).unwrap();
        assert_eq!(periods.edges(&contract).unwrap().len() + 1, levels.labels.len());
        levels
    }

    const YEARS: &str = "[\"2019-12-30\", \"2021-01-03\"]";

    #[test]
    fn weeks_are_iso_weeks_and_cover_the_range_of_the_contract() {
        let weeks = levels(PeriodUnit::Week, None, YEARS);
        assert_eq!((weeks.labels.len(), weeks.labels[0].as_str()), (53, "2020-W01"));
        assert_eq!(weeks.labels[52], "2020-W53");
        assert!(weeks.coarser.is_empty(), "weeks lie in no month");
    }

    #[test]
    fn what_lies_outside_the_days_that_were_asked_is_counted_before_and_after_them() {
        let months = levels(PeriodUnit::Month, Some(("2020-02-10", "2020-03-31")), YEARS);
        assert_eq!(months.labels, ["<2020-02", "2020-02", "2020-03", ">2020-03"]);
        assert!(months.coarser.is_empty(), "the quarter would lack January");
        let contract = contract(YEARS);
        let between = Some((day("2020-02-10"), day("2020-03-31")));
        let periods = Periods::spanning("day".parse().unwrap(), PeriodUnit::Month, between, &contract).unwrap();
        assert_eq!(periods.edges(&contract).unwrap(), ["2020-02-01", "2020-03-01", "2020-04-01"].map(day));
    }

    #[test]
    fn months_roll_up_to_quarters_and_years_that_are_whole() {
        let months = levels(PeriodUnit::Month, Some(("2020-01-01", "2020-12-31")), YEARS);
        let of = |view: usize| (months.coarser[view].labels.clone(), months.coarser[view].of.clone());
        let (quarters, of_quarters) = of(0);
        assert_eq!(quarters, ["<2020-Q1", "2020-Q1", "2020-Q2", "2020-Q3", "2020-Q4", ">2020-Q4"]);
        assert_eq!(of_quarters, [0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5]);
        assert_eq!(
            of(1),
            (vec!["<2020".into(), "2020".into(), ">2020".into()], vec![0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2])
        );
    }

    #[test]
    fn days_that_no_period_begins_with_too_many_periods_and_numbers_are_refused() {
        let contract = contract("[\"1900-01-01\", \"2100-12-31\"]");
        let periods = |column: &str, unit, from, to| Periods { column: column.parse().unwrap(), unit, from, to };
        let askew = periods("day", PeriodUnit::Week, day("2020-03-17"), day("2020-03-24"));
        assert!(askew.levels(&contract).is_err());
        let open = periods("day", PeriodUnit::Month, day("2020-03-01"), day("2020-03-15"));
        assert!(open.levels(&contract).is_err());
        let huge = periods("day", PeriodUnit::Week, i32::MIN, i32::MAX);
        assert!(huge.levels(&contract).is_err());
        let spanning =
            |column: &str, between| Periods::spanning(column.parse().unwrap(), PeriodUnit::Week, between, &contract);
        let many = spanning("day", None).unwrap_err();
        assert_eq!(many.message, "week(day) has more than 1000 periods");
        assert!(many.hint.unwrap().starts_with("say which: week(day, date "));
        assert_eq!(spanning("age", None).unwrap_err().message, "`age` is no date");
        assert!(spanning("day", Some((10, 1))).is_err());
    }
}
