//! A block as a table for people, with what is hidden and what is only partly covered in words. A table that is wider than the page stands in several
//! parts, one below the other, each with the names of its rows: paper cannot be scrolled.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::chance::Chances;
use super::number::{chance, count, number};
use crate::api::types::{Block, Hidden, HiddenReason, Interval, Value, Within};
use crate::report::block::{PARTLY, coverage_lines, folded, hidden_at, key_columns, partly, within_at};
use crate::report::grid::parts;

/// With so many rows or columns a table stands open; beyond, a click opens it, so that the page stays one that can be read. Paper has all.
const OPEN_ROWS: usize = 60;
const OPEN_COLUMNS: usize = 12;
/// Lines about partial coverage that stand open.
const OPEN_LINES: usize = 6;
/// Characters that have room side by side, on a screen and on paper.
const ROOM: usize = 112;
/// A heading that is longer goes on in a further line.
const HEADING: usize = 16;
/// And so do the names of rows, which have together no more than this.
const NAMES: usize = 40;

/// The table, called so.
pub(super) fn table(block: &Block, name: &str, chances: Chances) -> Markup {
    if block.columns.is_empty() {
        return html! {};
    }
    if block.rows.is_empty() {
        return html! { p.soft { "There is nothing to show." } };
    }
    let table = Table::of(block, chances);
    let shown = table.rows.len();
    let open = shown <= OPEN_ROWS && block.columns.len() <= OPEN_COLUMNS;
    html! {
        @if shown == 0 {}
        @else if open { (table.markup(name)) }
        @else { details {
            summary { (count(shown as u64)) " rows, " (block.columns.len()) " columns" }
            (table.markup(name))
        } }
        @if shown < block.rows.len() {
            p.soft {
                "Nothing is published of " (count((block.rows.len() - shown) as u64)) " of " (count(block.rows.len() as u64))
                " rows: they are not listed here, but in " code { "tables/" } "."
            }
        }
        (why_hidden(block))
        (covered(block))
    }
}

/// What stands in the cells.
struct Table<'a> {
    block: &'a Block,
    keys: usize,
    rows: Vec<Vec<Cell<'a>>>,
}

enum Cell<'a> {
    Name(&'a str),
    Number(String),
    Hidden(HiddenReason, String),
}

impl<'a> Table<'a> {
    fn of(block: &'a Block, chances: Chances) -> Self {
        let (keys, hidden, within) = (key_columns(block), hidden_at(block), within_at(block));
        let partly: BTreeSet<(usize, usize)> = partly(block).map(|c| (c.row, c.column)).collect();
        let folded = folded(block, keys, &hidden);
        let cell = |r: usize, c: usize, value: &'a Value| {
            let mark = if partly.contains(&(r, c)) { PARTLY.to_string() } else { String::new() };
            match value {
                Value::Text(text) if c < keys => Cell::Name(text),
                Value::Text(text) => Cell::Number(text.clone()),
                Value::Count(n) => Cell::Number(count(*n) + &mark),
                Value::Number(x) => {
                    let text = if chances.has(block, r, c) { chance(*x) } else { number(*x) };
                    Cell::Number(text + &ends(within.get(&(r, c)).copied()) + &mark)
                }
                Value::Null => match hidden.get(&(r, c)) {
                    Some(hidden) => Cell::Hidden(hidden.reason, hidden_text(hidden)),
                    None => Cell::Number(String::new()),
                },
            }
        };
        let row = |(r, row): (usize, &'a Vec<Value>)| {
            let cells = row.iter().enumerate().map(|(c, value)| cell(r, c, value));
            (!folded.contains(&r)).then(|| cells.collect::<Vec<_>>())
        };
        Self { block, keys, rows: block.rows.iter().enumerate().filter_map(row).collect() }
    }

    /// In as many parts as it needs.
    fn markup(&self, name: &str) -> Markup {
        let parts = self.parts();
        let of =
            |at: usize| if parts.len() > 1 { format!(", part {} of {}", at + 1, parts.len()) } else { String::new() };
        html! { @for (at, columns) in parts.iter().enumerate() {
            (scroll(name, &html! { table {
                caption class=[(at > 0).then_some("more")] { (name) (of(at)) }
                thead { tr { @for c in columns { (heading(&self.block.columns[*c], *c >= self.keys)) } } }
                tbody { @for row in &self.rows { tr { @for cell in columns.iter().filter_map(|c| row.get(*c)) { (cell.markup()) } } } }
            } }))
        } }
    }

    /// Which columns stand side by side: as equally many as can be in as few parts as can be.
    fn parts(&self) -> Vec<Vec<usize>> {
        let widths = self.widths();
        let within = |room| parts(&widths, self.keys, room);
        let fewest = within(ROOM);
        (1..ROOM).map(within).find(|parts| parts.len() == fewest.len()).unwrap_or(fewest)
    }

    /// In characters, where long names and headings go on in further lines.
    fn widths(&self) -> Vec<usize> {
        let names = NAMES / self.keys.max(1);
        let width = |c: usize| {
            let most = if c < self.keys { names } else { usize::MAX };
            let cells = self.rows.iter().filter_map(|row| row.get(c)).map(|cell| cell.text().chars().count().min(most));
            cells.chain([self.block.columns[c].chars().count().min(HEADING)]).max().unwrap_or(0)
        };
        (0..self.block.columns.len()).map(width).collect()
    }
}

/// What may be wider than the screen. Who has no pointer can go there by the keyboard, and so move it.
pub(super) fn scroll(name: &str, wide: &Markup) -> Markup {
    html! { div.scroll role="group" tabindex="0" aria-label=(name) { (wide) } }
}

/// A heading. Where it goes on in a further line it is broken at the signs of a formula, and within a word only if that is longer than a line.
fn heading(text: &str, of_numbers: bool) -> Markup {
    if text.is_empty() {
        return html! { td {} };
    }
    let pieces: Vec<&str> = text.split_inclusive(['_', ':', '*', '(', '[', '.', ',']).collect();
    let long = pieces.iter().flat_map(|piece| piece.split(' ')).any(|word| word.chars().count() > HEADING);
    let class = [of_numbers.then_some("n"), long.then_some("long")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    html! {
        th class=[(!class.is_empty()).then_some(class)] scope="col" {
            @for (at, piece) in pieces.iter().enumerate() { @if at > 0 { wbr; } (piece) }
        }
    }
}

impl Cell<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Name(text) => text,
            Self::Number(text) | Self::Hidden(_, text) => text,
        }
    }

    fn markup(&self) -> Markup {
        match self {
            Self::Name("") => html! { td {} },
            Self::Name(text) => html! { th scope="row" { (text) } },
            Self::Number(text) => html! { td.n { (text) } },
            Self::Hidden(reason, text) => html! { td.n.hidden title=(reason) { (text) } },
        }
    }
}

/// Where a value lies that follows from rounded counts.
fn ends(within: Option<&Within>) -> String {
    within.map_or_else(String::new, |within| format!(" [{}, {}]", number(within.from), number(within.to)))
}

fn hidden_text(hidden: &Hidden) -> String {
    let Some(Interval(lo, hi)) = hidden.interval else { return "hidden".to_owned() };
    let ends = format!("[{}, {}]", count(lo), hi.map_or_else(|| "…".to_owned(), count));
    // It is known but for what rounding took off.
    if hidden.reason == HiddenReason::Rounded && hi.is_some() { ends } else { format!("hidden {ends}") }
}

fn why_hidden(block: &Block) -> Markup {
    let counted = HiddenReason::ALL.map(|reason| (reason, block.hidden.iter().filter(|h| h.reason == reason).count()));
    html! { @for (reason, many) in counted.into_iter().filter(|(_, many)| *many > 0) {
        p.soft { (count(many as u64)) @if reason == HiddenReason::Rounded { " not exact: " } @else { " hidden: " } (reason) "." }
    } }
}

fn covered(block: &Block) -> Markup {
    let lines = coverage_lines(block, key_columns(block));
    let list = html! { ul.soft { @for line in &lines { li { (line) } } } };
    html! {
        @if !lines.is_empty() { p.soft { (PARTLY) " stands for part of the rows only: such a sum is no total." } }
        @if lines.is_empty() {}
        @else if lines.len() <= OPEN_LINES { (list) }
        @else { details { summary { "Who is left out" } (list) } }
    }
}
