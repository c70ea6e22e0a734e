//! The published form of a survival: which numbers stand where, and why one is not there.

use bocage_protocol::analysis::SurvivalSpec;

use super::curve::{Curve, Place, exact_edges};
use super::groups::{Group, Line};
use super::incidence::{Interval as Step, incidence};
use crate::api::types::{Block, Coverage, Hidden, HiddenReason, Interval, NamedBlock, Value};

/// What is written, and from what.
pub(super) struct Writer<'a> {
    pub spec: &'a SurvivalSpec,
    pub groups: &'a [Group<'a>],
    pub z: f64,
    pub min_sites: u32,
    /// Whether a site rounds.
    pub rounded: bool,
}

/// A row that grows.
struct Row<'a> {
    block: &'a mut Block,
    values: Vec<Value>,
    /// Where its values stand that are of patients, and of how many, where that is not all.
    of_patients: Vec<usize>,
    covered: Option<Coverage>,
    /// Why a count is not exact, where it is not.
    inexact: HiddenReason,
}

impl Row<'_> {
    fn text(&mut self, text: &str) {
        self.values.push(Value::Text(text.to_owned()));
    }

    fn number(&mut self, value: Option<f64>, reason: HiddenReason) {
        let (row, column) = self.of_patients();
        let value = self.block.value_or_hidden(row, column, value, reason);
        self.values.push(value);
    }

    /// A number, or a null that stands for something that does not exist.
    fn or_none(&mut self, value: Option<f64>) {
        self.values.push(value.map_or(Value::Null, Value::Number));
    }

    fn count(&mut self, count: Option<Interval>) {
        let (row, column) = self.of_patients();
        self.values.push(match count {
            Some(Interval(lo, Some(hi))) if lo == hi => Value::Count(lo),
            interval => {
                let few = if interval.is_some() { self.inexact } else { HiddenReason::TooFewSites };
                self.block.hidden.push(Hidden { row, column, interval, reason: few });
                Value::Null
            }
        });
    }

    /// The place of the next value, which is of patients.
    fn of_patients(&mut self) -> (usize, usize) {
        self.of_patients.push(self.values.len());
        (self.block.rows.len(), self.values.len())
    }

    fn end(self) {
        let row = self.block.rows.len();
        self.block.rows.push(self.values);
        for column in self.of_patients {
            self.block.cover(row, column..column + 1, self.covered.as_ref());
        }
    }
}

/// The headings of the curves.
pub(crate) fn columns(spec: &SurvivalSpec) -> Vec<String> {
    let keys = spec.by.iter().map(|key| key.label.as_str());
    let events = std::iter::once("events").chain(spec.competing.iter().map(|event| event.label.as_str()));
    let ends = ["censored", "survival", "lower", "upper", "least", "most"];
    keys.chain(["interval", "from", "to", "at_risk"]).chain(events).chain(ends).map(str::to_owned).collect()
}

/// Who leaves between two edges.
fn leaving(line: &Line, from: usize, to: usize) -> Interval {
    let most = line.most[from].map(|most| most.saturating_sub(line.least[to]));
    match (line.exact(from), line.exact(to)) {
        (Some(before), Some(after)) => Interval(before - after, Some(before - after)),
        _ => Interval(line.most[to].map_or(0, |most| line.least[from].saturating_sub(most)), most),
    }
}

fn at(line: &Line, edge: usize) -> Interval {
    Interval(line.least[edge], line.most[edge])
}

impl<'a> Writer<'a> {
    fn block(&self, headings: &[&str]) -> Block {
        let keys = self.spec.by.iter().map(|key| key.label.as_str());
        Block { columns: keys.chain(headings.iter().copied()).map(str::to_owned).collect(), ..Block::default() }
    }

    fn row<'b>(&self, block: &'b mut Block, group: &Group<'_>) -> Row<'b> {
        let inexact = if self.rounded { HiddenReason::Rounded } else { HiddenReason::FewerThanK };
        let values = group.labels.iter().cloned().map(Value::Text).collect();
        Row { block, values, of_patients: Vec::new(), covered: group.covered.clone(), inexact }
    }

    /// Edge 0, and the ends of the intervals.
    fn times(&self) -> Vec<f64> {
        std::iter::once(0.0).chain(self.spec.grid.iter().copied()).collect()
    }

    /// The curve of a group, if enough sites are in it.
    fn curve(&self, group: &Group<'_>) -> Option<Curve> {
        let enough = group.counted.len() >= self.min_sites as usize;
        enough.then(|| Curve::new(&self.events(group), &group.free))
    }

    fn events(&self, group: &Group<'_>) -> Line {
        Line::sum(&group.events, group.free.least.len())
    }

    /// Each curve, interval by interval.
    pub(super) fn curves(&self) -> Block {
        let mut block = Block { columns: columns(self.spec), ..Block::default() };
        let times = self.times();
        for group in self.groups {
            let (curve, at_risk) = (self.curve(group), group.at_risk());
            for to in 1..times.len() {
                let shown = |of: Interval| curve.is_some().then_some(of);
                let interval = curve.as_ref().and_then(|curve| curve.interval(to, self.z, self.spec.band));
                let (inexact, none) = match curve {
                    Some(_) => (HiddenReason::NotAllExact, HiddenReason::TooFewValues),
                    None => (HiddenReason::TooFewSites, HiddenReason::TooFewSites),
                };
                let mut row = self.row(&mut block, group);
                row.text(&format!("[{},{})", times[to - 1], times[to]));
                row.or_none(Some(times[to - 1]));
                row.or_none(Some(times[to]));
                row.count(shown(at(&at_risk, to - 1)));
                group.events.iter().for_each(|line| row.count(shown(leaving(line, to - 1, to))));
                row.count(shown(leaving(&group.free, to - 1, to)));
                row.number(curve.as_ref().and_then(|curve| curve.survival[to]), inexact);
                row.number(interval.map(|interval| interval.0), none);
                row.number(interval.map(|interval| interval.1), none);
                row.number(curve.as_ref().map(|curve| curve.least[to]), none);
                row.number(curve.as_ref().map(|curve| curve.most[to]), none);
                row.end();
            }
        }
        block
    }

    /// Who stands behind each curve.
    pub(super) fn patients(&self) -> NamedBlock {
        let competing: Vec<&str> = self.spec.competing.iter().map(|event| event.label.as_str()).collect();
        let ends = ["censored", "event_free", "unknown"];
        let headings: Vec<&str> = ["sites", "patients", "events"].into_iter().chain(competing).chain(ends).collect();
        let mut block = self.block(&headings);
        for group in self.groups {
            let enough = group.counted.len() >= self.min_sites as usize;
            let shown = |line: &Line| enough.then(|| at(line, 0));
            let mut row = self.row(&mut block, group);
            row.values.push(Value::Count(group.counted.len() as u64));
            row.count(shown(&group.at_risk()));
            group.events.iter().for_each(|line| row.count(shown(line)));
            row.count(enough.then(|| leaving(&group.free, 0, self.spec.grid.len())));
            row.count(enough.then(|| at(&group.free, self.spec.grid.len())));
            row.count(shown(&group.unknown));
            row.end();
        }
        NamedBlock { title: "patients".to_owned(), block }
    }

    /// When which share has had an event.
    pub(super) fn quantiles(&self) -> NamedBlock {
        let mut block = self.block(&["at", "from", "to", "lower", "upper"]);
        let times = self.times();
        for group in self.groups {
            let curve = self.curve(group);
            for p in &self.spec.at {
                let place = curve.as_ref().map(|curve| curve.quantile(*p));
                let ends = curve.as_ref().map(|curve| curve.quantile_interval(*p, self.z, self.spec.band));
                let mut row = self.row(&mut block, group);
                row.text(&p.to_string());
                for place in [place, ends] {
                    self.place(&mut row, place, &times);
                }
                row.end();
            }
        }
        NamedBlock { title: "quantiles".to_owned(), block }
    }

    /// A quantile's ends; beyond the grid there is none.
    fn place(&self, row: &mut Row<'_>, place: Option<Place>, times: &[f64]) {
        let Some((from, to)) = place else {
            row.number(None, HiddenReason::TooFewSites);
            return row.number(None, HiddenReason::TooFewSites);
        };
        for time in [from.and_then(|edge| times.get(edge.checked_sub(1)?)), to.and_then(|edge| times.get(edge))] {
            row.of_patients();
            row.or_none(time.copied());
        }
    }

    /// The mean time without an event, up to the grid's end.
    pub(super) fn means(&self) -> NamedBlock {
        let mut block = self.block(&["until", "restricted_mean", "se", "lower", "upper", "least", "most"]);
        let times = self.times();
        for group in self.groups {
            let mean = self.curve(group).map(|curve| curve.restricted_mean(&times));
            let (value, reason) = match &mean {
                Some(mean) => (mean.value, HiddenReason::NotAllExact),
                None => (None, HiddenReason::TooFewSites),
            };
            let mut row = self.row(&mut block, group);
            row.or_none(times.last().copied());
            row.number(value.map(|(value, _)| value), reason);
            row.number(value.map(|(_, se)| se), reason);
            row.number(value.map(|(value, se)| value - self.z * se), reason);
            row.number(value.map(|(value, se)| value + self.z * se), reason);
            row.number(mean.map(|mean| mean.least), reason);
            row.number(mean.map(|mean| mean.most), reason);
            row.end();
        }
        NamedBlock { title: "restricted mean".to_owned(), block }
    }

    /// The cumulative incidence of each event, at the edges that are exact.
    pub(super) fn incidences(&self) -> NamedBlock {
        let mut block = self.block(&["event", "to", "incidence", "se", "lower", "upper"]);
        let times = self.times();
        for group in self.groups {
            let enough = self.curve(group).is_some();
            let exact = if enough { exact_edges(&self.events(group), &group.free) } else { Vec::new() };
            let names = std::iter::once("event").chain(self.spec.competing.iter().map(|event| event.label.as_str()));
            for (name, line) in names.zip(&group.events) {
                let step = |w: &[(usize, u64, u64)]| Step {
                    at_risk: (w[0].1 + w[0].2) as f64,
                    all: (w[0].1 - w[1].1) as f64,
                    kind: (line.least[w[0].0] - line.least[w[1].0]) as f64,
                };
                let known = incidence(&exact.windows(2).map(step).collect::<Vec<_>>());
                for (to, time) in times.iter().enumerate().skip(1) {
                    let found = exact.iter().skip(1).position(|edge| edge.0 == to).map(|i| known[i]);
                    let interval = found.and_then(|found| found.interval(self.z, self.spec.band));
                    let none = if found.is_some() { HiddenReason::TooFewValues } else { HiddenReason::NotAllExact };
                    let reason = if enough { none } else { HiddenReason::TooFewSites };
                    let mut row = self.row(&mut block, group);
                    row.text(name);
                    row.or_none(Some(*time));
                    row.number(found.map(|found| found.value), reason);
                    row.number(found.map(|found| found.variance.sqrt()), reason);
                    row.number(interval.map(|interval| interval.0), reason);
                    row.number(interval.map(|interval| interval.1), reason);
                    row.end();
                }
            }
        }
        NamedBlock { title: "cumulative incidence".to_owned(), block }
    }
}
