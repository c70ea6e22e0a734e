//! The driver of a test's accuracy: the table of test and truth, and what follows from it where every cell is exact.

use bocage_protocol::PublicError;
use bocage_protocol::analysis::AccuracySpec;
use bocage_protocol::plan::ValidPlan;

use super::association::accuracy::{Fourfold, measures};
use super::crosstab::{counts, matrix};
use super::estimates::{Statistics, independent};
use super::table::TableDriver;
use super::{Setting, SiteAnswer};
use crate::api::types::{AnalysisResult, HiddenReason, NamedBlock};

/// The driver of one test's accuracy.
#[derive(Debug)]
pub struct AccuracyDriver {
    table: TableDriver,
    spec: AccuracySpec,
}

impl AccuracyDriver {
    pub(super) fn new(setting: Setting, spec: &AccuracySpec, plan: &ValidPlan) -> Result<Self, PublicError> {
        independent(&setting)?;
        Ok(Self { table: TableDriver::new(setting, spec.table(), plan)?, spec: spec.clone() })
    }

    pub(super) fn publish(&self, answers: &[SiteAnswer<'_>]) -> AnalysisResult {
        let mut result = self.table.publish(answers);
        let counts = counts(&result.block);
        let [test, truth] = [0, 1].map(|key| self.table.layout().keys_at(0).swap_remove(key));
        // False stands before true, and missing values behind both.
        let at = |test: usize, of: usize| counts.get(test * truth.labels.len() + of)?.exact();
        let cells = [at(1, 1), at(1, 0), at(0, 1), at(0, 0)];
        let heading = format!("{} by {}", self.spec.test.label, self.spec.truth.label);
        result.block = matrix(&heading, &test.labels, &truth.labels, &counts, true);
        let (measures, reason) = match cells {
            [Some(true_positive), Some(false_positive), Some(false_negative), Some(true_negative)] => {
                let of = Fourfold { true_positive, false_positive, false_negative, true_negative };
                (measures(&of, self.spec.confidence.share(), self.spec.exact), HiddenReason::TooFewValues)
            }
            _ => {
                result.notes.push("no measure: it needs the four cells of test and truth exactly".into());
                let none = Fourfold { true_positive: 0, false_positive: 0, false_negative: 0, true_negative: 0 };
                (measures(&none, self.spec.confidence.share(), self.spec.exact), HiddenReason::NotAllExact)
            }
        };
        if test.missing || truth.missing {
            result.notes.push("measures leave out who has a missing value".into());
        }
        let mut block = Statistics::new(["measure", "value", "from", "to"]);
        measures.into_iter().for_each(|(name, measure)| block.estimate(&[name], measure, reason));
        result.also.push(NamedBlock { title: "accuracy".into(), block: block.block() });
        result
    }
}
