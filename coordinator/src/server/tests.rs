//! Studies through a whole coordinator: absent, busy, broken and hostile sites, restarts, deadlines.

mod https;
mod rounds;
mod shares;
mod waiting;

use bocage_protocol::ErrorCode;
use bocage_protocol::trust::SignedStudy;

use crate::api::types::{SiteStatus, StudyResult, StudyState, Value};
use crate::bench::{Lab, Manner, RESEARCHER, SITES, STUDY, TestClock, key, report, signed, study};

async fn lab() -> (tempfile::TempDir, Lab) {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(dir.path(), TestClock::new()).await;
    (dir, lab)
}

async fn result(lab: &Lab, id: bocage_protocol::ids::StudyId) -> StudyResult {
    let (code, value) = lab.get(&format!("/v1/studies/{id}/result")).await;
    assert_eq!(code, 200, "{value}");
    serde_json::from_value(value).unwrap()
}

#[tokio::test]
async fn four_sites_answer_and_the_combined_answer_is_published_once() {
    let (dir, mut lab) = lab().await;
    lab.all_honest();
    let study = signed(1);
    let (code, accepted) = lab.submit(&study).await;
    assert_eq!((code, accepted["researcher"].as_str()), (201, Some("Ada")));
    let status = lab.until_published(study.id()).await;
    assert!(status.sites.iter().all(|s| s.status == SiteStatus::Answered && s.bytes.unwrap() > 100));
    let published = result(&lab, study.id()).await;
    assert!(published.sites.iter().all(|s| s.snapshot.is_some() && s.round_trip_ms.unwrap() >= 0.0));
    let mut receipts: Vec<_> = published.sites.iter().flat_map(|site| site.receipts.clone()).collect();
    receipts.sort();
    receipts.dedup();
    assert_eq!(receipts.len(), 4, "one of each site's one release");
    let (code, signed) = lab.get(&format!("/v1/studies/{}/signed", study.id())).await;
    assert_eq!((code, signed), (200, serde_json::to_value(&study).unwrap()));
    let block = &published.analyses[0].block;
    assert_eq!(block.rows.len(), 6);
    assert_eq!(block.rows[0][2..5], [Value::Count(80), Value::Count(80), Value::Number(350.0)]);
    assert!(block.hidden.is_empty() && published.analyses[0].notes.is_empty());
    let (code, again) = lab.submit(&study).await;
    assert_eq!((code, again["state"].as_str()), (200, Some("published")));
    let path = format!("/v1/studies/{}/result", study.id());
    let before = lab.get(&path).await;
    lab.stop().await;
    let lab = Lab::start(dir.path(), TestClock::new()).await;
    assert_eq!(lab.get(&path).await, before);
    lab.stop().await;
}

#[tokio::test]
async fn analyses_that_do_not_wait_for_each_other_share_one_round() {
    let (_dir, mut lab) = lab().await;
    lab.all_honest();
    let text = format!("{STUDY}\n[[analysis]]\nname = \"by_sex\"\ntable = {{ by = [\"sex\"], show = [\"count\"] }}\n");
    let study = SignedStudy::sign(&study(&text, &SITES, 10), &key(RESEARCHER)).unwrap();
    lab.submit(&study).await;
    lab.until_published(study.id()).await;
    let published = result(&lab, study.id()).await;
    assert_eq!(published.analyses.len(), 2);
    for site in &published.sites {
        assert_eq!(site.receipts.len(), 1, "{} was asked so often", site.id);
    }
    lab.stop().await;
}

#[tokio::test]
async fn a_site_that_breaks_a_rule_is_refused_and_harms_no_other() {
    let manners = [
        (Manner::Refuses, ErrorCode::PolicyRefused),
        (Manner::WrongKey, ErrorCode::ReleaseInvalid),
        (Manner::OtherPlan, ErrorCode::ReleaseInvalid),
        (Manner::OtherStudy, ErrorCode::ReleaseInvalid),
        (Manner::Babbles, ErrorCode::Malformed),
    ];
    for (manner, code) in manners {
        let (_dir, mut lab) = lab().await;
        for name in &SITES[..3] {
            lab.node(name, Manner::Honest);
        }
        lab.node("switzerland", manner);
        let study = signed(2);
        lab.submit(&study).await;
        lab.until_published(study.id()).await;
        let published = result(&lab, study.id()).await;
        let refused = report(&published.sites, "switzerland");
        assert_eq!((refused.status, refused.reason.as_ref().unwrap().code), (SiteStatus::Refused, code), "{manner:?}");
        assert_eq!(published.analyses[0].block.rows[0][2], Value::Count(60));
        assert!(published.analyses[0].notes.iter().any(|n| n.starts_with("switzerland refused")));
        lab.stop().await;
    }
}

#[tokio::test]
async fn a_busy_site_is_asked_again_and_one_whose_link_breaks_when_it_is_back() {
    let (_dir, mut lab) = lab().await;
    lab.node("cleveland", Manner::Honest);
    lab.node("hungary", Manner::BusyOnce);
    lab.node("long-beach", Manner::Breaks);
    let study = signed(3);
    lab.submit(&study).await;
    let waiting =
        lab.until(study.id(), |s| s.sites.iter().filter(|s| s.status == SiteStatus::Answered).count() == 3).await;
    let absent = report(&waiting.sites, "switzerland");
    assert_eq!((absent.status, absent.reason.as_ref().unwrap().code), (SiteStatus::Pending, ErrorCode::SiteOffline));
    lab.node("switzerland", Manner::Honest);
    let status = lab.until_published(study.id()).await;
    assert!(status.sites.iter().all(|s| s.status == SiteStatus::Answered));
    lab.stop().await;
}

#[tokio::test]
async fn a_restart_resumes_a_study_under_the_same_deadline_and_then_publishes_without_the_missing() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::new();
    let study = signed(4);
    let mut lab = Lab::start(dir.path(), clock.clone()).await;
    for name in &SITES[..2] {
        lab.node(name, Manner::Honest);
    }
    lab.node("long-beach", Manner::Silent);
    lab.submit(&study).await;
    let answered =
        |s: &crate::api::types::StudyStatus| s.sites.iter().filter(|s| s.status == SiteStatus::Answered).count() == 2;
    let before = lab.until(study.id(), answered).await;
    lab.stop().await;

    clock.advance_secs(60);
    let mut lab = Lab::start(dir.path(), clock.clone()).await;
    lab.node("long-beach", Manner::Honest);
    let three =
        |s: &crate::api::types::StudyStatus| s.sites.iter().filter(|s| s.status == SiteStatus::Answered).count() == 3;
    let after = lab.until(study.id(), three).await;
    assert_eq!(after.answer_by, before.answer_by);
    assert!(after.version > before.version);
    lab.stop().await;

    clock.advance_secs(600);
    let mut lab = Lab::start_at_once(dir.path(), clock.clone()).await;
    let status = lab.until_published(study.id()).await;
    let missing = report(&status.sites, "switzerland");
    assert_eq!(
        (missing.status, missing.reason.as_ref().unwrap().code),
        (SiteStatus::Missing, ErrorCode::DeadlinePassed)
    );
    let published = result(&lab, study.id()).await;
    assert_eq!(published.analyses[0].block.rows[0][2], Value::Count(60));
    // The site that comes too late changes nothing.
    lab.node("switzerland", Manner::Honest);
    let later = signed(5);
    lab.submit(&later).await;
    lab.until(later.id(), |s| report(&s.sites, "switzerland").status == SiteStatus::Answered).await;
    assert_eq!(result(&lab, study.id()).await, published);
    lab.stop().await;
}

#[tokio::test]
async fn a_coordinator_that_was_down_over_the_deadline_hears_its_sites_before_it_publishes() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::new();
    let lab = Lab::start(dir.path(), clock.clone()).await;
    let study = signed(9);
    lab.submit(&study).await;
    lab.stop().await;
    clock.advance_secs(86_400);
    let mut lab = Lab::start(dir.path(), clock.clone()).await;
    lab.all_honest();
    // Again, while it is asked.
    clock.advance_secs(86_400);
    let status = lab.until_published(study.id()).await;
    assert!(status.sites.iter().all(|site| site.status == SiteStatus::Answered), "{status:?}");
    lab.stop().await;
}

#[tokio::test]
async fn a_cancelled_study_stops_and_is_never_published() {
    let (dir, mut lab) = lab().await;
    lab.node("cleveland", Manner::Silent);
    let study = signed(6);
    lab.submit(&study).await;
    let path = format!("/v1/studies/{}", study.id());
    let (code, cancelled) = lab.post(&format!("{path}/cancel"), vec![]).await;
    assert_eq!((code, cancelled["state"].as_str()), (200, Some("cancelled")));
    assert_eq!(lab.post(&format!("{path}/cancel"), vec![]).await.0, 200);
    let (code, problem) = lab.get(&format!("{path}/result")).await;
    assert_eq!((code, problem["code"].as_str()), (409, Some("cancelled")));
    assert_eq!(lab.submit(&study).await.1["state"].as_str(), Some("cancelled"));
    lab.stop().await;
    let mut lab = Lab::start(dir.path(), TestClock::new()).await;
    lab.all_honest();
    let other = signed(7);
    lab.submit(&other).await;
    lab.until_published(other.id()).await;
    let status = lab.until(study.id(), |_| true).await;
    assert_eq!(status.state, StudyState::Cancelled);
    assert!(status.sites.iter().all(|s| s.status == SiteStatus::Missing));
    let (code, conflict) = lab.post(&format!("/v1/studies/{}/cancel", other.id()), vec![]).await;
    assert_eq!((code, conflict["code"].as_str()), (409, Some("conflict")));
    lab.stop().await;
}

#[tokio::test]
async fn a_stop_ends_long_polls_and_waits_for_no_site() {
    let (_dir, mut lab) = lab().await;
    lab.node("cleveland", Manner::Silent);
    let study = signed(8);
    let (_, accepted) = lab.submit(&study).await;
    let path = format!("/v1/studies/{}?wait_secs=60&seen={}", study.id(), accepted["version"]);
    let mut polled = Box::pin(lab.get(&path));
    // The poll is under way once it does not answer at once: polled a few times, it is still waiting.
    for _ in 0..50 {
        tokio::select! {
            biased;
            _ = &mut polled => panic!("nothing has changed"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(polled);
    lab.stop().await;
}
