//! Numbers with an interval: estimates of a model as a forest plot, quantiles, rates. Ratios stand on a logarithmic axis, about 1.

use super::listed;
use super::most::MOST;
use super::parts::parts;
use super::view::View;
use crate::report::page::number::with_interval;

/// An end of an interval that lies so many times as far from all numbers as these lie from each other is beyond the axis.
const FAR: f64 = 2.0;
/// A ratio with hardly anybody behind it would press all others together.
const RATIOS: (f64, f64) = (1e-3, 1e3);

/// Numbers with their intervals, each on a line of its own.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Ranges {
    /// What the numbers are.
    pub axis: String,
    /// Whether they are ratios.
    pub log: bool,
    /// What "no difference" is.
    pub reference: Option<f64>,
    /// What the axis has.
    pub domain: (f64, f64),
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
    of_place(view, &place(view)?)
}

fn of_place(view: &View<'_>, of: &Place) -> Option<Ranges> {
    let Place { value, ends, reference } = *of;
    let log = reference == Some(1.0);
    // On a logarithmic axis there is no place for what is not above 0.
    let number = |row, column| view.number(row, column).filter(|x| !log || *x > 0.0);
    let range = |row: usize| Range {
        label: view.label(row, view.keys.max(1)),
        value: number(row, value),
        ends: number(row, ends.0).zip(number(row, ends.1)),
    };
    let rows: Vec<Range> = view.rows().into_iter().map(range).filter(|row| !is_intercept(&row.label)).collect();
    let ranges = Ranges::new(view.heading(value), reference, rows);
    ranges.tells().then_some(ranges)
}

/// Whether some number has an interval.
pub(super) fn has_interval(view: &View<'_>) -> bool {
    place(view).is_some()
}

fn place(view: &View<'_>) -> Option<Place> {
    ratio(view).or_else(|| estimate(view)).or_else(|| neighbours(view))
}

/// How often something comes in a group, as a share of how often it comes in the first.
pub(super) fn ratios_of_rates(view: &View<'_>) -> Option<Ranges> {
    let [value, lower, upper] = ["ratio", "ratio_lower", "ratio_upper"].map(|heading| view.column(heading));
    of_place(view, &Place { value: value?, ends: (lower?, upper?), reference: Some(1.0) })
}

/// Numbers of a column about 0 without an interval, where there are any: what components are made of, how clusters differ from all.
pub(super) fn about_zero(view: &View<'_>, heading: &str) -> Option<Ranges> {
    let column = view.column(heading)?;
    let told = |row: &usize| !is_intercept(&view.label(*row, view.keys)) && view.is_given(*row, column);
    let rows: Vec<usize> = view.rows().into_iter().filter(told).collect();
    let points = points(view, &rows, column);
    points.tells().then_some(points)
}

/// The outcome of a group without any effect, which is no effect.
pub(super) fn is_intercept(label: &str) -> bool {
    label.starts_with("(intercept)")
}

/// Numbers of one column about 0, in these rows.
pub(super) fn points(view: &View<'_>, rows: &[usize], column: usize) -> Ranges {
    let range =
        |row: &usize| Range { label: view.label(*row, view.keys), value: view.number(*row, column), ends: None };
    Ranges::new(view.heading(column), Some(0.0), rows.iter().map(range).collect())
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
    let spread = view.heading(before) == "se" || view.heading(before).starts_with("sd(");
    let value = before.checked_sub(usize::from(spread)).filter(|column| numbers.contains(column))?;
    let reference = match view.heading(value) {
        "ratio" => Some(1.0),
        "r" | "rho" => Some(0.0),
        _ => None,
    };
    Some(Place { value, ends: (before + 1, before + 2), reference })
}

impl Ranges {
    pub(super) fn new(axis: &str, reference: Option<f64>, rows: Vec<Range>) -> Self {
        let log = reference == Some(1.0);
        let span = |(lo, hi): (f64, f64), x: f64| (lo.min(x), hi.max(x));
        let ends = || rows.iter().filter_map(|row| row.ends).flat_map(|(lo, hi)| [lo, hi]);
        let numbers = || rows.iter().filter_map(|row| row.value).chain(reference);
        let (least, most) = numbers().fold((f64::INFINITY, f64::NEG_INFINITY), span);
        let room = FAR * (most - least);
        let near = |x: &f64| log || rows.len() == 1 || room <= 0.0 || (least - room..=most + room).contains(x);
        // Where only intervals are known, they are all there is.
        let ends: Vec<f64> = ends().filter(|x| least > most || near(x)).collect();
        let (lo, hi) = ends.into_iter().chain(numbers()).fold((f64::INFINITY, f64::NEG_INFINITY), span);
        let domain = if log { (lo.max(RATIOS.0), hi.min(RATIOS.1)) } else { (lo, hi) };
        Self { axis: axis.to_owned(), log, reference, domain, rows }
    }

    /// Whether there is anything to compare.
    pub(super) fn tells(&self) -> bool {
        let known = self.rows.iter().filter(|row| row.value.is_some() || row.ends.is_some()).count();
        known > usize::from(self.reference.is_none())
    }

    /// As pictures that have room, with one axis.
    pub(super) fn parts(self) -> Vec<(Self, String)> {
        let Self { axis, log, reference, domain, rows } = self;
        let ranges = |rows| Self { axis: axis.clone(), log, reference, domain, rows };
        parts(rows, MOST, "lines").into_iter().map(|(rows, said)| (ranges(rows), said)).collect()
    }

    pub(super) fn title(&self) -> String {
        let interval = if self.rows.iter().any(|row| row.ends.is_some()) { " with interval" } else { "" };
        let beyond = |row: &Range| row.ends.is_some_and(|(lo, hi)| lo < self.domain.0 || hi > self.domain.1);
        let arrow = if self.rows.iter().any(beyond) { "; an arrow goes on beyond the axis" } else { "" };
        format!("{}{interval}{}{arrow}", self.axis, if self.log { ", on a logarithmic axis" } else { "" })
    }

    pub(super) fn description(&self) -> String {
        let said = self.rows.iter().map(|row| format!("{}: {}", row.label, row.said(self.log)));
        let interval = if self.rows.iter().any(|row| row.ends.is_some()) { " and its interval" } else { "" };
        format!("A point{interval} for each: {}", listed(said))
    }
}

impl Range {
    /// The number and its interval.
    pub(super) fn said(&self, ratio: bool) -> String {
        with_interval(self.value, self.ends, ratio)
    }
}
