//! Shares over time as steps: survival, and the cumulative incidence of an event. Under survival stands how many are at risk.
//!
//! Where a share is not exact the line stops; between what it can be at least and at most there is a pale band.

use super::{View, listed};
use crate::report::short_number;

/// Curves over one time.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Steps {
    /// What they show.
    pub axis: String,
    /// The share at time 0.
    pub start: f64,
    /// In the order of the groups.
    pub curves: Vec<Curve>,
}

/// The curve of one group.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Curve {
    /// Whose it is.
    pub group: String,
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
    /// The confidence interval, or what the share can be.
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
    let mut curves: Vec<Curve> = Vec::new();
    for row in 0..view.block.rows.len() {
        let number = |column: Option<usize>| column.and_then(|column| view.number(row, column));
        let Some(time) = number(Some(to)) else { continue };
        let ends = pairs.iter().flatten().find_map(|(lo, hi)| number(Some(*lo)).zip(number(Some(*hi))));
        let point = Point {
            from: number(view.column("from")),
            to: time,
            value: number(Some(value)),
            ends,
            at_risk: view.column("at_risk").map(|column| at_risk(view, row, column)),
        };
        let group = view.label(row, groups);
        match curves.last_mut().filter(|curve| curve.group == group) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve { group, points: vec![point] }),
        }
    }
    let any = curves.iter().flat_map(|curve| &curve.points).any(|point| point.value.is_some() || point.ends.is_some());
    any.then(|| Steps { axis: view.heading(value).to_owned(), start, curves })
}

fn at_risk(view: &View<'_>, row: usize, column: usize) -> String {
    match (view.number(row, column), view.between(row, column)) {
        (Some(n), _) => short_number(n),
        (None, Some((lo, Some(hi)))) => format!("{}–{}", short_number(lo), short_number(hi)),
        (None, Some((lo, None))) => format!("≥ {}", short_number(lo)),
        (None, None) => "–".to_owned(),
    }
}

impl Steps {
    /// The last time of all.
    pub(super) fn until(&self) -> f64 {
        self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.to).fold(0.0, f64::max)
    }

    /// The largest share that is drawn, as a share of all: a rare event would else be a line on the ground.
    pub(super) fn most(&self) -> f64 {
        if self.start > 0.0 {
            return 1.0;
        }
        let points = self.curves.iter().flat_map(|curve| &curve.points);
        let ends = points.filter_map(|point| point.ends.map(|ends| ends.1).or(point.value));
        ends.fold(0.05, f64::max).min(1.0)
    }

    /// The curves' names, without what all of them say: there is little room beside them.
    pub(super) fn names(&self) -> Vec<String> {
        let parts: Vec<Vec<&str>> = self.curves.iter().map(|curve| curve.group.split(", ").collect()).collect();
        let of = |at: usize| parts.iter().map(move |parts| parts.get(at).copied());
        let differs = |at: usize| of(at).any(|part| part != of(at).next().flatten());
        let name = |(curve, parts): (&Curve, &Vec<&str>)| {
            let own: Vec<&str> =
                parts.iter().enumerate().filter(|(at, _)| differs(*at)).map(|(_, part)| *part).collect();
            if own.is_empty() { curve.group.clone() } else { own.join(", ") }
        };
        self.curves.iter().zip(&parts).map(name).collect()
    }

    pub(super) fn title(&self) -> String {
        format!("{} over time{}", capital(&self.axis), if self.at_risk() { ", with the number at risk" } else { "" })
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
                    format!("{group}: from {} to {} at {}", self.start, short_number(value), short_number(to))
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
