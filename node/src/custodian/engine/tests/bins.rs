//! Bins in the engine: every row falls into the grid's cell that holds its value, and a flow counts the first step that is not true.

use std::collections::BTreeMap;

use bocage_protocol::contract::Contract;
use bocage_protocol::plan::{Bins, Comparison, Expr, Grid, Literal, Plan, Statistic, ValidPlan};
use proptest::prelude::*;

use super::generate::{contract, rows};
use super::{cases, engine};
use crate::custodian::engine::interpreter::{Row, Value};

fn plan(contract: &Contract, bins: Bins) -> ValidPlan {
    let query = contract.rows(None);
    ValidPlan::check(Plan { query, statistic: Statistic::Bins(bins) }, contract).unwrap()
}

fn of(contract: &Contract, column: &str) -> ValidPlan {
    plan(contract, Bins::Column(column.parse().unwrap()))
}

/// The cell of each row's one value, by the grid's own edges.
fn cells(values: &[Option<f64>], column: &str) -> Vec<usize> {
    let contract = contract();
    let plan = of(&contract, column);
    values
        .iter()
        .map(|value| {
            let values = value.map(|x| (column.to_owned(), Value::Number(x))).into_iter().chain([age(5.0)]);
            let tally = engine(&[Row { subject: 0, values: values.collect() }], &plan, &contract);
            tally.cells.iter().position(|cell| cell.size.subjects == 1).unwrap()
        })
        .collect()
}

fn age(years: f64) -> (String, Value) {
    ("age".to_owned(), Value::Number(years))
}

#[test]
fn a_value_on_an_edge_is_in_the_cell_above_and_the_largest_in_the_last() {
    let grid = Grid::Equal { lo: -100.0, hi: 700.0 };
    let values = [-100.0, -99.21, -99.2, grid.lower(500), 699.9, 700.0];
    assert_eq!(cells(&values.map(Some), "chol"), [0, 0, 1, 500, 999, 999]);
    assert_eq!(cells(&[None], "chol"), [1000]);
    assert_eq!(cells(&[Some(-1.0), Some(0.0), Some(3.0), None], "ca"), [0, 1, 4, 8]);
}

#[test]
fn a_patient_is_counted_at_the_first_step_that_is_false_or_missing() {
    let contract = contract();
    let column = |name: &str| Expr::Column(name.parse().unwrap());
    let adult = Expr::Compare {
        op: Comparison::GreaterOrEqual,
        left: Box::new(column("age")),
        right: Box::new(Expr::Literal(Literal::Int(18))),
    };
    let known = Expr::Not(Box::new(Expr::IsNull(Box::new(column("chol")))));
    let plan = plan(&contract, Bins::Steps(vec![adult, column("smoker"), known]));
    let row = |subject, years, smoker: Option<bool>, chol: Option<f64>| {
        let smoker = smoker.map(|is| ("smoker".to_owned(), Value::Bool(is)));
        let chol = chol.map(|x| ("chol".to_owned(), Value::Number(x)));
        Row { subject, values: BTreeMap::from_iter([age(years)].into_iter().chain(smoker).chain(chol)) }
    };
    let rows = [
        row(0, 17.0, None, None),
        row(1, 18.0, None, Some(1.0)),
        row(2, 30.0, Some(false), None),
        row(3, 30.0, Some(true), None),
        row(4, 30.0, Some(true), Some(1.0)),
        row(5, 90.0, Some(true), Some(2.0)),
    ];
    let counts: Vec<i128> = engine(&rows, &plan, &contract).cells.iter().map(|c| c.size.subjects).collect();
    assert_eq!(counts, [1, 2, 1, 2]);
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn every_row_is_in_the_cell_that_holds_its_value(rows in rows(60), column in prop::sample::select(vec!["age", "chol", "weight", "ca"])) {
        let contract = contract();
        let plan = of(&contract, column);
        let tally = engine(&rows, &plan, &contract);
        let grid = plan.grid().unwrap();
        let cell_of = |x: f64| match grid {
            Grid::Equal { .. } => (1..grid.cells()).filter(|cell| grid.lower(*cell) <= x).count(),
            _ => (0..grid.cells()).find(|cell| grid.lower(*cell) == x).unwrap(),
        };
        let mut wanted = vec![0; tally.cells.len()];
        for row in &rows {
            match row.values.get(column) {
                Some(Value::Number(x)) => wanted[cell_of(*x)] += 1,
                _ => wanted[grid.cells()] += 1,
            }
        }
        let found: Vec<i128> = tally.cells.iter().map(|cell| cell.size.rows).collect();
        prop_assert_eq!(found, wanted);
    }
}
