//! Replaying what is recorded, and publishing. What it publishes follows from the store and the configuration alone, and is published once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bocage_protocol::PublicError;
use bocage_protocol::ids::{Digest, SiteId, StudyId};
use bocage_protocol::limits;
use bocage_protocol::release::Release;
use bocage_protocol::trust::SignedRelease;
use bocage_protocol::wire::codec;

use super::status::{permit_info, site_reports};
use super::{Asked, Context, Course, DispatchError, read};
use crate::api::types::{SiteReport, StudyHead, StudyResult};
use crate::server::Moment;
use crate::store::{Recorded, ReleaseRecord, StoreError, StudyRecord};

/// Steps the course with the recorded releases of its due round. Those in `heard` need not be read back: they are recorded as they are.
pub(super) async fn replay(
    context: &Context,
    asked: &Arc<Asked>,
    mut course: Course,
    mut heard: BTreeMap<SiteId, Release>,
) -> Result<Course, DispatchError> {
    let Some(round) = course.round() else { return Ok(course) };
    let record = read(context, asked.id).await?;
    let before = record.releases.iter().filter(|r| r.round == round.number && !heard.contains_key(&r.site));
    let before: Vec<SiteId> = before.map(|release| release.site.clone()).collect();
    let before = stored(context, asked.id, round.number, before).await?;
    let refusals: BTreeMap<SiteId, PublicError> = record.refusals.into_iter().collect();
    let asked = Arc::clone(asked);
    let stepped = tokio::task::spawn_blocking(move || {
        heard.extend(decode(before)?);
        course.finish_round(&asked, &heard, &refusals)?;
        Ok(course)
    });
    stepped.await.map_err(|_| DispatchError::Task)?
}

/// Publishes the course's results.
pub(super) async fn publish(
    context: &Context,
    asked: &Asked,
    course: Course,
    min_sites: u32,
) -> Result<(), DispatchError> {
    let record = read(context, asked.id).await?;
    let (id, now) = (asked.id, context.clock.now());
    let receipts = context.store.with(move |store| store.receipts(id)).await?;
    let result = StudyResult {
        study: head(context, asked, &record, min_sites, now),
        sites: reports(&record, receipts, course.last_round()),
        analyses: course.into_results(),
    };
    let text = serde_json::to_string(&result).map_err(|_| StoreError::Damaged("a result"))?;
    context.pass(Moment::BeforePublish);
    if context.store.with(move |store| store.publish(id, now, &text)).await? == Recorded::Yes {
        context.pass(Moment::Published);
        tracing::info!("published");
    }
    context.notices.changed(id);
    Ok(())
}

async fn stored(
    context: &Context,
    id: StudyId,
    round: u16,
    sites: Vec<SiteId>,
) -> Result<Vec<(SiteId, SignedRelease)>, StoreError> {
    if sites.is_empty() {
        return Ok(Vec::new());
    }
    context.store.with(move |store| store.releases(id, round, &sites)).await
}

/// Reads releases back. They were verified before they were recorded, against the key that the site had then.
fn decode(releases: Vec<(SiteId, SignedRelease)>) -> Result<Vec<(SiteId, Release)>, DispatchError> {
    let decode = |(site, signed): (SiteId, SignedRelease)| {
        let release = codec::decode::<Release>(&signed.body, limits::FRAME_BYTES);
        Ok((site, release.map_err(|_| StoreError::Damaged("a release"))?))
    };
    releases.into_iter().map(decode).collect()
}

/// How each site stands at the end, what its first answer was computed over, and what tells its answers from others.
fn reports(record: &StudyRecord, mut receipts: BTreeMap<SiteId, Vec<Digest>>, last: u16) -> Vec<SiteReport> {
    let first = record.releases.iter().filter(|release| release.round == 0);
    let snapshots: HashMap<&SiteId, &ReleaseRecord> = first.map(|release| (&release.site, release)).collect();
    let mut reports = site_reports(record, true, Some(last), &|_| false);
    for report in &mut reports {
        let release = snapshots.get(&report.id);
        report.snapshot = release.map(|release| release.snapshot);
        report.snapshot_at = release.map(|release| release.snapshot_at);
        report.receipts = receipts.remove(&report.id).unwrap_or_default();
    }
    reports
}

fn head(
    context: &Context,
    asked: &Asked,
    record: &StudyRecord,
    min_sites: u32,
    published_at: bocage_protocol::env::Timestamp,
) -> StudyHead {
    let study = &asked.study;
    let permit = asked.permit.as_ref().zip(asked.signed.permit.as_ref());
    StudyHead {
        id: asked.id,
        title: study.title.clone(),
        purpose: study.purpose,
        dataset: study.dataset.clone(),
        contract: study.contract,
        network: study.network.clone(),
        researcher: study.researcher,
        permit: permit.map(|(permit, signed)| permit_info(context, permit, signed.digest())),
        min_sites,
        issued_at: study.issued_at,
        accepted_at: record.accepted_at,
        published_at,
    }
}
