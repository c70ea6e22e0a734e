//! Models over the four hospitals as processes: every round crosses the wire, and the fit is that of the pooled rows.

use bocage_tests::lab::{HOSPITALS, Lab, status};
use serde_json::Value;

use super::analyses::{analysis, of_one, pooled, rows};
use super::{EXE, everyone};

const STUDY: &str = r#"
title = "Models"
purpose = "scientific_research"
dataset = "heart@1"
answer_within = "5m"
sites = ["cleveland", "hungary", "long-beach", "switzerland"]
[[analysis]]
name = "line"
model = { formula = "thalach ~ age" }
[[analysis]]
name = "odds"
model = { formula = "thalach >= 130 ~ age", standard_errors = "hc0" }
[[analysis]]
name = "table"
table = { by = ["sex"], show = ["count"] }
[[analysis]]
name = "axes"
pca = { columns = ["age", "thalach"] }
[[analysis]]
name = "types"
kmeans = { columns = ["age", "thalach"], clusters = 2 }
"#;

fn estimate(of: &Value, term: &str) -> f64 {
    let row = rows(of).iter().find(|row| row[0] == term).unwrap_or_else(|| panic!("no {term} in {of:#}"));
    row[1].as_f64().unwrap_or_else(|| panic!("{row}"))
}

fn near(found: f64, wanted: f64) {
    assert!((found - wanted).abs() <= 1e-8 * wanted.abs(), "{found} is not {wanted}");
}

#[test]
fn a_fit_of_several_rounds_over_four_processes_is_that_of_the_pooled_rows() {
    let lab = Lab::new(EXE);
    let (_coordinator, _nodes) = everyone(&lab);
    let result = lab.study("models", STUDY).published();
    let known: Vec<(f64, f64)> = pooled().iter().filter_map(|row| Some((row.age, row.thalach?))).collect();
    let n = known.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| known.iter().map(of).sum::<f64>() / n;
    let (age, rate) = (mean(|row| row.0), mean(|row| row.1));
    let sum = |of: &dyn Fn(f64, f64) -> f64| known.iter().map(|(x, y)| of(x - age, y - rate)).sum::<f64>();
    let slope = sum(&|x, y| x * y) / sum(&|x, _| x * x);
    let line = analysis(&result, "line");
    near(estimate(line, "age"), slope);
    near(estimate(line, "(intercept)"), rate - slope * age);
    // Of two columns the first component has a variance of 1 + |r|.
    let r = sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
    near(estimate(analysis(&result, "axes"), "PC1"), 1.0 + r.abs());
    let types = rows(analysis(&result, "types"));
    let patients: u64 = types.iter().filter_map(|row| row[1].as_u64()).sum();
    assert_eq!((types.len(), patients), (2, known.len() as u64), "{types:?}");
    // The mean of the clusters' means is that of all.
    let means = types.iter().map(|row| row[1].as_f64().unwrap_or_default() * row[3].as_f64().unwrap_or_default());
    near(means.sum::<f64>() / n, age);
    // At the solution the residuals of a logistic model sum to nothing, by themselves and with every column.
    let odds = analysis(&result, "odds");
    let (intercept, slope) = (estimate(odds, "(intercept)"), estimate(odds, "age"));
    let residual = |x: f64, y: f64| f64::from(u8::from(y >= 130.0)) - 1.0 / (1.0 + (-intercept - slope * x).exp());
    let score: [f64; 2] = [0, 1].map(|p| known.iter().map(|(x, y)| residual(*x, *y) * x.powi(p)).sum());
    assert!(score[0].abs() < 1e-6 && score[1].abs() < 1e-4, "{score:?}");
    let fit = odds["also"].as_array().expect("blocks").iter().find(|block| block["title"] == "fit").expect("a fit");
    let rounds = rows(fit).iter().find(|row| row[0] == "rounds").expect("rounds");
    assert!(rounds[1].as_u64().is_some_and(|rounds| rounds > 3), "{rounds}");
}

const STAGES: &str = r#"
title = "Each hospital by itself"
purpose = "scientific_research"
dataset = "heart@1"
answer_within = "5m"
min_sites = 3
sites = ["cleveland", "hungary", "long-beach", "switzerland"]
[[analysis]]
name = "odds"
model = { formula = "thalach >= 130 ~ age", two_stage = "hartung_knapp" }
"#;

#[test]
fn hospitals_that_allow_it_are_fitted_by_themselves_and_one_that_does_not_is_named() {
    let lab = Lab::new(EXE);
    let allowing = ["cleveland", "hungary", "long-beach"];
    allowing.iter().for_each(|site| lab.edit_node(site, "[policy]", "[policy]\nper_site_results = true"));
    let (_coordinator, _nodes) = everyone(&lab);
    lab.wait_for_offers(&HOSPITALS);
    let result = lab.study("stages", STAGES).published();
    let odds = analysis(&result, "odds");
    let block = |title: &str| {
        let also = odds["also"].as_array().expect("blocks");
        also.iter().find(|block| block["title"] == title).unwrap_or_else(|| panic!("no {title} in {odds:#}"))
    };
    let own = |term: &str, site: &str| {
        let row = rows(block("forest")).iter().find(|row| row[0] == term && row[1] == site);
        row.unwrap_or_else(|| panic!("no {term} of {site}"))[2].as_f64().expect("a number")
    };
    for site in allowing {
        // At each hospital's solution its own residuals sum to nothing, by themselves and with age.
        let known: Vec<(f64, f64)> = of_one(site).iter().filter_map(|row| Some((row.age, row.thalach?))).collect();
        let (intercept, slope) = (own("(intercept)", site), own("age", site));
        let residual = |x: f64, y: f64| f64::from(u8::from(y >= 130.0)) - 1.0 / (1.0 + (-intercept - slope * x).exp());
        let score: [f64; 2] = [0, 1].map(|p| known.iter().map(|(x, y)| residual(*x, *y) * x.powi(p)).sum());
        assert!(score[0].abs() < 1e-6 && score[1].abs() < 1e-4, "{site}: {score:?}");
    }
    assert_eq!(rows(block("patients with all that the model reads")).len(), 3);
    let refused = status(&result, "switzerland");
    assert_eq!((&refused["status"], &refused["reason"]["code"]), (&"refused".into(), &"policy_refused".into()));
    let notes = odds["notes"].to_string();
    assert!(notes.contains("site switzerland lets no results of its own be published (odds)"), "{notes}");
}
