//! What is made of earlier answers, and of which.

use serde_json::{Value as Json, json};

use super::super::fake::{answering, head, ok, study};
use super::*;
use crate::api::types::StudyList;

const ASKED: [&str; 3] = ["aa", "bb", "cc"];

fn site(id: &str, ms: f64, rounds: usize) -> Json {
    json!({ "id": id, "status": "answered", "reason": null, "bytes": 9, "round_trip_ms": ms, "snapshot": null, "snapshot_at": null,
            "receipts": vec!["ab".repeat(32); rounds] })
}

fn analysis(kind: &str, columns: &[&str], rows: Json) -> Json {
    json!({ "name": "a", "kind": kind, "columns": columns, "rows": rows, "hidden": [], "coverage": [], "notes": [], "rolled_up": null })
}

fn result(sites: Vec<Json>, analyses: Vec<Json>) -> StudyResult {
    serde_json::from_value(json!({ "study": head(2), "sites": sites, "analyses": analyses })).unwrap()
}

fn names() -> Vec<SiteId> {
    ASKED.iter().map(|id| id.parse().unwrap()).collect()
}

#[test]
fn a_round_takes_as_long_as_its_slowest_site_and_a_site_that_answered_nothing_is_named() {
    let quick = result(vec![site("aa", 100.0, 1), site("bb", 300.0, 1)], vec![]);
    let fitted = result(vec![site("aa", 5000.0, 10), site("bb", 9000.0, 10)], vec![]);
    let told = measured(&[quick, fitted], &names().iter().collect()).unwrap();
    assert_eq!((told.answers, told.round_secs_from, told.round_secs_to), (2, 0.3, 0.9));
    assert_eq!(told.without, names()[2..]);
    let untold = result(vec![site("aa", 100.0, 0)], vec![]);
    assert_eq!(measured(&[untold], &names().iter().collect()), None, "how many rounds there were is not known");
}

#[test]
fn rows_are_those_that_the_cells_of_one_answer_count_with_two_digits() {
    let table = |counts: [Json; 2]| {
        analysis("table", &["sex", "count", "rows"], json!([["f", 1, counts[0].clone()], ["m", 1, counts[1].clone()]]))
    };
    let all = result(vec![site("aa", 1.0, 1), site("bb", 1.0, 1)], vec![table([json!(1000), json!(299)])]);
    // What is hidden counts nothing, and a narrower answer tells less.
    let fewer = result(vec![site("aa", 1.0, 1)], vec![table([json!(1000), Json::Null])]);
    let told = most_rows(&[fewer, all]).unwrap();
    assert_eq!((told.at_least, told.sites), (1200, 2));
    let none = result(vec![], vec![analysis("quantiles", &["quantile", "value"], json!([["0.5", 70]]))]);
    assert_eq!(most_rows(&[none]), None);
}

#[test]
fn an_attrition_counts_who_entered_and_a_model_its_patients() {
    let of = |json: Json| rows_of(&serde_json::from_value(json).unwrap());
    let steps = json!([["adults", 500, 100, 400], ["more", 400, 100, 300]]);
    assert_eq!(of(analysis("attrition", &["step", "entered", "excluded", "kept"], steps)), Some(500));
    let mut model = analysis("model", &["term", "estimate"], json!([["age", 0.5]]));
    model["also"] = json!([{ "title": "fit", "columns": ["quantity", "value"], "rows": [["patients", 77], ["sites", 2]], "hidden": [], "coverage": [] }]);
    assert_eq!(of(model), Some(77));
    assert_eq!(of(analysis("model", &["term", "estimate"], json!([]))), None);
    assert_eq!([9, 99, 101, 12_188].map(two_digits), [9, 99, 100, 12_000]);
}

/// Studies of which one is open and one is of another dataset are not looked at, and what the coordinator will not tell is not known.
#[test]
fn answers_are_those_of_the_same_dataset_and_contract_that_the_asker_may_read() {
    let of = |first: &str, state| study(first, state, 1);
    let other =
        crate::api::types::StudyStatus { dataset: "visit@1".parse().unwrap(), ..of("cc", StudyState::Published) };
    let list = StudyList { studies: vec![of("aa", StudyState::Open), other, of("bb", StudyState::Published)] };
    let answer = result(vec![], vec![]);
    let contract = answer.study.contract;
    let (api, heard) = answering(vec![ok(&list), ok(&answer)]);
    assert_eq!(earlier(&api, &list.studies[0].dataset, contract).len(), 1);
    let heads: Vec<String> = heard.iter().collect();
    assert!(heads.len() == 2 && heads[1].starts_with("GET /v1/studies/bb"), "{heads:?}");
    let (api, _heard) = answering(vec![ok(&list), ok(&answer)]);
    assert_eq!(earlier(&api, &list.studies[0].dataset, Digest::of("test", &[])), [], "it was bound to another text");
    let (api, _heard) = answering(vec![(403, "{}".to_owned())]);
    assert_eq!(earlier(&api, &list.studies[0].dataset, contract), []);
}
