//! The tables of an analysis as files of their own: the answer, the answer rolled up, and what else belongs to it.

use std::collections::HashSet;

use bocage_protocol::ids::StudyId;

use super::parquet::{self, Column};
use crate::api::types::{AnalysisResult, Block, Hidden, Interval, Value};
use crate::report::block::{block_csv, bounded, exact, hidden_at, within_at};

/// The longest part of a name that is made of a title.
const TITLE: usize = 40;

/// A block with the name of its files.
pub(super) struct Table<'a> {
    /// Without extension.
    pub name: String,
    block: &'a Block,
}

/// The tables of an analysis.
pub(super) fn tables(analysis: &AnalysisResult) -> Vec<Table<'_>> {
    let mut tables = vec![Table { name: analysis.name.to_string(), block: &analysis.block }];
    tables
        .extend(analysis.rolled_up.as_ref().map(|block| Table { name: format!("{}.rolled-up", analysis.name), block }));
    tables.extend(analysis.also.iter().enumerate().map(|(at, named)| Table {
        // Two titles may be spelt the same once they are file names.
        name: format!("{}.{}-{}", analysis.name, at + 1, file_name(&named.title)),
        block: &named.block,
    }));
    tables.retain(|table| !table.block.columns.is_empty());
    tables
}

/// A title as a part of a file's name.
fn file_name(title: &str) -> String {
    let plain: String =
        title.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let words: Vec<&str> = plain.split('-').filter(|word| !word.is_empty()).collect();
    words.join("-").chars().take(TITLE).collect::<String>().trim_end_matches('-').to_owned()
}

impl Table<'_> {
    /// As CSV.
    pub(super) fn csv(&self) -> String {
        block_csv(self.block)
    }

    /// As Parquet: counts as whole numbers, statistics as doubles, what is hidden as null with its bounds beside it.
    pub(super) fn parquet(&self, study: &StudyId) -> Result<Vec<u8>, parquet::Failed> {
        let (hidden, within) = (hidden_at(self.block), within_at(self.block));
        let bounded: HashSet<usize> = bounded(self.block).collect();
        let mut columns = Vec::new();
        for (at, heading) in self.block.columns.iter().enumerate() {
            let values = || self.block.rows.iter().map(|row| row.get(at).unwrap_or(&Value::Null));
            columns.push((heading.clone(), column(values)));
            if self.block.within.iter().any(|within| within.column == at) {
                let ends = |row: usize| match (within.get(&(row, at)), hidden.get(&(row, at))) {
                    (Some(within), _) => (Some(within.from), Some(within.to)),
                    (None, Some(Hidden { interval: Some(Interval(lo, hi)), .. })) => {
                        (Some(*lo as f64), hi.map(|hi| hi as f64))
                    }
                    (None, _) => (None, None),
                };
                let (lo, hi) = (0..self.block.rows.len()).map(ends).unzip();
                columns.push((format!("{heading}_lo"), Column::Numbers(lo)));
                columns.push((format!("{heading}_hi"), Column::Numbers(hi)));
            } else if bounded.contains(&at) {
                let interval = |row: usize| hidden.get(&(row, at)).and_then(|hidden| hidden.interval);
                let rows = 0..self.block.rows.len();
                let lo = rows.clone().map(|row| interval(row).map(|interval| interval.0));
                columns.push((format!("{heading}_lo"), Column::Counts(lo.collect())));
                let hi = rows.map(|row| interval(row).and_then(|interval| interval.1));
                columns.push((format!("{heading}_hi"), Column::Counts(hi.collect())));
            }
        }
        parquet::write(distinct(columns), study, &self.name)
    }
}

/// Values as a column of the one type that holds them all.
fn column<'a, I: Iterator<Item = &'a Value>>(values: impl Fn() -> I) -> Column {
    if values().any(|value| matches!(value, Value::Text(_))) {
        let text = |value: &Value| (*value != Value::Null).then(|| exact(value));
        return Column::Texts(values().map(text).collect());
    }
    if values().any(|value| matches!(value, Value::Number(_))) {
        let number = |value: &Value| match value {
            Value::Number(x) => Some(*x),
            Value::Count(n) => Some(*n as f64),
            Value::Text(_) | Value::Null => None,
        };
        return Column::Numbers(values().map(number).collect());
    }
    let count = |value: &Value| if let Value::Count(n) = value { Some(*n) } else { None };
    Column::Counts(values().map(count).collect())
}

/// The same columns, each with a name of its own: in Parquet a column is found by it.
fn distinct(columns: Vec<(String, Column)>) -> Vec<(String, Column)> {
    let mut taken: HashSet<String> = HashSet::new();
    let mut name = |at: usize, heading: String| {
        let first = if heading.is_empty() { format!("column_{}", at + 1) } else { heading };
        let mut name = first.clone();
        let mut next = 2;
        while !taken.insert(name.clone()) {
            name = format!("{first}_{next}");
            next += 1;
        }
        name
    };
    columns.into_iter().enumerate().map(|(at, (heading, column))| (name(at, heading), column)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_of_any_letters_becomes_a_part_of_a_files_name() {
        assert_eq!(file_name("patients with all that the model reads"), "patients-with-all-that-the-model-reads");
        assert_eq!(file_name("Größe ≥ 5 / ../x"), "gr-e-5-x");
        assert_eq!(file_name("…"), "");
        assert!(file_name(&"long ".repeat(40)).len() <= TITLE);
    }

    #[test]
    fn columns_have_names_of_their_own() {
        let columns = ["n", "", "n", "n_2", "n"].map(|name| (name.to_owned(), Column::Counts(vec![])));
        let names: Vec<String> = distinct(columns.to_vec()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["n", "column_2", "n_2", "n_2_2", "n_3"]);
    }
}
