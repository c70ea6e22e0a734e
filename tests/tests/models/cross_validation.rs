//! Cross-validation: by site equal to statsmodels and scikit-learn on the pooled rows; by fold equal to plain models of the same patients.

use std::collections::BTreeMap;

use bocage_coordinator::api::types::{AnalysisResult, Value};
use bocage_tests::federation::{Federation, Gate, block, fold, number};

use super::data::{self, COVID, Rows};

const LOGISTIC: &str = "formula = \"death ~ age + sex + lab\"";

fn near(found: f64, wanted: f64, within: f64, what: &str) {
    assert!((found - wanted).abs() <= within * wanted.abs().max(1.0), "{what}: {found} is not {wanted}");
}

fn validated(federation: &Federation, asked: &str, gate: Gate) -> AnalysisResult {
    let asked = format!("[[analysis]]\nname = \"v\"\ncross_validation = {{ {asked} }}\n");
    federation.run(&asked, gate).remove(0)
}

/// The patients by name, each with the fold of ten that the sites' key draws.
pub fn named() -> (String, Rows) {
    let contract = COVID
        .replace("covid@1", "named@1")
        .replace("subject = \"row\"", "subject = \"id\"\n    one_row_per_subject = true");
    let own = "column = [\n{ name = \"id\", type = \"text\" },\n{ name = \"fold\", type = \"int\", range = [0, 9] },";
    let mut rows = data::covid();
    for (at, (_, row)) in rows.iter_mut().enumerate() {
        let id = format!("p{at}");
        row.insert("fold".to_owned(), fold(&id, 10).to_string());
        row.insert("id".to_owned(), id);
    }
    (contract.replace("column = [", own), rows)
}

#[test]
fn each_site_left_out_is_expected_as_statsmodels_expects_it() {
    let reference = data::reference_of("cross_validation", "logistic");
    let of = |name: &str| reference[name].as_f64().expect("a number");
    let federation = data::by_site(COVID, &data::covid());
    let result = validated(&federation, &format!("{LOGISTIC}, folds = \"site\""), Gate::OPEN);
    let value = |name: &str| number(&result.block, name, "value");
    near(value("Brier score"), of("brier"), 1e-9, "Brier");
    near(value("mean deviance"), of("deviance"), 1e-9, "deviance");
    near(value("calibration intercept"), of("intercept"), 1e-7, "intercept");
    near(value("calibration slope"), of("slope"), 1e-7, "slope");
    let z = 1.959_963_984_540_054;
    near(number(&result.block, "calibration slope", "to"), of("slope") + z * of("slope_error"), 1e-6, "its interval");
    let [least, most] = ["least", "most"].map(|end| number(&result.block, "area under the curve", end));
    assert!(least <= of("auc") && of("auc") <= most && most - least < 0.02, "{least} {most}");
    for (site, score) in reference["by_site"].as_object().expect("sites") {
        near(number(block(&result, "folds"), site, "Brier score"), score.as_f64().expect("a score"), 1e-9, site);
        let fit = &reference["fits"][site];
        for (at, term) in ["(intercept)", "age", "sex[1]", "lab"].into_iter().enumerate() {
            let found = number(block(&result, "coefficients"), term, &format!("without {site}"));
            near(found, fit[at].as_f64().expect("a coefficient"), 1e-7, term);
        }
    }
    assert_eq!(number(block(&result, "folds"), "site1", "patients"), 600.0);
}

/// How often one with the event has the higher linear predictor than one without; no two are alike.
fn area(patients: &[(f64, bool)]) -> f64 {
    let (mut above, mut pairs) = (0.0, 0.0);
    for (with, _) in patients.iter().filter(|row| row.1) {
        for (without, _) in patients.iter().filter(|row| !row.1) {
            above += if with > without { 1.0 } else { 0.0 };
            pairs += 1.0;
        }
    }
    above / pairs
}

/// What the fit without some expects of these patients.
fn expected<'a>(
    result: &AnalysisResult,
    without: &str,
    rows: impl Iterator<Item = &'a BTreeMap<String, String>>,
) -> Vec<(f64, bool)> {
    let beta = ["(intercept)", "age", "sex[1]", "lab"].map(|term| number(block(result, "coefficients"), term, without));
    let eta = |row: &BTreeMap<String, String>| {
        let x = |name: &str| row[name].parse::<f64>().expect("a number");
        (beta[0] + beta[1] * x("age") + beta[2] * x("sex") + beta[3] * x("lab"), row["death"] == "true")
    };
    rows.map(eta).collect()
}

#[test]
fn each_fold_and_each_site_has_the_area_of_its_own_patients_within_its_bounds() {
    let (contract, rows) = named();
    let federation = data::by_site(&contract, &rows);
    let holds = |result: &AnalysisResult, name: &str, truth: f64| {
        let [least, most, value] =
            ["area least", "area most", "area under the curve"].map(|of| number(block(result, "folds"), name, of));
        assert!(least <= truth && truth <= most, "{name}: {least} {truth} {most}");
        assert!(most - least < 0.05 && least <= value && value <= most, "{name}: {least} {value} {most}");
    };
    let result = validated(&federation, &format!("{LOGISTIC}, folds = 5, fold_areas = true"), Gate::OPEN);
    for at in 0..5 {
        let own = rows.iter().map(|(_, row)| row).filter(|row| fold(&row["id"], 5) == at);
        let own = expected(&result, &format!("without fold {}", at + 1), own);
        holds(&result, &format!("fold {}", at + 1), area(&own));
    }
    let plain = validated(&federation, &format!("{LOGISTIC}, folds = 5"), Gate::OPEN);
    assert_eq!(plain.block, result.block, "all together are counted by themselves");
    assert!(!block(&plain, "folds").columns.iter().any(|column| column.starts_with("area")));
    let sites = validated(&federation, &format!("{LOGISTIC}, folds = \"site\""), Gate::OPEN);
    for site in ["site1", "site6"] {
        let own = rows.iter().filter(|(own, _)| own == site).map(|(_, row)| row);
        holds(&sites, site, area(&expected(&sites, &format!("without {site}"), own)));
    }
}

#[test]
fn a_linear_model_explains_as_much_of_left_out_sites_as_scikit_learn_says() {
    let reference = data::reference_of("cross_validation", "linear");
    let federation = data::by_site(COVID, &data::covid());
    let result = validated(&federation, "formula = \"los ~ age + sex + lab\", folds = \"site\"", Gate::OPEN);
    let value = |name: &str| number(&result.block, name, "value");
    near(value("mean squared error"), reference["squares"].as_f64().expect("a number"), 1e-9, "squares");
    near(value("R-squared"), reference["r_squared"].as_f64().expect("a number"), 1e-9, "R²");
    for (site, score) in reference["by_site"].as_object().expect("sites") {
        near(number(block(&result, "folds"), site, "R-squared"), score.as_f64().expect("a score"), 1e-9, site);
    }
}

#[test]
fn folds_are_fitted_and_evaluated_as_plain_models_of_the_same_patients_are() {
    let (contract, rows) = named();
    let federation = data::by_site(&contract, &rows);
    let result = validated(&federation, &format!("{LOGISTIC}, folds = 10"), Gate::OPEN);
    let folds = block(&result, "folds");
    let terms = ["(intercept)", "age", "sex[1]", "lab"];
    let (mut brier, mut scores, mut linear) = (0.0, [0.0; 2], Vec::new());
    let [a, b] = ["calibration intercept", "calibration slope"].map(|name| number(&result.block, name, "value"));
    for out in 0..10 {
        let heading = format!("without fold {}", out + 1);
        let beta = terms.map(|term| number(block(&result, "coefficients"), term, &heading));
        let plain = format!("where = \"fold <> {out}\"\n[[analysis]]\nname = \"m\"\nmodel = {{ {LOGISTIC} }}\n");
        let plain = federation.run(&plain, Gate::OPEN).remove(0);
        for (term, beta) in terms.iter().zip(beta) {
            near(beta, number(&plain.block, term, "estimate"), 1e-8, term);
        }
        let left: Vec<&BTreeMap<String, String>> =
            rows.iter().map(|(_, row)| row).filter(|row| row["fold"] == out.to_string()).collect();
        let mut own = 0.0;
        for row in &left {
            let x = |name: &str| row[name].parse::<f64>().expect("a number");
            let eta = beta[0] + beta[1] * x("age") + beta[2] * x("sex") + beta[3] * x("lab");
            let expit = |eta: f64| 1.0 / (1.0 + (-eta).exp());
            let (y, calibrated) = (f64::from(u8::from(row["death"] == "true")), expit(a + b * eta));
            own += (y - expit(eta)).powi(2);
            scores[0] += y - calibrated;
            scores[1] += eta * (y - calibrated);
            linear.push((eta, y > 0.5));
        }
        let name = format!("fold {}", out + 1);
        assert_eq!(number(folds, &name, "patients"), left.len() as f64);
        near(number(folds, &name, "Brier score"), own / left.len() as f64, 1e-10, &name);
        brier += own;
    }
    near(number(&result.block, "Brier score", "value"), brier / rows.len() as f64, 1e-10, "Brier");
    // Intercept and slope of the calibration are where its score is nothing.
    assert!(scores.iter().all(|score| score.abs() < 1e-4), "{scores:?}");
    let truth = area(&linear);
    let [least, most] = ["least", "most"].map(|end| number(&result.block, "area under the curve", end));
    assert!(least <= truth && truth <= most && most - least < 0.02, "{least} {truth} {most}");
}

#[test]
fn folds_of_five_and_two_are_evaluated_too_and_of_counts_as_well() {
    let (contract, rows) = named();
    let federation = data::by_site(&contract, &rows);
    for count in [5, 2] {
        let asked = format!("formula = \"los ~ age + lab\", family = \"poisson\", folds = {count}");
        let result = validated(&federation, &asked, Gate::OPEN);
        let patients =
            |at: usize| rows.iter().filter(|(_, row)| row["id"].len() > 1 && fold(&row["id"], count) == at).count();
        for at in 0..usize::from(count) {
            let found = number(block(&result, "folds"), &format!("fold {}", at + 1), "patients");
            assert_eq!(found, patients(at) as f64);
        }
        let no_mean = result.block.rows.iter().all(|row| row[0] != Value::Text("Brier score".to_owned()));
        assert!(no_mean && number(&result.block, "mean deviance", "value") > 0.0);
    }
}

#[test]
fn under_the_usual_gate_folds_are_large_enough_or_their_site_is_left_out() {
    let (contract, rows) = named();
    let asked = "formula = \"lab ~ age\", folds = 2";
    let result = validated(&data::by_site(&contract, &rows), asked, Gate::USUAL);
    let left_out = |site: &str| {
        result.notes.iter().any(|note| note.starts_with(site) && note.contains("refused: of a fold, or without it"))
    };
    assert!(left_out("site6") && !left_out("site1") && !left_out("site2"), "{:?}", result.notes);
    assert!(number(&result.block, "mean squared error", "value") > 0.0);
    // Everybody together is enough, and half of them is not.
    let few: Rows = rows.iter().filter(|(site, _)| site == "site6").cloned().collect();
    let (federation, gate) = (data::by_site(&contract, &few), Gate { min_sites: 1, ..Gate::USUAL });
    let plain = federation.run("[[analysis]]\nname = \"m\"\nmodel = { formula = \"lab ~ age\" }\n", gate).remove(0);
    assert_eq!(plain.block.rows.len(), 2, "{:?}", plain.notes);
    let result = validated(&federation, asked, gate);
    let said = "no cross-validation: each fit needs a site";
    assert!(result.block.rows.is_empty() && result.notes.iter().any(|note| note == said), "{:?}", result.notes);
}
