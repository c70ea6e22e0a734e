//! k = 1: every answer is the pooled one, over any number of sites, in any order.

use super::{also, ask, ask_in, assert_test, assert_values, entry, heart, indo, number, row, sites};
use crate::analysis::tests::patients::{Patient, Site};
use crate::api::types::Value;

const QUESTIONS: [&str; 8] = [
    "compare = { outcome = \"sick\", by = \"sex\" }",
    "compare = { outcome = \"sick\", by = \"cut(age, 50, 60)\" }",
    "compare = { outcome = \"chol\", by = \"cut(age, 50, 60)\" }",
    "compare = { outcome = \"cut(chol, 200, 240, 280)\", by = \"sex\" }",
    "correlation = { columns = [\"cut(age, 40, 50, 60)\", \"cut(chol, 200, 240, 280)\"] }",
    "accuracy = { test = \"chol >= 240\", truth = \"sick\" }",
    "table_one = { by = \"sick\", columns = [\"age\", \"sex\", \"chol\"] }",
    "standardised = { events = \"sick\", by = \"sex\", over = [\"cut(age, 50, 60)\"], population = { \"<50\" = 6000, \"[50,60)\" = 2500, \">=60\" = 1500 } }",
];

#[test]
fn a_trial_has_the_published_ratios_and_within_its_hospitals_those_of_statsmodels() {
    let sites = sites(indo(), 1);
    let result = ask("compare = { outcome = \"sick\", by = \"sex\", within = \"site\" }", &sites, 3);
    assert_eq!(row(&result.block, &["male"])[..2], [Value::Count(268), Value::Count(27)]);
    assert_eq!(row(&result.block, &["female"])[..2], [Value::Count(255), Value::Count(52)]);
    assert_values(&row(&result.block, &["male"])[3..], "indo.wilson_treated");
    assert_values(&row(&result.block, &["female"])[3..], "indo.wilson_placebo");
    let against = also(&result, "against female");
    for measure in ["risk_difference", "risk_ratio", "odds_ratio"] {
        assert_values(row(against, &["male", measure]), &format!("indo.{measure}"));
    }
    let tests = also(&result, "tests");
    assert_test(tests, &["chi2", "all groups"], "indo.chi2");
    assert_values(&row(tests, &["fisher_exact", "male"])[3..], "indo.fisher");
    assert_test(tests, &["cochran_mantel_haenszel", "all groups"], "indo.cmh");
    assert_test(tests, &["breslow_day_tarone", "all groups"], "indo.breslow_day_tarone");
    let within = also(&result, "within sites");
    assert_values(row(within, &["mantel_haenszel_odds_ratio"]), "indo.mh_odds_ratio");
    assert_values(row(within, &["mantel_haenszel_risk_ratio"]), "indo.mh_risk_ratio");
    assert_values(row(within, &["mantel_haenszel_risk_difference"]), "indo.mh_risk_difference");
    // Who is held against whom is the researcher's.
    let turned = ask("compare = { outcome = \"sick\", by = \"sex\", reference = \"male\" }", &sites, 3);
    let ratio = number(&row(also(&turned, "against male"), &["female", "risk_ratio"])[0]);
    assert!((ratio * entry("indo.risk_ratio")[0].as_f64().unwrap() - 1.0).abs() < 1e-12);
}

#[test]
fn disease_by_age_has_the_trend_of_the_rows() {
    let sites = sites(heart(), 1);
    let result = ask(QUESTIONS[1], &sites, 3);
    assert_test(also(&result, "tests"), &["cochran_armitage_trend", "all groups"], "heart.sick_trend");
    let scored = ask("compare = { outcome = \"sick\", by = \"cut(age, 50, 60)\", scores = [10, 12, 14] }", &sites, 3);
    assert_test(also(&scored, "tests"), &["cochran_armitage_trend", "all groups"], "heart.sick_trend");
    let none = ask("compare = { outcome = \"sick\", by = \"sex\" }", &sites, 3);
    assert!(also(&none, "tests").rows.iter().all(|row| row[0] != Value::Text("cochran_armitage_trend".into())));
}

#[test]
fn a_number_by_group_has_the_means_the_t_and_the_f_of_scipy() {
    let sites = sites(heart(), 1);
    let by_sex = ask("compare = { outcome = \"chol\", by = \"sex\" }", &sites, 3);
    // Switzerland measured nobody: the others' means are compared.
    let women = row(&by_sex.block, &["female"]);
    assert_values(&[women[2].clone(), women[4].clone(), women[5].clone()], "heart.chol_mean_women");
    assert_values(
        &row(also(&by_sex, "against female"), &["male", "mean_difference"])[..3],
        "heart.chol_welch_difference",
    );
    assert_values(&row(also(&by_sex, "against female"), &["male", "standardised_difference"])[..1], "heart.chol_smd");
    assert_test(also(&by_sex, "tests"), &["welch_t", "male"], "heart.chol_welch");
    let by_age = ask(QUESTIONS[2], &sites, 3);
    assert_test(also(&by_age, "tests"), &["anova", "all groups"], "heart.chol_anova");
}

#[test]
fn bands_have_the_ranks_of_scipy_and_ends_that_hold_the_values_own() {
    let sites = sites(heart(), 1);
    let result = ask(QUESTIONS[3], &sites, 1);
    let against = also(&result, "against female");
    for (name, banded, values) in [
        ("u", "heart.mann_whitney_u", "heart.mann_whitney_ungrouped_u"),
        ("p", "heart.mann_whitney_p", "heart.mann_whitney_ungrouped_p"),
    ] {
        let found = row(against, &["male", name]);
        assert_values(&found[..1], banded);
        let truth = entry(values).as_f64().unwrap();
        assert!(number(&found[1]) <= truth && truth <= number(&found[2]), "{truth} is not in {found:?}");
    }
    assert!(result.also.iter().all(|block| block.title != "tests"), "two groups have a test already");
    let by_age = ask("compare = { outcome = \"cut(chol, 200, 240, 280)\", by = \"cut(age, 50, 60)\" }", &sites, 1);
    assert_test(also(&by_age, "tests"), &["kruskal_wallis", "all groups"], "heart.kruskal_wallis");
    let result = ask(QUESTIONS[4], &sites, 1);
    let found = row(&result.block, &["cut(age, 40, 50, 60)", "cut(chol, 200, 240, 280)"]);
    assert_values(&found[..1], "heart.pearson_n");
    assert_values(&found[1..2], "heart.spearman");
    assert_values(&found[4..], "heart.spearman_p");
    let truth = entry("heart.spearman_ungrouped").as_f64().unwrap();
    assert!(number(&found[2]) <= truth && truth <= number(&found[3]));
}

#[test]
fn numbers_have_the_correlation_of_scipy_over_who_has_both() {
    let sites = sites(heart(), 1);
    let result = ask("correlation = { columns = [\"age\", \"chol\"] }", &sites, 3);
    assert_eq!(result.kind, "correlation");
    let found = row(&result.block, &["age", "chol"]);
    assert_values(&found[..1], "heart.pearson_n");
    // A product leaves rounded to 2⁻³² of its range, here 1.7e-5: r has nine digits behind the point.
    let wanted: Vec<f64> = serde_json::from_value(entry("heart.pearson").clone()).unwrap();
    let near = |found: &Value, wanted: f64| (number(found) - wanted).abs() < 1e-9;
    assert!(found[1..4].iter().zip(wanted).all(|(found, wanted)| near(found, wanted)), "{found:?}");
    assert!(near(&found[4], entry("heart.pearson_p").as_f64().unwrap()), "{found:?}");
    let matrix = also(&result, "matrix");
    assert_eq!(matrix.columns, ["", "age", "chol"]);
    assert_eq!(matrix.rows[0][1], Value::Number(1.0));
    assert_eq!(matrix.rows[0][2], matrix.rows[1][1]);
    assert_eq!(matrix.rows[0][2], found[1]);
}

#[test]
fn a_table_one_has_a_row_a_number_and_a_row_a_level() {
    let result = ask(QUESTIONS[6], &sites(heart(), 1), 3);
    assert_eq!(result.kind, "table_one");
    assert_eq!(
        result.block.columns,
        [
            "column",
            "level",
            "false: n",
            "false: mean or share",
            "false: sd",
            "true: n",
            "true: mean or share",
            "true: sd",
            "p",
            "standardised_difference"
        ]
    );
    assert_eq!(
        row(&result.block, &["patients", ""])[..4],
        [Value::Count(411), Value::Null, Value::Null, Value::Count(509)]
    );
    let age = row(&result.block, &["age", ""]);
    assert_values(&age[..3], "heart.age_by_sick_false");
    assert_values(&age[3..6], "heart.age_by_sick_true");
    let male = row(&result.block, &["sex", "male"]);
    assert_values(&male[..1], "heart.well_men");
    let apart = male.last().unwrap();
    assert_values(std::slice::from_ref(apart), "heart.male_smd");
    // Switzerland measured nobody, which looks like a number that is hidden: how many lack it has bounds.
    let at = result
        .block
        .rows
        .iter()
        .position(|row| row[..2] == ["chol", "(missing)"].map(|t| Value::Text(t.into())))
        .unwrap();
    let missing = result.block.hidden.iter().find(|hidden| (hidden.row, hidden.column) == (at, 2)).unwrap();
    let truth = heart().concat().iter().filter(|p| p.sick == Some(false) && p.chol.is_none()).count() as u64;
    assert!(missing.interval.unwrap().contains(truth), "{missing:?}");
    let all = ask(QUESTIONS[6], &dealt(4), 1);
    assert_eq!(row(&all.block, &["chol", "(missing)"])[0], Value::Count(truth));
    let level = row(&result.block, &["sex", "female"]);
    assert_values(&level[level.len() - 2..level.len() - 1], "heart.sex_by_sick_p");
}

#[test]
fn rates_of_the_standard_population_and_of_its_rates_are_those_of_the_script() {
    let sites = sites(heart(), 1);
    let direct = ask(QUESTIONS[7], &sites, 3);
    assert_values(&row(&direct.block, &["male"])[3..], "heart.direct_men");
    let crude = row(&direct.block, &["male"]);
    assert!((number(&crude[2]) - number(&crude[1]) / number(&crude[0])).abs() < 1e-15);
    let rates = "standardised = { events = \"sick\", over = [\"cut(age, 50, 60)\"], rates = { \"<50\" = 0.3, \"[50,60)\" = 0.4, \">=60\" = 0.5 } }";
    let indirect = ask(rates, &sites, 3);
    assert_values(&indirect.block.rows[0][3..], "heart.indirect");
    let per = ask(&QUESTIONS[7].replace(" } }", " }, per = 1000 }"), &sites, 3);
    assert!((number(&row(&per.block, &["male"])[3]) / number(&crude[3]) - 1000.0).abs() < 1e-9);
}

#[test]
fn a_threshold_of_cholesterol_tells_disease_as_the_script_says() {
    let sites = sites(heart(), 1);
    let result = ask(QUESTIONS[5], &sites, 3);
    let accuracy = also(&result, "accuracy");
    for measure in ["sensitivity", "specificity", "ppv", "npv", "lr_positive", "lr_negative"] {
        assert_values(row(accuracy, &[measure]), &format!("chol_240.{measure}"));
    }
    let exact = ask("accuracy = { test = \"chol >= 240\", truth = \"sick\", interval = \"exact\" }", &sites, 3);
    assert_values(row(also(&exact, "accuracy"), &["sensitivity"]), "chol_240.exact_sensitivity");
}

/// All patients, dealt out to so many sites.
fn dealt(sites: usize) -> Vec<Site> {
    let all: Vec<Patient> = heart().concat();
    let site = |at: usize| Site { patients: all.iter().skip(at).step_by(sites).copied().collect(), k: 1 };
    (0..sites).map(site).collect()
}

#[test]
fn over_1_2_4_and_16_sites_and_in_any_order_the_answers_are_the_same_bits() {
    let numbers = "correlation = { columns = [\"age\", \"chol\"] }";
    for question in QUESTIONS.iter().chain([&numbers]) {
        let whole = serde_json::to_string(&ask(question, &dealt(1), 1)).unwrap();
        assert!(whole.matches('.').count() > 6, "numbers are given: {whole}");
        for n in [2, 4, 16] {
            let sites = dealt(n);
            let mixed: Vec<usize> = (0..n).rev().map(|i| i * 3 % n).collect();
            let mixed = if n == 2 { vec![1, 0] } else { mixed };
            assert_eq!(serde_json::to_string(&ask(question, &sites, 1)).unwrap(), whole, "{question} over {n} sites");
            assert_eq!(
                serde_json::to_string(&ask_in(question, &sites, &mixed, 1)).unwrap(),
                whole,
                "{question} over {n}"
            );
        }
    }
}
