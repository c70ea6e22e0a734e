//! Scores that a study brings along: a steep one is a count of those whom it singles out.

use bocage_node::custodian::{Control, Controls};

use super::hospital::Hospital;
use super::models::{StepSums, eighty, step_with, target};
use super::scenario::Family;
use super::ward::Patient;

/// Near 1 for the target, and below a hundredth for everybody else.
const STEEP: &str = "[models.s]\nformula = 'sick ~ age + weight'\n\
                     coefficients = { '(intercept)' = -17.1, age = 0.1, weight = 0.04 }\n";

fn ask(sick: bool, on: Controls, score: &str, model: &str) -> Option<StepSums> {
    let rows: Vec<Patient> = eighty().into_iter().chain([Patient { sick: Some(sick), ..target() }]).collect();
    step_with(&Hospital::ward(&rows).open(on), "", score, model, &[])
}

/// The score is scaled to −1 … 1: half of what is above −1, times the residuals, is nearly the target's own residual.
fn is_sick(on: Controls, sick: bool) -> Option<bool> {
    let step = ask(sick, on, STEEP, "formula = 'sick ~ predict(s)'")?;
    let residual = (step.score(1) + step.score(0)) / 2.0;
    (residual.abs() > 0.4).then_some(residual > 0.0)
}

/// −15 for everybody but the target, by the bounds of a linear predictor.
const CLAMPED: &str = "[models.s]\nformula = 'sick ~ age + weight'\n\
                       coefficients = { '(intercept)' = -40, age = 0.166, weight = 0.0665 }\n";

/// What is above the least of a linear predictor is the target's alone, and so is the residual that it is multiplied by.
fn is_sick_by_line(on: Controls, sick: bool) -> Option<bool> {
    let step = ask(sick, on, CLAMPED, "formula = 'sick ~ linear(s)'")?;
    let residual = step.score(1) + step.score(0);
    (residual.abs() > 0.1).then_some(residual > 0.0)
}

/// What everybody has, at a probability of 1 for all but the target, whose inverse is the most that one may be.
const INVERSE: &str = "[models.s]\nformula = 'age >= 0 ~ age + weight'\n\
                       coefficients = { '(intercept)' = 28, age = -0.166, weight = -0.0665 }\n";

/// Eighty others have residuals of 40 together at most, and the target's one of a half counts a hundred times.
fn is_sick_by_weight(on: Controls, sick: bool) -> Option<bool> {
    let residual = ask(sick, on, INVERSE, "formula = 'sick ~ sex', weights = 'ipw(s)'")?.score(0);
    (residual.abs() > 40.0).then_some(residual > 0.0)
}

pub fn family() -> Family {
    let tells = |of: fn(Controls, bool) -> Option<bool>| {
        move |on: Controls| of(on, true) == Some(true) && of(on, false) == Some(false)
    };
    Family::new("predictions")
        .against_all(
            [Control::ModelScores, Control::ModelLeverage],
            "a steep score of an earlier model says whether the one whom it singles out is sick",
            tells(is_sick),
        )
        .against_all(
            [Control::ModelScores, Control::ModelSpread, Control::ModelLeverage],
            "so does a linear predictor that is at its bound for all others",
            tells(is_sick_by_line),
        )
        .against_all(
            [Control::ModelScores, Control::ModelWeights, Control::ModelSquares, Control::ModelLeverage],
            "weights by the inverse of a probability that is next to nothing for one alone",
            tells(is_sick_by_weight),
        )
}
