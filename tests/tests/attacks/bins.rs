//! Quantiles, histograms and steps of inclusion that single a patient out.

use std::collections::{BTreeMap, BTreeSet};

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::release::BinsRelease;

use super::cells::answer;
use super::hospital::{Hospital, K};
use super::scenario::Family;
use super::ward::{Patient, bins, counts, patients, rest, table, twenty, twenty_and};

/// Grades 1, 2 and 3.
const GRADES: usize = 3;
const LARGEST: u64 = 4;

fn old() -> Patient {
    Patient { age: 111, weight: None, ..Patient::default() }
}

fn ones(bins: &BinsRelease) -> bool {
    bins.bins.iter().any(|bin| bin.count.subjects == 1)
}

/// From below: where each bin ends, and its patients.
fn edges(bins: &BinsRelease) -> Vec<(usize, u64)> {
    bins.bins.iter().map(|bin| (bin.upto as usize, bin.count.subjects)).collect()
}

/// Whether the sum over neighbouring grades is one of a release's own numbers, or of several together.
fn is_told(edges: &[(usize, u64)], from: usize, upto: usize) -> bool {
    let ends = |at: usize| edges.iter().any(|(end, _)| *end == at);
    (ends(from) || (from == 0 && !edges.is_empty())) && ends(upto)
}

/// For each run of neighbouring grades, the sums that it can have.
type Parts = BTreeMap<(usize, usize), BTreeSet<u64>>;

/// Whether comparing the bins of all small data sets narrows a part of a bin to fewer than k values.
fn narrows(controls: Controls) -> bool {
    let base = LARGEST + 1;
    let sets: Vec<[u64; GRADES]> = (0..base.pow(3)).map(|n| [n % base, n / base % base, n / base.pow(2)]).collect();
    let rows: Vec<Patient> = sets
        .iter()
        .enumerate()
        .flat_map(|(world, set)| set.iter().enumerate().map(move |(i, n)| (world, i as i64 + 1, *n as usize)))
        .flat_map(|(world, grade, n)| patients(n, move |_| Patient { world, grade, ..Patient::default() }))
        .collect();
    let hospital = Hospital::ward(&rows);
    let desk = hospital.open(controls);
    let parts = || (0..GRADES).flat_map(|from| (from + 1..=GRADES).map(move |upto| (from, upto)));
    let mut all: BTreeMap<Vec<(usize, u64)>, Parts> = BTreeMap::new();
    for (world, set) in sets.iter().enumerate() {
        let outcome = desk.one(&format!("world = {world} and grade >= 1"), "quantiles = { of = 'grade' }");
        let of = all.entry(edges(bins(&outcome))).or_default();
        for (from, upto) in parts() {
            of.entry((from, upto)).or_default().insert(set[from..upto].iter().sum());
        }
    }
    // That no grade has more patients is not known to an attacker.
    all.retain(|edges, _| edges.iter().all(|(_, n)| *n <= LARGEST));
    all.iter().any(|(edges, of)| {
        of.iter().any(|((from, upto), sums)| !is_told(edges, *from, *upto) && (sums.len() as u64) < K)
    })
}

pub fn family() -> Family {
    Family::new("bins and steps")
        .against(Control::Threshold, "a histogram's bin of one patient", |on| {
            let outcome = answer(&twenty_and(old()), on, "age is not null", "histogram = { of = 'age', bins = [110] }");
            counts(table(&outcome)).contains(&Some(1))
        })
        .against(Control::IntervalRule, "the total less the other bin of a histogram", |on| {
            let outcome = answer(&twenty_and(old()), on, "age > 0", "histogram = { of = 'age', bins = [110] }");
            counts(table(&outcome)).len() == 2 && rest(table(&outcome)) == Some(1)
        })
        .against(Control::Threshold, "a quantile's bin around the oldest patient", |on| {
            ones(bins(&answer(&twenty_and(old()), on, "", "quantiles = { of = 'age', at = [0.99] }")))
        })
        .against(Control::Threshold, "the one patient without a value", |on| {
            let outcome = answer(&twenty_and(old()), on, "", "quantiles = { of = 'weight' }");
            bins(&outcome).missing.is_some_and(|missing| missing.subjects == 1)
        })
        .against(Control::Threshold, "the quantile of a cohort of one", |on| {
            !bins(&answer(&twenty_and(old()), on, "age = 111", "quantiles = { of = 'age', at = [0.5] }"))
                .bins
                .is_empty()
        })
        .against(Control::Threshold, "a step that loses one patient", |on| {
            ones(bins(&answer(&twenty_and(old()), on, "", "attrition = { steps = ['age < 110', 'age < 40'] }")))
        })
        .against(Control::Threshold, "steps that only one patient passes", |on| {
            ones(bins(&answer(&twenty_and(old()), on, "", "attrition = { steps = ['age > 40', 'age > 110'] }")))
        })
        .against(Control::Threshold, "a step that loses nobody and one that loses one are told apart", |on| {
            let of =
                |rows: &[Patient]| answer(rows, on, "age < 120", "attrition = { steps = ['age < 110', 'age < 45'] }");
            let mut without = twenty();
            without.push(Patient { age: 46, ..Patient::default() });
            of(&without) != of(&twenty_and(old()))
        })
        .against(Control::Threshold, "the bins of every small data set", narrows)
}
