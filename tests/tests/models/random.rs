//! Any data, any formula, any number of sites: a federated fit is the pooled one.

mod cases;
mod counts;
mod hazards;
mod net;

use std::collections::BTreeMap;

use bocage_tests::federation::{Gate, block, number};
use proptest::prelude::*;

use self::cases::{CONTRACT, Errors, cases};
use super::data;
use super::pooled::{self, Family};

/// The same to 1e-8 of it, or of `unit` where that is larger: what an estimate of nearly 0 is off by is told in its standard error.
fn same(found: f64, expected: f64, unit: f64, what: &str) -> Result<(), TestCaseError> {
    let error = (found - expected).abs() / expected.abs().max(unit);
    prop_assert!(error < 1e-8, "{what}: {found} for {expected}, off by {error:e}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(80 * bocage_tests::scale()) })]

    #[test]
    fn a_federated_fit_is_the_pooled_one(case in cases()) {
        let data = case.data();
        let expected = pooled::fit(case.family, &data.complete);
        prop_assume!(expected.is_some());
        let expected = expected.expect("a fit");
        let result = data::dealt(CONTRACT, &data.file, case.sites).run(&case.text(), Gate::OPEN).remove(0);
        if result.block.rows.is_empty() {
            // There is no fit beyond the bound on slopes.
            let steepest = data.steepest(&case, &expected.estimates);
            let beyond = result.notes.iter().any(|note| note.contains("goes beyond 10"));
            prop_assert!(beyond && steepest > Some(9.9), "{}\n{:?}, {steepest:?}", case.text(), result.notes);
            return Ok(());
        }
        let (n, p, sites) = (data.complete.y.len() as f64, expected.estimates.len() as f64, case.sites as f64);
        let (model, site_errors) = (expected.errors(), matches!(case.errors, Errors::Site));
        let (errors, by) = match case.errors {
            Errors::Model => (model.clone(), 1.0),
            Errors::Hc0 => (expected.sandwich(|row| row), 1.0),
            Errors::Hc1 => (expected.sandwich(|row| row), (n / (n - p)).sqrt()),
            Errors::Site => (expected.sandwich(|row| data.site[row]), (sites / (sites - 1.0)).sqrt()),
        };
        for (at, label) in case.labels().iter().enumerate() {
            let (estimate, error) = (expected.estimates[at], by * errors[at]);
            let what = |column| format!("{}\n{label}: {column}", case.text());
            same(number(&result.block, label, "estimate"), estimate, error, &what("estimate"))?;
            // Of a site's scores its effect leaves next to nothing: their sum is known as well as the model's error.
            let unit = if site_errors { model[at] } else { 0.0 };
            same(number(&result.block, label, "standard error"), error, unit, &what("standard error"))?;
        }
        if let Some(theta) = expected.theta {
            same(number(block(&result, "fit"), "theta", "value"), theta, 0.0, "theta")?;
        }
    }
}

/// What [`pooled::fit`] makes of the data in the repository is what statsmodels makes of them (`tests/reference/models.py`).
#[test]
fn the_pooled_fit_is_that_of_statsmodels() {
    const COVID: [&str; 4] = ["Intercept", "age", "sex", "lab"];
    const HEART: [&str; 5] = ["Intercept", "age", "sex", "exang", "oldpeak"];
    let (covid, visits) = (data::covid(), data::visits());
    let heart: data::Rows = data::heart()
        .into_iter()
        .filter(|(_, row)| ["age", "sex", "thalach", "exang", "oldpeak"].iter().all(|column| !row[*column].is_empty()))
        .collect();
    let number = |row: &BTreeMap<String, String>, column: &str| match row.get(column).map(String::as_str) {
        None | Some("true") => 1.0,
        Some("false") => 0.0,
        Some(text) => text.parse().expect("a number"),
    };
    let rows = |of: &data::Rows, columns: &[&str], outcome: &str| {
        let mut rows = pooled::Rows::default();
        for (_, row) in of {
            rows.x.push(columns.iter().map(|column| number(row, column)).collect());
            rows.y.push(number(row, outcome));
            rows.offset.push(0.0);
            rows.weight.push(1.0);
        }
        rows
    };
    let held = |name: &str, columns: &[&str], family: Family, rows: &pooled::Rows| {
        let (found, expected) = (pooled::fit(family, rows).unwrap_or_else(|| panic!("{name}")), data::reference(name));
        // Those of the linear model there are HC1.
        let (n, p) = (rows.y.len() as f64, columns.len() as f64);
        let by = if family == Family::Gaussian { (n / (n - p)).sqrt() } else { 1.0 };
        let robust: Vec<f64> = found.sandwich(|row| row).iter().map(|error| by * error).collect();
        let parts = [(&found.estimates, "estimates"), (&found.errors(), "errors"), (&robust, "robust")];
        for (at, column) in columns.iter().enumerate() {
            // What is nearly 0 is known as well as its error.
            let unit = expected["errors"][column].as_f64().expect("an error");
            for (found, part) in parts.into_iter().filter(|(_, part)| !expected[part].is_null()) {
                let (found, expected) = (found[at], expected[part][column].as_f64().expect("a number"));
                let off = (found - expected).abs() / expected.abs().max(unit);
                assert!(off < 1e-8, "{name}, {part}, {column}: {found} for {expected}");
            }
        }
        found.theta
    };
    held("covid, linear", &COVID[..3], Family::Gaussian, &rows(&covid, &COVID[..3], "lab"));
    for (name, outcome, family) in [
        ("covid, logit", "death", Family::Binomial),
        ("covid, gamma", "los", Family::Gamma),
        ("covid, poisson", "los", Family::Poisson),
    ] {
        held(name, &COVID, family, &rows(&covid, &COVID, outcome));
    }
    for (name, family) in [("heart, probit", Family::Probit), ("heart, cloglog", Family::Cloglog)] {
        held(name, &HEART, family, &rows(&heart, &HEART, "disease"));
    }
    let of_lab = rows(&covid, &COVID[..3], "lab");
    let weight = covid.iter().map(|(_, row)| number(row, "los") + 1.0).collect();
    held("covid, weighted", &COVID[..3], Family::Gaussian, &pooled::Rows { weight, ..of_lab });
    let of_stay = rows(&covid, &COVID, "los");
    let offset = covid.iter().map(|(_, row)| number(row, "age").ln()).collect();
    held("covid, offset", &COVID, Family::Poisson, &pooled::Rows { offset, ..of_stay });
    let columns = ["Intercept", "age", "sex", "medical_condition"];
    let theta = held("visits, theta known", &columns, Family::NegativeBinomial, &rows(&visits, &columns, "visits"));
    let alpha = data::reference("visits, negative binomial")["estimates"]["alpha"].as_f64().expect("a number");
    assert!(theta.is_some_and(|theta| (theta * alpha - 1.0).abs() < 1e-8), "{theta:?} for {}", 1.0 / alpha);
}
