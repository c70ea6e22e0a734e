//! Numbers with an interval: estimates of a model as a forest plot, quantiles, rates. Ratios stand on a logarithmic axis, about 1.

use super::{View, listed};
use crate::report::short_number;

/// Numbers with their intervals, each on a line of its own.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Ranges {
    /// What the numbers are.
    pub axis: String,
    /// Whether they are ratios.
    pub log: bool,
    /// What "no difference" is.
    pub reference: Option<f64>,
    /// From above.
    pub rows: Vec<Range>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Range {
    /// What it is about.
    pub label: String,
    /// The number; none where it is hidden or does not exist.
    pub value: Option<f64>,
    /// The interval.
    pub ends: Option<(f64, f64)>,
}

/// Headings of intervals.
const ENDS: [(&str, &str); 3] = [("from", "to"), ("lower", "upper"), ("least", "most")];

/// Where number and interval stand, and what "no difference" is.
struct Place {
    value: usize,
    ends: (usize, usize),
    reference: Option<f64>,
}

/// The ranges of a block that has a number with an interval.
pub(super) fn ranges(view: &View<'_>) -> Option<Ranges> {
    let Place { value, ends, reference } = ratio(view).or_else(|| estimate(view)).or_else(|| neighbours(view))?;
    let log = reference == Some(1.0);
    // On a logarithmic axis there is no place for what is not above 0.
    let number = |row, column| view.number(row, column).filter(|x| !log || *x > 0.0);
    let range = |row: usize| Range {
        label: view.label(row, view.keys.max(1)),
        value: number(row, value),
        ends: number(row, ends.0).zip(number(row, ends.1)),
    };
    // That of a group without any effect is no effect.
    let intercept = |row: &Range| row.label.starts_with("(intercept)");
    let rows: Vec<Range> = (0..view.block.rows.len()).map(range).filter(|row| !intercept(row)).collect();
    let any = rows.iter().any(|row| row.value.is_some() || row.ends.is_some());
    any.then(|| Ranges { axis: view.heading(value).to_owned(), log, reference, rows })
}

/// What components are made of, and how clusters differ from all: numbers about 0 without an interval, one for each two keys.
pub(super) fn loadings(view: &View<'_>) -> Option<Ranges> {
    let value = view.block.columns.len().checked_sub(1)?;
    if view.keys < 2 || !matches!(view.heading(value), "loading" | "difference") {
        return None;
    }
    let range = |row: usize| Range { label: view.label(row, view.keys), value: view.number(row, value), ends: None };
    let rows: Vec<Range> = (0..view.block.rows.len()).map(range).collect();
    let any = rows.iter().any(|row| row.value.is_some());
    any.then(|| Ranges { axis: view.heading(value).to_owned(), log: false, reference: Some(0.0), rows })
}

/// e to the power of a coefficient: `odds ratio`, `ratio from`, `ratio to`.
fn ratio(view: &View<'_>) -> Option<Place> {
    let (from, to) = (view.column("ratio from")?, view.column("ratio to")?);
    Some(Place { value: from.checked_sub(1)?, ends: (from, to), reference: Some(1.0) })
}

/// A coefficient, whose interval need not stand beside it.
fn estimate(view: &View<'_>) -> Option<Place> {
    let value = view.column("estimate")?;
    let ends = ENDS.iter().find_map(|(lo, hi)| view.column(lo).zip(view.column(hi)))?;
    Some(Place { value, ends, reference: Some(0.0) })
}

/// A number with its interval behind it, with or without its spread between. A ratio to what was expected is none of a pair of groups, but 1 is its
/// "no difference" too.
fn neighbours(view: &View<'_>) -> Option<Place> {
    let numbers = view.keys.max(1)..view.block.columns.len().saturating_sub(2);
    let before = numbers.clone().find(|column| {
        ENDS.contains(&(view.heading(column + 1), view.heading(column + 2)))
            && (0..view.block.rows.len()).any(|row| view.number(row, *column).is_some())
    })?;
    let spread = view.heading(before).starts_with("sd(");
    let value = before.checked_sub(usize::from(spread)).filter(|column| numbers.contains(column))?;
    let reference = match view.heading(value) {
        "ratio" => Some(1.0),
        "r" | "rho" => Some(0.0),
        _ => None,
    };
    Some(Place { value, ends: (before + 1, before + 2), reference })
}

impl Ranges {
    /// All that is to be on the axis: numbers always, ends as far as they are no more than `wide` times as far away.
    pub(super) fn domain(&self) -> (f64, f64) {
        let ends = self.rows.iter().filter_map(|row| row.ends).flat_map(|(lo, hi)| [lo, hi]);
        let all: Vec<f64> = ends
            .chain(self.rows.iter().filter_map(|row| row.value))
            .chain(self.reference)
            .filter(|x| x.is_finite())
            .collect();
        let (lo, hi) = all.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), x| (lo.min(*x), hi.max(*x)));
        // A ratio with hardly anybody behind it would press all others together.
        if self.log { (lo.max(1e-3), hi.min(1e3)) } else { (lo, hi) }
    }

    pub(super) fn title(&self) -> String {
        let interval = if self.rows.iter().any(|row| row.ends.is_some()) { " with interval" } else { "" };
        format!("{}{interval}{}", self.axis, if self.log { ", on a logarithmic axis" } else { "" })
    }

    pub(super) fn description(&self) -> String {
        let said = self.rows.iter().map(|row| format!("{}: {}", row.label, row.said()));
        let interval = if self.rows.iter().any(|row| row.ends.is_some()) { " and its interval" } else { "" };
        format!("A point{interval} for each: {}", listed(said))
    }
}

impl Range {
    /// The number and its interval.
    pub(super) fn said(&self) -> String {
        let value = self.value.map_or_else(|| "–".to_owned(), three);
        match self.ends {
            Some((lo, hi)) => format!("{value} ({} to {})", three(lo), three(hi)),
            None => value,
        }
    }
}

/// With three digits: the table has more.
fn three(x: f64) -> String {
    let magnitude = if x == 0.0 { 0.0 } else { x.abs().log10().floor() };
    if (-3.0..6.0).contains(&magnitude) {
        let decimals = (2.0 - magnitude).max(0.0) as usize;
        return format!("{x:.decimals$}");
    }
    short_number(x)
}
