//! Where a study and its sites stand, as anyone may see it: derived from the record each time, never kept.

use std::collections::{BTreeMap, HashMap};

use bocage_protocol::PublicError;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::{Digest, SiteId};
use bocage_protocol::trust::{Permit, Study};

use super::Context;
use crate::api::types::{PermitInfo, SiteReport, SiteStatus, StudyState, StudyStatus};
use crate::store::{ReleaseRecord, StudyRecord};

/// Where a study stands, who asks, under which permit. `online` says which sites are connected now.
pub fn study_status(
    study: &Study,
    (researcher, permit): (String, Option<PermitInfo>),
    record: &StudyRecord,
    online: &dyn Fn(&SiteId) -> bool,
) -> StudyStatus {
    let state = match (record.published_at, record.cancelled_at) {
        (Some(_), _) => StudyState::Published,
        (None, Some(_)) => StudyState::Cancelled,
        (None, None) => StudyState::Open,
    };
    StudyStatus {
        id: record.id,
        title: study.title.clone(),
        purpose: study.purpose,
        dataset: study.dataset.clone(),
        researcher,
        permit,
        state,
        version: record.version(),
        accepted_at: record.accepted_at,
        answer_by: record.answer_by,
        open_until: Some(study.expires_at),
        sites: site_reports(record, !record.is_open(), None, online),
    }
}

/// What is said of a study's permit.
pub fn permit_info(context: &Context, permit: &Permit, digest: Digest) -> PermitInfo {
    let body = context.access_bodies.find(&permit.issuer);
    PermitInfo {
        id: permit.id.clone(),
        digest,
        holder: permit.holder.name.clone(),
        organisation: permit.holder.organisation.clone(),
        access_body: body.map_or_else(|| permit.issuer.to_string(), |body| body.name.clone()),
    }
}

/// How each site stands, in the order of the study. `ended`: whoever has not answered is missing. `last`: the last round that was put to the sites,
/// where that is known; else it is taken for the latest of which anything was heard.
pub fn site_reports(
    record: &StudyRecord,
    ended: bool,
    last: Option<u16>,
    online: &dyn Fn(&SiteId) -> bool,
) -> Vec<SiteReport> {
    // Thousands of sites: each looks its own up.
    let mut releases: HashMap<&SiteId, Vec<&ReleaseRecord>> = HashMap::new();
    record.releases.iter().for_each(|release| releases.entry(&release.site).or_default().push(release));
    let round = record.releases.iter().map(|r| r.round).max();
    // The round that is worked on is the latest of which anything was heard.
    let waits = record.waits.iter().map(|wait| wait.round).max().max(round).unwrap_or_default();
    let heard = Heard {
        releases,
        waiting: record.waiting(waits),
        refusals: record.refusals.iter().map(|(site, reason)| (site, reason)).collect(),
        latest_round: last.or(round),
    };
    record.sites().iter().map(|site| site_report(site, record, &heard, ended, online)).collect()
}

/// What was heard, by site.
struct Heard<'a> {
    releases: HashMap<&'a SiteId, Vec<&'a ReleaseRecord>>,
    refusals: HashMap<&'a SiteId, &'a PublicError>,
    /// Since when a site waits, and what it said last.
    waiting: BTreeMap<&'a SiteId, (Timestamp, &'a PublicError)>,
    latest_round: Option<u16>,
}

fn site_report(
    site: &SiteId,
    record: &StudyRecord,
    heard: &Heard<'_>,
    ended: bool,
    online: &dyn Fn(&SiteId) -> bool,
) -> SiteReport {
    let releases = heard.releases.get(site).map_or(&[][..], Vec::as_slice);
    let latest = releases.iter().map(|r| r.round).max();
    let answered = latest.is_some() && latest >= heard.latest_round;
    let refusal = heard.refusals.get(site).map(|reason| (*reason).clone());
    let waits = heard.waiting.get(site).map(|(since, reason)| (*since, (*reason).clone()));
    let pending_since = waits.as_ref().map(|(since, _)| *since).filter(|_| !ended);
    let (status, reason) = match (refusal, waits) {
        (Some(reason), _) => (SiteStatus::Refused, Some(reason)),
        (None, _) if answered => (SiteStatus::Answered, None),
        // Why it never answered is what it said last.
        (None, Some((_, reason))) if ended && record.cancelled_at.is_none() => {
            (SiteStatus::Missing, Some(undecided(reason)))
        }
        (None, _) if ended => (SiteStatus::Missing, Some(missing(record))),
        (None, Some((_, reason))) => (SiteStatus::Pending, Some(reason)),
        (None, None) => (SiteStatus::Pending, (!online(site)).then(offline)),
    };
    let left = matches!(status, SiteStatus::Refused | SiteStatus::Missing);
    let bytes = releases.iter().map(|r| r.reply_bytes).sum();
    let round_trip_us: u64 = releases.iter().map(|r| r.round_trip_us).sum();
    SiteReport {
        id: site.clone(),
        status,
        reason,
        bytes: (!releases.is_empty()).then_some(bytes),
        round_trip_ms: (!releases.is_empty()).then_some(round_trip_us as f64 / 1000.0),
        snapshot: None,
        snapshot_at: None,
        receipts: vec![],
        pending_since,
        left_in: latest.filter(|_| left).map(|round| round + 1),
        moved_in: vec![],
    }
}

fn missing(record: &StudyRecord) -> PublicError {
    match record.cancelled_at {
        Some(_) => PublicError::new(ErrorCode::Cancelled, "the study was cancelled before the site answered"),
        None => {
            let by = record.decided_at.unwrap_or(record.answer_by);
            PublicError::new(ErrorCode::DeadlinePassed, format!("the site did not answer before {by}"))
        }
    }
}

/// What a site said while it waited, told after the study's end.
fn undecided(said: PublicError) -> PublicError {
    PublicError::new(said.code, said.message)
        .hint("talk to the site's steward, and sign the study again with a later open_until")
}

fn offline() -> PublicError {
    PublicError::new(ErrorCode::SiteOffline, "the site is not connected; it is asked when it comes")
}
