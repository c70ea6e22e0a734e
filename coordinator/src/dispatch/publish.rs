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

/// How each site stands at the end, what its answers were computed over, and what tells them from others.
fn reports(record: &StudyRecord, mut receipts: BTreeMap<SiteId, Vec<Digest>>, last: u16) -> Vec<SiteReport> {
    let mut releases: HashMap<&SiteId, Vec<&ReleaseRecord>> = HashMap::new();
    record.releases.iter().for_each(|release| releases.entry(&release.site).or_default().push(release));
    let mut reports = site_reports(record, true, Some(last), &|_| false);
    for report in &mut reports {
        computed_over(report, &releases.remove(&report.id).unwrap_or_default());
        report.receipts = receipts.remove(&report.id).unwrap_or_default();
    }
    reports
}

/// What a site's rounds were computed over: the last one's snapshot, and where that changed.
fn computed_over(report: &mut SiteReport, rounds: &[&ReleaseRecord]) {
    report.snapshot = rounds.last().map(|release| release.snapshot);
    report.snapshot_at = rounds.last().map(|release| release.snapshot_at);
    let moved = rounds.windows(2).filter(|pair| pair[0].snapshot != pair[1].snapshot);
    report.moved_in = moved.map(|pair| pair[1].round).collect();
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

#[cfg(test)]
mod tests {
    use bocage_protocol::env::Timestamp;

    use super::*;
    use crate::api::types::SiteStatus;

    #[test]
    fn a_result_names_the_last_snapshot_of_a_site_and_the_rounds_before_which_it_changed() {
        let site: SiteId = "aa".parse().unwrap();
        let release = |(round, snapshot): (u16, u8)| ReleaseRecord {
            site: site.clone(),
            round,
            reply_bytes: 1,
            round_trip_us: 1,
            snapshot: Digest::from_bytes([snapshot; 32]),
            snapshot_at: Timestamp(i64::from(snapshot)),
        };
        let over = |snapshots: &[u8]| {
            let records: Vec<ReleaseRecord> = (0..).zip(snapshots.iter().copied()).map(release).collect();
            let mut report = SiteReport {
                id: site.clone(),
                status: SiteStatus::Answered,
                reason: None,
                bytes: None,
                round_trip_ms: None,
                snapshot: None,
                snapshot_at: None,
                receipts: vec![],
                pending_since: None,
                left_in: None,
                moved_in: vec![],
            };
            computed_over(&mut report, &records.iter().collect::<Vec<_>>());
            (report.snapshot_at, report.moved_in)
        };
        assert_eq!(over(&[]), (None, vec![]));
        assert_eq!(over(&[7, 7, 7]), (Some(Timestamp(7)), vec![]));
        assert_eq!(over(&[7, 7, 8, 8, 9]), (Some(Timestamp(9)), vec![2, 4]));
    }
}
