//! `accuracy = { test, truth, interval, confidence }`: a test held against the truth.

use serde::Deserialize;

use super::Binding;
use crate::analysis::{AccuracySpec, Spec};
use crate::plan::TypeProblem;
use crate::settings::join;

#[derive(Deserialize)]
pub(super) struct RawAccuracy {
    test: String,
    truth: String,
    interval: Option<String>,
    confidence: Option<f64>,
}

impl Binding<'_> {
    pub(super) fn accuracy(&mut self, key: &str, raw: &RawAccuracy) -> Option<Spec> {
        self.independent(&join(key, "accuracy"));
        let test = self.condition_key(&join(key, "accuracy.test"), &raw.test);
        let truth = self.condition_key(&join(key, "accuracy.truth"), &raw.truth);
        let confidence = self.confidence(&join(key, "accuracy.confidence"), raw.confidence);
        let exact = match raw.interval.as_deref() {
            None | Some("wilson") => false,
            Some("exact") => true,
            Some(other) => {
                let problem = TypeProblem::new(format!("there is no interval `{other}`"));
                return self.refuse(&join(key, "accuracy.interval"), problem.hint("write \"wilson\" or \"exact\""));
            }
        };
        let (test, truth) = test.zip(truth)?;
        if test.key == truth.key {
            let problem = TypeProblem::new("test and truth are the same condition");
            return self.refuse(&join(key, "accuracy.truth"), problem.hint("name two different ones"));
        }
        Some(Spec::Accuracy(AccuracySpec { test, truth, exact, confidence: confidence? }))
    }
}

/// Where the text says what the plan's check found at `place`.
pub(super) fn text_place(place: &str) -> String {
    match place {
        "by[0]" => "accuracy.test",
        "by[1]" => "accuracy.truth",
        _ => "accuracy",
    }
    .to_owned()
}
