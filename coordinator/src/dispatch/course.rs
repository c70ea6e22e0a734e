//! A study's way through its rounds: the drivers of its analyses, stepped with what is recorded. No I/O, no clock: replay gives the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use bocage_protocol::PublicError;
use bocage_protocol::analysis::{AnalysisSpec, RoundState, plan_for};
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::{Digest, SiteId};
use bocage_protocol::limits;
use bocage_protocol::plan::ValidPlan;
use bocage_protocol::release::{Outcome, Release};
use bocage_protocol::wire::message::Step;

use super::Asked;
use crate::analysis::{Answer, Driver, Next, SiteAnswer, answer_values, check_values, summarise};
use crate::api::types::AnalysisResult;

/// A round that is put to every site.
#[derive(Debug)]
pub struct Round {
    /// From 0.
    pub number: u16,
    /// One for each analysis that takes part, ascending.
    pub parts: Vec<RoundPart>,
}

/// An analysis' part in a round.
#[derive(Debug, Clone)]
pub struct RoundPart {
    /// Its position in the study.
    pub analysis: u16,
    /// The round's numbers.
    pub state: RoundState,
    /// What every site must derive from study and numbers.
    pub plan: ValidPlan,
    /// The digest of that plan.
    pub digest: Digest,
    /// The same of sites that have numbers of their own.
    pub own: BTreeMap<SiteId, RoundPart>,
}

/// Where a study is.
#[derive(Debug)]
pub struct Course {
    drivers: Vec<Driver>,
    results: Vec<Option<AnalysisResult>>,
    specs: Vec<AnalysisSpec>,
    one_row_per_subject: bool,
    round: Option<Arc<Round>>,
    last_round: u16,
}

impl Round {
    /// What is asked of a site.
    pub fn steps(&self, site: &SiteId) -> Vec<Step> {
        let of = |part: &RoundPart| Step { analysis: part.analysis, state: part.at(site).state.clone() };
        self.parts.iter().map(of).collect()
    }

    fn new(asked: &Asked, number: u16, states: Vec<(usize, States)>) -> Result<Self, PublicError> {
        let one = |index: usize, state: RoundState| {
            let analysis = &asked.study.analyses[index];
            let plan = plan_for(&analysis.spec, asked.study.query(), number, &state)?;
            let plan = ValidPlan::check(plan, asked.contracts()).map_err(|problems| {
                let message = format!("analysis `{}`: {problems}", analysis.name);
                PublicError::new(ErrorCode::StudyInvalid, message)
            })?;
            let own = BTreeMap::new();
            Ok::<_, PublicError>(RoundPart { analysis: index as u16, state, digest: plan.digest(), plan, own })
        };
        let part = |(index, states): (usize, States)| match states {
            States::All(state) => one(index, state),
            States::Each(states) => {
                let each = |(site, state)| Ok((site, one(index, state)?));
                let own: BTreeMap<SiteId, RoundPart> =
                    states.into_iter().map(each).collect::<Result<_, PublicError>>()?;
                // All have one shape: any of them says how large an answer can be.
                let any = own.values().next().cloned();
                let any = any.ok_or_else(|| PublicError::new(ErrorCode::RoundInvalid, "a round is put to no site"))?;
                Ok(RoundPart { own, ..any })
            }
        };
        Ok(Self { number, parts: states.into_iter().map(part).collect::<Result<_, PublicError>>()? })
    }
}

impl RoundPart {
    /// The part of this site.
    pub fn at(&self, site: &SiteId) -> &RoundPart {
        self.own.get(site).unwrap_or(self)
    }
}

/// The numbers of a round.
enum States {
    All(RoundState),
    Each(BTreeMap<SiteId, RoundState>),
}

impl Course {
    /// A study at its first round. A combined cell needs `min_sites` sites.
    ///
    /// # Errors
    /// `study_invalid` with what is wrong with an analysis; `too_large`.
    pub fn begin(asked: &Asked, min_sites: u32) -> Result<Self, PublicError> {
        let first = |index| (index, States::All(RoundState::First));
        let round = Round::new(asked, 0, (0..asked.study.analyses.len()).map(first).collect())?;
        let values = asked.study.analyses.iter().zip(&round.parts);
        check_values(values.map(|(analysis, part)| answer_values(&analysis.spec, &part.plan, asked.sites.len())))?;
        let drivers = asked
            .study
            .analyses
            .iter()
            .zip(&round.parts)
            .map(|(analysis, part)| Driver::new(analysis, &part.plan, &asked.contract, min_sites))
            .collect::<Result<Vec<_>, _>>()?;
        let results = vec![None; drivers.len()];
        let (specs, one_row_per_subject) = (asked.study.analyses.clone(), asked.contract.one_row_per_subject());
        Ok(Self { drivers, results, specs, one_row_per_subject, round: Some(Arc::new(round)), last_round: 0 })
    }

    /// The round that is due, or none when all analyses are published.
    pub fn round(&self) -> Option<Arc<Round>> {
        self.round.clone()
    }

    /// The number of the last round that was or is due.
    pub fn last_round(&self) -> u16 {
        self.last_round
    }

    /// Takes in the due round: each site's release, or its refusal, or nothing.
    ///
    /// # Errors
    /// A driver asks for a round that cannot be.
    pub fn finish_round(
        &mut self,
        asked: &Asked,
        releases: &BTreeMap<SiteId, Release>,
        refusals: &BTreeMap<SiteId, PublicError>,
    ) -> Result<(), PublicError> {
        let Some(round) = self.round.take() else { return Ok(()) };
        let mut next = Vec::new();
        for part in &round.parts {
            let index = usize::from(part.analysis);
            let answers: Vec<SiteAnswer<'_>> = asked
                .sites
                .iter()
                .map(|site| SiteAnswer { site, answer: answer(releases.get(site), refusals.get(site), part.analysis) })
                .collect();
            match self.drivers[index].step(&answers) {
                Next::Round(state) => next.push((index, States::All(state))),
                Next::Each(states) => next.push((index, States::Each(states))),
                Next::Publish(result) => self.results[index] = Some(*result),
            }
        }
        if !next.is_empty() {
            let number = round.number + 1;
            if number >= limits::ROUNDS {
                return Err(PublicError::new(ErrorCode::RoundInvalid, "the study has too many rounds"));
            }
            self.round = Some(Arc::new(Round::new(asked, number, next)?));
            self.last_round = number;
        }
        Ok(())
    }

    /// The results, in the order of the study; the parts of a summary are one.
    pub fn into_results(self) -> Vec<AnalysisResult> {
        let parts = self.specs.iter().zip(self.results).filter_map(|(spec, result)| Some((spec, result?)));
        summarise(parts.collect(), self.one_row_per_subject)
    }
}

fn answer<'a>(release: Option<&'a Release>, refusal: Option<&'a PublicError>, analysis: u16) -> Answer<'a> {
    let part = release.and_then(|release| release.parts.iter().find(|part| part.analysis == analysis));
    match (part.map(|part| &part.outcome), refusal) {
        (Some(Outcome::Table(table)), _) => Answer::Table(table),
        (Some(Outcome::Bins(bins)), _) => Answer::Bins(bins),
        (Some(Outcome::Discovered(found)), _) => Answer::Discovered(found),
        (Some(Outcome::Model(model)), _) => Answer::Model(model),
        (Some(Outcome::Lines(lines)), _) => Answer::Lines(lines),
        (Some(Outcome::Refused(error)), _) | (None, Some(error)) => Answer::Refused(error),
        (None, None) => Answer::Missing,
    }
}
