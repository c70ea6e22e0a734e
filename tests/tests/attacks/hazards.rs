//! Models of hazards: sums over risk sets of which only one says anything.

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::plan::CoxSums;
use bocage_protocol::release::Outcome;

use super::cells::answer;
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
        .against_all(
            [Control::ModelSides, Control::ModelSpread, Control::ModelRiskSets],
            "a spline whose knots have one patient above them",
            one_above_the_knots,
        )
}
