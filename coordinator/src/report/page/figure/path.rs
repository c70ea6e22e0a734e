//! Fits beside each other: an elastic net along its penalties, where each coefficient begins and what is lost on those who were left out; fits that each
//! left out a part; and a hazard along time.

use super::along::{Along, Line, Point};
use super::ranges::{Range, Ranges, is_intercept};
use super::view::{View, label};
use crate::report::page::number::brief;

/// Headings of a path before those of its terms.
const BEFORE: usize = 3;

/// The coefficients along the penalties, but the intercept, which nothing holds.
pub(super) fn coefficients(view: &View<'_>) -> Option<Along> {
    let rows = view.rows();
    let terms = (BEFORE..view.block.columns.len()).filter(|column| !is_intercept(view.heading(*column)));
    let point = |row: &usize, column| Point { value: view.number(*row, column), between: None };
    let line = |column| Line {
        group: view.heading(column).to_owned(),
        points: rows.iter().map(|row| point(row, column)).collect(),
    };
    let lines = terms.map(line).collect();
    along("coefficient", view.heading(0), penalties(view), lines)
}

/// What is lost at each penalty, a standard error either way.
pub(super) fn losses(view: &View<'_>) -> Option<Ranges> {
    let range = |(row, penalty): (usize, String)| {
        let chosen = view.text(row, 3).map_or_else(String::new, |chosen| format!(" ({chosen})"));
        let (value, error) = (view.number(row, 1), view.number(row, 2));
        let ends = value.zip(error).map(|(value, error)| (value - error, value + error));
        Range { label: format!("{} {penalty}{chosen}", view.heading(0)), value, ends }
    };
    let axis = format!("{} ± {}", view.heading(1), view.heading(2));
    let ranges = Ranges::new(&axis, None, penalties(view).into_iter().enumerate().map(range).collect());
    ranges.tells().then_some(ranges)
}

fn penalties(view: &View<'_>) -> Vec<String> {
    view.rows().into_iter().map(|row| view.number(row, 0).map_or_else(String::new, brief)).collect()
}

/// The coefficients of the fit on all, and between which those lie of the fits that left out a part.
pub(super) fn fits(view: &View<'_>) -> Option<Ranges> {
    let all = view.column("all")?;
    let range = |row: usize| {
        let others = (all + 1..view.block.columns.len()).filter_map(|column| view.number(row, column));
        let (least, most) = others.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), x| (lo.min(x), hi.max(x)));
        let ends = (least <= most).then_some((least, most));
        Range { label: view.label(row, all), value: view.number(row, all), ends }
    };
    let rows = view.rows().into_iter().map(range).filter(|row| !is_intercept(&row.label)).collect();
    let ranges = Ranges::new("coefficient, and those of fits without a part", Some(0.0), rows);
    ranges.tells().then_some(ranges)
}

/// A hazard that adds up along time, a line for each stratum.
pub(super) fn hazard(view: &View<'_>) -> Option<Along> {
    let (to, hazard) = (view.column("to")?, view.column("cumulative hazard")?);
    let time = |row: usize| view.number(row, to).map_or_else(String::new, brief);
    let mut times: Vec<String> = Vec::new();
    for row in view.rows() {
        if !times.contains(&time(row)) {
            times.push(time(row));
        }
    }
    let mut lines: Vec<Line> = Vec::new();
    for row in view.rows() {
        let group = label(&view.group(row, 0..view.keys));
        if lines.last().is_none_or(|line| line.group != group) {
            lines.push(Line { group, points: vec![Point::default(); times.len()] });
        }
        let at = times.iter().position(|of| *of == time(row));
        if let Some((line, at)) = lines.last_mut().zip(at) {
            line.points[at].value = view.number(row, hazard);
        }
    }
    along(view.heading(hazard), "time", times, lines)
}

/// Lines, if there is more than one place along which they go.
fn along(axis: &str, by: &str, places: Vec<String>, lines: Vec<Line>) -> Option<Along> {
    let along = Along::new(axis, by, places, lines);
    (along.periods.len() > 1 && along.tells()).then_some(along)
}
