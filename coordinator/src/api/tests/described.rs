//! The OpenAPI document: it is the one in `docs/`, and a client that knows nothing else is never told anything that it does not declare.

mod generate;

use std::collections::BTreeMap;

use jsonschema::Validator;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::lab;
use crate::api::{description_text, routes};
use crate::bench::{TOKEN, person, signed};
use crate::people::Role;
use generate::{Known, Operation, Sent};

/// Of each operation with each token.
const ROUNDS: usize = 3;

fn document() -> Value {
    serde_json::from_str(&description_text()).unwrap()
}

#[test]
fn the_document_in_docs_is_the_interfaces() {
    let found = description_text();
    let kept = include_str!("../../../../docs/openapi.json");
    assert!(kept == found, "`bocage coordinator openapi > docs/openapi.json` makes it anew; found:\n{found}");
}

#[test]
fn every_route_says_who_may_use_it_and_every_reference_leads_somewhere() {
    let document = document();
    for route in routes() {
        let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
        assert_eq!(operation["x-right"], json!(route.right), "{}", route.path);
        assert!(!operation["x-roles"].as_array().unwrap().is_empty());
        for status in ["401", "403", "429"] {
            assert!(operation["responses"][status].is_object(), "{} {status}", route.path);
        }
    }
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"").skip(1) {
        let path = reference.split('"').next().unwrap().trim_start_matches('#');
        assert!(document.pointer(path).is_some(), "{path}");
    }
}

/// What an operation may answer: a validator for each status and media type.
fn validators(document: &Value, operation: &Operation) -> BTreeMap<(String, String), Validator> {
    let mut validators = BTreeMap::new();
    for (status, response) in operation.described["responses"].as_object().unwrap() {
        let reference = response["$ref"].as_str().map(|reference| document.pointer(&reference[1..]).unwrap());
        for (media, content) in reference.unwrap_or(response)["content"].as_object().unwrap() {
            let mut schema = content["schema"].clone();
            if let Some(object) = schema.as_object_mut() {
                object.insert("components".to_owned(), document["components"].clone());
            }
            validators.insert((status.clone(), media.clone()), jsonschema::draft202012::new(&schema).unwrap());
        }
    }
    validators
}

#[tokio::test]
async fn a_client_that_has_only_the_document_gets_only_what_it_declares() {
    let (dir, mut lab) = lab().await;
    lab.all_honest();
    let study = signed(1);
    lab.submit(&study).await;
    lab.until_published(study.id()).await;
    let mut tokens: Vec<_> = Role::ALL.iter().map(|role| person(dir.path(), role.as_str(), &[*role], "all")).collect();
    person(dir.path(), "victim", &[Role::Researcher], "all");
    tokens.extend([person(dir.path(), "reader", &Role::ALL, "read"), TOKEN.to_owned(), "bocage_none".to_owned()]);
    let document = document();
    let known = Known {
        ids: vec![study.id().to_string()],
        others: vec!["heart@1".into(), "cleveland".into(), "victim".into()],
        bodies: vec![serde_json::to_vec(&study).unwrap(), serde_json::to_vec(&signed(2)).unwrap()],
    };
    let operations = Operation::all(&document);
    assert_eq!(operations.len(), routes().len());
    let validators: Vec<_> = operations.iter().map(|operation| validators(&document, operation)).collect();
    let mut runner = TestRunner::deterministic();
    let (mut good, mut statuses) = (0, BTreeMap::<u16, usize>::new());
    let requests = ROUNDS * tokens.len() * operations.len();
    for number in 0..requests {
        let (at, token) = (number % operations.len(), &tokens[number / operations.len() % tokens.len()]);
        let sent: Sent = operations[at].requests(&known).new_tree(&mut runner).unwrap().current();
        let (status, media, text) =
            lab.request(operations[at].method, &sent.path, Some(token), sent.body.clone()).await;
        let what = format!(
            "{} {} with {} answered {status}: {text}",
            operations[at].method,
            sent.path,
            String::from_utf8_lossy(&sent.body)
        );
        assert!(status < 500, "{what}");
        let validator = validators[at].get(&(status.to_string(), media.clone()));
        let validator = validator.unwrap_or_else(|| panic!("{media} is not declared: {what}"));
        let body =
            if media.contains("json") { serde_json::from_str(&text).unwrap() } else { Value::String(text.clone()) };
        let wrong: Vec<_> = validator.iter_errors(&body).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?}: {what}");
        good += usize::from(status < 300);
        *statuses.entry(status).or_default() += 1;
    }
    // Or the generator makes nothing that gets anywhere.
    assert!(good > requests / 10, "{statuses:?}");
    for status in [200, 201, 400, 401, 403, 404] {
        assert!(statuses.contains_key(&status), "{status} never came: {statuses:?}");
    }
    lab.stop().await;
}
