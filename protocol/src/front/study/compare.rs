//! `compare = { outcome, by, reference, scores, within, confidence }`: groups by an outcome. What the outcome is decides how they are compared: a
//! condition by risks, a number by means, bands by ranks.

use serde::Deserialize;

use super::Binding;
use super::table::{label, measure};
use crate::analysis::{CompareSpec, Key, Outcome, Spec};
use crate::plan::{Type, TypeProblem, check_key, check_measure};
use crate::settings::join;

#[derive(Deserialize)]
pub(super) struct RawCompare {
    outcome: String,
    by: String,
    reference: Option<String>,
    scores: Option<Vec<f64>>,
    within: Option<String>,
    confidence: Option<f64>,
}

const OUTCOMES: &str =
    "a condition is compared by risks, a number by means, and its bands, e.g. cut(age, 50, 60), by ranks";

impl Binding<'_> {
    pub(super) fn compare(&mut self, key: &str, raw: &RawCompare) -> Option<Spec> {
        let at = |name: &str| join(key, &format!("compare.{name}"));
        self.independent(&join(key, "compare"));
        let outcome = self.outcome(&at("outcome"), &raw.outcome);
        let by = self.levelled_key(&at("by"), &raw.by);
        let confidence = self.confidence(&at("confidence"), raw.confidence);
        let (outcome, by) = outcome.zip(by)?;
        let levels = self.group_labels(&at("by"), &by)?;
        let reference = match &raw.reference {
            Some(text) => self.level(&at("reference"), text, &by, &levels),
            None => Some(0),
        };
        if matches!(&outcome, Outcome::Holds(key) | Outcome::Ordered(key) if key.key == by.key) {
            let problem = TypeProblem::new("outcome and groups are the same");
            self.refuse::<()>(&at("by"), problem.hint("name another column or condition"));
        }
        let holds = matches!(outcome, Outcome::Holds(_));
        let scores = match &raw.scores {
            Some(scores) if holds => scores.clone(),
            Some(_) => {
                let problem = TypeProblem::new("only a condition has a test for trend");
                return self.refuse(&at("scores"), problem.hint("leave `scores` out"));
            }
            None if holds && levels.len() > 2 && self.is_ordered(&by) => (0..levels.len()).map(|i| i as f64).collect(),
            None => vec![],
        };
        let within_sites = match raw.within.as_deref() {
            None => false,
            Some("site") if holds && levels.len() == 2 => true,
            Some("site") => {
                let problem = TypeProblem::new("only a condition in two groups is compared within sites");
                return self.refuse(&at("within"), problem.hint("leave `within` out, or make two groups"));
            }
            Some(other) => {
                let problem = TypeProblem::new(format!("groups are not compared within `{other}`"));
                return self.refuse(&at("within"), problem.hint("write within = \"site\", or leave it out"));
            }
        };
        let spec =
            CompareSpec { outcome, by, reference: reference? as u32, scores, within_sites, confidence: confidence? };
        match spec.problem_of(levels.len()) {
            Some(problem) => self.refuse(&at("scores"), TypeProblem::new(problem).hint("one for each group, in order")),
            None => Some(Spec::Compare(spec)),
        }
    }

    /// What is compared, told apart by its type.
    fn outcome(&mut self, place: &str, text: &str) -> Option<Outcome> {
        let (expr, typed) = self.with_binder(place, text, |binder, sql| binder.bind(sql))?;
        let key = Key { label: label(text), key: expr };
        if typed == Type::Bool {
            return Some(Outcome::Holds(key));
        }
        if typed.is_number() {
            let found = self.with_binder(place, text, measure)?;
            return match (check_measure(&found, self.contract()), check_key(&key.key, self.contract())) {
                (Ok(()), _) => Some(Outcome::Number { label: key.label, measure: found }),
                // Too few values for a mean: they are levels.
                (Err(_), Ok(())) if self.is_ordered(&key) => Some(Outcome::Ordered(key)),
                (Err(problem), _) => self.refuse(place, problem),
            };
        }
        if self.is_ordered(&key) {
            return match check_key(&key.key, self.contract()) {
                Ok(()) => Some(Outcome::Ordered(key)),
                Err(problem) => self.refuse(place, problem),
            };
        }
        let problem = TypeProblem::new(format!("groups are not compared by {}", typed.name()));
        self.refuse(place, problem.hint(OUTCOMES))
    }
}

/// Where the text says what the plan's check found at `place`.
pub(super) fn text_place(place: &str) -> String {
    match place {
        "by[0]" => "compare.by",
        "by[1]" | "measures[0]" => "compare.outcome",
        _ => "compare",
    }
    .to_owned()
}
