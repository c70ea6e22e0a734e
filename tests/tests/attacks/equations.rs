//! Outliers of models: by sums of squares, powers and products, equation by equation; and what models give away although every control is on, as
//! `docs/PRIVACY.md` (Models) says.

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::plan::Sums;

use super::hospital::Hospital;
use super::models::{StepSums, age, eighty, near, nearly_equal, step, target, weight};
use super::scenario::{Family, Open};
use super::ward::{Patient, patients};

fn ask(rows: &[Patient], on: Controls, model: &str, beta: &[f64]) -> Option<StepSums> {
    step(&Hospital::ward(rows).open(on), "", model, beta)
}

fn eighty_and_target() -> Vec<Patient> {
    eighty().into_iter().chain([target()]).collect()
}

/// Ten of each of eight cells of three conditions, but one of the last.
fn three_columns() -> bool {
    let of = |i: usize| Patient {
        age: if i & 1 == 0 { 30 } else { 50 },
        sex: if i & 2 == 0 { "0" } else { "1" },
        area: if i & 4 == 0 { "a" } else { "c" },
        sick: Some((i / 8).is_multiple_of(2)),
        ..Patient::default()
    };
    let rows: Vec<Patient> =
        patients(80, of).into_iter().enumerate().filter(|(i, _)| i % 8 != 7 || *i == 7).map(|(_, p)| p).collect();
    let model = "formula = \"sick ~ (age >= 40) + sex + (area = 'c')\"";
    let ask = |beta: &[f64]| ask(&rows, Controls::default(), model, beta).expect("an answer");
    let (flat, tilted) = (ask(&[0.0; 4]), ask(&[0.0, 0.0, 0.0, 1.0]));
    let p = 1.0 / (1.0 + (-1.0f64).exp());
    // Of those in the first two, who is in the third weighs p (1 − p) instead of 1/4.
    let in_all = (flat.information(1, 2) - tilted.information(1, 2)) / (0.25 - p * (1.0 - p));
    near(in_all, 1.0, 1e-6)
}

fn two_cohorts() -> bool {
    let near_the_others = Patient { weight: Some(90.0), ..target() };
    let rows: Vec<Patient> = eighty().into_iter().chain([near_the_others]).collect();
    let hospital = Hospital::ward(&rows);
    let desk = hospital.open(Controls::default());
    let [all, but_one] =
        ["", "age < 111"].map(|filter| step(&desk, filter, "formula = 'sick ~ sex + weight'", &[]).expect("an answer"));
    let row = |column| 4.0 * (all.information(0, column) - but_one.information(0, column));
    near(row(1), 1.0, 1e-6) && near(weight(row(2)), 90.0, 1e-3) && near(all.score(0) - but_one.score(0), 0.5, 1e-9)
}

fn the_square_of_a_residual(on: Controls) -> bool {
    let step = ask(&nearly_equal(), on, "formula = 'weight ~ age'", &[-0.54, 0.0]);
    step.is_some_and(|step| near(weight(step.sums[Sums::DEVIANCE].sqrt() - 0.54), 250.0, 4.0))
}

fn pearson(on: Controls) -> bool {
    let beta = [-3.2, 0.0, -6.0];
    let Some(step) = ask(&eighty_and_target(), on, "formula = 'sick ~ age + weight'", &beta) else { return false };
    // (1 − p) / p of the one who is sick against all odds; the others have about one each.
    let eta = -(step.sums[Sums::PEARSON] - step.n).ln();
    near(weight((eta - beta[0]) / beta[2]), 250.0, 2.0)
}

fn a_product(on: Controls) -> bool {
    let of = |i: usize| Patient {
        dose: if i < 40 { 1.0 } else { 2.0 + i as f64 },
        weight: Some(if i < 40 { 60.0 + i as f64 } else { 70.0 }),
        age: 30 + i as i64 % 25,
        sick: Some(i.is_multiple_of(2)),
        ..Patient::default()
    };
    let rows: Vec<Patient> = patients(80, of).into_iter().chain([Patient { dose: 40.0, ..target() }]).collect();
    let Some(step) = ask(&rows, on, "formula = 'sick ~ dose * weight + age'", &[]) else { return false };
    // (dose − 1)(weight − 70) of scaled columns; the columns are 1, dose, weight, age, dose:weight.
    let product = |with| {
        let of = |column| step.information(column, with);
        499.5 * (150.0 * of(4) + 80.0 * of(1) + 150.0 * of(2) + 80.0 * of(0))
    };
    near(age(product(3) / product(0)), 111.0, 0.5)
}

fn a_power(on: Controls) -> bool {
    let model = "formula = 'sick ~ poly(age, 4) + weight'";
    let Some(step) = ask(&eighty_and_target(), on, model, &[]) else { return false };
    // (z + 0.3)⁴, which is next to nothing for ages around 42.
    let power = |with| {
        let parts = [0.0081, 0.108, 0.54, 1.2, 1.0];
        parts.iter().enumerate().map(|(k, by)| by * step.information(k, with)).sum::<f64>()
    };
    near(weight(power(5) / power(0)), 250.0, 10.0)
}

pub fn family() -> Family {
    Family::new("outliers of models")
        .against(
            Control::ModelSquares,
            "an outlier's outcome by the deviance of a linear model",
            the_square_of_a_residual,
        )
        .against(Control::ModelSquares, "an outlier's row by Pearson's chi-squared, equation by equation", pearson)
        .against(Control::ModelLeverage, "a product of two numbers that only one patient has", a_product)
        .against(Control::ModelLeverage, "an outlier by the fourth power of a number", a_power)
}

pub fn open() -> Vec<Open> {
    let of = |name, why, attack| Open { name, why, attack };
    vec![
        of("a cell of three columns by two steps of a model", "no rule looks at three columns together", three_columns),
        of("two models whose cohorts differ by one patient", "mode `exact` has no cohort snapping", two_cohorts),
    ]
}
