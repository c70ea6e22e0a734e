//! The engine against the row-by-row interpreter, and the laws of its tallies.

mod bins;
mod discovered;
pub(super) mod generate;
mod lookups;
mod narrow;
mod normal;
mod optouts;
mod room;
mod wide;

use bocage_protocol::contract::Contract;
use bocage_protocol::ids::Digest;
use bocage_protocol::plan::{Branch, Comparison, Expr, Literal, Measure, Operation, Plan, Statistic, Table, ValidPlan};
use bocage_protocol::tally::Tally;
use polars::prelude::{IntoColumn, NamedFrom, Series};
use proptest::prelude::*;

use self::generate::{contract, frame, plans, rows, together};
use super::interpreter::{self, Row};
use super::parts::PartCount as _;
use super::*;
use crate::custodian::gate::Counted;
use crate::custodian::snapshot::{Offered, Snapshot};
use crate::custodian::source::SUBJECT;

/// The gate's threshold.
const K: u32 = 3;

/// Those of a plan without any.
static NO_FEATURES: Columns = Columns::none();

pub(super) fn snapshot() -> Digest {
    Digest::of("test", &[])
}

fn engine(rows: &[Row], plan: &ValidPlan, contract: &Contract) -> Tally {
    tally(&frame(rows, contract), plan, contract).unwrap()
}

/// The tally as a gate would get it.
fn counted(rows: &[Row], plan: &ValidPlan, contract: &Contract, k: u32) -> Counted {
    counted_in(Partition::of(plan.layout().values()), k, &frame(rows, contract), plan, contract).unwrap()
}

fn asked<'a>(k: u32, frame: &'a DataFrame, plan: &'a ValidPlan, contract: &'a Contract) -> Asked<'a> {
    Asked { rows: Rows::made(frame, &[]), plan, contract, features: &NO_FEATURES, folds: None, k, snapshot: snapshot() }
}

fn counted_in(
    partition: Partition,
    k: u32,
    frame: &DataFrame,
    plan: &ValidPlan,
    contract: &Contract,
) -> Result<Counted, EngineError> {
    asked(k, frame, plan, contract).pass(partition).map(Pass::finish)
}

fn tally(frame: &DataFrame, plan: &ValidPlan, contract: &Contract) -> Result<Tally, EngineError> {
    counted_in(Partition::of(plan.layout().values()), K, frame, plan, contract).map(|counted| counted.tally)
}

fn check(contract: &Contract, filter: Option<Expr>, by: Vec<Expr>, measures: Vec<Measure>) -> ValidPlan {
    let query = contract.rows(filter);
    let statistic = Statistic::Table(Table { by, measures, roll_up: false });
    ValidPlan::check(Plan { query, statistic }, contract).unwrap()
}

pub(super) fn cases(cases: u32) -> ProptestConfig {
    let scale = std::env::var("BOCAGE_TEST_SCALE").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases * scale) }
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn the_engine_agrees_with_the_interpreter(rows in rows(40), plan in plans()) {
        let contract = contract();
        let Ok(plan) = ValidPlan::check(plan, &contract) else { return Ok(()) };
        prop_assert_eq!(counted(&rows, &plan, &contract, K), interpreter::counted(&rows, &plan, &contract, K));
    }

    #[test]
    fn the_engine_counts_subjects_with_several_rows(rows in rows(40), plan in plans(), per_subject in 1u32..6) {
        let contract = contract();
        let Ok(plan) = ValidPlan::check(plan, &contract) else { return Ok(()) };
        let rows = together(rows, per_subject);
        prop_assert_eq!(counted(&rows, &plan, &contract, K), interpreter::counted(&rows, &plan, &contract, K));
    }
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn any_split_of_the_subjects_over_sites_in_any_order_gives_the_same_bits(
        rows in rows(60),
        plan in plans(),
        site_of in proptest::collection::vec(0usize..3, 60),
        shuffle in proptest::collection::vec(any::<u32>(), 60),
    ) {
        let contract = contract();
        let Ok(plan) = ValidPlan::check(plan, &contract) else { return Ok(()) };
        let whole = engine(&rows, &plan, &contract);
        let mut sites: Vec<Vec<Row>> = vec![vec![]; 3];
        for row in &rows {
            sites[site_of[row.subject as usize]].push(row.clone());
        }
        let mut merged = Tally::zero(plan.layout());
        for mut site in sites.into_iter().rev() {
            site.sort_by_key(|row| shuffle[row.subject as usize]);
            for (number, row) in site.iter_mut().enumerate() {
                row.subject = number as u32;
            }
            merged = merged.merge(&engine(&site, &plan, &contract)).unwrap();
        }
        prop_assert_eq!(merged, whole);
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn any_partition_on_any_number_of_threads_gives_the_same_bits(
        rows in rows(60),
        plan in plans(),
        per_subject in 1u32..4,
        part_rows in 1usize..9,
        threads in 1usize..5,
    ) {
        let contract = contract();
        let Ok(plan) = ValidPlan::check(plan, &contract) else { return Ok(()) };
        let rows = together(rows, per_subject);
        let frame = frame(&rows, &contract);
        let one = counted_in(Partition { rows: usize::MAX, threads: 1 }, K, &frame, &plan, &contract).unwrap();
        let many = counted_in(Partition { rows: part_rows, threads }, K, &frame, &plan, &contract).unwrap();
        prop_assert_eq!(many, one);
    }
}

#[test]
fn whatever_threads_take_which_part_the_bits_are_the_same() {
    let contract = contract();
    let rows: Vec<Row> = (0..600u32)
        .map(|i| {
            let mut values = std::collections::BTreeMap::from([
                ("age".to_owned(), interpreter::Value::Number(f64::from(i % 121))),
                ("smoker".to_owned(), interpreter::Value::Bool(i % 3 == 0)),
            ]);
            // Missing in the second half only: some passes have met a missing value and others have not.
            if i < 300 || i % 2 == 0 {
                values.insert("chol".to_owned(), interpreter::Value::Number(f64::from(i)));
            }
            Row { subject: i / 3, values }
        })
        .collect();
    let measures = vec![Measure::Column("chol".parse().unwrap()), Measure::Condition(column("smoker"))];
    let plan = check(&contract, None, vec![column("smoker")], measures);
    let frame = frame(&rows, &contract);
    let whole = interpreter::counted(&rows, &plan, &contract, K);
    // Every split of the parts over two passes that a race could make, and both orders of putting them together.
    for split in [1, 100, 299, 300, 301, 450, 599] {
        for swapped in [false, true] {
            let pass = |range: std::ops::Range<usize>| {
                let rows = frame.slice(range.start as i64, range.len());
                let whole = Partition { rows: usize::MAX, threads: 1 };
                asked(K, &rows, &plan, &contract).pass(whole).unwrap()
            };
            let at = split / 3 * 3;
            let (mut a, mut b) = (pass(0..at), pass(at..600));
            if swapped {
                std::mem::swap(&mut a, &mut b);
            }
            a.absorb(b).unwrap();
            assert_eq!(a.finish(), whole, "{split}");
        }
    }
}

#[test]
fn a_value_that_is_missing_late_in_a_part_is_missed_there_alone() {
    let contract = contract();
    let rows: Vec<Row> = (0..7_000u32)
        .map(|i| {
            let mut values =
                std::collections::BTreeMap::from([("age".to_owned(), interpreter::Value::Number(f64::from(i % 121)))]);
            if i < 5_000 || i % 7 > 0 {
                values.insert("chol".to_owned(), interpreter::Value::Number(f64::from(i % 600)));
                values.insert("smoker".to_owned(), interpreter::Value::Bool(i % 3 == 0));
            }
            Row { subject: i / 3, values }
        })
        .collect();
    let measures = vec![Measure::Column("chol".parse().unwrap()), Measure::Condition(column("smoker"))];
    let by = Expr::Cut { of: Box::new(column("age")), breaks: vec![45.0, 65.0] };
    let plan = check(&contract, None, vec![by], measures);
    assert_eq!(counted(&rows, &plan, &contract, K), interpreter::counted(&rows, &plan, &contract, K));
}

#[test]
fn subjects_that_fall_between_two_parts_are_refused() {
    let contract = contract();
    let mut frame = frame(&ages([1, 2, 3, 4]), &contract);
    frame.with_column(Series::new(SUBJECT.into(), [2u32, 3, 0, 1]).into_column()).unwrap();
    let plan = check(&contract, None, vec![], vec![]);
    for threads in [1, 2] {
        let error = counted_in(Partition { rows: 2, threads }, K, &frame, &plan, &contract).err();
        assert_eq!(error, Some(EngineError::Rows { snapshot: snapshot(), cause: PassError::Unsorted }));
    }
}

fn number(x: f64) -> Expr {
    Expr::Literal(Literal::Float(x))
}

fn column(name: &str) -> Expr {
    Expr::Column(name.parse().unwrap())
}

fn compare(op: Comparison, left: Expr, right: Expr) -> Expr {
    Expr::Compare { op, left: Box::new(left), right: Box::new(right) }
}

/// One row for each age, and nothing else.
fn ages(ages: impl IntoIterator<Item = i64>) -> Vec<Row> {
    let row = |(subject, age): (usize, i64)| Row {
        subject: subject as u32,
        values: [("age".to_owned(), interpreter::Value::Number(age as f64))].into(),
    };
    ages.into_iter().enumerate().map(row).collect()
}

#[test]
fn a_number_divided_by_itself_is_one() {
    let contract = contract();
    let rows = ages(1..=120);
    for age in 1..=120 {
        let ratio = Expr::Arithmetic {
            op: Operation::Divide,
            left: Box::new(column("age")),
            right: Box::new(number(f64::from(age))),
        };
        let plan = check(&contract, Some(compare(Comparison::Equal, ratio, number(1.0))), vec![], vec![]);
        assert_eq!(engine(&rows, &plan, &contract).total.rows, 1, "{age}");
    }
}

#[test]
fn a_condition_and_its_opposite_are_null_together() {
    let contract = contract();
    let rows = ages([30]);
    let both = Expr::And(vec![column("smoker"), Expr::Not(Box::new(column("smoker")))]);
    let truth = Expr::IsNull(Box::new(column("note")));
    let plan = check(&contract, Some(compare(Comparison::NotEqual, truth, both)), vec![], vec![]);
    assert_eq!(interpreter::tally(&rows, &plan, &contract).total.rows, 0);
    assert_eq!(engine(&rows, &plan, &contract), interpreter::tally(&rows, &plan, &contract));
}

#[test]
fn an_expression_of_constants_alone_works_in_every_place() {
    let contract = contract();
    let rows = ages([30, 40, 50]);
    let truth = || {
        compare(
            Comparison::Less,
            number(1.0),
            Expr::Arithmetic { op: Operation::Divide, left: Box::new(number(6.0)), right: Box::new(number(3.0)) },
        )
    };
    let never = compare(
        Comparison::Equal,
        Expr::Arithmetic { op: Operation::Divide, left: Box::new(number(1.0)), right: Box::new(number(0.0)) },
        number(1.0),
    );
    let plan = check(&contract, Some(truth()), vec![truth()], vec![Measure::Condition(truth())]);
    assert_eq!(engine(&rows, &plan, &contract), interpreter::tally(&rows, &plan, &contract));
    let plan = check(&contract, Some(never), vec![truth()], vec![]);
    assert_eq!(engine(&rows, &plan, &contract), Tally::zero(plan.layout()));
}

#[test]
fn the_largest_expressions_that_the_limits_allow_run_on_a_small_stack() {
    let contract = contract();
    let rows = ages(0..120);
    let is = |age: i64| compare(Comparison::Equal, column("age"), Expr::Literal(Literal::Int(age)));
    let branches = (0..490).map(|i| Branch { when: is(i), then: number(i as f64) }).collect();
    let case = Expr::Case { branches, otherwise: None };
    let any = Expr::Or((0..600).map(is).collect());
    let mut nested = column("age");
    for i in 0..47 {
        nested = Expr::NullIf { of: Box::new(nested), equal: Box::new(number(f64::from(i))) };
    }
    for filter in
        [compare(Comparison::Less, case, number(60.0)), any, compare(Comparison::Greater, nested, number(1.0))]
    {
        let (rows, contract) = (rows.clone(), contract.clone());
        let work = move || {
            let plan = check(&contract, Some(filter), vec![], vec![]);
            assert_eq!(engine(&rows, &plan, &contract), interpreter::tally(&rows, &plan, &contract));
        };
        std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
    }
}

#[test]
fn rows_that_are_not_sorted_by_subject_are_refused() {
    let contract = contract();
    let mut frame = frame(&ages([1, 2, 3]), &contract);
    frame.with_column(Series::new(SUBJECT.into(), [0u32, 2, 1]).into_column()).unwrap();
    let plan = check(&contract, None, vec![], vec![]);
    let error = tally(&frame, &plan, &contract).unwrap_err();
    assert_eq!(error, EngineError::Rows { snapshot: snapshot(), cause: PassError::Unsorted });
}

#[test]
fn no_rows_give_the_zero_tally() {
    let contract = contract();
    let measures = vec![Measure::Column("chol".parse().unwrap()), Measure::Condition(column("smoker"))];
    let plan = check(&contract, None, vec![column("cp")], measures);
    assert_eq!(engine(&[], &plan, &contract), Tally::zero(plan.layout()));
}

#[test]
fn a_failing_query_tells_nothing_of_the_data() {
    let contract = contract();
    let plan = check(
        &contract,
        Some(compare(Comparison::Equal, column("note"), Expr::Literal(Literal::Text("x".into())))),
        vec![],
        vec![],
    );
    let damaged = polars::df!(SUBJECT => [0u32], "note" => [4711i64]).unwrap();
    let error = tally(&damaged, &plan, &contract).unwrap_err();
    assert!(matches!(error, EngineError::Query { .. }), "{error}");
    assert!(!error.to_string().contains("4711"), "{error}");
}

#[test]
fn a_panic_inside_the_query_is_an_error() {
    let contract = contract();
    let broken = frame(&ages([1, 2]), &contract)
        .lazy()
        .select([polars::prelude::col("age").map(|_| panic!("63"), |_, field| Ok(field.clone()))]);
    assert!(collect(broken).is_err());
}

#[test]
fn a_plan_runs_over_a_snapshot_of_its_own_contract_only() {
    let dir = tempfile::tempdir().unwrap();
    let csv: String = (0..100).map(|i| format!("{},{}\n", i % 50, 200 + i)).collect();
    std::fs::write(dir.path().join("v.csv"), format!("age,chol\n{csv}")).unwrap();
    let absent = ["weight", "ca", "cp", "smoker", "note", "seen", "left", "at"];
    let section = serde_json::json!({
        "contract": "visits@1", "source": {"kind": "csv", "path": "v.csv"}, "absent": absent,
    });
    let mut problems = bocage_protocol::settings::Problems::default();
    let spec =
        crate::custodian::source::DatasetSpec::read("v", &section, "node.toml", dir.path(), &mut problems).unwrap();
    let contract = contract();
    let now = bocage_protocol::env::Timestamp(0);
    crate::custodian::snapshot::Taking::into(dir.path()).take(&spec, &contract, now).unwrap();
    let snapshot = Snapshot::open_current(dir.path(), "v").unwrap();
    let snapshot = Offered::new(std::sync::Arc::new(snapshot), None);

    let old = compare(Comparison::GreaterOrEqual, column("age"), number(40.0));
    let plan = check(&contract, Some(old), vec![], vec![Measure::Column("chol".parse().unwrap())]);
    let ask = |contract: &Contract, plan: &ValidPlan| {
        run(
            &Ground::alone(&snapshot, contract),
            &mut Features::default(),
            &Designs::new("here".parse().unwrap()),
            plan,
            K,
        )
    };
    let tally = ask(&contract, &plan).unwrap().reveal_table().tally;
    assert_eq!(tally.total.subjects, 20);
    let (
        bocage_protocol::tally::Sums::Number { valid, sum, .. },
        bocage_protocol::plan::MeasureLayout::Number(quantum),
    ) = (&tally.cells[0].measures[0], plan.layout().measures()[0])
    else {
        panic!("no number")
    };
    let chol = (0..100).filter(|i| i % 50 >= 40).map(|i| f64::from(200 + i)).sum::<f64>();
    assert!((quantum.sum(valid.rows as u64, *sum) - chol).abs() < 1e-6);

    let other = generate::contract_with("range = [0, 120]", "range = [0, 121]");
    let foreign = check(&other, None, vec![], vec![]);
    assert!(matches!(ask(&other, &foreign), Err(EngineError::ContractMismatch { .. })));
    assert!(matches!(ask(&contract, &foreign), Err(EngineError::ContractMismatch { .. })));
}
