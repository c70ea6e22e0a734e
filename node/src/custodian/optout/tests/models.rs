//! A model whose rounds go on while patients opt out: it is fitted on with those who are left, and what was answered before does not leave again.

use bocage_protocol::analysis::{RoundState, Spec};
use bocage_protocol::plan::Position;
use bocage_protocol::release::ModelRelease;
use bocage_protocol::wire::message::{RoundRequest, Step};

use super::*;

const MODEL: &str = r#"
title = "A model"
purpose = "scientific_research"
dataset = "heart@1"
min_sites = 1
[[analysis]]
name = "m"
model = { formula = "chol ~ age + sex" }
"#;

/// One row a patient.
pub(super) fn clinic() -> Clinic {
    let clinic = Clinic::new(LIST);
    let path = clinic.site.path("contracts/heart.toml");
    let contract = fs::read_to_string(&path).unwrap();
    fs::write(&path, contract.replace("subject = \"patient\"", "subject = \"patient\"\none_row_per_subject = true"))
        .unwrap();
    let row = |i: u64| format!("p{i},{},{},{},yes\n", 30 + i % 60, i % 2, 180 + i * 7 % 100);
    let rows: String = (0..PATIENTS).map(row).collect();
    fs::write(clinic.site.path("heart.csv"), format!("patient,age,sex,chol,consent\n{rows}")).unwrap();
    clinic
}

fn at(clinic: &Clinic, study: &Study, beta: f64) -> RoundRequest {
    let Spec::Model(model) = &study.analyses[0].spec else { panic!("no model") };
    let position = Position { beta: vec![beta; 3], ..model.start() };
    let steps = vec![Step { analysis: 0, state: RoundState::At(position) }];
    RoundRequest { round: 1, steps, ..clinic.site.request(study) }
}

fn model(release: &Release) -> &ModelRelease {
    match &release.parts[0].outcome {
        Outcome::Model(model) => model,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_later_round_goes_on_without_those_who_have_opted_out_and_no_earlier_one_leaves_again() {
    let clinic = clinic();
    let custodian = clinic.custodian();
    let study = clinic.site.study_of(MODEL);
    let first = clinic.site.request(&study);
    let before = released(&custodian, &custodian.round(&first));
    assert_eq!(model(&before).n, PATIENTS);
    clinic.list_first(60);
    assert_eq!(refusal(&custodian.round(&first)).code, ErrorCode::OptoutsChanged, "the first round had them");
    let second = at(&clinic, &study, 0.1);
    let reply = custodian.round(&second);
    let after = released(&custodian, &reply);
    assert_eq!(model(&after).n, PATIENTS - 60);
    assert_ne!(before.snapshot, after.snapshot);
    assert_eq!(custodian.round(&second), reply, "the same bytes");
    // Over a restart as well.
    drop(custodian);
    let custodian = clinic.custodian();
    assert_eq!(custodian.round(&second), reply);
    assert_eq!(refusal(&custodian.round(&first)).code, ErrorCode::OptoutsChanged);
}

#[test]
fn a_model_of_the_same_columns_in_whatever_words_is_held_against_what_was_answered_before() {
    let clinic = clinic();
    let custodian = clinic.custodian();
    let ask = |analysis: &str| {
        let asked = MODEL.replace("model = { formula = \"chol ~ age + sex\" }", analysis);
        let text = asked.replace("[[analysis]]", "where = \"age < 46\"\n[[analysis]]");
        let nonce = format!("{:032x}", clinic.asked.fetch_add(1, Ordering::Relaxed));
        let study = Study { nonce, ..clinic.site.study_of(&text) };
        released(&custodian, &custodian.round(&clinic.site.request(&study))).parts.remove(0).outcome
    };
    let answered = |analysis: &str| matches!(ask(analysis), Outcome::Model(_));
    assert!(answered("model = { formula = \"chol ~ age + sex\" }"));
    assert!(answered("pca = { columns = [\"age\", \"chol\"] }"));
    // A quarter of all are so young, and with p7 k others are left out: of these hardly ever all but one are among them.
    clinic.list(&["p7,,"]);
    for same in [
        "model = { formula = \"chol ~ age + sex\" }",
        "model = { formula = \"chol ~ sex + age\" }",
        "model = { formula = \"age ~ chol * sex\" }",
        "model = { formula = \"age ~ chol + sex\", family = \"poisson\" }",
        "model = { formula = \"chol ~ sex\", weights = \"age\" }",
        "model = { formula = \"chol ~ age\" }",
        "kmeans = { columns = [\"chol\", \"age\"], clusters = 2, starts = 1 }",
    ] {
        let Outcome::Refused(error) = ask(same) else { panic!("{same} is answered") };
        assert!(error.message.contains("have come or gone"), "{same}: {error:?}");
    }
    assert!(answered("model = { formula = \"chol ~ sex\" }"), "its columns were not asked for before");
}

#[test]
fn folds_of_whom_few_have_gone_are_refused_where_all_together_are_enough() {
    let clinic = clinic();
    let custodian = clinic.custodian();
    let ask = |analysis: &str| {
        let text = MODEL.replace("model = { formula = \"chol ~ age + sex\" }", analysis);
        let nonce = format!("{:032x}", clinic.asked.fetch_add(1, Ordering::Relaxed));
        let study = Study { nonce, ..clinic.site.study_of(&text) };
        released(&custodian, &custodian.round(&clinic.site.request(&study))).parts.remove(0).outcome
    };
    let folds = "cross_validation = { formula = \"chol ~ age + sex\", folds = 2 }";
    let before = ask(folds);
    let Outcome::Model(sums) = &before else { panic!("{before:?}") };
    assert_eq!((sums.n, sums.sums.len() % 5), (PATIENTS, 0));
    assert_eq!(ask(folds), before, "another study has the same folds");
    // Twenty of each sex: they cannot be k or nobody in both folds.
    clinic.list_first(40);
    let all = ask("model = { formula = \"chol ~ age + sex\" }");
    assert!(matches!(&all, Outcome::Model(model) if model.n == PATIENTS - 40), "{all:?}");
    let Outcome::Refused(error) = ask(folds) else { panic!("folds are answered") };
    assert!(error.message.contains("of a fold, or without it: fewer than 11 patients have come or gone"), "{error:?}");
}

#[test]
fn a_model_is_refused_until_enough_have_gone_on_each_side_of_its_columns_and_it_is_not_said_of_which() {
    let clinic = clinic();
    let custodian = clinic.custodian();
    let ask = |formula: &str| {
        let text = MODEL.replace("chol ~ age + sex", formula);
        let nonce = format!("{:032x}", clinic.asked.fetch_add(1, Ordering::Relaxed));
        let study = Study { nonce, ..clinic.site.study_of(&text) };
        released(&custodian, &custodian.round(&clinic.site.request(&study))).parts.remove(0).outcome
    };
    let answered = |formula: &str| match ask(formula) {
        Outcome::Model(_) => true,
        Outcome::Refused(error) => {
            assert_eq!(error.code, ErrorCode::TooFewForModel);
            assert!(error.message.ends_with("in all or on a side of what it tells apart"), "{error:?}");
            assert!(error.hint.is_some_and(|hint| hint.starts_with("the earlier answer stands")));
            false
        }
        other => panic!("{other:?}"),
    };
    assert!(["chol ~ age", "chol ~ age + (age < 40)", "chol ~ age + sex"].into_iter().all(answered));
    // Ages from 30 on: of sixteen ten are younger than 40, and eight of each sex.
    clinic.list_first(16);
    assert!(answered("chol ~ age") && !answered("chol ~ age + (age < 40)"));
    // With twelve more, of all of whom fourteen are of each sex.
    clinic.list_first(28);
    assert!(answered("chol ~ age + sex") && answered("chol ~ age * sex"), "nobody has asked it meanwhile");
    assert!(answered("chol ~ age") && !answered("chol ~ age + (age < 40)"));
}

#[test]
fn what_was_refused_is_no_answer_that_later_ones_are_held_against() {
    let clinic = clinic();
    let is_answered = |custodian: &Custodian| {
        let text = MODEL.replace("chol ~ age + sex", "chol ~ age + (age < 40)");
        let nonce = format!("{:032x}", clinic.asked.fetch_add(1, Ordering::Relaxed));
        let study = Study { nonce, ..clinic.site.study_of(&text) };
        let release = released(custodian, &custodian.round(&clinic.site.request(&study)));
        matches!(release.parts[0].outcome, Outcome::Model(_))
    };
    let custodian = clinic.custodian();
    assert!(is_answered(&custodian));
    // Ten of these are younger than 40, and ten more of those after; then five more.
    clinic.list_first(16);
    assert!(!is_answered(&custodian) && !is_answered(&custodian));
    clinic.list_first(76);
    drop(custodian);
    let custodian = clinic.custodian();
    assert!(is_answered(&custodian), "those who went before are judged with those who went after");
    clinic.list_first(125);
    assert!(!is_answered(&custodian), "and what was answered then is an answer");
}
