//! The driver of a model's probabilities held against the truth: sums of residuals at a coefficient of 0, over one round.

use bocage_protocol::PublicError;
use bocage_protocol::analysis::ScoredSpec;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::plan::{Sums, ValidPlan};
use bocage_protocol::release::ModelRelease;

use super::fit::Merged;
use super::published::{headed, number, sites};
use crate::analysis::{Answer, Setting, SiteAnswer, notes, sorted};
use crate::api::types::{AnalysisResult, NamedBlock, Value};

/// The headings of the answer.
pub(in crate::analysis) const QUANTITIES: [&str; 2] = ["quantity", "value"];

/// The driver of one model's scores.
#[derive(Debug)]
pub struct ScoredDriver {
    setting: Setting,
    spec: ScoredSpec,
}

impl ScoredDriver {
    pub(in crate::analysis) fn new(setting: Setting, spec: &ScoredSpec, plan: &ValidPlan) -> Result<Self, PublicError> {
        if plan.model().is_none() {
            let message = format!("analysis `{}`: its plan is no model", setting.name);
            return Err(PublicError::new(ErrorCode::StudyInvalid, message));
        }
        Ok(Self { setting, spec: spec.clone() })
    }

    /// The combined answer. The same for any order of `answers`.
    pub(in crate::analysis) fn publish(&self, answers: &[SiteAnswer<'_>]) -> AnalysisResult {
        let answers = sorted(answers);
        let releases: Vec<(&SiteId, &ModelRelease)> = answers
            .iter()
            .filter_map(|answer| match answer.answer {
                Answer::Model(release) => Some((answer.site, release)),
                _ => None,
            })
            .collect();
        let notes = notes::of_model(&answers, releases.len(), self.setting.min_sites);
        let mut block = headed(&QUANTITIES);
        if releases.len() < self.setting.min_sites as usize || releases.is_empty() {
            return self.setting.result(block, notes);
        }
        let merged = Merged::of(&releases, self.spec.response().family, 1, false, true);
        let n = merged.n as f64;
        let events = merged.scalars[Sums::OUTCOME];
        // Σ (y − p), and Σ (y − p)².
        let (expected, brier) = (events - merged.score[0], merged.squares[(0, 0)] / n);
        // That of who expects of everybody what there was of all.
        let mean = events / n;
        let plain = mean * (1.0 - mean);
        let mut add = |name: &str, value: Value| block.rows.push(vec![Value::Text(name.to_owned()), value]);
        add("patients", Value::Count(merged.n));
        add("events", Value::Count(events.round() as u64));
        add("events expected", number(Some(expected)));
        add("observed over expected", number(Some(events / expected)));
        add("Brier score", number(Some(brier)));
        add("scaled Brier score", number(Some(1.0 - brier / plain)));
        add("mean logarithmic loss", number(Some(merged.scalars[Sums::DEVIANCE] / (2.0 * n))));
        let mut result = self.setting.result(block, notes);
        result.also =
            vec![NamedBlock { title: "patients with all that the model reads".to_owned(), block: sites(&merged) }];
        result
    }
}
