//! Lines against every small set of cells: what leaves, and what an attacker who knows the rules can tell from it.

use std::collections::{BTreeMap, BTreeSet};

use bocage_protocol::contract::{Contract, parse};
use bocage_protocol::plan::{Bins, Expr, Lines, Plan, Statistic, ValidPlan};
use bocage_protocol::release::{LinesRelease, Outcome};
use bocage_protocol::tally::{Cell, Size, Tally};
use proptest::prelude::*;

use super::super::{
    Computed, Controls, Counted, GatePolicy, Mode, Moved, MovedPart, Private, Withheld, release, release_under,
};

const CELLS: usize = 5;

fn contract() -> Contract {
    let text = "id = \"demo@1\"\nsubject = \"row\"\n[[column]]\nname = \"x\"\ntype = \"int\"\nrange = [0, 9]\n\
                [[column]]\nname = \"ill\"\ntype = \"bool\"\nrequired = true\n";
    parse(text, "demo.toml").unwrap()
}

/// One line, or one for each of who is ill and who is not.
fn plan(by: &[&str], contract: &Contract) -> ValidPlan {
    let column = |name: &str| Expr::Column(name.parse().unwrap());
    let edges = (1..CELLS).map(|edge| edge as f64).collect();
    let lines = Lines { by: by.iter().map(|name| column(name)).collect(), of: column("x"), edges };
    let plan = Plan { query: contract.rows(None), statistic: Statistic::Bins(Bins::Lines(lines)) };
    ValidPlan::check(plan, contract).unwrap()
}

fn tally(counts: &[i128]) -> Tally {
    let size = |n: i128| Size { subjects: n, rows: n };
    let cells = counts.iter().map(|n| Cell { size: size(*n), measures: vec![] }).collect();
    Tally { total: size(counts.iter().sum()), cells }
}

fn let_out(counts: &[i128], moved: &[&[i128]], plan: &ValidPlan, contract: &Contract, threshold: u32) -> LinesRelease {
    let policy = GatePolicy { threshold, joint: 3, mode: Mode::Exact };
    let counted = |counts: &[i128]| Counted::wide(tally(counts), plan.layout(), threshold);
    let part =
        |part: &&[i128]| MovedPart { inside: false, twin: None, stays: false, counted: Computed::Table(counted(part)) };
    let moved = Private::new(Moved(moved.iter().map(part).collect()));
    let (of, all) = (Private::table(counted(counts)), Controls::default());
    match release_under(all, of, moved, plan, contract, &policy).unwrap().outcome() {
        Outcome::Lines(lines) => lines.clone(),
        other => panic!("{other:?}"),
    }
}

type Seen = Vec<(u32, u64)>;

fn bins(release: &LinesRelease, line: usize) -> Seen {
    release.lines[line].iter().map(|bin| (bin.upto, bin.count.subjects)).collect()
}

/// Every way to put 0 … `largest` subjects into the cells of a line.
fn every(largest: i128) -> impl Iterator<Item = Vec<i128>> {
    let base = largest + 1;
    (0..base.pow(CELLS as u32)).map(move |n| (0..CELLS as u32).map(|i| n / base.pow(i) % base).collect())
}

#[test]
fn an_edge_stays_where_both_sides_have_k_the_middle_one_first() {
    let contract = contract();
    let plan = plan(&[], &contract);
    let out = |counts: [i128; CELLS]| bins(&let_out(&counts, &[], &plan, &contract, 3), 0);
    assert_eq!(out([3, 3, 3, 3, 3]), [(1, 3), (2, 3), (3, 3), (4, 3), (5, 3)]);
    assert_eq!(out([1, 2, 3, 0, 0]), [(2, 3), (5, 3)], "the middle of the first four");
    assert_eq!(out([3, 1, 1, 1, 0]), [(1, 3), (5, 3)], "the other edges where the middle one cannot stay");
    assert_eq!(out([0, 0, 5, 0, 0]), [(5, 5)]);
    assert_eq!(out([0, 1, 1, 0, 0]), [(5, 0)]);
    assert_eq!(out([0, 1, 1, 0, 5]), [(4, 0), (5, 5)], "the last cell alone");
    assert_eq!(out([0, 3, 1, 0, 5]), [(4, 4), (5, 5)]);
    assert_eq!(out([0, 3, 1, 0, 2]), [(2, 3), (5, 3)]);
    assert_eq!(out([0, 1, 4, 0, 2]), [(5, 7)]);
}

#[test]
fn each_line_is_merged_by_itself() {
    let contract = contract();
    let plan = plan(&["ill"], &contract);
    let release = let_out(&[3, 3, 3, 3, 3, 1, 0, 0, 0, 1], &[], &plan, &contract, 3);
    assert_eq!((bins(&release, 0).len(), bins(&release, 1)), (5, vec![(5, 0)]));
}

#[test]
fn without_a_threshold_every_cell_stands_alone_empty_ones_too() {
    let contract = contract();
    let plan = plan(&[], &contract);
    let out = bins(&let_out(&[0, 2, 0, 0, 1], &[], &plan, &contract, 1), 0);
    assert_eq!(out, [(1, 0), (2, 2), (3, 0), (4, 0), (5, 1)]);
}

/// The fewest sums that a run of cells can have which is not shown, over all releases, if the attacker knows all rules.
fn weakest(largest: i128, see: impl Fn(&[i128]) -> Seen) -> usize {
    let mut seen: BTreeMap<Seen, BTreeMap<(usize, usize), BTreeSet<i128>>> = BTreeMap::new();
    for counts in every(largest) {
        let runs = seen.entry(see(&counts)).or_default();
        for (from, upto) in (0..CELLS).flat_map(|from| (from + 1..=CELLS).map(move |upto| (from, upto))) {
            runs.entry((from, upto)).or_default().insert(counts[from..upto].iter().sum());
        }
    }
    // An attacker does not know that no cell here is larger.
    let known = |bins: &Seen| bins.iter().all(|bin| i128::from(bin.1) <= largest);
    let of_one = |(bins, runs): (&Seen, &BTreeMap<(usize, usize), BTreeSet<i128>>)| {
        let starts = std::iter::once(0).chain(bins.iter().map(|bin| bin.0 as usize));
        let known: Vec<(usize, usize)> =
            starts.zip(bins).filter(|(_, bin)| bin.1 > 0).map(|(from, bin)| (from, bin.0 as usize)).collect();
        // Whether it is made of bins that are shown.
        let is_shown = |(from, upto): &(usize, usize)| {
            let cells = |bins: &[(usize, usize)]| bins.iter().map(|(from, upto)| upto - from).sum::<usize>();
            let within: Vec<(usize, usize)> =
                known.iter().copied().filter(|bin| bin.0 >= *from && bin.1 <= *upto).collect();
            cells(&within) == upto - from
        };
        let hidden = |run: &&(usize, usize)| !is_shown(run);
        runs.keys().filter(hidden).map(|run| runs[run].len()).min()
    };
    seen.iter().filter(|(bins, _)| known(bins)).filter_map(of_one).min().unwrap()
}

#[test]
fn every_part_of_a_bin_keeps_k_possible_values() {
    let contract = contract();
    let plan = plan(&[], &contract);
    for (k, largest) in [(2, 5), (3, 6)] {
        let see = |counts: &[i128]| bins(&let_out(counts, &[], &plan, &contract, k), 0);
        assert!(every(largest).all(|counts| see(&counts).iter().all(|bin| bin.1 == 0 || bin.1 >= u64::from(k))));
        assert_eq!(weakest(largest, see), k as usize);
    }
}

#[test]
fn the_attack_succeeds_against_a_gate_that_tells_an_empty_side_from_a_small_one() {
    let contract = contract();
    let plan = plan(&[], &contract);
    let careless = |counts: &[i128]| {
        let mut bins = bins(&let_out(counts, &[], &plan, &contract, 3), 0);
        // No bin of fewer than k is shown, but a word that nobody is in the last cell.
        bins.extend((counts[CELLS - 1] == 0).then_some((CELLS as u32 + 1, 0)));
        bins
    };
    assert!(weakest(6, careless) < 3);
}

#[test]
fn an_edge_goes_and_a_line_is_held_back_where_too_few_have_moved() {
    let contract = contract();
    let plan = plan(&[], &contract);
    let of = |moved: [i128; CELLS]| let_out(&[5; CELLS], &[&moved], &plan, &contract, 3);
    assert_eq!(bins(&of([0; CELLS]), 0).len(), 5);
    assert_eq!(bins(&of([0, 0, 1, 2, 0]), 0), [(1, 5), (2, 5), (4, 10), (5, 5)]);
    let none = of([0, 0, 1, 0, 0]);
    assert_eq!((bins(&none, 0), none.held_back, none.most_hidden()), (vec![(5, 0)], true, None));
    let few = let_out(&[0, 1, 0, 0, 0], &[&[0, 0, 1, 0, 0]], &plan, &contract, 3);
    assert_eq!((bins(&few, 0), few.most_hidden()), (vec![(5, 0)], Some(2)), "never shown");
}

#[test]
fn cells_of_another_shape_or_of_several_rows_a_subject_are_withheld() {
    let contract = contract();
    let plan = plan(&[], &contract);
    let policy = GatePolicy { threshold: 3, joint: 3, mode: Mode::Exact };
    let mut several = tally(&[3, 4, 5, 6, 0]);
    several.cells[0].size.rows += 1;
    several.total.rows += 1;
    for bad in [several, tally(&[3; 4]), tally(&[3; 10]), tally(&[3, -1, 5, 6, 0])] {
        let counted = Private::table(Counted::wide(bad, plan.layout(), 3));
        assert_eq!(release(counted, &plan, &contract, &policy), Err(Withheld::Inconsistent));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Two answers, before and after some have opted out: between edges that they share, nobody or k have gone.
    #[test]
    fn two_answers_differ_between_no_shared_edges_by_fewer_than_k(
        now in prop::collection::vec(0i128..9, CELLS),
        gone in prop::collection::vec(0i128..4, CELLS),
        k in 2u32..5,
    ) {
        let contract = contract();
        let plan = plan(&[], &contract);
        let before: Vec<i128> = now.iter().zip(&gone).map(|(now, gone)| now + gone).collect();
        // Every run of shown bins, with its sum.
        let runs = |release: LinesRelease| {
            let bins = bins(&release, 0);
            let starts: Vec<u32> = std::iter::once(0).chain(bins.iter().map(|bin| bin.0)).collect();
            let mut runs = BTreeMap::new();
            for first in 0..bins.len() {
                for last in (first..bins.len()).take_while(|last| bins[*last].1 > 0) {
                    runs.insert((starts[first], bins[last].0), bins[first..=last].iter().map(|bin| bin.1).sum::<u64>());
                }
            }
            runs
        };
        let first = runs(let_out(&before, &[], &plan, &contract, k));
        let second = runs(let_out(&now, &[&gone], &plan, &contract, k));
        let steps: Vec<u64> = first.iter().filter_map(|(run, n)| Some(n - second.get(run)?)).collect();
        prop_assert!(steps.iter().all(|n| *n == 0 || *n >= u64::from(k)), "{:?}: {:?}", before, steps);
    }
}
