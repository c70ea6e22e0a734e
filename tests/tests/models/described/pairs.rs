//! Correlations of numbers that no table sums beside each other, as where each is taken only where it is plausible: Pearson's r by the moments of the pair.

use std::collections::BTreeMap;

use bocage_coordinator::api::types::{AnalysisResult, Value};
use bocage_tests::federation::{Federation, Gate, block};

use super::super::data::{self, COVID};

const LAB: &str = "plausible(lab, 30, 75)";
const AGE: &str = "plausible(age, 40, 85)";

fn correlated(federation: &Federation, columns: &str, gate: Gate) -> AnalysisResult {
    let text = format!("[[analysis]]\nname = \"c\"\ncorrelation = {{ columns = [{columns}] }}\n");
    federation.run(&text, gate).remove(0)
}

/// r of the rows in which both lie within their bounds, and how many these are.
fn plainly() -> (f64, u64) {
    let within = |row: &BTreeMap<String, String>, name: &str, lo: f64, hi: f64| {
        let x: f64 = row[name].parse().expect("a number");
        (lo <= x && x <= hi).then_some(x)
    };
    let rows = data::covid();
    let pairs: Vec<(f64, f64)> =
        rows.iter().filter_map(|(_, row)| within(row, "lab", 30.0, 75.0).zip(within(row, "age", 40.0, 85.0))).collect();
    let n = pairs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let sum = |of: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|(a, b)| of(a - x, b - y)).sum::<f64>();
    let r = sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt();
    (r, pairs.len() as u64)
}

#[test]
fn plausible_numbers_are_correlated_as_the_pooled_rows_are_and_called_as_they_were_written() {
    let (r, n) = plainly();
    // At each site k or more lack each, and k or more of who has the other.
    assert!((100..2000).contains(&n), "some are left out, and not all: {n}");
    let columns = format!("\"{LAB}\", \"{AGE}\"");
    for gate in [Gate::OPEN, Gate::USUAL] {
        let result = correlated(&data::by_site(COVID, &data::covid()), &columns, gate);
        let row = &result.block.rows[0];
        assert_eq!(row[..3], [Value::Text(LAB.to_owned()), Value::Text(AGE.to_owned()), Value::Count(n)]);
        let [Value::Number(found), Value::Number(from), Value::Number(to), Value::Number(p)] = &row[3..] else {
            panic!("{row:?}")
        };
        assert!((found - r).abs() < 1e-9, "{found} for {r}");
        assert!(from < found && found < to && (0.0..=1.0).contains(p));
        assert_eq!(block(&result, "matrix").columns, ["", LAB, AGE]);
    }
}

#[test]
fn a_pair_that_too_few_have_is_hidden_and_the_site_named() {
    let columns = "\"plausible(lab, 1, 40)\", \"plausible(age, 99, 120)\"";
    let result = correlated(&data::by_site(COVID, &data::covid()), columns, Gate::USUAL);
    assert!(result.block.rows[0][2..].iter().all(|value| *value == Value::Null), "{:?}", result.block);
    assert_eq!(result.block.hidden.len(), 5);
    assert!(result.notes.iter().any(|note| note.starts_with("site1 refused: ")), "{:?}", result.notes);
}

#[test]
fn a_site_where_a_range_leaves_a_few_out_refuses_the_pair_and_the_others_count() {
    let columns = "\"plausible(lab, 1, 80)\", \"lab\"";
    let all = |gate| correlated(&data::by_site(COVID, &data::covid()), columns, gate);
    let (open, usual) = (all(Gate::OPEN), all(Gate::USUAL));
    let n = |result: &AnalysisResult| match result.block.rows[0][2] {
        Value::Count(n) => n,
        ref other => panic!("{other:?}"),
    };
    assert!(n(&usual) < n(&open) && n(&usual) > 1000);
    let refused =
        |site: &str| usual.notes.iter().any(|note| note.starts_with(site) && note.contains("plausible(lab, 1, 80)"));
    assert!(refused("site6 refused: fewer than 11 patients have no `"), "{:?}", usual.notes);
    assert!(!refused("site1 refused"), "{:?}", usual.notes);
}
