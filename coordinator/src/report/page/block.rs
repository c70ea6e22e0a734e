//! A block as a table for people, with what is hidden and what is only partly covered in words.

use maud::{Markup, html};

use crate::api::types::{Block, HiddenReason, Value};
use crate::report::block::{coverage_lines, hidden_at, hidden_text, key_columns, number_text, within_at};

/// With so many rows or columns a table stands open; beyond, a click opens it, so that the page stays one that can be read. Paper has all.
const OPEN_ROWS: usize = 60;
const OPEN_COLUMNS: usize = 12;
/// Lines about partial coverage that stand open.
const OPEN_LINES: usize = 6;

/// The table, called so.
pub(super) fn table(block: &Block, name: &str) -> Markup {
    if block.columns.is_empty() {
        return html! {};
    }
    if block.rows.is_empty() {
        return html! { p.soft { "There is nothing to show." } };
    }
    let table = html! { div.scroll { (whole(block, name)) } };
    let open = block.rows.len() <= OPEN_ROWS && block.columns.len() <= OPEN_COLUMNS;
    html! {
        @if open { (table) } @else { details {
            summary { (block.rows.len()) " rows, " (block.columns.len()) " columns" }
            (table)
        } }
        (why_hidden(block))
        (covered(block))
    }
}

fn whole(block: &Block, name: &str) -> Markup {
    let (keys, hidden, within) = (key_columns(block), hidden_at(block), within_at(block));
    html! { table {
        caption { (name) }
        thead { tr { @for (at, heading) in block.columns.iter().enumerate() {
            th class=[(at >= keys).then_some("n")] scope="col" { (heading) }
        } } }
        tbody { @for (r, row) in block.rows.iter().enumerate() { tr { @for (c, value) in row.iter().enumerate() {
            @match value {
                Value::Text(text) if c < keys => th scope="row" { (text) },
                Value::Text(text) => td.n { (text) },
                Value::Count(n) => td.n { (n) },
                Value::Number(x) => td.n { (number_text(*x, within.get(&(r, c)).copied())) },
                Value::Null => @match hidden.get(&(r, c)) {
                    Some(hidden) => td.n.hidden title=(hidden.reason) { (hidden_text(hidden)) },
                    None => td.n {},
                },
            }
        } } } }
    } }
}

fn why_hidden(block: &Block) -> Markup {
    let counted = HiddenReason::ALL.map(|reason| (reason, block.hidden.iter().filter(|h| h.reason == reason).count()));
    html! { @for (reason, count) in counted.into_iter().filter(|(_, count)| *count > 0) {
        p.soft { (count) @if reason == HiddenReason::Rounded { " not exact: " } @else { " hidden: " } (reason) "." }
    } }
}

fn covered(block: &Block) -> Markup {
    let lines = coverage_lines(block, key_columns(block));
    let list = html! { ul.soft { @for line in &lines { li { (line) } } } };
    html! {
        @if lines.is_empty() {}
        @else if lines.len() <= OPEN_LINES { (list) }
        @else { details { summary { "Of " (lines.len()) " rows somebody is left out" } (list) } }
    }
}
