//! Puts the parts of a table one together: a row a number, a row a level of a code, and for each group how many and how.
//!
//! Its parts are ordinary comparisons and cross-tabulations, each published by its own driver; what is shown here follows from what those published.

use bocage_protocol::analysis::{AnalysisSpec, Spec, Whole};
use bocage_protocol::ids::AnalysisName;
use bocage_protocol::plan::MISSING;

use super::association::proportions::{Share, standardised_difference};
use super::compare::{STANDARDISED, TESTS};
use super::crosstab::TOTAL;
use super::summary::{Found, found};
use crate::api::types::{AnalysisResult, Block, HiddenReason, Interval, Value};

/// What is said of a group in a row.
const OF_GROUP: [&str; 3] = ["n", "mean or share", "sd"];
/// What is said of a row.
const OF_ROW: [&str; 2] = ["p", STANDARDISED];

/// A row's values of each group, then p and the standardised difference; nothing where there is nothing to say.
struct Row<'a> {
    names: [String; 2],
    groups: Vec<[Option<Cell<'a>>; 3]>,
    of_row: [Option<Cell<'a>>; 2],
}

/// What stands at one place.
#[derive(Clone)]
enum Cell<'a> {
    /// A value of a part, with all that is said of it there.
    Copied(&'a Block, (usize, usize)),
    /// What follows from exact counts of parts.
    Made(Found),
}

/// Puts the columns of one analysis together.
pub(super) fn put_together<'a>(
    name: &AnalysisName,
    parts: impl Iterator<Item = &'a (&'a AnalysisSpec, AnalysisResult)>,
) -> AnalysisResult {
    let parts: Vec<_> = parts.collect();
    let mut groups: Vec<String> = Vec::new();
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (spec, result) in &parts {
        let column = column(spec);
        let (labels, of_column) = match &spec.spec {
            Spec::Crosstab(_) => (levels_of(result), of_levels(column, result)),
            _ => (groups_of(result), of_number(column, result)),
        };
        if groups.is_empty() {
            rows.extend(patients(&spec.spec, result));
            groups = labels;
        }
        rows.extend(of_column);
    }
    let mut notes = notes(&parts);
    // Who has no group stands behind the others.
    if groups.last().is_some_and(|group| group == MISSING) {
        notes.push("who has no value of `by` is left out".to_owned());
        groups.pop();
        rows.iter_mut().for_each(|row| row.groups.truncate(groups.len()));
    }
    if groups.len() != 2 {
        notes.push("a standardised difference is of two groups: there is none".to_owned());
    }
    let (name, kind) = (name.clone(), Whole::TableOne.kind().to_owned());
    AnalysisResult { name, kind, block: block(&groups, rows), notes, rolled_up: None, also: vec![], absent: vec![] }
}

fn column(spec: &AnalysisSpec) -> &str {
    spec.part.as_ref().map_or("", |part| part.column.as_str())
}

/// The groups of a comparison.
fn groups_of(result: &AnalysisResult) -> Vec<String> {
    (0..result.block.rows.len()).filter_map(|row| label(&result.block, row)).collect()
}

/// The groups of a cross-tabulation.
fn levels_of(result: &AnalysisResult) -> Vec<String> {
    result.block.columns.iter().skip(1).filter(|label| *label != TOTAL).cloned().collect()
}

/// What the parts say, each once: with the columns that it is about, where it is not about all.
fn notes(parts: &[&(&AnalysisSpec, AnalysisResult)]) -> Vec<String> {
    let mut said: Vec<(&str, Vec<&str>)> = Vec::new();
    for (spec, result) in parts {
        for note in &result.notes {
            match said.iter_mut().find(|(earlier, _)| *earlier == note) {
                Some((_, columns)) => columns.push(column(spec)),
                None => said.push((note, vec![column(spec)])),
            }
        }
    }
    let note = |(note, columns): (&str, Vec<&str>)| match columns.len() == parts.len() {
        true => note.to_owned(),
        false => format!("{}: {note}", columns.join(", ")),
    };
    said.into_iter().map(note).collect()
}

fn block(groups: &[String], rows: Vec<Row<'_>>) -> Block {
    let of_groups = groups.iter().flat_map(|group| OF_GROUP.map(|what| format!("{group}: {what}")));
    let columns = ["column", "level"].map(str::to_owned).into_iter().chain(of_groups).chain(OF_ROW.map(str::to_owned));
    let mut block = Block { columns: columns.collect(), ..Block::default() };
    for (at, row) in rows.into_iter().enumerate() {
        let mut values: Vec<Value> = row.names.map(Value::Text).to_vec();
        for cell in row.groups.into_iter().flatten().chain(row.of_row) {
            values.push(match cell {
                Some(Cell::Copied(from, of)) => block.copy(at, values.len(), from, of),
                Some(Cell::Made(found)) => block.place(at, values.len(), found),
                None => Value::Null,
            });
        }
        block.rows.push(values);
    }
    block
}

/// How many patients each group has.
fn patients<'a>(spec: &Spec, result: &'a AnalysisResult) -> Option<Row<'a>> {
    let block = &result.block;
    let counts: Vec<Cell<'a>> = match spec {
        Spec::Crosstab(_) => {
            let row = block.rows.len().checked_sub(1)?;
            (1..block.columns.len() - 1).map(|column| Cell::Copied(block, (row, column))).collect()
        }
        _ => (0..block.rows.len()).map(|row| Cell::Copied(block, (row, 1))).collect(),
    };
    let groups = counts.into_iter().map(|count| [Some(count), None, None]).collect();
    Some(Row { names: ["patients".to_owned(), String::new()], groups, of_row: [None, None] })
}

/// A comparison by a number: its mean, and how many lack it.
fn of_number<'a>(column: &str, result: &'a AnalysisResult) -> Vec<Row<'a>> {
    let block = &result.block;
    let row = |row: usize| [2, 3, 4].map(|column| Some(Cell::Copied(block, (row, column))));
    let also = |title: fn(&str) -> bool| result.also.iter().find(|named| title(&named.title)).map(|named| &named.block);
    let tests = also(|title| title == TESTS);
    // Of more than two groups all at once.
    let p = tests.and_then(|tests| Some(Cell::Copied(tests, (tests.rows.len().checked_sub(1)?, 5))));
    let against = also(|title| title.starts_with("against "));
    let apart = against.filter(|block| block.rows.len() == 2).and_then(|block| {
        let row = block.rows.iter().position(|row| row.get(1) == Some(&Value::Text(STANDARDISED.to_owned())))?;
        Some(Cell::Copied(block, (row, 2)))
    });
    let missing = |row: usize| match (found(block, row, 1), found(block, row, 2)) {
        (Ok(Value::Count(all)), Ok(Value::Count(valid))) => Ok(Value::Count(all.saturating_sub(valid))),
        (Ok(Value::Count(all)), Err((Some(Interval(least, most)), reason))) => {
            let interval = Interval(most.map_or(0, |most| all.saturating_sub(most)), Some(all.saturating_sub(least)));
            Err((Some(interval), reason))
        }
        (Err((_, reason)), _) | (_, Err((_, reason))) => Err((None, reason)),
        _ => Err((None, HiddenReason::TooFewValues)),
    };
    let groups = 0..block.rows.len();
    vec![
        Row { names: names(column, ""), groups: groups.clone().map(row).collect(), of_row: [p, apart] },
        Row {
            names: names(column, MISSING),
            groups: groups.map(|row| [Some(Cell::Made(missing(row))), None, None]).collect(),
            of_row: [None, None],
        },
    ]
}

/// A cross-tabulation of a column's levels by group: each level's share of those with a value.
fn of_levels<'a>(column: &str, result: &'a AnalysisResult) -> Vec<Row<'a>> {
    let block = &result.block;
    let groups: Vec<usize> = (1..block.columns.len() - 1).collect();
    let levels: Vec<usize> = (0..block.rows.len().saturating_sub(1)).collect();
    let known = |row: &&usize| label(block, **row).as_deref() != Some(MISSING);
    let count = |row: usize, group: usize| match block.rows[row][group] {
        Value::Count(n) => Some(n),
        _ => None,
    };
    let valid = |group: usize| levels.iter().filter(known).map(|row| count(*row, group)).sum::<Option<u64>>();
    let share = |row: usize, group: usize| Some(Share { with: count(row, group)?, n: valid(group)? });
    let p = result
        .also
        .iter()
        .find(|named| named.block.columns == ["statistic", "value"])
        .map(|named| Cell::Copied(&named.block, (2, 1)));
    let mut rows = Vec::new();
    for (at, row) in levels.iter().enumerate() {
        let is_known = known(&row);
        let of_group = |group: &usize| {
            let of = || match share(*row, *group) {
                Some(Share { n: 0, .. }) => Err((None, HiddenReason::TooFewValues)),
                Some(share) => Ok(Value::Number(share.with as f64 / share.n as f64)),
                None => Err((None, HiddenReason::NotAllExact)),
            };
            [Some(Cell::Copied(block, (*row, *group))), is_known.then(|| Cell::Made(of())), None]
        };
        // A last group may be that of the missing ones.
        let two: Vec<usize> = groups.iter().copied().filter(|group| block.columns[*group] != MISSING).collect();
        let apart = match two.as_slice() {
            [zero, one] if is_known => Some(Cell::Made(match share(*row, *one).zip(share(*row, *zero)) {
                Some((one, zero)) => {
                    standardised_difference(one, zero).map(Value::Number).ok_or((None, HiddenReason::TooFewValues))
                }
                None => Err((None, HiddenReason::NotAllExact)),
            })),
            _ => None,
        };
        let label = label(block, *row).unwrap_or_default();
        let p = if at == 0 { p.clone() } else { None };
        rows.push(Row {
            names: names(column, &label),
            groups: groups.iter().map(of_group).collect(),
            of_row: [p, apart],
        });
    }
    rows
}

fn names(column: &str, level: &str) -> [String; 2] {
    [column.to_owned(), level.to_owned()]
}

fn label(block: &Block, row: usize) -> Option<String> {
    super::summary::label(block.rows.get(row)?).map(str::to_owned)
}
