//! Mode `round` through authority, engine, gate and ledger: what leaves, what the ledger says of it, and which models are answered.

use bocage_protocol::release::{MeasureRelease, rounding};
use bocage_protocol::trust::Study;

use super::*;

fn parts(custodian: &Custodian, request: &RoundRequest) -> Vec<Outcome> {
    let frame = custodian.round(request);
    let Reply::Released(signed) = reply(&frame) else { panic!("{:?}", reply(&frame)) };
    let release = signed.verify(&custodian.release_key.public()).unwrap();
    release.parts.into_iter().map(|part| part.outcome).collect()
}

#[test]
fn every_count_that_leaves_is_a_multiple_of_five_and_the_ledger_says_why() {
    let site = Site::new();
    site.edit_config("threshold = 11", "threshold = 11\nmode = \"round\"");
    let custodian = ready(&site);
    for outcome in parts(&custodian, &site.request(&site.study())) {
        let Outcome::Table(table) = outcome else { panic!("{outcome:?}") };
        assert!(table.rounded && table.threshold == 13, "{table:?}");
        for cell in &table.cells {
            let CellRelease::Shown { count, measures } = cell else { continue };
            let mut counts = vec![count.subjects, count.rows];
            for measure in measures {
                match measure {
                    MeasureRelease::Hidden => {}
                    MeasureRelease::Number { valid, .. } => counts.extend([valid.subjects, valid.rows]),
                    MeasureRelease::Condition { valid, holds_rows } => {
                        counts.extend([valid.subjects, valid.rows, *holds_rows]);
                    }
                }
            }
            assert!(counts.iter().all(|n| n % rounding::BASE == 0), "{counts:?}");
        }
    }
    let mut decisions = Vec::new();
    let read = |record: ledger::Record| decisions.extend(record.body::<ledger::bodies::Decision>());
    custodian.ledger.records(None, read).unwrap();
    assert_eq!((decisions[0].mode.as_str(), decisions[0].threshold), ("round", 13));
}

#[test]
fn an_answer_that_left_exactly_is_not_given_again_where_the_policy_rounds_now() {
    let site = Site::new();
    let exact = parts(&ready(&site), &site.request(&site.study()));
    site.edit_config("threshold = 11", "threshold = 11\nmode = \"round\"");
    let again = Study { nonce: format!("{:032x}", 9), ..site.study() };
    let rounded = parts(&custodian(&site), &site.request(&again));
    assert!(exact.iter().zip(&rounded).all(|(exact, rounded)| exact != rounded), "{rounded:?}");
}

pub(super) const MODEL: &str = r#"
title = "A model beside a table"
purpose = "scientific_research"
dataset = "heart@1"
min_sites = 1
[[analysis]]
name = "fit"
model = { formula = "chol ~ age" }
[[analysis]]
name = "all"
table = { show = ["count"] }
"#;

#[test]
fn a_model_is_refused_by_itself_where_the_policy_rounds_and_does_not_say_that_models_are_exact() {
    let site = Site::new();
    let request = site.request(&site.study_of(MODEL));
    site.edit_config("threshold = 11", "threshold = 11\nmode = \"round\"");
    let [model, table] = <[Outcome; 2]>::try_from(parts(&ready(&site), &request)).unwrap();
    let Outcome::Refused(error) = model else { panic!("{model:?}") };
    assert_eq!((error.code, error.hint.is_some()), (ErrorCode::ModeNotAllowed, true));
    assert!(matches!(table, Outcome::Table(_)), "the rest of the study is answered");
    let site = Site::new();
    let request = site.request(&site.study_of(MODEL));
    site.edit_config("threshold = 11", "threshold = 11\nmode = \"round\"\nmodels = \"exact\"");
    let [model, table] = <[Outcome; 2]>::try_from(parts(&ready(&site), &request)).unwrap();
    assert!(matches!((&model, &table), (Outcome::Model(_), Outcome::Table(table)) if table.rounded), "{model:?}");
}

#[test]
fn a_model_that_left_before_is_not_given_again_where_the_policy_refuses_models_now() {
    let site = Site::new();
    let before = parts(&ready(&site), &site.request(&site.study_of(MODEL)));
    assert!(matches!(before[..], [Outcome::Model(_), Outcome::Table(_)]), "{before:?}");
    site.edit_config("threshold = 11", "threshold = 11\nmodels = \"refuse\"");
    let again = Study { nonce: format!("{:032x}", 9), ..site.study_of(MODEL) };
    let after = parts(&custodian(&site), &site.request(&again));
    assert!(matches!(&after[0], Outcome::Refused(error) if error.code == ErrorCode::ModeNotAllowed), "{after:?}");
    assert_eq!(after[1], before[1], "the table is the same");
}
