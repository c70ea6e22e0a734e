//! Opt-outs between two rounds of one study: a coordinator that goes on with a fit, and reads in the next step who was in the one before.

use std::fmt::Write as _;
use std::fs;

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::analysis::{RoundState, Spec};
use bocage_protocol::plan::{Centroids, Position};
use bocage_protocol::release::Outcome;
use bocage_protocol::trust::Study;
use bocage_protocol::wire::message::{RoundRequest, Step};

use super::hospital::{Desk, Hospital, K};
use super::scenario::Family;

const PERSONS: &str = r#"
id = "persons@1"
title = "Persons"
subject = "patient"
one_row_per_subject = true
[[column]]
name = "patient"
type = "text"
[[column]]
name = "age"
type = "int"
range = [0, 120]
[[column]]
name = "weight"
type = "float"
range = [0, 300]
"#;
const SOURCE: &str = "source = { kind = \"csv\", path = \"rows.csv\" }";
const FIT: &str = "model = { formula = 'weight ~ age' }";
const CLUSTERS: &str = "kmeans = { columns = ['age', 'weight'], clusters = 2, starts = 1 }";
/// The young, of whom there are so many.
const YOUNG: usize = 40;
/// A filter for them.
const ARE_YOUNG: &str = "age < 40";

/// Forty who are young, the rest of `all` older.
fn persons(all: usize) -> Hospital {
    let mut rows = "patient,age,weight\n".to_owned();
    for i in 0..all {
        let age = if i < YOUNG { 20 + i % 18 } else { 40 + i % 50 };
        let _ = writeln!(rows, "p{i},{age},{}", 60 + 7 * i % 23);
    }
    listed(Hospital::new(PERSONS, &rows))
}

/// With a list of opt-outs, which is empty.
pub fn listed(hospital: Hospital) -> Hospital {
    hospital.edit(SOURCE, &format!("{SOURCE}\n[optouts]\nsource = {{ kind = \"csv\", path = \"optouts.csv\" }}"));
    out(&hospital, 0);
    hospital
}

/// Lists the first so many as having opted out.
pub fn out(hospital: &Hospital, first: usize) {
    let lines: String = (0..first).map(|i| format!("p{i},all,\n")).collect();
    fs::write(hospital.path("optouts.new"), format!("subject,purpose,date\n{lines}")).expect("the list");
    fs::rename(hospital.path("optouts.new"), hospital.path("optouts.csv")).expect("the list");
}

/// What the second round asks: a step of the fit, or centroids among the young.
fn second(study: &Study) -> RoundState {
    match &study.analyses[0].spec {
        Spec::Model(spec) => {
            let start = spec.start();
            RoundState::At(Position { beta: vec![0.1; start.beta.len()], ..start })
        }
        Spec::Kmeans(_) => {
            let at = |age: f64| vec![Centroids::step((age - 60.0) / 60.0), Centroids::step((70.0 - 150.0) / 150.0)];
            RoundState::Centroids(Centroids { weights: vec![1.0; 2], starts: vec![vec![at(24.0), at(34.0)]] })
        }
        other => panic!("no rounds: {other:?}"),
    }
}

/// The patients of a round's sums.
fn patients(desk: &Desk<'_>, request: &RoundRequest) -> Option<u64> {
    match desk.reply(request).ok()?.parts.remove(0).outcome {
        Outcome::Model(model) => Some(model.n),
        Outcome::Refused(_) => None,
        other => panic!("no model: {other:?}"),
    }
}

/// Patients of a study's first round and of its second, between which the first `opt_outs` opt out.
fn rounds(on: Controls, all: usize, question: &str, opt_outs: usize, restart: bool) -> Option<[u64; 2]> {
    let hospital = persons(all);
    let mut desk = hospital.open(on);
    let study = hospital.study(ARE_YOUNG, &format!("[[analysis]]\nname = 'a'\n{question}\n"));
    let first = hospital.request(&study);
    let before = patients(&desk, &first).expect("the study begins");
    out(&hospital, opt_outs);
    if restart {
        drop(desk);
        desk = hospital.open(on);
    }
    let steps = vec![Step { analysis: 0, state: second(&study) }];
    Some([before, patients(&desk, &RoundRequest { round: 1, steps, ..first })?])
}

/// Whether three who opted out between two rounds are in the second.
fn still_there(on: Controls, question: &str, restart: bool) -> bool {
    rounds(on, 80, question, K as usize, restart).is_some_and(|[before, after]| before == after)
}

/// Whether one who opted out between two rounds is what these differ by. Among so many, those who leave with them are not young either.
fn shows(on: Controls, question: &str) -> bool {
    rounds(on, 6000, question, 1, false).is_some_and(|[before, after]| (1..K).contains(&before.abs_diff(after)))
}

pub fn between(family: Family) -> Family {
    const OUT: Control = Control::OptOuts;
    const CELLS: Control = Control::OptOutCells;
    family
        .against(OUT, "who opted out after a fit's first round, in its next step", |on| still_there(on, FIT, false))
        .against(OUT, "who opted out after a fit's first round, in its next step after a restart", |on| {
            still_there(on, FIT, true)
        })
        .against(OUT, "who opted out after the first round, in a round of clusters", |on| {
            still_there(on, CLUSTERS, false)
        })
        .against(CELLS, "a small cohort's fit, and its next step after one opt-out", |on| shows(on, FIT))
        .against(CELLS, "a small cohort's fit, and a round of clusters after one opt-out", |on| shows(on, CLUSTERS))
}
