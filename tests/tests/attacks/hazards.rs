//! Models of hazards: sums over risk sets of which only one says anything, and risk sets that follow each other.

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::analysis::{RoundState, Spec};
use bocage_protocol::plan::{CoxSums, GridSums, Position};
use bocage_protocol::release::Outcome;
use bocage_protocol::wire::message::{RoundRequest, Step};

use super::cells::answer;
use super::hospital::Hospital;
use super::models::{age, near, weight};
use super::scenario::Family;
use super::ward::{Patient, patients};

/// How much older the target is than the one other patient of their stratum.
const OLDER: f64 = 38.0;

/// Seventeen strata in which all have one age, and one with the target and a patient whose age is known.
fn strata() -> Vec<Patient> {
    let stratum = |i: usize| (["a", "b", "c"][i % 3], ["0", "1"][i / 3 % 2], 1 + i as i64 / 6);
    let alike = patients(17 * 4, |i| {
        let (area, sex, grade) = stratum(i % 17);
        let age = 20 + 3 * (i as i64 % 17);
        Patient { area, sex, grade, age, dose: 10.0 + i as f64, sick: Some(i / 17 % 2 == 0), ..Patient::default() }
    });
    let (area, sex, grade) = stratum(17);
    let pair = [(83, 100.0, true), (45, 200.0, false)].map(|(age, dose, sick)| Patient {
        area,
        sex,
        grade,
        age,
        dose,
        sick: Some(sick),
        ..Patient::default()
    });
    alike.into_iter().chain(pair).collect()
}

/// The information on age is that of the target's risk set alone: (Δ / 2)², in units of half the contract's range.
fn reads_the_difference(on: Controls) -> bool {
    let asked = "cox = { formula = 'surv(dose, sick) ~ age', strata = ['area', 'sex', 'grade'] }";
    let Outcome::Model(release) = answer(&strata(), on, "", asked) else { return false };
    let information = release.sums[CoxSums::SCALARS + 1];
    (2.0 * information.sqrt() * 60.0 - OLDER).abs() < 1e-6
}

/// What steps along a grid, each by the ends that stay, say of those who leave in one of its intervals by the event: patients, the sums of two
/// columns and their products.
fn steps(
    rows: &[Patient],
    on: Controls,
    (formula, grid): (&str, &[u32]),
    beta: [f64; 2],
    steps: &[(&[u32], usize)],
) -> Option<Vec<Vec<f64>>> {
    let hospital = Hospital::ward(rows);
    let desk = hospital.open(on);
    let analysis = format!("[[analysis]]\nname = 'a'\ncox = {{ formula = '{formula}', grid = {grid:?} }}\n");
    let study = desk.hospital.study("", &analysis);
    let Spec::Cox(spec) = &study.analyses[0].spec else { panic!("no cox: {formula}") };
    let first = desk.hospital.request(&study);
    desk.reply(&first).ok()?;
    let step = |(round, (stay, interval)): (u16, &(&[u32], usize))| {
        let at = Position { beta: beta.to_vec(), ..spec.start() };
        let steps = vec![Step { analysis: 0, state: RoundState::Along { at, stay: stay.to_vec() } }];
        let mut release = desk.reply(&RoundRequest { round, steps, ..first.clone() }).ok()?;
        let Outcome::Model(model) = release.parts.remove(0).outcome else { return None };
        let sums = GridSums { width: 2, strata: 1, intervals: stay.len(), enters: 0, closing: false, timed: false };
        Some(model.sums[sums.group(*interval, true)].to_vec())
    };
    (1..).zip(steps).map(step).collect()
}

/// What a step along three intervals says of those who leave in the second by the event.
fn who_leave(rows: &[Patient], on: Controls, formula: &str, beta: [f64; 2]) -> Option<Vec<f64>> {
    steps(rows, on, (formula, &[400, 600, 1000]), beta, &[(&[0, 1, 2], 1)])?.pop()
}

/// Four in five leave early, by the event and otherwise, and some last.
fn leaving(n: usize) -> Vec<Patient> {
    patients(n, |i| Patient {
        age: 30 + (i % 25) as i64,
        weight: Some(60.0 + (7 * i % 23) as f64),
        area: ["a", "c"][i % 2],
        sick: Some(i / 2 % 2 == 0),
        dose: if i % 5 == 0 { 700.0 } else { 100.0 } + (i % 11) as f64,
        ..Patient::default()
    })
}

/// Who leaves between two risk sets is the target alone.
fn reads_who_leaves(on: Controls) -> bool {
    let target = Patient { age: 111, weight: Some(250.0), sick: Some(true), dose: 500.0, ..Patient::default() };
    let rows: Vec<Patient> = leaving(160).into_iter().chain([target]).collect();
    let group = who_leave(&rows, on, "surv(dose, sick) ~ age + weight", [0.0, 0.0]);
    group
        .is_some_and(|group| group[0] == 1.0 && near(age(group[1]), 111.0, 1e-6) && near(weight(group[2]), 250.0, 1e-6))
}

/// Who comes between two risk sets is the target alone; everybody else is there from the beginning.
fn reads_who_comes(on: Controls) -> bool {
    let target = Patient { age: 111, weight: Some(250.0), sick: Some(true), dose: 500.0, ..Patient::default() };
    let hospital = Hospital::ward(&leaving(160).into_iter().chain([target]).collect::<Vec<_>>());
    let desk = hospital.open(on);
    let study = hospital.study(
        "",
        "[[analysis]]\nname = 'a'\ncox = { formula = 'surv(weight, dose, sick) ~ age', grid = [200, 1000] }\n",
    );
    let Spec::Cox(spec) = &study.analyses[0].spec else { panic!("no cox") };
    let first = hospital.request(&study);
    if desk.reply(&first).is_err() {
        return false;
    }
    let state = RoundState::Along { at: spec.start(), stay: vec![0, 1] };
    let request = RoundRequest { round: 1, steps: vec![Step { analysis: 0, state }], ..first };
    let Ok(mut release) = desk.reply(&request) else { return false };
    let Outcome::Model(model) = release.parts.remove(0).outcome else { return false };
    let sums = GridSums { width: 1, strata: 1, intervals: 2, enters: 1, closing: false, timed: false };
    let group = &model.sums[sums.enter(0, 1).expect("a group")];
    group[0] == 1.0 && near(age(group[1]), 111.0, 1e-6)
}

/// Of four intervals the second has the target alone. Two steps, whose merged intervals all have many, differ by it.
fn reads_who_leaves_by_two_steps(on: Controls) -> bool {
    let target = Patient { age: 111, weight: Some(250.0), sick: Some(true), dose: 500.0, ..Patient::default() };
    let spread = |(i, patient): (usize, Patient)| Patient {
        dose: if i % 3 == 0 { 700.0 } else { 100.0 } + (i % 11) as f64,
        ..patient
    };
    let rows: Vec<Patient> = leaving(160).into_iter().enumerate().map(spread).chain([target]).collect();
    let asked = ("surv(dose, sick) ~ age + weight", &[400, 600, 650, 1000][..]);
    let Some(groups) = steps(&rows, on, asked, [0.0, 0.0], &[(&[0, 3], 0), (&[1, 3], 0)]) else { return false };
    let less: Vec<f64> = groups[1].iter().zip(&groups[0]).map(|(with, without)| with - without).collect();
    less[0] == 1.0 && near(age(less[1]), 111.0, 1e-6) && near(weight(less[2]), 250.0, 1e-6)
}

/// Forty others leave with the target, none of whom has the target's sex.
fn reads_a_level_of_who_leaves(on: Controls) -> bool {
    let others = patients(80, |i| Patient {
        sick: Some(i % 2 == 0),
        dose: 500.0,
        age: 30 + (i % 25) as i64,
        ..Patient::default()
    });
    let target = Patient { age: 111, sick: Some(true), dose: 500.0, sex: "1", ..Patient::default() };
    let sexes =
        leaving(160).into_iter().enumerate().map(|(i, patient)| Patient { sex: ["0", "1"][i / 4 % 2], ..patient });
    let rows: Vec<Patient> = sexes.chain(others).chain([target]).collect();
    let group = who_leave(&rows, on, "surv(dose, sick) ~ sex + age", [0.0, 0.0]);
    // Women, and the sum of their ages.
    group.is_some_and(|group| group[1] == 1.0 && near(age(group[4]), 111.0, 1e-6))
}

/// Coefficients leave the weights of an interval to the oldest who leaves in it, and those of all to many.
fn reads_the_oldest_who_leaves(on: Controls) -> bool {
    let others = patients(80, |i| Patient {
        sick: Some(i % 2 == 0),
        dose: 500.0,
        age: 20 + (i % 20) as i64,
        weight: Some(60.0 + (i % 9) as f64),
        ..Patient::default()
    });
    let target = Patient { age: 70, weight: Some(250.0), sick: Some(true), dose: 500.0, ..Patient::default() };
    let old = leaving(160).into_iter().map(|patient| Patient { age: patient.age + 40, ..patient });
    let rows: Vec<Patient> = old.chain(others).chain([target]).collect();
    let group = who_leave(&rows, on, "surv(dose, sick) ~ age + weight", [9.9, 0.0]);
    group.is_some_and(|group| near(weight(group[2] / group[0]), 250.0, 20.0))
}

/// Eighty who are followed, and one who is older than the last knot.
fn one_above_the_knots(on: Controls) -> bool {
    let mut rows = patients(80, |i| Patient {
        age: 30 + (i % 25) as i64,
        dose: 10.0 + i as f64,
        sick: Some(i % 2 == 0),
        sex: ["0", "1"][i / 2 % 2],
        ..Patient::default()
    });
    rows.push(Patient { age: 111, dose: 50.0, sick: Some(true), sex: "1", ..Patient::default() });
    let asked = "cox = { formula = 'surv(dose, sick) ~ ns(age, knots = [100, 105]) + sex' }";
    matches!(answer(&rows, on, "", asked), Outcome::Model(_))
}

pub fn family() -> Family {
    Family::new("hazards")
        .against(
            Control::ModelRiskSets,
            "strata of which one alone has patients of different ages",
            reads_the_difference,
        )
        .against(Control::ModelIntervals, "adjacent risk sets that differ by one patient", reads_who_leaves)
        .against(Control::ModelIntervals, "adjacent risk sets that differ by one patient who comes", reads_who_comes)
        .against(
            Control::ModelIntervals,
            "one patient between two steps along other ends of one grid",
            reads_who_leaves_by_two_steps,
        )
        .against(Control::ModelIntervals, "those that differ by one patient with a level", reads_a_level_of_who_leaves)
        .against(Control::ModelIntervals, "steep between two of them", reads_the_oldest_who_leaves)
        .against_all(
            [Control::ModelSides, Control::ModelSpread, Control::ModelRiskSets],
            "a spline whose knots have one patient above them",
            one_above_the_knots,
        )
}
