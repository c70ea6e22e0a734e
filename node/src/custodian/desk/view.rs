//! Reading the desk: by the custodian, and by commands beside a node that does not run. It writes nothing.

use std::collections::BTreeMap;

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{AnalysisName, Digest, StudyId};
use bocage_protocol::trust::{Permit, PublicKey, SignedStudy};

use super::case::{Case, Outcome, Word};
use super::pause::paused;
use super::said::Unsaid;
use super::seal::Secret;
use super::shown::{AtTheDesk, CapLeft, Dossier, Listed, Received, SaidBy, State};
use crate::custodian::controls::Controls;
use crate::custodian::ledger::bodies::desk::Pending;
use crate::custodian::ledger::bodies::{About, Account, Decision, Released, Request};
use crate::custodian::ledger::{Kind, Ledger, LedgerError, Record};

/// The desk as it is now, under a policy.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// Where everything stands.
    pub ledger: &'a Ledger,
    /// What seals approvals.
    pub secret: Secret<'a>,
    /// The policy in force.
    pub policy: Digest,
    /// The node's own user.
    pub own: u32,
    /// The time.
    pub now: Timestamp,
    /// What is enforced.
    pub controls: Controls,
}

impl Desk<'_> {
    /// What was said about a study.
    pub(super) fn case(&self, study: &StudyId) -> Result<Case, LedgerError> {
        let mut case = Case::under(self.controls, self.own);
        self.ledger.at_the_desk(Some(study), |record| case.add(study, &record, self.secret))?;
        Ok(case)
    }

    fn cases(&self) -> Result<BTreeMap<StudyId, Case>, LedgerError> {
        let mut cases: BTreeMap<StudyId, Case> = BTreeMap::new();
        self.ledger.at_the_desk(None, |record| {
            if let Some(study) = record.study.as_ref().and_then(|study| study.parse().ok()) {
                let case = cases.entry(study).or_insert_with(|| Case::under(self.controls, self.own));
                case.add(&study, &record, self.secret);
            }
        })?;
        cases.retain(|_, case| !case.pending.is_empty());
        Ok(cases)
    }

    /// How many studies wait, and how many of them this researcher signed.
    pub(super) fn waiting(&self, researcher: &PublicKey) -> Result<(usize, usize), LedgerError> {
        let (mut waiting, mut own) = (0, 0);
        for (study, case) in self.cases()? {
            let waits = case.denial.is_none() && matches!(case.word(&self.policy, self.now), Some(Word::Waits { .. }));
            if waits && self.outcome(&study, &case)?.is_none() {
                waiting += 1;
                own += usize::from(case.latest(&self.policy).is_some_and(|(_, _, put)| put.study.key == *researcher));
            }
        }
        Ok((waiting, own))
    }

    /// What came of a study since it was put on the desk the last time.
    pub(super) fn outcome(&self, study: &StudyId, case: &Case) -> Result<Option<Outcome>, LedgerError> {
        let put = case.pending.last().map_or(0, |(seq, ..)| *seq);
        let mut outcome = None;
        self.ledger.outcomes(study, |record| {
            if record.seq > put {
                outcome = Outcome::then(outcome.take(), &record);
            }
        })?;
        Ok(outcome)
    }

    /// The study at the desk whose id begins with `text`.
    pub(super) fn named(&self, text: &str) -> Result<StudyId, Unsaid> {
        one_of(text, self.cases()?.into_keys().filter(|study| study.to_string().starts_with(text)).collect())
    }

    /// The same, and where there is none the study that is answered without the desk.
    pub(super) fn named_or_asked(&self, text: &str) -> Result<StudyId, Unsaid> {
        match self.named(text) {
            Err(Unsaid::Unknown(_)) => one_of(text, self.ledger.asked(text)?),
            named => named,
        }
    }

    /// [`Desk::dossier`] of the study whose id begins with `text`.
    ///
    /// # Errors
    /// Where there is none, or several, or the ledger cannot be read.
    pub fn find(&self, text: &str) -> Result<Dossier, Unsaid> {
        let study = self.named(text)?;
        self.dossier(&study)?.ok_or_else(|| Unsaid::Unknown(text.to_owned()))
    }

    /// All studies at the desk; without those that are over, unless `all` is wanted.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn list(&self, all: bool) -> Result<AtTheDesk, LedgerError> {
        let paused = paused(self.ledger, self.secret)?;
        let mut cases: Vec<_> = self.cases()?.into_iter().collect();
        cases.sort_by_key(|(_, case)| case.pending.first().map(|(seq, _, _)| *seq));
        let open = |listed: &Listed| all || matches!(listed.state, State::Pending | State::Approved);
        let mut studies = Vec::new();
        for (study, case) in &cases {
            studies.extend(self.listed(study, case, self.outcome(study, case)?).filter(open));
        }
        Ok(AtTheDesk { paused, studies })
    }

    fn listed(&self, study: &StudyId, case: &Case, outcome: Option<Outcome>) -> Option<Listed> {
        let (_, _, pending) = case.latest(&self.policy)?;
        let since = case.pending.first()?.1;
        let (state, detail) = self.stands(case, pending, outcome);
        let About { title, purpose, researcher, dataset, related, .. } = pending.study.clone();
        Some(Listed {
            study: study.to_string(),
            state,
            detail,
            title,
            researcher,
            purpose: purpose.as_str().to_owned(),
            dataset,
            related,
            since: since.to_string(),
            until: pending.until.to_string(),
            persons: pending.persons,
        })
    }

    fn stands(&self, case: &Case, pending: &Pending, outcome: Option<Outcome>) -> (State, String) {
        if let Some((_, denial)) = &case.denial {
            return (State::Refused, format!("by {}: {}", denial.by, denial.reason));
        }
        match outcome {
            Some(Outcome::Answered(at)) => return (State::Answered, format!("at {at}")),
            Some(Outcome::Refused(_, error)) => {
                return (State::RefusedByRules, format!("{}: {}", error.code, error.message));
            }
            None => {}
        }
        match case.word(&self.policy, self.now) {
            Some(Word::Approved { until }) => (State::Approved, format!("until {until}")),
            Some(Word::Waits { given, lapsed }) => {
                let people =
                    (pending.persons > 1).then(|| format!("{given} of {} people have said yes", pending.persons));
                let lapsed = lapsed.map(|lapse| format!("an approval does not hold any more: {lapse}"));
                (State::Pending, people.into_iter().chain(lapsed).collect::<Vec<_>>().join("; "))
            }
            Some(Word::Ended) | None => (State::Ended, String::new()),
        }
    }

    /// A study with everything that a person needs to decide; none where it is not at the desk.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn dossier(&self, study: &StudyId) -> Result<Option<Dossier>, LedgerError> {
        let case = self.case(study)?;
        let outcome = self.outcome(study, &case)?;
        let Some((listed, (seq, _, pending))) = self.listed(study, &case, outcome).zip(case.latest(&self.policy))
        else {
            return Ok(None);
        };
        let permit = self.permit(*seq)?;
        Ok(Some(Dossier {
            key: pending.study.key,
            why: pending.why.clone(),
            policy: self.policy.to_string(),
            threshold: pending.terms.as_ref().map(|terms| (terms.threshold, terms.threshold_by.clone())),
            mode: pending.terms.as_ref().and_then(|terms| terms.mode.clone()),
            cap: self.cap_left(pending)?,
            asks: pending.asks.clone(),
            access_body: pending.study.access_body.clone(),
            permit,
            permit_digest: pending.study.permit.as_ref().map(|permit| permit.digest.to_string()),
            said: self.said_by(&case),
            received: self.received(&pending.study.key)?,
            paused: paused(self.ledger, self.secret)?,
            listed,
        }))
    }

    /// What is left of the cap of a study's requester.
    fn cap_left(&self, pending: &Pending) -> Result<Option<CapLeft>, LedgerError> {
        let Some((most, by)) = pending.terms.as_ref().and_then(|terms| terms.cap.clone()) else { return Ok(None) };
        let account = Account {
            permit: pending.study.permit.as_ref().map(|permit| permit.digest),
            access_body: None,
            researcher: pending.study.key,
            purpose: pending.study.purpose,
            dataset: pending.study.dataset.clone(),
            related: pending.study.related.clone(),
            expires_at: pending.until,
        };
        let spent = self.ledger.books(|books| books.most_spent(&account))?;
        Ok(Some(CapLeft { most, by, left: most.saturating_sub(spent) }))
    }

    /// The permit that came with the study of this record.
    fn permit(&self, seq: i64) -> Result<Option<Permit>, LedgerError> {
        let payload = self.ledger.payload(seq)?;
        let signed = payload.and_then(|bytes| serde_json::from_slice::<SignedStudy>(&bytes).ok());
        Ok(signed.and_then(|signed| signed.permit?.verify().ok()))
    }

    fn said_by(&self, case: &Case) -> Vec<SaidBy> {
        let mut said: Vec<(Timestamp, SaidBy)> = Vec::new();
        for (at, approval) in &case.approvals {
            let lapsed = case.lapse(approval, &self.policy, self.now).map(|lapse| lapse.to_string());
            let until = Some(approval.until.to_string());
            let (at_text, by, words) = (at.to_string(), approval.by.clone(), approval.note.clone());
            said.push((*at, SaidBy { at: at_text, by, yes: true, until, words, lapsed }));
        }
        if let Some((at, denial)) = &case.denial {
            let (at_text, by, words) = (at.to_string(), denial.by.clone(), Some(denial.reason.clone()));
            said.push((*at, SaidBy { at: at_text, by, yes: false, until: None, words, lapsed: None }));
        }
        said.sort_by_key(|(at, _)| *at);
        said.into_iter().map(|(_, said)| said).collect()
    }

    /// What left to the holder of this key, one entry a study.
    fn received(&self, key: &PublicKey) -> Result<Vec<Received>, LedgerError> {
        let mut theirs: BTreeMap<String, About> = BTreeMap::new();
        let mut explained: BTreeMap<String, BTreeMap<AnalysisName, String>> = BTreeMap::new();
        let mut received: Vec<Received> = Vec::new();
        self.ledger.asked_and_released(|record: Record| {
            let Some(study) = record.study.clone() else { return };
            let about = match record.kind() {
                Some(Kind::Request) => record.body::<Request>().and_then(|request| request.study),
                Some(Kind::Pending) => record.body::<Pending>().map(|pending| pending.study),
                _ => None,
            };
            if let Some(about) = about.filter(|about| about.key == *key) {
                theirs.insert(study, about);
            } else if let Some(decision) = record.body::<Decision>().filter(|_| theirs.contains_key(&study)) {
                // Only a first decision says it.
                explained.entry(study).or_default().extend(decision.explained);
            } else if let Some((about, released)) = theirs.get(&study).zip(record.body::<Released>()) {
                let at = received.iter().position(|one| one.study == study).unwrap_or_else(|| {
                    received.push(Received {
                        at: record.at.to_string(),
                        explained: explained.get(&study).cloned().unwrap_or_default(),
                        study,
                        title: about.title.clone(),
                        dataset: about.dataset.clone(),
                        related: about.related.clone(),
                        cells: vec![],
                        rounds: BTreeMap::new(),
                    });
                    received.len() - 1
                });
                released.parts.into_iter().for_each(|part| received[at].add(part.analysis, part.shown));
            }
        })?;
        Ok(received)
    }
}

fn one_of(text: &str, found: Vec<StudyId>) -> Result<StudyId, Unsaid> {
    match found.as_slice() {
        [study] => Ok(*study),
        [] => Err(Unsaid::Unknown(text.to_owned())),
        several => Err(Unsaid::Several(text.to_owned(), several.len())),
    }
}
