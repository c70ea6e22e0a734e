//! `attrition = { steps }`: a flow of inclusion steps.

use serde::Deserialize;

use super::Binding;
use super::table::label;
use crate::analysis::{AttritionSpec, AttritionStep, Spec};
use crate::limits;
use crate::plan::TypeProblem;
use crate::settings::join;

#[derive(Deserialize)]
pub(super) struct RawAttrition {
    steps: Option<Vec<String>>,
}

impl Binding<'_> {
    pub(super) fn attrition(&mut self, key: &str, raw: &RawAttrition) -> Option<Spec> {
        let key = join(key, "attrition.steps");
        let Some(texts) = &raw.steps else { return self.cohort_flow(&key) };
        if !(1..=limits::ATTRITION_STEPS).contains(&texts.len()) {
            let problem = TypeProblem::new(format!("a flow has 1 to {} steps", limits::ATTRITION_STEPS));
            return self.refuse(&key, problem.hint("e.g. steps = [\"age >= 18\", \"chol is not null\"]"));
        }
        let steps: Vec<Option<AttritionStep>> = texts
            .iter()
            .enumerate()
            .map(|(i, text)| {
                let keep = self.condition(&format!("{key}[{i}]"), text)?;
                Some(AttritionStep { label: label(text), keep })
            })
            .collect();
        Some(Spec::Attrition(AttritionSpec { steps: steps.into_iter().collect::<Option<_>>()?, whole: false }))
    }

    /// The cohort's own conditions in order, from all patients on.
    fn cohort_flow(&mut self, key: &str) -> Option<Spec> {
        let steps = self.steps.clone()?;
        if !(1..=limits::ATTRITION_STEPS).contains(&steps.len()) {
            let problem = TypeProblem::new(format!("a flow has 1 to {} steps", limits::ATTRITION_STEPS));
            return self.refuse(
                key,
                problem.hint("without `steps` they are those of the study's [cohort]: include and exclude"),
            );
        }
        Some(Spec::Attrition(AttritionSpec { steps, whole: true }))
    }
}

/// Where the text says what the plan's check found at `place`.
pub(super) fn text_place(place: &str) -> String {
    if place.starts_with("steps[") { format!("attrition.{place}") } else { "attrition.steps".to_owned() }
}
