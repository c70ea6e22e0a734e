//! Counts and shares as bars: one a row, or for a histogram one a bin, side by side.

use super::{MOST_CURVES, MOST_LINES, View, listed};
use crate::api::types::Value;
use crate::report::short_number;

/// Bars in one or more panels.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Bars {
    /// What their lengths are.
    pub axis: String,
    /// Whether they stand side by side over a measured quantity.
    pub upright: bool,
    /// One for all, or one for each group of a histogram.
    pub panels: Vec<Panel>,
}

/// Bars of one group.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Panel {
    /// Which; empty where there is one.
    pub group: String,
    /// From above, or from the left.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Bar {
    /// What it is about.
    pub label: String,
    /// Where it ends; none where that is hidden.
    pub value: Option<f64>,
    /// Then where it may end.
    pub between: Option<(f64, Option<f64>)>,
}

/// The bars of a block's first number, of each of them in a cross-tabulation, of who is left in a flow.
pub(super) fn bars(kind: &str, view: &View<'_>) -> Option<Bars> {
    let rows = 0..view.block.rows.len();
    if kind == "crosstab" && view.keys == 1 {
        return Some(crossed(view));
    }
    let column = match kind {
        "attrition" => view.column("kept")?,
        "histogram" => view.column("count")?,
        _ => return of_column(view, first_number(view)?),
    };
    let axis = view.heading(column).to_owned();
    let bar =
        |row: usize, label: String| Bar { label, value: view.number(row, column), between: view.between(row, column) };
    if kind == "histogram" && view.keys > 0 {
        let mut panels: Vec<Panel> = Vec::new();
        for row in rows {
            let group = view.label(row, view.keys - 1);
            let bar = bar(row, bin(view, row));
            match panels.last_mut().filter(|panel| panel.group == group) {
                Some(panel) => panel.bars.push(bar),
                None => panels.push(Panel { group, bars: vec![bar] }),
            }
        }
        return Some(Bars { axis: format!("{axis} by {}", view.heading(view.keys - 1)), upright: true, panels });
    }
    Some(lying(view, column))
}

/// The bars of one column; none where a number is below 0.
pub(super) fn of_column(view: &View<'_>, column: usize) -> Option<Bars> {
    let below = (0..view.block.rows.len()).any(|row| view.number(row, column).is_some_and(|x| x < 0.0));
    (!below).then(|| lying(view, column))
}

fn lying(view: &View<'_>, column: usize) -> Bars {
    let bar = |row: usize| {
        let label = Some(view.label(row, view.keys)).filter(|label| !label.is_empty());
        let label = label.unwrap_or_else(|| "all".to_owned());
        Bar { label, value: view.number(row, column), between: view.between(row, column) }
    };
    let bars = (0..view.block.rows.len()).map(bar).collect();
    let axis = view.heading(column).to_owned();
    Bars { axis, upright: false, panels: vec![Panel { group: String::new(), bars }] }
}

/// Counts before statistics, and statistics of counts before any other.
fn first_number(view: &View<'_>) -> Option<usize> {
    let columns = view.keys..view.block.columns.len();
    let named = |name: &str| columns.clone().find(|column| view.heading(*column) == name);
    named("count").or_else(|| named("share")).or_else(|| {
        columns.clone().find(|column| {
            let shown = (0..view.block.rows.len()).any(|row| view.number(row, *column).is_some_and(|x| x >= 0.0));
            let below = (0..view.block.rows.len()).any(|row| view.number(row, *column).is_some_and(|x| x < 0.0));
            shown && !below
        })
    })
}

/// Every cell but totals.
fn crossed(view: &View<'_>) -> Bars {
    let columns: Vec<usize> = (1..view.block.columns.len()).filter(|column| view.heading(*column) != "total").collect();
    let rows = (0..view.block.rows.len()).filter(|row| view.label(*row, 1) != "total");
    let bar = |(row, column): (usize, usize)| Bar {
        label: format!("{}, {}", view.label(row, 1), view.heading(column)),
        value: view.number(row, column),
        between: view.between(row, column),
    };
    let cells = rows.flat_map(|row| columns.iter().map(move |column| (row, *column)));
    let panel = Panel { group: String::new(), bars: cells.map(bar).collect() };
    Bars { axis: "patients".to_owned(), upright: false, panels: vec![panel] }
}

/// A bin by its edges; by its label where it has none.
fn bin(view: &View<'_>, row: usize) -> String {
    let edge = |name| view.column(name).and_then(|column| view.number(row, column)).map(short_number);
    match (edge("from"), edge("to")) {
        (Some(from), Some(to)) => format!("{from}–{to}"),
        (Some(from), None) => format!("≥ {from}"),
        (None, Some(to)) => format!("< {to}"),
        (None, None) => match view.block.rows[row].get(view.keys - 1) {
            Some(Value::Text(label)) => label.clone(),
            _ => String::new(),
        },
    }
}

impl Bars {
    /// Whether anything is known of any number.
    pub(super) fn tells(&self) -> bool {
        let known = |bar: &Bar| bar.value.is_some() || bar.between.is_some_and(|(lo, _)| lo > 0.0);
        self.panels.iter().flat_map(|panel| &panel.bars).any(known)
    }

    /// Whether a picture of all of it can be read.
    pub(super) fn fits(&self) -> bool {
        self.panels.len() <= MOST_CURVES && self.panels.iter().all(|panel| panel.bars.len() <= MOST_LINES)
    }

    /// The largest number that the axis has. What is known sets it: an interval of which nothing is known but the cohort's size would press all else
    /// together, so that it ends where the axis does.
    pub(super) fn most(&self) -> f64 {
        let bars = || self.panels.iter().flat_map(|panel| &panel.bars);
        let known = bars().filter_map(|bar| bar.value.or(bar.between.map(|(lo, _)| lo))).fold(0.0, f64::max);
        let possible = bars().filter_map(|bar| bar.between?.1);
        possible.filter(|hi| known == 0.0 || *hi <= 1.5 * known).fold(known, f64::max)
    }

    pub(super) fn title(&self) -> String {
        let form = if self.upright { "Histogram" } else { "Bars" };
        let hidden = self.panels.iter().flat_map(|panel| &panel.bars).any(|bar| bar.value.is_none());
        let pale = if hidden { "; of a hidden number the darker part is certain, the pale one possible" } else { "" };
        format!("{form}: {}{pale}", self.axis)
    }

    pub(super) fn description(&self) -> String {
        let said = self.panels.iter().flat_map(|panel| panel.bars.iter().map(move |bar| (panel, bar)));
        let said: Vec<String> = said
            .map(|(panel, bar)| {
                let group = if panel.group.is_empty() { String::new() } else { format!("{}, ", panel.group) };
                format!("{group}{}: {}", bar.label, bar.said())
            })
            .collect();
        format!("A bar for each: {}", listed(said.into_iter()))
    }
}

impl Bar {
    /// Its number, or that it is hidden and where it lies.
    pub(super) fn said(&self) -> String {
        match (self.value, self.between) {
            (Some(value), _) => short_number(value),
            (None, Some((lo, Some(hi)))) => format!("hidden, {} to {}", short_number(lo), short_number(hi)),
            (None, Some((lo, None))) => format!("hidden, {} or more", short_number(lo)),
            (None, None) => "hidden".to_owned(),
        }
    }
}
