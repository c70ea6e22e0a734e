//! Counts and shares as bars: one a row, or for a histogram one a bin, side by side.

use super::listed;
use super::most::MOST;
use super::parts::parts;
use super::view::{self, View};
use crate::report::page::number::brief;

/// Panels of one picture, one below the other.
const MOST_PANELS: usize = 3;

/// Bars in one or more panels.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Bars {
    /// What their lengths are.
    pub axis: String,
    /// By what there is more than one; with a space before.
    pub by: String,
    /// Whether they stand side by side over a measured quantity.
    pub upright: bool,
    /// The largest number that the axis has.
    pub most: f64,
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

/// The bars of a table's first number, of who is left in a flow.
pub(super) fn bars(kind: &str, view: &View<'_>) -> Option<Bars> {
    let rows: Vec<usize> = (0..view.block.rows.len()).collect();
    let column = match kind {
        "attrition" => view.column("kept")?,
        "histogram" => view.column("count")?,
        _ => return of_column(view, &rows, first_number(view)?),
    };
    if kind == "histogram" && view.keys > 0 {
        return Some(histogram(view, column));
    }
    Some(lying(view, &rows, column))
}

/// The bars of one column in these rows; none where a number is below 0.
pub(super) fn of_column(view: &View<'_>, rows: &[usize], column: usize) -> Option<Bars> {
    let below = rows.iter().any(|row| view.number(*row, column).is_some_and(|x| x < 0.0));
    (!below).then(|| lying(view, rows, column))
}

fn lying(view: &View<'_>, rows: &[usize], column: usize) -> Bars {
    let bar = |row: &usize| {
        let label = Some(view.label(*row, view.keys)).filter(|label| !label.is_empty());
        Bar { label: label.unwrap_or_else(|| "all".to_owned()), ..bar(view, *row, column) }
    };
    let panels = vec![Panel { group: String::new(), bars: rows.iter().map(bar).collect() }];
    Bars::new(view.heading(column), view.keys_said(), false, panels)
}

fn bar(view: &View<'_>, row: usize, column: usize) -> Bar {
    Bar { label: String::new(), value: view.number(row, column), between: view.between(row, column) }
}

fn histogram(view: &View<'_>, column: usize) -> Bars {
    let mut panels: Vec<(Vec<&str>, Panel)> = Vec::new();
    for row in 0..view.block.rows.len() {
        let group = view.group(row, 0..view.keys - 1);
        let bar = Bar { label: bin(view, row), ..bar(view, row, column) };
        match panels.last_mut().filter(|(of, _)| *of == group) {
            Some((_, panel)) => panel.bars.push(bar),
            None => panels.push((group, Panel { group: view.label(row, view.keys - 1), bars: vec![bar] })),
        }
    }
    let by = format!(" by {}", view.heading(view.keys - 1));
    Bars::new(view.heading(column), by, true, panels.into_iter().map(|(_, panel)| panel).collect())
}

/// Counts before statistics, and statistics of counts before any other.
fn first_number(view: &View<'_>) -> Option<usize> {
    let columns = view.keys..view.block.columns.len();
    let named = |name: &str| columns.clone().find(|column| view.heading(*column) == name);
    ["count", "share", "patients"].into_iter().find_map(named).or_else(|| {
        columns.clone().find(|column| {
            let shown = (0..view.block.rows.len()).any(|row| view.number(row, *column).is_some_and(|x| x >= 0.0));
            let below = (0..view.block.rows.len()).any(|row| view.number(row, *column).is_some_and(|x| x < 0.0));
            shown && !below
        })
    })
}

/// Every cell of two keys but totals.
pub(super) fn crossed(view: &View<'_>) -> Bars {
    let columns: Vec<usize> = (1..view.block.columns.len()).filter(|column| view.heading(*column) != "total").collect();
    let rows = (0..view.block.rows.len()).filter(|row| view.label(*row, 1) != "total");
    let cell = |(row, column): (usize, usize)| {
        let label = view::label(&[view.text(row, 0).unwrap_or_default(), view.heading(column)]);
        Bar { label, ..bar(view, row, column) }
    };
    let cells = rows.flat_map(|row| columns.iter().map(move |column| (row, *column)));
    let panel = Panel { group: String::new(), bars: cells.map(cell).collect() };
    Bars::new("patients", format!(": {}", view.heading(0)), false, vec![panel])
}

/// A bin by its edges; by its label where it has none.
fn bin(view: &View<'_>, row: usize) -> String {
    let edge = |name| view.column(name).and_then(|column| view.number(row, column)).map(brief);
    match (edge("from"), edge("to")) {
        (Some(from), Some(to)) => format!("{from}–{to}"),
        (Some(from), None) => format!("≥ {from}"),
        (None, Some(to)) => format!("< {to}"),
        (None, None) => view.text(row, view.keys - 1).unwrap_or_default().to_owned(),
    }
}

impl Bars {
    fn new(axis: &str, by: String, upright: bool, panels: Vec<Panel>) -> Self {
        // What is known sets the axis: an interval of which nothing is known but the cohort's size would press all else together.
        let bars = || panels.iter().flat_map(|panel| &panel.bars);
        let known = bars().filter_map(|bar| bar.value.or(bar.between.map(|(lo, _)| lo))).fold(0.0, f64::max);
        let possible = bars().filter_map(|bar| bar.between?.1);
        let most = possible.filter(|hi| known == 0.0 || *hi <= 2.0 * known).fold(known, f64::max);
        Self { axis: axis.to_owned(), by, upright, most, panels }
    }

    fn bars(&self) -> impl Iterator<Item = &Bar> {
        self.panels.iter().flat_map(|panel| &panel.bars)
    }

    /// Whether there is anything to compare.
    pub(super) fn tells(&self) -> bool {
        let known = |bar: &&Bar| bar.value.is_some() || bar.between.is_some_and(|(lo, _)| lo > 0.0);
        self.bars().filter(known).nth(1).is_some()
    }

    /// As pictures that have room, with one axis.
    pub(super) fn parts(self) -> Vec<(Self, String)> {
        let Self { axis, by, upright, most, mut panels } = self;
        let bars = |panels| Self { axis: axis.clone(), by: by.clone(), upright, most, panels };
        if upright {
            return parts(panels, MOST_PANELS, "groups")
                .into_iter()
                .map(|(panels, said)| (bars(panels), said))
                .collect();
        }
        let lying = panels.iter_mut().flat_map(|panel| std::mem::take(&mut panel.bars)).collect();
        let panel = |lying| vec![Panel { group: String::new(), bars: lying }];
        parts(lying, MOST, "bars").into_iter().map(|(lying, said)| (bars(panel(lying)), said)).collect()
    }

    pub(super) fn title(&self) -> String {
        let form = if self.upright { "Histogram: " } else { "" };
        let partly = self.bars().any(|bar| bar.value.is_none() && bar.drawn(self.most).is_some());
        let pale = if partly { "; of a hidden number the darker part is certain, the pale one possible" } else { "" };
        let nothing = self.upright && self.bars().any(|bar| bar.value.is_none() && bar.drawn(self.most).is_none());
        let grey = if nothing { "; grey at the ground: hidden" } else { "" };
        format!("{form}{}{}{pale}{grey}", self.axis, self.by)
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
    /// From where it is certain to where it is possible, on an axis that ends there; none where nothing is known of it.
    pub(super) fn drawn(&self, most: f64) -> Option<(f64, f64)> {
        match (self.value, self.between) {
            (Some(value), _) => Some((value, value)),
            (None, Some((lo, hi))) => {
                let hi = hi.unwrap_or(f64::INFINITY);
                (lo > 0.0 || hi <= most).then_some((lo, hi))
            }
            (None, None) => None,
        }
    }

    /// Its number, or that it is hidden and where it lies.
    pub(super) fn said(&self) -> String {
        match (self.value, self.between) {
            (Some(value), _) => brief(value),
            (None, Some((lo, Some(hi)))) => format!("hidden, {} to {}", brief(lo), brief(hi)),
            (None, Some((lo, None))) => format!("hidden, {} or more", brief(lo)),
            (None, None) => "hidden".to_owned(),
        }
    }
}
