//! What is told of a model beside its estimates, held against `tests/reference/quantities.py`.

use bocage_coordinator::api::types::{AnalysisResult, Value as Cell};
use bocage_tests::federation::{Gate, block, number};
use serde_json::Value;

use super::data::{self, COVID};
use super::references::{model, near};

const NAMES: [(&str, &str); 4] =
    [("Intercept", "(intercept)"), ("age", "age"), ("C(sex)[T.1]", "sex[1]"), ("lab", "lab")];

fn expected(name: &str) -> Value {
    data::reference_of("quantities", name)
}

fn covid(text: &str) -> AnalysisResult {
    model(COVID, &data::covid(), text)
}

/// Over so many sites, dealt out.
fn dealt(sites: usize, text: &str) -> AnalysisResult {
    let analysis = format!("[[analysis]]\nname = \"m\"\nmodel = {{ {text} }}");
    data::dealt(COVID, &data::covid(), sites).run(&analysis, Gate::OPEN).remove(0)
}

#[track_caller]
fn equal(result: &AnalysisResult, expected: &Value, columns: &[(&str, &str)]) {
    for (theirs, ours) in NAMES.iter().filter(|(theirs, _)| !expected["p"][theirs].is_null()) {
        for (key, column) in columns {
            near(number(&result.block, ours, column), &expected[key][theirs], 1e-4, &format!("{ours}: {column}"));
        }
    }
}

#[test]
fn p_and_intervals_and_the_criteria_are_those_of_statsmodels() {
    for (name, text, ratio) in [
        ("logit", r#"formula = "death ~ age + sex + lab""#, Some("odds ratio")),
        ("poisson", r#"formula = "los ~ age + sex + lab", family = "poisson""#, Some("rate ratio")),
        ("linear", r#"formula = "lab ~ age + sex""#, None),
    ] {
        let (result, expected) = (covid(text), expected(name));
        equal(&result, &expected, &[("p", "p"), ("from", "from"), ("to", "to")]);
        for (key, ours) in [("aic", "AIC"), ("bic", "BIC"), ("mcfadden", "pseudo R-squared (McFadden)")] {
            if !expected[key].is_null() {
                near(number(block(&result, "fit"), ours, "value"), &expected[key], 1e-3, ours);
            }
        }
        for (_, ours) in ratio.map(|_| &NAMES[..]).unwrap_or_default() {
            let of = |column: &str| number(&result.block, ours, column);
            let pairs = [(ratio.unwrap_or_default(), "estimate"), ("ratio from", "from"), ("ratio to", "to")];
            for (power, of_what) in pairs {
                assert_eq!(of(power), of(of_what).exp(), "{ours}: {power}");
            }
        }
    }
}

#[test]
fn terms_of_several_columns_are_tested_together() {
    let result = covid(r#"formula = "death ~ cut(age, 50, 60, 70) + lab""#);
    let of = |result: &AnalysisResult, term: &str, column| number(block(result, "tests of terms"), term, column);
    let theirs = expected("terms, logit");
    for column in ["statistic", "p"] {
        near(of(&result, "cut(age, 50, 60, 70)", column), &theirs["band"][column], 1e-12, column);
    }
    let crossed = covid(r#"formula = "death ~ age * sex + lab""#);
    for column in ["statistic", "p"] {
        near(of(&crossed, "age", column), &theirs["age"][column], 1e-12, column);
    }
    // Where a dispersion is estimated it is F, of a third of the statistic of three columns.
    let linear = covid(r#"formula = "lab ~ cut(age, 50, 60, 70)""#);
    let theirs = expected("terms, linear");
    near(of(&linear, "cut(age, 50, 60, 70)", "statistic") / 3.0, &theirs["band"]["statistic"], 1e-12, "F");
    near(of(&linear, "cut(age, 50, 60, 70)", "p"), &theirs["band"]["p"], 1e-60, "p of F");
}

#[test]
fn errors_by_site_are_the_sandwich_of_the_sites_scores_with_t_of_one_less_than_there_are_sites() {
    for (name, text) in [
        ("by site, linear", r#"formula = "lab ~ age + sex", standard_errors = "site""#),
        ("by site, logit", r#"formula = "death ~ age + sex + lab", standard_errors = "site""#),
    ] {
        equal(&dealt(12, text), &expected(name), &[("errors", "standard error"), ("p", "p"), ("from", "from")]);
    }
}

#[test]
fn errors_by_site_need_ten_sites() {
    let text = r#"formula = "lab ~ age + sex", standard_errors = "site""#;
    let study = |sites| {
        let federation = data::dealt(COVID, &data::covid(), sites);
        let asked = "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"covid@1\"\n[[analysis]]\nname = \"m\"\n";
        federation.bind(&format!("{asked}model = {{ {text} }}")).map(|study| (federation, study))
    };
    let problem = study(9).map(|_| ()).expect_err("nine sites");
    assert!(problem.contains("model.standard_errors: errors by site need 10 sites, and 9 are asked"), "{problem}");
    let (ten, study) = study(10).expect("ten sites");
    assert!(!ten.answer(&study, Gate::OPEN)[0].block.rows.is_empty());
    // One of those asked may refuse.
    let first = study.sites.names().unwrap_or_default()[0].clone();
    let nine = ten.answer_but(&study, Gate::OPEN, |site, _| *site == first).remove(0);
    assert!(nine.block.rows.is_empty(), "{:?}", nine.block);
    let said = "no fit: standard errors by site need 10 sites, 9 answered";
    assert!(nine.notes.iter().any(|note| note == said), "{:?}", nine.notes);
}

#[test]
fn errors_by_site_tell_nothing_of_as_many_coefficients_at_once_as_there_are_sites() {
    let bands = "cut(age, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80)";
    let text = |more: &str| format!("formula = \"lab ~ {bands}{more}\", standard_errors = \"site\"");
    let result = dealt(10, &text(""));
    let tests = block(&result, "tests of terms");
    assert_eq!((number(tests, bands, "degrees of freedom"), &tests.rows[0][1]), (10.0, &Cell::Null));
    let note = format!("no test of `{bands}`: errors by site say nothing of 10 coefficients at once");
    assert!(result.notes.iter().any(|said| said.starts_with(&note)), "{:?}", result.notes);
    let result = dealt(12, &text(""));
    assert!(number(block(&result, "tests of terms"), bands, "statistic") > 0.0, "{:?}", result.notes);
}

#[test]
fn a_ridge_holds_the_slopes_of_scaled_columns() {
    let (result, theirs) = (covid(r#"formula = "death ~ age + sex + lab", ridge = 5"#), expected("ridge"));
    for (key, ours) in [("age", "age"), ("sex", "sex[1]"), ("lab", "lab"), ("intercept", "(intercept)")] {
        near(number(&result.block, ours, "estimate"), &theirs[key], 1e-3, ours);
    }
    near(number(block(&result, "fit"), "deviance", "value"), &theirs["deviance"], 1.0, "deviance");
}

#[test]
fn a_natural_spline_fits_as_one_of_another_basis_does() {
    let spline = "ns(age, knots = [50, 65])";
    let linear = covid(&format!("formula = \"lab ~ {spline}\""));
    let theirs = expected("spline, linear");
    near(number(block(&linear, "fit"), "deviance", "value"), &theirs["deviance"], 1.0, "deviance");
    near(number(block(&linear, "fit"), "parameters", "value"), &theirs["parameters"], 1.0, "parameters");
    let logit = covid(&format!("formula = \"death ~ {spline} + lab\""));
    let theirs = expected("spline, logit");
    near(number(block(&logit, "fit"), "deviance", "value"), &theirs["deviance"], 1.0, "deviance");
    near(number(&logit.block, "lab", "estimate"), &theirs["lab"], 1e-3, "lab");
}

#[test]
fn a_formula_without_an_intercept_has_none() {
    let (result, theirs) = (covid(r#"formula = "lab ~ 0 + age + los""#), expected("linear without intercept"));
    for column in ["age", "los"] {
        near(number(&result.block, column, "estimate"), &theirs[column], 1e-3, column);
    }
    assert_eq!(result.block.rows.len(), 2);
}
