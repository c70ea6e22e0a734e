//! How a source writes dates and numbers, where it is not as the contract reads them: `31.12.2020`, `3,5`. A value that is not written as the settings
//! say is of another type, never a guess.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bocage_protocol::front::source_column;
use bocage_protocol::ids::ColumnName;
use bocage_protocol::settings::{Problem, Problems, join};
use polars::prelude::{DataFrame, IntoColumn, StringChunkedBuilder};
use serde::{Serialize, Serializer};

/// Stands for what is not written as the settings say. It is no date and no number.
const OTHERWISE: &str = "?";
const EXAMPLE: &str = "e.g. \"%d.%m.%Y\" for 31.12.2020, or \"%d.%m.%Y %H:%M\"";

/// `date_formats` and `decimal_comma` as they stand in `node.toml`.
pub(super) struct RawSpelling {
    pub(super) date_formats: BTreeMap<String, String>,
    pub(super) decimal_comma: Vec<String>,
}

/// How columns are written, by the names that the mapping knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Spelling {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    date_formats: BTreeMap<ColumnName, DateFormat>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    decimal_comma: BTreeSet<ColumnName>,
}

/// A date as fields and the texts between them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DateFormat(Vec<Part>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// By its letter, and whether it has all its digits since another field touches it.
    Field(Field, bool),
    Between(char),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

impl Spelling {
    /// Checks what is said of the dataset at `key`.
    pub(super) fn read(raw: RawSpelling, file: &str, key: &str, problems: &mut Problems) -> Self {
        let mut spelling = Self::default();
        for (name, text) in &raw.date_formats {
            let place = join(&join(key, "date_formats"), name);
            match (source_column(name), DateFormat::parse(text)) {
                (Some(column), Ok(format)) => drop(spelling.date_formats.insert(column, format)),
                (_, Err((why, hint))) => problems.push(Problem::new(file, place, why).hint(hint)),
                (None, _) => problems.push(Problem::new(file, place, "not the name of a column")),
            }
        }
        for name in &raw.decimal_comma {
            let place = join(key, "decimal_comma");
            match source_column(name) {
                Some(column) if spelling.date_formats.contains_key(&column) => {
                    problems.push(Problem::new(file, place, format!("`{column}` is in `date_formats` as well")));
                }
                Some(column) => drop(spelling.decimal_comma.insert(column)),
                None => problems.push(Problem::new(file, place, "not the name of a column")),
            }
        }
        spelling
    }

    /// Whether nothing is said.
    pub(super) fn is_empty(&self) -> bool {
        self.date_formats.is_empty() && self.decimal_comma.is_empty()
    }

    /// The keys whose columns are not among those that a mapping knows.
    pub(super) fn unknown(&self, known: &[ColumnName]) -> Vec<(String, ColumnName)> {
        let dates = self.date_formats.keys().map(|column| (format!("date_formats.{column}"), column));
        let numbers = self.decimal_comma.iter().map(|column| ("decimal_comma".to_owned(), column));
        dates.chain(numbers).filter(|(_, c)| !known.contains(c)).map(|(key, column)| (key, column.clone())).collect()
    }

    /// The same rows, their dates in ISO form and their numbers with a point.
    pub(super) fn plain(&self, mut rows: DataFrame) -> Option<DataFrame> {
        for (column, format) in &self.date_formats {
            rewrite(&mut rows, column, |text| Cow::Owned(format.iso(text).unwrap_or_else(|| OTHERWISE.to_owned())))?;
        }
        for column in &self.decimal_comma {
            rewrite(&mut rows, column, with_point)?;
        }
        Some(rows)
    }
}

/// Columns that the mapping does not read are not there.
fn rewrite(rows: &mut DataFrame, column: &ColumnName, read: impl Fn(&str) -> Cow<'_, str>) -> Option<()> {
    let Ok(texts) = rows.column(column.as_str()) else { return Some(()) };
    let texts = texts.str().ok()?;
    let mut plain = StringChunkedBuilder::new(column.as_str().into(), texts.len());
    for text in texts.iter() {
        plain.append_option(text.map(|text| read(text.trim())));
    }
    let plain = plain.finish().into_column();
    rows.with_column(plain).ok().map(|_| ())
}

/// `3,5` as `3.5`. In `1.234` the point may part thousands or decimals, so it is no number.
fn with_point(text: &str) -> Cow<'_, str> {
    match (text.contains('.'), text.matches(',').count()) {
        (false, 0) => Cow::Borrowed(text),
        (false, 1) => Cow::Owned(text.replace(',', ".")),
        _ => Cow::Borrowed(OTHERWISE),
    }
}

impl DateFormat {
    /// A format of `%d %m %Y`, perhaps with `%H %M %S`, and what is wrong with it and how to write it else.
    fn parse(text: &str) -> Result<Self, (String, String)> {
        let wrong = |why: String| (why, EXAMPLE.to_owned());
        let (mut parts, mut fields, mut chars) = (Vec::new(), Vec::new(), text.chars());
        while let Some(c) = chars.next() {
            if c != '%' {
                if c.is_ascii_digit() {
                    return Err(wrong(format!("`{text}` is a date, where a format is wanted")));
                }
                parts.push(Part::Between(c));
                continue;
            }
            let field = match chars.next() {
                Some('Y') => Field::Year,
                Some('m') => Field::Month,
                Some('d') => Field::Day,
                Some('H') => Field::Hour,
                Some('M') => Field::Minute,
                Some('S') => Field::Second,
                Some('y') => {
                    let hint = "export years with four digits, %Y: nobody can tell 1924 from 2024 in 24";
                    return Err(("a year of two digits is ambiguous".to_owned(), hint.to_owned()));
                }
                _ => return Err(wrong(format!("`{text}` is no format of a date: it has %d, %m, %Y, %H, %M, %S"))),
            };
            if fields.contains(&field) {
                return Err(wrong(format!("`{text}` has a field twice")));
            }
            fields.push(field);
            if let Some(Part::Field(_, touched)) = parts.last_mut() {
                *touched = true;
                parts.push(Part::Field(field, true));
            } else {
                parts.push(Part::Field(field, false));
            }
        }
        let has = |field| fields.contains(&field);
        let date = has(Field::Year) && has(Field::Month) && has(Field::Day);
        let time = has(Field::Hour) == has(Field::Minute) && (has(Field::Minute) || !has(Field::Second));
        if date && time {
            Ok(Self(parts))
        } else {
            Err(wrong(format!("`{text}` needs day, month and year, and of a time hour and minute at least")))
        }
    }

    /// The date or moment in ISO form; whether there is such a day is for its reader. None where it is written in another way.
    fn iso(&self, text: &str) -> Option<String> {
        let (mut rest, mut found) = (text, BTreeMap::new());
        for part in &self.0 {
            match part {
                Part::Between(c) => rest = rest.strip_prefix(*c)?,
                Part::Field(field, touched) => {
                    let most = if *field == Field::Year { 4 } else { 2 };
                    let digits = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
                    let exact = *touched || *field == Field::Year;
                    if digits == 0 || (exact && digits < most) {
                        return None;
                    }
                    found.insert(field.letter(), &rest[..digits]);
                    rest = &rest[digits..];
                }
            }
        }
        let of = |field: Field| found.get(&field.letter()).copied();
        let date = format!("{}-{:0>2}-{:0>2}", of(Field::Year)?, of(Field::Month)?, of(Field::Day)?);
        match (rest, of(Field::Hour), of(Field::Minute)) {
            ("", Some(hour), Some(minute)) => {
                Some(format!("{date}T{hour:0>2}:{minute:0>2}:{:0>2}", of(Field::Second).unwrap_or("0")))
            }
            ("", _, _) => Some(date),
            _ => None,
        }
    }
}

impl Field {
    fn letter(self) -> char {
        match self {
            Field::Year => 'Y',
            Field::Month => 'm',
            Field::Day => 'd',
            Field::Hour => 'H',
            Field::Minute => 'M',
            Field::Second => 'S',
        }
    }
}

impl fmt::Display for DateFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Field(field, _) => write!(f, "%{}", field.letter()),
            Part::Between(c) => write!(f, "{c}"),
        })
    }
}

impl Serialize for DateFormat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso(format: &str, text: &str) -> Option<String> {
        DateFormat::parse(format).unwrap().iso(text)
    }

    #[test]
    fn a_date_is_read_as_its_format_says_and_in_no_other_way() {
        assert_eq!(iso("%d.%m.%Y", "31.12.2020").as_deref(), Some("2020-12-31"));
        assert_eq!(iso("%d.%m.%Y", "1.2.2020").as_deref(), Some("2020-02-01"));
        assert_eq!(iso("%m/%d/%Y", "02/01/2020").as_deref(), Some("2020-02-01"));
        assert_eq!(iso("%Y%m%d", "20200201").as_deref(), Some("2020-02-01"));
        assert_eq!(iso("%d.%m.%Y %H:%M", "1.2.2020 7:05").as_deref(), Some("2020-02-01T07:05:00"));
        for other in
            ["2020-12-31", "31.12.20", "31.12.2020 ", "31.12.2020 10:00", "31/12/2020", "", "+1.2.2020", "31..2020"]
        {
            assert_eq!(iso("%d.%m.%Y", other), None, "{other}");
        }
        assert_eq!(iso("%Y%m%d", "2020021"), None);
    }

    #[test]
    fn a_format_that_leaves_a_choice_is_refused_with_a_hint() {
        for (format, wanted) in [
            ("%d.%m.%y", "two digits is ambiguous"),
            ("%d.%m", "needs day, month and year"),
            ("%d.%m.%Y %H", "of a time hour and minute"),
            ("%d.%d.%Y", "a field twice"),
            ("31.12.2020", "is a date, where a format is wanted"),
            ("%x", "no format of a date"),
            ("dd.mm.yyyy", "needs day, month and year"),
        ] {
            let (why, hint) = DateFormat::parse(format).unwrap_err();
            assert!(why.contains(wanted) && !hint.is_empty(), "{format}: {why}");
        }
    }

    #[test]
    fn a_decimal_comma_becomes_a_point_and_a_point_beside_it_makes_no_number() {
        let cases = [("3,5", "3.5"), ("-0,25", "-0.25"), ("7", "7"), ("1.234", "?"), ("1.234,5", "?"), ("1,2,3", "?")];
        for (text, wanted) in cases {
            assert_eq!(with_point(text), wanted);
        }
    }
}
