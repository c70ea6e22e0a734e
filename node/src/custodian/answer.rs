//! A round's way from request to answer: authority, ledger, snapshot, engine, gate, ledger again.
//!
//! ```text
//! round ─▶ paused? ─▶ history ─▶ authorise ─▶ the desk (a person's no, or not yet a yes) ─▶ released before? ── yes ─▶ the same bytes
//!                                                                                             │ no
//!                 request, decision, reservation, attempt  (durable)
//!                                       │
//!    per plan: answered before? ─ no ─▶ engine ─▶ gate ──┐
//!                                └ yes ─▶ what left then ─┴─▶ seal ─▶ release (durable) ─▶ hand out
//! ```
//! Nothing may leave that the ledger has not acknowledged, and no error may carry a value of the data.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use bocage_protocol::env::Timestamp;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::{AnalysisName, Digest, StudyId};
use bocage_protocol::limits;
use bocage_protocol::plan::ValidPlan;
use bocage_protocol::release::Outcome;
use bocage_protocol::trust::{Checkpoint, SignedRelease, Study};
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::{Reply, RoundRequest};

use super::authority::{Authorised, Past, Refused, Requester, authorise_under, may_begin, within_cap};
use super::controls::Control;
use super::data::unavailable;
use super::desk::Said;
use super::engine::EngineError;
use super::gate::{self, Answer, GatePolicy, Heading};
use super::ledger::bodies::{self, AttemptState, StepAsked, Verdict};
use super::ledger::{Books, Entry, History, Kind, LedgerError};
use super::reuse::{self, Before};
use super::server::{busy, pending, refused};
use super::snapshot::Offered;
use super::{Custodian, Moment, Progress, engine};

/// What the secret is for that keeps snapshots' public names from being guessed.
const SNAPSHOT_NAMES: &str = "snapshot names";

/// Why a round is not answered with a release.
enum Failure {
    /// Not yet.
    Wait(PublicError),
    /// The requester is told, and the ledger says so.
    Refuse(PublicError),
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

/// One plan's question to the snapshot.
struct Asked {
    question: Digest,
    /// What left the last time that it was asked.
    before: Option<Before>,
}

/// A round that is being answered.
struct Round<'a> {
    request: &'a RoundRequest,
    id: StudyId,
    now: Timestamp,
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
}

impl Custodian {
    /// Answers one round with the frame that leaves. Blocks for as long as the computation takes.
    pub fn round(&self, request: &RoundRequest) -> Vec<u8> {
        if self.stopping.load(Ordering::Acquire) {
            return refused(busy());
        }
        let round = Round { request, id: request.study.id(), now: self.clock.now() };
        match self.answer(&round) {
            Ok(reply) => reply,
            Err(error) => {
                tracing::error!(study = %round.id, %error, "the ledger cannot be used: nothing leaves");
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
        if let Some(paused) = self.paused()? {
            return Ok(pending(paused));
        }
        let history = self.ledger.history(&round.id)?;
        if history.requests >= limits::STUDY_REQUESTS {
            tracing::warn!(study = %round.id, "the coordinator asks about this study without end: not answered any more");
            return Ok(refused(asked_too_often()));
        }
        let released = history.round(round.request.round).and_then(|r| r.release);
        self.learn(round.request, round.now)?;
        let past = Past { released: released.is_some(), begun: history.snapshot.is_some() };
        let controls = self.switches.controls;
        let judge =
            |books: &Books| authorise_under(controls, round.request, round.now, past, books.lists(), &self.config);
        let authorised = match self.ledger.books(judge)? {
            Ok(authorised) => authorised,
            Err(Refused { error, believed }) => {
                let about = believed.map(|believed| about(&believed.0, &believed.1));
                if about.is_none() && self.strangers.fetch_add(1, Ordering::Relaxed) >= limits::STRANGER_REQUESTS {
                    tracing::warn!(study = %round.id, code = %error.code, "refused a stranger; there are too many to write each down");
                    return Ok(refused(error));
                }
                return self.refuse(round, Some(about), error);
            }
        };
        let about = about(&authorised.study, &authorised.requester);
        if let Err(error) = may_be_answered(round, &history, controls.enforces(Control::SameSteps)) {
            return self.refuse(round, Some(Some(about)), error);
        }
        match self.said(&round.id, &round.request.study, &authorised, &about, released.is_some())? {
            Said::Runs => {}
            Said::Waits(error) => return Ok(pending(error)),
            Said::Refused(error) => return self.refuse(round, Some(Some(about)), error),
        }
        if let Some(seq) = released.filter(|_| controls.enforces(Control::RepeatFromLedger)) {
            if let Err(error) = self.unchanged(&authorised, &history, round.now) {
                return self.refuse(round, Some(Some(about)), error);
            }
            return self.repeat(round, &authorised, about, seq);
        }
        match self.compute(round, &authorised, about.clone(), &history) {
            Ok(reply) => Ok(reply),
            Err(Failure::Wait(error)) => self.wait(round, about, &history, error),
            Err(Failure::Refuse(error)) => self.refuse(round, None, error),
            Err(Failure::Paused(error)) => {
                tracing::info!(study = %round.id, "paused while it was computed: thrown away");
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
        tracing::info!(study = %round.id, round = round.request.round, code = %error.code, "not yet");
        if history.requests == 0 {
            self.ledger.append(round.now, &[round.asked(Some(about)), round.refusal(&error)])?;
        }
        Ok(pending(error))
    }

    /// Records a refusal, with the request unless that is in the ledger already, and says it.
    fn refuse(
        &self,
        round: &Round<'_>,
        request: Option<Option<bodies::About>>,
        error: PublicError,
    ) -> Result<Vec<u8>, LedgerError> {
        tracing::info!(study = %round.id, round = round.request.round, code = %error.code, "refused");
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
                .hint("the site's operator runs `bocage-node ledger verify`");
            return self.refuse(round, Some(Some(about)), error);
        };
        let decision = round.entry(Kind::Decision, &self.decision(authorised, Verdict::Repeat, BTreeMap::new()));
        self.ledger.append(round.now, &[round.asked(Some(about)), decision])?;
        tracing::info!(study = %round.id, round = round.request.round, "handed out again from the ledger");
        Ok(released_frame(signed).unwrap_or_else(refused))
    }

    /// Whether this site signed this as its answer to the round. The ledger is not taken at its word.
    fn answers(&self, signed: &SignedRelease, round: &Round<'_>) -> bool {
        let release = signed.verify(&self.release_key.public());
        release.is_ok_and(|release| release.study == round.id && release.round == round.request.round)
    }

    fn compute(
        &self,
        round: &Round<'_>,
        authorised: &Authorised<'_>,
        about: bodies::About,
        history: &History,
    ) -> Result<Vec<u8>, Failure> {
        let snapshot = match self.snapshot_for(authorised.dataset, history.snapshot) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                self.ledger.append(round.now, &[round.asked(Some(about))])?;
                return Err(Failure::Refuse(error));
            }
        };
        let request = round.asked(Some(about));
        let chosen = match self.offered(authorised, &snapshot, history, round.now) {
            Ok(chosen) => chosen,
            Err(error) => {
                self.ledger.append(round.now, &[request])?;
                return Err(Failure::Refuse(error));
            }
        };
        let snapshot = chosen.offered.as_ref();
        let mut entries = vec![request.clone()];
        if !history.has_request {
            let envelope = serde_json::to_vec(&round.request.study).unwrap_or_default();
            entries = entries.into_iter().map(|e| e.payload(envelope.clone())).collect();
        }
        entries.push(
            round.entry(Kind::Decision, &self.decision(authorised, Verdict::Allow, explained(authorised, snapshot))),
        );
        let asked = self.asked(authorised, snapshot)?;
        let reserved = history.round(round.request.round).is_some_and(|r| r.reservation.is_some());
        let reservation = reservation(round, authorised, snapshot, &asked);
        if !reserved {
            entries.push(round.entry(Kind::Reservation, &reservation));
        }
        if asked.iter().any(|a| a.before.is_none()) {
            entries.push(round.attempt(AttemptState::Started));
        }
        // What was reserved is spent already, and a study that was begun may be finished.
        let may = |books: &Books| {
            let begin =
                || if history.snapshot.is_some() { Ok(()) } else { may_begin(&authorised.policy, round.now, books) };
            if reserved {
                Ok(())
            } else {
                let cap = within_cap(authorised.policy.cap.as_ref(), &reservation, books);
                begin().and_then(|()| self.switches.controls.hold(Control::Cap, cap))
            }
        };
        let attempt = match self.ledger.append_if(round.now, &entries, may)? {
            Ok(seqs) => seqs.last().copied().unwrap_or_default(),
            Err(error) if error.code == ErrorCode::PolicyLater => return Err(Failure::Wait(error)),
            Err(error) => {
                self.ledger.append(round.now, &[request])?;
                return Err(Failure::Refuse(error));
            }
        };
        self.pass(Moment::Reserved);
        let questions: Vec<Digest> = asked.iter().map(|a| a.question).collect();
        let signed = self.attempt(round, authorised, snapshot, attempt, asked);
        (self.progress)(Progress::Idle);
        let signed = match signed {
            Err(error) if error.code == ErrorCode::Paused => return Err(Failure::Paused(error)),
            signed => signed?,
        };
        let parts = summary(&signed, &authorised.study, &questions)?;
        let answered = parts.iter().filter_map(|p| p.question).collect();
        let recorded = codec::encode(&signed).map_err(PublicError::from)?;
        let reply = released_frame(signed)?;
        let body = bodies::Released { bytes: reply.len() as u64, parts };
        self.pass(Moment::Computed);
        let release = round.entry(Kind::Release, &body).payload(recorded).answers(answered);
        if let Some(paused) = self.unless_paused(release)? {
            return Err(Failure::Paused(paused));
        }
        self.pass(Moment::Recorded);
        tracing::info!(study = %round.id, round = round.request.round, bytes = reply.len(), "released");
        Ok(reply)
    }

    /// What the round asks of the snapshot, and which of it left before.
    fn asked(&self, authorised: &Authorised<'_>, snapshot: &Offered) -> Result<Vec<Asked>, LedgerError> {
        let policy = self.gate_policy(authorised);
        let reused = self.switches.controls.enforces(Control::ReuseOfAnswers);
        let asked = |(_, plan): &(u16, ValidPlan)| {
            let plan = plan.digest();
            let question = reuse::question(&plan, snapshot.identity(), &policy);
            let before = if reused { reuse::before(&self.ledger, &question, &plan, &self.release_key)? } else { None };
            Ok(Asked { question, before })
        };
        authorised.plans.iter().map(asked).collect()
    }

    fn gate_policy(&self, authorised: &Authorised<'_>) -> GatePolicy {
        let mut policy = GatePolicy { threshold: authorised.threshold, mode: authorised.mode };
        if !self.switches.controls.enforces(Control::Threshold) {
            policy.threshold = 1;
        }
        policy
    }

    /// Computes, gates and seals every analysis of the round that did not leave before. Whatever panics inside stays inside.
    fn attempt(
        &self,
        round: &Round<'_>,
        authorised: &Authorised<'_>,
        snapshot: &Offered,
        attempt: i64,
        asked: Vec<Asked>,
    ) -> Result<SignedRelease, PublicError> {
        let limit = Duration::from_secs(u64::from(self.config.policy.query_secs));
        let policy = self.gate_policy(authorised);
        let run = || {
            let mut answers = Vec::with_capacity(authorised.plans.len());
            for ((analysis, plan), asked) in authorised.plans.iter().zip(asked) {
                if let Some(Before { seq, released }) = asked.before {
                    tracing::info!(study = %round.id, analysis, record = seq, "answered before: the same leaves again");
                    answers.push(Answer { analysis: *analysis, plan: plan.digest(), outcome: Ok(released) });
                    continue;
                }
                if let Some(paused) = self.paused().map_err(|error| PublicError::from(&error))? {
                    return Err(paused);
                }
                (self.progress)(Progress::Working { attempt: attempt.unsigned_abs(), limit });
                if let Some(before_query) = &self.switches.before_query {
                    before_query(&round.id);
                }
                let counted =
                    engine::run(snapshot, plan, &authorised.dataset.contract, policy.threshold).map_err(|error| {
                        tracing::error!(study = %round.id, analysis, %error, "the query failed");
                        match error {
                            EngineError::ContractMismatch { .. } => unavailable(),
                            _ => internal(),
                        }
                    })?;
                let contract = &authorised.dataset.contract;
                let outcome = gate::release_under(self.switches.controls, counted, plan, contract, &policy)
                    .map_err(PublicError::from);
                answers.push(Answer { analysis: *analysis, plan: plan.digest(), outcome });
            }
            gate::seal(self.heading(round, snapshot)?, answers, &self.release_key)
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
            tracing::error!(study = %round.id, "the computation panicked");
            Err(internal())
        })
    }

    fn heading(&self, round: &Round<'_>, snapshot: &Offered) -> Result<Heading, PublicError> {
        let (records, head) = self.ledger.head().map_err(|e| PublicError::from(&e))?;
        let ledger = Checkpoint { site: self.config.site.clone(), records, head, at: self.clock.now() };
        Ok(Heading {
            study: round.id,
            site: self.config.site.clone(),
            round: round.request.round,
            snapshot: snapshot.public_name(&self.release_key.derive(SNAPSHOT_NAMES)),
            snapshot_at: snapshot.manifest().created_at,
            ledger,
        })
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
            policy: Some(self.config.policy_version()),
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
        analyses: study.analyses.iter().map(|a| a.name.clone()).collect(),
    }
}

/// What is decided about, in the words that a steward reads.
fn explained(authorised: &Authorised<'_>, snapshot: &Offered) -> BTreeMap<AnalysisName, String> {
    let contract = &authorised.dataset.contract;
    let say = |(analysis, plan): &(u16, bocage_protocol::plan::ValidPlan)| {
        let analysis = authorised.study.analyses.get(usize::from(*analysis))?;
        Some((analysis.name.clone(), plan.explain(contract, Some(snapshot.manifest().rows)).plainly()))
    };
    authorised.plans.iter().filter_map(say).collect()
}

/// What the ledger says against an otherwise allowed round.
fn may_be_answered(round: &Round<'_>, history: &History, same_steps: bool) -> Result<(), PublicError> {
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

fn reservation(
    round: &Round<'_>,
    authorised: &Authorised<'_>,
    snapshot: &Offered,
    asked: &[Asked],
) -> bodies::Reservation {
    let spend = |((analysis, plan), asked): (&(u16, ValidPlan), &Asked)| bodies::Spend {
        analysis: *analysis,
        plan: plan.digest(),
        cells: plan.most_cells() as u64,
        question: Some(asked.question),
        repeats: asked.before.as_ref().map(|before| before.seq),
    };
    bodies::Reservation {
        snapshot: snapshot.manifest().content,
        left_out: snapshot.left_out(),
        steps: StepAsked::all(&round.request.steps),
        spend: authorised.plans.iter().zip(asked).map(spend).collect(),
        account: Some(authorised.requester.account(&authorised.study)),
    }
}

/// The signed release as the frame that leaves. It must fit before it is recorded.
fn released_frame(signed: SignedRelease) -> Result<Vec<u8>, PublicError> {
    codec::encode(&Reply::Released(signed)).map_err(PublicError::from)
}

/// What left, in numbers that say nothing which the release itself does not say.
fn summary(
    signed: &SignedRelease,
    study: &Study,
    questions: &[Digest],
) -> Result<Vec<bodies::ReleasedPart>, PublicError> {
    use bocage_protocol::release::Release;
    let release: Release = codec::decode(&signed.body, limits::FRAME_BYTES).map_err(PublicError::from)?;
    let part = |(part, question): (&bocage_protocol::release::Part, &Digest)| {
        let (shown, hidden, refused) = match &part.outcome {
            Outcome::Table(table) => {
                let shown = table.cells.iter().filter(|cell| cell.is_shown()).count();
                (shown, table.cells.len() - shown, None)
            }
            Outcome::Bins(bins) => {
                let counts = bins.bins.len() + usize::from(bins.missing.is_some());
                (counts, usize::from(bins.bins.is_empty()), None)
            }
            Outcome::Discovered(found) => {
                let cells = found.keys.iter().map(|key| key.cells.len()).sum::<usize>();
                let shown = found.keys.iter().flat_map(|key| &key.cells).filter(|cell| cell.is_shown()).count();
                (shown, cells - shown, None)
            }
            Outcome::Refused(error) => (0, 0, Some(error.clone())),
        };
        let analysis = study.analyses.get(usize::from(part.analysis)).map(|a| a.name.clone()).ok_or_else(internal)?;
        // A refusal answers nothing: the next time it is computed anew.
        let question = refused.is_none().then_some(*question);
        Ok(bodies::ReleasedPart { analysis, shown: shown as u64, hidden: hidden as u64, refused, question })
    };
    release.parts.iter().zip(questions).map(part).collect()
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
