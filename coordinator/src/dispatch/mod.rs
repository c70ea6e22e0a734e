//! The life of an open study: its rounds are put to the sites, what they release is verified and recorded, and the result is published.
//!
//! ```text
//! Accepted ──▶ round: every site at once ──▶ all answered, refused or missing ──▶ drivers step ──▶ next round
//!                │ offline: asked when it connects                                    │ (an analysis of several rounds begins again where a site's
//!                │                                                                    │  snapshot is another than in the round before)
//!                │ link lost or busy: asked again                                     ▼
//!                │ waits for its steward: asked again; the study stays open meanwhile   Published (once)
//!                │ refused: final for this site
//!                └ its time to answer is over, or open_until while some site waits: the deadline is recorded, the rest is missing
//! ```
//! Nothing lives here alone: a study is rebuilt from the store, whether the coordinator was restarted or not. No release is recorded before
//! it is verified, and no plan is sent: every node derives it from the signed study.

mod again;
mod ask;
mod asked;
mod course;
mod notices;
mod patience;
mod publish;
mod question;
mod retry;
mod status;
mod verify;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bocage_protocol::PublicError;
use bocage_protocol::env::{Clock, Timestamp};
use bocage_protocol::ids::{ContractId, NetworkId, SiteId, StudyId};
use bocage_protocol::limits::CLOCK_TOLERANCE_SECS;
use bocage_protocol::release::Release;
use bocage_protocol::trust::Study;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use self::patience::{Now, Patience, Waiting};
use self::question::Question;
use crate::config::{InvitationSettings, KnownContract};
use crate::counts::{Counts, RoundOutcome};
use crate::members::Members;
use crate::members::issuing::Issuing;
use crate::members::roster::Roster;
use crate::permits::{AccessBodies, Researchers};
use crate::publisher::Publisher;
use crate::server::{AtMoment, Drain, Moment};
use crate::store::{Store, StoreError, StudyRecord};

pub use asked::Asked;
pub use course::{Course, Round, RoundPart};
pub use notices::Notices;
pub use status::{permit_info, site_reports, study_status};

/// What every part of the coordinator works with.
pub struct Context {
    /// The network.
    pub network: NetworkId,
    /// The floor of every study's `min_sites`.
    pub min_sites: u32,
    /// The sites, and the keys that they are known by.
    pub roster: Arc<Roster>,
    /// Whose studies are accepted without a permit.
    pub researchers: Researchers,
    /// Whose permits are accepted.
    pub access_bodies: Arc<AccessBodies>,
    /// The contracts by id.
    pub contracts: BTreeMap<ContractId, KnownContract>,
    /// What lasts.
    pub store: Store,
    /// Who signs what is published.
    pub publisher: Publisher,
    /// Who is connected.
    pub members: Members,
    /// What certifies sites.
    pub issuing: Arc<Issuing>,
    /// What hospitals are told that are invited.
    pub invitations: Option<InvitationSettings>,
    /// Who waits for changes.
    pub notices: Notices,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What an open study's sites have at least when it is taken up anew.
    pub grace: Duration,
    /// Who wants to know of moments.
    pub at: Option<AtMoment>,
    /// What is counted.
    pub counts: Arc<Counts>,
    /// The rounds under way.
    pub drain: Arc<Drain>,
}

impl Context {
    /// Tells whoever wants to know that this moment is now.
    pub(crate) fn pass(&self, moment: Moment) {
        if let Some(at) = &self.at {
            at(moment);
        }
    }
}

/// Why a study's work stopped before its end.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The store failed; the study goes on when it works again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The study does not fit the configuration any more.
    #[error("the study cannot be resumed: {0}")]
    Study(#[from] PublicError),
    /// A task of the study panicked.
    #[error("a task of the study ended early")]
    Task,
}

/// Works on a study until it is published or cancelled. Dropping the future at any point loses nothing.
///
/// # Errors
/// When the store fails or the study no longer fits the configuration. It stays open.
pub async fn run(context: &Arc<Context>, id: StudyId) -> Result<(), DispatchError> {
    let record = read(context, id).await?;
    if record.is_closed() {
        return Ok(());
    }
    let accepted = record.answer_by;
    let asked = Arc::new(Asked::bind(record.signed, &context.contracts)?);
    let min_sites = asked.study.min_sites.max(context.min_sites);
    let mut course = Course::begin(&asked, min_sites)?;
    while let Some(round) = course.round() {
        let answer_by = begin(context, &asked.study, (id, accepted), round.number).await?;
        let mut patience = Patience::new(&asked.study, answer_by, context.grace, Now::read(context.clock.as_ref()));
        let span = tracing::error_span!(parent: None, "round", study = %id, round = round.number);
        let heard = collect(context, &asked, &round, &mut patience).instrument(span).await?;
        course = publish::replay(context, &asked, course, heard).await?;
    }
    publish::publish(context, &asked, course, min_sites).await
}

/// Begins a round, or finds it begun; answers until when it is to be answered. Of a study that is taken up in a later round everybody has settled the first.
async fn begin(
    context: &Context,
    study: &Study,
    (id, accepted): (StudyId, Timestamp),
    round: u16,
) -> Result<Timestamp, StoreError> {
    if round == 0 {
        return Ok(accepted);
    }
    let by = answer_by(study, context.clock.now());
    context.store.with(move |store| store.begin_round(id, round, by)).await
}

/// The sites have `answer_within_secs` from now on; no node starts on a study that has expired.
pub fn answer_by(study: &Study, now: Timestamp) -> Timestamp {
    let expired = study.expires_at.plus_secs(CLOCK_TOLERANCE_SECS);
    now.plus_secs(i64::from(study.answer_within_secs)).min(expired)
}

/// Waits until every site has answered the round, has refused, or is missing. Answers the releases that came meanwhile, each of which is recorded.
async fn collect(
    context: &Arc<Context>,
    asked: &Arc<Asked>,
    round: &Arc<Round>,
    patience: &mut Patience,
) -> Result<BTreeMap<SiteId, Release>, DispatchError> {
    let mut heard = BTreeMap::new();
    let record = read(context, asked.id).await?;
    if !record.is_open() {
        return Ok(heard);
    }
    let question = Arc::new(Question::new(asked, round));
    let waiting = Arc::new(Waiting::of(&record, round.number));
    let mut sites = JoinSet::new();
    let settled = settled(&record, round.number);
    for (index, site) in asked.sites.iter().enumerate().filter(|(_, site)| !settled.contains(site)) {
        let (context, question, waiting) = (Arc::clone(context), Arc::clone(&question), Arc::clone(&waiting));
        let ask = ask::Ask { context, question, waiting, index, site: site.clone() };
        // Each line about it says so, whichever part writes it.
        let span = tracing::error_span!(parent: None, "round", study = %asked.id, round = round.number, %site);
        sites.spawn(ask.until_settled().instrument(span));
    }
    let deadline = waiting.over(context.clock.as_ref(), patience);
    tokio::pin!(deadline);
    let mut panicked = false;
    loop {
        tokio::select! {
            biased;
            done = sites.join_next(), if !panicked || !sites.is_empty() => match done {
                None => return Ok(heard),
                Some(Ok(settled)) => heard.extend(settled?),
                Some(Err(_)) => {
                    // A defect of ours, met by one site: that site goes missing, the others are still heard.
                    tracing::error!("a site's task panicked");
                    panicked = true;
                }
            },
            () = &mut deadline => break,
        }
    }
    (0..sites.len()).for_each(|_| context.counts.round(RoundOutcome::TimedOut));
    sites.shutdown().await;
    let (id, now) = (asked.id, context.clock.now());
    context.store.with(move |store| store.decide_deadline(id, now)).await?;
    context.notices.changed(id);
    Ok(heard)
}

async fn read(context: &Context, id: StudyId) -> Result<StudyRecord, StoreError> {
    context.store.with(move |store| store.study(id)).await?.ok_or(StoreError::Damaged("a study is gone"))
}

/// The sites that need not be asked (again).
fn settled(record: &StudyRecord, round: u16) -> HashSet<&SiteId> {
    let answered = record.releases.iter().filter(|release| release.round == round).map(|release| &release.site);
    record.refusals.iter().map(|(refused, _)| refused).chain(answered).collect()
}
