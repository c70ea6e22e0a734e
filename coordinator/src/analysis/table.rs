//! The driver of a table: one round, then the answer as asked and, where a site rolled up, the answer at the coarsest step among the sites.

use bocage_protocol::PublicError;
use bocage_protocol::analysis::TableSpec;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::AnalysisName;
use bocage_protocol::plan::{TableLayout, ValidPlan};
use bocage_protocol::release::TableRelease;

use super::pool::Pool;
use super::{Answer, SiteAnswer, block, notes};
use crate::api::types::{AnalysisResult, Block};

/// The driver of one table.
#[derive(Debug)]
pub struct TableDriver {
    name: AnalysisName,
    spec: TableSpec,
    layout: TableLayout,
    one_row_per_subject: bool,
    min_sites: u32,
}

impl TableDriver {
    pub(super) fn new(
        name: AnalysisName,
        spec: TableSpec,
        plan: &ValidPlan,
        one_row_per_subject: bool,
        min_sites: u32,
    ) -> Result<Self, PublicError> {
        let measures = spec.measures();
        for shown in &spec.show {
            let at = shown.show.measure().and_then(|wanted| measures.iter().position(|m| *m == wanted));
            if !block::fits(&shown.show, at.and_then(|i| plan.layout().measures().get(i))) {
                let message =
                    format!("analysis `{name}`: `{}` asks for a statistic that its measure has not", shown.label);
                return Err(PublicError::new(ErrorCode::StudyInvalid, message)
                    .hint("share is of a condition; sum, mean and sd are of a number"));
            }
        }
        Ok(Self { name, spec, layout: plan.layout().clone(), one_row_per_subject, min_sites })
    }

    /// The combined answer. The same for any order of `answers`.
    pub(super) fn publish(&self, answers: &[SiteAnswer<'_>]) -> AnalysisResult {
        let mut answers = answers.to_vec();
        answers.sort_by_key(|a| a.site);
        let releases: Vec<&TableRelease> = answers
            .iter()
            .filter_map(|a| match a.answer {
                Answer::Table(release) => Some(release),
                Answer::Refused(_) | Answer::Missing => None,
            })
            .collect();
        let coarsest = releases.iter().map(|r| usize::from(r.step)).max().unwrap_or(0);
        AnalysisResult {
            name: self.name.clone(),
            kind: "table".to_owned(),
            block: self.block(&releases, 0),
            notes: notes::of_table(&self.spec, &answers, self.min_sites),
            rolled_up: (coarsest > 0).then(|| self.block(&releases, coarsest)),
        }
    }

    fn block(&self, releases: &[&TableRelease], step: usize) -> Block {
        let mut pool = Pool::new(&self.layout, step, self.one_row_per_subject);
        releases.iter().for_each(|release| pool.add(release));
        block::publish(&self.spec, &pool, self.min_sites)
    }
}
