//! A Cox model in two stages: the rounds of a Cox model for every site by itself, each at coefficients of its own, and then the sites' estimates together.

use std::collections::BTreeMap;

use bocage_protocol::PublicError;
use bocage_protocol::analysis::{CoxSpec, Pooling, RoundState};
use bocage_protocol::ids::SiteId;
use bocage_protocol::plan::{CoxSums, ValidPlan};

use super::super::cox::{CoxDriver, Step};
use super::published::{Site, Stage};
use super::{COLUMNS, Next, Setting, SiteAnswer, notes, sorted};
use crate::analysis::Answer;
use crate::api::types::{AnalysisResult, Block};

/// The driver of one Cox model in two stages.
#[derive(Debug)]
pub struct CoxByItselfDriver {
    setting: Setting,
    spec: CoxSpec,
    pooling: Pooling,
    plan: ValidPlan,
    /// Those that answered the first round.
    sites: Option<BTreeMap<SiteId, Own>>,
}

/// A site's own fit.
#[derive(Debug)]
struct Own {
    driver: CoxDriver,
    /// Where it is asked next, or was asked last.
    state: RoundState,
    /// How it ended.
    end: Option<Result<Site, String>>,
}

impl CoxByItselfDriver {
    pub(in crate::analysis) fn new(
        setting: Setting,
        spec: &CoxSpec,
        pooling: Pooling,
        plan: &ValidPlan,
    ) -> Result<Self, PublicError> {
        let new = Self { setting, spec: spec.clone(), pooling, plan: plan.clone(), sites: None };
        new.of_one().map(|_| new)
    }

    /// The driver of a site by itself.
    fn of_one(&self) -> Result<CoxDriver, PublicError> {
        CoxDriver::new(Setting { min_sites: 1, ..self.setting.clone() }, &self.spec, &self.plan)
    }

    /// Takes in a round. The same for any order of `answers`.
    pub(in crate::analysis) fn step(&mut self, answers: &[SiteAnswer<'_>]) -> Next {
        let answers = sorted(answers);
        let answered = |answer: &&SiteAnswer<'_>| matches!(answer.answer, Answer::Model(_));
        let before = self.sites.take();
        let begin = |answer: &SiteAnswer<'_>| {
            let state = RoundState::At(self.spec.start());
            let own = Own { driver: self.of_one().ok()?, state, end: None };
            Some((answer.site.clone(), own))
        };
        let mut sites: BTreeMap<SiteId, Own> =
            before.unwrap_or_else(|| answers.iter().filter(answered).filter_map(begin).collect());
        for (site, own) in sites.iter_mut().filter(|(_, own)| own.end.is_none()) {
            let answer = answers.iter().filter(answered).find(|answer| answer.site == site);
            own.end = match answer.map(|answer| own.driver.advance(&[*answer])) {
                None => Some(Err("it did not answer a later round of its fit".to_owned())),
                Some(Step::Round(state)) => {
                    own.state = state;
                    None
                }
                Some(Step::Nothing(_, notes)) => Some(Err(notes.last().cloned().unwrap_or_default())),
                Some(Step::End(end, _)) => Some(Ok(Site {
                    id: site.clone(),
                    patients: end.merged.n,
                    events: Some(end.sums[CoxSums::EVENTS].round() as u64),
                    rounds: end.rounds,
                    found: own.driver.estimates(&end),
                })),
            };
        }
        if sites.values().any(|own| own.end.is_none()) {
            let at = |site: &SiteId| {
                sites.get(site).map_or_else(|| RoundState::At(self.spec.start()), |own| own.state.clone())
            };
            let next = answers.iter().map(|answer| (answer.site.clone(), at(answer.site))).collect();
            self.sites = Some(sites);
            return Next::Each(next);
        }
        let mut found = Vec::new();
        let mut failed = Vec::new();
        for (site, own) in sites {
            match own.end {
                Some(Ok(own)) => found.push(own),
                Some(Err(why)) => failed.push(format!("{site} is left out: {why}")),
                None => {}
            }
        }
        // A site whose fit had ended is in the answer, whether it stayed or not.
        let is_in = |site: &SiteId| found.iter().any(|own: &Site| own.id == *site);
        let out: Vec<SiteAnswer<'_>> = answers.iter().filter(|answer| !is_in(answer.site)).copied().collect();
        let absent: Vec<SiteId> = out.iter().map(|answer| answer.site.clone()).collect();
        let mut notes = notes::of_own_fits(&out, answers.len(), found.len(), self.setting.min_sites);
        notes.extend(failed);
        notes.extend(self.of_one().ok().and_then(|driver| driver.of_rows()));
        if found.len() < self.setting.min_sites as usize || found.is_empty() {
            let block = Block { columns: COLUMNS.map(str::to_owned).to_vec(), ..Block::default() };
            return Next::Publish(Box::new(AnalysisResult { absent, ..self.setting.result(block, notes) }));
        }
        let stage = Stage {
            setting: &self.setting,
            labels: self.spec.columns().map(|column| column.label.as_str()).collect(),
            ratio: Some("hazard ratio"),
            confidence: self.spec.confidence,
            pooling: self.pooling,
            of: "Cox regression".to_owned(),
            formula: &self.spec.formula,
        };
        Next::Publish(Box::new(AnalysisResult { absent, ..stage.published(&found, notes) }))
    }
}
