//! Sites that let a study wait for their steward.

use bocage_protocol::ErrorCode;
use bocage_protocol::limits::CLOCK_TOLERANCE_SECS;
use bocage_protocol::trust::SignedStudy;

use super::{lab, result};
use crate::api::types::{SiteStatus, StudyState, StudyStatus};
use crate::bench::{Lab, Manner, RESEARCHER, SITES, STUDY, TestClock, key, report, signed, site, study};

const THREE_DAYS: i64 = 3 * 24 * 3600;
const WAITS: &str = "switzerland";

fn waits(status: &StudyStatus) -> bool {
    report(&status.sites, WAITS).pending_since.is_some()
}

#[tokio::test]
async fn a_study_stays_open_over_its_deadline_and_restarts_while_a_site_waits_and_then_publishes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::new();
    let study = signed(1);
    let mut lab = Lab::start(dir.path(), clock.clone()).await;
    for name in &SITES[..3] {
        lab.node(name, Manner::Honest);
    }
    lab.node(WAITS, Manner::Waits);
    lab.submit(&study).await;
    let before = lab.until(study.id(), waits).await;
    let said = report(&before.sites, WAITS).reason.clone().unwrap();
    assert_eq!((said.code, said.message.as_str()), (ErrorCode::ApprovalPending, "the board meets on Tuesdays"));
    lab.stop().await;

    clock.advance_secs(THREE_DAYS);
    let mut lab = Lab::start(dir.path(), clock.clone()).await;
    let status = lab.until(study.id(), |_| true).await;
    assert!(waits(&status), "before anybody has connected: {status:?}");
    let node = lab.node(WAITS, Manner::Waits);
    let other = signed(2);
    lab.submit(&other).await;
    // It has been asked again, and said the same: nothing has changed.
    lab.until(other.id(), waits).await;
    let after = lab.until(study.id(), |_| true).await;
    assert_eq!((after.state, after.version), (StudyState::Open, before.version.max(after.version)));
    assert_eq!(report(&after.sites, WAITS), report(&before.sites, WAITS));
    node.abort();
    lab.node(WAITS, Manner::Honest);
    let status = lab.until_published(study.id()).await;
    assert!(status.sites.iter().all(|site| site.status == SiteStatus::Answered && site.pending_since.is_none()));
    lab.stop().await;
}

#[tokio::test]
async fn a_silent_site_is_missing_once_no_other_site_waits() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::new();
    let study = signed(3);
    let mut lab = Lab::start(dir.path(), clock.clone()).await;
    for name in &SITES[..2] {
        lab.node(name, Manner::Honest);
    }
    lab.node("long-beach", Manner::Silent);
    lab.node(WAITS, Manner::Waits);
    lab.submit(&study).await;
    lab.until(study.id(), |s| waits(s) && s.sites.iter().filter(|s| s.status == SiteStatus::Answered).count() == 2)
        .await;
    lab.stop().await;
    clock.advance_secs(THREE_DAYS);
    let mut lab = Lab::start_at_once(dir.path(), clock.clone()).await;
    lab.node("long-beach", Manner::Silent);
    assert_eq!(lab.until(study.id(), |_| true).await.state, StudyState::Open);
    lab.node(WAITS, Manner::Honest);
    let status = lab.until_published(study.id()).await;
    let missing = report(&status.sites, "long-beach");
    assert_eq!(missing.reason.as_ref().unwrap().code, ErrorCode::DeadlinePassed);
    assert_eq!(report(&status.sites, WAITS).status, SiteStatus::Answered);
    lab.stop().await;
}

#[tokio::test]
async fn at_the_end_of_a_study_a_site_that_still_waits_is_missing_for_that_reason() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::new();
    let study = signed(4);
    let mut lab = Lab::start(dir.path(), clock.clone()).await;
    for name in &SITES[..3] {
        lab.node(name, Manner::Honest);
    }
    lab.node(WAITS, Manner::Waits);
    lab.submit(&study).await;
    let open = lab
        .until(study.id(), |s| waits(s) && s.sites.iter().filter(|s| s.status == SiteStatus::Answered).count() == 3)
        .await;
    lab.stop().await;
    let left = open.open_until.unwrap().since_ms(open.accepted_at) / 1000;
    // Until no node answers it any more.
    clock.advance_secs(left + CLOCK_TOLERANCE_SECS);
    let lab = Lab::start(dir.path(), clock).await;
    lab.until_published(study.id()).await;
    let published = result(&lab, study.id()).await;
    let missing = report(&published.sites, WAITS);
    assert_eq!(
        (missing.status, missing.reason.as_ref().unwrap().code),
        (SiteStatus::Missing, ErrorCode::ApprovalPending)
    );
    lab.stop().await;
}

#[tokio::test]
async fn a_site_that_falls_silent_after_its_approval_has_answer_within_again_and_is_then_missing() {
    let (_dir, mut lab) = lab().await;
    for name in &SITES[..3] {
        lab.node(name, Manner::Honest);
    }
    lab.node(WAITS, Manner::WaitsThenSilent);
    while !SITES.iter().all(|name| lab.context.members.online(&site(name))) {
        tokio::task::yield_now().await;
    }
    let text = STUDY.replace("10m", "5s");
    let study = SignedStudy::sign(&study(&text, &SITES, 5), &key(RESEARCHER)).unwrap();
    lab.submit(&study).await;
    let open = lab.until(study.id(), |status| waits(status) || status.state != StudyState::Open).await;
    assert!(waits(&open), "{open:?}");
    let status = lab.until_published(study.id()).await;
    let missing = report(&status.sites, WAITS);
    assert_eq!(
        (missing.status, missing.reason.as_ref().unwrap().code),
        (SiteStatus::Missing, ErrorCode::DeadlinePassed)
    );
    assert!(status.sites.iter().filter(|site| site.status == SiteStatus::Answered).count() == 3);
    lab.stop().await;
}
