//! The examples as a user runs them, on published data, compared with an independent count.

use bocage_tests::example::Example;
use serde_json::Value;

const EXE: &str = env!("CARGO_BIN_EXE_bocage-lab");

#[test]
fn ten_areas_of_france_draw_the_epidemic_curve_that_their_pooled_rows_have() {
    let Some(example) = Example::new(EXE, "sivic", "sivic") else { return };
    example.take_in("admissions");
    let coordinator = example.lab.coordinator();
    let _nodes: Vec<_> = example.sites().iter().map(|site| example.lab.node(site, &[])).collect();
    for site in example.sites() {
        coordinator.wait_for_line(&["connected", &site]);
    }
    let result = example.lab.study("curve", &example.text("epidemic-curve.toml")).published();
    let curve = table(&result, "curve");
    let (columns, rows) = (texts(&curve["columns"]), curve["rows"].as_array().expect("rows"));
    let at = |name: &str| columns.iter().position(|column| *column == name).expect("the column");
    let (mut shown, mut summed) = (0, 0);
    for (i, row) in rows.iter().enumerate() {
        let Some(week) = example.counts["weeks"].get(row[0].as_str().expect("a week")) else {
            assert!(row[0].as_str().is_some_and(|label| label.starts_with(['<', '>'])), "{row}");
            continue;
        };
        assert_eq!(row[at("rows")], week["rows"], "{row}");
        shown += 1;
        // Areas with too few different numbers of deaths show no sum; what the others show says how much it covers.
        for (column, counted) in [("sum(admitted)", "admitted"), ("sum(died)", "died")] {
            let (Some(sum), Some(counted)) = (row[at(column)].as_f64(), week[counted].as_f64()) else { continue };
            if covers_all(curve, i, at(column)) {
                assert_eq!(sum, counted, "{row}");
                summed += 1;
            } else {
                assert!(sum <= counted, "{row}");
            }
        }
    }
    assert_eq!(shown, example.counts["weeks"].as_object().expect("weeks").len());
    assert!(summed > shown, "only {summed} sums of {shown} weeks are shown");
}

#[test]
fn eighteen_payers_take_in_what_an_independent_count_finds() {
    let Some(example) = Example::new(EXE, "diabetes130", "diabetes130") else { return };
    example.take_in("encounters");
}

/// An analysis of a result.
fn table<'a>(result: &'a Value, name: &str) -> &'a Value {
    let analyses = result["analyses"].as_array().expect("analyses");
    analyses.iter().find(|analysis| analysis["name"] == name).expect("the analysis")
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().filter_map(Value::as_str).collect()
}

/// Whether a cell is over all rows that it could be over.
fn covers_all(table: &Value, row: usize, column: usize) -> bool {
    let coverage = table["coverage"].as_array().expect("coverage");
    let of = coverage.iter().find(|c| c["row"] == row && c["column"] == column);
    of.is_none_or(|c| c["n"] == c["of"][0])
}
