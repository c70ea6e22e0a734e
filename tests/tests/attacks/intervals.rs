//! Intervals: an attacker who knows every rule and tries every table. No hidden cell may have fewer than k candidates.

use std::collections::{BTreeMap, BTreeSet};

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::release::TableRelease;

use super::cells::answer;
use super::hospital::{Desk, Hospital, K};
use super::scenario::Family;
use super::ward::{Patient, counts, patients, rest, table};

const AREAS: [&str; 3] = ["a", "b", "c"];
/// Cells of 0 … 4 patients: hidden ones, those at the threshold, and larger ones.
const LARGEST: u64 = 4;

/// Every table of three areas.
fn tables() -> Vec<[u64; 3]> {
    let base = LARGEST + 1;
    (0..base.pow(3)).map(|n| [n % base, n / base % base, n / base.pow(2)]).collect()
}

/// One file with a world for each table.
fn worlds(tables: &[[u64; 3]]) -> Vec<Patient> {
    let of = |(world, cells): (usize, &[u64; 3])| {
        let cells = AREAS.into_iter().zip(*cells);
        cells
            .flat_map(move |(area, n)| patients(n as usize, move |_| Patient { world, area, ..Patient::default() }))
            .collect::<Vec<_>>()
    };
    tables.iter().enumerate().flat_map(of).collect()
}

fn seen(desk: &Desk<'_>, world: usize, analysis: &str) -> TableRelease {
    table(&desk.one(&format!("world = {world}"), analysis)).clone()
}

/// The cells' truth at the step that was released: areas, or a and b together beside c.
fn truth(cells: &[u64; 3], step: u16) -> Vec<u64> {
    if step == 0 { cells.to_vec() } else { vec![cells[0] + cells[1], cells[2]] }
}

/// Whether an attacker who compares a release with those of all possible tables narrows a hidden cell to fewer than k values.
fn narrows(controls: Controls, analysis: &str) -> bool {
    let tables = tables();
    let hospital = Hospital::ward(&worlds(&tables));
    let desk = hospital.open(controls);
    let mut all: BTreeMap<String, (TableRelease, Vec<BTreeSet<u64>>)> = BTreeMap::new();
    for (world, cells) in tables.iter().enumerate() {
        let release = seen(&desk, world, analysis);
        let truth = truth(cells, release.step);
        let entry = all.entry(format!("{release:?}")).or_insert_with(|| (release, vec![BTreeSet::new(); truth.len()]));
        for (candidates, n) in entry.1.iter_mut().zip(truth) {
            candidates.insert(n);
        }
    }
    // That no cell here has more patients is not known to an attacker.
    let whole = |release: &TableRelease| counts(release).iter().flatten().all(|n| *n <= LARGEST);
    all.into_values().filter(|(release, _)| whole(release)).any(|(release, candidates)| {
        counts(&release).iter().zip(candidates).any(|(shown, of)| shown.is_none() && (of.len() as u64) < K)
    })
}

/// The values that each hidden cell has in the tables that fit the numbers of a release: hidden cells have 0 … k − 1 patients, and all cells
/// add up to the total.
fn fitting(release: &TableRelease) -> Vec<BTreeSet<u64>> {
    let k = u64::from(release.threshold);
    let shown = counts(release);
    let hidden = shown.iter().filter(|n| n.is_none()).count() as u32;
    let rest = release.total.map(|total| total.subjects - shown.iter().flatten().sum::<u64>());
    let mut candidates = vec![BTreeSet::new(); hidden as usize];
    for n in 0..k.pow(hidden) {
        let cells: Vec<u64> = (0..hidden).map(|i| n / k.pow(i) % k).collect();
        if rest.is_none_or(|rest| cells.iter().sum::<u64>() == rest) {
            for (of, n) in candidates.iter_mut().zip(cells) {
                of.insert(n);
            }
        }
    }
    candidates
}

/// Whether random tables of two keys give a hidden cell away by their numbers alone.
fn adds_up(controls: Controls, k: u64) -> bool {
    let worlds = 30;
    // Small numbers around k, by a fixed rule that mixes well.
    let size = |world: usize, cell: usize| ((world * 7919 + cell * 104_729) / 13 % (2 * k as usize + 1)) as u64;
    let rows: Vec<Patient> = (0..worlds)
        .flat_map(|world| (0..6).map(move |cell| (world, cell)))
        .flat_map(|(world, cell)| {
            let (area, sex) = (AREAS[cell % 3], ["0", "1"][cell / 3]);
            patients(size(world, cell) as usize, move |_| Patient { world, area, sex, ..Patient::default() })
        })
        .collect();
    let hospital = Hospital::ward(&rows);
    hospital.edit("threshold = 3", &format!("threshold = {k}"));
    let desk = hospital.open(controls);
    let by = "table = { by = ['sex', 'area'], show = ['count'], roll_up = false }";
    (0..worlds)
        .map(|world| seen(&desk, world, by))
        .any(|release| fitting(&release).iter().any(|of| (of.len() as u64) < k))
}

pub fn family() -> Family {
    Family::new("hidden-cell intervals")
        .against(Control::IntervalRule, "every table of three cells, k = 3", |on| {
            narrows(on, "table = { by = ['area'], show = ['count'], roll_up = false }")
        })
        .against(Control::IntervalRule, "every table of three cells that may be rolled up, k = 3", |on| {
            narrows(on, "table = { by = ['area'], show = ['count'] }")
        })
        .against(Control::IntervalRule, "bands that nobody can be in make room for a total", |on| {
            let rows = patients(22, |i| Patient { age: if i < 20 { 40 } else { 70 }, ..Patient::default() });
            let by = "table = { by = ['cut(age, 60, 121, 122, 123)'], show = ['count'] }";
            let outcome = answer(&rows, on, "age is not null", by);
            rest(table(&outcome)) == Some(K - 1)
        })
        .against(Control::IntervalRule, "a key said twice makes cells that nobody can be in", |on| {
            let rows = patients(22, |i| Patient { sex: if i < 20 { "0" } else { "1" }, ..Patient::default() });
            let again = "case when sex = '0' then 'f' else 'm' end";
            let outcome = answer(&rows, on, "", &format!("table = {{ by = ['sex', \"{again}\"], show = ['count'] }}"));
            rest(table(&outcome)) == Some(K - 1)
        })
        .against(Control::IntervalRule, "random tables of six cells, k = 3", |on| adds_up(on, 3))
        .against(Control::IntervalRule, "random tables of six cells, k = 4", |on| adds_up(on, 4))
        .against(Control::IntervalRule, "random tables of six cells, k = 5", |on| adds_up(on, 5))
}
