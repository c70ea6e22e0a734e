//! What the sums of models give away although every control is on. `docs/PRIVACY.md` (Models) says so.

use bocage_node::custodian::Controls;
use bocage_protocol::plan::Sums;

use super::hospital::Hospital;
use super::models::{StepSums, age, eighty, near, nearly_equal, step, target, weight};
use super::scenario::Open;
use super::ward::{Patient, patients};

fn ask(rows: &[Patient], model: &str, beta: &[f64]) -> StepSums {
    step(&Hospital::ward(rows).open(Controls::default()), "", model, beta).expect("an answer")
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
    let (flat, tilted) = (ask(&rows, model, &[0.0; 4]), ask(&rows, model, &[0.0, 0.0, 0.0, 1.0]));
    let p = 1.0 / (1.0 + (-1.0f64).exp());
    // Of those in the first two, who is in the third weighs p (1 − p) instead of 1/4.
    let in_all = (flat.information(1, 2) - tilted.information(1, 2)) / (0.25 - p * (1.0 - p));
    near(in_all, 1.0, 1e-6)
}

fn two_cohorts() -> bool {
    let hospital = Hospital::ward(&eighty_and_target());
    let desk = hospital.open(Controls::default());
    let [all, but_one] =
        ["", "age < 111"].map(|filter| step(&desk, filter, "formula = 'sick ~ sex + weight'", &[]).expect("an answer"));
    let row = |column| 4.0 * (all.information(0, column) - but_one.information(0, column));
    near(row(1), 1.0, 1e-6) && near(weight(row(2)), 250.0, 1e-3) && near(all.score(0) - but_one.score(0), 0.5, 1e-9)
}

fn the_square_of_a_residual() -> bool {
    let step = ask(&nearly_equal(), "formula = 'weight ~ age'", &[-0.54, 0.0]);
    near(weight(step.sums[Sums::DEVIANCE].sqrt() - 0.54), 250.0, 4.0)
}

fn pearson() -> bool {
    let beta = [-3.2, 0.0, -6.0];
    let step = ask(&eighty_and_target(), "formula = 'sick ~ age + weight'", &beta);
    // (1 − p) / p of the one who is sick against all odds; the others have about one each.
    let eta = -(step.sums[Sums::PEARSON] - step.n).ln();
    near(weight((eta - beta[0]) / beta[2]), 250.0, 2.0)
}

fn a_product() -> bool {
    let of = |i: usize| Patient {
        dose: if i < 40 { 1.0 } else { 2.0 + i as f64 },
        weight: Some(if i < 40 { 60.0 + i as f64 } else { 70.0 }),
        age: 30 + i as i64 % 25,
        sick: Some(i.is_multiple_of(2)),
        ..Patient::default()
    };
    let rows: Vec<Patient> = patients(80, of).into_iter().chain([Patient { dose: 40.0, ..target() }]).collect();
    let step = ask(&rows, "formula = 'sick ~ dose * weight + age'", &[]);
    // (dose − 1)(weight − 70) of scaled columns; the columns are 1, dose, weight, age, dose:weight.
    let product = |with| {
        let of = |column| step.information(column, with);
        499.5 * (150.0 * of(4) + 80.0 * of(1) + 150.0 * of(2) + 80.0 * of(0))
    };
    near(age(product(3) / product(0)), 111.0, 0.5)
}

fn a_power() -> bool {
    let step = ask(&eighty_and_target(), "formula = 'sick ~ poly(age, 4) + weight'", &[]);
    // (z + 0.3)⁴, which is next to nothing for ages around 42.
    let power = |with| {
        let parts = [0.0081, 0.108, 0.54, 1.2, 1.0];
        parts.iter().enumerate().map(|(k, by)| by * step.information(k, with)).sum::<f64>()
    };
    near(weight(power(5) / power(0)), 250.0, 10.0)
}

pub fn open() -> Vec<Open> {
    let of = |name, why, attack| Open { name, why, attack };
    let squares = "no rule limits one patient's part of a sum of squares";
    vec![
        of("a cell of three columns by two steps of a model", "no rule looks at three columns together", three_columns),
        of("two models whose cohorts differ by one patient", "mode `exact` has no cohort snapping", two_cohorts),
        of("an outlier's outcome by the deviance of a linear model", squares, the_square_of_a_residual),
        of("an outlier's row by Pearson's chi-squared, equation by equation", squares, pearson),
        of("a product of two numbers that only one patient has", "each number is judged by itself", a_product),
        of("an outlier by the fourth power of a number", "each number is judged by itself", a_power),
    ]
}
