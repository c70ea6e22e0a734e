//! Cox models: without disclosure control those of statsmodels (`tests/reference/cox.py`), and what the usual gate makes of them.

mod along;
mod random;
mod refused;
mod rows;
mod shared;
mod two_stage;
mod usual;

use bocage_coordinator::api::types::AnalysisResult;
use bocage_tests::federation::{Federation, Gate, block, number};
use serde_json::Value;

use super::data::{self, Rows};

const LUNG2: &str = r#"
    id = "lung2@1"
    subject = "row"
    column = [
        { name = "hospital", type = "code", codes = [{ code = "site1" }, { code = "site2" }, { code = "site3" }] },
        { name = "time", type = "float", range = [1, 1100] },
        { name = "late", type = "int", range = [0, 1100] },
        { name = "status", type = "int", range = [0, 1] },
        { name = "age", type = "int", range = [30, 100] },
        { name = "sex", type = "code", codes = [{ code = "0" }, { code = "1" }] },
    ]
"#;

/// 228 patients of three hospitals. `late` is a quarter of the time, rounded down.
fn lung2() -> Rows {
    let rows = data::rows(&data::root().join("pda/lung2.csv"), None);
    let with_site = |mut row: std::collections::BTreeMap<String, String>| {
        row.values_mut().for_each(|value| *value = data::code(value));
        let late = (row["time"].parse::<f64>().expect("a time") / 4.0).floor();
        row.insert("late".to_owned(), late.to_string());
        row.insert("hospital".to_owned(), row["site"].clone());
        (row["site"].clone(), row)
    };
    rows.into_iter().map(with_site).collect()
}

fn cox(options: &str) -> String {
    format!("[[analysis]]\nname = \"m\"\ncox = {{ {options} }}")
}

fn run(federation: &Federation, options: &str) -> AnalysisResult {
    federation.run(&cox(options), Gate::OPEN).remove(0)
}

fn pooled(options: &str) -> AnalysisResult {
    run(&data::dealt(LUNG2, &lung2(), 1), options)
}

#[track_caller]
fn near(ours: f64, theirs: &Value, what: &str) {
    let theirs = theirs.as_f64().expect("a number");
    assert!((ours - theirs).abs() <= 1e-8 * theirs.abs().max(1e-3), "{what}: {ours}, reference {theirs}");
}

/// Everything that the reference has. `names`: theirs and ours.
#[track_caller]
fn equal(result: &AnalysisResult, reference: &str, names: &[(&str, &str)], errors: &str) {
    let theirs = data::reference_of("cox", reference);
    for (column, own) in names {
        let estimate = number(&result.block, own, "estimate");
        near(estimate, &theirs["estimates"][column], own);
        near(number(&result.block, own, "standard error"), &theirs[errors][column], own);
        assert_eq!(number(&result.block, own, "hazard ratio"), estimate.exp());
    }
    for (row, theirs) in [
        ("patients", &theirs["n"]),
        ("events", &theirs["events"]),
        ("log-likelihood", &theirs["log_likelihood"]),
        ("log-likelihood without terms", &theirs["log_likelihood_at_0"]),
        ("concordance", &theirs["concordance"]),
        ("pairs of patients", &theirs["pairs"]),
    ] {
        near(number(block(result, "fit"), row, "value"), theirs, row);
    }
    let tests = block(result, "tests of the model");
    near(number(tests, "score", "statistic"), &theirs["score_test"], "score test");
    if errors == "errors" {
        near(number(tests, "Wald", "statistic"), &theirs["wald"], "Wald");
    }
    let both = |name: &str| theirs[name].as_f64().expect("a number");
    let ratio = 2.0 * (both("log_likelihood") - both("log_likelihood_at_0"));
    near(number(tests, "likelihood ratio", "statistic"), &ratio.into(), "likelihood ratio");
    if let Some(tested) = result.also.iter().find(|named| named.title == "proportionality") {
        for (column, own) in names.iter().chain([&("all", "all")]) {
            let theirs = &theirs["proportionality"][column];
            near(number(&tested.block, own.split('[').next().unwrap_or(own), "statistic"), theirs, own);
        }
    }
}

const TWO: [(&str, &str); 2] = [("age", "age"), ("sex", "sex[1]")];

#[test]
fn one_site_has_the_pooled_answer() {
    let formula = "formula = \"surv(time, status = 1) ~ age + sex\"";
    equal(&pooled(&format!("{formula}, proportionality = \"log\"")), "lung2", &TWO, "errors");
    let options = format!("{formula}, ties = \"breslow\", proportionality = \"identity\"");
    equal(&pooled(&options), "lung2, breslow", &TWO, "errors");
}

#[test]
fn robust_standard_errors_are_of_patients_scores() {
    let formula = "formula = \"surv(time, status = 1) ~ age + sex\", standard_errors = \"robust\"";
    equal(&pooled(formula), "lung2", &TWO, "robust");
    equal(&pooled(&format!("{formula}, ties = \"breslow\"")), "lung2, breslow", &TWO, "robust");
    let federation = data::by_site(LUNG2, &lung2());
    equal(&run(&federation, formula), "lung2, sites", &TWO, "robust");
}

#[test]
fn where_no_two_leave_at_one_time_robust_errors_are_those_of_lifelines() {
    let apart = lung2().into_iter().enumerate().map(|(i, (site, mut row))| {
        let time = row["time"].parse::<f64>().expect("a time") + i as f64 / 1000.0;
        row.insert("time".to_owned(), time.to_string());
        (site, row)
    });
    let apart: Rows = apart.collect();
    let formula = "formula = \"surv(time, status = 1) ~ age + sex\", standard_errors = \"robust\"";
    equal(&run(&data::dealt(LUNG2, &apart, 1), formula), "lung2, apart", &TWO, "robust");
    equal(&run(&data::by_site(LUNG2, &apart), formula), "lung2, apart, sites", &TWO, "robust");
}

#[test]
fn every_site_has_a_baseline_of_its_own() {
    let federation = data::by_site(LUNG2, &lung2());
    let formula = "formula = \"surv(time, status = 1) ~ age + sex\"";
    let options = format!("{formula}, proportionality = \"identity\"");
    equal(&run(&federation, &options), "lung2, sites", &TWO, "errors");
    equal(&run(&federation, &format!("{formula}, ties = \"breslow\"")), "lung2, sites, breslow", &TWO, "errors");
}

#[test]
fn a_contrast_is_what_another_reference_would_have_as_its_coefficient() {
    let formula = |sex: &str| format!("formula = \"surv(time, status = 1) ~ age * {sex}\"");
    let women = formula("C(sex, ref = '1')");
    for more in ["", ", standard_errors = \"robust\"", ", every = 50, until = 1000, confidence = 0.9"] {
        let contrasts = "contrasts = { women = \"age + age:sex[1]\", both = [\"age\", \"age:sex[1]\"] }";
        let federation = data::by_site(LUNG2, &lung2());
        let asked = run(&federation, &format!("{}{more}, {contrasts}", formula("sex")));
        let other = run(&federation, &format!("{women}{more}"));
        for name in ["estimate", "standard error", "statistic", "p", "from", "to", "hazard ratio"] {
            let (found, wanted) =
                (number(block(&asked, "contrasts"), "women", name), number(&other.block, "age", name));
            assert!((found - wanted).abs() <= 1e-8 * wanted.abs().max(1e-3), "{more}, {name}: {found} and {wanted}");
        }
        // Both slopes being 0 is said in either way.
        let of = "contrasts = { both = [\"age\", \"age:C(sex, ref = '1')[0]\"] }";
        let other = run(&federation, &format!("{women}{more}, {of}"));
        let statistic = |of: &AnalysisResult| number(block(of, "tests of contrasts"), "both", "statistic");
        let (found, wanted) = (statistic(&asked), statistic(&other));
        assert!(found > 0.0 && (found - wanted).abs() <= 1e-8 * wanted, "{more}: {found} and {wanted}");
    }
}

#[test]
fn a_stratum_by_a_key_is_as_good_as_a_site() {
    let options = "formula = \"surv(time, status = 1) ~ age + sex\", strata = [\"hospital\"]";
    equal(&pooled(options), "lung2, sites", &TWO, "errors");
    let by_sex = pooled("formula = \"surv(time, status = 1) ~ age\", strata = [\"sex\"]");
    equal(&by_sex, "lung2, by sex", &[("age", "age")], "errors");
}

#[test]
fn who_comes_late_is_at_risk_afterwards() {
    let formula = "formula = \"surv(late, time, status = 1) ~ age + sex\"";
    equal(&pooled(&format!("{formula}, proportionality = \"log\"")), "lung2, late", &TWO, "errors");
    equal(&pooled(&format!("{formula}, standard_errors = \"robust\"")), "lung2, late", &TWO, "robust");
}

#[test]
fn who_leaves_before_they_come_is_left_out() {
    let mut rows = lung2();
    for (_, row) in rows.iter_mut().take(10) {
        let time = row["time"].clone();
        row.insert("late".to_owned(), time);
    }
    let result = run(&data::dealt(LUNG2, &rows, 1), "formula = \"surv(late, time, status = 1) ~ age\"");
    assert_eq!(number(block(&result, "fit"), "patients", "value"), 218.0);
}

#[test]
fn an_offset_takes_its_part_of_what_is_explained() {
    let contract =
        LUNG2.replace(r#""age", type = "int", range = [30, 100]"#, r#""age", type = "float", range = [3, 10]"#);
    let mut rows = lung2();
    for (_, row) in &mut rows {
        let tens = row["age"].parse::<f64>().unwrap() / 10.0;
        row.insert("age".to_owned(), tens.to_string());
    }
    let federation = data::dealt(&contract, &rows, 1);
    let whole = run(&federation, "formula = \"surv(time, status = 1) ~ age + sex\"");
    let rest = run(&federation, "formula = \"surv(time, status = 1) ~ age + sex + offset(age)\"");
    let difference = number(&whole.block, "age", "estimate") - number(&rest.block, "age", "estimate");
    assert!((difference - 1.0).abs() < 1e-9, "{difference}");
}

#[test]
fn what_is_centred_falls_to_the_baseline() {
    let whole = pooled("formula = \"surv(time, status = 1) ~ age * sex\", proportionality = \"identity\"");
    let moved = LUNG2.replace("[30, 100]", "[0, 200]");
    let wide = data::dealt(&moved, &lung2(), 1);
    let other = run(&wide, "formula = \"surv(time, status = 1) ~ age * sex\", proportionality = \"identity\"");
    for row in ["age", "sex[1]", "age:sex[1]"] {
        for column in ["estimate", "standard error"] {
            let (one, other) = (number(&whole.block, row, column), number(&other.block, row, column));
            assert!((one - other).abs() <= 1e-8 * one.abs(), "{row} {column}: {one} and {other}");
        }
    }
    for row in ["age", "sex", "age:sex", "all"] {
        let tested = |result| number(block(result, "proportionality"), row, "statistic");
        let (one, other) = (tested(&whole), tested(&other));
        assert!((one - other).abs() <= 1e-7 * one.abs(), "{row}: {one} and {other}");
    }
}
