//! What has moved, on tallies made by hand: what is hidden for it, what takes its place, and what two answers say together.

use bocage_protocol::plan::{Measure, ValidPlan};
use bocage_protocol::release::{CellRelease, MeasureRelease, TableRelease};
use bocage_protocol::tally::{Cell, Size, Sums, Tally};
use proptest::prelude::*;

use super::super::tests::{contract, counts, plan};
use super::super::{
    Computed, Contract, Controls, Counted, GatePolicy, Mode, Moved, MovedPart, Outcome, Private, release_under,
};

const K: u32 = 3;

fn let_out(tally: Tally, moved: Vec<Tally>, plan: &ValidPlan, contract: &Contract) -> TableRelease {
    let part = |part| (None, false, part);
    let_out_of(tally, moved.into_iter().map(part).collect(), plan, contract)
}

/// The parts: with their number, if the next one has the same patients, and whether those stay where they are.
fn let_out_of(
    tally: Tally,
    moved: Vec<(Option<usize>, bool, Tally)>,
    plan: &ValidPlan,
    contract: &Contract,
) -> TableRelease {
    let policy = GatePolicy { threshold: K, joint: 3, mode: Mode::Exact };
    let counted = |tally| Counted::wide(tally, plan.layout(), K);
    let part = |(twin, stays, part)| {
        let counted = Computed::Table(counted(part));
        MovedPart { inside: false, twin, stays, counted }
    };
    let moved = Moved(moved.into_iter().map(part).collect());
    let (of, moved) = (Private::table(counted(tally)), Private::new(moved));
    match release_under(Controls::default(), of, moved, plan, contract, &policy).unwrap().outcome() {
        Outcome::Table(table) => table.clone(),
        other => panic!("{other:?}"),
    }
}

/// What leaves of four cells.
fn shown(of: &[i128], moved: &[&[i128]], roll_up: bool) -> (Vec<Option<u64>>, TableRelease) {
    let contract = contract("row");
    let plan = plan(&contract, roll_up, vec![]);
    let table = let_out(counts(of), moved.iter().map(|part| counts(part)).collect(), &plan, &contract);
    let subjects = |cell: &CellRelease| match cell {
        CellRelease::FewerThanK => None,
        CellRelease::Shown { count, .. } => Some(count.subjects),
    };
    (table.cells.iter().map(subjects).collect(), table)
}

#[test]
fn a_cell_in_which_fewer_than_k_have_moved_is_hidden_with_the_total_and_the_release_says_so() {
    let (cells, table) = shown(&[9, 9, 9, 9], &[&[0, 2, 3, 0]], false);
    assert_eq!(cells, [Some(9), None, Some(9), Some(9)]);
    assert!(table.total.is_none() && table.held_back);
    assert_eq!(table.most_hidden(), None, "it may have any size");
    let (cells, table) = shown(&[9, 9, 9, 9], &[&[0, 3, 4, 9]], false);
    assert_eq!(cells, [Some(9); 4]);
    assert!(table.total.is_some() && !table.held_back);
    let (cells, table) = shown(&[9, 1, 9, 9], &[&[0, 1, 0, 0]], false);
    assert_eq!((cells[1], table.most_hidden()), (None, Some(2)), "it was never shown");
}

#[test]
fn whoever_remembers_a_cell_cannot_tell_from_the_answer_how_many_have_gone() {
    // Four were shown before: one, two or three (k = 3) are left.
    let told = |left: i128| {
        let (cells, table) = shown(&[9, left, 9, 9], &[&[0, 4 - left, 0, 0]], false);
        (cells, table.total, table.held_back)
    };
    assert_eq!(told(3), told(2), "one or two have gone");
    assert!(told(3).2 && !told(1).2, "three, who are k, have gone: that may be told");
}

#[test]
fn each_part_that_has_moved_counts_by_itself() {
    assert_eq!(shown(&[9, 9, 9, 9], &[&[2, 0, 0, 0], &[2, 3, 0, 0]], false).0, [None, Some(9), Some(9), Some(9)]);
}

#[test]
fn a_cell_that_has_some_of_the_same_patients_before_and_after_is_hidden_unless_nobody_changes_cells() {
    let contract = contract("row");
    let plan = plan(&contract, false, vec![]);
    let cells = |parts: [(Option<usize>, bool, &[i128]); 2]| {
        let parts = parts.map(|(twin, stays, cells)| (twin, stays, counts(cells))).to_vec();
        let table = let_out_of(counts(&[9, 9, 9, 9]), parts, &plan, &contract);
        (table.cells.iter().map(CellRelease::is_shown).collect::<Vec<_>>(), table.held_back)
    };
    let (whole, five) = (vec![true; 4], [0, 5, 0, 0].as_slice());
    assert_eq!(cells([(Some(0), false, five), (Some(0), false, &[0, 0, 5, 0])]), (whole.clone(), false));
    // Of the five here one may be another.
    let hidden = (vec![true, false, true, true], true);
    assert_eq!(cells([(Some(0), false, five), (Some(0), false, five)]), hidden);
    for twins in [[Some(0), Some(1)], [None, None]] {
        assert_eq!(cells([(twins[0], false, five), (twins[1], false, five)]), (whole.clone(), false));
    }
    assert_eq!(cells([(Some(0), true, &[0, 1, 0, 0]), (Some(0), true, &[0, 1, 0, 0])]), (whole, false));
}

#[test]
fn a_coarser_step_is_taken_where_enough_have_moved_together() {
    let (cells, table) = shown(&[9, 9, 9, 9], &[&[2, 1, 0, 0]], true);
    assert_eq!((cells, table.step), (vec![Some(18), Some(9), Some(9)], 1));
}

#[test]
fn a_measure_leaves_where_it_would_of_those_alone_who_have_moved() {
    let contract = contract("row");
    let measures = vec![
        Measure::Column("chol".parse().unwrap()),
        Measure::Condition(bocage_protocol::plan::Expr::Column("ill".parse().unwrap())),
    ];
    let plan = plan(&contract, false, measures);
    let size = |n: i128| Size { subjects: n, rows: n };
    let tally = |n: i128, valid: i128, holds: i128| {
        let number = Sums::Number { valid: size(valid), sum: 0, sum_sq: 0 };
        let condition = Sums::Condition { valid: size(n), holds: size(holds), fails: size(n - holds) };
        let none = Cell {
            size: size(0),
            measures: vec![
                Sums::Number { valid: size(0), sum: 0, sum_sq: 0 },
                Sums::Condition { valid: size(0), holds: size(0), fails: size(0) },
            ],
        };
        let first = Cell { size: size(n), measures: vec![number, condition] };
        Tally { total: size(n), cells: vec![first, none.clone(), none.clone(), none] }
    };
    let hidden = |valid: i128, holds: i128| {
        let table = let_out(tally(20, 20, 10), vec![tally(8, valid, holds)], &plan, &contract);
        let CellRelease::Shown { measures, .. } = &table.cells[0] else { panic!("eight have moved") };
        measures.iter().map(|measure| *measure == MeasureRelease::Hidden).collect::<Vec<_>>()
    };
    assert_eq!(hidden(8, 4), [false, false]);
    assert_eq!(hidden(2, 4), [true, false], "two of them have a value");
    assert_eq!(hidden(0, 4), [false, false], "none of them has");
    assert_eq!(hidden(8, 1), [false, true], "one of them is on one side");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn two_answers_differ_in_no_shown_cell_by_fewer_than_k(
        cells in prop::collection::vec((0i128..9, 0i128..9), 4),
        roll_up in any::<bool>(),
    ) {
        let (now, moved): (Vec<i128>, Vec<i128>) = cells.into_iter().unzip();
        let before: Vec<i128> = now.iter().zip(&moved).map(|(now, moved)| now + moved).collect();
        let layout = plan(&contract("row"), true, vec![]);
        let (_, first) = shown(&before, &[], roll_up);
        let (_, second) = shown(&now, &[&moved], roll_up);
        // At the coarser of both steps, whoever reads both can add what is shown of each.
        let step = usize::from(first.step.max(second.step));
        let sums = |table: &TableRelease| {
            let mut sums = vec![Some(0u64); layout.layout().cells_at(step)];
            let to = layout.layout().containing(usize::from(table.step), step);
            for (cell, at) in table.cells.iter().zip(to) {
                sums[at] = match cell {
                    CellRelease::Shown { count, .. } => sums[at].map(|sum| sum + count.subjects),
                    CellRelease::FewerThanK => None,
                };
            }
            sums
        };
        for (a, b) in sums(&first).into_iter().zip(sums(&second)) {
            let Some((a, b)) = a.zip(b) else { continue };
            prop_assert!(a == b || a - b >= u64::from(K), "{a} {b}");
        }
        if let Some((a, b)) = first.total.zip(second.total) {
            prop_assert!(a == b || a.subjects - b.subjects >= u64::from(K));
        }
    }
}
