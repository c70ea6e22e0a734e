//! `cox = { formula, ties, strata, standard_errors, confidence, proportionality, grid | every + until, enter_until, least_intervals, at, contrasts, two_stage }`: proportional hazards.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::Binding;
use super::formula::{call, sides, split};
use super::pattern::Given;
use super::table::label;
use crate::analysis::{CoxSpec, Spec};
use crate::plan::{Expr, Hazard, Measure, Ties, TimeGrid, TimeScale, TypeProblem};
use crate::settings::join;

#[derive(Deserialize)]
pub(super) struct RawCox {
    formula: String,
    ties: Option<Ties>,
    #[serde(default)]
    strata: Vec<String>,
    standard_errors: Option<Errors>,
    confidence: Option<f64>,
    proportionality: Option<TimeScale>,
    grid: Option<Vec<f64>>,
    every: Option<f64>,
    until: Option<f64>,
    enter_until: Option<f64>,
    least_intervals: Option<u32>,
    #[serde(default)]
    contrasts: BTreeMap<String, Value>,
    two_stage: Option<String>,
    #[serde(default)]
    at: Vec<BTreeMap<String, Given>>,
}

/// What standard errors are made of.
#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Errors {
    /// The information.
    Model,
    /// The sandwich of patients' scores (Lin, Wei 1989).
    Robust,
}

/// Left of `~`.
pub(super) struct Survival {
    start: Option<Measure>,
    time: Measure,
    event: Expr,
}

impl Binding<'_> {
    pub(super) fn cox(&mut self, key: &str, raw: &RawCox) -> Option<Spec> {
        let place = |name: &str| join(key, &format!("cox.{name}"));
        let (left, right) = match sides(&raw.formula) {
            Ok(sides) => sides,
            Err(problem) => return self.refuse(&place("formula"), problem),
        };
        let survival = self.survival_outcome(&place("formula"), left);
        let side = self.right_side(&place("formula"), right);
        let strata = self.keys(&place("strata"), &raw.strata);
        let confidence = raw.confidence.unwrap_or(0.95);
        if !(0.5..1.0).contains(&confidence) {
            let problem = TypeProblem::new("confidence is from 0.5 to below 1").hint("e.g. confidence = 0.95");
            return self.refuse(&place("confidence"), problem);
        }
        let grid = match (&raw.grid, raw.every, raw.until) {
            (None, None, None) => None,
            (grid, every, until) => Some(self.grid(&join(key, "cox"), grid, every, until)?),
        };
        if raw.enter_until.is_some() && grid.is_none() {
            let problem = TypeProblem::new("`enter_until` is an end of a grid, and there is none");
            return self.refuse(&place("enter_until"), problem.hint("add grid = […], or every and until"));
        }
        let ((survival, mut side), strata) = survival.zip(side).zip(strata)?;
        if side.by_site {
            let problem = TypeProblem::new("every site has a baseline of its own already");
            return self.refuse(&place("formula"), problem.hint("leave `site` out"));
        }
        let terms = side.terms.len();
        // The baseline takes the place of the intercept.
        side.terms.retain(|term| term.columns.iter().any(|column| !column.of.is_empty()));
        if side.terms.len() == terms || side.terms.is_empty() {
            let problem = TypeProblem::new("a Cox model has terms, and no intercept that could be taken away");
            return self.refuse(&place("formula"), problem.hint(HINT));
        }
        let contrasts = self.contrasts(&place("contrasts"), &raw.contrasts, &side)?;
        let hazard = Hazard {
            time: survival.time,
            start: survival.start,
            event: survival.event,
            offset: side.offset,
            ties: raw.ties.unwrap_or(Ties::Efron),
            strata: strata.into_iter().map(|key| key.key).collect(),
            robust: raw.standard_errors == Some(Errors::Robust),
            proportionality: raw.proportionality,
            grid: grid.map(|ends| TimeGrid { ends, stay: None, enter_until: raw.enter_until }),
        };
        let patterns = self.patterns(&place("at"), &raw.at, &side.terms, hazard.grid.is_some())?;
        let two_stage = match &raw.two_stage {
            Some(way) => Some(self.pooling(&place("two_stage"), way)?),
            None => None,
        };
        let more = hazard.grid.is_some() || hazard.proportionality.is_some() || !contrasts.is_empty();
        if two_stage.is_some() && more {
            let problem = TypeProblem::new(
                "in two stages every site has a fit of its own, without a grid, contrasts and a test of proportionality",
            );
            return self.refuse(&place("two_stage"), problem.hint("leave one of them out"));
        }
        let (formula, terms) = (label(&raw.formula), side.terms);
        let least_intervals = raw.least_intervals;
        let spec = CoxSpec { formula, hazard, terms, confidence, patterns, contrasts, least_intervals, two_stage };
        match spec.least_problem() {
            Some(problem) => {
                let hint = "e.g. every = 50, until = 1000, least_intervals = 5";
                self.refuse(&place("least_intervals"), TypeProblem::new(problem).hint(hint))
            }
            None => Some(Spec::Cox(spec)),
        }
    }

    /// `surv(time, event)`, or `surv(start, stop, event)`.
    pub(super) fn survival_outcome(&mut self, key: &str, text: &str) -> Option<Survival> {
        let arguments = arguments(text).map(|of| split(of, &[',']));
        let (start, time, event) = match arguments {
            Some(Ok(parts)) => match parts.as_slice() {
                [(_, time), (_, event)] => (None, *time, *event),
                [(_, start), (_, stop), (_, event)] => (Some(*start), *stop, *event),
                _ => return self.refuse(key, no_survival(text)),
            },
            Some(Err(problem)) => return self.refuse(key, problem),
            None => return self.refuse(key, no_survival(text)),
        };
        let start = match start {
            Some(start) => Some(self.number(key, start)?),
            None => None,
        };
        let time = self.number(key, time);
        let event = self.condition(key, event);
        Some(Survival { start, time: time?, event: event? })
    }
}

/// Whether a formula's left side is the time to an event.
pub(super) fn is_survival(text: &str) -> bool {
    arguments(text).is_some()
}

fn arguments(text: &str) -> Option<&str> {
    call(text, "surv").or_else(|| call(text, "Surv"))
}

const HINT: &str = "e.g. formula = \"surv(time, status = 1) ~ age + sex\"";

fn no_survival(text: &str) -> TypeProblem {
    TypeProblem::new(format!("`{text}` is no time with an event")).hint(HINT)
}

/// Where the text says what the plan's check found at `place`.
pub(super) fn text_place(place: &str) -> String {
    match place {
        "time" | "start" | "event" | "offset" => "cox.formula".to_owned(),
        place if place.starts_with("columns") => "cox.formula".to_owned(),
        "robust" => "cox.standard_errors".to_owned(),
        "grid" => "cox.grid".to_owned(),
        place if place.starts_with("strata") || place == "proportionality" => format!("cox.{place}"),
        _ => "cox".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::one;
    use super::*;

    #[test]
    fn a_formula_says_when_the_event_comes_and_by_what_it_is_explained() {
        let text = "cox = { formula = 'surv(chol, disease) ~ age + sex' }";
        let Ok(Spec::Cox(spec)) = one(text) else { panic!("a cox model") };
        let labels: Vec<&str> = spec.columns().map(|column| column.label.as_str()).collect();
        assert_eq!(labels[0], "age");
        assert!(labels.iter().all(|label| *label != "(intercept)"), "{labels:?}");
        assert_eq!((spec.hazard.ties, spec.hazard.robust, spec.confidence), (Ties::Efron, false, 0.95));
        assert!(matches!(spec.hazard.event, Expr::Column(_)));
        let text = "cox = { formula = 'surv(age, chol, age > 80) ~ sex', ties = 'breslow', strata = ['sex'], \
                    standard_errors = 'robust', confidence = 0.9, proportionality = 'identity' }";
        let Ok(Spec::Cox(spec)) = one(text) else { panic!("a cox model") };
        assert!(spec.hazard.start.is_some() && spec.hazard.robust && spec.hazard.strata.len() == 1);
        assert_eq!((spec.hazard.ties, spec.hazard.proportionality), (Ties::Breslow, Some(TimeScale::Identity)));
    }

    #[test]
    fn what_is_no_cox_model_says_where() {
        for (rest, wanted) in [
            ("formula = 'disease ~ age'", "cox.formula: `disease` is no time with an event"),
            ("formula = 'surv(chol) ~ age'", "cox.formula: `surv(chol)` is no time with an event"),
            ("formula = 'surv(chol, age) ~ sex'", "cox.formula: expected a condition"),
            ("formula = 'surv(chol, disease) ~ age + site'", "cox.formula: every site has a baseline"),
            ("formula = 'surv(chol, disease) ~ age - 1'", "cox.formula: a Cox model has terms, and no intercept"),
            ("formula = 'surv(chol, disease) ~ 1'", "cox.formula: a Cox model has terms"),
            (
                "formula = 'surv(chol, disease) ~ age', contrasts = { old = 'site[a] - site[b]' }",
                "cox.contrasts.old: no coefficient is called `site[a]`",
            ),
            (
                "formula = 'surv(chol, disease) ~ age', contrasts = { old = '10 * age' }, two_stage = 'fixed'",
                "cox.two_stage: in two stages every site has a fit of its own, without a grid, contrasts",
            ),
            (
                "formula = 'surv(chol, disease) ~ age', least_intervals = 2",
                "cox.least_intervals: `least_intervals` is of a grid",
            ),
            (
                "formula = 'surv(chol, disease) ~ age', grid = [200, 600], least_intervals = 3",
                "cox.least_intervals: a site keeps from 1 to all 2 intervals",
            ),
            ("formula = 'surv(chol, disease) ~ age', confidence = 1.0", "cox.confidence: confidence is from 0.5"),
            ("formula = 'surv(chol, disease) ~ age', strata = ['chol']", "cox.strata[0]: "),
        ] {
            let problems = one(&format!("cox = {{ {rest} }}")).unwrap_err();
            assert!(problems.contains(wanted), "{rest}: {problems}");
        }
    }
}
