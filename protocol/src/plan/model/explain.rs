//! A model's step in words.

use super::super::{Measure, ValidPlan, written};
use super::{Explains, LeftOut};

impl ValidPlan {
    /// What it groups by (nothing), what it computes, and how many numbers leave.
    pub(in crate::plan) fn explain_model(&self) -> (Vec<String>, Vec<String>, u64) {
        let Some((model, layout)) = self.model() else { return Default::default() };
        let say = |text: String| self.called.calls().say(&text);
        let columns: Vec<String> = (0..layout.columns.len()).map(|column| layout.name(column)).collect();
        let columns = columns.join(", ");
        let sums = "their sums, squares and products";
        let mut computes = vec!["of the patients of whom all of this is known: how many they are".to_owned()];
        match &model.explains {
            Explains::Mean(response) => {
                let by_site = if model.by_site { ", and an intercept of the site's own" } else { "" };
                let (family, outcome) = (response.family.name(), say(of(&response.of)));
                computes.push(format!(
                    "one step of a {family} regression of {outcome} on {columns}{by_site}: score, information, deviance"
                ));
                for (what, of) in [("offset", &response.offset), ("weight", &response.weight)] {
                    computes.extend(of.as_ref().map(|of| format!("with {} as {what}", say(of.plainly()))));
                }
            }
            Explains::Hazard(hazard) => {
                let (event, time) = (say(written(&hazard.event)), say(hazard.time.plainly()));
                computes.push(format!(
                    "one step of a Cox regression of {event} at {time} on {columns}: score, information, log-likelihood"
                ));
                computes.extend(hazard.start.as_ref().map(|of| format!("at risk after {}", say(of.plainly()))));
                computes.extend(hazard.offset.as_ref().map(|of| format!("with {} as offset", say(of.plainly()))));
                if !hazard.strata.is_empty() {
                    let strata: Vec<String> = hazard.strata.iter().map(|of| say(written(of))).collect();
                    computes.push(format!("with a baseline of its own for each {}", strata.join(" and ")));
                }
                if let Some(grid) = &hazard.grid {
                    let of = "of those who leave in one of them, by the event and otherwise, how many they are and weighted sums";
                    computes.push(match &grid.stay {
                        None => format!("along {} intervals: which of them the site can tell apart", grid.ends.len()),
                        Some(stay) => format!("along {} intervals: {of}", stay.len()),
                    });
                }
                let mut at_end = vec!["how many pairs of patients are in the order of their risks"];
                at_end.extend(hazard.robust.then_some("the squares of patients' scores"));
                at_end.extend(hazard.proportionality.map(|_| "score and information along time"));
                computes.push(format!("at the end of the fit {}", at_end.join(", ")));
            }
            Explains::Moments => computes.push(format!("how these vary together: {columns}; {sums}")),
            Explains::Clusters(at) if at.starts.is_empty() => {
                computes.push(format!("the begin of a clustering by {columns}: {sums}"));
                computes.push("in further rounds: how many patients lie nearest to each of given points, and their sums".to_owned());
            }
            Explains::Clusters(at) => computes.push(format!(
                "one step of {} into {} groups by {columns}: how many patients lie nearest to each of given points, and their sums",
                if at.starts.len() == 1 { "a clustering".to_owned() } else { format!("{} clusterings", at.starts.len()) },
                at.clusters()
            )),
        }
        if let Some(folds) = &model.folds {
            computes.push(match folds.by {
                LeftOut::Site => {
                    format!("the same at the coefficients of {} fits, each of which leaves a site out", folds.at.len())
                }
                LeftOut::Fold(count) => format!(
                    "the same of each of {count} folds of patients, drawn by a key of the site, and of all others"
                ),
            });
        }
        (Vec::new(), computes, layout.values() as u64 + 1)
    }
}

fn of(outcome: &Measure) -> String {
    match outcome {
        Measure::Condition(condition) => written(condition),
        other => other.plainly(),
    }
}
