//! What a source's columns are called, for its mapping: other names for odd ones, and dates that a source keeps in three columns.

use std::collections::{BTreeMap, BTreeSet};

use bocage_protocol::front::source_column;
use bocage_protocol::ids::ColumnName;
use bocage_protocol::settings::{Problem, Problems, join};
use polars::prelude::{Column, DataFrame, IntoColumn, StringChunkedBuilder};
use serde::Serialize;

use super::{Spelling, value};

/// What `node.toml` says about names: `rename` and `dates` of a dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Names {
    /// From a name, or a pattern with one `*`, to a name, or one with what stood for the star.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    rename: BTreeMap<String, String>,
    /// From a date's name to the columns of year, month and day.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    dates: BTreeMap<ColumnName, [ColumnName; 3]>,
}

/// The names of one source's columns under [`Names`].
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Known {
    /// The name that the mapping knows, and the source's own.
    columns: Vec<(ColumnName, ColumnName)>,
    dates: Vec<(ColumnName, [ColumnName; 3])>,
    spelling: Spelling,
    /// Whether nothing is called other than in the source.
    plain: bool,
}

/// Stands for the star while a pattern is spelt as columns' names are.
const STAR: &str = "xstarx";

impl Names {
    /// Checks the two tables of the dataset at `key`.
    pub(super) fn read(
        rename: BTreeMap<String, String>,
        dates: BTreeMap<String, [String; 3]>,
        file: &str,
        key: &str,
        problems: &mut Problems,
    ) -> Self {
        for (from, to) in &rename {
            let stars = |text: &str| text.matches('*').count();
            if stars(from) > 1 || stars(to) > stars(from) || spelt(from).is_none() || spelt(to).is_none() {
                let problem = Problem::new(file, join(&join(key, "rename"), from), "not a name for a name");
                problems.push(
                    problem
                        .hint("\"Date of birth\" = \"birth_date\", or with one star: \"date(*,'unixepoch')\" = \"*\""),
                );
            }
        }
        let mut known = BTreeMap::new();
        for (name, parts) in dates {
            let names = parts.each_ref().map(|part| source_column(part));
            match (name.parse(), names) {
                (Ok(name), [Some(year), Some(month), Some(day)]) => drop(known.insert(name, [year, month, day])),
                _ => {
                    let problem = Problem::new(file, join(&join(key, "dates"), &name), "not the names of columns");
                    problems
                        .push(problem.hint("birth_date = [\"year_of_birth\", \"month_of_birth\", \"day_of_birth\"]"));
                }
            }
        }
        Self { rename, dates: known }
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.rename.is_empty() && self.dates.is_empty()
    }

    /// The names of a source's columns, and what is wrong with them, each with the key that it is about.
    pub(super) fn known(&self, source: &[ColumnName]) -> (Known, Vec<(String, String)>) {
        let mut wrong = Vec::new();
        let mut used: BTreeSet<&str> = BTreeSet::new();
        let mut columns: Vec<(ColumnName, ColumnName)> = Vec::new();
        for own in source {
            let renamed = self.rename.iter().find_map(|(from, to)| Some((from, renamed(own.as_str(), from, to)?)));
            used.extend(renamed.as_ref().map(|(from, _)| from.as_str()));
            let name = renamed.map_or_else(|| own.clone(), |(_, name)| name);
            if columns.iter().any(|(other, _)| *other == name) {
                wrong.push(("rename".to_owned(), format!("two columns are `{name}` now")));
            } else {
                columns.push((name, own.clone()));
            }
        }
        for from in self.rename.keys().filter(|from| !from.contains('*') && !used.contains(from.as_str())) {
            wrong.push((format!("rename.{from}"), "the source has no such column".to_owned()));
        }
        for (date, parts) in &self.dates {
            if columns.iter().any(|(name, _)| name == date) {
                wrong.push((format!("dates.{date}"), "the source has a column of this name".to_owned()));
            }
            for part in parts.iter().filter(|part| !columns.iter().any(|(name, _)| name == *part)) {
                wrong.push((format!("dates.{date}"), format!("the source has no column `{part}`")));
            }
        }
        let dates = self.dates.iter().map(|(date, parts)| (date.clone(), parts.clone())).collect();
        (Known { columns, dates, spelling: Spelling::default(), plain: self.is_empty() }, wrong)
    }
}

/// A name or pattern as columns' names are spelt.
fn spelt(text: &str) -> Option<ColumnName> {
    source_column(&text.replace('*', STAR))
}

/// The new name of a column, if a rule is about it.
fn renamed(own: &str, from: &str, to: &str) -> Option<ColumnName> {
    let pattern = spelt(from)?;
    let stood = match pattern.as_str().split_once(STAR) {
        Some((before, behind)) => own.strip_prefix(before)?.strip_suffix(behind)?,
        None if own == pattern.as_str() => "",
        None => return None,
    };
    source_column(&to.replace('*', stood))
}

impl Known {
    /// The same, of a source that writes its values so.
    pub(super) fn spelt(self, spelling: Spelling) -> Self {
        Self { spelling, ..self }
    }

    /// Every name that a mapping may use.
    pub(super) fn names(&self) -> Vec<ColumnName> {
        self.columns.iter().map(|(name, _)| name).chain(self.dates.iter().map(|(date, _)| date)).cloned().collect()
    }

    /// The source's own columns behind a name.
    pub(super) fn own(&self, name: &ColumnName) -> Vec<ColumnName> {
        match self.dates.iter().find(|(date, _)| date == name) {
            Some((_, parts)) => parts.iter().flat_map(|part| self.own_column(part)).collect(),
            None => self.own_column(name).into_iter().collect(),
        }
    }

    /// Whether a name is that of a date which is joined of several columns.
    pub(super) fn joins(&self, name: &ColumnName) -> bool {
        self.dates.iter().any(|(date, _)| date == name)
    }

    fn own_column(&self, name: &ColumnName) -> Option<ColumnName> {
        self.columns.iter().find(|(known, _)| known == name).map(|(_, own)| own.clone())
    }

    /// Rows of the source's own columns, with the names that the mapping knows, its dates, and values written as everywhere.
    pub(super) fn arrange(&self, rows: DataFrame) -> Option<DataFrame> {
        let rows = if self.plain { rows } else { self.renamed(&rows)? };
        if self.spelling.is_empty() { Some(rows) } else { self.spelling.plain(rows) }
    }

    fn renamed(&self, rows: &DataFrame) -> Option<DataFrame> {
        let find = |own: &ColumnName| rows.column(own.as_str()).ok();
        let columns = self.columns.iter().filter_map(|(name, own)| {
            let mut column = find(own)?.clone();
            column.rename(name.as_str().into());
            Some(column)
        });
        let mut columns: Vec<Column> = columns.collect();
        for (date, parts) in &self.dates {
            let parts: Option<Vec<&Column>> = parts.iter().map(|part| find(&self.own_column(part)?)).collect();
            // Where a part was not read, the mapping does not read the date.
            columns.extend(parts.and_then(|parts| joined(date, &parts)));
        }
        DataFrame::new(rows.height(), columns).ok()
    }
}

/// The texts of dates whose year, month and day stand in three columns.
fn joined(name: &ColumnName, parts: &[&Column]) -> Option<Column> {
    let [year, month, day] = parts else { return None };
    let [year, month, day] = [year.str().ok()?, month.str().ok()?, day.str().ok()?];
    let mut dates = StringChunkedBuilder::new(name.as_str().into(), year.len());
    for ((year, month), day) in year.iter().zip(month.iter()).zip(day.iter()) {
        dates.append_option(year.map(|year| date(year, month, day)));
    }
    Some(dates.finish().into_column())
}

/// `YYYY-MM-DD`. Without a day it is the first of the month, without a month the middle of the year; what is no number gives no date.
fn date(year: &str, month: Option<&str>, day: Option<&str>) -> String {
    let (month, day) = match month {
        None => ("6", "15"),
        Some(month) => (month, day.unwrap_or("1")),
    };
    match (value::int(year), value::int(month), value::int(day)) {
        (Some(year), Some(month), Some(day)) => format!("{year:04}-{month:02}-{day:02}"),
        _ => format!("{year}-{month}-{day}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str) -> ColumnName {
        name.parse().unwrap()
    }

    fn names(rename: &[(&str, &str)], dates: &[(&str, [&str; 3])]) -> Result<Names, String> {
        let mut problems = Problems::default();
        let own = |(from, to): &(&str, &str)| ((*from).to_owned(), (*to).to_owned());
        let rename = rename.iter().map(own).collect();
        let dates = dates.iter().map(|(name, parts)| ((*name).to_owned(), parts.map(str::to_owned))).collect();
        let names = Names::read(rename, dates, "node.toml", "dataset.x", &mut problems);
        problems.into_result(names).map_err(|p| p.to_string())
    }

    /// What a file's header becomes.
    fn known(names: &Names, header: &[&str]) -> Result<Vec<String>, Vec<(String, String)>> {
        let source: Vec<ColumnName> = header.iter().map(|name| source_column(name).unwrap()).collect();
        let (known, wrong) = names.known(&source);
        let names = known.names().iter().map(ToString::to_string).collect();
        if wrong.is_empty() { Ok(names) } else { Err(wrong) }
    }

    #[test]
    fn one_pattern_unwraps_every_header_that_it_fits_whatever_its_capitals() {
        let names = names(&[("date(*,'unixepoch')", "*"), ("PID", "person_id")], &[]).unwrap();
        let header = ["Pid", "date(birth_datetime,'unixepoch')", "DATE(visit_start_date,'unixepoch')", "date_of_death"];
        assert_eq!(
            known(&names, &header).unwrap(),
            ["person_id", "birth_datetime", "visit_start_date", "date_of_death"]
        );
    }

    #[test]
    fn a_rule_that_meets_nothing_and_two_columns_of_one_name_are_said() {
        let rules = names(&[("pid", "id"), ("nobody", "x")], &[("born", ["y", "m", "d"])]).unwrap();
        let wrong = known(&rules, &["pid", "id", "y", "m", "born"]).unwrap_err();
        let wrong: Vec<String> = wrong.into_iter().map(|(key, message)| format!("{key}: {message}")).collect();
        assert_eq!(
            wrong,
            [
                "rename: two columns are `id` now",
                "rename.nobody: the source has no such column",
                "dates.born: the source has a column of this name",
                "dates.born: the source has no column `d`"
            ]
        );
        for bad in [("a*b*", "x"), ("a", "*"), ("", "x"), ("a", "-")] {
            assert!(names(&[bad], &[]).unwrap_err().contains("not a name for a name\n  hint: "), "{bad:?}");
        }
        assert!(names(&[], &[("Born", ["y", "m", "d"])]).unwrap_err().contains("dates.Born: not the names of columns"));
    }

    #[test]
    fn a_date_is_joined_of_its_parts_with_the_middle_of_what_is_missing() {
        let cases = [
            (("1998", Some("4"), Some("9")), "1998-04-09"),
            (("1998.0", Some("4.0"), None), "1998-04-01"),
            (("1998", None, Some("9")), "1998-06-15"),
            (("1998", Some("13"), Some("9")), "1998-13-09"),
            (("98?", Some("4"), Some("9")), "98?-4-9"),
        ];
        for ((year, month, day), wanted) in cases {
            assert_eq!(date(year, month, day), wanted);
        }
        let names = names(&[("yob", "year")], &[("born", ["year", "m", "d"])]).unwrap();
        let (known, _) = names.known(&["yob", "m", "d"].map(column));
        assert_eq!(known.own(&column("born")), ["yob", "m", "d"].map(column));
        let text = |name: &str, rows: [Option<&str>; 2]| {
            let mut builder = StringChunkedBuilder::new(name.into(), 2);
            rows.iter().for_each(|row| builder.append_option(*row));
            builder.finish().into_column()
        };
        let columns =
            vec![text("yob", [Some("1950"), None]), text("m", [Some("2"), Some("2")]), text("d", [None, Some("3")])];
        let arranged = known.arrange(DataFrame::new(2, columns).unwrap()).unwrap();
        let born: Vec<Option<&str>> = arranged.column("born").unwrap().str().unwrap().iter().collect();
        assert_eq!(born, [Some("1950-02-01"), None]);
        assert!(arranged.column("year").is_ok() && arranged.column("yob").is_err());
    }
}
