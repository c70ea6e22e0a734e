//! A table of texts: aligned columns for people, or CSV. It knows nothing of studies.

use super::{WIDTH, plain};

/// Rows of texts under headings.
#[derive(Debug, Clone, Default)]
pub struct Grid {
    headings: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    /// A table with these headings, each column flush left.
    pub fn new<S: Into<String>>(headings: impl IntoIterator<Item = S>) -> Self {
        let headings: Vec<String> = headings.into_iter().map(Into::into).collect();
        let right = vec![false; headings.len()];
        Self { headings, right, rows: Vec::new() }
    }

    /// The same table with the columns from `first` on flush right.
    #[must_use]
    pub fn numbers_from(mut self, first: usize) -> Self {
        for right in self.right.iter_mut().skip(first) {
            *right = true;
        }
        self
    }

    /// Adds a row. It has one text a heading.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// For people. The first `keys` columns are repeated where the table is laid out in several parts.
    pub fn text(&self, keys: usize) -> String {
        let widths = self.widths();
        let parts = parts(&widths, keys, WIDTH);
        let mut out = String::new();
        for (i, columns) in parts.iter().enumerate() {
            if i > 0 {
                out.push('\n');
            }
            self.line(&self.headings, columns, &widths, &mut out);
            let rules: Vec<String> = widths.iter().map(|w| "-".repeat(*w)).collect();
            self.line(&rules, columns, &widths, &mut out);
            for row in &self.rows {
                self.line(row, columns, &widths, &mut out);
            }
        }
        out
    }

    /// As CSV (RFC 4180, but lines end with a line feed).
    pub fn csv(&self) -> String {
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        for record in std::iter::once(&self.headings).chain(&self.rows) {
            // Writing to memory fails only for records of unequal length, which `row` forbids.
            let _ = writer.write_record(record);
        }
        writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.chain(&self.headings[column..=column]).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        (0..self.headings.len()).map(width).collect()
    }

    fn line(&self, cells: &[String], columns: &[usize], widths: &[usize], out: &mut String) {
        let mut line = String::new();
        for column in columns {
            let cell = plain(cells.get(*column).map_or("", String::as_str));
            let (width, gap) = (widths[*column], if line.is_empty() { "" } else { "  " });
            line.push_str(gap);
            line.push_str(&if self.right[*column] { format!("{cell:>width$}") } else { format!("{cell:<width$}") });
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// Which columns stand side by side: all, or the keys with as many others as fit into so many characters.
pub(super) fn parts(widths: &[usize], keys: usize, room: usize) -> Vec<Vec<usize>> {
    let width = |columns: &[usize]| columns.iter().map(|c| widths[*c] + 2).sum::<usize>();
    let keys: Vec<usize> = (0..keys.min(widths.len())).collect();
    let mut parts: Vec<Vec<usize>> = vec![keys.clone()];
    for (column, own) in widths.iter().enumerate().skip(keys.len()) {
        let full = parts.last().is_some_and(|p| p.len() > keys.len() && width(p) + own > room);
        if full {
            parts.push(keys.clone());
        }
        if let Some(part) = parts.last_mut() {
            part.push(column);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_flush_right_and_lines_have_no_trailing_spaces() {
        let mut grid = Grid::new(["site", "count"]).numbers_from(1);
        grid.row(["cleveland", "303"]);
        grid.row(["a", "7"]);
        assert_eq!(grid.text(1), "site       count\n---------  -----\ncleveland    303\na              7\n");
    }

    #[test]
    fn a_wide_table_repeats_its_keys_and_stays_within_the_width() {
        let mut grid = Grid::new((0..10).map(|i| format!("a rather long heading {i}")));
        grid.row((0..10).map(|i| i.to_string()));
        let text = grid.text(1);
        assert!(text.lines().all(|line| line.len() <= WIDTH));
        assert_eq!(text.matches("heading 0").count(), 3);
        assert_eq!(text.matches("heading 9").count(), 1);
    }

    #[test]
    fn csv_quotes_what_it_must() {
        let mut grid = Grid::new(["cut(age, 50)", "n"]);
        grid.row(["[50, ∞)", ""]);
        assert_eq!(grid.csv(), "\"cut(age, 50)\",n\n\"[50, ∞)\",\n");
    }
}
