//! Studies of more than one round.

use bocage_protocol::trust::SignedStudy;

use crate::api::types::{SiteStatus, StudyStatus};
use crate::bench::{Lab, Manner, RESEARCHER, SITES, STUDY, TestClock, key, signed, study};

const FIT: &str = "\n[[analysis]]\nname = \"fit\"\nmodel = { formula = \"sick ~ age\" }\n";

fn answered(status: &StudyStatus) -> usize {
    status.sites.iter().filter(|site| site.status == SiteStatus::Answered).count()
}

#[tokio::test]
async fn each_round_has_its_own_time_to_answer_and_keeps_it_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::new();
    let mut lab = Lab::start(dir.path(), clock.clone()).await;
    for name in &SITES[..3] {
        lab.node(name, Manner::OneRound);
    }
    let text = format!("{}{FIT}", STUDY.split("[[analysis]]").next().unwrap());
    let fit = SignedStudy::sign(&study(&text, &SITES, 1), &key(RESEARCHER)).unwrap();
    lab.submit(&fit).await;
    let first = lab.until(fit.id(), |status| answered(status) == 3).await;
    clock.advance_secs(550);
    lab.node(SITES[3], Manner::OneRound);
    let second = lab.until(fit.id(), |status| status.answer_by > first.answer_by).await;
    let later = second.answer_by.since_ms(first.answer_by) / 1000;
    assert!((550..600).contains(&later), "{later} s: the time that had passed when the second round began");
    lab.stop().await;

    clock.advance_secs(300);
    let mut lab = Lab::start(dir.path(), clock.clone()).await;
    lab.node(SITES[3], Manner::Honest);
    let other = signed(2);
    lab.submit(&other).await;
    lab.until(other.id(), |status| answered(status) == 1).await;
    assert_eq!(lab.until(fit.id(), |_| true).await.answer_by, second.answer_by);
    lab.stop().await;
}
