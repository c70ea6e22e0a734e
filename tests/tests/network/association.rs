//! Groups of the four hospitals held against each other, against plain computations on the pooled rows, under the hospitals' own policies.

use bocage_tests::lab::Lab;
use serde_json::Value;

use super::analyses::{Row, analysis, pooled, rows};
use super::{EXE, everyone};

const STUDY: &str = r#"
title = "Association"
purpose = "scientific_research"
dataset = "heart@1"
answer_within = "5m"
sites = ["cleveland", "hungary", "long-beach", "switzerland"]
[[analysis]]
name = "risks"
compare = { outcome = "thalach >= 130", by = "cut(age, 55)", within = "site" }
[[analysis]]
name = "means"
compare = { outcome = "thalach", by = "cut(age, 55)" }
[[analysis]]
name = "pair"
correlation = { columns = ["age", "thalach"] }
[[analysis]]
name = "one"
table_one = { by = "cut(age, 55)", columns = ["thalach", "sex"] }
[[analysis]]
name = "rates"
standardised = { events = "thalach >= 130", over = ["cut(age, 55)"], population = "population.csv" }
[[analysis]]
name = "told"
accuracy = { test = "thalach >= 130", truth = "age >= 55" }
[[analysis]]
name = "hidden"
compare = { outcome = "disease", by = "sex" }
"#;

fn near(value: &Value, wanted: f64) {
    let found = value.as_f64().unwrap_or_else(|| panic!("{value} is not {wanted}"));
    assert!((found - wanted).abs() <= 1e-8 * wanted.abs(), "{found} is not {wanted}");
}

/// The values behind the texts that a row of a block begins with.
fn behind<'a>(block: &'a Value, names: &[&str]) -> &'a [Value] {
    let is = |row: &&Value| names.iter().enumerate().all(|(i, name)| row[i] == *name);
    let row = rows(block).iter().find(is).unwrap_or_else(|| panic!("no {names:?} in {block:#}"));
    &row.as_array().expect("a row")[names.len()..]
}

fn also<'a>(analysis: &'a Value, title: &str) -> &'a Value {
    let blocks = analysis["also"].as_array().expect("further blocks");
    blocks.iter().find(|block| block["title"] == title).unwrap_or_else(|| panic!("no {title} in {analysis:#}"))
}

#[test]
fn groups_differ_as_in_the_pooled_rows_and_what_a_hospital_hides_leaves_no_ratio() {
    let lab = Lab::new(EXE);
    let (_coordinator, _nodes) = everyone(&lab);
    std::fs::write(lab.path("population.csv"), "age;population\n>=55;1\n<55;3\n").expect("a file beside the study");
    let result = lab.study("association", STUDY).published();
    assert_eq!(result["analyses"].as_array().expect("analyses").len(), 7, "what is signed as several is one");
    let known: Vec<Row> = pooled().into_iter().filter(|row| row.thalach.is_some()).collect();
    let rate = |row: &Row| row.thalach.expect("a rate");
    let group = |old: bool| known.iter().filter(|row| (row.age >= 55.0) == old).map(rate).collect::<Vec<f64>>();
    let (young, old) = (group(false), group(true));
    let share = |of: &[f64]| of.iter().filter(|x| **x >= 130.0).count() as f64 / of.len() as f64;

    let risks = analysis(&result, "risks");
    let against = also(risks, "against <55");
    near(&behind(against, &[">=55", "risk_difference"])[0], share(&old) - share(&young));
    near(&behind(against, &[">=55", "risk_ratio"])[0], share(&old) / share(&young));
    let within = behind(also(risks, "within sites"), &["mantel_haenszel_risk_ratio"]);
    assert!(within[1].as_f64() < within[0].as_f64() && within[0].as_f64() < within[2].as_f64(), "{within:?}");

    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let variance = |of: &[f64]| of.iter().map(|x| (x - mean(of)).powi(2)).sum::<f64>() / (of.len() - 1) as f64;
    let se = (variance(&old) / old.len() as f64 + variance(&young) / young.len() as f64).sqrt();
    let means = analysis(&result, "means");
    near(&behind(also(means, "tests"), &["welch_t", ">=55"])[0], (mean(&old) - mean(&young)) / se);

    let (ages, rates): (Vec<f64>, Vec<f64>) = known.iter().map(|row| (row.age, rate(row))).unzip();
    let products = ages.iter().zip(&rates).map(|(x, y)| (x - mean(&ages)) * (y - mean(&rates))).sum::<f64>();
    let r = products / ((ages.len() - 1) as f64 * (variance(&ages) * variance(&rates)).sqrt());
    let pair = behind(analysis(&result, "pair"), &["age", "thalach"]);
    assert_eq!(pair[0], known.len());
    near(&pair[1], r);

    let one = analysis(&result, "one");
    near(&behind(one, &["thalach", ""])[1], mean(&young));
    assert_eq!(
        behind(one, &["patients", ""])[0].as_u64(),
        Some(pooled().iter().filter(|r| r.age < 55.0).count() as u64)
    );
    near(&rows(analysis(&result, "rates"))[0][3], (3.0 * share(&young) + share(&old)) / 4.0);
    let holds = |old: &[f64]| old.iter().filter(|x| **x >= 130.0).count() as f64;
    near(
        &behind(also(analysis(&result, "told"), "accuracy"), &["ppv"])[0],
        holds(&old) / (holds(&old) + holds(&young)),
    );

    let hidden = analysis(&result, "hidden");
    assert!(behind(also(hidden, "against female"), &["male", "risk_ratio"]).iter().all(Value::is_null), "{hidden:#}");
    let notes = hidden["notes"].to_string();
    assert!(notes.contains("not every comparison is given"), "{notes}");
}
