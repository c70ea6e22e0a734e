//! Rows to release: what a filter, a band or a flag makes of few values is counted so that the gate hides it.

use std::collections::BTreeMap;

use bocage_protocol::plan::{Expr, Literal, Measure};
use bocage_protocol::release::{CellRelease, MeasureRelease, Outcome};

use super::generate::contract;
use super::{check, column, counted};
use crate::custodian::engine::interpreter::{Row, Value};
use crate::custodian::gate::{Detail, GatePolicy, Mode, Private, Spread, release};

const K: u32 = 11;

fn number(name: &str) -> Measure {
    Measure::Column(name.parse().unwrap())
}

fn row(subject: usize, values: &[(&str, f64)]) -> Row {
    let values = values.iter().map(|(name, x)| ((*name).to_owned(), Value::Number(*x)));
    Row { subject: subject as u32, values: values.collect::<BTreeMap<_, _>>() }
}

/// What leaves of a measure of everybody for whom `filter` is true.
fn seen(rows: &[Row], filter: Option<Expr>, measure: Measure) -> MeasureRelease {
    let contract = contract();
    let plan = check(&contract, filter, vec![], vec![measure]);
    let policy = GatePolicy { threshold: K, joint: 3, mode: Mode::Exact };
    let released = release(Private::table(counted(rows, &plan, &contract, K)), &plan, &contract, &policy).unwrap();
    let Outcome::Table(table) = released.outcome() else { panic!("no table") };
    let [CellRelease::Shown { measures, .. }] = table.cells.as_slice() else { panic!("the cell is hidden") };
    measures[0].clone()
}

#[test]
fn a_filter_on_three_ages_hides_their_sum_and_everybodys_is_shown() {
    let in_three = || {
        let list = [71, 72, 73].map(Literal::Int).to_vec();
        Some(Expr::In { of: Box::new(column("age")), list })
    };
    for counts in [[1, 5, 6], [1, 14, 15]] {
        let ages = (0..3).flat_map(|i| vec![71 + i; counts[i]]).chain(20..60);
        let rows: Vec<Row> = ages.enumerate().map(|(i, age)| row(i, &[("age", age as f64)])).collect();
        assert_eq!(seen(&rows, in_three(), number("age")), MeasureRelease::Hidden, "{counts:?}");
        assert!(matches!(seen(&rows, None, number("age")), MeasureRelease::Number { .. }));
    }
}

#[test]
fn the_product_of_one_patient_among_zeros_is_hidden() {
    let weight = |i: usize| 44.46 + i as f64;
    let rows = |flagged: usize| -> Vec<Row> {
        let flag = |i: usize| if i < flagged { 1.0 } else { 0.0 };
        (0..200).map(|i| row(i, &[("age", 50.0), ("weight", weight(i)), ("chol", flag(i))])).collect()
    };
    let product = || Measure::Product("weight".parse().unwrap(), "chol".parse().unwrap());
    assert_eq!(seen(&rows(1), None, product()), MeasureRelease::Hidden);
    assert_eq!(seen(&rows(10), None, product()), MeasureRelease::Hidden);
    assert!(matches!(seen(&rows(11), None, product()), MeasureRelease::Number { .. }));
    assert_eq!(seen(&rows(100), None, number("chol")), MeasureRelease::Hidden, "two values");
}

#[test]
fn a_patient_counts_once_with_the_first_value() {
    let contract = contract();
    let plan = check(&contract, None, vec![], vec![number("age"), number("chol")]);
    // Every patient has the same first age and many others; the first cholesterol is missing, the second differs.
    let rows: Vec<Row> = (0..120usize)
        .map(|i| {
            let age = ("age", if i % 6 == 0 { 50.0 } else { i as f64 });
            let chol = ("chol", (i / 6) as f64);
            if i % 6 == 0 { row(i / 6, &[age]) } else { row(i / 6, &[age, chol]) }
        })
        .collect();
    let details = counted(&rows, &plan, &contract, K).details;
    let same = Spread::Narrow { values: vec![(-10, 20)], subjects: 20, most: 20 };
    assert_eq!(details, [Detail::Number(vec![same]), Detail::Number(vec![Spread::Wide])]);
}
