//! What the sites' lines say together of each group: how many have not left yet at each edge of the grid, exactly or within bounds.
//!
//! A number of some sites' bins is exact at an edge that all of them keep, and only there it is published: between two such edges it lies
//! between theirs. So whatever is computed from these bounds gives no single site's bin away, by no subtraction.
//!
//! A site is counted in a group if it shows all events of it. Of such a site who has no event may still be fewer than k, in all or in a part of the
//! grid: then they are 0 … k − 1, at any edge of it.

use bocage_protocol::analysis::{Exit, SurvivalSpec};
use bocage_protocol::ids::SiteId;
use bocage_protocol::release::{BinRelease, LinesRelease};

use super::super::pool::{off_of, plus};
use super::curve::exact_edges;
use crate::api::types::Coverage;

/// A site and what it released.
pub(super) type SiteLines<'a> = (&'a SiteId, &'a LinesRelease);

/// Where the number of those who have not left in one way lies, at each edge: 0, and the ends of the intervals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::analysis) struct Line {
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
    /// Those that answered and are not counted.
    pub silent: Vec<(&'a SiteId, Uncounted)>,
    /// Of how many its numbers are, where a site that answered is not counted.
    pub covered: Option<Coverage>,
    /// The event, and those that compete with it.
    pub events: Vec<Line>,
    /// Who has no event: at the last edge, who is event-free at the grid's end.
    pub free: Line,
    /// Of whom time or event is not known, at edge 0.
    pub unknown: Line,
}

/// Why a site is not counted in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Uncounted {
    /// Fewer than so many have one of the events.
    Few(u32),
    /// Its own curve would be over so many intervals, where more are asked.
    Keeps(usize),
}

/// One line of some sites.
struct Along<'a> {
    /// Each with the most that a bin which says 0 can have, and how far who is shown from an edge on can be off.
    sites: Vec<(&'a [BinRelease], Option<u64>, u64)>,
    /// The number of intervals.
    ends: usize,
    /// Whether somebody can be beyond the last one.
    open: bool,
    min_sites: usize,
}

/// What one site says of an edge.
#[derive(Clone, Copy)]
struct Left {
    /// Who has not left.
    shown: u64,
    /// How many more it can be; none: no bound.
    hidden: Option<u64>,
    /// How far the shown can be off.
    off: u64,
    /// Whether a bin that is shown begins there.
    kept: bool,
}

impl Line {
    /// The number at an edge, if it is known exactly.
    pub(in crate::analysis) fn exact(&self, edge: usize) -> Option<u64> {
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
        let (mut counted, mut silent) = (Vec::new(), Vec::new());
        for (site, release) in sites {
            match uncounted(spec, first, release) {
                None => counted.push((*site, *release)),
                Some(why) => silent.push((*site, release.held_back, why)),
            }
        }
        let mut of = lines(spec, first, counted.iter().map(|(_, release)| *release), min_sites);
        // In the order of the exits, of which these two come first.
        let events = of.split_off(2);
        let mut others = of.into_iter();
        let none = || Line { least: vec![0; spec.grid.len() + 1], most: vec![None; spec.grid.len() + 1] };
        let mut group = Group {
            labels,
            missing,
            unknown: others.next().unwrap_or_else(none),
            free: others.next().unwrap_or_else(none),
            events,
            counted: counted.iter().map(|(site, _)| *site).collect(),
            // Of numbers that are held back there is a note already.
            silent: silent.iter().filter(|(_, held_back, _)| !held_back).map(|(site, _, why)| (*site, *why)).collect(),
            covered: None,
        };
        group.covered = (!silent.is_empty()).then(|| group.of_some_sites());
        group
    }

    /// Everybody who has not left, at each edge.
    pub(super) fn at_risk(&self) -> Line {
        Line::sum(self.events.iter().chain([&self.free]), self.free.least.len())
    }

    fn of_some_sites(&self) -> Coverage {
        let at_risk = self.at_risk();
        let n = at_risk.least[0];
        Coverage { off: at_risk.most[0].map_or(0, |most| most - n), ..Coverage::of_some_sites(n) }
    }
}

/// Why a site is not counted in the group whose first line is `first`, if it is not.
fn uncounted(spec: &SurvivalSpec, first: usize, release: &LinesRelease) -> Option<Uncounted> {
    let exits = spec.exits();
    // Without a threshold nothing is hidden.
    let shows = |bins: &[BinRelease]| release.threshold <= 1 || bins.iter().all(|bin| bin.count.subjects > 0);
    let mut events = exits.iter().zip(&release.lines[first..]).filter(|(exit, _)| exit.is_event());
    if !events.all(|(_, bins)| shows(bins)) {
        return Some(Uncounted::Few(release.threshold));
    }
    let least = spec.least_intervals? as usize;
    let own = lines(spec, first, std::iter::once(release), 1);
    let edges = exact_edges(&Line::sum(&own[2..], spec.grid.len() + 1), &own[1]);
    let kept = edges.len().saturating_sub(1);
    (kept < least).then_some(Uncounted::Keeps(kept))
}

/// The lines of a group, in the order of the exits.
pub(super) fn lines<'a>(
    spec: &SurvivalSpec,
    first: usize,
    releases: impl Iterator<Item = &'a LinesRelease> + Clone,
    min_sites: u32,
) -> Vec<Line> {
    let line = |(at, exit): (usize, &Exit)| {
        let sites = releases
            .clone()
            .map(|of| (of.lines[first + at].as_slice(), of.most_hidden(), off_of(of.rounded)))
            .collect();
        Along { sites, ends: spec.grid.len(), open: !exit.is_event(), min_sites: min_sites as usize }.line()
    };
    spec.exits().iter().enumerate().map(line).collect()
}

/// One line of some sites' releases over so many edges; somebody can be beyond the last one.
pub(in crate::analysis) fn along<'a>(
    releases: impl Iterator<Item = &'a LinesRelease>,
    line: usize,
    ends: usize,
    min_sites: u32,
) -> Line {
    let sites = releases.map(|of| (of.lines[line].as_slice(), of.most_hidden(), off_of(of.rounded))).collect();
    Along { sites, ends, open: true, min_sites: min_sites as usize }.line()
}

impl Along<'_> {
    fn line(&self) -> Line {
        let ends = self.ends;
        let sum = |bins: &[BinRelease]| bins.iter().map(|bin| bin.count.subjects).sum::<u64>();
        let showing = self.sites.iter().filter(|(bins, ..)| sum(bins) > 0).count();
        let none = |(bins, most, _): &(&[BinRelease], Option<u64>, u64)| {
            bins.iter().filter(|bin| bin.count.subjects == 0).map(|_| *most).fold(Some(0), plus)
        };
        let hidden = self.sites.iter().map(none).fold(Some(0), plus);
        // What too few sites show is rounded up to a power of two.
        let few = 0 < showing && showing < self.min_sites;
        let off = |bins, off: &u64| if sum(bins) > 0 { *off } else { 0 };
        let all: u64 = self.sites.iter().map(|(bins, _, by)| sum(bins) + off(bins, by)).sum();
        let rounded = if few { (0, plus(Some(all.next_power_of_two()), hidden)) } else { (0, None) };
        let known: Vec<Option<(u64, Option<u64>)>> = (0..=ends)
            .map(|edge| match edge == ends && !self.open {
                true => Some((0, Some(0))),
                false if few => Some(rounded),
                false => self.at(edge),
            })
            .collect();
        let mut line = Line { least: Vec::with_capacity(ends + 1), most: Vec::with_capacity(ends + 1) };
        let mut before = plus(Some(all.next_power_of_two()), hidden);
        for known in &known {
            before = known.map_or(before, |(_, most)| most);
            line.most.push(before);
        }
        let mut after = 0;
        for known in known.iter().rev() {
            after = known.map_or(after, |(least, _)| least);
            line.least.push(after);
        }
        line.least.reverse();
        line
    }

    /// Between which numbers all sites' lies at an edge; none where one of them has it within a bin, or too few keep it.
    fn at(&self, edge: usize) -> Option<(u64, Option<u64>)> {
        let left: Option<Vec<Left>> =
            self.sites.iter().map(|(bins, most, off)| left(bins, *most, *off, edge)).collect();
        let left = left?;
        // What lies between this edge and the next one is of the sites that keep this one.
        let kept = left.iter().filter(|left| left.kept).count();
        if 0 < kept && kept < self.min_sites {
            return None;
        }
        let shown: u64 = left.iter().map(|left| left.shown).sum();
        let off: u64 = left.iter().map(|left| left.off).sum();
        let most = left.iter().map(|left| left.hidden).fold(Some(shown + off), plus);
        Some((shown.saturating_sub(off), most))
    }
}

/// Who has not left before an edge at a site. None within a bin.
fn left(bins: &[BinRelease], most: Option<u64>, off: u64, edge: usize) -> Option<Left> {
    let mut left = Left { shown: 0, hidden: Some(0), off: 0, kept: false };
    let from = std::iter::once(0).chain(bins.iter().map(|bin| bin.upto as usize));
    for (from, bin) in from.zip(bins).filter(|(_, bin)| bin.upto as usize > edge) {
        match bin.count.subjects {
            0 => left.hidden = plus(left.hidden, most),
            _ if from < edge => return None,
            n => (left.shown, left.off) = (left.shown + n, off),
        }
        left.kept |= from == edge && bin.count.subjects > 0;
    }
    Some(left)
}

#[cfg(test)]
mod tests;
