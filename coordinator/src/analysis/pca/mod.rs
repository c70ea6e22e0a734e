//! The driver of principal components: the moments of all sites in, one round, and their directions out.

mod components;
mod published;

use bocage_protocol::PublicError;
use bocage_protocol::analysis::PcaSpec;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::plan::{Described, ModelLayout, ValidPlan};
use bocage_protocol::release::ModelRelease;

use self::components::components;
pub(super) use self::published::sites;
use super::as_asked::AsAsked;
use super::moments::Moments;
use super::{Answer, Setting, SiteAnswer, notes, sorted};
use crate::api::types::{AnalysisResult, Block};

/// The headings of an answer.
pub(super) const COLUMNS: [&str; 4] = ["component", "variance", "share", "cumulative"];

/// The driver of one analysis.
#[derive(Debug)]
pub struct PcaDriver {
    setting: Setting,
    spec: PcaSpec,
    order: AsAsked,
    described: Described,
    layout: ModelLayout,
}

impl PcaDriver {
    pub(super) fn new(setting: Setting, spec: &PcaSpec, plan: &ValidPlan) -> Result<Self, PublicError> {
        let (order, described, layout) = described(&setting, plan)?;
        Ok(Self { setting, spec: spec.clone(), order, described, layout })
    }

    /// The same for any order of `answers`.
    pub(super) fn publish(&self, answers: &[SiteAnswer<'_>]) -> AnalysisResult {
        let answers = sorted(answers);
        let releases = releases(&answers);
        let mut notes = notes::of_model(&answers, releases.len(), self.setting.min_sites);
        if releases.is_empty() || releases.len() < self.setting.min_sites as usize {
            return self.nothing(notes);
        }
        let moments = Moments::of(&self.order.releases(&releases, self.described), &self.layout);
        let label = |column: usize| self.spec.columns.get(column).map_or("", |column| &column.label);
        match components(&moments, self.spec.scale) {
            Ok(found) => published::result(&self.setting, &self.spec, &moments, &found, notes),
            Err(failure) => {
                notes.push(failure.words(label));
                self.nothing(notes)
            }
        }
    }

    fn nothing(&self, notes: Vec<String>) -> AnalysisResult {
        let block = Block { columns: COLUMNS.map(str::to_owned).to_vec(), ..Block::default() };
        self.setting.result(block, notes)
    }
}

/// The shape of a described plan, by its columns as they were asked.
pub(super) fn described(setting: &Setting, plan: &ValidPlan) -> Result<(AsAsked, Described, ModelLayout), PublicError> {
    let order = AsAsked::of(plan);
    let found = plan.model().and_then(|(_, layout)| Some((layout.described?, order.layout(layout))));
    let (described, layout) = found.ok_or_else(|| {
        let message = format!("analysis `{}`: its plan describes no columns", setting.name);
        PublicError::new(ErrorCode::StudyInvalid, message)
    })?;
    Ok((order, described, layout))
}

/// What sites released, in the order of `answers`.
pub(super) fn releases<'a>(answers: &[SiteAnswer<'a>]) -> Vec<(&'a SiteId, &'a ModelRelease)> {
    let release = |answer: &SiteAnswer<'a>| match answer.answer {
        Answer::Model(release) => Some((answer.site, release)),
        _ => None,
    };
    answers.iter().filter_map(release).collect()
}

/// How many values an answer has at most.
pub(super) fn values(spec: &PcaSpec, sites: usize) -> usize {
    let (columns, shown) = (spec.columns.len(), spec.shown());
    columns * (COLUMNS.len() + 4) + 6 * columns * shown + 8 + 2 * sites
}
