//! Smaller models within a model, and combinations of its coefficients: the pooled answers of statsmodels, of the same rows or not at all.

use bocage_coordinator::api::types::{AnalysisResult, Value as Cell};
use bocage_tests::federation::{Gate, block, number};
use serde_json::Value;

use super::data::{self, COVID, HEART, Rows, VISITS};
use super::references::{model, near};

/// Each smaller model's statistic to 1e-8 of the larger of it and 1.
#[track_caller]
fn smaller(result: &AnalysisResult, expected: &Value, names: &[(&str, &str)]) {
    for (theirs, ours) in names {
        let tests = block(result, "likelihood-ratio tests");
        assert!(tests.rows.iter().all(|row| row[1] != Cell::Null), "{:#?}", result.notes);
        near(number(tests, ours, "statistic"), &expected[theirs], 1.0, ours);
    }
}

const TERMS: [(&str, &str); 3] = [("age", "age"), ("C(sex)", "sex"), ("lab", "lab")];

#[test]
fn every_term_is_tested_by_the_likelihood_that_is_lost_without_it() {
    let rows = data::covid();
    for (name, text) in [
        ("smaller, logit", r#"formula = "death ~ age + sex + lab""#),
        ("smaller, probit", r#"formula = "death ~ age + sex + lab", link = "probit""#),
        ("smaller, poisson", r#"formula = "los ~ age + sex + lab", family = "poisson""#),
        ("smaller, gamma", r#"formula = "los ~ age + sex + lab", family = "gamma""#),
    ] {
        let result = model(COVID, &rows, &format!("{text}, likelihood_ratio = true"));
        smaller(&result, &data::reference(name), &TERMS);
        let said = "each likelihood-ratio test compares two fits of the same 2100 patients of the same sites";
        assert!(result.notes.iter().any(|note| note == said), "{:?}", result.notes);
    }
    let linear = model(COVID, &rows, r#"formula = "lab ~ age + sex", likelihood_ratio = true"#);
    smaller(&linear, &data::reference("smaller, linear"), &TERMS[..2]);
    let tests = block(&linear, "likelihood-ratio tests");
    assert_eq!(number(tests, "sex", "degrees of freedom"), 1.0);
    // χ² of 1 is the square of a normal number.
    let p = number(tests, "sex", "p");
    assert!((p - 0.596168).abs() < 1e-5, "{p}");
}

#[test]
fn families_whose_means_are_far_from_1_are_fitted_in_few_rounds() {
    let rows = data::covid();
    for (text, most) in [
        (r#"formula = "los ~ age + sex + lab", family = "poisson""#, 7.0),
        (r#"formula = "los ~ site + age + sex + lab", family = "poisson""#, 7.0),
        (r#"formula = "los ~ age + sex + lab", family = "gamma""#, 12.0),
    ] {
        let rounds = number(block(&model(COVID, &rows, text), "fit"), "rounds", "value");
        assert!(rounds <= most, "{text}: {rounds}");
    }
}

#[test]
fn terms_are_left_out_together_also_where_the_dispersion_is_estimated() {
    let text = r#"formula = "visits ~ age + sex + medical_condition", family = "negative_binomial", likelihood_ratio = ["medical_condition", "age + sex"]"#;
    let result = model(VISITS, &data::visits(), text);
    let expected = data::reference("smaller, negative binomial");
    smaller(&result, &expected, &[("medical_condition", "medical_condition"), ("age + sex", "age + sex")]);
    assert_eq!(number(block(&result, "likelihood-ratio tests"), "age + sex", "degrees of freedom"), 2.0);
}

fn complete_heart() -> Rows {
    let known = |row: &std::collections::BTreeMap<String, String>| {
        ["age", "sex", "thalach", "exang", "oldpeak"].iter().all(|column| !row[*column].is_empty())
    };
    data::heart().into_iter().filter(|(_, row)| known(row)).collect()
}

#[test]
fn combinations_of_coefficients_have_estimates_intervals_and_ratios_beside_intercepts_of_sites() {
    let text = r#"formula = "disease ~ site + age * sex + exang", likelihood_ratio = ["age + age:sex"],
        contrasts = { "men of 60" = "sex[1] + 60 * age:sex[1]", "ten years" = "10 * age", "sex at all" = ["sex", "age:sex[1]"] }"#;
    let result = model(HEART, &complete_heart(), text);
    let expected = data::reference("heart, smaller and combined");
    smaller(&result, &expected, &[("age + age:sex", "age + age:sex")]);
    let contrasts = block(&result, "contrasts");
    for name in ["men of 60", "ten years"] {
        for (theirs, ours) in
            [("estimate", "estimate"), ("error", "standard error"), ("p", "p"), ("from", "from"), ("to", "to")]
        {
            near(number(contrasts, name, ours), &expected["combined"][name][theirs], 1e-3, &format!("{name}: {ours}"));
        }
        let ratio = expected["combined"][name]["estimate"].as_f64().expect("a number").exp();
        near(number(contrasts, name, "odds ratio"), &ratio.into(), 1e-3, name);
    }
    let together = block(&result, "tests of contrasts");
    near(number(together, "sex at all", "statistic"), &expected["together"]["statistic"], 1.0, "Wald");
    near(number(together, "sex at all", "p"), &expected["together"]["p"], 1e-3, "p");
    assert_eq!(number(together, "sex at all", "degrees of freedom"), 2.0);
}

#[test]
fn combinations_of_a_linear_model_are_held_against_t_and_f() {
    let text = r#"formula = "lab ~ age + sex + los", contrasts = { "both" = "los - 2 * age", "together" = ["age", "los - sex[1]"], "twice" = ["age", "2 * age"] }"#;
    let result = model(COVID, &data::covid(), text);
    let expected = data::reference("covid, combined");
    let contrasts = block(&result, "contrasts");
    for (theirs, ours) in
        [("estimate", "estimate"), ("error", "standard error"), ("from", "from"), ("to", "to"), ("p", "p")]
    {
        near(number(contrasts, "both", ours), &expected["both"][theirs], 1e-3, ours);
    }
    assert!(!contrasts.columns.iter().any(|column| column.contains("ratio")), "{:?}", contrasts.columns);
    let together = block(&result, "tests of contrasts");
    // F of two is half of Wald's statistic.
    near(number(together, "together", "statistic") / 2.0, &expected["together"]["f"], 1.0, "F");
    near(number(together, "together", "p"), &expected["together"]["p"], 1e-3, "p");
    assert_eq!(together.rows[1][1], Cell::Null, "one is made of the other");
}

#[test]
fn a_site_that_leaves_during_the_tests_ends_them_and_the_fit_stays() {
    let federation = data::by_site(COVID, &data::covid());
    let analysis =
        "[[analysis]]\nname = \"m\"\nmodel = { formula = \"death ~ age + sex + lab\", likelihood_ratio = true }";
    let study = "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"covid@1\"\n";
    let study = federation.bind(&format!("{study}{analysis}")).expect("a study");
    let whole = federation.answer(&study, Gate::OPEN).remove(0);
    let fitted = number(block(&whole, "fit"), "rounds", "value") as u16;
    let cut = federation.answer_but(&study, Gate::OPEN, |site, round| site.as_str() == "site3" && round >= fitted);
    assert_eq!(cut[0].block, whole.block);
    assert!(block(&cut[0], "likelihood-ratio tests").rows.iter().all(|row| row[1] == Cell::Null));
    let said = "no likelihood-ratio test of `age`, `sex`, `lab`: not the patients of the whole fit answer any more";
    assert!(cut[0].notes.iter().any(|note| note == said), "{:?}", cut[0].notes);
}

#[test]
fn the_rounds_of_a_model_end_its_tests_and_those_that_are_left_are_named() {
    let columns: Vec<String> = (0..12).map(|at| format!("(age > {})", 30 + 4 * at)).collect();
    let terms = columns.join(" + ");
    let text = format!("formula = \"los ~ {terms} + lab\", family = \"poisson\", likelihood_ratio = true");
    let result = model(COVID, &data::covid(), &text);
    let tests = block(&result, "likelihood-ratio tests");
    assert_eq!(tests.rows.len(), 13);
    let tested = tests.rows.iter().take_while(|row| row[1] != Cell::Null).count();
    assert!((1..13).contains(&tested), "{tested}");
    let last = result.notes.last().expect("a note");
    assert!(
        last.starts_with("no likelihood-ratio test of `") && last.ends_with("a model has no more rounds"),
        "{last}"
    );
}

#[test]
fn the_likelihood_of_a_weighted_line_is_told_where_nobody_can_have_a_weight_of_nothing() {
    let contract = |least: u32| {
        let weight = format!(r#"{{ name = "w", type = "float", range = [{least}, 100] }}, {{ name = "death""#);
        COVID.replace(r#"{ name = "death""#, &weight)
    };
    let mut rows = data::covid();
    for (_, row) in &mut rows {
        let weight = row["los"].parse::<f64>().expect("a number") + 1.0;
        row.insert("w".to_owned(), weight.to_string());
    }
    let text = r#"formula = "lab ~ age + sex", weights = "w", likelihood_ratio = true"#;
    let result = model(&contract(1), &rows, text);
    let expected = data::reference("covid, weighted");
    near(number(block(&result, "fit"), "log-likelihood", "value"), &expected["log_likelihood"], 1.0, "log-likelihood");
    smaller(&result, &data::reference("smaller, weighted"), &TERMS[..2]);
    let result = model(&contract(0), &rows, text);
    let said = "no likelihood: a weight may be 0, and how many are is not told";
    assert!(result.notes.iter().any(|note| note == said), "{:?}", result.notes);
    assert!(block(&result, "likelihood-ratio tests").rows.iter().all(|row| row[1] == Cell::Null));
}
