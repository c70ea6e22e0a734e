//! Scores that a study brings along: a steep one is a count of those whom it singles out.

use bocage_node::custodian::{Control, Controls};

use super::hospital::Hospital;
use super::models::{StepSums, eighty, step_with, target};
use super::scenario::Family;
use super::ward::Patient;

/// Near 1 for the target, and below a hundredth for everybody else.
const STEEP: &str = "[models.s]\nformula = 'sick ~ age + weight'\n\
                     coefficients = { '(intercept)' = -17.1, age = 0.1, weight = 0.04 }\n";

fn ask(sick: bool, on: Controls, model: &str) -> Option<StepSums> {
    let rows: Vec<Patient> = eighty().into_iter().chain([Patient { sick: Some(sick), ..target() }]).collect();
    step_with(&Hospital::ward(&rows).open(on), "", STEEP, model, &[])
}

/// The score is scaled to −1 … 1: half of what is above −1, times the residuals, is nearly the target's own residual.
fn is_sick(on: Controls, sick: bool) -> Option<bool> {
    let step = ask(sick, on, "formula = 'sick ~ predict(s)'")?;
    let residual = (step.score(1) + step.score(0)) / 2.0;
    (residual.abs() > 0.4).then_some(residual > 0.0)
}

pub fn family() -> Family {
    Family::new("predictions").against(
        Control::ModelScores,
        "a steep score of an earlier model says whether the one whom it singles out is sick",
        |on| is_sick(on, true) == Some(true) && is_sick(on, false) == Some(false),
    )
}
