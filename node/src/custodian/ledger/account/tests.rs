//! What the records of a study add up to.

use super::super::tests::{attempt, study};
use super::super::{Entry, bodies::StepAsked};
use super::*;
use bocage_protocol::error::{ErrorCode, PublicError};

fn ledger() -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
    (dir, ledger)
}

fn asked(n: u8) -> Entry {
    Entry::new(Kind::Request, study(n), 0, &bodies::Request { study: None, steps: StepAsked::all(&[]) })
}

fn refused(n: u8) -> Entry {
    let error = PublicError::new(ErrorCode::SignerUnknown, "who is that");
    Entry::new(Kind::Refusal, study(n), 0, &Refusal { error, r#final: false })
}

fn released(n: u8) -> Entry {
    let part =
        bodies::ReleasedPart { analysis: "a".parse().unwrap(), shown: 4, hidden: 2, refused: None, question: None };
    Entry::new(Kind::Release, study(n), 0, &Released { bytes: 9, parts: vec![part] })
}

fn pending(n: u8) -> Entry {
    let key = bocage_protocol::trust::SecretKey::generate(&mut bocage_net::env::SystemEntropy).public();
    let study_of = bodies::About {
        title: "Waits".to_owned(),
        purpose: bocage_protocol::trust::Purpose::Education,
        researcher: "Ada".to_owned(),
        organisation: None,
        permit: None,
        access_body: None,
        key,
        dataset: "heart@1".parse().unwrap(),
        related: vec![],
        analyses: vec![],
    };
    let body = bodies::desk::Pending {
        study: study_of,
        why: "rule 1".to_owned(),
        policy: Digest::of("policy", &[]),
        persons: 1,
        until: Timestamp(99),
        asks: vec![],
        terms: None,
    };
    Entry::new(Kind::Pending, study(n), 0, &body)
}

#[test]
fn a_study_that_waits_for_the_steward_is_told_with_who_asks_and_until_when() {
    let (_dir, ledger) = ledger();
    ledger.append(Timestamp(5), &[pending(1), pending(2), released(2)]).unwrap();
    let found = ledger.accounts(&Window::default()).unwrap().studies;
    assert_eq!(found.iter().map(Account::state).collect::<Vec<_>>(), [State::Waiting, State::Released]);
    let about = found[0].about.as_ref().map(|about| about.researcher.as_str());
    assert_eq!((about, found[0].expires_at), (Some("Ada"), Some(Timestamp(99))));
    assert!(found[0].others.is_empty());
}

#[test]
fn a_study_stands_as_its_last_records_say() {
    let (_dir, ledger) = ledger();
    let entries = [
        asked(1),
        attempt(1, AttemptState::Started),
        released(1),
        asked(2),
        refused(2),
        asked(3),
        attempt(3, AttemptState::Started),
        asked(4),
    ];
    ledger.append(Timestamp(5), &entries).unwrap();
    let found = ledger.accounts(&Window::default()).unwrap().studies;
    let states: Vec<_> = found.iter().map(Account::state).collect();
    assert_eq!(states, [State::Released, State::Refused, State::Computing, State::Asked]);
    assert_eq!(found[0].cells(), Cells { shown: 4, hidden: 2, again: 0 });
    assert_eq!(found[1].decision(), "refused: signer_unknown");
}

#[test]
fn a_record_of_a_kind_or_form_that_is_not_known_is_kept_as_it_stands() {
    let (dir, ledger) = ledger();
    ledger.append(Timestamp(5), &[asked(1), attempt(1, AttemptState::Started)]).unwrap();
    drop(ledger);
    let path = dir.path().join("ledger.sqlite");
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch(
        "DROP TRIGGER record_no_update; UPDATE record SET kind = 'oracle', body = '{\"said\":\"yes\"}' WHERE seq = 2",
    )
    .unwrap();
    file.execute("UPDATE record SET kind = 'decision', body = '[1]' WHERE seq = 1", []).unwrap();
    drop(file);
    let found = Ledger::open_read_only(&path).unwrap().accounts(&Window::default()).unwrap().studies;
    let kinds: Vec<_> = found[0].others.iter().map(|other| (other.kind.as_str(), other.body.to_string())).collect();
    assert_eq!(kinds, [("decision", "[1]".to_owned()), ("oracle", "{\"said\":\"yes\"}".to_owned())]);
}

#[test]
fn a_window_leaves_out_what_happened_before_and_after_it() {
    let (_dir, ledger) = ledger();
    for (at, entry) in [(10, asked(1)), (20, refused(1)), (30, asked(2)), (40, refused(2)), (50, refused(1))] {
        ledger.append(Timestamp(at), &[entry]).unwrap();
    }
    let window = |from, until| Window { from: Some(Timestamp(from)), until: Some(Timestamp(until)) };
    let found = ledger.accounts(&window(15, 30)).unwrap().studies;
    assert_eq!((found.len(), found[0].refusals.len()), (1, 1));
    assert_eq!(ledger.accounts(&window(30, 31)).unwrap().studies.len(), 1);
    assert_eq!(ledger.accounts(&window(60, 70)).unwrap().studies.len(), 0);
}

#[test]
fn a_study_that_was_told_to_come_later_waits_and_once_answered_was_not_refused() {
    let (_dir, ledger) = ledger();
    let later = |n| {
        let error = PublicError::new(ErrorCode::PolicyLater, "at night");
        Entry::new(Kind::Refusal, study(n), 0, &Refusal { error, r#final: false })
    };
    ledger.append(Timestamp(5), &[asked(1), later(1), asked(2), later(2), released(2)]).unwrap();
    let found = ledger.accounts(&Window::default()).unwrap().studies;
    assert_eq!(found.iter().map(Account::state).collect::<Vec<_>>(), [State::Waiting, State::Released]);
    assert!(found.iter().all(|account| account.refused().count() == 0 && account.waited().count() == 1));
    assert_eq!(found[0].decision(), "told to come later: policy_later");
}

#[test]
fn a_study_that_a_person_approved_says_who_before_it_asks_again() {
    let (_dir, ledger) = ledger();
    let by = bodies::desk::Person { uid: 101, user: "anna".to_owned() };
    let policy = Digest::of("policy", &[]);
    let approval = bodies::desk::Approval { by, policy, until: Timestamp(0), note: None, seal: policy };
    ledger.append(Timestamp(5), &[pending(1), Entry::of_study(Kind::Approval, study(1), &approval)]).unwrap();
    let found = ledger.accounts(&Window::default()).unwrap().studies;
    assert_eq!(found[0].state(), State::Approved);
    assert!(found[0].decision().contains("approved by anna (user 101), until 1970-01-01 00:00 UTC"));
}

#[test]
fn a_rule_that_allowed_many_rounds_is_said_once_with_how_often() {
    let (_dir, ledger) = ledger();
    let allowed = |by: &str| {
        let decision = Decision {
            decision: bodies::Verdict::Allow,
            by: by.to_owned(),
            policy: None,
            threshold: 11,
            mode: "exact".to_owned(),
            explained: BTreeMap::new(),
        };
        Entry::new(Kind::Decision, study(1), 0, &decision)
    };
    let entries = [asked(1), allowed("rule 1"), allowed("rule 1"), allowed("rule 1"), allowed("rule 2"), released(1)];
    ledger.append(Timestamp(5), &entries).unwrap();
    let found = ledger.accounts(&Window::default()).unwrap().studies.remove(0).decided_by();
    let on = "on 1970-01-01 00:00 UTC";
    assert_eq!(found, [format!("{on} allowed by rule 1, 3 times"), format!("{on} allowed by rule 2")]);
}

#[test]
fn the_same_answer_again_is_counted_where_it_left_first() {
    let (_dir, ledger) = ledger();
    let question = |n: u8| Digest::from_bytes([n; 32]);
    let reserved = |n: u8, repeats: [Option<i64>; 2]| {
        let spend = |(of, repeats): (u8, Option<i64>)| bodies::Spend {
            analysis: u16::from(of),
            plan: question(of),
            cells: 6,
            compares: None,
            model: None,
            question: Some(question(of)),
            repeats,
        };
        let reservation = bodies::Reservation {
            snapshot: question(9),
            left_out: None,
            groups_out: None,
            related: vec![],
            steps: vec![],
            spend: (0..).zip(repeats).map(spend).collect(),
            account: None,
            further_rounds: 0,
        };
        Entry::new(Kind::Reservation, study(n), 0, &reservation)
    };
    let released = |n: u8| {
        let part = |of: u8| bodies::ReleasedPart {
            analysis: "a".parse().unwrap(),
            shown: 4,
            hidden: 2,
            refused: None,
            question: Some(question(of)),
        };
        Entry::new(Kind::Release, study(n), 0, &Released { bytes: 9, parts: vec![part(0), part(1)] })
    };
    let entries = [reserved(1, [None, None]), released(1), reserved(2, [Some(2), None]), released(2)];
    ledger.append(Timestamp(5), &entries).unwrap();
    let found = ledger.accounts(&Window::default()).unwrap().studies;
    assert_eq!(found[0].cells(), Cells { shown: 8, hidden: 4, again: 0 });
    assert_eq!(found[1].cells(), Cells { shown: 4, hidden: 2, again: 6 });
    assert_eq!([0, 1].map(|part| found[1].left_before(4, part)), [Some(2), None]);
    let all: Cells = found.iter().map(Account::cells).sum();
    assert_eq!(all, Cells { shown: 12, hidden: 6, again: 6 });
}
