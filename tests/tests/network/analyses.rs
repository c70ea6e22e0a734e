//! Every analysis over the four hospitals, against plain computations on the pooled rows.

use bocage_tests::lab::{HOSPITALS, Lab, repository, status};
use serde_json::Value;

use super::{EXE, everyone};

const STUDY: &str = r#"
title = "Every analysis"
purpose = "scientific_research"
dataset = "heart@1"
answer_within = "5m"
sites = ["cleveland", "hungary", "long-beach", "switzerland"]
[[analysis]]
name = "chol"
histogram = { of = "chol", bins = [150, 200, 250, 300] }
[[analysis]]
name = "effort"
crosstab = { rows = "cut(age, 55)", columns = "cut(thalach, 130)" }
[[analysis]]
name = "sexes"
crosstab = { rows = "sex", columns = "disease" }
[[analysis]]
name = "ages"
quantiles = { of = "age", at = [0.1, 0.25, 0.5, 0.75, 0.9] }
[[analysis]]
name = "chols"
quantiles = { of = "chol", at = [0.25, 0.5, 0.75] }
[[analysis]]
name = "flow"
attrition = { steps = ["age >= 35", "chol is not null", "not disease"] }
[[analysis]]
name = "all"
summary = { columns = ["age", "sex", "chol"] }
"#;

/// A row of the files, mapped as the hospitals map it.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub age: f64,
    male: bool,
    chol: Option<f64>,
    pub thalach: Option<f64>,
    disease: bool,
}

pub(super) fn pooled() -> Vec<Row> {
    HOSPITALS.iter().flat_map(|site| of_one(site)).collect()
}

/// The rows of one hospital.
pub(super) fn of_one(site: &str) -> Vec<Row> {
    let path = repository(&format!("tests/data/heart/{site}.csv"));
    let text = std::fs::read_to_string(path).expect("the hospital's data");
    let row = |line: &str| {
        let fields: Vec<Option<f64>> =
            line.split(',').map(|field| field.parse().ok().filter(|x: &f64| !x.is_nan())).collect();
        Row {
            age: fields[0].expect("an age"),
            male: fields[1] == Some(1.0),
            chol: fields[4].filter(|x| *x != 0.0),
            thalach: fields[7],
            disease: fields[13].expect("a diagnosis") > 0.0,
        }
    };
    text.lines().map(row).collect()
}

pub(super) fn analysis<'a>(result: &'a Value, name: &str) -> &'a Value {
    let analyses = result["analyses"].as_array().expect("analyses");
    analyses.iter().find(|analysis| analysis["name"] == name).expect("the analysis")
}

pub(super) fn rows(block: &Value) -> &Vec<Value> {
    block["rows"].as_array().expect("rows")
}

/// Whether a count is the pooled one, or an interval that holds it; answers whether it is exact.
fn holds(block: &Value, row: usize, column: usize, truth: usize) -> bool {
    let shown = &rows(block)[row][column];
    if let Some(n) = shown.as_u64() {
        assert_eq!(n, truth as u64, "at {row}, {column} of {block:#}");
        return true;
    }
    let hidden = block["hidden"].as_array().expect("hidden values");
    let interval = &hidden.iter().find(|h| h["row"] == row && h["column"] == column).expect("a reason")["interval"];
    let (lo, hi) = (interval[0].as_u64().expect("an end"), interval[1].as_u64().expect("an end"));
    assert!(lo <= truth as u64 && truth as u64 <= hi && lo < hi, "{truth} is not in {interval} at {row}, {column}");
    false
}

/// Whether every quantile's interval holds the smallest value x with F(x) ≥ p, and none between 0.1 and 0.9 is wider than
/// `widest`. Further out lie the first and the last bins, which reach to the ends of the contract's range.
fn assert_quantiles(block: &Value, mut values: Vec<f64>, widest: f64) {
    values.sort_by(f64::total_cmp);
    for row in rows(block) {
        let p: f64 = row[0].as_str().expect("a share").parse().expect("a number");
        let truth = values[(p * values.len() as f64).ceil() as usize - 1];
        let [value, from, to] = [1, 2, 3].map(|column| row[column].as_f64().expect("a number"));
        assert!(from <= truth && truth <= to && from <= value && value <= to, "{p}: {truth} and {row}");
        assert!(!(0.1..=0.9).contains(&p) || to - from <= widest, "{p}: {row}");
    }
}

#[test]
fn every_analysis_answers_like_the_pooled_rows() {
    let lab = Lab::new(EXE);
    let (_coordinator, _nodes) = everyone(&lab);
    let result = lab.study("all", STUDY).published();
    for site in HOSPITALS {
        assert_eq!(status(&result, site)["status"], "answered", "{result:#}");
    }
    let all = pooled();
    assert_eq!(result["analyses"].as_array().expect("analyses").len(), 7, "a summary is one");
    histogram(analysis(&result, "chol"), &all);
    effort(analysis(&result, "effort"), &all);
    sexes(analysis(&result, "sexes"), &all);
    assert_quantiles(analysis(&result, "ages"), all.iter().map(|row| row.age).collect(), 6.0);
    assert_quantiles(analysis(&result, "chols"), all.iter().filter_map(|row| row.chol).collect(), 40.0);
    flow(analysis(&result, "flow"), &all);
    summary(analysis(&result, "all"), &all);
}

fn histogram(block: &Value, all: &[Row]) {
    let exact = |row: &Value| {
        let (from, to) = (row[1].as_f64(), row[2].as_f64());
        let is_in = |x: f64| from.is_none_or(|from| from <= x) && to.is_none_or(|to| x < to);
        let missing = row[0] == "(missing)";
        all.iter().filter(|r| if missing { r.chol.is_none() } else { r.chol.is_some_and(is_in) }).count()
    };
    let truths: Vec<usize> = rows(block).iter().map(exact).collect();
    assert_eq!((truths.len(), truths.iter().sum::<usize>()), (6, all.len()));
    for (row, truth) in truths.into_iter().enumerate() {
        holds(block, row, 3, truth);
    }
}

fn effort(block: &Value, all: &[Row]) {
    let is_in =
        |row: &Row, old: bool, fast: bool| (row.age >= 55.0) == old && row.thalach.map(|t| t >= 130.0) == Some(fast);
    let n = |old: bool, fast: bool| all.iter().filter(|row| is_in(row, old, fast)).count();
    for (row, old) in [false, true].into_iter().enumerate() {
        for (column, fast) in [false, true].into_iter().enumerate() {
            assert!(holds(block, row, column + 1, n(old, fast)), "no hospital has fewer than 11 here");
        }
    }
    let [a, b, c, d] = [n(false, false), n(false, true), n(true, false), n(true, true)].map(|n| n as f64);
    let chi2 = (a + b + c + d) * (a * d - b * c).powi(2) / ((a + b) * (c + d) * (a + c) * (b + d));
    let statistic = |row: usize| rows(&block["also"][1])[row][1].as_f64().expect("a statistic");
    assert!((statistic(0) - chi2).abs() < 1e-9 * chi2, "{} is not {chi2}", statistic(0));
    assert_eq!(statistic(1), 1.0);
    assert!((statistic(3) - (chi2 / (a + b + c + d)).sqrt()).abs() < 1e-12);
}

fn sexes(block: &Value, all: &[Row]) {
    for (row, male) in [Some(false), Some(true), None].into_iter().enumerate() {
        for (column, disease) in [Some(false), Some(true), None].into_iter().enumerate() {
            // The diagnosis can be missing by contract, and never is: its column stands before the totals.
            let column = if disease.is_none() { 4 } else { column + 1 };
            let is_in = |r: &&Row| male.is_none_or(|m| m == r.male) && disease.is_none_or(|d| d == r.disease);
            holds(block, row, column, all.iter().filter(is_in).count());
        }
    }
    let test = &block["also"][1];
    assert!(rows(test).iter().all(|row| row[1].is_null()), "two hospitals have fewer than 11 women: {test:#}");
    assert!(block["notes"].to_string().contains("no test: it needs every cell exactly"), "{block:#}");
}

fn flow(block: &Value, all: &[Row]) {
    let level = |row: &Row| match row {
        Row { age, .. } if *age < 35.0 => 0,
        Row { chol: None, .. } => 1,
        Row { disease: true, .. } => 2,
        _ => 3,
    };
    let left = |from: usize| all.iter().filter(|row| level(row) >= from).count();
    assert!(holds(block, 0, 1, all.len()), "every hospital has 11 patients");
    for step in 0..3 {
        holds(block, step, 2, left(step) - left(step + 1));
        holds(block, step, 3, left(step + 1));
    }
    assert!(block["notes"].to_string().contains("merged into one number"), "{block:#}");
}

fn summary(block: &Value, all: &[Row]) {
    assert_eq!(block["kind"], "summary");
    assert!(holds(block, 0, 1, all.len()) && holds(block, 0, 2, 0), "an age is required");
    assert!(holds(block, 1, 1, all.len()) || block["rows"][1][1].is_null());
    let chol: Vec<f64> = all.iter().filter_map(|row| row.chol).collect();
    holds(block, 2, 1, chol.len());
    holds(block, 2, 2, all.len() - chol.len());
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let ages: Vec<f64> = all.iter().map(|row| row.age).collect();
    let sd = (ages.iter().map(|x| (x - mean(&ages)).powi(2)).sum::<f64>() / (ages.len() - 1) as f64).sqrt();
    assert!((rows(block)[0][3].as_f64().expect("a mean") - mean(&ages)).abs() < 1e-9);
    assert!((rows(block)[0][4].as_f64().expect("a deviation") - sd).abs() < 1e-9);
    assert!((rows(block)[2][3].as_f64().expect("a mean") - mean(&chol)).abs() < 1e-6, "Switzerland measured none");
    let quantiles = &block["also"][0];
    let of_age = rows(quantiles).iter().filter(|row| row[0] == "age");
    let of_age: Vec<Value> = of_age.map(|row| row.as_array().expect("a row")[1..].to_vec().into()).collect();
    assert_quantiles(&serde_json::json!({ "rows": of_age }), ages, 6.0);
    let shares = &block["also"][1];
    for (row, male) in [false, true].into_iter().enumerate() {
        holds(shares, row, 2, all.iter().filter(|r| r.male == male).count());
    }
}
