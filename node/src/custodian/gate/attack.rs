//! An attacker who knows the gate's rules by heart and can try every table: what it still cannot tell.

mod sums;

use std::collections::{BTreeMap, BTreeSet};

use bocage_protocol::release::{CellRelease, TableRelease};

use super::tests::{contract, counts, let_out, plan};
use super::*;

const K: u32 = 3;
/// Cells of 0 … 7 subjects: hidden ones, those at the threshold, and some beyond every sum of hidden ones.
const LARGEST: i128 = 7;

/// Every table of four cells.
fn tables() -> impl Iterator<Item = [i128; 4]> {
    let base = LARGEST + 1;
    (0..base.pow(4)).map(move |n| [n % base, n / base % base, n / base.pow(2) % base, n / base.pow(3)])
}

/// For every release: the values that each of its hidden cells has in the tables that lead to exactly this release.
fn candidates(see: impl Fn(&[i128; 4]) -> (TableRelease, Vec<i128>)) -> Vec<(TableRelease, Vec<BTreeSet<i128>>)> {
    let mut seen: BTreeMap<String, (TableRelease, Vec<BTreeSet<i128>>)> = BTreeMap::new();
    for table in tables() {
        let (release, truth) = see(&table);
        let entry = seen
            .entry(format!("{release:?}"))
            .or_insert_with(|| (release.clone(), vec![BTreeSet::new(); release.cells.len()]));
        for ((cell, value), values) in release.cells.iter().zip(truth).zip(&mut entry.1) {
            if *cell == CellRelease::FewerThanK {
                values.insert(value);
            }
        }
    }
    seen.into_values().collect()
}

/// The fewest values that a hidden cell can have, over all releases.
fn weakest(see: impl Fn(&[i128; 4]) -> (TableRelease, Vec<i128>)) -> usize {
    let hidden = |(release, values): (TableRelease, Vec<BTreeSet<i128>>)| {
        let cells = release.cells.into_iter().zip(values);
        cells.filter(|(cell, _)| *cell == CellRelease::FewerThanK).map(|(_, values)| values.len()).min()
    };
    candidates(see).into_iter().filter_map(hidden).min().unwrap()
}

fn observed(table: &[i128; 4], plan: &ValidPlan, contract: &Contract) -> (TableRelease, Vec<i128>) {
    let tally = counts(table);
    let release = let_out(tally.clone(), plan, contract, K);
    let cells = tally.rolled_up(plan.layout(), usize::from(release.step)).unwrap();
    (release, cells.iter().map(|cell| cell.size.subjects).collect())
}

#[test]
fn every_hidden_cell_keeps_k_possible_values() {
    let contract = contract("row");
    for roll_up in [false, true] {
        let plan = plan(&contract, roll_up, vec![]);
        assert_eq!(weakest(|table| observed(table, &plan, &contract)), K as usize, "roll_up = {roll_up}");
    }
}

#[test]
fn the_attack_succeeds_against_a_gate_that_always_shows_the_total() {
    let contract = contract("row");
    for roll_up in [false, true] {
        let plan = plan(&contract, roll_up, vec![]);
        let careless = |table: &[i128; 4]| {
            let (mut release, truth) = observed(table, &plan, &contract);
            let n = table.iter().sum::<i128>() as u64;
            release.total = Some(bocage_protocol::release::Count { subjects: n, rows: n });
            (release, truth)
        };
        assert_eq!(weakest(careless), 1, "roll_up = {roll_up}");
    }
}

#[test]
fn the_attack_succeeds_against_a_gate_that_shows_totals_at_finer_steps() {
    let contract = contract("row");
    let plan = plan(&contract, true, vec![]);
    let careless = |table: &[i128; 4]| {
        let (mut release, truth) = observed(table, &plan, &contract);
        let hidden: Vec<i128> = release
            .cells
            .iter()
            .zip(&truth)
            .filter_map(|(cell, value)| (*cell == CellRelease::FewerThanK).then_some(*value))
            .collect();
        let (m, rest, k) = (hidden.len() as i128, hidden.iter().sum::<i128>(), i128::from(K));
        let n = table.iter().sum::<i128>() as u64;
        if m == 0 || (k - 1 <= rest && rest <= (m - 1) * (k - 1)) {
            release.total = (n >= u64::from(K)).then_some(bocage_protocol::release::Count { subjects: n, rows: n });
        }
        (release, truth)
    };
    assert!(weakest(careless) < K as usize);
}

#[test]
fn a_table_of_one_cell_gives_nothing_away_either() {
    let contract = contract("row");
    let query = plan(&contract, false, vec![]).plan().query.clone();
    let table = bocage_protocol::plan::Table { by: vec![], measures: vec![], roll_up: false };
    let statistic = bocage_protocol::plan::Statistic::Table(table);
    let plan = ValidPlan::check(bocage_protocol::plan::Plan { query, statistic }, &contract).unwrap();
    let releases: BTreeSet<String> =
        (0..K).map(|n| format!("{:?}", let_out(counts(&[i128::from(n)]), &plan, &contract, K))).collect();
    assert_eq!(releases.len(), 1);
}
