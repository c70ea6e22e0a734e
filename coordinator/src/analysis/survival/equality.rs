//! The log-rank tests of a survival's groups: of all patients as one, and stratified by site.
//!
//! The first needs numbers that are exact over all sites, at the edges that all lines of all groups share. The second adds up what each site says
//! of its own edges, so that sites need not share any; it leaves out sites that do not show every line.

use bocage_protocol::analysis::SurvivalSpec;

use super::groups::{Group, Line, SiteLines, lines};
use super::logrank::{LogRank, Step, Test};
use crate::api::types::{Block, Coverage, HiddenReason, NamedBlock, Value};

/// A group's lines, the event's first, and everybody else who is at risk.
struct Lines {
    event: Line,
    others: Line,
}

/// The blocks of both tests, and what is to be said about them.
pub(super) fn tests(
    spec: &SurvivalSpec,
    groups: &[Group<'_>],
    sites: &[SiteLines<'_>],
    min_sites: u32,
) -> (Vec<NamedBlock>, Vec<String>) {
    let mut notes = Vec::new();
    // A missing value is no group.
    let (missing, known): (Vec<_>, Vec<_>) = groups.iter().enumerate().partition(|(_, group)| group.missing);
    if !missing.is_empty() {
        notes.push("the log-rank tests leave out who has a missing value".to_owned());
    }
    let (tested, absent): (Vec<_>, Vec<_>) = known.into_iter().partition(|(_, group)| !group.counted.is_empty());
    if !absent.is_empty() {
        notes.push(format!("the log-rank tests leave out {} groups of which no site shows events", absent.len()));
    }
    let asked = spec.grid.len();
    // Where many intervals were asked, a test over one would compare how many have the event, whenever it comes and whoever leaves before.
    let pooled = match pooled(&tested, min_sites) {
        Some((_, bands)) if blind(bands, asked) => {
            notes.push(format!(
                "no log-rank test of all patients as one: all sites share 1 of {asked} intervals, which does not say who has the event earlier; {WIDER}"
            ));
            None
        }
        None => {
            notes.push(
                "no log-rank test of all patients as one: it needs the same sites in every group, with no line of fewer than k".to_owned(),
            );
            None
        }
        Some((sums, bands)) => {
            if bands < asked {
                notes.push(format!(
                    "the log-rank test is of times rounded to {bands} intervals that all sites share, of {asked}"
                ));
            }
            Some((sums, bands))
        }
    };
    let Strata { sums: by_site, sites: strata, patients, blind: left_out } = stratified(spec, &tested, sites);
    let enough = strata >= min_sites as usize;
    if !enough {
        notes.push(format!(
            "no log-rank test stratified by site: {strata} of {} sites show every line of every group, and it needs {min_sites}",
            sites.len()
        ));
    }
    if left_out > 0 {
        notes.push(format!(
            "the log-rank test stratified by site leaves out {left_out} of {} sites: they keep 1 of {asked} intervals, which does not say who has the event earlier; {WIDER}",
            sites.len()
        ));
    }
    let test = pooled.as_ref().map(|(sums, _)| sums.test());
    // All of them are of the same sites.
    let covered = tested.iter().filter_map(|(_, group)| group.covered.clone()).reduce(|all, of| all.and(&of));
    let by_some = (strata < sites.len()).then(|| Coverage::of_some_sites(patients));
    let title = |text: &str, block| NamedBlock { title: text.to_owned(), block };
    let blocks = vec![
        title("log-rank test", block(test, ("intervals", pooled.as_ref().map(|(_, bands)| *bands)), covered.as_ref())),
        title(
            "events observed, and expected if all groups had the same hazard",
            expected(spec, &tested, pooled.map(|(sums, _)| sums)),
        ),
        title(
            "log-rank test, stratified by site",
            block(enough.then(|| by_site.test()), ("sites", enough.then_some(strata)), by_some.as_ref()),
        ),
    ];
    (blocks, notes)
}

/// The sums of all sites, and over how many intervals.
fn pooled(groups: &[(usize, &Group<'_>)], min_sites: u32) -> Option<(LogRank, usize)> {
    let first = groups.first()?;
    let same = groups.iter().all(|(_, group)| group.counted == first.1.counted);
    if !same || first.1.counted.len() < min_sites as usize {
        return None;
    }
    let lines = groups.iter().map(|(_, group)| {
        let others = group.events[1..].iter().chain([&group.free]);
        Lines { event: group.events[0].clone(), others: Line::sum(others, group.free.least.len()) }
    });
    let steps = steps(&lines.collect::<Vec<_>>())?;
    let mut sums = LogRank::new(groups.len());
    sums.add(&steps);
    Some((sums, steps.len()))
}

/// What may give a test.
const WIDER: &str = "wider intervals, from the begin on, may be kept";

/// Whether nothing is left of times.
fn blind(intervals: usize, asked: usize) -> bool {
    intervals == 1 && asked > 1
}

/// A test stratified by site.
struct Strata {
    /// The sums of each site by itself, added up in the order of the sites.
    sums: LogRank,
    /// How many sites.
    sites: usize,
    /// And patients in them.
    patients: u64,
    /// How many more keep one interval of many: they are left out.
    blind: usize,
}

fn stratified(spec: &SurvivalSpec, groups: &[(usize, &Group<'_>)], sites: &[SiteLines<'_>]) -> Strata {
    let exits = spec.exits().len();
    let mut strata = Strata { sums: LogRank::new(groups.len()), sites: 0, patients: 0, blind: 0 };
    for (_, release) in sites {
        let lines = |(at, _): &(usize, &Group<'_>)| {
            // Those of whom nothing is known come first, then who has no event, then the events.
            let mut all = lines(spec, at * exits, std::iter::once(*release), 1).into_iter().skip(1);
            let (free, event) = (all.next(), all.next());
            let rest: Vec<Line> = all.chain(free).collect();
            event.map(|event| Lines { others: Line::sum(&rest, event.least.len()), event })
        };
        let lines: Vec<Lines> = groups.iter().filter_map(lines).collect();
        match steps(&lines) {
            Some(steps) if blind(steps.len(), spec.grid.len()) => strata.blind += 1,
            Some(steps) => {
                strata.sums.add(&steps);
                strata.sites += 1;
                strata.patients += steps.first().into_iter().flatten().map(|(at_risk, _)| at_risk).sum::<u64>();
            }
            None => {}
        }
    }
    strata
}

/// Who is at risk, and has the event, between the edges at which all groups' numbers are exact.
fn steps(groups: &[Lines]) -> Option<Vec<Step>> {
    let edges = groups.first()?.event.least.len();
    let last = edges - 1;
    let exact = |edge: &usize| {
        let known = |lines: &Lines| lines.event.exact(*edge).is_some() && lines.others.exact(*edge).is_some();
        // After the last edge nobody is at risk of anything.
        *edge == last || groups.iter().all(known)
    };
    let kept: Vec<usize> = (0..edges).filter(exact).collect();
    if kept.first() != Some(&0) {
        return None;
    }
    let step = |w: &[usize]| {
        let of = |lines: &Lines| {
            let (before, after) = (lines.event.least[w[0]], lines.event.least[w[1]]);
            (before + lines.others.least[w[0]], before - after)
        };
        groups.iter().map(of).collect::<Step>()
    };
    Some(kept.windows(2).map(step).collect())
}

fn block(test: Option<Option<Test>>, (name, number): (&str, Option<usize>), covered: Option<&Coverage>) -> Block {
    let mut block = Block { columns: ["statistic", "value"].map(str::to_owned).to_vec(), ..Block::default() };
    let reason = if test.is_some() { HiddenReason::TooFewValues } else { HiddenReason::NotAllExact };
    let test = test.flatten();
    let statistics = [
        ("chi2", test.map(|test| test.chi2)),
        ("df", test.map(|test| test.df as f64)),
        ("p", test.map(|test| test.p)),
        (name, number.map(|number| number as f64)),
    ];
    for (row, (name, value)) in statistics.into_iter().enumerate() {
        let value = block.value_or_hidden(row, 1, value, reason);
        block.rows.push(vec![Value::Text(name.to_owned()), value]);
    }
    (0..3).for_each(|row| block.cover(row, 1..2, covered));
    block
}

fn expected(spec: &SurvivalSpec, groups: &[(usize, &Group<'_>)], sums: Option<LogRank>) -> Block {
    let keys = spec.by.len();
    let headings = spec.by.iter().map(|key| key.label.as_str()).chain(["observed", "expected"]);
    let mut block = Block { columns: headings.map(str::to_owned).collect(), ..Block::default() };
    for (row, (_, group)) in groups.iter().enumerate() {
        let mut values: Vec<Value> = group.labels.iter().cloned().map(Value::Text).collect();
        let numbers = sums.as_ref().map(|sums| [sums.observed[row], sums.expected[row]]);
        for column in 0..2 {
            let value = numbers.map(|numbers| numbers[column]);
            values.push(block.value_or_hidden(row, keys + column, value, HiddenReason::NotAllExact));
        }
        block.rows.push(values);
        block.cover(row, keys..keys + 2, group.covered.as_ref());
    }
    block
}
