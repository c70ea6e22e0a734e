//! Rows of a view, column by column.

use std::borrow::Cow;

/// Some rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    columns: Vec<Texts>,
    rows: usize,
    bytes: usize,
}

/// What a cell takes beside its text.
const CELL_BYTES: usize = size_of::<(usize, bool)>();

/// A column of optional texts, one behind the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    bytes: String,
    /// Where each ends, and whether it is there at all.
    ends: Vec<(usize, bool)>,
}

impl Texts {
    /// The text of a row.
    pub fn get(&self, row: usize) -> Option<&str> {
        let (end, there) = *self.ends.get(row)?;
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before].0);
        there.then(|| &self.bytes[start..end])
    }

    /// All texts in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        (0..self.ends.len()).map(|row| self.get(row))
    }

    fn push(&mut self, text: Option<&str>) {
        self.bytes.push_str(text.unwrap_or_default());
        self.ends.push((self.bytes.len(), text.is_some()));
    }

    /// The same, with what `of` has for rows without a text.
    fn filled<'t>(&self, of: impl Fn(usize) -> Option<&'t str>) -> Self {
        let mut filled = Self::default();
        self.iter().enumerate().for_each(|(row, text)| filled.push(text.or_else(|| of(row))));
        filled
    }

    fn append(&mut self, other: &Self) {
        let before = self.bytes.len();
        self.bytes.push_str(&other.bytes);
        self.ends.extend(other.ends.iter().map(|(end, there)| (before + end, *there)));
    }

    fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows);
        self.bytes.truncate(self.ends.last().map_or(0, |(end, _)| *end));
    }
}

impl Batch {
    /// A batch of so many columns, without a row.
    pub fn new(columns: usize) -> Self {
        Self { columns: vec![Texts::default(); columns], rows: 0, bytes: 0 }
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Its columns, in the view's order.
    pub fn columns(&self) -> &[Texts] {
        &self.columns
    }

    /// What its texts take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts the rows of another below its own.
    pub(crate) fn append(&mut self, other: Self) {
        if self.rows == 0 {
            *self = other;
            return;
        }
        self.columns.iter_mut().zip(&other.columns).for_each(|(column, more)| column.append(more));
        (self.rows, self.bytes) = (self.rows + other.rows, self.bytes + other.bytes);
    }

    pub(super) fn push(&mut self, row: &[Option<Cow<'_, str>>]) {
        for (column, cell) in self.columns.iter_mut().zip(row) {
            column.push(cell.as_deref());
            self.bytes += cell.as_deref().map_or(0, str::len) + CELL_BYTES;
        }
        self.rows += 1;
    }

    /// Gives rows without a text in a column the one that `of` has for them.
    pub(crate) fn fill<'t>(&mut self, column: usize, of: impl Fn(usize) -> Option<&'t str>) {
        if let Some(texts) = self.columns.get_mut(column) {
            let filled = texts.filled(of);
            self.bytes += filled.bytes.len() - texts.bytes.len();
            *texts = filled;
        }
    }

    /// Forgets all rows but the first so many.
    pub(super) fn truncate(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.truncate(rows);
        }
        self.rows = rows;
        self.bytes = self.columns.iter().map(|column| column.bytes.len() + column.ends.len() * CELL_BYTES).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_taken_back_leave_no_trace() {
        let mut batch = Batch::new(2);
        batch.push(&[Some("a".into()), None]);
        let before = batch.clone();
        batch.push(&[None, Some("bb".into())]);
        assert_eq!(batch.columns()[1].iter().collect::<Vec<_>>(), [None, Some("bb")]);
        batch.truncate(1);
        assert_eq!((batch.bytes(), &batch), (before.bytes(), &before));
        let mut twice = before.clone();
        twice.append(before.clone());
        assert_eq!(twice.columns()[0].iter().collect::<Vec<_>>(), [Some("a"), Some("a")]);
        assert_eq!((twice.rows(), twice.bytes()), (2, 2 * before.bytes()));
        twice.fill(1, |row| (row == 1).then_some("new"));
        twice.fill(0, |_| Some("not where there is one"));
        assert_eq!(twice.columns()[1].iter().collect::<Vec<_>>(), [None, Some("new")]);
        assert_eq!(twice.columns()[0].iter().collect::<Vec<_>>(), [Some("a"), Some("a")]);
        assert_eq!(twice.bytes(), 2 * before.bytes() + 3);
        batch.push(&[Some("".into()), Some("c".into())]);
        assert_eq!((batch.columns()[0].get(1), batch.columns()[1].get(1)), (Some(""), Some("c")));
        assert_eq!(batch.columns()[0].get(2), None);
    }
}
