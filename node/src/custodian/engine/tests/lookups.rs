//! Which keys are looked up. That they give a row the cell that they give it row by row, the property tests over all plans show.

use std::collections::BTreeMap;

use bocage_protocol::plan::{Expr, Operation};

use super::generate::{contract, frame};
use super::{check, column, counted_in};
use crate::custodian::engine::interpreter::{Row, Value};
use crate::custodian::engine::lookup::Lookups;
use crate::custodian::engine::parts::Partition;
use crate::custodian::engine::{EngineError, PassError};

fn cut(name: &str, breaks: &[f64]) -> Expr {
    Expr::Cut { of: Box::new(column(name)), breaks: breaks.to_vec() }
}

#[test]
fn keys_of_one_column_with_few_values_are_looked_up_and_others_are_not() {
    let contract = contract();
    let looked_up = |by: Vec<Expr>| {
        let plan = check(&contract, None, by, vec![]);
        Lookups::of(&plan, &plan.layout().keys_at(0), &contract).is_some()
    };
    let grouped = Expr::Grouped { column: "cp".parse().unwrap(), grouping: "angina".to_owned() };
    assert!(looked_up(vec![]));
    assert!(looked_up(vec![column("cp"), cut("age", &[30.0, 60.0]), column("ca"), grouped]));
    assert!(!looked_up(vec![column("cp"), cut("chol", &[200.0])]));
    let both = Expr::Arithmetic { op: Operation::Add, left: Box::new(column("age")), right: Box::new(column("ca")) };
    assert!(!looked_up(vec![Expr::Cut { of: Box::new(both), breaks: vec![50.0] }]));
}

#[test]
fn a_value_beyond_the_contracts_range_is_in_no_cell() {
    let contract = contract();
    let plan = check(&contract, None, vec![cut("age", &[60.0])], vec![]);
    let ages = |ages: [i64; 2]| {
        let row = |(subject, age): (u32, i64)| {
            let values = BTreeMap::from([("age".to_owned(), Value::Number(age as f64))]);
            Row { subject, values }
        };
        let rows: Vec<Row> = (0..).zip(ages).map(row).collect();
        counted_in(Partition { rows: 10, threads: 1 }, 1, &frame(&rows, &contract), &plan, &contract)
    };
    assert!(ages([0, 120]).is_ok());
    for beyond in [-1, 121, i64::MAX, i64::MIN] {
        let Err(EngineError::Rows { cause, .. }) = ages([50, beyond]) else { panic!("{beyond} is in a cell") };
        assert_eq!(cause, PassError::OutsideTable);
    }
}
