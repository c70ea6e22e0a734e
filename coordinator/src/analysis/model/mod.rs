//! The driver of a linear or generalised linear model: sums of all sites in, the next coefficients or the published fit out.
//!
//! A site that does not answer a round, or that refuses it, is left out from there on; the fit goes on with the others and ends where they agree.

mod contrasts;
mod cox;
mod errors;
mod failure;
mod fit;
mod held;
mod left_out;
mod meta;
mod nested;
mod penalised;
mod published;
mod scored;
mod secants;
mod theta;
mod two_stage;

use bocage_protocol::PublicError;
use bocage_protocol::analysis::{ModelSpec, RoundState, StandardErrors};
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::limits;
use bocage_protocol::plan::{ModelLayout, Sums, ValidPlan};
use bocage_protocol::release::ModelRelease;

pub use self::cox::CoxDriver;
pub(super) use self::cox::values as cox_values;
use self::fit::{Fit, Fitted, Merged, Verdict};
pub(super) use self::fit::{add_triangle, inverse};
pub use self::left_out::CrossValidationDriver;
pub(super) use self::left_out::values as left_out_values;
use self::nested::Nesting;
pub use self::penalised::ElasticNetDriver;
pub(super) use self::penalised::{PENALISED, values as penalised_values};
pub(super) use self::published::{headed, named, number};
pub(super) use self::scored::QUANTITIES;
pub use self::scored::ScoredDriver;
pub use self::two_stage::{CoxByItselfDriver, TwoStageDriver};
use super::{Answer, Next, Setting, SiteAnswer, notes, sorted};
use crate::api::types::{AnalysisResult, Block, NamedBlock};

/// The headings of an answer.
pub(super) const COLUMNS: [&str; 7] = ["term", "estimate", "standard error", "statistic", "p", "from", "to"];

/// The driver of one model.
#[derive(Debug)]
pub struct ModelDriver {
    setting: Setting,
    spec: ModelSpec,
    layout: ModelLayout,
    fit: Fit,
    /// Smaller models within the fitted one.
    nesting: Option<Nesting>,
    /// Of each site at the start, its patients and single sums, which say how the outcome varies by itself.
    first: Option<Vec<(SiteId, u64, [f64; Sums::SCALARS])>>,
}

impl ModelDriver {
    pub(super) fn new(setting: Setting, spec: &ModelSpec, plan: &ValidPlan) -> Result<Self, PublicError> {
        let (_, layout) = plan.model().ok_or_else(|| {
            PublicError::new(ErrorCode::StudyInvalid, format!("analysis `{}`: its plan is no model", setting.name))
        })?;
        let slopes = spec.columns().map(|column| !column.of.is_empty()).collect();
        let fit = Fit::new(spec.ridge, slopes, spec.by_site, spec.start()).of_family(spec.response.family);
        Ok(Self { setting, spec: spec.clone(), layout: layout.clone(), fit, nesting: None, first: None })
    }

    /// Takes in a round. The same for any order of `answers`.
    pub(super) fn step(&mut self, answers: &[SiteAnswer<'_>]) -> Next {
        let answers = sorted(answers);
        let releases: Vec<(&SiteId, &ModelRelease)> = answers
            .iter()
            .filter_map(|answer| match answer.answer {
                Answer::Model(release) => Some((answer.site, release)),
                _ => None,
            })
            .collect();
        let mut notes = notes::of_model(&answers, releases.len(), self.setting.min_sites);
        if let Some(mut nesting) = self.nesting.take() {
            let merged = (!releases.is_empty()).then(|| self.merged(&releases));
            nesting.step(&self.spec, &self.layout, merged);
            return self.go_on(nesting, notes);
        }
        if releases.len() < self.setting.min_sites as usize || releases.is_empty() {
            return self.nothing(vec![], notes);
        }
        let merged = self.merged(&releases);
        let counted = published::counted(&merged, self.events(&merged), self.fit.steps() + 1);
        let clusters = self.spec.standard_errors == StandardErrors::Site;
        let (wanted, answered) = (limits::SITES_OF_ERRORS, releases.len());
        if clusters && answered < wanted {
            notes.push(format!("no fit: standard errors by site need {wanted} sites, {answered} answered"));
            return self.nothing(counted, notes);
        }
        if self.first.is_none() {
            let start = |(site, of): &(&SiteId, &ModelRelease)| {
                let mut scalars = [0.0; Sums::SCALARS];
                scalars.iter_mut().zip(&of.sums).for_each(|(into, sum)| *into = *sum);
                ((*site).clone(), of.n, scalars)
            };
            self.first = Some(releases.iter().map(start).collect());
        }
        match self.fit.step(merged) {
            Verdict::Go(position) => Next::Round(RoundState::At(position)),
            Verdict::Done(fitted) if !self.spec.likelihood_ratio.is_empty() => {
                self.go_on(Nesting::begin(&self.spec, &self.fit, fitted), notes)
            }
            Verdict::Done(fitted) => self.publish(&fitted, None, notes),
            Verdict::Failed(failure) => {
                notes.push(failure.words(|at| self.label(at)));
                self.nothing(counted, notes)
            }
        }
    }

    fn merged(&self, releases: &[(&SiteId, &ModelRelease)]) -> Merged {
        let (family, columns) = (self.spec.response.family, self.layout.columns.len());
        Merged::of(releases, family, columns, self.spec.by_site, self.fit.position().robust)
    }

    /// Another round of a smaller model, or the end.
    fn go_on(&mut self, nesting: Nesting, notes: Vec<String>) -> Next {
        match nesting.position(&self.spec) {
            Some(position) => {
                self.nesting = Some(nesting);
                Next::Round(RoundState::At(position))
            }
            None => self.publish(&nesting.whole, Some(&nesting), notes),
        }
    }

    fn publish(&self, fitted: &Fitted, nesting: Option<&Nesting>, notes: Vec<String>) -> Next {
        let (setting, first) = (&self.setting, self.at_start(&fitted.merged));
        Next::Publish(Box::new(published::result(setting, &self.spec, &self.layout, fitted, nesting, first, notes)))
    }

    /// The single sums at the start of the patients of a fit: sites may have left since, and opt-outs make others of them.
    fn at_start(&self, merged: &Merged) -> Option<[f64; Sums::SCALARS]> {
        let mut all = [0.0; Sums::SCALARS];
        for (site, n) in &merged.sites {
            let (.., own) = self.first.iter().flatten().find(|(known, of, _)| (known, of) == (site, n))?;
            all.iter_mut().zip(own).for_each(|(all, own)| *all += own);
        }
        Some(all)
    }

    fn events(&self, merged: &Merged) -> Option<f64> {
        self.spec.counts_events().then_some(merged.scalars[Sums::OUTCOME])
    }

    /// No fit, and of whom it would have been, as far as that may be told.
    fn nothing(&self, counted: Vec<NamedBlock>, notes: Vec<String>) -> Next {
        let block = Block { columns: COLUMNS.map(str::to_owned).to_vec(), ..Block::default() };
        Next::Publish(Box::new(AnalysisResult { also: counted, ..self.setting.result(block, notes) }))
    }

    fn label(&self, at: usize) -> &str {
        self.spec.columns().nth(at).map_or("an intercept of a site", |column| &column.label)
    }
}

/// How many values an answer has at most.
pub(super) fn values(spec: &ModelSpec, sites: usize) -> usize {
    if spec.two_stage.is_some() {
        return two_stage::values(spec.columns().count(), sites);
    }
    let terms = spec.columns().count() + if spec.by_site { sites } else { 0 };
    let asked = 4 * spec.likelihood_ratio.len() + (COLUMNS.len() + 3) * spec.contrasts.len();
    terms * (COLUMNS.len() + 2 + terms) + asked + 200 + 2 * sites
}
