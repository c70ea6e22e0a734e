//! Columns without an outcome: principal components and clusters over several sites equal those of the pooled rows (`tests/reference/described.py`).

mod kmeans;
mod lloyd;
mod odd;
mod pairs;
mod pca;

use bocage_coordinator::api::types::{AnalysisResult, Block, Value};
use bocage_tests::federation::block;

use super::data::Rows;

/// The patients who have all of these columns.
fn complete(rows: &Rows, columns: &[&str]) -> Vec<Vec<f64>> {
    let number = |text: &String| text.parse::<f64>().ok();
    rows.iter().filter_map(|(_, row)| columns.iter().map(|column| number(&row[*column])).collect()).collect()
}

/// Of a block with two keys, the numbers in the order of its rows.
fn numbers(block: &Block, column: usize) -> Vec<f64> {
    let number = |row: &Vec<Value>| match &row[column] {
        Value::Number(x) => *x,
        Value::Count(n) => *n as f64,
        other => panic!("{other:?} in {block:#?}"),
    };
    block.rows.iter().map(number).collect()
}

fn also(result: &AnalysisResult, title: &str, column: usize) -> Vec<f64> {
    numbers(block(result, title), column)
}

/// Relative to the largest of the wanted numbers.
fn near(found: &[f64], wanted: &[f64], within: f64) {
    assert_eq!(found.len(), wanted.len());
    let largest = wanted.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((found - wanted).abs() <= within * largest.max(f64::MIN_POSITIVE), "{found} is not {wanted}");
    }
}

fn list(of: &serde_json::Value) -> Vec<f64> {
    match of {
        serde_json::Value::Array(all) => all.iter().flat_map(list).collect(),
        one => vec![one.as_f64().unwrap_or_else(|| panic!("{one}"))],
    }
}
