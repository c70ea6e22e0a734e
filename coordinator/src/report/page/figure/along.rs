//! Numbers along calendar periods as lines: one a group. Where a number is hidden the line has a gap, and a pale bar where it may lie.

use bocage_protocol::plan::MISSING;

use super::{View, listed};
use crate::api::types::Value;
use crate::report::short_number;

/// Lines over the same periods.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Along {
    /// What the numbers are.
    pub axis: String,
    /// What the periods are.
    pub time: String,
    /// In the order of time.
    pub periods: Vec<String>,
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
    let is_time = |key: &usize| {
        let labels: Vec<&str> = (0..view.block.rows.len()).filter_map(|row| text(view, row, *key)).collect();
        let mut periods: Vec<&&str> = labels.iter().filter(|label| is_period(label)).collect();
        let all = labels.iter().all(|label| is_period(label) || *label == MISSING);
        periods.sort();
        periods.dedup();
        all && periods.len() > 1
    };
    (0..view.keys).find(is_time)
}

/// The numbers of a column along the periods of a key; who has no date is not drawn.
pub(super) fn along(view: &View<'_>, key: usize, column: usize) -> Along {
    let rows: Vec<(usize, &str)> = (0..view.block.rows.len())
        .filter_map(|row| Some((row, text(view, row, key).filter(|label| is_period(label))?)))
        .collect();
    let mut periods: Vec<String> = rows.iter().map(|(_, period)| (*period).to_owned()).collect();
    periods.sort_by(|a, b| order(a).cmp(&order(b)));
    periods.dedup();
    let mut lines: Vec<Line> = Vec::new();
    for (row, period) in rows {
        let others = (0..view.keys).filter(|other| *other != key).filter_map(|other| text(view, row, other));
        let group = others.collect::<Vec<_>>().join(", ");
        let at = match lines.iter().position(|line| line.group == group) {
            Some(at) => at,
            None => {
                lines.push(Line { group, points: vec![Point::default(); periods.len()] });
                lines.len() - 1
            }
        };
        if let Some(when) = periods.iter().position(|of| of == period) {
            lines[at].points[when] = Point { value: view.number(row, column), between: view.between(row, column) };
        }
    }
    let (axis, time) = (view.heading(column).to_owned(), view.heading(key).to_owned());
    Along { axis, time, periods, lines }
}

fn text<'a>(view: &View<'a>, row: usize, key: usize) -> Option<&'a str> {
    match view.block.rows.get(row)?.get(key)? {
        Value::Text(text) => Some(text),
        _ => None,
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
    /// Whether anything is known of any number.
    pub(super) fn tells(&self) -> bool {
        self.points().any(|point| point.value.is_some() || point.between.is_some_and(|(lo, _)| lo > 0.0))
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        self.lines.iter().flat_map(|line| &line.points)
    }

    /// From 0, or what is below it, to the largest number. As with bars, what is possible goes no further than half as far again as what is known.
    pub(super) fn domain(&self) -> (f64, f64) {
        let known = self.points().filter_map(|point| point.value.or(point.between.map(|(lo, _)| lo)));
        let (least, most) = known.fold((0.0, 0.0), |(lo, hi): (f64, f64), x| (lo.min(x), hi.max(x)));
        let possible = self.points().filter(|point| point.value.is_none()).filter_map(|point| point.between?.1);
        (least, possible.filter(|hi| most == 0.0 || *hi <= 1.5 * most).fold(most, f64::max))
    }

    pub(super) fn title(&self) -> String {
        let hidden = self.points().any(|point| point.value.is_none() && point.between.is_some());
        let pale = if hidden { "; where a number is hidden, the pale bar is where it may lie" } else { "" };
        format!("{} along time, by {}{pale}", self.axis, self.time)
    }

    pub(super) fn description(&self) -> String {
        let said = self.lines.iter().map(|line| {
            let name = if line.group.is_empty() { "all" } else { &line.group };
            format!("{name}: {}", line.said(&self.periods))
        });
        let ends = self.periods.first().zip(self.periods.last());
        let ends = ends.map_or_else(String::new, |(first, last)| format!(" from {first} to {last}"));
        format!("A line for each group over {} periods{ends}: {}", self.periods.len(), listed(said))
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
                let (most, least) = (short_number(most), short_number(least));
                format!("highest {most} in {at}, lowest {least} in {other}{hidden}")
            }
            _ => "nothing exact".to_owned(),
        }
    }
}
