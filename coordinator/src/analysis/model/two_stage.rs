//! The driver of a model in two stages: every site is fitted by itself, by the rounds of any model, each at coefficients of its own; then the sites'
//! estimates are put together. Only sites whose policy lets results of their own be published take part.
//!
//! A site whose fit has come to its end is asked the same again until the last one's has, and answers from its ledger.

mod hazards;
mod published;

use std::collections::BTreeMap;

use bocage_protocol::PublicError;
use bocage_protocol::analysis::{ModelSpec, Pooling, RoundState};
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::plan::{ModelLayout, Position, Sums, ValidPlan};
use bocage_protocol::release::ModelRelease;

pub use self::hazards::CoxByItselfDriver;
use self::published::{Site, Stage};
use super::errors::estimates;
use super::fit::{Fit, Fitted, Merged, Verdict};
use super::published::exponential;
use super::{Answer, COLUMNS, Next, Setting, SiteAnswer, notes, sorted};
use crate::api::types::{AnalysisResult, Block};

/// The driver of one model in two stages.
#[derive(Debug)]
pub struct TwoStageDriver {
    setting: Setting,
    spec: ModelSpec,
    pooling: Pooling,
    layout: ModelLayout,
    /// Those that answered the first round.
    sites: Option<BTreeMap<SiteId, Own>>,
}

/// A site's own fit.
#[derive(Debug)]
struct Own {
    fit: Fit,
    /// How it ended.
    end: Option<Result<Box<Fitted>, String>>,
}

impl TwoStageDriver {
    pub(in crate::analysis) fn new(
        setting: Setting,
        spec: &ModelSpec,
        pooling: Pooling,
        plan: &ValidPlan,
    ) -> Result<Self, PublicError> {
        let (_, layout) = plan.model().ok_or_else(|| {
            PublicError::new(ErrorCode::StudyInvalid, format!("analysis `{}`: its plan is no model", setting.name))
        })?;
        Ok(Self { setting, spec: spec.clone(), pooling, layout: layout.clone(), sites: None })
    }

    /// Takes in a round. The same for any order of `answers`.
    pub(in crate::analysis) fn step(&mut self, answers: &[SiteAnswer<'_>]) -> Next {
        let answers = sorted(answers);
        let releases: BTreeMap<&SiteId, &ModelRelease> = answers
            .iter()
            .filter_map(|answer| match answer.answer {
                Answer::Model(release) => Some((answer.site, release)),
                _ => None,
            })
            .collect();
        let before = self.sites.take();
        let new = || releases.keys().map(|site| ((*site).clone(), Own { fit: self.fit(), end: None })).collect();
        let mut sites: BTreeMap<SiteId, Own> = before.unwrap_or_else(new);
        for (site, own) in sites.iter_mut().filter(|(_, own)| own.end.is_none()) {
            match releases.get(site) {
                Some(release) => self.advance(site, own, release),
                None => own.end = Some(Err("it did not answer a later round of its fit".to_owned())),
            }
        }
        if sites.values().any(|own| own.end.is_none()) {
            let at =
                |site: &SiteId| sites.get(site).map_or_else(|| self.spec.start(), |own| own.fit.position().clone());
            let next = answers.iter().map(|answer| (answer.site.clone(), RoundState::At(at(answer.site)))).collect();
            self.sites = Some(sites);
            return Next::Each(next);
        }
        let fitted = sites.values().filter(|own| matches!(own.end, Some(Ok(_)))).count();
        // A site whose fit had ended is in the answer, whether it stayed or not.
        let is_in = |site: &SiteId| sites.get(site).is_some_and(|own| matches!(own.end, Some(Ok(_))));
        let out: Vec<SiteAnswer<'_>> = answers.iter().filter(|answer| !is_in(answer.site)).copied().collect();
        let absent: Vec<SiteId> = out.iter().map(|answer| answer.site.clone()).collect();
        let mut notes = notes::of_own_fits(&out, answers.len(), fitted, self.setting.min_sites);
        let failed = sites.iter().filter_map(|(site, own)| match &own.end {
            Some(Err(why)) => Some(format!("{site} is left out: {why}")),
            _ => None,
        });
        notes.extend(failed);
        if fitted < self.setting.min_sites as usize || fitted == 0 {
            let block = Block { columns: COLUMNS.map(str::to_owned).to_vec(), ..Block::default() };
            return Next::Publish(Box::new(AnalysisResult { absent, ..self.setting.result(block, notes) }));
        }
        let ends: Vec<Site> =
            sites.into_iter().filter_map(|(site, own)| own.end?.ok().map(|fitted| self.own(site, &fitted))).collect();
        let (family, of) = (self.spec.response.family, &self.spec.response.of);
        let stage = Stage {
            setting: &self.setting,
            labels: self.spec.columns().map(|column| column.label.as_str()).collect(),
            ratio: exponential(family, of),
            confidence: self.spec.confidence,
            pooling: self.pooling,
            of: format!("{} regression with {} link", family.name(), family.link()),
            formula: &self.spec.formula,
        };
        Next::Publish(Box::new(AnalysisResult { absent, ..stage.published(&ends, notes) }))
    }

    /// What is published of a site.
    fn own(&self, id: SiteId, fitted: &Fitted) -> Site {
        let events = fitted.merged.scalars[Sums::OUTCOME].round() as u64;
        Site {
            id,
            patients: fitted.merged.n,
            events: self.spec.counts_events().then_some(events),
            rounds: fitted.steps,
            found: estimates(&self.spec, &self.layout, fitted),
        }
    }

    fn fit(&self) -> Fit {
        let slopes = self.spec.columns().map(|column| !column.of.is_empty()).collect();
        Fit::new(0.0, slopes, false, self.spec.start()).of_family(self.spec.response.family)
    }

    fn advance(&self, site: &SiteId, own: &mut Own, release: &ModelRelease) {
        let Position { robust, .. } = *own.fit.position();
        let (family, columns) = (self.spec.response.family, self.layout.columns.len());
        own.end = match own.fit.step(Merged::of(&[(site, release)], family, columns, false, robust)) {
            Verdict::Go(_) => None,
            Verdict::Done(fitted) => Some(Ok(fitted)),
            Verdict::Failed(failure) => {
                let name = |at: usize| self.spec.columns().nth(at).map_or("a column", |column| &column.label);
                Some(Err(failure.words(name)))
            }
        };
    }
}

/// How many values an answer has at most.
pub(super) fn values(terms: usize, sites: usize) -> usize {
    terms * (COLUMNS.len() + 3) * (sites + 6) + 100 + 4 * sites
}
