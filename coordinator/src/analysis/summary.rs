//! Puts together what was written as one analysis and signed as several; of a summary here: a row a column, and beside it the quantiles' intervals
//! and the shares of codes.
//!
//! A summary is signed as ordinary analyses, each published by its own driver. What is shown here follows from what those published, so it
//! must never show anything that they hide.

mod rows;

use std::collections::BTreeSet;

use bocage_protocol::analysis::{AnalysisSpec, Whole};
use bocage_protocol::ids::{AnalysisName, SiteId};

use super::quantiles;
use crate::api::types::{AnalysisResult, Block, NamedBlock, Value, Within};
pub(super) use rows::{Found, found};

use super::{correlation, evaluation, table_one};
use rows::ColumnRow;

/// The results of a study, in its order, with the parts of each summary and its like put together where its first part stands.
pub fn summarise(parts: Vec<(&AnalysisSpec, AnalysisResult)>, one_row_per_subject: bool) -> Vec<AnalysisResult> {
    let mut results = Vec::new();
    let mut done: BTreeSet<AnalysisName> = BTreeSet::new();
    for (spec, result) in &parts {
        match &spec.part {
            None => results.push(result.clone()),
            Some(part) if done.insert(part.of.clone()) => {
                let of = |other: &&(&AnalysisSpec, AnalysisResult)| {
                    other.0.part.as_ref().is_some_and(|other| other.of == part.of)
                };
                let own = parts.iter().filter(of);
                let absent: BTreeSet<SiteId> = own.clone().flat_map(|(_, result)| result.absent.clone()).collect();
                let mut whole = match part.whole {
                    Whole::Summary => put_together(&part.of, own, one_row_per_subject),
                    Whole::Correlation => correlation::put_together(&part.of, own),
                    Whole::TableOne => table_one::put_together(&part.of, own),
                    Whole::Evaluation => evaluation::put_together(&part.of, own),
                };
                whole.absent = absent.into_iter().collect();
                results.push(whole);
            }
            Some(_) => {}
        }
    }
    results
}

fn put_together<'a>(
    name: &AnalysisName,
    parts: impl Iterator<Item = &'a (&'a AnalysisSpec, AnalysisResult)>,
    one_row_per_subject: bool,
) -> AnalysisResult {
    let mut rows: Vec<ColumnRow<'_>> = Vec::new();
    let (mut notes, mut rolled_up) = (Vec::new(), Vec::new());
    for (spec, result) in parts {
        let column = spec.part.as_ref().map_or("", |part| part.column.as_str());
        if rows.last().is_none_or(|row| row.column != column) {
            rows.push(ColumnRow::new(column));
        }
        if let Some(row) = rows.last_mut() {
            row.take(&spec.spec, result);
        }
        for note in &result.notes {
            if !notes.contains(note) {
                notes.push(note.clone());
            }
        }
        rolled_up.extend(result.rolled_up.as_ref().map(|block| (column, block)));
    }
    let mut also = vec![
        NamedBlock { title: "quantiles".to_owned(), block: quantile_block(&rows) },
        NamedBlock { title: "shares".to_owned(), block: share_block(&rows, one_row_per_subject) },
    ];
    also.retain(|named| !named.block.rows.is_empty());
    also.extend(rolled_up.into_iter().map(|(column, block)| {
        let title = format!("{column} at the coarsest grouping among the sites");
        NamedBlock { title, block: block.clone() }
    }));
    let block = overview(&rows);
    AnalysisResult {
        name: name.clone(),
        kind: Whole::Summary.kind().to_owned(),
        block,
        notes,
        rolled_up: None,
        also,
        absent: vec![],
    }
}

/// A row a column: how many have a value, and of numbers the mean, the standard deviation and the quantiles.
fn overview(rows: &[ColumnRow<'_>]) -> Block {
    let mut shares: Vec<&str> = Vec::new();
    for share in rows.iter().filter_map(|row| row.quantiles).flat_map(|block| &block.rows).filter_map(|row| label(row))
    {
        if !shares.contains(&share) {
            shares.push(share);
        }
    }
    let fixed = ["column", "valid", "missing", "mean", "sd"].map(str::to_owned);
    let columns = fixed.into_iter().chain(shares.iter().map(|share| format!("quantile {share}"))).collect();
    let mut block = Block { columns, ..Block::default() };
    for (at, row) in rows.iter().enumerate() {
        let mut values = vec![Value::Text(row.column.to_owned())];
        let (valid, missing) = row.present();
        values.push(block.place(at, 1, valid));
        values.push(block.place(at, 2, missing));
        for (column, heading) in [(3, "mean("), (4, "sd(")] {
            let found = row.table.and_then(|table| {
                Some((table, table.columns.iter().position(|heading_of| heading_of.starts_with(heading))?))
            });
            values.push(found.map_or(Value::Null, |(table, from)| block.copy(at, column, table, (0, from))));
        }
        for (column, share) in shares.iter().enumerate() {
            let found = row.quantiles.and_then(|quantiles| {
                Some((quantiles, quantiles.rows.iter().position(|values| label(values) == Some(share))?))
            });
            let value = found.map_or(Value::Null, |(quantiles, from)| {
                // Bins may be wide, so that the estimate alone says little.
                if let [_, Value::Number(_), Value::Number(from), Value::Number(to)] = quantiles.rows[from][..] {
                    block.within.push(Within { row: at, column: column + 5, from, to });
                }
                block.copy(at, column + 5, quantiles, (from, 1))
            });
            values.push(value);
        }
        block.rows.push(values);
    }
    block
}

/// Every quantile with its interval.
fn quantile_block(rows: &[ColumnRow<'_>]) -> Block {
    let columns = std::iter::once("column").chain(quantiles::COLUMNS).map(str::to_owned).collect();
    let mut block = Block { columns, ..Block::default() };
    for (column, quantiles) in rows.iter().filter_map(|row| Some((row.column, row.quantiles?))) {
        for from in 0..quantiles.rows.len() {
            let at = block.rows.len();
            let mut values = vec![Value::Text(column.to_owned())];
            for column in 0..quantiles::COLUMNS.len() {
                values.push(block.copy(at, column + 1, quantiles, (from, column)));
            }
            block.rows.push(values);
        }
    }
    block
}

/// Every level of a column of codes with its count and its share of those with a value.
fn share_block(rows: &[ColumnRow<'_>], one_row_per_subject: bool) -> Block {
    let counted = if one_row_per_subject { "count" } else { "rows" };
    let columns = ["column", "level", counted, "share"].map(str::to_owned).to_vec();
    let mut block = Block { columns, ..Block::default() };
    for row in rows {
        let Some(levels) = row.levels else { continue };
        for (from, share) in row.shares().into_iter().enumerate() {
            let at = block.rows.len();
            let level = label(&levels.rows[from]).unwrap_or_default().to_owned();
            let mut values = vec![Value::Text(row.column.to_owned()), Value::Text(level)];
            values.push(block.copy(at, 2, levels, (from, 1)));
            values.push(match share {
                Some(share) => block.place(at, 3, share),
                None => Value::Null,
            });
            block.rows.push(values);
        }
    }
    block
}

/// The first value of a row, a text.
pub(super) fn label(row: &[Value]) -> Option<&str> {
    match row.first() {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}
