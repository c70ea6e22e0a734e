//! A block with what pictures look up in it.

use std::collections::BTreeMap;

use crate::api::types::{Block, Hidden, Value};
use crate::report::block::{hidden_at, key_columns};

/// Between two parts of a label.
const COMMA: &str = ", ";

/// A block with what is looked up in it.
pub(super) struct View<'a> {
    pub block: &'a Block,
    /// How many columns name a row.
    pub keys: usize,
    hidden: BTreeMap<(usize, usize), &'a Hidden>,
}

impl<'a> View<'a> {
    pub(super) fn of(block: &'a Block) -> Self {
        Self { block, keys: key_columns(block), hidden: hidden_at(block) }
    }

    /// All rows.
    pub(super) fn rows(&self) -> Vec<usize> {
        (0..self.block.rows.len()).collect()
    }

    pub(super) fn column(&self, heading: &str) -> Option<usize> {
        self.block.columns.iter().position(|column| column == heading)
    }

    pub(super) fn heading(&self, column: usize) -> &'a str {
        self.block.columns.get(column).map_or("", String::as_str)
    }

    pub(super) fn text(&self, row: usize, column: usize) -> Option<&'a str> {
        match self.block.rows.get(row)?.get(column)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&self, row: usize, column: usize) -> Option<f64> {
        match self.block.rows.get(row)?.get(column)? {
            Value::Count(n) => Some(*n as f64),
            Value::Number(x) => Some(*x).filter(|x| x.is_finite()),
            Value::Text(_) | Value::Null => None,
        }
    }

    /// Whether there is a number, published or hidden.
    pub(super) fn is_given(&self, row: usize, column: usize) -> bool {
        self.number(row, column).is_some() || self.hidden.contains_key(&(row, column))
    }

    /// The texts of a row in these columns. Two groups are one only where all of these are alike.
    pub(super) fn group(&self, row: usize, columns: impl Iterator<Item = usize>) -> Vec<&'a str> {
        columns.filter_map(|column| self.text(row, column)).collect()
    }

    /// The texts of a row's first columns in one.
    pub(super) fn label(&self, row: usize, keys: usize) -> String {
        label(&self.group(row, 0..keys))
    }

    /// What a row is of, in a heading.
    pub(super) fn keys_said(&self) -> String {
        let keys: Vec<&str> = self.block.columns.iter().take(self.keys).map(String::as_str).collect();
        if keys.is_empty() { String::new() } else { format!(" by {}", keys.join(COMMA)) }
    }

    /// Where a hidden number lies, as far as anything is said of that.
    pub(super) fn between(&self, row: usize, column: usize) -> Option<(f64, Option<f64>)> {
        let interval = self.hidden.get(&(row, column))?.interval?;
        Some((interval.0 as f64, interval.1.map(|hi| hi as f64)))
    }
}

/// The parts of a group's name in one. A part that has a comma of its own is quoted, so that no two groups look alike.
pub(super) fn label(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [only] => (*only).to_owned(),
        several => {
            let part = |part: &&str| if part.contains(COMMA) { format!("“{part}”") } else { (*part).to_owned() };
            several.iter().map(part).collect::<Vec<_>>().join(COMMA)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{block, text};
    use super::super::{Figure, pictures};
    use super::*;

    #[test]
    fn two_groups_are_never_one_however_their_names_are_put_together() {
        assert_eq!(label(&["a, b", "c"]), "“a, b”, c");
        assert_eq!(label(&["a", "b, c"]), "a, “b, c”");
        assert_eq!(label(&["a, b"]), "a, b");
        let row =
            |week: &str, first: &str, second: &str, n| vec![text(week), text(first), text(second), Value::Count(n)];
        let weeks = |first, second, n| ["2020-W01", "2020-W02"].map(|week| row(week, first, second, n));
        let rows = weeks("a, b", "c", 100).into_iter().chain(weeks("a", "b, c", 200)).collect();
        let along = pictures("table", None, &block(&["week", "one", "other", "count"], rows)).figures;
        let said: Vec<String> = along.iter().map(Figure::description).collect();
        assert!(said[0].contains("“a, b”, c: highest 100") && said[0].contains("a, “b, c”: highest 200"), "{said:?}");
    }
}
