//! The driver of a table: one round, then the answer as asked and, where a site rolled up, the answer at the coarsest step among the sites.

use bocage_protocol::PublicError;
use bocage_protocol::analysis::TableSpec;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::AnalysisName;
use bocage_protocol::plan::{TableLayout, ValidPlan};
use bocage_protocol::release::TableRelease;

use super::pool::Pool;
use super::{Answer, Setting, SiteAnswer, block, notes};
use crate::api::types::{AnalysisResult, Block};

/// The driver of one table. Histograms and cross-tabulations are tables too, shown in another way.
#[derive(Debug)]
pub struct TableDriver {
    setting: Setting,
    spec: TableSpec,
    layout: TableLayout,
}

impl TableDriver {
    pub(super) fn new(setting: Setting, spec: TableSpec, plan: &ValidPlan) -> Result<Self, PublicError> {
        shows_what_there_is(&setting.name, &spec, plan.written())?;
        Ok(Self { setting, spec, layout: plan.written().clone() })
    }

    /// The combined answer. The same for any order of `answers`, which are sorted here.
    pub(super) fn publish(&self, answers: &[SiteAnswer<'_>]) -> AnalysisResult {
        self.publish_as(answers, |block, _| block)
    }

    /// The combined answer, each of its blocks reshaped; `reshape` is told the block's step of the ladder.
    pub(super) fn publish_as(
        &self,
        answers: &[SiteAnswer<'_>],
        reshape: impl Fn(Block, usize) -> Block,
    ) -> AnalysisResult {
        let answers = super::sorted(answers);
        let releases = releases(&answers);
        let coarsest = releases.iter().map(|r| usize::from(r.step)).max().unwrap_or(0);
        let notes = notes::of_table(&self.spec, &answers, self.setting.min_sites);
        let mut result = self.setting.result(reshape(self.block(&releases, 0), 0), notes);
        result.rolled_up = (coarsest > 0).then(|| reshape(self.block(&releases, coarsest), coarsest));
        result
    }

    /// The shape of the table.
    pub(super) fn layout(&self) -> &TableLayout {
        &self.layout
    }

    /// What is asked, by whose rules.
    pub(super) fn setting(&self) -> &Setting {
        &self.setting
    }

    fn block(&self, releases: &[&TableRelease], step: usize) -> Block {
        let mut pool = Pool::new(&self.layout, step, self.setting.one_row_per_subject);
        releases.iter().for_each(|release| pool.add(release));
        block::publish(&self.spec, &pool, self.setting.min_sites)
    }
}

/// The tables among answers, in their order.
pub(super) fn releases<'a>(answers: &[SiteAnswer<'a>]) -> Vec<&'a TableRelease> {
    let table = |answer: &SiteAnswer<'a>| match answer.answer {
        Answer::Table(release) => Some(release),
        _ => None,
    };
    answers.iter().filter_map(table).collect()
}

/// Whether every column of the answer asks of its measure what that can give.
///
/// # Errors
/// `study_invalid` with the first that does not.
pub(super) fn shows_what_there_is(
    name: &AnalysisName,
    spec: &TableSpec,
    layout: &TableLayout,
) -> Result<(), PublicError> {
    let measures = spec.measures();
    for shown in &spec.show {
        let at = shown.show.measure().and_then(|wanted| measures.iter().position(|m| *m == wanted));
        if !block::fits(&shown.show, at.and_then(|i| layout.measures().get(i))) {
            return Err(misfit(name, &shown.label));
        }
    }
    Ok(())
}

fn misfit(name: &AnalysisName, label: &str) -> PublicError {
    let message = format!("analysis `{name}`: `{label}` asks for a statistic that its measure has not");
    PublicError::new(ErrorCode::StudyInvalid, message).hint("share is of a condition; sum, mean and sd are of a number")
}
