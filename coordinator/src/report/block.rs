//! A block of an answer as text and as CSV. A value that stands for part of its rows is never written like one that stands for all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::grid::Grid;
use super::{plain, short_number, wrap};
use crate::api::types::{Block, Coverage, Hidden, HiddenReason, Interval, Value, Within};

/// Lines about partial coverage that a text shows; the rest is counted.
const COVERAGE_LINES: usize = 12;
/// Rows of which nothing is published that a text shows; more are counted instead.
const HIDDEN_ROWS: usize = 8;
/// Behind a value that stands for part of its rows.
pub(super) const PARTLY: char = '*';

/// A block as an aligned table, followed by what is hidden and what is only partly covered.
pub(super) fn block_text(block: &Block) -> String {
    let keys = key_columns(block);
    let (hidden, within) = (hidden_at(block), within_at(block));
    let partly: BTreeSet<(usize, usize)> = partly(block).map(|c| (c.row, c.column)).collect();
    let marked: BTreeSet<usize> = partly.iter().map(|(_, column)| *column).collect();
    let folded = folded(block, keys, &hidden);
    let mut grid = Grid::new(block.columns.iter()).numbers_from(keys);
    for (r, row) in block.rows.iter().enumerate().filter(|(r, _)| !folded.contains(r)) {
        grid.row(row.iter().enumerate().map(|(c, value)| {
            let mut text = match value {
                Value::Count(n) => n.to_string(),
                Value::Number(x) => number_text(*x, within.get(&(r, c)).copied()),
                Value::Text(text) => text.clone(),
                Value::Null => hidden.get(&(r, c)).map_or_else(String::new, |h| hidden_text(h)),
            };
            if marked.contains(&c) {
                // So that the digits of a column stay one below the other.
                text.push(if partly.contains(&(r, c)) { PARTLY } else { ' ' });
            }
            text
        }));
    }
    let mut out = grid.text(keys);
    if !folded.is_empty() {
        let _ = writeln!(
            out,
            "... and {} of {} rows of which nothing is published (--format json has them)",
            folded.len(),
            block.rows.len()
        );
    }
    out.push_str(&hidden_summary(block));
    out.push_str(&coverage_text(block, keys));
    out
}

/// The rows that tell a reader nothing but that they are hidden, where there are many: they would bury the others.
pub(super) fn folded(block: &Block, keys: usize, hidden: &BTreeMap<(usize, usize), &Hidden>) -> BTreeSet<usize> {
    let silent = |r: usize, c: usize| hidden.get(&(r, c)).is_some_and(|h| h.interval.is_none_or(|i| i.0 == 0));
    let columns = keys..block.columns.len();
    let rows = (0..block.rows.len()).filter(|r| !columns.is_empty() && columns.clone().all(|c| silent(*r, c)));
    let rows: BTreeSet<usize> = rows.collect();
    if rows.len() > HIDDEN_ROWS { rows } else { BTreeSet::new() }
}

/// The values that do not stand for all rows of their cell.
pub(super) fn partly(block: &Block) -> impl Iterator<Item = &Coverage> {
    block.coverage.iter().filter(|c| c.of != Interval(c.n, Some(c.n)))
}

pub(super) fn hidden_text(hidden: &Hidden) -> String {
    match hidden.interval {
        // It is known but for what rounding took off.
        Some(Interval(lo, Some(hi))) if hidden.reason == HiddenReason::Rounded => format!("[{lo}, {hi}]"),
        None => "hidden".to_owned(),
        Some(Interval(lo, Some(hi))) => format!("hidden [{lo}, {hi}]"),
        Some(Interval(lo, None)) => format!("hidden [{lo}, ...]"),
    }
}

/// A value, with where it lies if it follows from rounded counts.
pub(super) fn number_text(x: f64, within: Option<&Within>) -> String {
    let ends = within.map(|within| format!(" [{}, {}]", short_number(within.from), short_number(within.to)));
    short_number(x) + &ends.unwrap_or_default()
}

fn hidden_summary(block: &Block) -> String {
    let mut out = String::new();
    for reason in HiddenReason::ALL {
        let count = block.hidden.iter().filter(|h| h.reason == reason).count();
        if count > 0 {
            let how = if reason == HiddenReason::Rounded { "not exact" } else { "hidden" };
            let _ = writeln!(out, "{}{count} {how}: {reason}", if out.is_empty() { "\n" } else { "" });
        }
    }
    out
}

fn coverage_text(block: &Block, keys: usize) -> String {
    let lines = coverage_lines(block, keys);
    let mut out = String::new();
    for line in lines.iter().take(COVERAGE_LINES) {
        if out.is_empty() {
            let _ = writeln!(out, "\n{PARTLY} stands for part of the rows only: such a sum is no total");
        }
        out.push_str(&wrap(&plain(line)));
    }
    if lines.len() > COVERAGE_LINES {
        let _ = writeln!(out, "... and {} more (--format json has all)", lines.len() - COVERAGE_LINES);
    }
    out
}

/// Values that stand for as many rows, of as many, in rows of a table that follow each other.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Covered {
    first: usize,
    last: usize,
    n: u64,
    of: (u64, Option<u64>),
    columns: BTreeSet<usize>,
}

/// `male, [50, 60): mean(chol), sd(chol) cover 224 of 303 rows`, one line for each row of the table that somebody is left out of; those that follow
/// each other and say the same have one.
pub(super) fn coverage_lines(block: &Block, keys: usize) -> Vec<String> {
    let mut all: Vec<&Coverage> = partly(block).collect();
    all.sort_by_key(|c| (c.n, c.of.0, c.of.1, c.row));
    let mut lines: Vec<Covered> = Vec::new();
    for c in all {
        let (n, of) = (c.n, (c.of.0, c.of.1));
        match lines.last_mut().filter(|line| (line.n, line.of) == (n, of) && line.last + 1 >= c.row) {
            Some(line) => {
                line.last = c.row;
                line.columns.insert(c.column);
            }
            None => lines.push(Covered { first: c.row, last: c.row, n, of, columns: BTreeSet::from([c.column]) }),
        }
    }
    lines.sort();
    let line = |Covered { first, last, n, of: (lo, hi), columns }: Covered| {
        let of = match hi {
            Some(hi) if hi == lo => lo.to_string(),
            Some(hi) => format!("{lo} to {hi}"),
            None => format!("at least {lo}"),
        };
        let verb = if columns.len() == 1 { "covers" } else { "cover" };
        let headings: Vec<&str> =
            columns.into_iter().map(|column| block.columns.get(column).map_or("?", String::as_str)).collect();
        let names = [first, last].map(|row| row_name(block, row, keys));
        let name = match names {
            [first, last] if first == last => first,
            [first, last] => format!("{first} to {last}"),
        };
        let name = if name.is_empty() { name } else { format!("{name}: ") };
        format!("{name}{} {verb} {n} of {of} rows", headings.join(", "))
    };
    lines.into_iter().map(line).collect()
}

fn row_name(block: &Block, row: usize, keys: usize) -> String {
    let labels: Vec<String> =
        block.rows.get(row).map_or(&[][..], |r| &r[..keys.min(r.len())]).iter().map(exact).collect();
    labels.join(", ")
}

/// A block as CSV. A column with a hidden count, or a value that follows from rounded ones, is followed by `COLUMN_lo` and `COLUMN_hi`, one with a value that stands for part of its rows by
/// `COLUMN_covers`, `COLUMN_of_lo` and `COLUMN_of_hi`.
pub(super) fn block_csv(block: &Block) -> String {
    let (hidden, within) = (hidden_at(block), within_at(block));
    let covered: BTreeMap<(usize, usize), &Coverage> = block.coverage.iter().map(|c| ((c.row, c.column), c)).collect();
    let bounded: BTreeSet<usize> = bounded(block).collect();
    let partly: BTreeSet<usize> = partly(block).map(|c| c.column).collect();
    let headings = block.columns.iter().enumerate().flat_map(|(c, heading)| {
        let bounds = bounded.contains(&c).then_some(["_lo", "_hi"]).into_iter().flatten();
        let coverage = partly.contains(&c).then_some(["_covers", "_of_lo", "_of_hi"]).into_iter().flatten();
        std::iter::once("").chain(bounds).chain(coverage).map(move |more| format!("{heading}{more}"))
    });
    let mut grid = Grid::new(headings);
    for (r, row) in block.rows.iter().enumerate() {
        grid.row(row.iter().enumerate().flat_map(|(c, value)| {
            let mut fields = vec![exact(value)];
            if bounded.contains(&c) {
                fields.extend(match within.get(&(r, c)) {
                    Some(within) => [within.from.to_string(), within.to.to_string()],
                    None => ends(hidden.get(&(r, c)).and_then(|h| h.interval)),
                });
            }
            if partly.contains(&c) {
                let coverage = covered.get(&(r, c));
                fields.push(coverage.map_or_else(String::new, |c| c.n.to_string()));
                fields.extend(ends(coverage.map(|c| c.of)));
            }
            fields
        }));
    }
    grid.csv()
}

/// Both ends of an interval; an open end is empty.
fn ends(interval: Option<Interval>) -> [String; 2] {
    let text = |end: Option<u64>| end.map_or_else(String::new, |end| end.to_string());
    [text(interval.map(|i| i.0)), text(interval.and_then(|i| i.1))]
}

pub(super) fn exact(value: &Value) -> String {
    match value {
        Value::Count(n) => n.to_string(),
        Value::Number(x) => x.to_string(),
        Value::Text(text) => text.clone(),
        Value::Null => String::new(),
    }
}

pub(super) fn hidden_at(block: &Block) -> BTreeMap<(usize, usize), &Hidden> {
    block.hidden.iter().map(|h| ((h.row, h.column), h)).collect()
}

pub(super) fn within_at(block: &Block) -> BTreeMap<(usize, usize), &Within> {
    block.within.iter().map(|within| ((within.row, within.column), within)).collect()
}

/// The columns in which something has a lower and an upper end.
pub(super) fn bounded(block: &Block) -> impl Iterator<Item = usize> {
    let hidden = block.hidden.iter().filter(|hidden| hidden.interval.is_some()).map(|hidden| hidden.column);
    hidden.chain(block.within.iter().map(|within| within.column))
}

/// The keys come first and are texts.
pub(super) fn key_columns(block: &Block) -> usize {
    block.rows.first().map_or(0, |row| row.iter().take_while(|v| matches!(v, Value::Text(_))).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> Block {
        let text = |t: &str| Value::Text(t.into());
        Block {
            columns: ["sex", "cut(age, 50)", "count", "mean(chol)"].map(String::from).to_vec(),
            rows: vec![
                vec![text("female"), text("< 50"), Value::Null, Value::Null],
                vec![text("male"), text(">= 50"), Value::Count(303), Value::Number(1.0 / 3.0)],
            ],
            hidden: vec![
                Hidden { row: 0, column: 2, interval: Some(Interval(70, Some(90))), reason: HiddenReason::FewerThanK },
                Hidden { row: 0, column: 3, interval: None, reason: HiddenReason::TooFewSites },
            ],
            coverage: vec![Coverage { row: 1, column: 3, n: 200, of: Interval(303, Some(303)), off: 0 }],
            within: vec![],
        }
    }

    #[test]
    fn a_text_shows_intervals_reasons_and_coverage() {
        let wanted = "\
sex     cut(age, 50)            count  mean(chol)
------  ------------  ---------------  ----------
female  < 50          hidden [70, 90]     hidden
male    >= 50                     303   0.333333*

1 hidden: a site shows fewer than k here, or a coarser grouping only
1 hidden: too few sites show it

* stands for part of the rows only: such a sum is no total
male, >= 50: mean(chol) covers 200 of 303 rows
";
        assert_eq!(block_text(&block()), wanted);
    }

    #[test]
    fn a_csv_leaves_hidden_cells_empty_gives_their_bounds_and_says_what_a_value_stands_for() {
        let wanted = "\
sex,\"cut(age, 50)\",count,count_lo,count_hi,mean(chol),mean(chol)_covers,mean(chol)_of_lo,mean(chol)_of_hi
female,< 50,,70,90,,,,
male,>= 50,303,,,0.3333333333333333,200,303,303
";
        assert_eq!(block_csv(&block()), wanted);
    }

    #[test]
    fn what_follows_from_rounded_counts_is_shown_with_its_ends() {
        let mut block = block();
        let (interval, reason) = (Some(Interval(121, Some(129))), HiddenReason::Rounded);
        block.hidden = vec![Hidden { row: 0, column: 2, interval, reason }];
        block.rows[0][3] = Value::Number(240.25);
        block.within = vec![Within { row: 0, column: 3, from: 239.5, to: 241.0 }];
        let text = block_text(&block);
        assert!(text.contains("[121, 129]  240.25 [239.5, 241]") && !text.contains("hidden"), "{text}");
        assert!(text.contains("1 not exact: sites round their counts\n"), "{text}");
        assert!(block_csv(&block).contains("female,< 50,,121,129,240.25,239.5,241,"), "{}", block_csv(&block));
    }

    #[test]
    fn rows_that_follow_each_other_and_stand_for_as_many_have_one_line() {
        let text = |t: &str| Value::Text(t.into());
        let row = |sex: &str, to: &str| vec![text(sex), text(to), Value::Number(0.5), Value::Number(0.25)];
        let of = |row: usize, column: usize, n: u64| Coverage { row, column, n, of: Interval(n, None), off: 0 };
        let block = Block {
            columns: ["sex", "interval", "survival", "lower"].map(String::from).to_vec(),
            rows: vec![row("f", "[0,1)"), row("f", "[1,2)"), row("f", "[2,3)"), row("m", "[0,1)"), row("m", "[1,2)")],
            coverage: vec![of(0, 2, 90), of(0, 3, 90), of(1, 3, 90), of(2, 2, 90), of(3, 2, 80), of(4, 2, 90)],
            ..Block::default()
        };
        let wanted = [
            "f, [0,1) to f, [2,3): survival, lower cover 90 of at least 90 rows",
            "m, [0,1): survival covers 80 of at least 80 rows",
            "m, [1,2): survival covers 90 of at least 90 rows",
        ];
        assert_eq!(coverage_lines(&block, 2), wanted);
    }

    #[test]
    fn a_value_of_all_rows_has_no_mark_and_no_further_columns() {
        let mut block = block();
        block.coverage[0].n = 303;
        assert!(!block_text(&block).contains(PARTLY));
        assert!(!block_csv(&block).contains("_covers"));
    }

    #[test]
    fn many_rows_of_which_nothing_is_published_are_counted_in_one_line() {
        let reason = HiddenReason::TooFewSites;
        let hide = |row, interval| Hidden { row, column: 1, interval, reason };
        let of = |hidden_rows: usize| Block {
            columns: ["year(birth)", "count"].map(String::from).to_vec(),
            rows: (0..=hidden_rows)
                .map(|r| vec![Value::Text(r.to_string()), if r == 0 { Value::Count(40) } else { Value::Null }])
                .collect(),
            hidden: (1..=hidden_rows).map(|r| hide(r, Some(Interval(0, Some(64))))).collect(),
            coverage: vec![],
            within: vec![],
        };
        let text = block_text(&of(238));
        assert!(text.contains("\n... and 238 of 239 rows of which nothing is published"), "{text}");
        assert_eq!((text.lines().count(), text.contains("hidden [0, 64]")), (6, false), "{text}");
        assert_eq!(block_text(&of(HIDDEN_ROWS)).matches("hidden [0, 64]").count(), HIDDEN_ROWS);
        let mut known = of(238);
        known.hidden[7].interval = Some(Interval(11, Some(20)));
        assert!(block_text(&known).contains("hidden [11, 20]"), "a bound that says something stays");
    }
}
