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

    /// The text in each row.
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        let mut begin = 0;
        self.ends.iter().map(move |&(end, present)| {
            let text = &self.bytes[begin..end];
            begin = end;
            present.then_some(text)
        })
    }
}

impl Batch {
    pub(crate) fn new(columns: usize) -> Self {
        Self { columns: vec![Texts::default(); columns] }
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
