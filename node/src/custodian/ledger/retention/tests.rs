//! Dropping: what goes, what stays, what still verifies, and what becomes of whoever asks for what is gone.

use bocage_protocol::error::ErrorCode;
use bocage_protocol::trust::SignedStudy;
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::Reply;
use proptest::prelude::*;

use super::super::bodies::AttemptState;
use super::super::tests::{attempt, study};
use super::super::{Entry, Kind};
use super::*;
use crate::fixture::{NOW, Site, Still};

const DAY: i64 = 86_400;

fn entry(kind: Kind, n: u8, payload: &[u8]) -> Entry {
    Entry::new(kind, study(n), 0, &()).payload(payload.to_vec())
}

fn in_days(days: i64) -> Timestamp {
    Timestamp(1_000_000).plus_secs(days * DAY)
}

fn ledger() -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
    (dir, ledger)
}

#[test]
fn old_payloads_go_and_the_chain_still_verifies_and_says_how_many() {
    let (dir, ledger) = ledger();
    let secret = b"what left, byte for byte";
    ledger.append(in_days(0), &[entry(Kind::Request, 1, b"study"), entry(Kind::Release, 1, secret)]).unwrap();
    ledger.append(in_days(300), &[entry(Kind::Request, 2, b"study"), entry(Kind::Release, 2, b"young")]).unwrap();
    let before = ledger.verify().unwrap().unwrap();
    assert_eq!(ledger.drop_payloads(0, in_days(100_000)).unwrap(), 0);
    assert_eq!(ledger.drop_payloads(200, in_days(310)).unwrap(), 2);
    assert_eq!(ledger.drop_payloads(200, in_days(311)).unwrap(), 0);
    let after = ledger.verify().unwrap().unwrap();
    assert_eq!((after.head, after.records, after.dropped), (before.head, 4, 2));
    assert_eq!(ledger.payload(2).unwrap(), None);
    let kept = Dropped { hash: payload_hash(secret), at: in_days(310) };
    assert_eq!((ledger.dropped(2).unwrap(), ledger.dropped(4).unwrap()), (Some(kept), None));
    assert_eq!(ledger.payload(4).unwrap().as_deref(), Some(&b"young"[..]));
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "the bytes are still on the disk");
    }
}

#[test]
fn nothing_of_a_study_goes_that_may_still_ask() {
    let site = Site::new();
    let text = site.study();
    let (_dir, ledger) = ledger();
    let signed = site.request(&text).study;
    let of_study = |kind, payload: Vec<u8>| Entry::new(kind, signed.id(), 0, &()).payload(payload);
    let envelope = serde_json::to_vec::<SignedStudy>(&signed).unwrap();
    ledger.append(NOW, &[of_study(Kind::Request, envelope), of_study(Kind::Release, vec![1])]).unwrap();
    let end = text.expires_at.plus_secs(limits::CLOCK_TOLERANCE_SECS);
    assert!(end > NOW.plus_secs(DAY));
    assert_eq!(ledger.drop_payloads(1, end).unwrap(), 0);
    assert_eq!(ledger.drop_payloads(1, end.plus_secs(1)).unwrap(), 2);
    // One whose text cannot be read counts as open for as long as one may be.
    ledger.append(in_days(0), &[entry(Kind::Release, 9, b"x")]).unwrap();
    let longest = in_days(0).plus_secs(limits::STUDY_LIFE_SECS);
    assert_eq!(ledger.drop_payloads(1, longest).unwrap(), 0);
    assert_eq!(ledger.drop_payloads(1, longest.plus_secs(DAY)).unwrap(), 1);
}

#[test]
fn the_text_of_a_study_that_only_waited_goes_when_it_has_expired() {
    let site = Site::new();
    let text = site.study();
    let (_dir, ledger) = ledger();
    let signed = site.request(&text).study;
    let envelope = serde_json::to_vec::<SignedStudy>(&signed).unwrap();
    ledger.append(NOW, &[Entry::of_study(Kind::Pending, signed.id(), &()).payload(envelope.clone())]).unwrap();
    let end = text.expires_at.plus_secs(limits::CLOCK_TOLERANCE_SECS);
    assert_eq!(ledger.drop_payloads(1, end).unwrap(), 0, "its end is read from the text that waits");
    assert_eq!(ledger.drop_payloads(1, end.plus_secs(1)).unwrap(), 1);
    assert_eq!(ledger.payload(1).unwrap(), None);
    assert_eq!(ledger.dropped(1).unwrap().map(|dropped| dropped.hash), Some(payload_hash(&envelope)));
    assert_eq!(ledger.verify().unwrap().unwrap().dropped, 1);
}

#[test]
fn a_record_allows_no_other_change_than_its_payload_for_its_hash() {
    let (_dir, ledger) = ledger();
    ledger.append(in_days(0), &[entry(Kind::Release, 1, b"a"), entry(Kind::Release, 2, b"b")]).unwrap();
    let connection = ledger.lock();
    let refused = |sql: &str| assert!(connection.execute(sql, []).is_err(), "{sql}");
    refused("UPDATE record SET payload = NULL WHERE seq = 1");
    connection.execute("INSERT INTO dropped VALUES (1, 'hash', 5)", []).unwrap();
    refused("UPDATE record SET payload = x'00' WHERE seq = 1");
    refused("UPDATE record SET payload = NULL, at_ms = 5 WHERE seq = 1");
    refused("UPDATE record SET payload = NULL, body = '1' WHERE seq = 1");
    refused("UPDATE record SET payload = NULL");
    refused("UPDATE dropped SET at_ms = 6");
    refused("DELETE FROM dropped");
    connection.execute("UPDATE record SET payload = NULL WHERE seq = 1", []).unwrap();
    drop(connection);
    assert_eq!(ledger.verify().unwrap().unwrap_err().seq, 1, "the hash that stands beside it is another one");
}

#[test]
fn a_ledger_that_was_begun_before_there_was_dropping_verifies_and_can_drop() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.sqlite");
    let ledger = Ledger::open(&path).unwrap();
    ledger.append(in_days(0), &[entry(Kind::Release, 1, b"a")]).unwrap();
    drop(ledger);
    let before = "DROP TABLE dropped; DROP TRIGGER record_no_update;
        CREATE TRIGGER record_no_update BEFORE UPDATE ON record BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;";
    Connection::open(&path).unwrap().execute_batch(before).unwrap();
    let old = Ledger::open_read_only(&path).unwrap();
    assert_eq!(old.verify().unwrap().unwrap().dropped, 0);
    assert_eq!(old.dropped(1).unwrap(), None);
    drop(old);
    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(ledger.drop_payloads(1, in_days(500)).unwrap(), 1);
    assert_eq!(Ledger::open_read_only(&path).unwrap().verify().unwrap().unwrap().dropped, 1);
}

#[test]
fn a_release_whose_bytes_are_gone_is_refused_with_a_code_of_its_own_and_never_computed_again() {
    let site = Site::new();
    site.write_config("[ledger]\nkeep_payloads_days = 30");
    let request = site.request(&site.study());
    let at = |now| {
        let config = site.config();
        std::fs::create_dir_all(&config.state.0).unwrap();
        let ledger = Ledger::open(&config.state.ledger()).unwrap();
        let key = crate::config::environment::read_release_key(&config.release_key_file).unwrap();
        let (clock, report) = (std::sync::Arc::new(Still(now)), std::sync::Arc::new(|_| {}));
        let custodian = crate::custodian::Custodian::new(config, ledger, key, clock, report, Default::default());
        custodian.take_due_snapshots();
        custodian.drop_old_payloads();
        custodian
    };
    let ask = |now| codec::decode::<Reply>(&at(now).round(&request), limits::FRAME_BYTES).unwrap();
    let first = ask(NOW);
    assert!(matches!(first, Reply::Released(_)));
    assert_eq!(ask(NOW.plus_secs(29 * DAY)), first, "the same bytes, with the old checkpoint");
    let Reply::Refused(error) = ask(NOW.plus_secs(31 * DAY)) else { panic!("it left again") };
    assert_eq!(error.code, ErrorCode::ReleaseDropped);
    assert!(error.hint.is_some());
    let ledger = Ledger::open_read_only(&site.config().state.ledger()).unwrap();
    let mut releases = 0;
    ledger.records(None, |record| releases += u32::from(record.kind() == Some(Kind::Release))).unwrap();
    assert_eq!((releases, ledger.verify().unwrap().unwrap().dropped), (1, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_was_written_and_whenever_it_is_dropped_the_chain_verifies_to_the_same_head(
        writes in proptest::collection::vec((0u8..4, 0i64..40, 0usize..4, any::<bool>()), 1..30),
        keep in 1u32..300,
        now in 0i64..600,
    ) {
        let (_dir, ledger) = ledger();
        let mut day = 0;
        for (study, later, size, release) in writes {
            day += later;
            let kind = if release { Kind::Release } else { Kind::Request };
            let bytes = vec![study; size];
            ledger.append(in_days(day), &[entry(kind, study, &bytes), attempt(study, AttemptState::Died)]).unwrap();
        }
        let before = ledger.verify().unwrap().unwrap();
        let dropped = ledger.drop_payloads(keep, in_days(now)).unwrap();
        let after = ledger.verify().unwrap().unwrap();
        prop_assert_eq!((after.head, after.records, after.dropped), (before.head, before.records, dropped));
    }
}
