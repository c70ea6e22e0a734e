//! Bins against every small set of cells: what leaves, what an attacker who knows the rules can tell from it, and what it is worth pooled.

use std::collections::{BTreeMap, BTreeSet};

use bocage_protocol::contract::{Contract, parse};
use bocage_protocol::plan::{Bins, Plan, Statistic, ValidPlan};
use bocage_protocol::release::{BinsRelease, Outcome};
use bocage_protocol::tally::{Cell, Size, Tally};
use proptest::prelude::*;

use super::super::{
    Computed, Controls, Counted, GatePolicy, Mode, Moved, MovedPart, Private, Withheld, release, release_under,
};

const K: u32 = 3;
/// Values 1 … 4: four cells.
const CELLS: usize = 4;
const LARGEST: i128 = 7;

fn contract(required: bool, subject: &str) -> Contract {
    let text = format!(
        "id = \"demo@1\"\nsubject = \"{subject}\"\n[[column]]\nname = \"patient\"\ntype = \"text\"\n\
         [[column]]\nname = \"x\"\ntype = \"int\"\nrange = [1, {CELLS}]\nrequired = {required}\n"
    );
    parse(&text, "demo.toml").unwrap()
}

fn plan(contract: &Contract) -> ValidPlan {
    let query = contract.rows(None);
    let statistic = Statistic::Bins(Bins::Column("x".parse().unwrap()));
    ValidPlan::check(Plan { query, statistic }, contract).unwrap()
}

fn tally(counts: &[i128]) -> Tally {
    let size = |n: i128| Size { subjects: n, rows: n };
    let cells = counts.iter().map(|n| Cell { size: size(*n), measures: vec![] }).collect();
    Tally { total: size(counts.iter().sum()), cells }
}

fn let_out(counts: &[i128], plan: &ValidPlan, contract: &Contract, threshold: u32) -> BinsRelease {
    let_out_moved(counts, &[], plan, contract, threshold)
}

/// The same, where so many have moved since an earlier answer.
fn let_out_moved(
    counts: &[i128],
    moved: &[&[i128]],
    plan: &ValidPlan,
    contract: &Contract,
    threshold: u32,
) -> BinsRelease {
    let policy = GatePolicy { threshold, joint: 3, mode: Mode::Exact };
    let counted = |counts: &[i128]| Counted::wide(tally(counts), plan.layout(), threshold);
    let part =
        |part: &&[i128]| MovedPart { inside: false, twin: None, stays: false, counted: Computed::Table(counted(part)) };
    let moved = Private::new(Moved(moved.iter().map(part).collect()));
    let (of, all) = (Private::table(counted(counts)), Controls::default());
    match release_under(all, of, moved, plan, contract, &policy).unwrap().outcome() {
        Outcome::Bins(bins) => bins.clone(),
        other => panic!("{other:?}"),
    }
}

fn bins(release: &BinsRelease) -> Vec<(u32, u64)> {
    release.bins.iter().map(|bin| (bin.upto, bin.count.subjects)).collect()
}

/// Every way to put 0 … 7 subjects into each of `cells` cells.
fn every(cells: usize) -> impl Iterator<Item = Vec<i128>> {
    let base = LARGEST + 1;
    (0..base.pow(cells as u32)).map(move |n| (0..cells as u32).map(|i| n / base.pow(i) % base).collect())
}

#[test]
fn a_bin_grows_until_nobody_or_k_of_it_have_moved_and_says_nothing_where_it_cannot() {
    let contract = contract(false, "row");
    let plan = plan(&contract);
    let of = |counts: &[i128], moved: &[&[i128]]| let_out_moved(counts, moved, &plan, &contract, K);
    assert_eq!(bins(&of(&[5, 5, 5, 5, 0], &[&[0, 1, 2, 0, 0]])), [(1, 5), (3, 10), (4, 5)]);
    assert_eq!(bins(&of(&[5, 5, 5, 5, 0], &[&[0, 0, 3, 1, 0]])), [(1, 5), (2, 5), (4, 10)], "the last two together");
    assert_eq!(bins(&of(&[5, 5, 5, 5, 0], &[&[3, 0, 0, 1, 0]])), [(4, 20)], "down to where enough have");
    let none = of(&[5, 5, 5, 5, 0], &[&[0, 1, 1, 0, 0]]);
    assert_eq!((bins(&none), none.held_back, none.most_hidden()), (vec![], true, None));
    let few = of(&[0, 0, 0, 1, 0], &[&[0, 1, 0, 0, 0]]);
    assert_eq!((bins(&few), few.most_hidden()), (vec![], Some(2)), "never shown");
    let told = |left: i128| of(&[0, left, 0, 0, 0], &[&[0, 4 - left, 0, 0, 0]]);
    assert_eq!(told(3), told(2), "of four one or two have gone");
    let missing = |moved| of(&[5, 0, 0, 0, 5], &[&[0, 0, 0, 0, moved]]);
    assert!(missing(1).missing.is_none() && missing(1).held_back);
    assert!(missing(3).missing.is_some() && !missing(3).held_back);
}

#[test]
fn two_answers_in_bins_differ_between_no_edges_that_they_share_by_fewer_than_k() {
    let contract = contract(true, "row");
    let plan = plan(&contract);
    for moved in every(CELLS).filter(|moved| moved.iter().all(|n| *n < 4)) {
        for now in [[3, 3, 3, 3], [1, 5, 0, 3], [0, 0, 4, 4]] {
            let before: Vec<i128> = now.iter().zip(&moved).map(|(now, moved)| now + moved).collect();
            let edges = |release: &BinsRelease| {
                let sum = |sum: &mut u64, (upto, n): (u32, u64)| {
                    *sum += n;
                    Some((upto, *sum))
                };
                bins(release).into_iter().scan(0, sum).collect::<BTreeMap<u32, u64>>()
            };
            let (first, second) = (
                edges(&let_out(&before, &plan, &contract, K)),
                edges(&let_out_moved(&now, &[&moved], &plan, &contract, K)),
            );
            let shared: Vec<u64> = first.iter().filter_map(|(at, n)| Some(n - second.get(at)?)).collect();
            let steps = std::iter::once(&0).chain(&shared).zip(&shared).map(|(below, upto)| upto - below);
            assert!(steps.into_iter().all(|n| n == 0 || n >= u64::from(K)), "{before:?} {now:?}: {shared:?}");
        }
    }
}

#[test]
fn cells_are_merged_from_below_and_the_rest_joins_the_last_bin() {
    let contract = contract(false, "row");
    let plan = plan(&contract);
    let out = |counts: [i128; 5]| let_out(&counts, &plan, &contract, K);
    assert_eq!(bins(&out([3, 4, 5, 6, 0])), [(1, 3), (2, 4), (3, 5), (4, 6)]);
    assert_eq!(bins(&out([1, 4, 1, 1, 0])), [(4, 7)]);
    assert_eq!(bins(&out([0, 2, 2, 3, 0])), [(3, 4), (4, 3)]);
    assert_eq!(bins(&out([5, 0, 0, 2, 0])), [(4, 7)]);
    assert_eq!(bins(&out([1, 0, 0, 1, 9])), []);
    assert_eq!(out([1, 0, 0, 1, 9]).missing.map(|c| c.subjects), Some(9));
    assert_eq!(out([9, 0, 0, 1, 2]).missing, None);
    assert_eq!(out([9, 0, 0, 1, 2]), out([9, 0, 0, 1, 0]));
}

/// What an attacker sees: the bins' edges and counts, and how many are missing.
type Seen = (Vec<(u32, u64)>, Option<u64>);

/// Neighbouring cells, the last of which is that of missing values.
struct Run {
    from: usize,
    upto: usize,
    values: BTreeSet<i128>,
}

/// For every release: the sums that each run of cells has in the data sets that lead to exactly this release.
///
/// Releases with a count above the largest cell are left out: an attacker does not know that no cell here is larger.
fn candidates(see: impl Fn(&[i128]) -> Seen) -> Vec<(Seen, Vec<Run>)> {
    let mut seen: BTreeMap<Seen, Vec<Run>> = BTreeMap::new();
    for counts in every(CELLS + 1) {
        let runs = seen.entry(see(&counts)).or_insert_with(|| {
            let ranges = (0..=CELLS).flat_map(|from| (from + 1..=CELLS + 1).map(move |upto| (from, upto)));
            ranges.map(|(from, upto)| Run { from, upto, values: BTreeSet::new() }).collect()
        });
        for run in runs {
            run.values.insert(counts[run.from..run.upto].iter().sum());
        }
    }
    seen.into_iter().filter(|((bins, _), _)| bins.iter().all(|bin| i128::from(bin.1) <= LARGEST)).collect()
}

/// Whether a run's sum is among what was released, or follows from it by adding.
fn is_shown((bins, missing): &Seen, run: &Run) -> bool {
    let edges: Vec<usize> = bins.iter().map(|bin| bin.0 as usize).collect();
    let begins = edges.contains(&run.from) || (run.from == 0 && !bins.is_empty());
    match run.upto {
        upto if upto <= CELLS => begins && edges.contains(&upto),
        _ => missing.is_some() && (begins || run.from == CELLS),
    }
}

/// The fewest sums that a run can have whose sum is not shown, over all releases.
fn weakest(see: impl Fn(&[i128]) -> Seen) -> usize {
    let all = candidates(see);
    let least = |(seen, runs): &(Seen, Vec<Run>)| {
        runs.iter().filter(|run| !is_shown(seen, run)).map(|run| run.values.len()).min()
    };
    all.iter().filter_map(least).min().unwrap()
}

fn observed(counts: &[i128], plan: &ValidPlan, contract: &Contract) -> Seen {
    let release = let_out(counts, plan, contract, K);
    (bins(&release), release.missing.map(|c| c.subjects))
}

#[test]
fn no_bin_is_below_k_and_every_part_of_a_bin_keeps_k_possible_values() {
    let contract = contract(false, "row");
    let plan = plan(&contract);
    assert!(every(CELLS + 1).all(|counts| observed(&counts, &plan, &contract).0.iter().all(|b| b.1 >= u64::from(K))));
    assert_eq!(weakest(|counts| observed(counts, &plan, &contract)), K as usize);
}

#[test]
fn the_attack_succeeds_against_a_gate_that_leaves_the_rest_a_bin_of_its_own() {
    let contract = contract(false, "row");
    let plan = plan(&contract);
    let careless = |counts: &[i128]| {
        let (mut bins, missing) = observed(counts, &plan, &contract);
        let (mut open, mut closed) = (0, None);
        for (i, n) in counts[..CELLS].iter().enumerate() {
            open += n;
            if open >= i128::from(K) {
                (open, closed) = (0, Some(i + 1));
            }
        }
        if let (Some(last), Some(upto)) = (bins.pop(), closed) {
            bins.push((upto as u32, last.1 - open as u64));
            if upto < CELLS {
                bins.push((CELLS as u32, open as u64));
            }
        }
        (bins, missing)
    };
    assert!(weakest(careless) < K as usize);
}

#[test]
fn an_edge_says_that_the_cell_below_it_is_not_empty_and_nothing_else_of_it_below_k() {
    let contract = contract(false, "row");
    let plan = plan(&contract);
    for ((bins, _), runs) in candidates(|counts| observed(counts, &plan, &contract)) {
        for (i, (upto, count)) in bins.iter().enumerate().take(bins.len().saturating_sub(1)) {
            let from = if i == 0 { 0 } else { bins[i - 1].0 as usize };
            let run = runs.iter().find(|run| (run.from, run.upto) == (*upto as usize - 1, *upto as usize)).unwrap();
            let count = i128::from(*count);
            if from + 1 < *upto as usize {
                let wanted: BTreeSet<i128> = (count - i128::from(K) + 1..=count.min(LARGEST)).collect();
                assert_eq!(run.values, wanted, "{bins:?}");
            }
        }
    }
}

#[test]
fn cells_with_subjects_of_several_rows_or_of_another_shape_are_withheld() {
    let contract = contract(false, "row");
    let plan = plan(&contract);
    let policy = GatePolicy { threshold: K, joint: 3, mode: Mode::Exact };
    let mut several = tally(&[3, 4, 5, 6, 0]);
    several.cells[0].size.rows += 1;
    several.total.rows += 1;
    for bad in [several, tally(&[3, 4, 5, 6]), tally(&[3, 4, 5, 6, 0, 0]), tally(&[3, -1, 5, 6, 0])] {
        assert_eq!(
            release(Private::table(Counted::wide(bad, plan.layout(), K)), &plan, &contract, &policy),
            Err(Withheld::Inconsistent)
        );
    }
    let several_rows = self::contract(false, "patient");
    let query = several_rows.rows(None);
    let statistic = Statistic::Bins(Bins::Column("x".parse().unwrap()));
    let refused = ValidPlan::check(Plan { query, statistic }, &several_rows).unwrap_err().to_string();
    assert!(refused.contains("a patient can have several rows in `demo@1`"), "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// However the rows are split over sites, the pooled number of values up to any cell lies within what the sites' bins say of it.
    #[test]
    fn the_bins_of_split_data_bound_the_pooled_cumulative_distribution(
        sites in prop::collection::vec(prop::collection::vec(0i128..40, CELLS), 1..6),
        threshold in 1u32..30,
    ) {
        let contract = contract(true, "row");
        let plan = plan(&contract);
        let releases: Vec<BinsRelease> = sites.iter().map(|counts| let_out(counts, &plan, &contract, threshold)).collect();
        for upto in 0..=CELLS as u32 {
            let pooled: i128 = sites.iter().flat_map(|counts| &counts[..upto as usize]).sum();
            let (mut least, mut most) = (0, 0);
            for release in &releases {
                let mut from = 0;
                for bin in &release.bins {
                    let count = i128::from(bin.count.subjects);
                    least += if bin.upto <= upto { count } else { 0 };
                    most += if from < upto { count } else { 0 };
                    from = bin.upto;
                }
                most += if release.bins.is_empty() && upto > 0 { i128::from(threshold) - 1 } else { 0 };
            }
            prop_assert!((least..=most).contains(&pooled), "{least} … {most}, not {pooled}, below cell {upto}");
        }
        for (release, counts) in releases.iter().zip(&sites) {
            let shown: u64 = release.bins.iter().map(|bin| bin.count.subjects).sum();
            let all: i128 = counts.iter().sum();
            prop_assert_eq!(i128::from(shown), if all >= i128::from(threshold) { all } else { 0 });
            prop_assert!(release.bins.iter().all(|bin| bin.count.subjects < 2 * u64::from(threshold) + 80));
        }
    }
}
