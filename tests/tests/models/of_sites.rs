//! Intercepts of sites: one for all by the likelihood, and held against each other; the pooled answers of statsmodels.

use bocage_coordinator::api::types::Value as Cell;
use bocage_tests::federation::{Gate, block, number};

use super::data::{self, HEART, Rows};
use super::references::{model, near};

const MEAN: &str = "site + age + sex + thalach + exang + oldpeak";

fn complete() -> Rows {
    let read = ["age", "sex", "thalach", "exang", "oldpeak"];
    data::heart().into_iter().filter(|(_, row)| read.iter().all(|column| !row[*column].is_empty())).collect()
}

#[test]
fn one_intercept_for_all_sites_is_tested_by_the_likelihood_that_is_lost() {
    let text = format!("formula = \"disease ~ {MEAN}\", likelihood_ratio = [\"site\", \"age\", \"site() + age\"]");
    let result = model(HEART, &complete(), &text);
    let expected = &data::reference("heart, smaller and combined sites")["smaller"];
    let tests = block(&result, "likelihood-ratio tests");
    for (label, df) in [("site", 3.0), ("age", 1.0), ("site + age", 4.0)] {
        near(number(tests, label, "statistic"), &expected[label], 1.0, label);
        assert_eq!(number(tests, label, "degrees of freedom"), df, "{label}");
    }
    // χ² of 86.27 with 3 degrees of freedom, by scipy.stats.chi2.sf.
    let p = number(tests, "site", "p");
    assert!((p / 1.386978e-18 - 1.0).abs() < 1e-3, "{p:e}");
}

#[test]
fn so_it_is_where_the_link_is_another_or_the_dispersion_is_estimated() {
    for (name, text) in [
        ("heart, smaller, probit", format!("formula = \"disease ~ {MEAN}\", link = \"probit\"")),
        ("heart, smaller line", "formula = \"thalach ~ site + age\"".to_owned()),
    ] {
        let result = model(HEART, &complete(), &format!("{text}, likelihood_ratio = [\"site\"]"));
        let tests = block(&result, "likelihood-ratio tests");
        near(number(tests, "site", "statistic"), &data::reference(name)["site"], 1.0, name);
    }
}

#[test]
fn sites_are_held_against_each_other_whichever_is_the_reference() {
    let contrasts = r#"{ "against" = "site[hungary] - site[switzerland]", "reference" = "site[hungary] - site[cleveland]",
        "mean and age" = "0.5 * site[hungary] + 0.5 * site[switzerland] - site[cleveland] + 10 * age",
        "together" = ["site[hungary] - site[cleveland]", "site[hungary] - site[switzerland]"] }"#;
    let result = model(HEART, &complete(), &format!("formula = \"disease ~ {MEAN}\", contrasts = {contrasts}"));
    let expected = data::reference("heart, smaller and combined sites");
    let found = block(&result, "contrasts");
    for name in ["against", "reference", "mean and age"] {
        for (theirs, ours) in
            [("estimate", "estimate"), ("error", "standard error"), ("p", "p"), ("from", "from"), ("to", "to")]
        {
            near(number(found, name, ours), &expected["combined"][name][theirs], 1e-3, &format!("{name}: {ours}"));
        }
    }
    let together = block(&result, "tests of contrasts");
    near(number(together, "together", "statistic"), &expected["together"]["statistic"], 1.0, "Wald");
    near(number(together, "together", "p"), &expected["together"]["p"], 1e-6, "p");
    // Without the first by name another is the reference, and the difference of two others means the same.
    let rows: Rows = complete().into_iter().filter(|(site, _)| site != "cleveland").collect();
    let text =
        format!("formula = \"disease ~ {MEAN}\", contrasts = {{ \"it\" = \"site[hungary] - site[switzerland]\" }}");
    let result = model(HEART, &rows, &text);
    let of = number(&result.block, "site[switzerland]", "estimate");
    assert_eq!(number(block(&result, "contrasts"), "it", "estimate"), -of);
}

#[test]
fn a_site_that_is_not_in_the_fit_is_held_against_none_and_is_named() {
    let contrasts =
        r#"{ "gone" = "site[hungary] - site[switzerland]", "there" = "site[long-beach] - site[cleveland]" }"#;
    let text =
        format!("formula = \"disease ~ site + age + oldpeak\", contrasts = {contrasts}, likelihood_ratio = [\"site\"]");
    let federation = data::by_site(HEART, &data::heart());
    let result = federation.run(&format!("[[analysis]]\nname = \"m\"\nmodel = {{ {text} }}"), Gate::USUAL).remove(0);
    let told = |said: &str| assert!(result.notes.iter().any(|note| note == said), "{:?}", result.notes);
    told("`hungary` is not in the fit, so there is no contrast `gone`");
    let contrasts = block(&result, "contrasts");
    assert_eq!(contrasts.rows.len(), 1);
    let alone = number(&result.block, "site[long-beach]", "estimate");
    assert_eq!(number(contrasts, "there", "estimate"), alone);
    assert_eq!(number(block(&result, "likelihood-ratio tests"), "site", "degrees of freedom"), 1.0);
}

#[test]
fn one_site_alone_has_one_intercept_and_no_test_of_it() {
    let rows: Rows = complete().into_iter().filter(|(site, _)| site == "cleveland").collect();
    let result = model(HEART, &rows, "formula = \"disease ~ site + age\", likelihood_ratio = true");
    let tests = block(&result, "likelihood-ratio tests");
    assert_eq!(tests.rows[0][1], Cell::Null);
    assert!(number(tests, "age", "statistic") > 0.0);
    let said = "no likelihood-ratio test of `site`: one site is in the fit";
    assert!(result.notes.iter().any(|note| note == said), "{:?}", result.notes);
}
