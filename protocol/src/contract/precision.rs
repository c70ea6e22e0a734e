//! How coarse a date may be that a column takes: a source may know the month or the year alone. The middle of the month or year then stands for it.

use std::ops::RangeInclusive;

use chrono::{Datelike as _, Days, Months, NaiveDate};
use serde::Serialize;

use crate::front::dates::parse_date;

/// The coarsest date that a column takes. Without one, only whole days are dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// `2020-03` too: the 15th stands for it.
    Month,
    /// `2020-03` and `2020` too: 1 July stands for a year.
    Year,
}

impl Precision {
    /// The name in a contract.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Month => "month",
            Precision::Year => "year",
        }
    }

    /// The day that stands for a month or a year, written `2020-03` or `2020`; none if the text is neither, or coarser than this.
    pub fn middle(self, text: &str) -> Option<i32> {
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        match (text.len(), self) {
            (4, Precision::Year) if digits(text) => parse_date(&format!("{text}-07-01")),
            (7, _) if text.is_ascii() && digits(&text[..4]) => parse_date(&format!("{text}-15")),
            _ => None,
        }
    }

    /// The days that a day of such a column may stand for: those of its month or year, where it is the one that stands for all of them.
    pub fn meant(self, day: i32) -> RangeInclusive<i32> {
        let first = |date: NaiveDate| match (date.day(), date.month(), self) {
            (1, 7, Precision::Year) => Some((date.with_month(1)?, Months::new(12))),
            (15, ..) => Some((date.with_day(1)?, Months::new(1))),
            _ => None,
        };
        let days = |date: NaiveDate| date.signed_duration_since(NaiveDate::default()).num_days() as i32;
        let meant = date(day).and_then(first).and_then(|(first, months)| {
            let last = first.checked_add_months(months)?.checked_sub_days(Days::new(1))?;
            Some(days(first)..=days(last))
        });
        meant.unwrap_or(day..=day)
    }
}

fn date(day: i32) -> Option<NaiveDate> {
    let days = Days::new(u64::from(day.unsigned_abs()));
    let epoch = NaiveDate::default();
    if day < 0 { epoch.checked_sub_days(days) } else { epoch.checked_add_days(days) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_stands_for_a_month_or_year_as_far_as_the_column_takes_one() {
        let day = |text: &str| parse_date(text);
        assert_eq!(Precision::Year.middle("2020"), day("2020-07-01"));
        assert_eq!(Precision::Year.middle("2020-03"), day("2020-03-15"));
        assert_eq!(Precision::Month.middle("2020-03"), day("2020-03-15"));
        for text in ["2020", "2020-13", "202", "2020-3", "2020-03-01", "20200-3", "+202", "2020_03", "ⅻⅻx"] {
            assert_eq!(Precision::Month.middle(text), None, "{text}");
        }
        assert_eq!(Precision::Year.middle("+202"), None);
    }

    #[test]
    fn a_day_that_stands_for_a_month_or_year_may_mean_each_of_its_days() {
        let day = |text: &str| parse_date(text).unwrap();
        let meant = |precision: Precision, text: &str| precision.meant(day(text));
        assert_eq!(meant(Precision::Year, "2020-07-01"), day("2020-01-01")..=day("2020-12-31"));
        assert_eq!(meant(Precision::Year, "1960-02-15"), day("1960-02-01")..=day("1960-02-29"));
        assert_eq!(meant(Precision::Month, "2020-12-15"), day("2020-12-01")..=day("2020-12-31"));
        for (precision, text) in
            [(Precision::Month, "2020-07-01"), (Precision::Year, "2020-07-02"), (Precision::Year, "1969-12-31")]
        {
            assert_eq!(meant(precision, text), day(text)..=day(text), "{text}");
        }
        assert_eq!(Precision::Year.meant(i32::MIN), i32::MIN..=i32::MIN);
    }
}
