//! Cross-validations that single a patient out: by folds that a study's own salt would draw, and by folds of a few.

use bocage_node::custodian::folds::{FoldKey, Folds};
use bocage_node::custodian::{Control, Controls};
use bocage_protocol::analysis::RoundState;
use bocage_protocol::plan::Sums;
use bocage_protocol::release::Outcome;
use bocage_protocol::wire::message::{RoundRequest, Step};

use super::hospital::{Desk, Hospital, K};
use super::models::{age, near};
use super::scenario::Family;
use super::ward::{Patient, patients};

/// The age of the one whom the attacker is after.
const TARGET: i64 = 95;

/// What leaves of a fold at coefficients of 0, of a model by an intercept and ages.
struct OfFold {
    n: f64,
    /// Σ z, Σ z², Σ (y − ½).
    z: f64,
    squares: f64,
    sick: f64,
}

/// So many of whom each has an age of their own; the last is the target, who is no older than a model takes.
fn ward(n: usize) -> Vec<Patient> {
    let ordinary = |i: usize| Patient { age: 30 + i as i64, sick: Some(i.is_multiple_of(2)), ..Patient::default() };
    let target = Patient { age: TARGET, sick: Some(true), ..Patient::default() };
    patients(n - 1, ordinary).into_iter().chain([target]).collect()
}

/// The folds of a cross-validation's first round, and the salt of its study.
fn ask(desk: &Desk<'_>, filter: &str, count: usize) -> Option<(String, Vec<OfFold>)> {
    let asked = format!("[[analysis]]\nname = 'a'\ncross_validation = {{ formula = 'sick ~ age', folds = {count} }}\n");
    let study = desk.hospital.study(filter, &asked);
    let mut release = desk.reply(&desk.hospital.request(&study)).ok()?;
    let Outcome::Model(model) = release.parts.remove(0).outcome else { return None };
    let (sums, size) = (Sums { width: 2 }, model.sums.len() / (1 + 2 * count));
    let fold = |fold: usize| {
        let of = &model.sums[(2 + 2 * fold) * size..];
        // Of a mean of a half every weight is a quarter.
        let information = &of[sums.information()];
        OfFold {
            n: of[Sums::WEIGHT],
            z: 4.0 * information[1],
            squares: 4.0 * information[2],
            sick: of[sums.score()][0],
        }
    };
    Some((study.nonce.clone(), (0..count).map(fold).collect()))
}

/// What solves these equations best, by elimination with the largest first; none where they leave something open.
fn solved(mut rows: Vec<Vec<f64>>, unknown: usize) -> Option<Vec<f64>> {
    for at in 0..unknown {
        let largest = (at..rows.len()).max_by(|a, b| rows[*a][at].abs().total_cmp(&rows[*b][at].abs()))?;
        rows.swap(at, largest);
        if rows[at][at].abs() < 1e-6 {
            return None;
        }
        let own = rows[at].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(other, _)| *other != at) {
            let share = row[at] / own[at];
            row.iter_mut().zip(&own).for_each(|(x, own)| *x -= share * own);
        }
    }
    Some((0..unknown).map(|at| rows[at][unknown] / rows[at][at]).collect())
}

/// Asks so often, each study with another salt, that the sums of its folds are as many equations as there are patients: does the target's age stand in
/// what solves them, with the right state of health beside it?
fn salted(on: Controls) -> bool {
    let rows = ward(60);
    let hospital = Hospital::ward(&rows);
    let desk = hospital.open(on);
    let (mut ages, mut states) = (Vec::new(), Vec::new());
    for study in 0..2 * rows.len() {
        // Of two folds one follows from the other.
        if ages.len() > 2 * (rows.len() + 5) {
            break;
        }
        // Another text, so that it is no repeat; the patients are the same.
        let filter = format!("dose > {}", 0.001 * (1 + study) as f64);
        let Some((salt, folds)) = ask(&desk, &filter, 2) else { continue };
        let drawn = Folds::by_rows(&FoldKey::salted(salt.as_bytes()), &[], rows.len() as u32);
        for (fold, of) in folds.iter().enumerate() {
            let within = |subject: u32| f64::from(u8::from(drawn.of(subject, 2) == Some(fold)));
            let members: Vec<f64> = (0..rows.len() as u32).map(within).collect();
            ages.push([members.as_slice(), &[of.z]].concat());
            states.push([members.as_slice(), &[of.sick]].concat());
        }
    }
    let Some((ages, states)) = solved(ages, rows.len()).zip(solved(states, rows.len())) else { return false };
    ages.iter().zip(states).any(|(z, sick)| near(age(*z), TARGET as f64, 1e-3) && near(sick, 0.5, 1e-3))
}

/// Whether a fold of one or two leaves, and says their ages.
fn few(on: Controls) -> bool {
    let rows = ward(40);
    let is_one = |z: f64| rows.iter().any(|patient| near(patient.age as f64, age(z), 1e-6));
    // Which patients are together is the luck of a hospital's key.
    (0..12).any(|_| {
        let hospital = Hospital::ward(&rows);
        let Some((_, folds)) = ask(&hospital.open(on), "", 10) else { return false };
        folds.iter().any(|of| match of.n {
            1.0 => is_one(of.z),
            2.0 => {
                let apart = (2.0 * of.squares - of.z * of.z).max(0.0).sqrt();
                is_one((of.z + apart) / 2.0) && is_one((of.z - apart) / 2.0)
            }
            _ => false,
        })
    })
}

/// Whether lines by fold count one or two who are sick, or who are not.
fn few_in_lines(on: Controls) -> bool {
    let hospital = Hospital::ward(&ward(40));
    let desk = hospital.open(on);
    let asked =
        "[[analysis]]\nname = 'a'\ncross_validation = { formula = 'sick ~ age', grid = [0.5], fold_areas = true }\n";
    let state = RoundState::LeftOutByFold(vec![vec![-1.0, 0.02]; 10]);
    let steps = vec![Step { analysis: 0, state }];
    let request = RoundRequest { round: 1, steps, ..hospital.request(&hospital.study("", asked)) };
    let Ok(mut release) = desk.reply(&request) else { return false };
    let Outcome::Lines(lines) = release.parts.remove(0).outcome else { return false };
    assert_eq!(lines.lines.len(), 30);
    let patients = lines.lines.iter().map(|bins| bins.iter().map(|bin| bin.count.subjects).sum::<u64>());
    patients.into_iter().any(|n| (1..K).contains(&n))
}

pub fn family() -> Family {
    Family::new("folds")
        .against(
            Control::FoldSecret,
            "folds by a study's own salt, so often that their sums solve for everybody",
            salted,
        )
        .against(Control::ModelFolds, "a fold of one or two", few)
        .against(Control::Threshold, "a line of one or two of a fold, by what is expected of them", few_in_lines)
}
