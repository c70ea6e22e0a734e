//! The gate's rules one by one, on tallies made by hand.

use bocage_protocol::contract::parse;
use bocage_protocol::plan::{Expr, Measure, Plan, Query, Statistic, Table};
use bocage_protocol::release::{CellRelease, Count, MeasureRelease, Outcome};
use bocage_protocol::tally::{Cell, Size, Sums};

use super::*;

const CONTRACT: &str = r#"
    id = "demo@1"
    subject = "SUBJECT"
    [[column]]
    name = "patient"
    type = "text"
    [[column]]
    name = "site"
    type = "code"
    required = true
    codes = [{ code = "a" }, { code = "b" }, { code = "c" }, { code = "d" }]
    groupings = [
        { name = "three", groups = [{ label = "ab", codes = ["a", "b"] }, { label = "c", codes = ["c"] }, { label = "d", codes = ["d"] }] },
        { name = "two", groups = [{ label = "ab", codes = ["a", "b"] }, { label = "cd", codes = ["c", "d"] }] },
    ]
    [[column]]
    name = "chol"
    type = "float"
    range = [0, 500]
    [[column]]
    name = "ill"
    type = "bool"
"#;

pub(super) fn contract(subject: &str) -> Contract {
    parse(&CONTRACT.replace("SUBJECT", subject), "demo.toml").unwrap()
}

/// Counts by `site`, four cells; with roll-up to three cells and to two.
pub(super) fn plan(contract: &Contract, roll_up: bool, measures: Vec<Measure>) -> ValidPlan {
    let query = Query { dataset: contract.id().clone(), contract: contract.hash(), filter: None };
    let by = vec![Expr::Column("site".parse().unwrap())];
    ValidPlan::check(Plan { query, statistic: Statistic::Table(Table { by, measures, roll_up }) }, contract).unwrap()
}

fn size(subjects: i128, rows: i128) -> Size {
    Size { subjects, rows }
}

/// Cells of one row a subject and no measures.
pub(super) fn counts(subjects: &[i128]) -> Tally {
    let cells: Vec<Cell> = subjects.iter().map(|n| Cell { size: size(*n, *n), measures: vec![] }).collect();
    let total = subjects.iter().sum();
    Tally { total: size(total, total), cells }
}

pub(super) fn let_out(tally: Tally, plan: &ValidPlan, contract: &Contract, k: u32) -> TableRelease {
    let policy = GatePolicy { threshold: k, mode: Mode::Exact };
    release(Private::new(tally), plan, contract, &policy).unwrap().table().clone()
}

fn shown(table: &TableRelease) -> Vec<Option<u64>> {
    let subjects = |cell: &CellRelease| match cell {
        CellRelease::FewerThanK => None,
        CellRelease::Shown { count, .. } => Some(count.subjects),
    };
    table.cells.iter().map(subjects).collect()
}

#[test]
fn no_count_below_the_threshold_leaves_and_zero_looks_like_the_others() {
    let contract = contract("row");
    let plan = plan(&contract, false, vec![]);
    let table = |counts_: [i128; 4]| let_out(counts(&counts_), &plan, &contract, 11);
    assert_eq!(shown(&table([11, 10, 30, 0])), [Some(11), None, Some(30), None]);
    for small in 0..11 {
        assert_eq!(table([11, small, 30, 40]), table([11, 0, 30, 40]), "{small}");
    }
}

#[test]
fn a_table_rolls_up_to_the_first_step_that_hides_nothing() {
    let contract = contract("row");
    let plan = plan(&contract, true, vec![]);
    let table = |counts_: [i128; 4]| let_out(counts(&counts_), &plan, &contract, 11);
    assert_eq!((table([11, 11, 11, 11]).step, shown(&table([11, 11, 11, 11]))), (0, vec![Some(11); 4]));
    assert_eq!(shown(&table([11, 5, 11, 11])), [Some(16), Some(11), Some(11)]);
    assert_eq!(shown(&table([11, 5, 6, 11])), [Some(16), Some(17)]);
    // Nowhere without a hidden cell: the smallest share is taken, the finest of equals.
    assert_eq!(shown(&table([5, 30, 3, 3])), [Some(35), None]);
    assert_eq!(shown(&table([0, 0, 30, 30])), [None, None, Some(30), Some(30)].map(|x| x)[1..].to_vec());
}

#[test]
fn the_total_leaves_only_where_it_narrows_no_hidden_cell() {
    let contract = contract("row");
    let plan = plan(&contract, false, vec![]);
    let total = |counts_: [i128; 4]| let_out(counts(&counts_), &plan, &contract, 3).total.map(|t| t.subjects);
    assert_eq!(total([3, 4, 5, 6]), Some(18));
    assert_eq!(total([3, 4, 5, 2]), None, "one hidden cell: the total is its value");
    assert_eq!(total([3, 4, 1, 1]), Some(9), "two hidden cells that sum to k − 1");
    assert_eq!(total([3, 4, 0, 1]), None, "both are at most 1");
    assert_eq!(total([3, 4, 2, 1]), None, "both are at least 1");
    assert_eq!(total([3, 2, 2, 0]), Some(7));
    assert_eq!(total([3, 2, 2, 1]), None);
    assert_eq!(total([0, 1, 1, 0]), None, "the cohort itself is too small");
}

#[test]
fn subjects_with_several_rows_are_never_rolled_up_and_their_total_stays_with_a_hidden_cell() {
    let contract = contract("patient");
    let plan = plan(&contract, true, vec![]);
    let cell = |subjects, rows| Cell { size: size(subjects, rows), measures: vec![] };
    let tally =
        |last| Tally { total: size(20, 73), cells: vec![cell(12, 30), cell(15, 20), cell(11, 20), cell(last, 3)] };
    let table = let_out(tally(3), &plan, &contract, 11);
    assert_eq!((table.step, table.total), (0, None));
    assert_eq!(shown(&table), [Some(12), Some(15), Some(11), None]);
    let table = let_out(tally(3), &plan, &contract, 3);
    assert_eq!(table.total, Some(Count { subjects: 20, rows: 73 }));
}

#[test]
fn a_measure_needs_k_subjects_and_a_condition_needs_them_on_both_sides() {
    let contract = contract("row");
    let measures =
        vec![Measure::Column("chol".parse().unwrap()), Measure::Condition(Expr::Column("ill".parse().unwrap()))];
    let plan = plan(&contract, false, measures);
    let cell = |valid, holds, fails| Cell {
        size: size(30, 30),
        measures: vec![
            Sums::Number { valid: size(valid, valid), sum: 7, sum_sq: 9 },
            Sums::Condition {
                valid: size(holds + fails, holds + fails),
                holds: size(holds, holds),
                fails: size(fails, fails),
            },
        ],
    };
    let cells = vec![cell(11, 11, 11), cell(10, 10, 20), cell(0, 20, 10), cell(30, 0, 30)];
    let table = let_out(Tally { total: size(120, 120), cells }, &plan, &contract, 11);
    let measures: Vec<&[MeasureRelease]> = table
        .cells
        .iter()
        .map(|c| match c {
            CellRelease::Shown { measures, .. } => measures.as_slice(),
            CellRelease::FewerThanK => panic!("hidden"),
        })
        .collect();
    let count = |n| Count { subjects: n, rows: n };
    assert_eq!(measures[0][0], MeasureRelease::Number { valid: count(11), sum: 7, sum_sq: 9 });
    assert_eq!(measures[0][1], MeasureRelease::Condition { valid: count(22), holds_rows: 11 });
    assert_eq!(measures[1], [MeasureRelease::Hidden, MeasureRelease::Hidden]);
    assert_eq!(measures[2], [MeasureRelease::Hidden, MeasureRelease::Hidden]);
    assert_eq!(measures[3], [MeasureRelease::Number { valid: count(30), sum: 7, sum_sq: 9 }, MeasureRelease::Hidden]);
}

#[test]
fn a_tally_that_contradicts_itself_or_its_plan_is_withheld() {
    let contract = contract("row");
    let plan = plan(&contract, false, vec![]);
    let policy = GatePolicy { threshold: 3, mode: Mode::Exact };
    let good = counts(&[3, 4, 5, 6]);
    let mut fewer_cells = good.clone();
    fewer_cells.cells.pop();
    let mut negative = good.clone();
    negative.cells[0].size.subjects = -1;
    let mut rows = good.clone();
    rows.cells[0].size.rows += 1;
    let mut total = good.clone();
    total.total.rows += 1;
    let mut measure = good;
    measure.cells[0].measures.push(Sums::Number { valid: size(0, 0), sum: 0, sum_sq: 0 });
    for bad in [fewer_cells, negative, rows, total, measure] {
        assert_eq!(release(Private::new(bad), &plan, &contract, &policy), Err(Withheld::Inconsistent));
    }
}

#[test]
fn a_sealed_answer_is_signed_by_the_sites_key_and_holds_what_was_released() {
    struct Sevens;
    impl bocage_protocol::env::Entropy for Sevens {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }
    let key = bocage_protocol::trust::SecretKey::generate(&mut Sevens);
    let contract = contract("row");
    let plan = plan(&contract, false, vec![]);
    let policy = GatePolicy { threshold: 3, mode: Mode::Exact };
    let released = release(Private::new(counts(&[3, 4, 5, 6])), &plan, &contract, &policy).unwrap();
    let refusal = PublicError::new(ErrorCode::PolicyRefused, "not here");
    let digest = bocage_protocol::ids::Digest::of("test", &[]);
    let heading = Heading {
        study: digest,
        site: "cleveland".parse().unwrap(),
        round: 0,
        snapshot: digest,
        snapshot_at: bocage_protocol::env::Timestamp(5),
    };
    let answers = vec![
        Answer { analysis: 0, plan: plan.digest(), outcome: Ok(released.clone()) },
        Answer { analysis: 1, plan: plan.digest(), outcome: Err(refusal.clone()) },
    ];
    let sealed = seal(heading, answers, &key).unwrap().verify(&key.public()).unwrap();
    let outcomes: Vec<Outcome> = sealed.parts.into_iter().map(|part| part.outcome).collect();
    assert_eq!(outcomes, [Outcome::Table(released.table().clone()), Outcome::Refused(refusal)]);
}
