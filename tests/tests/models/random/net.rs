//! Any data, any formula, any number of sites: a federated elastic net is the pooled one along its whole path, with the same columns left.

use bocage_coordinator::api::types::{Block, Value};
use bocage_tests::federation::{Gate, block};
use proptest::prelude::*;

use super::super::data;
use super::super::pooled::{self, Family, net};
use super::cases::{CONTRACT, Case, Data, Errors, cases};

/// Of the largest λ, at which no column is left.
const SHARES: [f64; 4] = [0.7, 0.3, 0.1, 0.02];

/// The value of a column in the row of a path at this place.
fn at(path: &Block, place: usize, column: &str) -> f64 {
    let column = path.columns.iter().position(|name| name == column).expect(column);
    match path.rows[place][column] {
        Value::Number(x) => x,
        ref other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20 * bocage_tests::scale()) })]

    #[test]
    fn a_federated_elastic_net_is_the_pooled_one(case in cases(), mix in 1u8..=10, linear in any::<bool>()) {
        let (family, name) = if linear { (Family::Gaussian, "gaussian") } else { (Family::Binomial, "binomial") };
        // Weights and intercepts of sites are no part of a net, nor of a logistic one an offset.
        let case = Case { family, weights: false, by_site: false, ridge: None, errors: Errors::Model, offset: case.offset && linear, ..case };
        let Data { file, complete, .. } = case.data();
        let mix = f64::from(mix) / 10.0;
        let largest = net::largest(&complete, mix);
        let lambdas = SHARES.map(|share| largest * share);
        let asked = format!(
            "[[analysis]]\nname = \"n\"\nelastic_net = {{ formula = \"{}\", family = \"{name}\", mix = {mix}, lambdas = {lambdas:?} }}",
            case.formula()
        );
        let result = data::dealt(CONTRACT, &file, case.sites).run(&asked, Gate::OPEN).remove(0);
        prop_assert!(!result.block.rows.is_empty(), "{asked}\n{:?}", result.notes);
        let path = block(&result, "path");
        // A path that leaves the bounds of a fit ends early, and a note says so.
        prop_assert!(path.rows.len() == SHARES.len() || result.notes.iter().any(|note| note.contains("ends")), "{:?}", result.notes);
        for (place, lambda) in lambdas.into_iter().take(path.rows.len()).enumerate() {
            let expected = net::fit(family, &complete, lambda, mix);
            for (label, expected) in case.labels().into_iter().zip(expected) {
                let found = at(path, place, &label);
                prop_assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{asked}\n{label} at {lambda}: {found} for {expected}");
                prop_assert!(expected.abs() < 1e-6 || found != 0.0, "{asked}\n{label} at {lambda} fell out, and is {expected}");
                prop_assert!(expected != 0.0 || found.abs() < 1e-6, "{asked}\n{label} at {lambda} is left: {found}");
            }
        }
    }
}

/// What [`net::fit`] makes of the COVID data is what scikit-learn makes of them (`tests/reference/cross_validation.py`).
#[test]
fn the_pooled_elastic_net_is_that_of_scikit_learn() {
    for (name, outcome, family, mix) in [
        ("gaussian_net", "los", Family::Gaussian, 0.5),
        ("lasso", "los", Family::Gaussian, 1.0),
        ("logistic_net", "death", Family::Binomial, 0.5),
    ] {
        let mut rows = pooled::Rows::default();
        for (_, row) in data::covid() {
            let number = |column: &str| match row[column].as_str() {
                "true" => 1.0,
                "false" => 0.0,
                text => text.parse().expect("a number"),
            };
            rows.x.push(vec![1.0, number("age"), number("sex"), number("lab")]);
            rows.y.push(number(outcome));
            rows.offset.push(0.0);
        }
        let reference = data::reference_of("cross_validation", name);
        for (lambda, expected) in reference.as_object().expect("penalties") {
            let found = net::fit(family, &rows, lambda.parse().expect("a penalty"), mix);
            for (found, expected) in found.into_iter().zip(expected.as_array().expect("coefficients")) {
                let expected = expected.as_f64().expect("a coefficient");
                assert!(
                    (found - expected).abs() <= 1e-7 * expected.abs().max(1.0),
                    "{name} at {lambda}: {found} for {expected}"
                );
            }
        }
    }
}
