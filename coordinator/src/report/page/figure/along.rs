//! Numbers along calendar periods, or along bands where a table has many, as lines: one a group. Where a number is hidden the line has a gap, and a
//! pale bar where it may lie.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use bocage_protocol::plan::MISSING;

use super::listed;
use super::parts::parts;
use super::view::{View, label};
use crate::report::page::number::brief;

/// Lines of one picture that can be told apart.
const MOST_LINES: usize = 6;

/// Lines over the same periods.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Along {
    /// What the numbers are.
    pub axis: String,
    /// What the periods are.
    pub time: String,
    /// In their order.
    pub periods: Vec<String>,
    /// What is not drawn: rows of no period, and groups of which nothing is known.
    pub without: String,
    /// What the axis has: from 0, or what is below it, to the largest number.
    pub domain: (f64, f64),
    /// In the order of the groups.
    pub lines: Vec<Line>,
}

/// The line of one group.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Line {
    /// Whose it is; empty where there is one.
    pub group: String,
    /// One a period.
    pub points: Vec<Point>,
}

/// The number of a period.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(in super::super) struct Point {
    /// None where it is hidden or does not exist.
    pub value: Option<f64>,
    /// Where a hidden one may lie.
    pub between: Option<(f64, Option<f64>)>,
}

/// The key that says when, of a table that has one.
pub(super) fn time_key(view: &View<'_>) -> Option<usize> {
    key(view, is_period)
}

/// The key of bands, of a table that has one and so few groups beside it that one picture has room for them.
pub(super) fn band_key(view: &View<'_>) -> Option<usize> {
    let key = key(view, |label| band(label).is_some())?;
    let others = |row| view.group(row, (0..view.keys).filter(|other| *other != key));
    let groups: BTreeSet<Vec<&str>> = (0..view.block.rows.len()).map(others).collect();
    (groups.len() <= MOST_LINES).then_some(key)
}

fn key(view: &View<'_>, is_one: impl Fn(&str) -> bool) -> Option<usize> {
    let fits = |key: &usize| {
        let labels: Vec<&str> = (0..view.block.rows.len()).filter_map(|row| view.text(row, *key)).collect();
        let mut periods: Vec<&&str> = labels.iter().filter(|label| is_one(label)).collect();
        let all = labels.iter().all(|label| is_one(label) || *label == MISSING);
        periods.sort();
        periods.dedup();
        all && periods.len() > 1
    };
    (0..view.keys).rev().find(fits)
}

/// The numbers of a column along the periods or bands of a key; who has none is not drawn.
pub(super) fn along(view: &View<'_>, key: usize, column: usize) -> Along {
    let all = view.block.rows.len();
    let rows: Vec<(usize, &str)> =
        (0..all).filter_map(|row| Some((row, view.text(row, key).filter(|label| *label != MISSING)?))).collect();
    let mut periods: Vec<&str> = rows.iter().map(|(_, period)| *period).collect();
    periods.sort_by(|a, b| in_order(a, b));
    periods.dedup();
    let mut lines: Vec<(Vec<&str>, Line)> = Vec::new();
    for (row, period) in &rows {
        let others = || (0..view.keys).filter(|other| *other != key);
        let group = view.group(*row, others());
        let at = match lines.iter().position(|(of, _)| *of == group) {
            Some(at) => at,
            None => {
                let line = Line { group: label(&group), points: vec![Point::default(); periods.len()] };
                lines.push((group, line));
                lines.len() - 1
            }
        };
        if let Some(when) = periods.iter().position(|of| of == period) {
            let point = Point { value: view.number(*row, column), between: view.between(*row, column) };
            lines[at].1.points[when] = point;
        }
    }
    let mut lines: Vec<Line> = lines.into_iter().map(|(_, line)| line).collect();
    let groups = lines.len();
    lines.retain(|line| line.points.iter().any(Point::tells));
    let mut without = if rows.len() < all { format!("; {MISSING} is not drawn") } else { String::new() };
    if lines.len() < groups {
        without.push_str(&format!("; {} of {groups} groups are hidden throughout", groups - lines.len()));
    }
    let periods = periods.into_iter().map(str::to_owned).collect();
    Along { without, ..Along::new(view.heading(column), view.heading(key), periods, lines) }
}

/// What is possible goes, as with bars, no further than twice as far as what is known.
fn domain(lines: &[Line]) -> (f64, f64) {
    let points = || lines.iter().flat_map(|line| &line.points);
    let known = points().filter_map(|point| point.value.or(point.between.map(|(lo, _)| lo)));
    let (least, most) = known.fold((0.0, 0.0), |(lo, hi): (f64, f64), x| (lo.min(x), hi.max(x)));
    let possible = points().filter(|point| point.value.is_none()).filter_map(|point| point.between?.1);
    (least, possible.filter(|hi| most == 0.0 || *hi <= 2.0 * most).fold(most, f64::max))
}

/// Where a band begins: of `<40`, `[40,45)` or `>=45`.
fn band(label: &str) -> Option<f64> {
    if let Some(end) = label.strip_prefix('<') {
        return end.parse::<f64>().ok().map(|_| f64::NEG_INFINITY);
    }
    let begin = label.strip_prefix(">=").or_else(|| label.strip_prefix('[')?.split(',').next())?;
    begin.parse().ok()
}

fn in_order(a: &str, b: &str) -> Ordering {
    match (band(a), band(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => order(a).cmp(&order(b)),
    }
}

/// `2020-W12`, `2020-03`, `2020-Q1`, `2020`, a day, and what lies before or behind all.
fn is_period(label: &str) -> bool {
    let label = label.strip_prefix(['<', '>']).unwrap_or(label);
    let Some((year, rest)) = label.split_at_checked(4) else { return false };
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let year = digits(year, 4) && ("1800"..="2200").contains(&year);
    let rest = match rest.strip_prefix('-') {
        None => rest.is_empty(),
        Some(rest) => match rest.strip_prefix('W').or_else(|| rest.strip_prefix('Q')) {
            Some(number) => digits(number, 1) || digits(number, 2),
            None => digits(rest, 2) || rest.split_once('-').is_some_and(|(m, d)| digits(m, 2) && digits(d, 2)),
        },
    };
    year && rest
}

/// What lies before all comes first.
fn order(period: &str) -> (u8, &str) {
    match period.as_bytes().first() {
        Some(b'<') => (0, period),
        Some(b'>') => (2, period),
        _ => (1, period),
    }
}

impl Along {
    pub(super) fn new(axis: &str, time: &str, periods: Vec<String>, lines: Vec<Line>) -> Self {
        let (axis, time, without) = (axis.to_owned(), time.to_owned(), String::new());
        Self { axis, time, periods, without, domain: domain(&lines), lines }
    }

    /// Whether anything is known of any number.
    pub(super) fn tells(&self) -> bool {
        !self.lines.is_empty()
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        self.lines.iter().flat_map(|line| &line.points)
    }

    /// As pictures with lines that can be told apart, over the same axes.
    pub(super) fn parts(self) -> Vec<(Self, String)> {
        let Self { axis, time, periods, without, domain, lines } = self;
        let along = |lines| {
            let (axis, time, periods, without) = (axis.clone(), time.clone(), periods.clone(), without.clone());
            Self { axis, time, periods, without, domain, lines }
        };
        parts(lines, MOST_LINES, "groups").into_iter().map(|(lines, said)| (along(lines), said)).collect()
    }

    pub(super) fn title(&self) -> String {
        let partly = self.points().any(|point| point.drawn(self.domain.1).is_some());
        let pale = if partly { "; where a number is hidden, the pale bar is where it may lie" } else { "" };
        let gap = self.points().any(|point| point.value.is_none()) && !partly;
        let gap = if gap { "; a gap where it is hidden" } else { "" };
        format!("{} along {}{pale}{gap}{}", self.axis, self.time, self.without)
    }

    pub(super) fn description(&self) -> String {
        let said = self.lines.iter().map(|line| {
            let name = if line.group.is_empty() { "all" } else { &line.group };
            format!("{name}: {}", line.said(&self.periods))
        });
        let ends = self.periods.first().zip(self.periods.last());
        let ends = ends.map_or_else(String::new, |(first, last)| format!(" from {first} to {last}"));
        format!("A line for each group over {} steps of {}{ends}: {}", self.periods.len(), self.time, listed(said))
    }
}

impl Point {
    /// Whether anything is known of it.
    fn tells(&self) -> bool {
        self.value.is_some() || self.between.is_some_and(|(lo, _)| lo > 0.0)
    }

    /// Where a hidden number may lie, on an axis that ends there; nothing where that is anywhere.
    pub(super) fn drawn(&self, most: f64) -> Option<(f64, f64)> {
        let (lo, hi) = self.between.filter(|_| self.value.is_none())?;
        let hi = hi.unwrap_or(f64::INFINITY);
        (lo > 0.0 || hi <= most).then_some((lo, hi))
    }
}

impl Line {
    /// Where it is highest and lowest, and how much of it is hidden.
    fn said(&self, periods: &[String]) -> String {
        let known = || self.points.iter().zip(periods).filter_map(|(point, period)| Some((point.value?, period)));
        let most = known().max_by(|a, b| a.0.total_cmp(&b.0));
        let least = known().min_by(|a, b| a.0.total_cmp(&b.0));
        let hidden = self.points.iter().filter(|point| point.value.is_none()).count();
        let hidden = if hidden > 0 { format!(", {hidden} not shown") } else { String::new() };
        match (most, least) {
            (Some((most, at)), Some((least, other))) => {
                let (most, least) = (brief(most), brief(least));
                format!("highest {most} in {at}, lowest {least} in {other}{hidden}")
            }
            _ => "nothing exact".to_owned(),
        }
    }
}
