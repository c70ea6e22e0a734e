//! A model's step in words.

use super::super::{Measure, ValidPlan};

impl ValidPlan {
    /// What it groups by (nothing), what it computes, and how many numbers leave.
    pub(in crate::plan) fn explain_model(&self) -> (Vec<String>, Vec<String>, u64) {
        let Some((model, layout)) = self.model() else { return Default::default() };
        let columns: Vec<String> = (0..layout.columns.len()).map(|column| layout.name(column)).collect();
        let response = &model.response;
        let by_site = if model.by_site { ", and an intercept of the site's own" } else { "" };
        let mut computes = vec![
            "of the patients of whom all of this is known: how many they are".to_owned(),
            format!(
                "one step of a {} regression of {} on {}{by_site}: score, information, deviance",
                response.family.name(),
                of(&response.of),
                columns.join(", ")
            ),
        ];
        for (what, of) in [("offset", &response.offset), ("weight", &response.weight)] {
            computes.extend(of.as_ref().map(|of| format!("with {} as {what}", of.plainly())));
        }
        (Vec::new(), computes, layout.values() as u64 + 1)
    }
}

fn of(outcome: &Measure) -> String {
    match outcome {
        Measure::Condition(condition) => super::super::written(condition),
        other => other.plainly(),
    }
}
