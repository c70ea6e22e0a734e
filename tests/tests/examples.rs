//! The examples as a user runs them, on published data, compared with an independent count.

use bocage_tests::example::{Example, reference};
use bocage_tests::lab::repository;
use serde_json::Value;

const EXE: &str = env!("CARGO_BIN_EXE_bocage-lab");

#[test]
fn ten_areas_of_france_draw_the_epidemic_curve_that_their_pooled_rows_have() {
    let Some(example) = Example::new(EXE, "sivic", "sivic") else { return };
    example.take_in("sivic");
    let (_network, result) = example.answer("epidemic-curve.toml");
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
fn eighteen_payers_are_readmitted_as_often_as_an_independent_reader_of_the_whole_file_says() {
    let Some(example) = Example::new(EXE, "diabetes130", "diabetes130") else { return };
    example.take_in("diabetes130");
    let (_network, result) = example.answer("readmission.toml");
    let counted = &reference("diabetes130")["readmitted"];
    let block = table(&result, "by_gender");
    let rows = block["rows"].as_array().expect("rows");
    for (gender, label) in [("Female", "female"), ("Male", "male")] {
        for (readmitted, when) in [("<30", "within 30 days"), (">30", "later"), ("NO", "not")] {
            let at = rows.iter().position(|row| row[0] == label && row[1] == when).expect("a row");
            let truth = |of: &str| counted[format!("{gender} {readmitted}")][of].as_f64().expect("a count");
            about(block, (at, 2), truth("rows"));
            // A payer hides 10 patients at most.
            let width = about(block, (at, 3), truth("patients"));
            assert!(width.is_some_and(|width| width <= 180.0), "{width:?}: {block:#}");
        }
    }
}

#[test]
fn four_hospitals_with_fhir_exports_answer_a_study_across_four_kinds_of_resources() {
    let Some(example) = Example::new(EXE, "fhir", "fhir") else { return };
    example.take_in("fhir");
    let (_network, result) = example.answer("hypertension.toml");
    let counted: Vec<_> = example.counts["by_site"].as_object().expect("sites").values().collect();
    let sum = |of: &str| counted.iter().filter_map(|site| site.pointer(of)?.as_f64()).sum::<f64>();
    let shown = |name: &str, row: usize, column: usize| {
        let block = table(&result, name);
        block["rows"][row][column]
            .as_f64()
            .unwrap_or_else(|| panic!("a number in row {row}, column {column}: {block:#}"))
    };
    let near = |found: f64, truth: f64| assert!((found - truth).abs() < 1e-3, "{found}, {truth}");
    near(shown("all", 0, 0), sum("/patients"));
    near(shown("all", 0, 1), sum("/sum(systolic)") / sum("/measured"));
    near(shown("all", 0, 2), sum("/treated") / sum("/patients"));
    let sexes = table(&result, "by_sex")["rows"].as_array().expect("rows");
    for gender in ["female", "male"] {
        let row = sexes.iter().position(|row| row[0] == gender).expect("a row of this gender");
        near(shown("by_sex", row, 1), sum(&format!("/by gender/{gender}")));
    }
    near(shown("pressure", 0, 3), sum("/measured") - sum("/at least 130"));
    near(shown("pressure", 1, 3), sum("/at least 130"));
    // Of plausible pressures a statistician's median and least squares, though the column's own range is that of every kind of observation.
    let quantiles = also(table(&result, "at_a_glance"), "quantiles");
    let median = quantiles.iter().find(|row| row[0] == "systolic" && row[1] == "0.5").expect("a median");
    let [from, to] = [3, 4].map(|end| median[end].as_f64().expect("an end"));
    let middle = example.counts["median"][0].as_f64().expect("a median");
    assert!(from <= middle && middle <= to && to - from < 10.0, "{median}, {middle}");
    let fit = table(&result, "by_age_and_sex");
    let truth = example.counts["pressure by 1, age, female"].as_array().expect("coefficients");
    let estimates: Vec<f64> = fit["rows"].as_array().expect("rows").iter().filter_map(|row| row[1].as_f64()).collect();
    assert_eq!(estimates.len(), truth.len(), "{fit:#}");
    for (estimate, truth) in estimates.iter().zip(truth) {
        assert!((estimate - truth.as_f64().expect("a number")).abs() < 1e-6, "{estimate}, {truth}");
    }
    // One hospital has fewer than k patients with hypertension, and shows neither them nor their pressures.
    let levels = table(&result, "by_hypertension");
    let row = levels["rows"].as_array().expect("rows").iter().position(|row| row[0] == "true").expect("a row");
    let hidden = levels["hidden"]
        .as_array()
        .expect("what is hidden")
        .iter()
        .find(|cell| cell["row"] == row)
        .expect("an interval");
    let [lo, hi] = [0, 1].map(|end| hidden["interval"][end].as_f64().expect("an end"));
    assert!(lo < sum("/hypertensive") && sum("/hypertensive") <= hi, "{levels:#}");
    let covers = levels["coverage"].as_array().expect("coverage").iter().find(|c| c["row"] == row && c["column"] == 2);
    let [n, of] = ["/n", "/of/1"].map(|part| covers.and_then(|c| c.pointer(part)?.as_f64()).expect("a number"));
    assert!(n < of && levels["rows"][row][2].is_number(), "{levels:#}");
}

#[test]
fn persons_of_an_omop_warehouse_bleed_within_a_year_as_often_as_an_independent_count_says() {
    bleeding("gibleed", "gibleed");
}

#[test]
fn they_do_in_the_whole_warehouse_too_where_it_is_there() {
    bleeding("omop_gibleed_5.3", "gibleed, whole");
}

fn bleeding(data: &str, set: &str) {
    let Some(example) = Example::new(EXE, "gibleed", data) else { return };
    example.take_in(set);
    let (_network, result) = example.answer("bleeding.toml");
    let outcome = table(&result, "outcome");
    let rows = outcome["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 2, "{rows:?}");
    for row in rows {
        let counted = &example.counts["outcome"][row[0].as_str().expect("a level")];
        assert_eq!(row[1], counted["count"], "{row}");
        let [n, bleeds] = ["count", "bleeds"].map(|name| counted[name].as_f64().expect("a count"));
        assert!((row[2].as_f64().expect("a share") - bleeds / n).abs() < 1e-9, "{row}");
    }
}

#[test]
fn every_table_of_an_omop_5_4_warehouse_is_taken_in_as_an_independent_count_finds_it() {
    let Some(example) = Example::new(EXE, "synthea", "omop") else { return };
    example.take_in("synthea");
    let (_network, result) = example.answer("weight.toml");
    let (row, counted) = (&table(&result, "weight")["rows"][0], &example.counts["weight"]);
    assert_eq!((&row[0], &row[1]), (&counted["rows"], &counted["patients"]), "{row}");
    let mean = |value: &Value| value.as_f64().expect("a mean");
    // In steps of the range: −1000 to a million.
    assert!((mean(&row[2]) - mean(&counted["mean"])).abs() < 1e-3, "{row}");
}

#[test]
fn the_worked_studies_of_the_documentation_are_those_that_these_tests_run() {
    let read = |file: &str| std::fs::read_to_string(repository(file)).expect("a file");
    let studies = read("docs/STUDIES.md");
    for file in ["fhir/hypertension.toml", "gibleed/bleeding.toml", "sivic/epidemic-curve.toml"] {
        let text = read(&format!("deploy/examples/{file}"));
        assert!(studies.contains(&format!("```toml\n{text}```")), "docs/STUDIES.md shows another text than {file}");
    }
}

/// How wide the interval about a count is, which holds the truth; none where it has no end.
fn about(block: &Value, (row, column): (usize, usize), truth: f64) -> Option<f64> {
    if let Some(shown) = block["rows"][row][column].as_f64() {
        assert_eq!(shown, truth, "row {row}, column {column}: {block:#}");
        return Some(0.0);
    }
    let hidden = block["hidden"].as_array().expect("what is hidden");
    let cell = hidden.iter().find(|cell| cell["row"] == row && cell["column"] == column).expect("a reason");
    let [lo, hi] = [0, 1].map(|end| cell["interval"][end].as_f64());
    assert!(lo.is_some_and(|lo| lo <= truth) && hi.is_none_or(|hi| truth <= hi), "{truth}: {cell}");
    hi.zip(lo).map(|(hi, lo)| hi - lo)
}

/// The rows of a further block.
fn also<'a>(analysis: &'a Value, title: &str) -> &'a Vec<Value> {
    let blocks = analysis["also"].as_array().expect("blocks");
    let block = blocks.iter().find(|block| block["title"] == title).unwrap_or_else(|| panic!("{analysis:#}"));
    block["rows"].as_array().expect("rows")
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
