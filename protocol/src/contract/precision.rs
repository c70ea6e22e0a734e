//! How coarse a date may be that a column takes: a source may know the month or the year alone. The middle of the month or year then stands for it.

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
}
