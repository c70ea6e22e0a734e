//! Cells are counted before anything is computed, once for each question, whatever happens to the process.

use std::collections::BTreeSet;

use bocage_protocol::trust::{Permit, Revocations, SignedPermit, SignedRevocations, SignedStudy, Study};

use super::*;

/// A site that wants permits; a study of one cell, told apart by its nonce, about rows older than `age`.
fn site() -> Site {
    let site = Site::new();
    site.require_permit();
    site
}

pub(super) fn one_cell(site: &Site, nonce: u32, filter: &str) -> Study {
    let text = format!(
        "title = \"t\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\nmin_sites = 1\nwhere = \"{filter}\"\n\
         [[analysis]]\nname = \"n{nonce}\"\ntable = {{ show = [\"count\"] }}"
    );
    Study { nonce: format!("{nonce:032x}"), ..site.study_of(&text) }
}

fn capped(site: &Site, max_cells: u64) -> Permit {
    Permit { max_cells, ..site.permit() }
}

fn spent(custodian: &Custodian, request: &RoundRequest) -> u64 {
    let study = request.study.verify().unwrap();
    let account = ledger::bodies::Account {
        permit: study.permit.map(|p| p.digest),
        access_body: None,
        researcher: study.researcher,
        purpose: study.purpose,
        dataset: study.dataset,
        related: vec![],
        expires_at: study.expires_at,
    };
    custodian.ledger.books(|books| books.spent(&account, &account.dataset)).unwrap()
}

fn code(frame: &[u8]) -> Option<ErrorCode> {
    match reply(frame) {
        Reply::Released(_) => None,
        Reply::Refused(error) | Reply::Pending(error) => Some(error.code),
        Reply::Catalogue(_) | Reply::Particulars(_) | Reply::Witnessed => panic!("a catalogue"),
    }
}

#[test]
fn a_permits_cells_run_out_and_what_was_answered_stays_free_even_after_a_restart() {
    let site = site();
    let permit = capped(&site, 2);
    let ask = |custodian: &Custodian, nonce, filter: &str| {
        code(&custodian.round(&site.request_under(&one_cell(&site, nonce, filter), &permit)))
    };
    let custodian = ready(&site);
    assert_eq!(ask(&custodian, 1, "age > 30"), None);
    assert_eq!(ask(&custodian, 2, "age > 45"), None);
    assert_eq!(ask(&custodian, 3, "age > 46"), Some(ErrorCode::CapReached));
    assert_eq!(ask(&custodian, 4, "age > 45"), None, "answered before");
    drop(custodian);
    let custodian = ready(&site);
    assert_eq!(ask(&custodian, 5, "age > 46"), Some(ErrorCode::CapReached));
    assert_eq!(ask(&custodian, 6, "age > 30"), None);
    let other = Permit { nonce: "cd".repeat(16), ..permit.clone() };
    let request = site.request_under(&one_cell(&site, 7, "age > 30"), &other);
    assert_eq!(
        (code(&custodian.round(&request)), spent(&custodian, &request)),
        (None, 1),
        "another permit pays itself"
    );
}

#[test]
fn the_sites_own_cap_holds_for_researchers_without_a_permit_too() {
    let site = Site::new();
    site.edit_config("[policy]", "[policy]\nmax_cells = 1");
    let custodian = ready(&site);
    let ask = |nonce, filter: &str| code(&custodian.round(&site.request(&one_cell(&site, nonce, filter))));
    assert_eq!((ask(1, "age > 30"), ask(2, "age > 31")), (None, Some(ErrorCode::CapReached)));
    assert_eq!(ask(3, "age > 30"), None);
}

#[test]
fn any_number_of_repeats_in_any_words_and_over_restarts_is_one_answer_and_one_count() {
    const WORDS: [&str; 6] = [
        "age > 40 and sex = '1'",
        "sex = '1' and 40 < age",
        "not (age <= 40 or sex <> '1')",
        "age > 40.0 and sex in ('1') and age > 40",
        "not not (sex in ('1', '1') and age > 20 + 20)",
        "(age > 40 and sex = '1') or 1 = 2",
    ];
    let scale: u32 = std::env::var("BOCAGE_TEST_SCALE").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let site = site();
    let permit = capped(&site, 1);
    let first = WORDS.map(|words| {
        let request = site.request_under(&one_cell(&site, 0, words), &permit);
        (request.study.verify().unwrap(), request)
    });
    let (mut answers, mut custodian) = (BTreeSet::new(), ready(&site));
    // Each is signed, judged and recorded: all 10,000 in the soak.
    let repeats: u32 = if scale < 10 { 200 } else { 10_000 };
    for nonce in 0..repeats {
        if nonce % (repeats / 4) == 49 {
            drop(custodian);
            custodian = ready(&site);
        }
        let (study, request) = &first[nonce as usize % WORDS.len()];
        let study = Study { nonce: format!("{nonce:032x}"), ..study.clone() };
        let signed = SignedStudy::sign(&study, &site.researcher).unwrap();
        let request = RoundRequest { study: signed.with_permit(request.study.permit.clone()), ..request.clone() };
        let Reply::Released(signed) = reply(&custodian.round(&request)) else { panic!("{nonce} is not answered") };
        let release = signed.verify(&custodian.release_key.public()).unwrap();
        answers.insert(codec::encode(&release.parts[0].outcome).unwrap());
    }
    assert_eq!((answers.len(), spent(&custodian, &first[0].1)), (1, 1));
}

#[test]
fn of_64_studies_at_once_no_more_are_answered_than_the_cap_allows() {
    let site = site();
    let permit = capped(&site, 10);
    let custodian = ready(&site);
    let requests: Vec<RoundRequest> =
        (0..64).map(|i| site.request_under(&one_cell(&site, i, &format!("age > {}", 20 + i)), &permit)).collect();
    let answered = std::thread::scope(|scope| {
        let asking: Vec<_> = requests.iter().map(|r| scope.spawn(|| code(&custodian.round(r)))).collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).filter(Option::is_none).count()
    });
    assert_eq!((answered, spent(&custodian, &requests[0])), (10, 10));
}

#[test]
fn a_death_after_the_reservation_refunds_nothing_and_the_retry_costs_nothing() {
    let site = site();
    let permit = capped(&site, 1);
    let request = site.request_under(&one_cell(&site, 1, "age > 30"), &permit);
    let other = site.request_under(&one_cell(&site, 2, "age > 31"), &permit);
    let dying = Switches {
        at: Some(Arc::new(|moment| assert_ne!(moment, Moment::Reserved, "dies here"))),
        ..Switches::default()
    };
    let custodian = custodian_with(&site, dying, Arc::new(|_| {}));
    custodian.take_due_snapshots();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| custodian.round(&request))).is_err());
    drop(custodian);
    let custodian = ready(&site);
    custodian.recover(None).unwrap();
    assert_eq!(code(&custodian.round(&other)), Some(ErrorCode::CapReached));
    assert_eq!((code(&custodian.round(&request)), spent(&custodian, &request)), (None, 1));
}

#[test]
fn a_study_waits_in_quiet_hours_and_for_its_turn_and_what_left_is_repeated_at_any_time() {
    // NOW is 14:13 in the afternoon.
    let site = Site::new();
    let first = site.request(&one_cell(&site, 1, "age > 30"));
    let second = site.request(&one_cell(&site, 2, "age > 31"));
    site.edit_config("[policy]", "[policy]\nper_day = 1");
    let custodian = ready(&site);
    assert_eq!(code(&custodian.round(&first)), None);
    let later = reply(&custodian.round(&second));
    let Reply::Pending(error) = later else { panic!("{later:?}") };
    assert_eq!(error.code, ErrorCode::PolicyLater);
    let records = kinds(&custodian).len();
    assert_eq!(code(&custodian.round(&second)), Some(ErrorCode::PolicyLater));
    assert_eq!(kinds(&custodian).len(), records, "asking again fills no ledger");
    drop(custodian);
    site.edit_config("per_day = 1", "per_day = 2");
    assert_eq!(code(&ready(&site).round(&second)), None);
    let hour = NOW.0.rem_euclid(86_400_000) / 3_600_000;
    site.edit_config("per_day = 2", &format!("quiet = [\"{hour:02}:00-{:02}:00\"]", (hour + 1) % 24));
    let custodian = ready(&site);
    let third = site.request(&one_cell(&site, 3, "age > 32"));
    assert_eq!(code(&custodian.round(&third)), Some(ErrorCode::PolicyLater));
    assert_eq!(code(&custodian.round(&first)), None);
}

#[test]
fn a_study_that_a_dead_process_left_open_counts_until_it_is_answered() {
    let site = Site::new();
    site.edit_config("[policy]", "[policy]\nconcurrent = 1");
    let first = site.request(&one_cell(&site, 1, "age > 30"));
    let second = site.request(&one_cell(&site, 2, "age > 31"));
    let dying = Switches {
        at: Some(Arc::new(|moment| assert_ne!(moment, Moment::Reserved, "dies here"))),
        ..Switches::default()
    };
    let custodian = custodian_with(&site, dying, Arc::new(|_| {}));
    custodian.take_due_snapshots();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| custodian.round(&first))).is_err());
    let custodian = ready(&site);
    custodian.recover(None).unwrap();
    assert_eq!(code(&custodian.round(&second)), Some(ErrorCode::PolicyLater));
    assert_eq!((code(&custodian.round(&first)), code(&custodian.round(&second))), (None, None));
}

#[test]
fn the_newest_list_of_revoked_permits_outlives_the_process_and_a_coordinator_cannot_take_it_back() {
    let site = site();
    let request = site.request_under(&one_cell(&site, 1, "age > 30"), &site.permit());
    let permit = request.study.permit.clone().unwrap();
    let with = |list| RoundRequest { revocations: list, ..request.clone() };
    let custodian = ready(&site);
    assert_eq!(code(&custodian.round(&with(None))), Some(ErrorCode::RevocationsStale));
    let stranger = Site::new();
    assert_eq!(code(&custodian.round(&with(Some(stranger.list(9, &[]))))), Some(ErrorCode::RevocationsStale));
    assert_eq!(code(&custodian.round(&with(Some(site.list(1, &[]))))), None);
    assert_eq!(code(&custodian.round(&with(Some(site.list(3, &[&permit]))))), Some(ErrorCode::PermitRevoked));
    drop(custodian);
    let custodian = ready(&site);
    for withheld in [None, Some(site.list(2, &[])), Some(stranger.list(9, &[]))] {
        assert_eq!(code(&custodian.round(&with(withheld))), Some(ErrorCode::PermitRevoked));
    }
    assert!(custodian.ledger.verify().unwrap().is_ok());
    assert_eq!(kinds(&custodian).iter().filter(|kind| *kind == "revocations").count(), 2);
}

#[test]
fn a_list_of_revoked_permits_of_the_future_is_not_taken_for_it_would_never_be_too_old() {
    let site = site();
    let mut custodian = ready(&site);
    let mut request = site.request_under(&one_cell(&site, 1, "age > 30"), &site.permit());
    let issued_at = NOW.plus_secs(limits::CLOCK_TOLERANCE_SECS + 1);
    let list = Revocations { issued_at, ..Revocations::first(site.body.public(), NOW) };
    request.revocations = Some(SignedRevocations::sign(&list, &site.body).unwrap());
    for _ in 0..2 {
        assert_eq!(code(&custodian.round(&request)), Some(ErrorCode::RevocationsStale));
    }
    assert!(!kinds(&custodian).contains(&"revocations".to_owned()));
    // The same bytes, when their time has come: what was not taken was not heard.
    custodian.clock = Arc::new(Still(NOW.plus_secs(1)));
    assert_eq!(code(&custodian.round(&request)), None);
}

#[test]
fn a_signer_who_is_refused_without_end_hears_the_same_each_time_and_fills_no_ledger() {
    let site = site();
    let custodian = ready(&site);
    let permit = site.permit();
    let signed = SignedPermit::sign(&permit, &site.body).unwrap();
    let ask = |nonce| {
        let mut request = site.request_under(&one_cell(&site, nonce, "age > 30"), &permit);
        request.revocations = Some(site.list(2, &[&signed]));
        code(&custodian.round(&request))
    };
    for nonce in 0..limits::WRITTEN_REFUSALS + 50 {
        assert_eq!(ask(nonce), Some(ErrorCode::PermitRevoked));
    }
    let written = |kind| kinds(&custodian).iter().filter(|k| *k == kind).count();
    assert_eq!(written("request"), limits::WRITTEN_REFUSALS as usize);
    custodian.end_stop();
    let mut sums = Vec::new();
    custodian.ledger.records(None, |record| sums.extend(record.study.is_none().then_some(record.body))).unwrap();
    let says = format!("50 more requests of {} were refused", site.researcher.public());
    assert_eq!(sums.iter().filter(|body| body.contains(&says)).count(), 1, "{sums:?}");
}
