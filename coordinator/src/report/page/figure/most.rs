//! Which rows of a long table are drawn: those with the most patients. What is in none is said, so that nobody takes the picture for the table.

use super::{View, numbers};
use crate::report::page::number::number;

/// So many rows are drawn, in as many pictures as they need.
const ALL: usize = 72;
/// Of more than that these: as many as one picture has room for.
pub(super) const MOST: usize = 36;

/// The rows of a table that are drawn.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chosen {
    /// In the order of the picture.
    pub rows: Vec<usize>,
    /// Which they are, where they are not all.
    pub said: String,
}

/// All rows of a table, or of a long one those that have the most of what is counted.
pub(super) fn chosen(view: &View<'_>) -> Chosen {
    let all = view.block.rows.len();
    let counted = ["count", "rows"].iter().find_map(|heading| view.column(heading));
    let Some(by) = counted.or_else(|| numbers(view).first().copied()).filter(|_| all > ALL) else {
        return Chosen { rows: (0..all).collect(), said: String::new() };
    };
    // What a hidden number is at least; of what may be nothing no row is among the first.
    let least =
        |row: usize| view.number(row, by).or_else(|| view.between(row, by).map(|(lo, _)| lo).filter(|lo| *lo > 0.0));
    let mut known: Vec<(usize, f64)> = (0..all).filter_map(|row| Some((row, least(row)?))).collect();
    known.sort_by(|a, b| b.1.total_cmp(&a.1));
    let others = known.split_off(known.len().min(MOST));
    // A hidden number is not what it is at least.
    let shown: Vec<f64> = others.iter().filter_map(|(row, _)| view.number(*row, by)).collect();
    let hidden = all - known.len() - shown.len();
    let mut said = format!("of {all} rows the {} with the highest {}", known.len(), view.heading(by));
    if let (Some(most), Some(least)) = (shown.first(), shown.last()) {
        said.push_str(&format!("; {} others have {} to {}", shown.len(), number(*least), number(*most)));
    }
    if hidden > 0 {
        said.push_str(&format!("; of {hidden} more it is hidden"));
    }
    Chosen { rows: known.into_iter().map(|(row, _)| row).collect(), said }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{block, hidden, text};
    use super::super::{Figure, pictures};
    use super::*;
    use crate::api::types::{Interval, Value};

    #[test]
    fn of_a_long_table_the_most_frequent_rows_are_drawn_of_each_number_and_of_the_others_it_is_said_what_they_have() {
        let row = |at: u64| vec![text(&format!("code {at}")), Value::Count(1000 - at), Value::Number(at as f64)];
        let mut table = block(&["code", "count", "mean(age)"], (0..100).rev().map(row).collect());
        // Of the first nothing is known, the second is among the highest for certain, the third is at least 3.
        for (row, least) in [(0, 0), (1, 2000), (2, 3)] {
            table.rows[row][1] = Value::Null;
            table.hidden.push(hidden(row, 1, Some(Interval(least, Some(5000)))));
        }
        let figures = pictures("table", None, &table).figures;
        let said = "; of 100 rows the 36 with the highest count; 62 others have 904 to 965; of 2 more it is hidden";
        assert!(
            figures.len() == 2 && figures.iter().all(|figure| figure.title().ends_with(said)),
            "{}",
            figures[0].title()
        );
        let words = figures.iter().map(Figure::description).collect::<Vec<_>>();
        let begins = ["code 98: hidden, 2000 to 5000; code 0: 1000; code 1: 999", "code 98: 98; code 0: 0; code 1: 1"];
        for (words, wanted) in words.iter().zip(begins) {
            assert!(words.contains(&format!("A bar for each: {wanted}")), "{words}");
        }
    }

    #[test]
    fn all_rows_of_a_shorter_table_are_drawn() {
        let rows = (0..ALL as u64).map(|at| vec![text(&at.to_string()), Value::Count(at)]).collect();
        assert_eq!(chosen(&View::of(&block(&["k", "count"], rows))).rows.len(), ALL);
    }
}
