//! Fits that leave some out over the four hospitals as processes: folds by each node's own key, a round of lines after rounds of sums, and a path of
//! penalties whose sums are those of the pooled rows.

use bocage_tests::lab::{HOSPITALS, Lab, repository};
use serde_json::Value;

use super::analyses::{analysis, rows};
use super::{EXE, everyone};

const STUDY: &str = r#"
title = "Left out"
purpose = "scientific_research"
dataset = "heart@1"
answer_within = "5m"
sites = ["cleveland", "hungary", "long-beach", "switzerland"]
[[analysis]]
name = "rate"
cross_validation = { formula = "thalach ~ age", folds = 2 }
[[analysis]]
name = "high"
cross_validation = { formula = "thalach >= 130 ~ age", folds = 2, grid = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8] }
[[analysis]]
name = "net"
elastic_net = { formula = "thalach ~ age + trestbps", lambdas = [5.0, 1.0] }
"#;

fn block<'a>(of: &'a Value, title: &str) -> &'a Value {
    let found = of["also"].as_array().expect("blocks").iter().find(|block| block["title"] == title);
    found.unwrap_or_else(|| panic!("no {title} in {of:#}"))
}

fn number(of: &Value, name: &str, place: usize) -> f64 {
    let row = rows(of).iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("no {name} in {of:#}"));
    row[place].as_f64().unwrap_or_else(|| panic!("{name}: {row:#?}"))
}

/// Age, blood pressure and heart rate of whom they are known, at these hospitals.
fn patients(sites: &[&str]) -> Vec<[f64; 3]> {
    let read = |site: &&str| {
        let path = repository(&format!("tests/data/heart/{site}.csv"));
        let text = std::fs::read_to_string(path).expect("the hospital's data");
        let patient = |line: &str| {
            let fields: Vec<f64> = line.split(',').map(|field| field.parse().unwrap_or(f64::NAN)).collect();
            // A pressure of 0 means that none was taken.
            Some([fields[0], fields[3], fields[7]]).filter(|row| row.iter().all(|x| x.is_finite()) && row[1] > 0.0)
        };
        text.lines().filter_map(patient).collect::<Vec<_>>()
    };
    sites.iter().flat_map(read).collect()
}

/// The sites of an answer.
fn sites(of: &Value) -> Vec<&'static str> {
    let named = rows(block(of, "patients with all that the model reads"));
    HOSPITALS.iter().copied().filter(|site| named.iter().any(|row| row[0] == *site)).collect()
}

#[test]
fn folds_and_paths_cross_the_wire_in_every_round() {
    let lab = Lab::new(EXE);
    let (_coordinator, _nodes) = everyone(&lab);
    let result = lab.study("left-out", STUDY).published();
    let rate = analysis(&result, "rate");
    let folds = rows(block(rate, "folds"));
    assert_eq!(folds.len(), 2, "{rate:#}");
    let n: u64 = folds.iter().filter_map(|row| row[1].as_u64()).sum();
    assert!(n > 300 && folds.iter().all(|row| row[1].as_u64() > Some(n / 3)), "{rate:#}");
    // Of younger patients hearts beat faster: a tenth of what varies, and more.
    assert!((0.05..0.4).contains(&number(rate, "R-squared", 1)), "{rate:#}");
    let high = analysis(&result, "high");
    let area = |place: usize| number(high, "area under the curve", place);
    assert!(area(4) < area(1) && 0.5 < area(1) && area(1) < area(5) && area(5) < 1.0, "{high:#}");
    assert!((0.5..1.5).contains(&number(high, "calibration slope", 1)), "{high:#}");
    let net = analysis(&result, "net");
    let rows = patients(&sites(net));
    let (count, beta) = (rows.len() as f64, ["(intercept)", "age", "trestbps"].map(|term| number(net, term, 1)));
    assert_eq!(number(block(net, "fit"), "patients", 1), count, "{net:#}");
    let mean = |of: &dyn Fn(&[f64; 3]) -> f64| rows.iter().map(of).sum::<f64>() / count;
    let residual = |row: &[f64; 3]| row[2] - beta[0] - beta[1] * row[0] - beta[2] * row[1];
    assert!(mean(&residual).abs() < 1e-7);
    // Where the path ends, the pull of the rows on each column is what the penalty holds it with.
    for column in [0, 1] {
        let centre = mean(&|row| row[column]);
        let deviation = mean(&|row| (row[column] - centre).powi(2)).sqrt();
        let pull = mean(&|row| (row[column] - centre) / deviation * residual(row));
        let gamma = beta[1 + column] * deviation;
        let free = pull - 0.5 * gamma;
        let held = if gamma == 0.0 { free.abs() <= 0.5 } else { (free - 0.5 * gamma.signum()).abs() < 1e-7 };
        assert!(held, "column {column}: {gamma} is pulled by {pull}");
    }
}
