//! Without disclosure control a fit over sites is the pooled fit, to 1e-8.

use bocage_coordinator::api::types::AnalysisResult;
use bocage_tests::federation::{Gate, block, number};
use serde_json::Value;

use super::data::{self, COVID, HEART, RCT, Rows, VISITS};

/// The same to 1e-8 of the larger of it and `least`.
#[track_caller]
pub fn near(found: f64, expected: &Value, least: f64, what: &str) {
    let expected = expected.as_f64().unwrap_or_else(|| panic!("{what}: no number {expected}"));
    let error = (found - expected).abs() / expected.abs().max(least);
    assert!(error < 1e-8, "{what}: {found} for {expected}, off by {error:e}");
}

pub fn model(contract: &str, rows: &Rows, text: &str) -> AnalysisResult {
    let federation = data::by_site(contract, rows);
    let analysis = format!("[[analysis]]\nname = \"m\"\nmodel = {{ {text} }}");
    federation.run(&analysis, Gate::OPEN).remove(0)
}

/// Estimates, standard errors, log-likelihood and deviance. `names` are ours by those of the reference.
#[track_caller]
fn equal(result: &AnalysisResult, name: &str, names: &[(&str, &str)]) {
    let expected = data::reference(name);
    let fit = block(result, "fit");
    near(number(fit, "patients", "value"), &expected["n"], 1.0, "n");
    for (theirs, ours) in names {
        near(number(&result.block, ours, "estimate"), &expected["estimates"][theirs], 1e-3, &format!("{name}: {ours}"));
        near(
            number(&result.block, ours, "standard error"),
            &expected["errors"][theirs],
            1e-4,
            &format!("{name}: error of {ours}"),
        );
    }
    near(number(fit, "log-likelihood", "value"), &expected["log_likelihood"], 1.0, name);
    for (theirs, ours) in [("deviance", "deviance"), ("pearson_chi2", "Pearson chi-squared")] {
        if !expected[theirs].is_null() {
            near(number(fit, ours, "value"), &expected[theirs], 1.0, ours);
        }
    }
}

const COVID_NAMES: [(&str, &str); 4] =
    [("Intercept", "(intercept)"), ("age", "age"), ("sex", "sex[1]"), ("lab", "lab")];

#[test]
fn logistic_regression_of_the_four_heart_centres_with_an_effect_of_the_site() {
    let result = model(HEART, &data::heart(), r#"formula = "disease ~ site + age + sex + thalach + exang + oldpeak""#);
    let names = [
        ("Intercept", "(intercept)"),
        ("C(site)[T.hungary]", "site[hungary]"),
        ("C(site)[T.long-beach]", "site[long-beach]"),
        ("C(site)[T.switzerland]", "site[switzerland]"),
        ("age", "age"),
        ("sex", "sex[1]"),
        ("thalach", "thalach"),
        ("exang", "exang[1]"),
        ("oldpeak", "oldpeak"),
    ];
    equal(&result, "heart, sites", &names);
    let expected = data::reference("heart, sites");
    let explained = number(block(&result, "fit"), "pseudo R-squared (McFadden)", "value");
    near(explained, &expected["mcfadden"], 1e-3, "pseudo R²");
    let tests = block(&result, "tests of terms");
    near(number(tests, "site", "statistic"), &expected["sites"]["statistic"], 1.0, "Wald's of the sites");
    near(number(tests, "site", "p"), &expected["sites"]["p"], 1e-6, "p of the sites");
    assert_eq!(number(tests, "site", "degrees of freedom"), 3.0);
}

#[test]
fn interactions_are_those_of_patsy() {
    let text = r#"formula = "disease ~ age * C(sex) + oldpeak", standard_errors = "hc0""#;
    let complete =
        data::heart().into_iter().filter(|(_, row)| ["thalach", "exang"].iter().all(|c| !row[*c].is_empty()));
    let rows: Rows = complete.collect();
    let result = model(HEART, &rows, text);
    let expected = data::reference("heart, interaction");
    let names = [
        ("age", "age"),
        ("C(sex)[T.1.0]", "C(sex)[1]"),
        ("age:C(sex)[T.1.0]", "age:C(sex)[1]"),
        ("I(oldpeak)", "oldpeak"),
    ];
    for (theirs, ours) in names {
        near(number(&result.block, ours, "estimate"), &expected["estimates"][theirs], 1e-3, ours);
        near(number(&result.block, ours, "standard error"), &expected["robust"][theirs], 1e-4, ours);
    }
}

#[test]
fn every_family_and_link() {
    let rows = data::covid();
    for (name, text) in [
        ("covid, logit", r#"formula = "death ~ age + sex + lab""#),
        ("covid, probit", r#"formula = "death ~ age + sex + lab", link = "probit""#),
        ("covid, cloglog", r#"formula = "death ~ age + sex + lab", link = "cloglog""#),
        ("covid, poisson", r#"formula = "los ~ age + sex + lab", family = "poisson""#),
        ("covid, modified poisson", r#"formula = "death ~ age + sex + lab", family = "poisson""#),
        ("covid, offset", r#"formula = "los ~ age + sex + lab + offset(log(age))", family = "poisson""#),
    ] {
        let contract = if name.ends_with("offset") { COVID.replace("[0, 120]", "[1, 120]") } else { COVID.to_owned() };
        equal(&model(&contract, &rows, text), name, &COVID_NAMES);
    }
}

#[test]
fn robust_errors_are_those_of_the_sandwich() {
    let rows = data::covid();
    for (name, family) in [("covid, logit", ""), ("covid, poisson", ""), ("covid, modified poisson", "")] {
        let outcome = if name == "covid, poisson" { "los" } else { "death" };
        let family = if name == "covid, logit" { family.to_owned() } else { r#", family = "poisson""#.to_owned() };
        let text = format!(r#"formula = "{outcome} ~ age + sex + lab", standard_errors = "hc0"{family}"#);
        let (result, expected) = (model(COVID, &rows, &text), data::reference(name));
        for (theirs, ours) in COVID_NAMES {
            near(
                number(&result.block, ours, "standard error"),
                &expected["robust"][theirs],
                1e-4,
                &format!("{name} {ours}"),
            );
        }
    }
}

#[test]
fn a_linear_model_is_that_of_least_squares() {
    let names = [("Intercept", "(intercept)"), ("age", "age"), ("sex", "sex[1]")];
    let rows = data::covid();
    let result = model(COVID, &rows, r#"formula = "lab ~ age + sex""#);
    equal(&result, "covid, linear", &names);
    near(
        number(block(&result, "fit"), "R-squared", "value"),
        &data::reference("covid, linear")["r_squared"],
        1e-3,
        "R²",
    );
    let result = model(COVID, &rows, r#"formula = "lab ~ age + sex", standard_errors = "hc1""#);
    for (theirs, ours) in names {
        let expected = &data::reference("covid, linear")["robust"][theirs];
        near(number(&result.block, ours, "standard error"), expected, 1e-4, ours);
    }
    let names = [
        ("Intercept", "(intercept)"),
        ("age", "poly(age, 3)1"),
        ("I(age ** 2)", "poly(age, 3)2"),
        ("I(age ** 3)", "poly(age, 3)3"),
    ];
    equal(&model(COVID, &rows, r#"formula = "lab ~ poly(age, 3)""#), "covid, cubic", &names);
}

#[test]
fn a_gamma_model_has_the_estimates_of_the_pooled_one() {
    equal_estimates(
        &model(COVID, &data::covid(), r#"formula = "los ~ age + sex + lab", family = "gamma""#),
        "covid, gamma",
        &COVID_NAMES,
    );
}

#[test]
fn a_negative_binomial_model_estimates_its_dispersion() {
    let names =
        [("Intercept", "(intercept)"), ("age", "age"), ("sex", "sex[1]"), ("medical_condition", "medical_condition")];
    let text = r#"formula = "visits ~ age + sex + medical_condition", family = "negative_binomial""#;
    let result = model(VISITS, &data::visits(), text);
    let expected = data::reference("visits, negative binomial");
    for (theirs, ours) in names {
        near(number(&result.block, ours, "estimate"), &expected["estimates"][theirs], 1e-2, ours);
    }
    let theta = 1.0 / expected["estimates"]["alpha"].as_f64().unwrap();
    near(number(block(&result, "fit"), "theta", "value"), &theta.into(), 1.0, "theta");
    near(number(block(&result, "fit"), "log-likelihood", "value"), &expected["log_likelihood"], 1.0, "log-likelihood");
    assert!(result.notes.iter().any(|note| note.starts_with("no pseudo R-squared: ")), "{:?}", result.notes);
    // The errors are those of a model whose θ is known, as R's glm.nb has them, and not those beside an estimated one.
    let known = data::reference("visits, theta known");
    for (theirs, ours) in names {
        near(number(&result.block, ours, "standard error"), &known["errors"][theirs], 1e-2, ours);
    }
}

#[track_caller]
fn equal_estimates(result: &AnalysisResult, name: &str, names: &[(&str, &str)]) {
    let expected = data::reference(name);
    for (theirs, ours) in names {
        near(number(&result.block, ours, "estimate"), &expected["estimates"][theirs], 1e-3, ours);
        near(number(&result.block, ours, "standard error"), &expected["errors"][theirs], 1e-4, ours);
    }
}

#[test]
fn weights_count_rows_more_or_less() {
    let contract =
        COVID.replace(r#"{ name = "death""#, r#"{ name = "w", type = "float", range = [0, 100] }, { name = "death""#);
    let mut rows = data::covid();
    for (_, row) in &mut rows {
        let weight = row["los"].parse::<f64>().unwrap() + 1.0;
        row.insert("w".to_owned(), weight.to_string());
    }
    let result = model(&contract, &rows, r#"formula = "lab ~ age + sex", weights = "w""#);
    equal_estimates(&result, "covid, weighted", &[("Intercept", "(intercept)"), ("age", "age"), ("sex", "sex[1]")]);
    for (name, family) in [("logit", "binomial"), ("poisson", "poisson")] {
        let text = format!("formula = \"death ~ age + sex + lab\", family = \"{family}\", weights = \"w\"");
        let explained = number(block(&model(&contract, &rows, &text), "fit"), "pseudo R-squared (McFadden)", "value");
        near(explained, &data::reference(&format!("covid, weighted {name}"))["mcfadden"], 1e-3, name);
    }
}

#[test]
fn where_it_is_not_said_what_a_model_explains_it_is_said_why() {
    let (contract, rows) = (COVID.replace("[0, 120]", "[1, 120]"), data::covid());
    for (text, why) in [
        (r#"formula = "los ~ age + offset(age)""#, "no R-squared: with an offset"),
        (r#"formula = "lab ~ 0 + age""#, "no R-squared: without an intercept"),
        (r#"formula = "death ~ sex + offset(log(age))""#, "no pseudo R-squared: with an offset"),
        (r#"formula = "los ~ age", family = "gamma""#, "no pseudo R-squared: in this family"),
    ] {
        let notes = model(&contract, &rows, text).notes;
        assert!(notes.iter().any(|note| note.starts_with(why)), "{text}: {notes:?}");
    }
    for text in [
        r#"formula = "lab ~ age""#,
        r#"formula = "death ~ age""#,
        r#"formula = "los ~ site + age", family = "poisson""#,
    ] {
        let notes = model(&contract, &rows, text).notes;
        assert!(!notes.iter().any(|note| note.contains("R-squared")), "{text}: {notes:?}");
    }
}

#[test]
fn a_trial_of_four_hospitals() {
    let rows = data::rct();
    equal(
        &model(RCT, &rows, r#"formula = "outcome ~ rx""#),
        "rct, crude",
        &[("Intercept", "(intercept)"), ("tx", "rx[true]")],
    );
    let names = [("Intercept", "(intercept)"), ("tx", "rx[true]"), ("risk", "risk")];
    equal(&model(RCT, &rows, r#"formula = "outcome ~ rx + risk""#), "rct, risk", &names);
}
