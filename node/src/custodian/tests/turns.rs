//! How many studies are open at a time, where some of them have several rounds.

use bocage_protocol::analysis::{RoundState, Spec};
use bocage_protocol::trust::Study;

use super::caps::one_cell;
use super::*;

const MODEL: &str = r#"
title = "A fit"
purpose = "scientific_research"
dataset = "heart@1"
min_sites = 1
[[analysis]]
name = "fit"
model = { formula = "chol ~ age" }
"#;

/// A site that answers so many studies at a time.
fn site(limits: &str) -> Site {
    let site = Site::new();
    site.edit_config("[policy]", &format!("[policy]\n{limits}"));
    site
}

fn model(site: &Site, nonce: u32) -> Study {
    Study { nonce: format!("{nonce:032x}"), ..site.study_of(MODEL) }
}

/// A step of the fit: the first, or a later one a little further on each time.
fn step(site: &Site, study: &Study, round: u16) -> RoundRequest {
    let mut request = site.request(study);
    request.round = round;
    if round > 0 {
        let Spec::Model(spec) = &study.analyses[0].spec else { panic!("no model") };
        let mut at = spec.start();
        at.beta.iter_mut().for_each(|beta| *beta = f64::from(round) / 64.0);
        request.steps[0].state = RoundState::At(at);
    }
    request
}

/// At a site at a time: nothing if it released, and else the code.
fn asked(site: &Site, now: Timestamp, request: &RoundRequest) -> Option<ErrorCode> {
    let mut custodian = custodian(site);
    custodian.clock = Arc::new(Still(now));
    custodian.take_due_snapshots();
    match reply(&custodian.round(request)) {
        Reply::Released(_) => None,
        Reply::Refused(error) | Reply::Pending(error) => Some(error.code),
        other => panic!("{other:?}"),
    }
}

const LATER: Option<ErrorCode> = Some(ErrorCode::PolicyLater);

#[test]
fn a_fit_is_open_between_its_rounds_and_no_other_study_comes_between_them() {
    let site = site("concurrent = 1");
    let (first, second) = (model(&site, 1), model(&site, 2));
    let table = site.request(&one_cell(&site, 3, "age > 30"));
    assert_eq!(asked(&site, NOW, &step(&site, &first, 0)), None);
    for round in 1..4 {
        let now = NOW.plus_secs(i64::from(round) * 30);
        assert_eq!(asked(&site, now, &step(&site, &second, 0)), LATER, "before round {round}");
        assert_eq!(asked(&site, now, &table), LATER, "before round {round}");
        assert_eq!(asked(&site, now, &step(&site, &first, round)), None, "its own round {round}");
    }
    let over = NOW.plus_secs(90 + limits::STUDY_IDLE_SECS);
    assert_eq!(asked(&site, over.plus_secs(-1), &step(&site, &second, 0)), LATER);
    assert_eq!(asked(&site, over, &step(&site, &second, 0)), None, "the first seems to have ended");
    assert_eq!(
        asked(&site, over.plus_secs(1), &step(&site, &first, 4)),
        None,
        "and goes on all the same, having begun"
    );
}

#[test]
fn the_last_round_that_a_fit_can_have_makes_room_for_the_next_study() {
    let site = site("concurrent = 1");
    let study = model(&site, 1);
    for round in [0, limits::MODEL_ROUNDS - 1] {
        assert_eq!(asked(&site, NOW, &step(&site, &study, round)), None);
    }
    assert_eq!(asked(&site, NOW, &step(&site, &model(&site, 2), 0)), None);
}

#[test]
fn a_fit_that_goes_on_after_a_day_has_not_begun_once_more() {
    let site = site("per_day = 1");
    let study = model(&site, 1);
    assert_eq!(asked(&site, NOW, &step(&site, &study, 0)), None);
    let after_a_day = NOW.plus_secs(86_400 + 1);
    // Another reservation is what makes the books forget.
    assert_eq!(asked(&site, after_a_day, &step(&site, &model(&site, 2), 0)), None);
    let after_two = NOW.plus_secs(2 * 86_400 + 2);
    assert_eq!(asked(&site, after_two, &step(&site, &study, 1)), None);
    assert_eq!(asked(&site, after_two, &site.request(&one_cell(&site, 3, "age > 30"))), None, "the first of this day");
}
