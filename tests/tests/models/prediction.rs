//! A fitted model as a column of a later study: as a key, over a grid, as a weight; by hand, and from the folder of an earlier answer.

use std::collections::BTreeMap;

use bocage_protocol::trust::{SecretKey, SignedStudy};
use bocage_tests::federation::{Federation, Gate, number};
use serde_json::json;

use super::data::{self, COVID, RCT};
use super::pooled::{self, Family};

const BY_HAND: &str = r#"
[models.risk]
formula = "death ~ age + sex + lab"
coefficients = { "(intercept)" = -5.25, age = 0.0431, "sex[1]" = 0.37, lab = 0.0123 }
"#;

/// What [`BY_HAND`] says of a patient.
fn risk(row: &BTreeMap<String, String>) -> Option<f64> {
    let x = |name: &str| row[name].parse::<f64>().ok();
    let eta = -5.25 + 0.0431 * x("age")? + 0.37 * x("sex")? + 0.0123 * x("lab")?;
    Some(1.0 / (1.0 + (-eta).exp()))
}

fn study(federation: &Federation, models: &str, analyses: &str) -> Result<bocage_protocol::trust::Study, String> {
    federation.bind(&format!(
        "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"{}\"\n{models}\n{analyses}",
        federation.contract().id()
    ))
}

#[test]
fn patients_are_counted_by_bands_of_what_a_model_expects_of_them_at_one_site_or_six() {
    let asked = "[[analysis]]\nname = \"bands\"\nhistogram = { of = \"predict(risk)\", bins = [0.1, 0.2, 0.4] }\n\
                 [[analysis]]\nname = \"high\"\ntable = { by = [\"sex\"], show = [\"count\", \"share(predict(risk) >= 0.2)\"] }\n\
                 [[analysis]]\nname = \"middle\"\nquantiles = { of = \"score\", at = [0.5] }";
    let models = format!("{BY_HAND}[features]\nscore = \"predict(risk)\"\n");
    let rows = data::covid();
    let scores: Vec<f64> = rows.iter().filter_map(|(_, row)| risk(row)).collect();
    let within = |lo: f64, hi: f64| scores.iter().filter(|score| (lo..hi).contains(*score)).count() as f64;
    for federation in [data::by_site(COVID, &rows), data::dealt(COVID, &rows, 1)] {
        let study = study(&federation, &models, asked).unwrap_or_else(|problems| panic!("{problems}"));
        let results = federation.answer(&study, Gate::OPEN);
        for (band, lo, hi) in [("<0.1", 0.0, 0.1), ("0.1–<0.2", 0.1, 0.2), ("0.2–<0.4", 0.2, 0.4), ("≥0.4", 0.4, 1.1)] {
            assert_eq!(number(&results[0].block, band, "count"), within(lo, hi), "{:#?}", results[0].block);
        }
        let men: Vec<f64> = rows.iter().filter(|(_, row)| row["sex"] == "1").filter_map(|(_, row)| risk(row)).collect();
        let high = men.iter().filter(|score| **score >= 0.2).count() as f64 / men.len() as f64;
        assert!((number(&results[1].block, "1", "share(predict(risk) >= 0.2)") - high).abs() < 1e-12);
        let mut sorted = scores.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[scores.len() / 2];
        let found = format!("{:?}", results[2].block);
        assert!(!results[2].block.rows.is_empty(), "{found}, {median}");
    }
}
