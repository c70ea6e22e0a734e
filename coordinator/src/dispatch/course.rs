//! A study's way through its rounds: the drivers of its analyses, stepped with what is recorded. No I/O, no clock: replay gives the same.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bocage_protocol::PublicError;
use bocage_protocol::analysis::{AnalysisSpec, Ends, RoundState, awaits, plan_for, plan_of};
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::{Digest, SiteId};
use bocage_protocol::limits;
use bocage_protocol::plan::{Plan, ValidPlan};
use bocage_protocol::release::{Outcome, Release};
use bocage_protocol::wire::message::Step;

use super::Asked;
use super::again::Run;
use crate::analysis::{
    Answer, Driver, Next, SiteAnswer, answer_values, check_values, coefficients, summarise, unanswered,
};
use crate::api::types::AnalysisResult;

/// A round that is put to every site.
#[derive(Debug)]
pub struct Round {
    /// From 0.
    pub number: u16,
    /// One for each analysis that takes part, ascending.
    pub parts: Vec<RoundPart>,
    /// Where the fits ended that these read.
    ended: BTreeMap<u16, RoundState>,
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
    runs: Vec<Run>,
    /// Of each analysis, those whose coefficients it reads.
    awaited: Vec<BTreeSet<u16>>,
    /// Those that wait for others still.
    waiting: BTreeSet<u16>,
    ends: Ends,
    min_sites: u32,
    results: Vec<Option<AnalysisResult>>,
    specs: Vec<AnalysisSpec>,
    one_row_per_subject: bool,
    round: Option<Arc<Round>>,
    last_round: u16,
}

impl Round {
    /// What is asked of a site.
    pub fn steps(&self, site: &SiteId) -> Vec<Step> {
        let of = |part: &RoundPart| (part.analysis, part.at(site).state.clone());
        let mut steps = self.ended.clone();
        steps.extend(self.parts.iter().map(of));
        steps.into_iter().map(|(analysis, state)| Step { analysis, state }).collect()
    }
}

impl RoundPart {
    fn new(
        asked: &Asked,
        (number, analysis): (u16, u16),
        states: States,
        ends: &Ends,
    ) -> Result<RoundPart, PublicError> {
        let one = |state: RoundState| {
            let plan = checked(asked, analysis, plan_of(&asked.study, analysis, number, &state, ends)?)?;
            let own = BTreeMap::new();
            Ok::<_, PublicError>(RoundPart { analysis, state, digest: plan.digest(), plan, own })
        };
        match states {
            States::All(state) => one(state),
            States::Each(states) => {
                let each = |(site, state)| Ok((site, one(state)?));
                let own: BTreeMap<SiteId, RoundPart> =
                    states.into_iter().map(each).collect::<Result<_, PublicError>>()?;
                // All have one shape: any of them says how large an answer can be.
                let any = own.values().next().cloned();
                let any = any.ok_or_else(|| PublicError::new(ErrorCode::RoundInvalid, "a round is put to no site"))?;
                Ok(RoundPart { own, ..any })
            }
        }
    }
}

/// A plan under the contracts of the study.
fn checked(asked: &Asked, analysis: u16, plan: Plan) -> Result<ValidPlan, PublicError> {
    ValidPlan::check(plan, asked.contracts()).map_err(|problems| {
        let message = format!("analysis `{}`: {problems}", asked.study.analyses[usize::from(analysis)].name);
        PublicError::new(ErrorCode::StudyInvalid, message)
    })
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
        let specs = asked.study.analyses.clone();
        let all = 0..specs.len() as u16;
        let awaited: Vec<BTreeSet<u16>> =
            all.clone().map(|analysis| awaits(&asked.study, analysis)).collect::<Result<_, _>>()?;
        let ends = Ends::default();
        let waiting: BTreeSet<u16> = all.clone().filter(|at| !awaited[usize::from(*at)].is_empty()).collect();
        let part = |at: u16| RoundPart::new(asked, (0, at), States::All(RoundState::First), &ends);
        let parts: Vec<RoundPart> =
            all.clone().filter(|at| !waiting.contains(at)).map(part).collect::<Result<_, PublicError>>()?;
        let plan = |analysis: u16| match parts.iter().find(|part| part.analysis == analysis) {
            Some(part) => Ok(part.plan.clone()),
            // Of what waits as far as it is known before.
            None => {
                let spec = &specs[usize::from(analysis)].spec;
                checked(asked, analysis, plan_for(spec, asked.study.query(), 0, &RoundState::First)?)
            }
        };
        let plans: Vec<ValidPlan> = all.map(plan).collect::<Result<_, PublicError>>()?;
        let values = specs.iter().zip(&plans);
        check_values(values.map(|(analysis, plan)| answer_values(&analysis.spec, plan, asked.sites.len())))?;
        let driver = |(analysis, plan)| Driver::new(analysis, plan, &asked.contract, min_sites);
        let drivers = specs.iter().zip(&plans).map(driver).collect::<Result<Vec<_>, _>>()?;
        let round = Some(Arc::new(Round { number: 0, parts, ended: BTreeMap::new() }));
        let (results, one_row_per_subject) = (vec![None; drivers.len()], asked.contract.one_row_per_subject());
        let (last_round, runs) = (0, drivers.iter().map(|_| Run::default()).collect());
        Ok(Self {
            drivers,
            runs,
            awaited,
            waiting,
            ends,
            min_sites,
            results,
            specs,
            one_row_per_subject,
            round,
            last_round,
        })
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
        let number = round.number + 1;
        let (mut next, mut again) = (BTreeMap::<u16, States>::new(), BTreeSet::<u16>::new());
        for part in &round.parts {
            let index = usize::from(part.analysis);
            let said = |site| Some((site, said(part.at(site), releases.get(site)?)?));
            let said: BTreeMap<&SiteId, Cow<'_, Outcome>> = asked.sites.iter().filter_map(said).collect();
            let answer =
                |site| SiteAnswer { site, answer: answer(said.get(site).map(Cow::as_ref), refusals.get(site)) };
            let answers: Vec<SiteAnswer<'_>> = asked.sites.iter().map(answer).collect();
            let gave = said.iter().filter(|(_, said)| !matches!(said.as_ref(), Outcome::Refused(_)));
            let over = gave.filter_map(|(site, _)| Some((*site, releases.get(*site)?.snapshot)));
            if self.runs[index].begins_again(number, over) {
                again.insert(part.analysis);
                continue;
            }
            match self.drivers[index].step(&answers) {
                Next::Round(state) => drop(next.insert(part.analysis, States::All(state))),
                Next::Each(states) => drop(next.insert(part.analysis, States::Each(states))),
                Next::Publish(mut result) => {
                    result.notes.extend(self.runs[index].notes());
                    if let Some(beta) = coefficients(&self.specs[index].spec, &result) {
                        self.ends.add(part.analysis, round.number, beta);
                    }
                    self.results[index] = Some(*result);
                }
            }
        }
        let mut parts: BTreeMap<u16, RoundPart> = BTreeMap::new();
        next.extend(again.iter().map(|analysis| (*analysis, States::All(RoundState::First))));
        for (analysis, states) in next {
            let index = usize::from(analysis);
            let (spec, run) = (&self.specs[index], &self.runs[index]);
            let further = spec.spec.further_rounds();
            if run.is_over(number, further) {
                self.results[index] = Some(unanswered(spec, run.over(further), asked.sites.to_vec()));
                continue;
            }
            if number >= limits::ROUNDS {
                return Err(PublicError::new(ErrorCode::RoundInvalid, "the study has too many rounds"));
            }
            let part = RoundPart::new(asked, (number, analysis), states, &self.ends)?;
            if again.contains(&analysis) {
                self.drivers[index] = Driver::new(spec, &part.plan, &asked.contract, self.min_sites)?;
            }
            parts.insert(analysis, part);
        }
        self.begin_those_that_waited(asked, number, &mut parts);
        if !parts.is_empty() {
            let awaited = parts.keys().flat_map(|analysis| &self.awaited[usize::from(*analysis)]).copied().collect();
            let (parts, ended) = (parts.into_values().collect(), self.ends.said_of(&awaited));
            self.round = Some(Arc::new(Round { number, parts, ended }));
            self.last_round = number;
        }
        Ok(())
    }

    /// Begins whatever has nothing more to wait for. What waits for a fit that there is not, or that cannot be read, is answered with the reason.
    fn begin_those_that_waited(&mut self, asked: &Asked, number: u16, parts: &mut BTreeMap<u16, RoundPart>) {
        for analysis in self.waiting.clone() {
            let index = usize::from(analysis);
            let (spec, awaited) = (&self.specs[index], &self.awaited[index]);
            let without = awaited.iter().find(|above| {
                self.results[usize::from(**above)].is_some() && !self.ends.have(&BTreeSet::from([**above]))
            });
            let begun = match without {
                Some(above) => Err(format!("no answer: `{}` has no fit", self.specs[usize::from(*above)].name)),
                None if !self.ends.have(awaited) => continue,
                None if number >= limits::ROUNDS => Err("no answer: the study has no rounds left for it".to_owned()),
                None => RoundPart::new(asked, (number, analysis), States::All(RoundState::First), &self.ends)
                    .and_then(|part| Ok((Driver::new(spec, &part.plan, &asked.contract, self.min_sites)?, part)))
                    .map_err(|error| format!("no answer: {}", error.message)),
            };
            match begun {
                Ok((driver, part)) => {
                    self.drivers[index] = driver;
                    self.runs[index] = Run::since(number);
                    parts.insert(analysis, part);
                }
                Err(note) => self.results[index] = Some(unanswered(spec, note, asked.sites.to_vec())),
            }
            self.waiting.remove(&analysis);
        }
    }

    /// The results, in the order of the study; the parts of a summary are one.
    pub fn into_results(self) -> Vec<AnalysisResult> {
        let parts = self.specs.iter().zip(self.results).filter_map(|(spec, result)| Some((spec, result?)));
        summarise(parts.collect(), self.one_row_per_subject)
    }
}

/// What a site says to a part, in the study's order. It may have been recorded by a version of other plans: their numbers would be taken for others.
fn said<'a>(part: &RoundPart, release: &'a Release) -> Option<Cow<'a, Outcome>> {
    let said = release.parts.iter().find(|said| said.analysis == part.analysis)?;
    Some(match said.plan == part.digest {
        true => part.plan.as_written(&said.outcome),
        false => Cow::Owned(Outcome::Refused(of_another_plan())),
    })
}

fn of_another_plan() -> PublicError {
    PublicError::new(
        ErrorCode::ReleaseInvalid,
        "what the site answered is of another plan: the study began under another version",
    )
    .hint("sign it again, as a new study")
}

fn answer<'a>(outcome: Option<&'a Outcome>, refusal: Option<&'a PublicError>) -> Answer<'a> {
    match (outcome, refusal) {
        (Some(Outcome::Table(table)), _) => Answer::Table(table),
        (Some(Outcome::Bins(bins)), _) => Answer::Bins(bins),
        (Some(Outcome::Discovered(found)), _) => Answer::Discovered(found),
        (Some(Outcome::Model(model)), _) => Answer::Model(model),
        (Some(Outcome::Lines(lines)), _) => Answer::Lines(lines),
        (Some(Outcome::Refused(error)), _) | (None, Some(error)) => Answer::Refused(error),
        (None, None) => Answer::Missing,
    }
}

#[cfg(test)]
mod tests {
    use bocage_protocol::env::Timestamp;
    use bocage_protocol::plan::{Plan, Statistic, Table};
    use bocage_protocol::release::{Count, Part, TableRelease};

    use super::*;
    use crate::bench;

    #[test]
    fn what_was_recorded_as_the_answer_to_another_plan_is_no_answer() {
        let contract = bench::contract();
        let statistic = Statistic::Table(Table { by: vec![], measures: vec![], roll_up: false });
        let plan = ValidPlan::check(Plan { query: contract.rows(None), statistic }, &contract).unwrap();
        let digest = plan.digest();
        let part = RoundPart { analysis: 0, state: RoundState::First, plan, digest, own: BTreeMap::new() };
        let total = Some(Count { subjects: 20, rows: 20 });
        let cells = vec![bocage_protocol::release::CellRelease::FewerThanK];
        let outcome =
            Outcome::Table(TableRelease { threshold: 5, step: 0, total, cells, held_back: false, rounded: false });
        let release = |plan| Release {
            study: digest,
            site: bench::site("north"),
            round: 0,
            snapshot: digest,
            snapshot_at: Timestamp(0),
            parts: vec![Part { analysis: 0, plan, outcome: outcome.clone() }],
        };
        assert_eq!(said(&part, &release(digest)).as_deref(), Some(&outcome));
        let other = release(Digest::of("another", &[]));
        let Some(Outcome::Refused(error)) = said(&part, &other).map(Cow::into_owned) else { panic!("taken") };
        assert_eq!(error.code, ErrorCode::ReleaseInvalid);
    }
}
