//! Some rows, column by column. One buffer a column, so that a batch is a few allocations and not one for each value.

/// Texts of one column, one a row; a null is none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Texts {
    bytes: String,
    /// Where each row's text ends, and whether there is one.
    ends: Vec<(usize, bool)>,
}

/// Rows that came together.
#[derive(Debug, Default)]
pub struct Batch {
    /// One a wanted column, in the order asked for.
    pub columns: Vec<Texts>,
    /// How many rows; there may be no column.
    pub rows: usize,
}

impl Texts {
    /// Adds a row.
    pub(crate) fn push(&mut self, text: Option<&str>) {
        self.bytes.push_str(text.unwrap_or_default());
        self.ends.push((self.bytes.len(), text.is_some()));
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The text in a row.
    pub fn get(&self, row: usize) -> Option<&str> {
        let &(end, present) = self.ends.get(row)?;
        let begin = row.checked_sub(1).map_or(0, |before| self.ends[before].0);
        present.then(|| &self.bytes[begin..end])
    }

    /// The text in each row.
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        (0..self.len()).map(|row| self.get(row))
    }
}

impl Batch {
    pub(crate) fn new(columns: usize) -> Self {
        Self { columns: vec![Texts::default(); columns], rows: 0 }
    }

    /// Bytes of all texts.
    pub(crate) fn bytes(&self) -> usize {
        self.columns.iter().map(|texts| texts.bytes.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_text_and_a_null_are_told_apart() {
        let mut texts = Texts::default();
        let rows = [Some("a"), None, Some(""), Some("Zürich")];
        rows.iter().for_each(|row| texts.push(*row));
        assert_eq!(texts.iter().collect::<Vec<_>>(), rows);
        assert_eq!((texts.len(), texts.is_empty()), (4, false));
    }
}
