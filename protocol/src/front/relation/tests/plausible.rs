//! Where a study's numbers lie: the range that it says is the range of everything that is made of them.

use super::{COUNT, HEAD, bound, find, plans, with};
use crate::analysis::{CorrelationSpec, Pair, Spec};
use crate::contract::Kind;
use crate::plan::{Contracts, Derived, ValidPlan};

/// A study about systolic pressures, with more features and this analysis.
fn of_pressure(features: &str, analysis: &str) -> Result<Vec<ValidPlan>, String> {
    let text = format!(
        "{HEAD}[cohort]\nfrom = \"patient\"\n[features]\nfirst_one = \"has(condition)\"\nage = \"age_at(today)\"\n\
         sbp = \"plausible(last(observation.value where code = '8480-6'), 40, 300)\"\n{features}\n\
         [[analysis]]\nname = \"a\"\n{analysis}\n"
    );
    bound(&text, &[]).map(|study| plans(&study))
}

fn plan(analysis: &str) -> ValidPlan {
    of_pressure("", analysis).unwrap().remove(0)
}

/// What is said of a condition that reads a wrong range.
fn said(of: &str) -> String {
    let cohort = format!("[cohort]\nfrom = \"patient\"\ninclude = [\"{of} > 0\"]\n");
    bound(&with(&cohort), &[]).map(|study| format!("{study:?}")).unwrap_err()
}

#[test]
fn a_plausible_number_has_the_range_that_the_study_says_and_what_lies_outside_is_missing() {
    let plan = plan("table = { show = [\"mean(sbp)\"] }");
    let base = find(&"fhir-patient@1".parse().unwrap()).unwrap();
    let columns = plan.contract(base).columns();
    let ranges: Vec<&Kind> = columns.iter().rev().take(2).rev().map(|column| &column.kind).collect();
    assert_eq!(ranges, [&Kind::Float { lo: 0.0, hi: 1000.0 }, &Kind::Float { lo: 40.0, hi: 300.0 }]);
    assert!(!columns.last().unwrap().required, "who has none that is plausible has none");
    let Derived::Plausible { lo, hi, .. } = &plan.features()[1].of else { panic!("{:?}", plan.features()) };
    assert_eq!((*lo, *hi), (40.0, 300.0));
}

#[test]
fn every_kind_of_analysis_reads_a_plausible_number_by_its_own_range() {
    let quantiles = plan("quantiles = { of = \"sbp\" }");
    let grid = quantiles.grid().unwrap();
    assert_eq!((grid.lower(0), grid.upper(grid.cells() - 1)), (40.0, 300.0));
    let model = plan("model = { formula = \"sbp ~ age\" }");
    let (_, layout) = model.model().unwrap();
    assert!(layout.inputs.ranges.contains(&(40.0, 300.0)), "{:?}", layout.inputs.ranges);
    for analysis in [
        "histogram = { of = \"sbp\", bins = [120, 140, 160] }",
        "summary = { columns = [\"sbp\", \"sex\"] }",
        "correlation = { columns = [\"age\", \"sbp\"] }",
        "pca = { columns = [\"age\", \"sbp\"] }",
        "kmeans = { columns = [\"age\", \"sbp\"], clusters = 2 }",
        "compare = { outcome = \"sbp\", by = \"sex\" }",
        "model = { formula = \"(sbp >= 140) ~ age + sex\" }",
        "model = { formula = \"plausible(last(observation.value where code = '8480-6'), 50, 250) ~ age\" }",
        "table = { by = [\"cut(plausible(last(observation.value where code = '29463-7'), 30, 250), 60, 90)\"], show = [\"count\"] }",
    ] {
        of_pressure("", analysis).unwrap_or_else(|wrong| panic!("{analysis}\n{wrong}"));
    }
}

#[test]
fn what_is_plausible_is_said_to_the_steward_in_the_studys_own_words() {
    let explained = plan("table = { by = [\"first_one\"], show = [\"mean(sbp)\"] }")
        .explain(Contracts::from(find(&"fhir-patient@1".parse().unwrap()).unwrap()), None);
    let told = explained.plainly();
    let made = "sbp is last(fhir_observation.value where code = '8480-6') where it is from 40 to 300, else missing";
    assert!(told.contains(made) && told.contains("Groups them by first_one (2 groups)"), "{told}");
    assert!(told.contains("of sbp: patients and rows with a value"), "{told}");
    let model = plan("model = { formula = \"(sbp >= 140) ~ age\" }");
    let (_, layout) = model.model().unwrap();
    assert_eq!(layout.name(1), "age");
    assert!(
        model
            .explain(Contracts::from(find(&"fhir-patient@1".parse().unwrap()).unwrap()), None)
            .tree()
            .contains("regression of sbp >= 140 on the intercept, age")
    );
}

#[test]
fn two_numbers_of_one_column_are_correlated_by_their_moments_and_called_as_the_study_wrote_them() {
    let weight = "plausible(last(observation.value where code = '29463-7'), 30, 250)";
    let text = format!("correlation = {{ columns = [\"sbp\", \"{weight}\", \"age\"], complete = true }}");
    let text = format!(
        "{HEAD}[cohort]\nfrom = \"patient\"\n[features]\nage = \"age_at(today)\"\n\
         sbp = \"plausible(last(observation.value where code = '8480-6'), 40, 300)\"\n\
         [[analysis]]\nname = \"a\"\n{text}\n"
    );
    let study = bound(&text, &[]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let pairs: Vec<&CorrelationSpec> = study
        .analyses
        .iter()
        .filter_map(|analysis| match &analysis.spec {
            Spec::Correlation(pair) => Some(pair),
            _ => None,
        })
        .collect();
    assert!(matches!(pairs[0].pair, Pair::Moments(..)), "{pairs:?}");
    assert!(matches!(pairs[1].pair, Pair::Numbers(..)), "{pairs:?}");
    assert_eq!(pairs[0].labels(), ["sbp", weight]);
    assert_eq!(pairs[1].labels(), ["sbp", "age"]);
    let plans = plans(&study);
    let described = plans[0].model().unwrap().1;
    assert_eq!(described.columns.len(), 2);
    let told = plans[0].explain(Contracts::from(find(&"fhir-patient@1".parse().unwrap()).unwrap()), None).plainly();
    assert!(told.contains("how these vary together: sbp, plausible(last(fhir_observation.value"), "{told}");
    assert!(!told.contains("f1") && !told.contains("f2"), "{told}");
}

#[test]
fn what_has_no_name_is_called_by_what_the_study_wrote_in_messages_and_labels() {
    let stage = "max(condition.stage)";
    let found = of_pressure("", &format!("table = {{ show = [\"mean({stage})\"] }}")).unwrap_err();
    assert!(found.contains(stage) && !found.contains("f1") && !found.contains("f2"), "{found}");
    let told = plan(&format!("table = {{ by = [\"cut({stage}, 2)\"], show = [\"count\"] }}"))
        .explain(Contracts::from(find(&"fhir-patient@1".parse().unwrap()).unwrap()), None)
        .tree();
    assert!(told.contains("cut(max(fhir_condition.stage), 2) ("), "{told}");
    let text = format!(
        "{HEAD}[models.risk]\nformula = \"has(condition) ~ age_at(today)\"\ncoefficients = {{ \"(intercept)\" = -1, \"age_at(today)\" = 0.02 }}\n\
         [cohort]\nfrom = \"patient\"\n[[analysis]]\nname = \"a\"\nevaluate = {{ model = \"risk\" }}\n"
    );
    let study = bound(&text, &[]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let headings: Vec<&str> = study.analyses.iter().flat_map(|analysis| analysis.spec.headings()).collect();
    assert!(headings.contains(&"has(condition)") && headings.iter().all(|text| !text.contains("f1")), "{headings:?}");
}

#[test]
fn plausible_numbers_that_cannot_be_are_refused_with_a_hint() {
    let mut missing = Vec::new();
    for (of, wanted) in [
        (
            "plausible(last(observation.value), 300, 40)",
            "no number lies from 300 to 40\n  hint: the least plausible value comes first",
        ),
        (
            "plausible(last(observation.value), -5, 300)",
            "-5 to 300 reaches beyond the number's own range, 0 to 1000\n  hint: a study narrows a range",
        ),
        ("plausible(max(condition.stage), 0.5, 3)", "whole numbers do not lie from 0.5 to 3\n  hint: write 1 and 3"),
        ("plausible(last(condition.code), 1, 2)", "expected a number, found a text"),
        ("plausible(last(observation.value) * 2, 1, 2)", "is a calculation, and `plausible` is of a number as it is"),
        (
            "plausible(last(observation.value), 40)",
            "`plausible` does not take these arguments\n  hint: write plausible(COLUMN, LEAST, GREATEST)",
        ),
        ("plausible(last(observation.value), 40, count(condition))", "`plausible` does not take these arguments"),
        (
            "count(observation where plausible(value, 1, 2) > 1)",
            "not within a condition on rows\n  hint: compare there: value between 40 and 300",
        ),
    ] {
        let found = said(of);
        if !found.contains(wanted) {
            missing.push(format!("{of}\n  wanted {wanted}\n  found {found}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn one_table_never_sums_a_number_by_two_ranges() {
    let wrong = |features: &str, show: &str| {
        of_pressure(features, &format!("table = {{ show = [{show}] }}")).map(|plans| format!("{plans:?}")).unwrap_err()
    };
    let rule = "a table's numeric measures of one column are of the same rows";
    let wider = "wider = \"plausible(last(observation.value where code = '8480-6'), 40, 301)\"";
    assert!(wrong(wider, "\"mean(sbp)\", \"mean(wider)\"").contains(rule));
    let whole = "whole = \"last(observation.value where code = '8480-6')\"";
    assert!(wrong(whole, "\"mean(sbp)\", \"mean(whole)\"").contains(rule));
    let twice = "twice = \"plausible(sbp, 41, 300)\"";
    assert!(wrong(twice, "\"mean(sbp)\", \"mean(twice)\"").contains(rule));
    let age = "young = \"plausible(age, 0, 129)\"";
    assert!(wrong(age, "\"mean(age)\", \"mean(young)\"").contains("a table has one age"));
}

#[test]
fn a_model_that_predicts_is_not_held_to_a_narrower_range() {
    let text = format!(
        "{HEAD}[models.risk]\nformula = \"has(condition) ~ age_at(today)\"\ncoefficients = {{ \"(intercept)\" = -1, \"age_at(today)\" = 0.02 }}\n\
         [cohort]\nfrom = \"patient\"\ninclude = [\"plausible(predict(risk), 0.1, 0.2) > 0\"]\n{COUNT}"
    );
    let found = bound(&text, &[]).unwrap_err();
    assert!(found.contains("what a model predicts has its range already\n  hint: its bands are a key"), "{found}");
}

#[test]
fn numbers_of_rows_are_not_summed_by_a_range_where_a_patient_has_several() {
    let of_rows = |show: &str| {
        let text = format!(
            "{HEAD}[cohort]\nfrom = \"observation\"\ninclude = [\"code = '8480-6'\"]\n\
             [[analysis]]\nname = \"a\"\ntable = {{ show = [\"count\", \"rows\", \"{show}\"] }}\n"
        );
        bound(&text, &[]).map(|study| plans(&study).len())
    };
    let found = of_rows("mean(plausible(value, 40, 300))").unwrap_err();
    assert!(
        found.contains("does not sum plausible numbers of rows")
            && found.contains("hint: count the patients' own table"),
        "{found}"
    );
    assert!(of_rows("mean(plausible(plausible(value, 40, 300), 41, 300))").is_err());
    assert_eq!(
        of_rows("mean(plausible(last(condition.stage), 0, 3))").map_err(|found| found.contains("too few values")),
        Err(true)
    );
    assert_eq!(of_rows("mean(plausible(last(observation.value), 40, 300))"), Ok(1));
    assert_eq!(of_rows("share(plausible(value, 40, 300) > 140)"), Ok(1));
}
