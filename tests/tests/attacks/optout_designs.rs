//! Opt-outs of enough patients, of whom one alone stands on a side of what a model tells apart: the sums before, less those after, are that patient's.

use std::fmt::Write as _;

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::analysis::{RoundState, Spec};
use bocage_protocol::plan::{CoxSums, GridSums, Position};
use bocage_protocol::release::{ModelRelease, Outcome};
use bocage_protocol::wire::message::{RoundRequest, Step};

use super::hospital::{Desk, Hospital};
use super::models::{StepSums, age, near, step, weight};
use super::optout_rounds::{listed, out};
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
[[column]]
name = "stage"
type = "code"
codes = [{ code = "1" }, { code = "2" }, { code = "3" }, { code = "4" }]
[[column]]
name = "visits"
type = "int"
range = [0, 100]
[[column]]
name = "sick"
type = "bool"
[[column]]
name = "stay"
type = "int"
range = [1, 1000]
[[column]]
name = "died"
type = "bool"
[[column]]
name = "days"
type = "int"
range = [1, 1000]
"#;
/// So many opt out at once, four times k.
const GONE: usize = 12;
/// The first of them.
const AGE: f64 = 77.0;
const WEIGHT: f64 = 123.0;

/// Two hundred, of whom the first is the only one of those who opt out with a third stage, and with any visit. Whoever dies does so on the tenth day; all
/// others, and all who opt out, stay longer.
fn persons() -> Hospital {
    let mut rows = "patient,age,weight,stage,visits,sick,stay,died,days\n".to_owned();
    for i in 0..200 {
        let (age, weight) = if i == 0 { (AGE as usize, WEIGHT as usize) } else { (20 + 7 * i % 61, 60 + 11 * i % 37) };
        let (stage, visits) = match i {
            0 => (3, 40),
            1..GONE => (1 + i % 2, 0),
            _ => (1 + i % 4, i % 20),
        };
        let died = i >= GONE && i % 3 == 0;
        let days = if died { 10 } else { 20 + 13 * i % 900 };
        let _ =
            writeln!(rows, "p{i},{age},{weight},{stage},{visits},{},{},{died},{days}", i % 3 == 0, 1 + 17 * i % 900);
    }
    listed(Hospital::new(PERSONS, &rows))
}

/// The same question before the opt-outs and after.
fn twice<T>(on: Controls, ask: impl Fn(&Desk<'_>) -> Option<T>) -> Option<[T; 2]> {
    let hospital = persons();
    let desk = hospital.open(on);
    let before = ask(&desk).expect("it is answered as long as nobody has opted out");
    out(&hospital, GONE);
    Some([before, ask(&desk)?])
}

/// What the sums of a model's first step are of those who are gone.
fn gone(on: Controls, model: &str) -> Option<StepSums> {
    let [before, after] = twice(on, |desk| step(desk, "", model, &[]))?;
    Some(before.less(&after))
}

/// Whether of a model of age and of what only the first has the age of that one follows.
fn tells_the_age(gone: &StepSums, of: f64) -> bool {
    near(gone.information(2, 2), of, 1e-6) && near(age(gone.information(1, 2) / of), AGE, 1e-6)
}

/// Where everybody else has a number's least, which is −1: the age of the one who has more.
fn age_beside(sum: f64, products: f64, ages: f64, n: f64) -> f64 {
    age((products + ages) / (sum + n))
}

fn last(desk: &Desk<'_>, request: &RoundRequest) -> Option<ModelRelease> {
    match desk.reply(request).ok()?.parts.remove(0).outcome {
        Outcome::Model(model) => Some(model),
        Outcome::Refused(_) => None,
        other => panic!("no model: {other:?}"),
    }
}

fn first(desk: &Desk<'_>, analysis: &str) -> Option<ModelRelease> {
    last(desk, &desk.hospital.request(&desk.hospital.study("", &format!("[[analysis]]\nname = 'a'\n{analysis}\n"))))
}

/// How many of those at risk on the tenth day have a third stage: of one moment's information.
fn at_risk(desk: &Desk<'_>) -> Option<f64> {
    let release = first(desk, "cox = { formula = \"surv(days, died) ~ (stage = '3')\", ties = 'breslow' }")?;
    let (events, information) = (release.sums[CoxSums::EVENTS], release.sums[CoxSums::SCALARS + 1]);
    Some(release.n as f64 * (1.0 - (1.0 - 4.0 * information / events).sqrt()) / 2.0)
}

/// Of those who leave by the event along a grid of one interval: patients, sums of age and of the third stage, and their products.
fn who_leave(desk: &Desk<'_>) -> Option<Vec<f64>> {
    let cox = "cox = { formula = \"surv(stay, sick) ~ age + (stage = '3')\", grid = [1000] }";
    let study = desk.hospital.study("", &format!("[[analysis]]\nname = 'a'\n{cox}\n"));
    let Spec::Cox(spec) = &study.analyses[0].spec else { panic!("no cox") };
    let request = desk.hospital.request(&study);
    last(desk, &request)?;
    let at = Position { beta: vec![0.0; 2], ..spec.start() };
    let steps = vec![Step { analysis: 0, state: RoundState::Along { at, stay: vec![0] } }];
    let release = last(desk, &RoundRequest { round: 1, steps, ..request })?;
    let sums = GridSums { width: 2, strata: 1, intervals: 1, enters: 0, closing: false, timed: false };
    Some(release.sums[sums.group(0, true)].to_vec())
}

pub fn designs(family: Family) -> Family {
    const CELLS: Control = Control::OptOutCells;
    family
        .against(CELLS, "the row of the one of a stage among those who opt out, by a model", |on| {
            let gone = gone(on, "formula = \"weight ~ age + (stage = '3')\"");
            gone.is_some_and(|gone| tells_the_age(&gone, 1.0) && near(weight(gone.score(2)), WEIGHT, 1e-6))
        })
        .against(CELLS, "the same, and whether they are sick, by a logistic model", |on| {
            let gone = gone(on, "formula = \"sick ~ age + (stage = '3')\", family = 'binomial'");
            gone.is_some_and(|gone| tells_the_age(&gone, 0.25) && near(gone.score(2), 0.5, 1e-9))
        })
        .against(CELLS, "the age of the one who has any visit, by a model of numbers", |on| {
            let gone = gone(on, "formula = 'weight ~ age + visits'");
            let visitor = |gone: StepSums| {
                age_beside(
                    gone.information(0, 2),
                    gone.information(1, 2),
                    gone.information(0, 1),
                    gone.information(0, 0),
                )
            };
            gone.is_some_and(|gone| near(visitor(gone), AGE, 1e-6))
        })
        .against(CELLS, "the age of the one who has any visit, by components", |on| {
            let asked = twice(on, |desk| first(desk, "pca = { columns = ['age', 'visits'] }"));
            asked.is_some_and(|[before, after]| {
                let gone = |at: usize| before.sums[at] - after.sums[at];
                near(age_beside(gone(1), gone(3), gone(0), (before.n - after.n) as f64), AGE, 1e-6)
            })
        })
        .against(CELLS, "the one of a stage among those at risk, none of whom has the event", |on| {
            twice(on, at_risk).is_some_and(|[before, after]| near(before - after, 1.0, 1e-6))
        })
        .against(CELLS, "the age of the one of a stage who leaves by the event along a grid", |on| {
            let gone = twice(on, who_leave).map(|[before, after]| move |at: usize| before[at] - after[at]);
            gone.is_some_and(|gone| near(gone(2), 1.0, 1e-9) && near(age(gone(4)), AGE, 1e-6))
        })
}
