//! What the sites' lines say together of each group: how many have not left yet at each edge of the grid, exactly or within bounds.
//!
//! A number of some sites' bins is exact at an edge that all of them keep, and only there it is published: between two such edges it lies
//! between theirs. So whatever is computed from these bounds gives no single site's bin away, by no subtraction.
//!
//! A site is counted in a group if it shows all events of it. Of such a site another line may still have fewer than k patients: then they are
//! 0 … k − 1, at any edge.

use bocage_protocol::analysis::{Exit, SurvivalSpec};
use bocage_protocol::ids::SiteId;
use bocage_protocol::release::{BinRelease, LinesRelease};

use super::super::pool::plus;

/// A site and what it released.
pub(super) type SiteLines<'a> = (&'a SiteId, &'a LinesRelease);

/// Where the number of those who have not left in one way lies, at each edge: 0, and the ends of the intervals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The fewest.
    pub least: Vec<u64>,
    /// The most; none: no bound.
    pub most: Vec<Option<u64>>,
}

/// The lines of a group over the sites that are counted in it.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// The levels of its keys.
    pub labels: Vec<String>,
    /// Whether one of them stands for missing values.
    pub missing: bool,
    /// The sites that show its events.
    pub counted: Vec<&'a SiteId>,
    /// Those that answered and do not, with their thresholds.
    pub silent: Vec<(&'a SiteId, u32)>,
    /// The event, and those that compete with it.
    pub events: Vec<Line>,
    /// Who leaves without an event.
    pub censored: Line,
    /// Who is event-free at the grid's end: the same at each edge.
    pub reached: Line,
    /// Of whom time or event is not known, at edge 0.
    pub unknown: Line,
}

/// Whose patients a line is counted along the grid.
struct Along<'a> {
    bins: Vec<(&'a [BinRelease], Option<u64>)>,
    ends: usize,
    min_sites: usize,
}

impl Line {
    /// The number at an edge, if it is known exactly.
    pub(super) fn exact(&self, edge: usize) -> Option<u64> {
        (self.most[edge] == Some(self.least[edge])).then_some(self.least[edge])
    }

    /// The sum of lines, edge by edge.
    pub(super) fn sum<'a>(lines: impl IntoIterator<Item = &'a Line>, edges: usize) -> Line {
        let none = Line { least: vec![0; edges], most: vec![Some(0); edges] };
        lines.into_iter().fold(none, |all, line| Line {
            least: all.least.iter().zip(&line.least).map(|(a, b)| a + b).collect(),
            most: all.most.iter().zip(&line.most).map(|(a, b)| plus(*a, *b)).collect(),
        })
    }
}

impl<'a> Group<'a> {
    /// The group whose first line is `first`, of sites in the order in which they are taken in.
    pub(super) fn new(
        (labels, missing): (Vec<String>, bool),
        spec: &SurvivalSpec,
        first: usize,
        sites: &[SiteLines<'a>],
        min_sites: u32,
    ) -> Self {
        let exits = spec.exits();
        let shows_events = |(_, release): &&SiteLines<'a>| {
            let events = exits.iter().zip(&release.lines[first..]).filter(|(exit, _)| exit.is_event());
            events.into_iter().all(|(_, bins)| !bins.is_empty())
        };
        let (counted, silent): (Vec<&SiteLines<'a>>, Vec<&SiteLines<'a>>) = sites.iter().partition(shows_events);
        let line = |at: usize| Along {
            bins: counted.iter().map(|(_, of)| (of.lines[first + at].as_slice(), of.most_hidden())).collect(),
            ends: spec.grid.len(),
            min_sites: min_sites as usize,
        };
        let of = |wanted: Exit| exits.iter().position(|exit| *exit == wanted).map_or(0, |at| at);
        let events = exits.iter().enumerate().filter(|(_, exit)| exit.is_event());
        Group {
            labels,
            missing,
            events: events.map(|(at, _)| line(at).leaving()).collect(),
            censored: line(of(Exit::Censored)).leaving(),
            reached: line(of(Exit::Reached)).whole(),
            unknown: line(of(Exit::Unknown)).whole(),
            counted: counted.iter().map(|(site, _)| *site).collect(),
            silent: silent.iter().map(|(site, release)| (*site, release.threshold)).collect(),
        }
    }

    /// Everybody who has not left, at each edge.
    pub(super) fn at_risk(&self) -> Line {
        let edges = self.reached.least.len();
        Line::sum(self.events.iter().chain([&self.censored, &self.reached]), edges)
    }
}

impl Along<'_> {
    fn silent(&self) -> Option<u64> {
        self.bins.iter().filter(|(bins, _)| bins.is_empty()).fold(Some(0), |all, (_, most)| plus(all, *most))
    }

    fn shown(&self) -> impl Iterator<Item = &[BinRelease]> {
        self.bins.iter().map(|(bins, _)| *bins).filter(|bins| !bins.is_empty())
    }

    /// All of the line; what too few sites show is rounded up to a power of two.
    fn total(&self) -> (u64, Option<u64>) {
        let all: u64 = self.shown().flatten().map(|bin| bin.count.subjects).sum();
        let few = 0 < self.shown().count() && self.shown().count() < self.min_sites;
        match few {
            true => (0, plus(Some(all.next_power_of_two()), self.silent())),
            false => (all, plus(Some(all), self.silent())),
        }
    }

    /// Of who does not leave within the grid.
    fn whole(&self) -> Line {
        let (least, most) = self.total();
        Line { least: vec![least; self.ends + 1], most: vec![most; self.ends + 1] }
    }

    /// Of who leaves within it: at its end there is nobody.
    fn leaving(&self) -> Line {
        let silent = self.silent();
        let (least, most) = self.total();
        let few = least == 0 && self.shown().count() > 0 && self.shown().count() < self.min_sites;
        let mut line = Line { least: vec![0; self.ends + 1], most: vec![Some(0); self.ends + 1] };
        (line.least[0], line.most[0]) = (least, most);
        let known: Vec<Option<u64>> = (0..self.ends)
            .map(|edge| if few { None } else { self.shown().map(|bins| left(bins, edge)).sum() })
            .collect();
        for edge in 1..self.ends {
            line.most[edge] = known[edge].map_or(line.most[edge - 1], |known| plus(Some(known), silent));
        }
        for edge in (1..self.ends).rev() {
            line.least[edge] = known[edge].unwrap_or(line.least[edge + 1]);
        }
        line
    }
}

/// Who has not left before an edge, where the bins have that edge.
fn left(bins: &[BinRelease], edge: usize) -> Option<u64> {
    let below = if edge == 0 { 0 } else { 1 + bins.iter().position(|bin| bin.upto as usize == edge)? };
    Some(bins[below..].iter().map(|bin| bin.count.subjects).sum())
}

/// The edges that a site keeps in each of these lines, with who has not left there: of events, then of who is censored, then of who is event-free at
/// the end. None where it shows one of them not at all.
pub(super) fn at_site(spec: &SurvivalSpec, first: usize, release: &LinesRelease) -> Option<Vec<Line>> {
    let exits = spec.exits();
    let along = |at: usize| Along {
        bins: vec![(release.lines[first + at].as_slice(), release.most_hidden())],
        ends: spec.grid.len(),
        min_sites: 1,
    };
    let lines = exits.iter().enumerate().filter(|(_, exit)| **exit != Exit::Unknown && **exit != Exit::Reached);
    let reached = exits.iter().position(|exit| *exit == Exit::Reached)?;
    let lines: Vec<Line> = lines.map(|(at, _)| along(at).leaving()).chain([along(reached).whole()]).collect();
    lines.iter().all(|line| line.exact(0).is_some()).then_some(lines)
}
