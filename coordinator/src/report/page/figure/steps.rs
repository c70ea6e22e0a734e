//! Shares over time as steps: survival, and the cumulative incidence of an event. Under survival stands how many are at risk.
//!
//! Where a share is not exact the line stops; between what it can be at least and at most there is a pale band.

use std::collections::BTreeSet;

use super::listed;
use super::parts::parts;
use super::view::{View, label};
use crate::report::page::number::brief;

/// Curves of one picture that can be told apart.
const MOST_CURVES: usize = 6;

/// Curves over one time.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Steps {
    /// What they show.
    pub axis: String,
    /// The share at time 0.
    pub start: f64,
    /// The last time of all.
    pub until: f64,
    /// The largest share that is drawn, as a share of all: a rare event would else be a line on the ground.
    pub most: f64,
    /// In the order of the groups.
    pub curves: Vec<Curve>,
}

/// The curve of one group.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Curve {
    /// Whose it is.
    pub group: String,
    /// The same without what all of them say: there is little room beside a curve.
    pub name: String,
    /// In the order of time.
    pub points: Vec<Point>,
}

/// The end of an interval.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Point {
    /// The interval's begin, where it is told.
    pub from: Option<f64>,
    /// Its end.
    pub to: f64,
    /// The share at its end; none where it is not exact.
    pub value: Option<f64>,
    /// The confidence interval; or what the share can be, where it is not exact.
    pub ends: Option<(f64, f64)>,
    /// Who is at risk at its begin, in words.
    pub at_risk: Option<String>,
}

/// The steps of a block that has shares over time.
pub(super) fn steps(view: &View<'_>) -> Option<Steps> {
    let (value, start) = match (view.column("survival"), view.column("incidence")) {
        (Some(column), _) => (column, 1.0),
        (None, Some(column)) => (column, 0.0),
        (None, None) => return None,
    };
    let to = view.column("to")?;
    // Text as well, but no name of a group: each step has its own.
    let groups = view.block.columns[..view.keys].iter().rposition(|heading| heading == "interval").unwrap_or(view.keys);
    let pairs = [("lower", "upper"), ("least", "most")].map(|(lo, hi)| view.column(lo).zip(view.column(hi)));
    let mut curves: Vec<(Vec<&str>, Vec<Point>)> = Vec::new();
    for row in 0..view.block.rows.len() {
        let number = |column: Option<usize>| column.and_then(|column| view.number(row, column));
        let Some(time) = number(Some(to)) else { continue };
        let value = number(Some(value));
        let mut pairs: Vec<(usize, usize)> = pairs.iter().flatten().copied().collect();
        // What an inexact share can be is narrower than how sure one is of it.
        if value.is_none() {
            pairs.reverse();
        }
        let point = Point {
            from: number(view.column("from")),
            to: time,
            value,
            ends: pairs.into_iter().find_map(|(lo, hi)| number(Some(lo)).zip(number(Some(hi)))),
            at_risk: view.column("at_risk").map(|column| at_risk(view, row, column)),
        };
        let group = view.group(row, 0..groups);
        match curves.last_mut().filter(|(of, _)| *of == group) {
            Some((_, points)) => points.push(point),
            None => curves.push((group, vec![point])),
        }
    }
    let points = || curves.iter().flat_map(|(_, points)| points);
    if !points().any(|point| point.value.is_some() || point.ends.is_some()) {
        return None;
    }
    let until = points().map(|point| point.to).fold(0.0, f64::max);
    let ends = points().filter_map(|point| point.ends.map(|ends| ends.1).or(point.value));
    let most = if start > 0.0 { 1.0 } else { ends.fold(0.05, f64::max).min(1.0) };
    let names = names(&curves.iter().map(|(group, _)| group.as_slice()).collect::<Vec<_>>());
    let curves = curves.into_iter().zip(names);
    let curves = curves.map(|((group, points), name)| Curve { group: label(&group), name, points }).collect();
    Some(Steps { axis: view.heading(value).to_owned(), start, until, most, curves })
}

/// The groups' names without what all of them say, as far as that tells them apart.
fn names(groups: &[&[&str]]) -> Vec<String> {
    let parts: Vec<Vec<&str>> =
        groups.iter().map(|group| group.iter().flat_map(|text| text.split(", ")).collect()).collect();
    let of = |at: usize| parts.iter().map(move |parts| parts.get(at).copied());
    let differs = |at: usize| of(at).any(|part| part != of(at).next().flatten());
    let own = |parts: &Vec<&str>| {
        let own = parts.iter().enumerate().filter(|(at, _)| differs(*at)).map(|(_, part)| *part);
        own.collect::<Vec<_>>().join(", ")
    };
    let names: Vec<String> = parts.iter().map(own).collect();
    let told_apart = names.iter().collect::<BTreeSet<_>>().len() == names.len() && names.len() > 1;
    if told_apart { names } else { groups.iter().map(|group| label(group)).collect() }
}

fn at_risk(view: &View<'_>, row: usize, column: usize) -> String {
    match (view.number(row, column), view.between(row, column)) {
        (Some(n), _) => brief(n),
        (None, Some((lo, Some(hi)))) => format!("{}–{}", brief(lo), brief(hi)),
        (None, Some((lo, None))) => format!("≥ {}", brief(lo)),
        (None, None) => "–".to_owned(),
    }
}

impl Steps {
    /// As pictures with curves that can be told apart, over the same axes.
    pub(super) fn parts(self) -> Vec<(Self, String)> {
        let Self { axis, start, until, most, curves } = self;
        let steps = |curves| Self { axis: axis.clone(), start, until, most, curves };
        parts(curves, MOST_CURVES, "groups").into_iter().map(|(curves, said)| (steps(curves), said)).collect()
    }

    pub(super) fn title(&self) -> String {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let at_risk = if self.at_risk() { ", with the number at risk" } else { "" };
        let band = if points().any(|point| point.value.is_some() && point.ends.is_some()) {
            "; the band is the confidence interval"
        } else {
            ""
        };
        let gap = if points().any(|point| point.value.is_none()) {
            "; where a line stops the share is not exact, and a band is where it may lie"
        } else {
            ""
        };
        format!("{} over time{at_risk}{band}{gap}", capital(&self.axis))
    }

    /// Whether it has a table of who is at risk.
    pub(super) fn at_risk(&self) -> bool {
        self.curves.iter().flat_map(|curve| &curve.points).any(|point| point.at_risk.is_some())
    }

    pub(super) fn description(&self) -> String {
        let said = self.curves.iter().map(|curve| {
            let group = if curve.group.is_empty() { "all" } else { &curve.group };
            match curve.points.iter().rev().find_map(|point| Some((point.to, point.value?))) {
                Some((to, value)) => {
                    format!("{group}: from {} to {} at {}", self.start, brief(value), brief(to))
                }
                None => format!("{group}: nothing exact"),
            }
        });
        format!("A stepped line for each group: {}", listed(said))
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
