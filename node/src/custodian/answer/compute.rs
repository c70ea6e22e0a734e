//! The computing of a round that was allowed: reserve, compute, gate, seal, record. Nothing is handed out that the ledger has not
//! acknowledged.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bocage_protocol::analysis::most_later_rounds;
use bocage_protocol::contract::Subject;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::{AnalysisName, ContractId, Digest};
use bocage_protocol::plan::ValidPlan;
use bocage_protocol::release::Outcome;
use bocage_protocol::trust::{SignedRelease, Standing, Study};
use bocage_protocol::wire::codec;

use super::{Failure, Round, internal};
use crate::custodian::authority::{Authorised, may_begin, no_models, within_cap};
use crate::custodian::controls::Control;
use crate::custodian::data::unavailable;
use crate::custodian::desk::Stopped;
use crate::custodian::engine::{self, EngineError, Features, Ground};
use crate::custodian::gate::{self, Answer, GatePolicy, Heading, Released};
use crate::custodian::gathered::Gathered;
use crate::custodian::in_words::asks;
use crate::custodian::ledger::bodies::{self, AttemptState, StepAsked, Verdict};
use crate::custodian::ledger::{Books, History, Kind, LedgerError};
use crate::custodian::reuse::{self, Before};
use crate::custodian::snapshot::public_name;
use crate::custodian::{Custodian, Moment, Progress};

/// What the secret is for that keeps snapshots' public names from being guessed.
const SNAPSHOT_NAMES: &str = "snapshot names";

/// One plan's question to the snapshot.
struct Asked {
    question: Digest,
    /// What its cells are, for comparing answers.
    compares: Digest,
    /// What left the last time that it was asked.
    before: Option<Before>,
}

impl Custodian {
    pub(super) fn compute(
        &self,
        round: &Round<'_>,
        authorised: &Authorised<'_>,
        about: bodies::About,
        history: &History,
    ) -> Result<Vec<u8>, Failure> {
        let gathered = self.gather(authorised, history, round.request.round, round.now).map_err(Failure::Before)?;
        // Of all rounds, once.
        let explained = match history.has_begun() {
            true => BTreeMap::new(),
            false => explained(authorised, &gathered.ground()).map_err(Failure::Before)?,
        };
        let mut entries = vec![round.asked(Some(about))];
        if !history.has_request {
            let envelope = serde_json::to_vec(&round.request.study).unwrap_or_default();
            entries = entries.into_iter().map(|e| e.payload(envelope.clone())).collect();
        }
        entries.push(round.entry(Kind::Decision, &self.decision(authorised, Verdict::Allow, explained)));
        let asked = self.asked(authorised, &gathered)?;
        let reserved = history.round(round.request.round).is_some_and(|r| r.reservation.is_some());
        let reservation = reservation(round, authorised, &gathered, &asked);
        if !reserved {
            entries.push(round.entry(Kind::Reservation, &reservation));
        }
        if asked.iter().any(|a| a.before.is_none()) {
            entries.push(round.attempt(AttemptState::Started));
        }
        // What was reserved is spent already.
        let may = |books: &Books| {
            // One that has begun goes on: two that waited for each other at two sites would never end.
            let begin = || match history.has_begun() {
                true => Ok(()),
                false => may_begin(&authorised.policy, round.now, books),
            };
            if reserved {
                Ok(())
            } else {
                let controls = self.switches.controls;
                let cap = || within_cap(controls, authorised.policy.cap.as_ref(), &reservation, books);
                controls.hold(Control::Pace, begin()).and_then(|()| cap())
            }
        };
        let (attempt, syncing) = match self.ledger.append_if(round.now, &entries, may)? {
            Ok((seqs, syncing)) => (seqs.last().copied().unwrap_or_default(), syncing),
            Err(error) if error.code == ErrorCode::PolicyLater => return Err(Failure::Wait(error)),
            Err(error) => return Err(Failure::Before(error)),
        };
        self.pass(Moment::Reserved);
        let signed = self.attempt(round, authorised, &gathered, attempt, asked);
        (self.progress)(Progress::Idle);
        syncing.wait()?;
        let (signed, parts) = match signed {
            Err(error) if matches!(error.code, ErrorCode::Paused | ErrorCode::LedgerRestored) => {
                return Err(Failure::Paused(error));
            }
            signed => signed?,
        };
        let answered = parts.iter().filter_map(|p| p.question).collect();
        let recorded = codec::encode(&signed).map_err(PublicError::from)?;
        let reply = round.released(signed, authorised)?;
        let body = bodies::Released { bytes: reply.len() as u64, parts: parts.clone() };
        self.pass(Moment::Computed);
        let release = round.entry(Kind::Release, &body).payload(recorded).answers(answered);
        match self.unless_stopped(&round.id, &[release])? {
            Some(Stopped::Paused(error)) => return Err(Failure::Paused(error)),
            Some(Stopped::Denied(error)) => return Err(Failure::Refuse(error)),
            None => {}
        }
        self.counts.released(&parts);
        self.pass(Moment::Recorded);
        tracing::info!(bytes = reply.len(), "released");
        Ok(reply)
    }

    /// What the round asks of the snapshots, and which of it left before.
    fn asked(&self, authorised: &Authorised<'_>, gathered: &Gathered<'_>) -> Result<Vec<Asked>, LedgerError> {
        let ground = gathered.ground();
        let policy = self.gate_policy(authorised);
        let reused = self.switches.controls.enforces(Control::ReuseOfAnswers);
        let asked = |(_, plan): &(u16, ValidPlan)| {
            let identity = ground.identity_for(plan);
            let compares = compares(plan, gathered);
            let plan = plan.digest();
            let question = reuse::question(&plan, &identity, &policy);
            let before = if reused { reuse::before(&self.ledger, &question, &plan, &self.release_key)? } else { None };
            Ok(Asked { question, compares, before })
        };
        authorised.plans.iter().map(asked).collect()
    }

    fn gate_policy(&self, authorised: &Authorised<'_>) -> GatePolicy {
        // What the policy says of pairs is of a site's own k; a permit's holds for all that leaves.
        let joint = authorised.policy.joint();
        let mut policy = GatePolicy { threshold: authorised.threshold, joint, mode: authorised.mode };
        if !self.switches.controls.enforces(Control::Threshold) {
            policy.threshold = 1;
        }
        policy
    }

    fn answers_models(&self, authorised: &Authorised<'_>) -> bool {
        let lifted = !self.switches.controls.enforces(Control::RoundModels);
        lifted || authorised.policy.answers_models(authorised.mode)
    }

    /// Computes, gates and seals every analysis of the round that did not leave before, and says what that is. Whatever panics inside stays
    /// inside.
    fn attempt(
        &self,
        round: &Round<'_>,
        authorised: &Authorised<'_>,
        gathered: &Gathered<'_>,
        attempt: i64,
        asked: Vec<Asked>,
    ) -> Result<(SignedRelease, Vec<bodies::ReleasedPart>), PublicError> {
        let limit = Duration::from_secs(u64::from(self.config.policy.query_secs));
        let (policy, ground) = (self.gate_policy(authorised), &gathered.ground());
        let run = || {
            let mut answers = Vec::with_capacity(authorised.plans.len());
            let mut features = Features::default();
            let questions: Vec<Digest> = asked.iter().map(|a| a.question).collect();
            for ((analysis, plan), asked) in authorised.plans.iter().zip(asked) {
                // Also what left before: the site may have changed its mind since.
                if plan.model().is_some() && !self.answers_models(authorised) {
                    let outcome = Err(no_models(authorised.mode));
                    answers.push(Answer { analysis: *analysis, plan: plan.digest(), outcome });
                    continue;
                }
                if let Some(Before { seq, released }) = asked.before {
                    tracing::info!(analysis, record = seq, "answered before: the same leaves again");
                    answers.push(Answer { analysis: *analysis, plan: plan.digest(), outcome: Ok(released) });
                    continue;
                }
                if let Some(paused) = self.stands_still().map_err(|error| PublicError::from(&error))? {
                    return Err(paused);
                }
                (self.progress)(Progress::Working { attempt: attempt.unsigned_abs(), limit });
                if let Some(before_query) = &self.switches.before_query {
                    before_query(&round.id);
                }
                let failed = |error: EngineError| {
                    tracing::error!(analysis, %error, "the query failed");
                    match error {
                        EngineError::ContractMismatch { .. } => unavailable(),
                        _ => internal(),
                    }
                };
                let identity = ground.identity_for(plan);
                self.designs.begin(&identity, policy.threshold, self.clock.now());
                self.recall(round, &identity, (plan, policy), &asked.compares)?;
                let counted =
                    engine::run(ground, &mut features, &self.designs, plan, policy.threshold).map_err(failed)?;
                let parts = match self.switches.controls.enforces(Control::OptOutCells) {
                    true => self.moved(gathered, plan, &asked.compares)?,
                    false => Vec::new(),
                };
                let moved = engine::moved(ground, (&mut features, &self.designs), &parts, plan, policy.threshold)
                    .map_err(failed)?;
                let contract = plan.contract(&authorised.dataset.contract);
                let outcome = gate::release_under(self.switches.controls, counted, moved, plan, contract, &policy)
                    .map_err(PublicError::from);
                answers.push(Answer { analysis: *analysis, plan: plan.digest(), outcome });
            }
            let parts = summary(&answers, &authorised.study, &questions)?;
            Ok((gate::seal(self.heading(round, ground)?, answers, &self.release_key)?, parts))
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
            tracing::error!("the computation panicked");
            Err(internal())
        })
    }

    fn heading(&self, round: &Round<'_>, ground: &Ground<'_>) -> Result<Heading, PublicError> {
        let (records, head) = self.ledger.head().map_err(|e| PublicError::from(&e))?;
        let ledger = Standing { records, head, at: self.clock.now() };
        Ok(Heading {
            study: round.id,
            site: self.config.site.clone(),
            round: round.request.round,
            snapshot: public_name(&ground.identity(), &self.release_key.derive(SNAPSHOT_NAMES)),
            snapshot_at: ground.taken_at(),
            ledger,
        })
    }
}

/// What is decided about, in the words that a steward reads.
fn explained(authorised: &Authorised<'_>, ground: &Ground<'_>) -> Result<BTreeMap<AnalysisName, String>, PublicError> {
    let rows = |id: &ContractId| {
        let offered = if id == ground.contract.id() { ground.base } else { ground.related.get(id)?.offered };
        Some(offered.manifest().rows)
    };
    Ok(asks(authorised, &rows)?.into_iter().map(|asks| (asks.analysis, asks.explained)).collect())
}

fn reservation(
    round: &Round<'_>,
    authorised: &Authorised<'_>,
    gathered: &Gathered<'_>,
    asked: &[Asked],
) -> bodies::Reservation {
    let spend = |((analysis, plan), asked): (&(u16, ValidPlan), &Asked)| bodies::Spend {
        analysis: *analysis,
        plan: plan.digest(),
        cells: plan.most_cells() as u64,
        compares: Some(asked.compares),
        model: plan.model_digest(),
        question: Some(asked.question),
        repeats: asked.before.as_ref().map(|before| before.seq),
    };
    let offered = gathered.ground().base;
    bodies::Reservation {
        snapshot: offered.manifest().content,
        left_out: offered.left_out(),
        groups_out: gathered.groups_out(),
        related: gathered.reserved(),
        steps: StepAsked::all(&round.request.steps),
        spend: authorised.plans.iter().zip(asked).map(spend).collect(),
        account: Some(authorised.requester.account(&authorised.study)),
        further_rounds: further_rounds(&authorised.study, round.request.round),
    }
}

/// How many rounds of a study may follow this one.
fn further_rounds(study: &Study, round: u16) -> u16 {
    most_later_rounds(study.analyses.iter().map(|analysis| &analysis.spec)).saturating_sub(round)
}

/// What the cells of an answer are, at this site. Where a row is a patient, cells of two snapshots are about patients of whom nobody knows which
/// are the same.
fn compares(plan: &ValidPlan, gathered: &Gathered<'_>) -> Digest {
    let dataset = gathered.dataset();
    let content = match dataset.contract.subject() {
        Subject::Row => gathered.ground().base.manifest().content.as_bytes().to_vec(),
        Subject::Column(_) => Vec::new(),
    };
    let tables = gathered.tables(plan);
    let others = tables.iter().skip(1).map(|table| table.dataset.name.as_bytes());
    let cells = plan.cells_digest();
    let parts = [dataset.name.as_bytes(), &content, cells.as_bytes()].into_iter().chain(others);
    Digest::of("bocage/compares/1", &parts.collect::<Vec<_>>())
}

/// What leaves, in numbers that say nothing which the release itself does not say.
fn summary(answers: &[Answer], study: &Study, questions: &[Digest]) -> Result<Vec<bodies::ReleasedPart>, PublicError> {
    let part = |(answer, question): (&Answer, &Digest)| {
        let (shown, hidden, refused) = match answer.outcome.as_ref().map(Released::outcome) {
            Ok(Outcome::Table(table)) => {
                let shown = table.cells.iter().filter(|cell| cell.is_shown()).count();
                (shown, table.cells.len() - shown, None)
            }
            Ok(Outcome::Bins(bins)) => {
                let counts = bins.bins.len() + usize::from(bins.missing.is_some());
                (counts, usize::from(bins.bins.is_empty()), None)
            }
            Ok(Outcome::Lines(lines)) => {
                let bins = || lines.lines.iter().flatten();
                let shown = bins().filter(|bin| bin.count.subjects > 0).count();
                (shown, bins().count() - shown, None)
            }
            Ok(Outcome::Discovered(found)) => {
                let cells = found.keys.iter().map(|key| key.cells.len()).sum::<usize>();
                let shown = found.keys.iter().flat_map(|key| &key.cells).filter(|cell| cell.is_shown()).count();
                (shown, cells - shown, None)
            }
            Ok(Outcome::Model(model)) => (model.sums.len(), 0, None),
            Ok(Outcome::Refused(error)) | Err(error) => (0, 0, Some(error.clone())),
        };
        let analysis = study.analyses.get(usize::from(answer.analysis)).map(|a| a.name.clone()).ok_or_else(internal)?;
        // A refusal answers nothing: the next time it is computed anew.
        let question = refused.is_none().then_some(*question);
        Ok(bodies::ReleasedPart { analysis, shown: shown as u64, hidden: hidden as u64, refused, question })
    };
    answers.iter().zip(questions).map(part).collect()
}
