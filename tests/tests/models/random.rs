//! Any data, any formula, any number of sites: a federated fit is the pooled one.

mod cases;
mod hazards;
mod net;

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
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(bocage_tests::scale().into()), ..ProptestConfig::with_cases(80 * bocage_tests::scale()) })]

    #[test]
    fn a_federated_fit_is_the_pooled_one(case in cases()) {
        let data = case.data();
        let expected = pooled::fit(case.family, &data.complete);
        prop_assume!(expected.is_some());
        let expected = expected.expect("a fit");
        let result = data::dealt(CONTRACT, &data.file, case.sites).run(&case.text(), Gate::OPEN).remove(0);
        prop_assert!(!result.block.rows.is_empty(), "{}\n{:?}", case.text(), result.notes);
        let (n, p, sites) = (data.complete.y.len() as f64, expected.estimates.len() as f64, case.sites as f64);
        let (errors, by) = match case.errors {
            Errors::Model => (expected.errors(), 1.0),
            Errors::Hc0 => (expected.sandwich(|row| row), 1.0),
            Errors::Hc1 => (expected.sandwich(|row| row), (n / (n - p)).sqrt()),
            Errors::Site => (expected.sandwich(|row| data.site[row]), (sites / (sites - 1.0)).sqrt()),
        };
        for (at, label) in case.labels().iter().enumerate() {
            let (estimate, error) = (expected.estimates[at], by * errors[at]);
            let what = |column| format!("{}\n{label}: {column}", case.text());
            same(number(&result.block, label, "estimate"), estimate, error, &what("estimate"))?;
            same(number(&result.block, label, "standard error"), error, 0.0, &what("standard error"))?;
        }
        if let Some(theta) = expected.theta {
            same(number(block(&result, "fit"), "theta", "value"), theta, 0.0, "theta")?;
        }
    }
}

#[test]
fn the_pooled_fit_is_that_of_statsmodels() {
    let of = |name: &str, outcome: &str, family| {
        let mut rows = pooled::Rows::default();
        let names =
            if outcome == "lab" { vec!["Intercept", "age", "sex"] } else { vec!["Intercept", "age", "sex", "lab"] };
        for (_, row) in data::covid() {
            let number = |column: &str| match row.get(column).map(String::as_str) {
                None => 1.0,
                Some("true") => 1.0,
                Some("false") => 0.0,
                Some(text) => text.parse().expect("a number"),
            };
            rows.x.push(names.iter().map(|column| number(column)).collect());
            rows.y.push(number(outcome));
            rows.offset.push(0.0);
            rows.weight.push(1.0);
        }
        let (found, expected) = (pooled::fit(family, &rows).expect("a fit"), data::reference(name));
        // Those of the linear model there are HC1.
        let (n, p) = (rows.y.len() as f64, names.len() as f64);
        let by = if family == Family::Gaussian { (n / (n - p)).sqrt() } else { 1.0 };
        let robust: Vec<f64> = found.sandwich(|row| row).iter().map(|error| by * error).collect();
        let parts = [(&found.estimates, "estimates"), (&found.errors(), "errors"), (&robust, "robust")];
        for (at, column) in names.iter().enumerate() {
            for (found, part) in parts.into_iter().filter(|(_, part)| !expected[part].is_null()) {
                let expected = expected[part][column].as_f64().expect("a number");
                assert!(
                    (found[at] / expected - 1.0).abs() < 1e-8,
                    "{name}, {part}, {column}: {} for {expected}",
                    found[at]
                );
            }
        }
    };
    of("covid, linear", "lab", Family::Gaussian);
    of("covid, logit", "death", Family::Binomial);
    of("covid, gamma", "los", Family::Gamma);
    of("covid, poisson", "los", Family::Poisson);
}
