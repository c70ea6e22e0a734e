//! Under the gate as nodes have it: who contributes, and what is said of those who do not.

use bocage_coordinator::api::types::AnalysisResult;
use bocage_tests::federation::{Gate, block, number};

use super::data::{self, COVID, HEART};

fn model(formula: &str) -> String {
    format!("[[analysis]]\nname = \"m\"\nmodel = {{ formula = \"{formula}\" }}")
}

#[test]
fn sites_where_too_few_differ_are_left_out_by_name_and_the_others_are_fitted() {
    let result = data::by_site(HEART, &data::heart()).run(&model("disease ~ age + oldpeak"), Gate::USUAL).remove(0);
    for refusal in [
        "hungary refused: `oldpeak` varies too little on one side of `the outcome`",
        "switzerland refused: `the outcome` varies too little",
    ] {
        assert!(result.notes.iter().any(|note| note.starts_with(refusal)), "{:?}", result.notes);
    }
    assert_eq!(number(block(&result, "fit"), "sites", "value"), 2.0, "{:?}", result.notes);
    assert!(number(&result.block, "age", "estimate").is_finite());
}

#[test]
fn all_six_hospitals_contribute_where_all_have_enough_of_everything() {
    let federation = data::by_site(COVID, &data::covid());
    let result = federation.run(&model("los ~ age + sex + lab"), Gate::USUAL).remove(0);
    assert_eq!(number(block(&result, "fit"), "sites", "value"), 6.0);
    assert_eq!(number(block(&result, "fit"), "patients", "value"), 2100.0);
}

#[test]
fn what_lies_between_the_knots_of_a_spline_counts_as_a_level() {
    let federation = data::by_site(COVID, &data::covid());
    let run = |formula| federation.run(&model(formula), Gate::USUAL).remove(0);
    let said = |result: &AnalysisResult, refusal| {
        assert!(result.notes.iter().any(|note| note.starts_with(refusal)), "{:?}", result.notes);
    };
    let result = run("los ~ age");
    assert_eq!(number(block(&result, "fit"), "sites", "value"), 6.0, "{:?}", result.notes);
    let result = run("los ~ ns(age, knots = [50, 65])");
    assert_eq!(number(block(&result, "fit"), "sites", "value"), 5.0, "{:?}", result.notes);
    // One of its hundred patients is a child of four, who alone says two thirds of how the curve begins.
    said(&result, "site6 refused: a patient is too far from the others in what the model reads");
    let result = run("los ~ ns(age, knots = [50, 65]) + sex");
    assert_eq!(number(block(&result, "fit"), "sites", "value"), 5.0, "{:?}", result.notes);
    said(&result, "site6 refused: `sex = 1` and `age between knots` vary too little together");
    let result = run("los ~ ns(age, knots = [50, 92])");
    assert!(result.block.rows.is_empty(), "{:#?}", result.block);
    said(&result, "site3 refused: `age between knots` varies too little");
}
