//! Tables whose keys the data names, over the four hospitals, against plain counts of the pooled rows.

use std::collections::BTreeMap;

use bocage_tests::lab::{HOSPITALS, Lab, repository, status};
use serde_json::Value;

use super::{EXE, everyone};

/// The gates' k, and the publication's number of sites.
const K: usize = 11;
const MIN_SITES: usize = 2;

const STUDY: &str = r#"
title = "Discovered"
purpose = "scientific_research"
dataset = "heart@1"
answer_within = "5m"
sites = ["cleveland", "hungary", "long-beach", "switzerland"]
[[analysis]]
name = "pain"
table = { by = ["discovered(cp)", "disease"], show = ["count", "mean(age)"] }
[[analysis]]
name = "ages"
table = { by = ["discovered(age)"], show = ["count"], top = 4 }
[[analysis]]
name = "slopes"
table = { by = ["discovered(slope)"], show = ["count"] }
"#;

/// The rows of a hospital's file as numbers, what is missing as none.
fn rows(site: &str) -> Vec<Vec<Option<f64>>> {
    let text = std::fs::read_to_string(repository(&format!("tests/data/heart/{site}.csv"))).expect("the data");
    let number = |field: &str| field.parse().ok().filter(|x: &f64| !x.is_nan());
    text.lines().map(|line| line.split(',').map(number).collect()).collect()
}

/// How many rows of each hospital have each key.
fn counts(key: impl Fn(&[Option<f64>]) -> String) -> BTreeMap<String, Vec<usize>> {
    let mut counts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, site) in HOSPITALS.iter().enumerate() {
        for row in rows(site) {
            counts.entry(key(&row)).or_insert_with(|| vec![0; HOSPITALS.len()])[at] += 1;
        }
    }
    counts
}

/// The interval that the rules leave of a count with these parts; none where too few sites show it.
fn expected(parts: &[usize]) -> Option<(usize, usize)> {
    let shown: Vec<usize> = parts.iter().copied().filter(|n| *n >= K).collect();
    let least = shown.iter().sum::<usize>();
    (shown.len() >= MIN_SITES).then_some((least, least + (K - 1) * (parts.len() - shown.len())))
}

fn analysis<'a>(result: &'a Value, name: &str) -> &'a Value {
    let analyses = result["analyses"].as_array().expect("analyses");
    analyses.iter().find(|analysis| analysis["name"] == name).expect("the analysis")
}

/// The published interval of a row's count.
fn interval(block: &Value, row: usize, column: usize) -> Option<(usize, usize)> {
    let number = |value: &Value| value.as_u64().map(|n| n as usize);
    if let Some(n) = number(&block["rows"][row][column]) {
        return Some((n, n));
    }
    let hidden = block["hidden"].as_array().expect("hidden values");
    let why = hidden.iter().find(|h| h["row"] == row && h["column"] == column).expect("a reason");
    match why["reason"] == "fewer_than_k" {
        true => number(&why["interval"][0]).zip(number(&why["interval"][1])),
        false => None,
    }
}

/// The keys in the order of the least count, equals by `order`, with their intervals.
fn ranked(counts: BTreeMap<String, Vec<usize>>) -> Vec<(String, (usize, usize))> {
    let mut ranked: Vec<_> = counts.into_iter().filter_map(|(key, parts)| Some((key, expected(&parts)?))).collect();
    ranked.sort_by_key(|(_, (least, _))| std::cmp::Reverse(*least));
    ranked
}

fn published(block: &Value) -> Vec<(String, (usize, usize))> {
    let rows = block["rows"].as_array().expect("rows");
    let one = |(at, row): (usize, &Value)| {
        (row[0].as_str().expect("a key").to_owned(), interval(block, at, 1).expect("a count"))
    };
    rows.iter().enumerate().map(one).collect()
}

/// The same keys with the same intervals, those of equal least counts in any order.
fn assert_same(mut found: Vec<(String, (usize, usize))>, mut wanted: Vec<(String, (usize, usize))>) {
    assert!(found.windows(2).all(|pair| pair[0].1.0 >= pair[1].1.0), "not by the least count: {found:?}");
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
}

#[test]
fn discovered_keys_are_counted_like_the_pooled_rows_and_rare_ones_are_nowhere() {
    let lab = Lab::new(EXE);
    let (_coordinator, _nodes) = everyone(&lab);
    let result = lab.study("discovered", STUDY).published();
    for site in HOSPITALS {
        assert_eq!(status(&result, site)["status"], "answered", "{result:#}");
    }
    pain(analysis(&result, "pain"));
    ages(analysis(&result, "ages"));
    let label = |row: &[Option<f64>]| match row[10].map(|x| x as i64) {
        None => "(missing)".to_owned(),
        Some(code) => ["upsloping", "flat", "downsloping"][code as usize - 1].to_owned(),
    };
    let slopes = analysis(&result, "slopes");
    let wanted = ranked(counts(label));
    assert!(wanted.iter().any(|(key, _)| key == "(missing)"), "two hospitals lack many slopes");
    assert_same(published(slopes), wanted);
    ledger(&lab);
}

/// By code and by disease: each key's two cells, the code's label, and the mean age of a cell that all show.
fn pain(block: &Value) {
    assert_eq!(block["columns"], serde_json::json!(["discovered(cp)", "disease", "count", "mean(age)"]));
    assert_eq!(block["kind"], "table");
    let labels = ["typical angina", "atypical angina", "non-anginal pain", "asymptomatic"];
    let level = |row: &[Option<f64>]| (row[2].map(|x| labels[x as usize - 1]), row[13].expect("a diagnosis") > 0.0);
    let mut means = 0;
    for (at, row) in block["rows"].as_array().expect("rows").iter().enumerate() {
        let sick = |row: &Value| row[1].as_str().and_then(|sick| sick.parse::<bool>().ok());
        let inside = |of: &Vec<Option<f64>>| sick(row).map(|sick| (row[0].as_str(), sick)) == Some(level(of));
        let by_site: Vec<Vec<Vec<Option<f64>>>> =
            HOSPITALS.iter().map(|site| rows(site).into_iter().filter(inside).collect()).collect();
        let parts: Vec<usize> = by_site.iter().map(Vec::len).collect();
        assert_eq!(interval(block, at, 2), expected(&parts), "{row}");
        let all: Vec<f64> = by_site.iter().flatten().map(|row| row[0].expect("an age")).collect();
        let coverage = block["coverage"].as_array().expect("coverage").iter().find(|c| c["row"] == at);
        if coverage.is_some_and(|c| c["n"] == all.len()) {
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            assert!((row[3].as_f64().expect("a mean") - mean).abs() < 1e-9, "{row}: {mean}");
            means += 1;
        }
    }
    assert!(means > 0, "no cell is shown by all: {block:#}");
}

/// The four most frequent ages; ages that fewer than two hospitals show are not among the keys of the answer.
fn ages(block: &Value) {
    let all = counts(|row| (row[0].expect("an age") as i64).to_string());
    let wanted = ranked(all);
    let found = published(block);
    assert_eq!(found.len(), 4);
    assert!(wanted.len() > 4, "{wanted:?}");
    let least = |of: &[(String, (usize, usize))]| of.iter().map(|(_, interval)| interval.0).collect::<Vec<_>>();
    assert_eq!(least(&found), least(&wanted[..4]));
    for key in &found {
        assert!(wanted.contains(key), "{key:?} is not in {wanted:?}");
    }
    let notes = block["notes"].to_string();
    assert!(
        notes.contains(&format!("{} keys can be published: the 4 with the most patients", wanted.len())),
        "{notes}"
    );
}

/// The ledger names what left one hospital, and no age that fewer than eleven of its patients have.
fn ledger(lab: &Lab) {
    let config = lab.site("cleveland").join("node.toml");
    let shown = lab.run(&["node", "ledger", "show", "--config", config.to_str().expect("UTF-8")]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(text.contains("discovered(cp) = asymptomatic, disease = true"), "{text}");
    let ages = counts(|row| (row[0].expect("an age") as i64).to_string());
    let at = HOSPITALS.iter().position(|site| *site == "cleveland").expect("a hospital");
    for (age, parts) in ages {
        assert_eq!(text.contains(&format!("discovered(age) = {age}:")), parts[at] >= K, "{age}");
    }
}
