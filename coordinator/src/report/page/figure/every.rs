//! Every table of every kind of analysis, as studies gave them: each has a picture, or a reason for which it has none.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::gallery::{texts_apart, well_formed};
use super::tests::figures;
use super::*;
use crate::api::types::Block;

/// A table to a line; long ones are cut.
const EVERY: &str = include_str!("every.jsonl");
/// Where researchers read which kinds there are.
const STUDIES: &str = include_str!("../../../../../docs/STUDIES.md");

const TEST: &str = "a test is a number to be read, with nothing to be held against";
const SETTING: &str = "it says how the answer came about";
const ABOVE: &str = "the picture of the answer shows it";
const SCALES: &str = "its numbers have scales of their own";

/// Kind (`*`: any), title, and why it has no picture.
const WITHOUT: [(&str, &str, &str); 24] = [
    ("*", "tests", TEST),
    ("*", "tests of terms", TEST),
    ("*", "likelihood-ratio tests", TEST),
    ("*", "tests of contrasts", TEST),
    ("*", "tests of the model", TEST),
    ("*", "proportionality", TEST),
    ("*", "test of independence", TEST),
    ("*", "log-rank test", TEST),
    ("*", "log-rank test, stratified by site", TEST),
    ("*", "heterogeneity", TEST),
    ("*", "fit", SETTING),
    ("*", "columns", SETTING),
    ("kmeans", "starts", SETTING),
    ("*", "covariance of the estimates", "intervals of the estimates show what of it can be seen"),
    ("crosstab", "expected counts if rows and columns were independent", "they are there for the test"),
    ("survival", "events observed, and expected if all groups had the same hazard", "they are there for the test"),
    ("survival", "patients", ABOVE),
    ("survival", "quantiles", ABOVE),
    ("correlation", "matrix", ABOVE),
    ("quantiles", "patients", "it is one row"),
    ("summary", "quantiles", SCALES),
    ("pca", "adequacy", SCALES),
    ("evaluate", "probabilities", SCALES),
    ("evaluate", "", SCALES),
];

#[derive(Deserialize)]
struct Table {
    kind: String,
    title: Option<String>,
    #[serde(flatten)]
    block: Block,
}

fn every() -> Vec<Table> {
    EVERY.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_table_of_every_kind_has_a_picture_or_a_reason_for_none() {
    let (mut used, mut wrong) = (BTreeSet::new(), Vec::new());
    for Table { kind, title, block } in every() {
        let kind_of = if kind == "cross_validation" && title.is_none() { "evaluate" } else { &kind };
        let named = title.as_deref().unwrap_or_default();
        let reason = WITHOUT.iter().position(|(of, title, _)| ["*", kind_of].contains(of) && *title == named);
        let drawn = figures(&kind, title.as_deref(), &block).len();
        if (drawn == 0) != reason.is_some() {
            wrong.push(format!("{kind}: {named}: {drawn} pictures"));
        }
        used.extend(reason);
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(used.len(), WITHOUT.len(), "a reason for what there is not: {used:?}");
}

#[test]
fn no_kind_that_can_be_asked_is_missing_here() {
    let line = STUDIES.lines().find(|line| line.starts_with("| `[[analysis]]` |")).unwrap();
    let asked: BTreeSet<&str> = line.split("of one kind: ").nth(1).unwrap().split('`').skip(1).step_by(2).collect();
    let every = every();
    let shown: BTreeSet<&str> = every.iter().map(|table| table.kind.as_str()).collect();
    assert!(asked.len() > 15 && asked == shown, "{asked:?} and {shown:?}");
}

#[test]
fn pictures_of_real_answers_are_well_formed_and_no_text_of_them_leaves_them_or_lies_on_another() {
    for Table { kind, title, block } in every() {
        for figure in figures(&kind, title.as_deref(), &block) {
            let name = format!("{kind}: {}", title.as_deref().unwrap_or_default());
            let svg = svg(&figure, "f").into_string();
            assert_eq!(well_formed(&svg), Ok(()), "{name}");
            texts_apart(&name, &svg);
            assert!(!figure.description().contains("NaN") && figure.description().len() > 20, "{name}");
        }
    }
}
