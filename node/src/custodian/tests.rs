//! The way of a round through authority, ledger, engine and gate, in one process and on real files.

mod analyses;
mod caps;
mod desk;
mod discovered;
mod length;
mod relations;
mod rounding;
mod turns;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::Digest;
use bocage_protocol::limits;
use bocage_protocol::release::{CellRelease, Outcome};
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::{Reply, RoundRequest};

use super::data::usable;
use super::ledger::bodies::AttemptState;
use super::*;
use crate::config::environment::read_release_key;
use crate::fixture::{NOW, Site, Still};

fn custodian_with(site: &Site, switches: Switches, progress: Report) -> Custodian {
    let config = site.config();
    std::fs::create_dir_all(&config.state.0).unwrap();
    let ledger = Ledger::open(&config.state.ledger()).unwrap();
    let key = read_release_key(&config.release_key_file).unwrap();
    Custodian::new(config, ledger, key, Arc::new(Still(NOW)), progress, switches)
}

fn custodian(site: &Site) -> Custodian {
    custodian_with(site, Switches::default(), Arc::new(|_| {}))
}

fn ready(site: &Site) -> Custodian {
    let custodian = custodian(site);
    custodian.take_due_snapshots();
    custodian
}

fn reply(frame: &[u8]) -> Reply {
    codec::decode(frame, limits::FRAME_BYTES).unwrap()
}

fn refusal(frame: &[u8]) -> ErrorCode {
    match reply(frame) {
        Reply::Refused(error) => error.code,
        other => panic!("not refused: {other:?}"),
    }
}

fn kinds(custodian: &Custodian) -> Vec<String> {
    let mut kinds = Vec::new();
    custodian.ledger.records(None, |record| kinds.push(record.kind)).unwrap();
    kinds
}

/// A custodian that dies, as far as the ledger can tell, in its next query.
fn die_in_a_query(site: &Site, request: &RoundRequest) -> u64 {
    let custodian = custodian(site);
    let id = request.study.id();
    let entry = Entry::new(Kind::Attempt, id, 0, &Attempt { state: AttemptState::Started });
    custodian.ledger.append(NOW, &[entry]).unwrap()[0].unsigned_abs()
}

#[test]
fn a_round_is_answered_signed_and_recorded_before_it_leaves() {
    let site = Site::new();
    let custodian = ready(&site);
    let frame = custodian.round(&site.request(&site.study()));
    let Reply::Released(signed) = reply(&frame) else { panic!("{:?}", reply(&frame)) };
    let release = signed.verify(&custodian.release_key.public()).unwrap();
    assert_eq!((release.site.as_str(), release.parts.len()), ("cleveland", 2));
    let Outcome::Table(table) = &release.parts[0].outcome else { panic!() };
    let shown = table.cells.iter().filter(|c| matches!(c, CellRelease::Shown { .. })).count();
    assert_eq!(shown, 2);
    assert_eq!(kinds(&custodian), ["snapshot", "request", "decision", "reservation", "attempt", "release"]);
    assert_ne!(release.snapshot, usable(&site.config(), &site.config().datasets["heart"]).unwrap().content);
}

#[test]
fn a_repeat_is_the_same_bytes_even_after_a_restart_and_a_new_snapshot() {
    let site = Site::new();
    let request = site.request(&site.study());
    let first = {
        let custodian = ready(&site);
        // The frame is lost: the process ends after the ledger has it and before anybody was told.
        custodian.round(&request)
    };
    std::fs::write(site.path("heart.csv"), "age,sex,chol\n50,1,200\n").unwrap();
    let again = custodian(&site);
    data::refresh(&again.config, &again.ledger, &again.config.datasets["heart"], None, Why::Refresh, NOW.plus_secs(1))
        .unwrap();
    again.recover(None).unwrap();
    assert_eq!(again.round(&request), first);
    assert_eq!(again.round(&request), first);
    assert_eq!(kinds(&again).iter().filter(|k| *k == "release").count(), 1);
    assert!(again.ledger.verify().unwrap().is_ok());
}

#[test]
fn the_same_round_with_other_steps_is_refused() {
    let site = Site::new();
    let custodian = ready(&site);
    let request = site.request(&site.study());
    custodian.round(&request);
    let other = RoundRequest { steps: request.steps[..1].to_vec(), ..request };
    assert_eq!(refusal(&custodian.round(&other)), ErrorCode::RoundInvalid);
}

#[test]
fn a_refusal_is_recorded_and_a_stranger_cannot_fill_the_ledger_with_studies() {
    let site = Site::new();
    let custodian = ready(&site);
    let mut request = site.request(&site.study());
    request.study.study.push(' ');
    assert_eq!(refusal(&custodian.round(&request)), ErrorCode::NotCanonical);
    let mut payloads = 0;
    custodian.ledger.records(None, |record| payloads += usize::from(record.payload.is_some())).unwrap();
    assert_eq!((kinds(&custodian), payloads), (vec!["snapshot".into(), "request".into(), "refusal".into()], 0));
}

#[test]
fn strangers_without_end_are_refused_and_no_longer_written_down() {
    let site = Site::new();
    let custodian = ready(&site);
    let mut request = site.request(&site.study());
    request.study.study.push(' ');
    for _ in 0..limits::STRANGER_REQUESTS + 3 {
        assert_eq!(refusal(&custodian.round(&request)), ErrorCode::NotCanonical);
        request.study.study.push(' ');
    }
    let written = kinds(&custodian).iter().filter(|kind| *kind == "request").count();
    assert_eq!(written, limits::STRANGER_REQUESTS as usize);
    assert!(matches!(reply(&custodian.round(&site.request(&site.study()))), Reply::Released(_)));
}

#[test]
fn without_a_snapshot_the_round_is_refused_and_the_catalogue_says_so() {
    let site = Site::new();
    std::fs::remove_file(site.path("heart.csv")).unwrap();
    let custodian = ready(&site);
    assert_eq!(refusal(&custodian.round(&site.request(&site.study()))), ErrorCode::SnapshotUnavailable);
    let Reply::Catalogue(catalogue) = reply(&custodian.catalogue()) else { panic!() };
    assert_eq!((catalogue.datasets.len(), catalogue.datasets[0].snapshot_at), (1, None));
    assert!(!kinds(&custodian).contains(&"reservation".to_owned()));
}

#[test]
fn the_catalogue_says_of_which_datasets_nobody_may_ask_without_a_permit() {
    let needs_permit = |site: &Site| {
        let Reply::Catalogue(catalogue) = reply(&ready(site).catalogue()) else { panic!() };
        catalogue.datasets[0].needs_permit
    };
    let site = Site::new();
    assert!(!needs_permit(&site));
    site.edit_config("name = \"Ada\"", "name = \"Ada\"\ndatasets = [\"heart@1\"]");
    assert!(!needs_permit(&site));
    site.edit_config("datasets = [\"heart@1\"]", "datasets = []");
    assert!(needs_permit(&site));
}

#[test]
fn the_particulars_name_absent_columns_and_those_of_a_contract_that_the_coordinator_does_not_hold() {
    let site = Site::new();
    site.write_config("absent = [\"chol\"]");
    let custodian = ready(&site);
    let told = |known: &[Digest]| {
        let Reply::Particulars(particulars) = reply(&custodian.particulars(known)) else { panic!() };
        particulars.datasets
    };
    let hash = custodian.config.datasets["heart"].contract.hash();
    let known = told(&[hash]);
    assert_eq!((known.len(), known[0].absent.len(), &known[0].columns), (1, 1, &None));
    assert_eq!(known[0].absent[0].as_str(), "chol");
    let columns = told(&[Digest::of("another", &[])])[0].columns.clone().unwrap();
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    assert!(names.contains(&"age") && names.contains(&"chol"), "{names:?}");
}

#[test]
fn a_query_that_overran_is_answered_too_heavy_for_good() {
    let site = Site::new();
    let request = site.request(&site.study());
    drop(ready(&site));
    let attempt = die_in_a_query(&site, &request);
    let custodian = custodian(&site);
    custodian.recover(Some(attempt)).unwrap();
    for _ in 0..2 {
        assert_eq!(refusal(&custodian.round(&request)), ErrorCode::QueryTooHeavy);
    }
}

#[test]
fn a_query_in_which_the_custodian_died_is_tried_once_more_and_then_no_more() {
    let site = Site::new();
    let request = site.request(&site.study());
    drop(ready(&site));
    let first = die_in_a_query(&site, &request);
    let once = custodian(&site);
    // The supervisor speaks of another attempt, which had ended by itself.
    once.recover(Some(first + 100)).unwrap();
    assert!(matches!(reply(&once.round(&request)), Reply::Released(_)));
    let heavy = Site::new();
    let request = heavy.request(&heavy.study());
    drop(ready(&heavy));
    for _ in 0..2 {
        die_in_a_query(&heavy, &request);
        custodian(&heavy).recover(None).unwrap();
    }
    assert_eq!(refusal(&custodian(&heavy).round(&request)), ErrorCode::QueryTooHeavy);
}

#[test]
fn a_stop_by_the_operator_is_held_against_no_study() {
    let site = Site::new();
    let request = site.request(&site.study());
    drop(ready(&site));
    for _ in 0..3 {
        die_in_a_query(&site, &request);
        custodian(&site).end_stop();
    }
    let custodian = custodian(&site);
    custodian.recover(None).unwrap();
    assert!(matches!(reply(&custodian.round(&request)), Reply::Released(_)));
}

#[test]
fn a_stopping_custodian_answers_busy() {
    let site = Site::new();
    let custodian = ready(&site);
    custodian.begin_stop();
    assert_eq!(refusal(&custodian.round(&site.request(&site.study()))), ErrorCode::Busy);
}

#[test]
fn every_query_is_reported_with_its_limit_and_ends_idle() {
    let site = Site::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let calls = Arc::new(AtomicU32::new(0));
    let (report, count) = (Arc::clone(&seen), Arc::clone(&calls));
    let switches = Switches {
        before_query: Some(Arc::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        })),
        ..Switches::default()
    };
    let custodian = custodian_with(&site, switches, Arc::new(move |p| report.lock().unwrap().push(p)));
    custodian.take_due_snapshots();
    custodian.round(&site.request(&site.study()));
    let working = Progress::Working { attempt: 5, limit: Duration::from_secs(60) };
    assert_eq!(*seen.lock().unwrap(), [working.clone(), working, Progress::Idle]);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[test]
fn a_panic_in_a_query_is_an_internal_error_and_the_custodian_lives_on() {
    let site = Site::new();
    let switches = Switches { before_query: Some(Arc::new(|_| panic!("a patient's value"))), ..Switches::default() };
    let panicking = custodian_with(&site, switches, Arc::new(|_| {}));
    panicking.take_due_snapshots();
    let request = site.request(&site.study());
    let Reply::Refused(error) = reply(&panicking.round(&request)) else { panic!() };
    assert_eq!(error.code, ErrorCode::Internal);
    assert!(!error.to_string().contains("patient"));
    assert_eq!(panicking.ledger.in_flight().unwrap(), None);
}

#[test]
fn a_study_stays_on_the_snapshot_of_its_first_round() {
    let site = Site::new();
    let request = site.request(&site.study());
    let custodian = ready(&site);
    let before = usable(&custodian.config, &custodian.config.datasets["heart"]).unwrap().content;
    let body = ledger::bodies::Reservation {
        snapshot: before,
        left_out: None,
        groups_out: None,
        related: vec![],
        steps: ledger::bodies::StepAsked::all(&request.steps),
        spend: vec![],
        account: None,
        further_rounds: 0,
    };
    custodian.ledger.append(NOW, &[Entry::new(Kind::Reservation, request.study.id(), 0, &body)]).unwrap();
    let text = std::fs::read_to_string(site.path("heart.csv")).unwrap();
    std::fs::write(site.path("heart.csv"), format!("{text}44,1,201\n")).unwrap();
    let dataset = &custodian.config.datasets["heart"];
    let new = data::refresh(&custodian.config, &custodian.ledger, dataset, None, Why::Refresh, NOW).unwrap();
    assert_ne!(new.content, before);
    assert_eq!(*custodian.snapshot_for(dataset, Some(before)).unwrap().content_hash(), before);
    assert!(matches!(reply(&custodian.round(&request)), Reply::Released(_)));
    let history = custodian.ledger.history(&request.study.id()).unwrap();
    assert_eq!(history.begun(0).map(|begun| begun.snapshot), Some(before));
}

#[test]
fn the_ledger_shows_what_left_cell_by_cell() {
    let site = Site::new();
    let custodian = ready(&site);
    custodian.round(&site.request(&site.study()));
    let config = crate::config::Config::load(&site.origin()).unwrap();
    let mut reader = ledger::show::Reader::new(&config.contracts);
    let mut left = Vec::new();
    custodian.ledger.records(None, |record| left.extend(reader.show(record).left)).unwrap();
    assert_eq!(left.len(), 2);
    assert_eq!((left[0].analysis.as_str(), left[0].cells[0].cell.join(",").as_str()), ("by_sex", "sex = female"));
    assert_eq!(left[0].cells[0].count.unwrap().subjects, 30);
    let chol = &left[0].cells[0].measures[0];
    // 180 + 2 i for even i below 60.
    assert_eq!((chol.measure.as_str(), chol.sum.unwrap().round()), ("chol", 7140.0));
}

#[test]
fn when_the_ledger_cannot_be_written_nothing_is_computed_and_nothing_leaves() {
    let site = Site::new();
    let custodian = ready(&site);
    custodian.ledger.make_unwritable(true);
    let request = site.request(&site.study());
    assert_eq!(refusal(&custodian.round(&request)), ErrorCode::LedgerUnavailable);
    assert_eq!(kinds(&custodian), ["snapshot"]);
}

#[test]
fn where_the_disk_takes_no_more_a_custodian_is_not_ready_and_says_why() {
    let site = Site::new();
    assert_eq!(ready(&site).readiness(), Ok(()));
    site.edit_config("[policy]", "[snapshots]\nmin_free_mib = 4294967295\n[policy]");
    let why = custodian(&site).readiness().unwrap_err();
    assert!(why.contains("state: ") && why.contains(" MiB free; make room, or move the folder"), "{why}");
}

#[test]
fn a_release_that_cannot_be_recorded_does_not_leave_and_can_be_computed_later() {
    let site = Site::new();
    let request = site.request(&site.study());
    let own: Arc<std::sync::OnceLock<std::sync::Weak<Custodian>>> = Arc::default();
    let within = Arc::clone(&own);
    let switches = Switches {
        before_query: Some(Arc::new(move |_| within.get().unwrap().upgrade().unwrap().ledger.make_unwritable(true))),
        ..Switches::default()
    };
    let failing = Arc::new(custodian_with(&site, switches, Arc::new(|_| {})));
    own.set(Arc::downgrade(&failing)).unwrap();
    failing.take_due_snapshots();
    assert_eq!(refusal(&failing.round(&request)), ErrorCode::LedgerUnavailable);
    drop(failing);
    let later = custodian(&site);
    later.recover(None).unwrap();
    assert!(matches!(reply(&later.round(&request)), Reply::Released(_)));
    assert_eq!(kinds(&later).iter().filter(|k| *k == "reservation").count(), 1);
}

#[test]
fn the_ledger_says_in_words_what_was_decided_about() {
    let site = Site::new();
    let custodian = custodian(&site);
    custodian.take_due_snapshots();
    custodian.round(&site.request(&site.study()));
    let mut told = Vec::new();
    let note = |record: super::ledger::Record| {
        if record.kind == "decision" {
            told.push(record.body::<super::ledger::bodies::Decision>().unwrap().explained);
        }
    };
    custodian.ledger.records(None, note).unwrap();
    assert_eq!((told.len(), told[0].len()), (1, site.study().analyses.len()), "{told:?}");
    for text in told[0].values() {
        assert!(
            text.starts_with("Reads ") && text.contains("numbers may leave") && text.contains(" rows, in "),
            "{text}"
        );
    }
}
