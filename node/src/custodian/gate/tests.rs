//! The gate's rules one by one, on tallies made by hand.

use bocage_protocol::contract::parse;
use bocage_protocol::ids::TableName;
use bocage_protocol::plan::{
    Contracts, Derived, Expr, Feature, Measure, Pick, Plan, Query, RelatedTable, Rows, Statistic, Table,
};
use bocage_protocol::release::{CellRelease, Count, MeasureRelease, Outcome, TableRelease};
use bocage_protocol::tally::{Cell, Size, Sums, Tally};

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
    name = "weight"
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
    let query = contract.rows(None);
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
    let policy = GatePolicy { threshold: k, joint: 3, mode: Mode::Exact };
    let_out_counted(Counted::wide(tally, plan.layout(), k), plan, contract, &policy)
}

pub(super) fn let_out_counted(
    counted: Counted,
    plan: &ValidPlan,
    contract: &Contract,
    policy: &GatePolicy,
) -> TableRelease {
    match release(Private::table(counted), plan, contract, policy).unwrap().outcome() {
        Outcome::Table(table) => table.clone(),
        other => panic!("{other:?}"),
    }
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
fn the_total_leaves_only_where_no_cell_is_hidden() {
    let contract = contract("row");
    let plan = plan(&contract, false, vec![]);
    let total = |counts_: [i128; 4]| let_out(counts(&counts_), &plan, &contract, 3).total.map(|t| t.subjects);
    assert_eq!(total([3, 4, 5, 6]), Some(18));
    assert_eq!(total([3, 4, 5, 2]), None, "one hidden cell: the total is its value");
    assert_eq!(total([3, 4, 1, 1]), None, "who knows that one hidden cell is empty would know the other");
    assert_eq!(total([3, 2, 2, 0]), None);
    assert_eq!(total([0, 1, 1, 0]), None, "the cohort itself is too small");
}

#[test]
fn subjects_with_several_rows_are_never_rolled_up_and_their_total_never_leaves_beside_cells() {
    let contract = contract("patient");
    let plan = plan(&contract, true, vec![]);
    let cell = |subjects, rows| Cell { size: size(subjects, rows), measures: vec![] };
    let tally =
        |last| Tally { total: size(20, 73), cells: vec![cell(12, 30), cell(15, 20), cell(11, 20), cell(last, 3)] };
    let table = let_out(tally(3), &plan, &contract, 11);
    assert_eq!((table.step, table.total), (0, None));
    assert_eq!(shown(&table), [Some(12), Some(15), Some(11), None]);
    let table = let_out(tally(3), &plan, &contract, 3);
    assert_eq!((shown(&table).contains(&None), table.total), (false, None), "38 in the cells, 20 in all");
    let query = plan.plan().query.clone();
    let table = Table { by: vec![], measures: vec![], roll_up: false };
    let whole = ValidPlan::check(Plan { query, statistic: Statistic::Table(table) }, &contract).unwrap();
    let tally = Tally { total: size(20, 73), cells: vec![cell(20, 73)] };
    let table = let_out(tally, &whole, &contract, 3);
    assert_eq!(table.total, Some(Count { subjects: 20, rows: 73 }), "it is the one cell");
}

#[test]
fn a_measure_needs_k_subjects_and_a_condition_needs_them_on_both_sides() {
    let contract = contract("row");
    let measures =
        vec![Measure::Column("chol".parse().unwrap()), Measure::Condition(Expr::Column("ill".parse().unwrap()))];
    let plan = plan(&contract, false, measures);
    let cell = |valid, holds, fails| Cell {
        size: size(41, 41),
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
    let table = let_out(Tally { total: size(164, 164), cells }, &plan, &contract, 11);
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
fn a_value_that_is_made_of_chosen_rows_is_hidden_where_few_patients_lack_one() {
    let contract = contract("patient");
    let table: TableName = "demo".parse().unwrap();
    let related = [(table.clone(), RelatedTable { dataset: contract.id().clone(), contract: contract.hash() })].into();
    let filter = Some(Expr::Column("ill".parse().unwrap()));
    let of = Derived::Pick {
        pick: Pick::Greatest,
        column: "chol".parse().unwrap(),
        rows: Rows { table: table.clone(), filter, window: None },
    };
    let features = vec![Feature { name: "highest".parse().unwrap(), on: None, of }];
    let query = Query { related, features, ..contract.rows(None) };
    let measures = ["highest", "weight"].map(|name| Measure::Column(name.parse().unwrap())).to_vec();
    let by = vec![Expr::Column("site".parse().unwrap())];
    let statistic = Statistic::Table(Table { by, measures, roll_up: false });
    let contracts = Contracts { base: &contract, related: [(table, &contract)].into() };
    let plan = ValidPlan::check(Plan { query, statistic }, contracts).unwrap();
    let number = |valid: i128| Sums::Number { valid: size(valid, valid), sum: 7, sum_sq: 9 };
    let cell = |valid| Cell { size: size(40, 40), measures: vec![number(valid), number(valid)] };
    let tally = Tally { total: size(160, 160), cells: [40, 39, 30, 29].map(cell).to_vec() };
    let let_out = Outcome::Table(let_out(tally, &plan, &contract, 11));
    let Outcome::Table(table) = plan.as_written(&let_out).into_owned() else { panic!("a table is let out") };
    let hidden = |cell: &CellRelease| match cell {
        CellRelease::Shown { measures, .. } => [0, 1].map(|i| measures[i] == MeasureRelease::Hidden),
        CellRelease::FewerThanK => panic!("hidden"),
    };
    let found: Vec<[bool; 2]> = table.cells.iter().map(hidden).collect();
    let stored_is_never = [[false, false], [true, false], [true, false], [false, false]];
    assert_eq!(found, stored_is_never);
}

#[test]
fn a_tally_that_contradicts_itself_or_its_plan_is_withheld() {
    let contract = contract("row");
    let plan = plan(&contract, false, vec![]);
    let policy = GatePolicy { threshold: 3, joint: 3, mode: Mode::Exact };
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
        let bad = Private::table(Counted::wide(bad, plan.layout(), 3));
        assert_eq!(release(bad, &plan, &contract, &policy), Err(Withheld::Inconsistent));
    }
}

#[test]
fn details_of_another_threshold_tally_or_shape_are_withheld() {
    let contract = contract("row");
    let chol = Measure::Column("chol".parse().unwrap());
    let plan = plan(&contract, false, vec![chol, Measure::Condition(Expr::Column("ill".parse().unwrap()))]);
    let policy = GatePolicy { threshold: 3, joint: 3, mode: Mode::Exact };
    let n = size(4, 4);
    let sums =
        vec![Sums::Number { valid: n, sum: 0, sum_sq: 0 }, Sums::Condition { valid: n, holds: n, fails: size(0, 0) }];
    let tally = Tally { total: size(16, 16), cells: vec![Cell { size: n, measures: sums }; 4] };
    let good = || Counted::wide(tally.clone(), plan.layout(), 3);
    assert!(release(Private::table(good()), &plan, &contract, &policy).is_ok());
    let mut other_spread = Spread::new(3);
    other_spread.add(0, 3, 3);
    let details = |number: Vec<Spread>, lacking: Vec<u32>| vec![Detail::Number(number), Detail::Condition(lacking)];
    for (i, bad) in [
        Counted { threshold: 4, ..good() },
        Counted { details: vec![], ..good() },
        Counted { details: details(vec![Spread::Wide; 3], vec![0; 4]), ..good() },
        Counted { details: details(vec![other_spread; 4], vec![0; 4]), ..good() },
        Counted { details: details(vec![Spread::Wide; 4], vec![1; 4]), ..good() },
        Counted { details: details(vec![Spread::Wide; 4], vec![0; 5]), ..good() },
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(release(Private::table(bad), &plan, &contract, &policy), Err(Withheld::Inconsistent), "{i}");
    }
}

/// What leaves of the one measure of each cell.
fn measured(table: &TableRelease) -> Vec<&MeasureRelease> {
    let cells = table.cells.iter();
    cells
        .filter_map(|cell| match cell {
            CellRelease::Shown { measures, .. } => measures.first(),
            CellRelease::FewerThanK => None,
        })
        .collect()
}

#[test]
fn a_condition_is_hidden_where_it_is_null_for_a_few() {
    let ill = || vec![Measure::Condition(Expr::Column("ill".parse().unwrap()))];
    let hidden = |subject: &str, subjects: i128, lacking: u32| {
        let contract = contract(subject);
        let plan = plan(&contract, false, ill());
        let (valid, side) = (size(30, 30), size(15, 15));
        let sums = Sums::Condition { valid, holds: side, fails: side };
        let rows = subjects + i128::from(subject != "row");
        let cell = Cell { size: size(subjects, rows), measures: vec![sums] };
        let tally = Tally { total: size(subjects, 4 * rows), cells: vec![cell; 4] };
        let tally = if subject == "row" { Tally { total: size(4 * subjects, 4 * rows), ..tally } } else { tally };
        let counted = Counted { threshold: 11, tally, details: vec![Detail::Condition(vec![lacking; 4])] };
        let policy = GatePolicy { threshold: 11, joint: 3, mode: Mode::Exact };
        let table = let_out_counted(counted, &plan, &contract, &policy);
        *measured(&table)[0] == MeasureRelease::Hidden
    };
    assert_eq!([0, 1, 10, 11].map(|null| hidden("row", 30 + null, null as u32)), [false, true, true, false]);
    // Of several rows, those who have a value in none count, and those who lack one in some row.
    assert_eq!([0, 1, 10, 11].map(|null| hidden("patient", 30, null)), [false, true, true, false]);
    assert!(hidden("patient", 31, 11), "one patient has no value at all");
}

#[test]
fn cells_that_roll_up_bring_their_values_along() {
    let contract = contract("row");
    let plan = plan(&contract, true, vec![Measure::Column("chol".parse().unwrap())]);
    let policy = GatePolicy { threshold: 3, joint: 3, mode: Mode::Exact };
    // The first two cells are too small, so that they roll up; with `values` each.
    let first = |values: [&[i64]; 2]| {
        let cells = [values[0], values[1], &[1, 2, 3, 4, 5, 6, 7, 8], &[1, 1, 1, 1, 1, 1, 1, 1]];
        let cell = |values: &[i64]| {
            let n = size(values.len() as i128, values.len() as i128);
            let (sum, sum_sq) = values.iter().fold((0, 0), |(s, q), x| (s + i128::from(*x), q + i128::from(x * x)));
            Cell { size: n, measures: vec![Sums::Number { valid: n, sum, sum_sq }] }
        };
        let spread = |values: &[i64]| {
            let mut spread = Spread::new(3);
            values.iter().for_each(|q| spread.add(*q, 1, 3));
            spread
        };
        let n = cells.iter().map(|c| c.len() as i128).sum();
        let tally = Tally { total: size(n, n), cells: cells.map(cell).to_vec() };
        let counted = Counted { threshold: 3, tally, details: vec![Detail::Number(cells.map(spread).to_vec())] };
        let table = let_out_counted(counted, &plan, &contract, &policy);
        assert_eq!(table.step, 1);
        measured(&table).into_iter().map(|m| *m == MeasureRelease::Hidden).collect::<Vec<bool>>()
    };
    assert_eq!(first([&[1, 2], &[3, 4, 5, 6, 7, 8]]), [false, false, true]);
    assert_eq!(first([&[1, 2], &[3, 4, 5, 6, 7, 7]]), [true, false, true]);
    assert_eq!(first([&[1, 2], &[2, 1, 1, 2, 1, 2]]), [true, false, true]);
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
    let policy = GatePolicy { threshold: 3, joint: 3, mode: Mode::Exact };
    let released =
        release(Private::table(Counted::wide(counts(&[3, 4, 5, 6]), plan.layout(), 3)), &plan, &contract, &policy)
            .unwrap();
    let refusal = PublicError::new(ErrorCode::PolicyRefused, "not here");
    let digest = bocage_protocol::ids::Digest::of("test", &[]);
    let heading = Heading {
        study: digest,
        site: "cleveland".parse().unwrap(),
        round: 0,
        snapshot: digest,
        snapshot_at: bocage_protocol::env::Timestamp(5),
        ledger: bocage_protocol::trust::Standing { records: 3, head: digest, at: bocage_protocol::env::Timestamp(6) },
    };
    let answers = vec![
        Answer { analysis: 0, plan: plan.digest(), outcome: Ok(released.clone()) },
        Answer { analysis: 1, plan: plan.digest(), outcome: Err(refusal.clone()) },
    ];
    let sealed = seal(heading, answers, &key).unwrap().verify(&key.public()).unwrap();
    let outcomes: Vec<Outcome> = sealed.parts.into_iter().map(|part| part.outcome).collect();
    assert_eq!(outcomes, [released.outcome().clone(), Outcome::Refused(refusal)]);
}
