//! What leaves in mode `round`, and what an attacker who knows its rules by heart makes of it.

use std::collections::{BTreeMap, BTreeSet};

use bocage_protocol::contract::parse;
use bocage_protocol::plan::{Bins, Expr, Lines, Measure, Plan, Quantum, Statistic, Table};
use bocage_protocol::release::rounding;
use bocage_protocol::release::{CellRelease, MeasureRelease, TableRelease};
use bocage_protocol::tally::{Cell, Size, Sums, Tally};
use proptest::prelude::*;

use super::super::tests::{contract, counts, plan};
use super::super::{Computed, Contract, Counted, GatePolicy, Mode, Outcome, Private, ValidPlan, release};

const K: u32 = 8;

fn let_out(tally: Tally, plan: &ValidPlan, contract: &Contract, mode: Mode) -> Outcome {
    let counted = Counted::wide(tally, plan.layout(), K);
    let policy = GatePolicy { threshold: K, joint: 3, mode };
    release(Private::new(Computed::Table(counted)), plan, contract, &policy).unwrap().outcome().clone()
}

fn table(tally: Tally, plan: &ValidPlan, contract: &Contract) -> TableRelease {
    match let_out(tally, plan, contract, Mode::Round) {
        Outcome::Table(table) => table,
        other => panic!("{other:?}"),
    }
}

fn shown(table: &TableRelease) -> Vec<Option<u64>> {
    let count = |cell: &CellRelease| match cell {
        CellRelease::Shown { count, .. } => Some(count.subjects),
        CellRelease::FewerThanK => None,
    };
    table.cells.iter().map(count).collect()
}

#[test]
fn every_cell_is_the_nearest_multiple_of_five_and_no_total_stands_beside_it() {
    let contract = contract("row");
    let release = table(counts(&[2, 12, 13, 98]), &plan(&contract, false, vec![]), &contract);
    assert_eq!(shown(&release), [None, Some(10), Some(15), Some(100)]);
    assert_eq!((release.total, release.rounded), (None, true));
    let all = table(counts(&[8, 12, 13, 98]), &plan(&contract, false, vec![]), &contract);
    assert_eq!(all.total, None, "not beside cells of which none is hidden either");
}

#[test]
fn a_table_without_keys_is_one_cell_whose_total_says_no_more() {
    let contract = contract("row");
    let query = contract.rows(None);
    let of = Table { by: vec![], measures: vec![], roll_up: false };
    let plan = ValidPlan::check(Plan { query, statistic: Statistic::Table(of) }, &contract).unwrap();
    let release = table(counts(&[58]), &plan, &contract);
    assert_eq!((shown(&release), release.total.map(|total| total.subjects)), (vec![Some(60)], Some(60)));
}

/// Every table of three cells and a last one of twelve: what an attacker sees, and each cell's values in the tables that lead to it.
#[test]
fn every_shown_cell_keeps_five_possible_values_and_every_hidden_one_k() {
    let contract = contract("row");
    for roll_up in [false, true] {
        let plan = plan(&contract, roll_up, vec![]);
        let mut seen: BTreeMap<String, (TableRelease, Vec<BTreeSet<i128>>)> = BTreeMap::new();
        for n in 0..18i128.pow(3) {
            let truth = [n % 18, n / 18 % 18, n / 324, 12];
            let tally = counts(&truth);
            let release = table(tally.clone(), &plan, &contract);
            let cells = tally.rolled_up(plan.layout(), usize::from(release.step)).unwrap();
            let entry = seen
                .entry(format!("{release:?}"))
                .or_insert_with(|| (release.clone(), vec![BTreeSet::new(); release.cells.len()]));
            entry.1.iter_mut().zip(cells.iter()).for_each(|(values, cell)| _ = values.insert(cell.size.subjects));
        }
        for (release, values) in seen.values() {
            for (cell, values) in release.cells.iter().zip(values) {
                // The last one is known; and beyond the largest of a cell there are no more tables to try.
                let (most, known) = (values.last().copied().unwrap_or_default(), values.iter().eq([&12]));
                match cell {
                    CellRelease::FewerThanK => assert!(values.len() >= K as usize, "{values:?} of {release:?}"),
                    CellRelease::Shown { .. } if known || most >= 17 => {}
                    CellRelease::Shown { .. } => assert!(values.len() >= 5, "{values:?} of {release:?}"),
                }
            }
        }
    }
}

const NUMBERS: &str = r#"
    id = "demo@1"
    subject = "row"
    [[column]]
    name = "age"
    type = "int"
    range = [0, 120]
    [[column]]
    name = "weight"
    type = "float"
    range = [0, 300]
    [[column]]
    name = "ill"
    type = "bool"
"#;

/// A table of all rows with one number.
fn of_number(name: &str) -> (Contract, ValidPlan) {
    let contract = parse(NUMBERS, "demo.toml").unwrap();
    let measures = vec![Measure::Column(name.parse().unwrap())];
    let of = Table { by: vec![], measures, roll_up: false };
    let plan = Plan { query: contract.rows(None), statistic: Statistic::Table(of) };
    let plan = ValidPlan::check(plan, &contract).unwrap();
    (contract, plan)
}

fn quanta(n: i128, sum: i128, sum_sq: i128) -> Tally {
    let size = Size { subjects: n, rows: n };
    Tally { total: size, cells: vec![Cell { size, measures: vec![Sums::Number { valid: size, sum, sum_sq }] }] }
}

fn number(table: &TableRelease) -> (u64, i128, i128) {
    match table.cells.as_slice() {
        [CellRelease::Shown { measures, .. }] => match measures[0] {
            MeasureRelease::Number { valid, sum, sum_sq } => (valid.rows, sum, sum_sq),
            _ => panic!("hidden"),
        },
        _ => panic!("hidden"),
    }
}

#[test]
fn a_mean_is_kept_to_a_part_of_the_range_over_the_count() {
    let (contract, plan) = of_number("weight");
    let quantum = Quantum::of_float_range(0.0, 300.0);
    let weights: Vec<f64> = (0..97).map(|i| 60.0 + 0.37 * f64::from(i)).collect();
    let q: Vec<i128> = weights.iter().map(|x| i128::from(quantum.quanta(*x).unwrap())).collect();
    let tally = quanta(97, q.iter().sum(), q.iter().map(|q| q * q).sum());
    let (n, sum, sum_sq) = number(&table(tally, &plan, &contract));
    let mean = weights.iter().sum::<f64>() / 97.0;
    assert_eq!(n, 95);
    assert!((quantum.mean(n, sum) - mean).abs() <= 300.0 / 128.0 / 95.0, "{}", quantum.mean(n, sum));
    let sd = (weights.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 96.0).sqrt();
    assert!((quantum.variance(n, sum, sum_sq).sqrt() - sd).abs() < 0.5);
}

/// Where the mean were told to all its digits, one count alone would make it: a sum of whole numbers over it is whole.
#[test]
fn a_mean_of_whole_numbers_does_not_say_of_how_many_it_is() {
    let (contract, plan) = of_number("age");
    // Thirteen patients; a careless rounding keeps their mean and so gives 13 away.
    let ages: Vec<i128> = vec![32, 35, 40, 44, 47, 52, 58, 61, 66, 70, 73, 79, 85];
    let careless: i128 = ages.iter().sum();
    let whole = |n: i128| (careless * n) % 13 == 0;
    assert_eq!((13..=17).filter(|n| whole(*n)).collect::<Vec<i128>>(), [13]);
    let q: Vec<i128> = ages.iter().map(|age| age - 60).collect();
    let seen = number(&table(quanta(13, q.iter().sum(), q.iter().map(|q| q * q).sum()), &plan, &contract));
    // Every count that rounds so has ages with these very sums: n, a sum and a sum of squares of the same parity, not below sum² / n.
    for n in 13..=17i128 {
        let near = |x: i128| x * n / i128::from(seen.0) - 6..=x * n / i128::from(seen.0) + 6;
        let fits = near(seen.1).any(|sum| {
            let honest = |sq: &i128| (sq - sum) % 2 == 0 && sq * n >= sum * sum;
            near(seen.2).filter(honest).any(|sq| number(&table(quanta(n, sum, sq), &plan, &contract)) == seen)
        });
        assert!(fits, "{n} is ruled out by {seen:?}");
    }
}

fn cells(sizes: &[i128]) -> Tally {
    counts(sizes)
}

proptest! {
    #[test]
    fn who_is_below_an_edge_of_bins_is_rounded_once_however_many_bins_there_are(
        sizes in prop::collection::vec(0i128..30, 121),
    ) {
        let contract = parse(&NUMBERS.replace("range = [0, 120]", "range = [0, 120]\nrequired = true"), "demo.toml").unwrap();
        let bins = Bins::Column("age".parse().unwrap());
        let plan = Plan { query: contract.rows(None), statistic: Statistic::Bins(bins) };
        let plan = ValidPlan::check(plan, &contract).unwrap();
        let of = |mode| match let_out(cells(&sizes), &plan, &contract, mode) {
            Outcome::Bins(bins) => bins,
            other => panic!("{other:?}"),
        };
        let (exact, rounded) = (of(Mode::Exact), of(Mode::Round));
        prop_assert!(rounded.rounded && exact.bins.len() == rounded.bins.len());
        let (mut below, mut seen) = (0u64, 0u64);
        for (one, other) in exact.bins.iter().zip(&rounded.bins) {
            (below, seen) = (below + one.count.subjects, seen + other.count.subjects);
            prop_assert!(one.upto == other.upto && seen % rounding::BASE == 0 && seen.abs_diff(below) <= rounding::OFF);
        }
    }

    #[test]
    fn who_is_left_from_an_edge_of_lines_on_is_rounded_once(sizes in prop::collection::vec(0i128..9, 20)) {
        let contract = parse(&NUMBERS.replace("type = \"bool\"", "type = \"bool\"\nrequired = true")
            .replace("range = [0, 120]", "range = [0, 120]\nrequired = true"), "demo.toml").unwrap();
        let column = |name: &str| Expr::Column(name.parse().unwrap());
        let edges = (1..10).map(|edge| f64::from(10 * edge)).collect();
        let lines = Bins::Lines(Lines { by: vec![column("ill")], of: column("age"), edges });
        let plan = Plan { query: contract.rows(None), statistic: Statistic::Bins(lines) };
        let plan = ValidPlan::check(plan, &contract).unwrap();
        let of = |mode| match let_out(cells(&sizes), &plan, &contract, mode) {
            Outcome::Lines(lines) => lines,
            other => panic!("{other:?}"),
        };
        let (exact, rounded) = (of(Mode::Exact), of(Mode::Round));
        for (exact, rounded) in exact.lines.iter().zip(&rounded.lines) {
            let (mut left, mut seen) = (0u64, 0u64);
            for (one, other) in exact.iter().zip(rounded).rev() {
                (left, seen) = (left + one.count.subjects, seen + other.count.subjects);
                prop_assert!(one.upto == other.upto && (one.count.subjects == 0) == (other.count.subjects == 0));
                prop_assert!(seen % rounding::BASE == 0 && seen.abs_diff(left) <= rounding::OFF);
            }
        }
    }
}
