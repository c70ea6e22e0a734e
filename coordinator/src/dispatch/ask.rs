//! One round put to one site, until that site has answered or refused. It waits for the site as long as it takes: the study's deadline,
//! which ends it from outside, is not its business.

use std::sync::Arc;
use std::time::Duration;

use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::release::Release;
use bocage_protocol::trust::{PublicKey, SignedRelease, SignedRevocations};
use bocage_protocol::wire::message::Reply;
use tokio::time::Instant;

use super::patience::Waiting;
use super::question::Question;
use super::retry::Retry;
use super::{Context, DispatchError, verify};
use crate::counts::RoundOutcome;
use crate::members::{Answered, Lost, Session};
use crate::server::Moment;
use crate::store::{Received, Recorded, ReleaseRecord, Witnessed};

/// An answer that is judged faster than handed to another thread and back.
const SMALL_BYTES: u64 = 32 << 10;

/// One round and one site.
pub(super) struct Ask {
    pub context: Arc<Context>,
    pub question: Arc<Question>,
    /// The sites that let the round wait.
    pub waiting: Arc<Waiting>,
    /// The site's position in the study.
    pub index: usize,
    pub site: SiteId,
}

/// A release that was verified and recorded, as a site sent it.
pub(super) type Heard = Option<(SiteId, Release)>;

/// What a site's reply means for the study.
enum Verdict {
    Answer(Box<Answer>),
    Refusal(PublicError),
    /// It is busy.
    Later,
    /// A person must decide first, or has stopped everything.
    Waits(PublicError),
}

/// A release that was verified.
struct Answer {
    signed: SignedRelease,
    release: Release,
    /// Which signed it.
    key: PublicKey,
}

impl Ask {
    /// Asks until the site's answer or refusal is recorded; answers the release, if that is what was recorded.
    pub(super) async fn until_settled(self) -> Result<Heard, DispatchError> {
        let mut retry = Retry::after_failures();
        let mut polls = Retry::for_a_person();
        loop {
            let Some(session) = self.context.members.session(&self.site).await else {
                let error = PublicError::new(ErrorCode::SiteUnknown, "the site is no longer in the roster");
                return self.refuse(error).await;
            };
            let under_way = self.context.drain.begin().await;
            let started = Instant::now();
            let Some(asked) = self.ask(&session).await? else { continue };
            match asked {
                Ok(answered) => {
                    let (bytes, elapsed) = (answered.bytes, started.elapsed());
                    match self.judged(answered).await {
                        Verdict::Answer(answer) => {
                            let Answer { signed, release, key } = *answer;
                            let record = ReleaseRecord {
                                site: self.site.clone(),
                                round: self.question.round.number,
                                reply_bytes: bytes,
                                round_trip_us: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
                                snapshot: release.snapshot,
                                snapshot_at: release.snapshot_at,
                            };
                            self.context.counts.answered(elapsed.as_secs_f64());
                            let (checkpoint, at) = (signed.ledger.clone(), self.context.clock.now());
                            let ledger = Witnessed { key, checkpoint, at };
                            let study = self.question.asked.id;
                            return self.record(Received { study, record, signed, ledger }, release).await;
                        }
                        Verdict::Refusal(error) => return self.refuse(error).await,
                        Verdict::Later => {
                            drop(under_way);
                            self.context.counts.round(RoundOutcome::Busy);
                            self.wait(retry.next(), None).await;
                        }
                        Verdict::Waits(error) => {
                            self.context.counts.round(RoundOutcome::Waits);
                            self.waits(error).await?;
                            drop(under_way);
                            self.wait(polls.next(), Some(&session)).await;
                        }
                    }
                }
                Err(lost) => {
                    drop(under_way);
                    self.context.counts.round(RoundOutcome::Lost);
                    tracing::info!(error = %lost, "asked in vain");
                    self.wait(retry.next(), Some(&session)).await;
                }
            }
        }
    }

    /// The newest list of the access body whose permit the study relies on: looked up for each attempt, since a newer one may have come.
    fn revocations(&self) -> Option<SignedRevocations> {
        let permit = self.question.asked.permit.as_ref()?;
        Some(self.context.access_bodies.newest(&permit.issuer)?.signed)
    }

    /// Puts the round to the site. None: the site had let it wait, and has been silent for as long as it may compute. It is asked again, but no
    /// study stays open for it any more.
    async fn ask(&self, session: &Session) -> Result<Option<Result<Answered, Lost>>, DispatchError> {
        let request = self.question.to(self.index, session.version(), self.revocations())?;
        let asked = session.ask_encoded(&request);
        if !self.waiting.has(&self.site) {
            return Ok(Some(asked.await));
        }
        let computing = Duration::from_secs(u64::from(self.question.asked.study.answer_within_secs));
        match tokio::time::timeout(computing, asked).await {
            Ok(asked) => Ok(Some(asked)),
            Err(_) => {
                tracing::warn!("the site is silent: it waits no more");
                self.add_wait(None).await?;
                self.waiting.ends(&self.site);
                Ok(None)
            }
        }
    }

    /// Notes that the site lets the round wait. Saying so again changes nothing.
    async fn waits(&self, error: PublicError) -> Result<(), DispatchError> {
        if self.add_wait(Some(error)).await? == Recorded::Yes {
            tracing::info!("site waits for its steward");
        }
        self.waiting.begins(&self.site);
        Ok(())
    }

    async fn add_wait(&self, reason: Option<PublicError>) -> Result<Recorded, DispatchError> {
        let (id, site, round) = (self.question.asked.id, self.site.clone(), self.question.round.number);
        let now = self.context.clock.now();
        let added =
            self.context.store.with(move |store| store.add_wait(id, &site, round, now, reason.as_ref())).await?;
        if added == Recorded::Yes {
            self.context.notices.changed(id);
        }
        Ok(added)
    }

    /// Judges a large answer, which takes a while to verify, off the workers that serve everyone.
    async fn judged(&self, answered: Answered) -> Verdict {
        if answered.bytes <= SMALL_BYTES {
            return judge(answered, &self.context, &self.question, &self.site);
        }
        let (context, question, site) = (Arc::clone(&self.context), Arc::clone(&self.question), self.site.clone());
        let judging = tokio::task::spawn_blocking(move || judge(answered, &context, &question, &site));
        judging.await.unwrap_or(Verdict::Later)
    }

    /// Waits for the next attempt; a session that is newer than this one ends the wait.
    async fn wait(&self, pause: Duration, session: Option<&Session>) {
        let other = async {
            match session {
                Some(session) => self.context.members.other_session(&self.site, session).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = other => {}
        }
    }

    async fn record(self, received: Received, release: Release) -> Result<Heard, DispatchError> {
        let id = received.study;
        tracing::info!(bytes = received.record.reply_bytes, "site answered");
        let recorded = self.context.store.add_release(received).await?;
        self.waiting.ends(&self.site);
        self.context.pass(Moment::ReleaseStored);
        self.context.notices.changed(id);
        Ok((recorded == Recorded::Yes).then_some((self.site, release)))
    }

    async fn refuse(self, error: PublicError) -> Result<Heard, DispatchError> {
        let (id, site) = (self.question.asked.id, self.site);
        tracing::warn!(code = %error.code, "site refused");
        self.context.counts.refused(error.code);
        let waiting = self.waiting;
        let refused = site.clone();
        self.context.store.with(move |store| store.add_refusal(id, &site, &error)).await?;
        waiting.ends(&refused);
        self.context.notices.changed(id);
        Ok(None)
    }
}

fn judge(answered: Answered, context: &Context, question: &Question, site: &SiteId) -> Verdict {
    match answered.reply {
        Reply::Refused(error) if error.code == ErrorCode::Busy => Verdict::Later,
        Reply::Pending(error) => Verdict::Waits(error),
        Reply::Refused(error) => Verdict::Refusal(error),
        Reply::Catalogue(_) | Reply::Particulars(_) | Reply::Witnessed => {
            Verdict::Refusal(PublicError::new(ErrorCode::Malformed, "the site answered a round with its catalogue"))
        }
        Reply::Released(signed) => match context.roster.release_key(site) {
            None => Verdict::Refusal(PublicError::new(ErrorCode::SiteUnknown, "the site is not in the roster")),
            Some(key) => match verify::release(&signed, &key, &question.asked, site, &question.round) {
                Ok(release) => Verdict::Answer(Box::new(Answer { signed, release, key })),
                Err(error) => Verdict::Refusal(error),
            },
        },
    }
}
