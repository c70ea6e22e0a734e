//! A round's way from request to answer: authority, ledger, snapshot, engine, gate, ledger again.
//!
//! ```text
//! round ─▶ stands still? ─▶ history ─▶ authorise ─▶ the desk (a person's no, or not yet a yes) ─▶ released before? ── yes ─▶ the same bytes
//!                                                                                             │ no
//!                 request, decision, reservation, attempt  (written; on the disk before anything leaves)
//!                                       │
//!    per plan: answered before? ─ no ─▶ engine ─▶ gate ──┐
//!                                └ yes ─▶ what left then ─┴─▶ seal ─▶ release (durable) ─▶ hand out
//! ```
//! Nothing may leave that the ledger has not acknowledged, and no error may carry a value of the data.

mod before;
mod compute;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use bocage_protocol::analysis::RoundState;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::{AnalysisName, StudyId};
use bocage_protocol::limits;
use bocage_protocol::release::length;
use bocage_protocol::trust::{SignedRelease, Study};
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::{Reply, RoundRequest};

use super::Custodian;
use super::authority::{self, Authorised, Past, Refused, Requester, authorise_under};
use super::controls::Control;
use super::counts::RoundOutcome;
use super::desk::{Said, Stopped};
use super::ledger::bodies::{self, AttemptState, StepAsked, Verdict};
use super::ledger::{Books, Entry, History, Kind, LedgerError};
use super::server::{busy, pending, refused};

/// Why a round is not answered with a release.
enum Failure {
    /// Not yet.
    Wait(PublicError),
    /// The requester is told, and the ledger says so.
    Refuse(PublicError),
    /// The same, before anything was reserved or the request recorded.
    Before(PublicError),
    /// A person has stopped everything meanwhile: the requester waits, and what was computed is thrown away.
    Paused(PublicError),
    /// The ledger cannot be used: nothing leaves, and nothing can be recorded.
    Ledger(LedgerError),
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Failure::Ledger(error)
    }
}

impl From<PublicError> for Failure {
    fn from(error: PublicError) -> Self {
        Failure::Refuse(error)
    }
}

/// A round that is being answered.
struct Round<'a> {
    request: &'a RoundRequest,
    id: StudyId,
    now: Timestamp,
    length: Length,
}

/// How long the frame of a release is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// As long as what is in it.
    Own,
    /// As long as its plans may make it, whatever the data are.
    OfPlans,
}

impl Round<'_> {
    fn entry(&self, kind: Kind, body: &impl serde::Serialize) -> Entry {
        Entry::new(kind, self.id, self.request.round, body)
    }

    fn asked(&self, study: Option<bodies::About>) -> Entry {
        self.entry(Kind::Request, &bodies::Request { study, steps: StepAsked::all(&self.request.steps) })
    }

    fn refusal(&self, error: &PublicError) -> Entry {
        self.entry(Kind::Refusal, &bodies::Refusal { error: error.clone(), r#final: false })
    }

    fn attempt(&self, state: AttemptState) -> Entry {
        self.entry(Kind::Attempt, &bodies::Attempt { state })
    }

    /// The signed release as the frame that leaves. It must fit before it is recorded.
    fn released(&self, signed: SignedRelease, authorised: &Authorised<'_>) -> Result<Vec<u8>, PublicError> {
        let mut frame = codec::encode(&Reply::Released(signed))?;
        if self.length == Length::OfPlans {
            let length = length::filled(authorised.plans.iter().map(|(_, plan)| plan), frame.len());
            codec::fill(&mut frame, length);
        }
        Ok(frame)
    }
}

impl Custodian {
    /// Answers one round with the frame that leaves, as long as it is. Blocks for as long as the computation takes.
    pub fn round(&self, request: &RoundRequest) -> Vec<u8> {
        self.round_of(request, Length::Own)
    }

    /// [`Custodian::round`] with a frame of that length.
    pub fn round_of(&self, request: &RoundRequest, length: Length) -> Vec<u8> {
        if self.stopping.load(Ordering::Acquire) {
            return refused(busy());
        }
        let round = Round { request, id: request.study.id(), now: self.clock.now(), length };
        // Each line about it says so, whichever part writes it.
        let _span = tracing::error_span!("round", study = %round.id, round = request.round).entered();
        match self.answer(&round) {
            Ok(reply) => reply,
            Err(error) => {
                self.counts.round(RoundOutcome::Failed);
                tracing::error!(%error, "the ledger cannot be used: nothing leaves");
                refused(PublicError::from(&error))
            }
        }
    }

    /// The answer to a frame that is no request. It is logged, not recorded: it asked nothing.
    pub fn malformed(&self, error: PublicError) -> Vec<u8> {
        tracing::warn!(code = %error.code, "a request could not be read");
        refused(error)
    }

    fn answer(&self, round: &Round<'_>) -> Result<Vec<u8>, LedgerError> {
        if let Some(error) = self.stands_still()? {
            self.counts.round(RoundOutcome::Waits);
            return Ok(pending(error));
        }
        let history = self.ledger.history(&round.id)?;
        if history.requests >= limits::STUDY_REQUESTS {
            tracing::warn!("the coordinator asks about this study without end: not answered any more");
            return Ok(refused(asked_too_often()));
        }
        let released = history.round(round.request.round).and_then(|r| r.release);
        self.learn(round.request, round.now)?;
        let past = Past { released: released.is_some(), begun: history.has_begun() };
        let controls = self.switches.controls;
        let judge =
            |books: &Books| authorise_under(controls, round.request, round.now, past, books.lists(), &self.config);
        let authorised = match self.ledger.books(judge)? {
            Ok(authorised) => authorised,
            Err(Refused { error, believed }) => {
                let about = believed.map(|believed| about(&believed.0, &believed.1));
                if about.is_none() && self.strangers.fetch_add(1, Ordering::Relaxed) >= limits::STRANGER_REQUESTS {
                    tracing::warn!(code = %error.code, "refused a stranger; there are too many to write each down");
                    return Ok(refused(error));
                }
                return self.refuse(round, Some(about), error);
            }
        };
        let about = about(&authorised.study, &authorised.requester);
        if let Err(error) = may_be_answered(round, &history, controls.enforces(Control::SameSteps)) {
            return self.refuse(round, Some(Some(about)), error);
        }
        if released.is_none()
            && let Some(error) = self.signed_before_a_loss(&authorised.study)?
        {
            return self.refuse(round, Some(Some(about)), error);
        }
        match self.said(&round.id, &round.request.study, &authorised, &about, released.is_some())? {
            Said::Runs => {}
            Said::Waits(error) => {
                self.counts.round(RoundOutcome::Waits);
                return Ok(pending(error));
            }
            Said::Refused(error) => return self.refuse(round, Some(Some(about)), error),
        }
        if let Some(seq) = released.filter(|_| controls.enforces(Control::RepeatFromLedger)) {
            if let Err(error) = self.unchanged(&authorised, &history, round.request.round, round.now) {
                // It is asked again in a moment.
                return match error.code {
                    ErrorCode::Busy => Ok(refused(error)),
                    _ => self.refuse(round, Some(Some(about)), error),
                };
            }
            return self.repeat(round, &authorised, about, seq);
        }
        match self.compute(round, &authorised, about.clone(), &history) {
            Ok(reply) => Ok(reply),
            Err(Failure::Wait(error)) => self.wait(round, about, &history, error),
            Err(Failure::Refuse(error)) => self.refuse(round, None, error),
            // It is asked again in a moment, and nothing was decided.
            Err(Failure::Before(error)) if error.code == ErrorCode::Busy => Ok(refused(error)),
            Err(Failure::Before(error)) => self.refuse(round, Some(Some(about)), error),
            Err(Failure::Paused(error)) => {
                tracing::info!("paused while it was computed: thrown away");
                self.ledger.append(self.clock.now(), &[round.attempt(AttemptState::Stopped)])?;
                Ok(pending(error))
            }
            Err(Failure::Ledger(error)) => Err(error),
        }
    }

    /// Says that the round may be asked again. The ledger notes the first time only: asking again is not asking for more.
    fn wait(
        &self,
        round: &Round<'_>,
        about: bodies::About,
        history: &History,
        error: PublicError,
    ) -> Result<Vec<u8>, LedgerError> {
        self.counts.round(RoundOutcome::Waits);
        tracing::info!(code = %error.code, "not yet");
        if history.requests == 0 && self.is_written(&about, round)? {
            self.ledger.append(round.now, &[round.asked(Some(about)), round.refusal(&error)])?;
        }
        Ok(pending(error))
    }

    /// Whether a refusal of somebody who is believed is written down: so many a day, then their number only.
    fn is_written(&self, about: &bodies::About, round: &Round<'_>) -> Result<bool, LedgerError> {
        let (written, of_earlier_days) = self.refusals.count(&about.key, round.now);
        if !of_earlier_days.is_empty() {
            self.ledger.append(round.now, &of_earlier_days)?;
        }
        if !written {
            tracing::warn!(key = %about.key, "too many refusals of this signer today to write each down");
        }
        Ok(written)
    }

    /// Records a refusal, with the request unless that is in the ledger already, and says it.
    fn refuse(
        &self,
        round: &Round<'_>,
        request: Option<Option<bodies::About>>,
        error: PublicError,
    ) -> Result<Vec<u8>, LedgerError> {
        self.counts.refused(error.code);
        tracing::info!(code = %error.code, "refused");
        if let Some(Some(about)) = &request
            && !self.is_written(about, round)?
        {
            return Ok(refused(error));
        }
        let entries: Vec<Entry> =
            request.map(|about| round.asked(about)).into_iter().chain([round.refusal(&error)]).collect();
        self.ledger.append(round.now, &entries)?;
        Ok(refused(error))
    }

    /// Hands out again what left before.
    fn repeat(
        &self,
        round: &Round<'_>,
        authorised: &Authorised<'_>,
        about: bodies::About,
        seq: i64,
    ) -> Result<Vec<u8>, LedgerError> {
        if let Some(dropped) = self.ledger.dropped(seq)? {
            return self.refuse(round, Some(Some(about)), no_longer_kept(dropped.at));
        }
        let recorded = self.ledger.payload(seq)?.unwrap_or_default();
        let signed = codec::decode::<SignedRelease>(&recorded, limits::FRAME_BYTES).ok();
        let Some(signed) = signed.filter(|signed| self.answers(signed, round)) else {
            let error = PublicError::new(ErrorCode::LedgerUnavailable, "the site's record of this round is damaged")
                .hint("the site's operator runs `bocage node ledger verify`");
            return self.refuse(round, Some(Some(about)), error);
        };
        let decision = round.entry(Kind::Decision, &self.decision(authorised, Verdict::Repeat, BTreeMap::new()));
        match self.unless_stopped(&round.id, &[round.asked(Some(about.clone())), decision])? {
            Some(Stopped::Paused(error)) => return Ok(pending(error)),
            Some(Stopped::Denied(error)) => return self.refuse(round, Some(Some(about)), error),
            None => {}
        }
        self.counts.round(RoundOutcome::Repeated);
        tracing::info!("handed out again from the ledger");
        Ok(round.released(signed, authorised).unwrap_or_else(refused))
    }

    /// Whether this site signed this as its answer to the round. The ledger is not taken at its word.
    fn answers(&self, signed: &SignedRelease, round: &Round<'_>) -> bool {
        let release = signed.verify(&self.release_key.public());
        release.is_ok_and(|release| release.study == round.id && release.round == round.request.round)
    }

    fn decision(
        &self,
        authorised: &Authorised<'_>,
        decision: Verdict,
        explained: BTreeMap<AnalysisName, String>,
    ) -> bodies::Decision {
        bodies::Decision {
            decision,
            by: format!("{}; {}", authorised.requester.right(), authorised.policy.by),
            policy: Some(self.policy),
            threshold: authorised.threshold,
            mode: authorised.mode.as_str().to_owned(),
            explained,
        }
    }
}

/// Who asks, and for what.
fn about(study: &Study, requester: &Requester) -> bodies::About {
    bodies::About {
        title: study.title.clone(),
        purpose: study.purpose,
        researcher: requester.name.clone(),
        organisation: requester.organisation.clone(),
        permit: requester.permit.as_ref().map(|p| p.reference.clone()),
        access_body: requester.permit.as_ref().map(|p| p.access_body.clone()),
        key: study.researcher,
        dataset: study.dataset.clone(),
        related: authority::related(study),
        analyses: study.analyses.iter().map(|a| a.name.clone()).collect(),
    }
}

/// What the ledger says against an otherwise allowed round.
fn may_be_answered(round: &Round<'_>, history: &History, same_steps: bool) -> Result<(), PublicError> {
    let ended = |step: &StepAsked| matches!(step.state, RoundState::Ended { .. });
    let asked = StepAsked::all(&round.request.steps);
    let other = |step: &&StepAsked| history.ended(step.analysis).any(|before| before != &step.state);
    if same_steps && asked.iter().filter(|step| ended(step)).any(|step| other(&step)) {
        let message = "an earlier round of the study said that a fit ended elsewhere";
        return Err(PublicError::new(ErrorCode::RoundInvalid, message).hint("a fit ends once"));
    }
    let Some(past) = history.round(round.request.round) else {
        return if history.too_heavy(round.request.round) { Err(too_heavy()) } else { Ok(()) };
    };
    let changed = past.reservation.as_ref().is_some_and(|r| r.steps != StepAsked::all(&round.request.steps));
    if changed && same_steps {
        return Err(PublicError::new(ErrorCode::RoundInvalid, "this round was asked before, with other steps")
            .hint("a round's steps never change; ask the next round"));
    }
    if past.release.is_some() {
        return Ok(());
    }
    match &past.ended {
        Some(error) => Err(error.clone()),
        None if history.too_heavy(round.request.round) => Err(too_heavy()),
        None => Ok(()),
    }
}

/// It is never computed again: other bytes would be another answer to what was answered.
fn no_longer_kept(since: Timestamp) -> PublicError {
    let message = format!("the site released this round, and no longer keeps the bytes: they were dropped at {since}");
    PublicError::new(ErrorCode::ReleaseDropped, message)
        .hint("the result is with whoever received it; what is to be asked anew is a new study")
}

fn asked_too_often() -> PublicError {
    PublicError::new(ErrorCode::RoundInvalid, "the site has answered requests about this study too often")
        .hint("a coordinator keeps what a site released; see why it asks again")
}

/// The refusal of a round that may not be computed any more.
pub(super) fn too_heavy() -> PublicError {
    PublicError::new(ErrorCode::QueryTooHeavy, "the query exceeded what this site computes for one study")
        .hint("ask for fewer keys or a smaller cohort in a new study")
}

fn internal() -> PublicError {
    PublicError::new(ErrorCode::Internal, "the site could not compute the answer")
        .hint("the site's operator finds the cause in the node's log")
}
