//! Discovered keys in the engine: against the reference, under any partition, and with less room than there are values.

use bocage_protocol::plan::{Discovered, Expr, Plan, Statistic, Table, ValidPlan};
use polars::prelude::{DataFrame, IntoColumn as _, NamedFrom as _, Series};
use proptest::prelude::*;

use super::generate::{contract, discovered_plans, frame, rows, together};
use super::{K, asked, cases, column, compare, number, snapshot};
use crate::custodian::engine::interpreter::{self, Row, Value};
use crate::custodian::engine::parts::Partition;
use crate::custodian::engine::{EngineError, PassError};
use crate::custodian::gate::CountedKeys;
use crate::custodian::source::SUBJECT;
use bocage_protocol::contract::Contract;
use bocage_protocol::plan::Comparison;

pub(super) const WHOLE: Partition = Partition { rows: usize::MAX, threads: 1 };

fn keys(partition: Partition, k: u32, rows: &[Row], plan: &ValidPlan, contract: &Contract) -> CountedKeys {
    asked(k, &frame(rows, contract), plan, contract).keys(partition, plan.most_keys()).unwrap()
}

fn plan(key: &str, filter: Option<Expr>, by: Vec<Expr>) -> ValidPlan {
    let contract = contract();
    let query = contract.rows(filter);
    let table = Table { by, measures: vec![], roll_up: false };
    let discovered = Discovered { key: key.parse().unwrap(), table };
    ValidPlan::check(Plan { query, statistic: Statistic::Discovered(discovered) }, &contract).unwrap()
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn the_engine_finds_and_counts_the_keys_that_the_interpreter_does(
        rows in rows(60),
        plan in discovered_plans(),
        per_subject in 1u32..4,
        k in 1u32..5,
    ) {
        let contract = contract();
        let Ok(plan) = ValidPlan::check(plan, &contract) else { return Ok(()) };
        let rows = together(rows, per_subject);
        let found = keys(WHOLE, k, &rows, &plan, &contract);
        prop_assert_eq!(found, interpreter::keys(&rows, &plan, &contract, k, plan.most_keys()));
    }

    #[test]
    fn any_partition_on_any_number_of_threads_finds_the_same_bits(
        rows in rows(60),
        plan in discovered_plans(),
        per_subject in 1u32..4,
        part_rows in 1usize..9,
        threads in 1usize..5,
    ) {
        let contract = contract();
        let Ok(plan) = ValidPlan::check(plan, &contract) else { return Ok(()) };
        let rows = together(rows, per_subject);
        let many = keys(Partition { rows: part_rows, threads }, K, &rows, &plan, &contract);
        prop_assert_eq!(many, keys(WHOLE, K, &rows, &plan, &contract));
    }
}

/// Texts of which some are frequent, most occur once, and many start alike.
fn texts(rows: usize) -> Vec<Row> {
    let text = |i: usize| match i % 3 {
        0 => format!("patient {i}"),
        _ => format!("frequent {}", (i * i) % 97),
    };
    let values = |i: usize| {
        let note = (i % 31 != 30).then(|| ("note".to_owned(), Value::Text(text(i))));
        let smoker = (i % 5 != 4).then(|| ("smoker".to_owned(), Value::Bool(i % 7 < 5)));
        note.into_iter().chain(smoker).collect()
    };
    (0..rows).map(|i| Row { subject: i as u32 / 2, values: values(i) }).collect()
}

#[test]
fn with_room_for_few_values_at_a_time_the_same_keys_are_found() {
    let (contract, rows) = (contract(), texts(3000));
    for by in [vec![], vec![column("smoker")]] {
        let plan = plan("note", None, by);
        let frame = frame(&rows, &contract);
        let asked = asked(11, &frame, &plan, &contract);
        let whole = asked.discover(WHOLE, |search| search).unwrap();
        assert!((10..60).contains(&whole.kept.len()), "{}", whole.kept.len());
        assert!(whole.kept[0].value.is_none() && whole.beyond.is_none());
        for held in [1, 7, 100] {
            for threads in [1, 2, 3] {
                let modest = |search| crate::custodian::engine::discover::Search { held, ..search };
                let partition = Partition { rows: 64, threads };
                assert_eq!(asked.discover(partition, modest).unwrap(), whole, "{held} pairs, {threads} threads");
            }
        }
    }
}

#[test]
fn the_most_frequent_keys_are_kept_and_the_largest_of_the_others_is_remembered() {
    let (contract, rows) = (contract(), texts(3000));
    let plan = plan("note", None, vec![]);
    let frame = frame(&rows, &contract);
    let asked = asked(11, &frame, &plan, &contract);
    let mut all = asked.discover(WHOLE, |search| search).unwrap().kept;
    all.sort_by(|a, b| b.shown.cmp(&a.shown).then(a.value.cmp(&b.value)));
    for most in [0, 1, 5, all.len() - 1] {
        for held in [3, usize::MAX] {
            let few = |search| crate::custodian::engine::discover::Search { most, held, ..search };
            let found = asked.discover(Partition { rows: 100, threads: 2 }, few).unwrap();
            let mut wanted = all[..most].to_vec();
            wanted.sort_by_key(|key| key.value);
            let largest = all[most..].iter().map(|key| key.largest).max();
            assert_eq!((found.kept, found.beyond), (wanted, largest), "{most}, {held}");
        }
    }
}

#[test]
fn rows_of_other_keys_and_other_cohorts_are_in_no_table() {
    let contract = contract();
    let row = |subject, note: Option<&str>, age: f64| {
        let note = note.map(|note| ("note".to_owned(), Value::Text(note.to_owned())));
        Row { subject, values: note.into_iter().chain([("age".to_owned(), Value::Number(age))]).collect() }
    };
    let notes = [Some("a"), Some("a"), Some("b"), None, None, Some("a")];
    let rows: Vec<Row> = (0..).zip(notes).map(|(i, note)| row(i, note, if i == 5 { 9.0 } else { 50.0 })).collect();
    let adult = compare(Comparison::GreaterOrEqual, column("age"), number(18.0));
    let old = compare(Comparison::GreaterOrEqual, column("age"), number(40.0));
    let found = keys(WHOLE, 2, &rows, &plan("note", Some(adult), vec![old]), &contract);
    let counts: Vec<_> = found
        .keys
        .iter()
        .map(|(name, of)| (name.as_deref(), of.tally.cells.iter().map(|c| c.size.subjects).collect::<Vec<_>>()))
        .collect();
    assert_eq!(counts, [(None, vec![0, 2]), (Some("a"), vec![0, 2])]);
}

fn damaged(subjects: [u32; 4]) -> DataFrame {
    let notes = ["a", "a", "a", "a"];
    let frame = frame(&[], &contract());
    let columns = frame.columns().iter().filter(|c| c.name() != "note" && c.name() != SUBJECT);
    let columns = columns.map(|c| c.extend_constant(polars::prelude::AnyValue::Null, 4).unwrap());
    let own = [Series::new(SUBJECT.into(), subjects).into_column(), Series::new("note".into(), notes).into_column()];
    DataFrame::new(4, own.into_iter().chain(columns).collect()).unwrap()
}

#[test]
fn subjects_that_fall_within_or_between_parts_are_refused() {
    let contract = contract();
    let plan = plan("note", None, vec![]);
    for (subjects, rows) in [([0, 2, 1, 3], 4), ([2, 3, 0, 1], 2)] {
        let frame = damaged(subjects);
        let error = asked(1, &frame, &plan, &contract).keys(Partition { rows, threads: 1 }, 9).err();
        assert_eq!(error, Some(EngineError::Rows { snapshot: snapshot(), cause: PassError::Unsorted }));
    }
}

#[test]
fn no_rows_have_no_keys() {
    let contract = contract();
    let found = keys(WHOLE, 1, &[], &plan("note", None, vec![column("cp")]), &contract);
    assert_eq!(found, CountedKeys { keys: vec![], beyond: None });
}

#[test]
fn a_column_of_another_type_tells_nothing_of_the_data() {
    let (contract, plan) = (contract(), plan("note", None, vec![]));
    let damaged = polars::df!(SUBJECT => [0u32], "note" => [0.4711f64]).unwrap();
    let error = asked(1, &damaged, &plan, &contract).keys(WHOLE, 9).err().unwrap();
    assert!(!error.to_string().contains("4711"), "{error}");
}
