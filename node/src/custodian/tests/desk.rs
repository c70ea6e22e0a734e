//! The steward's desk: what waits, what a person's word does, and what no forged one does.

mod people;
mod restored;
mod stops;

use std::sync::atomic::AtomicI64;

use bocage_protocol::analysis::{RoundState, Spec};
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::Digest;
use bocage_protocol::trust::Study;
use bocage_protocol::wire::message::Step;

use super::super::desk::shown::{AtTheDesk, Dossier, State};
use super::super::desk::wire::{Answer, Command};
use super::super::ledger::account::Window;
use super::super::ledger::bodies::desk::{Approval, Pending, Person, Resume};
use super::super::ledger::bodies::{Decision, Released};
use super::*;

/// A clock that a test moves.
struct Moved(AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        NOW.plus_secs(self.0.load(Ordering::SeqCst))
    }
}

/// A site whose steward decides.
fn asking() -> Site {
    let site = Site::new();
    site.edit_config("[policy]", "[policy]\ndecide = \"ask\"");
    site
}

fn other(site: &Site, nonce: char) -> Study {
    Study { nonce: nonce.to_string().repeat(32), ..site.study() }
}

fn person(uid: u32) -> Person {
    Person { uid, user: format!("user{uid}") }
}

fn approve(custodian: &Custodian, request: &RoundRequest, uid: u32) -> Answer {
    let study = request.study.id().to_string();
    custodian.command(person(uid), Command::Approve { study, until: None, note: None })
}

fn deny(custodian: &Custodian, request: &RoundRequest, reason: &str) -> Answer {
    let study = request.study.id().to_string();
    custodian.command(person(7), Command::Refuse { study, reason: reason.to_owned() })
}

fn dossier(answer: Answer) -> Dossier {
    match answer {
        Answer::Study(dossier) => *dossier,
        other => panic!("{other:?}"),
    }
}

fn show(custodian: &Custodian, request: &RoundRequest) -> Dossier {
    dossier(custodian.command(person(7), Command::Show { study: request.study.id().short() }))
}

fn list(custodian: &Custodian) -> AtTheDesk {
    match custodian.command(person(7), Command::List { all: true }) {
        Answer::Desk(desk) => desk,
        other => panic!("{other:?}"),
    }
}

fn failed(answer: Answer) -> String {
    match answer {
        Answer::Failed { message, hint } => {
            assert!(!hint.is_empty());
            message
        }
        other => panic!("{other:?}"),
    }
}

fn waits(frame: &[u8]) -> bocage_protocol::PublicError {
    match reply(frame) {
        Reply::Pending(error) => error,
        other => panic!("it does not wait: {other:?}"),
    }
}

fn released(frame: &[u8]) -> bool {
    matches!(reply(frame), Reply::Released(_))
}

#[test]
fn a_study_that_waits_is_recorded_once_however_often_it_is_asked_and_is_answered_after_a_yes() {
    let site = asking();
    let told = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&told);
    let custodian = custodian_with(&site, Switches::default(), Arc::new(move |p| note.lock().unwrap().push(p)));
    custodian.take_due_snapshots();
    let request = site.request(&site.study());
    for _ in 0..50 {
        assert_eq!(waits(&custodian.round(&request)).code, ErrorCode::ApprovalPending);
    }
    assert_eq!(kinds(&custodian), ["snapshot", "pending"]);
    let requests = custodian.ledger.history(&request.study.id()).unwrap().requests;
    assert_eq!(requests, 0, "polls count toward no limit");
    let title = "Cholesterol by sex".to_owned();
    assert_eq!(*told.lock().unwrap(), [Progress::Pending { study: request.study.id(), title }], "told once");
    assert_eq!(dossier(approve(&custodian, &request, 7)).listed.state, State::Approved);
    assert!(released(&custodian.round(&request)));
    let after = ["approval", "request", "decision", "reservation", "attempt", "release"];
    assert_eq!(kinds(&custodian)[2..], after);
    assert!(custodian.ledger.verify().unwrap().is_ok());
}

#[test]
fn what_waits_and_what_was_said_outlives_the_process() {
    let site = asking();
    let request = site.request(&site.study());
    waits(&ready(&site).round(&request));
    let again = custodian(&site);
    assert_eq!(show(&again, &request).listed.state, State::Pending);
    approve(&again, &request, 7);
    let last = custodian(&site);
    assert_eq!(list(&last).studies[0].state, State::Approved);
    assert!(released(&last.round(&request)));
}

#[test]
fn an_answered_study_stays_answered_whatever_the_policy_becomes_and_is_off_the_desk() {
    let site = asking();
    let custodian = ready(&site);
    let request = site.request(&site.study());
    waits(&custodian.round(&request));
    approve(&custodian, &request, 7);
    assert!(released(&custodian.round(&request)));
    for threshold in ["threshold = 11", "threshold = 12"] {
        site.edit_config("threshold = 11", threshold);
        let custodian = self::custodian(&site);
        assert_eq!(list(&custodian).studies[0].state, State::Answered, "{threshold}");
        let open = custodian.command(person(7), Command::List { all: false });
        assert!(matches!(open, Answer::Desk(desk) if desk.studies.is_empty()), "{threshold}");
        assert!(failed(approve(&custodian, &request, 7)).contains("was answered"), "{threshold}");
    }
}

#[test]
fn nobody_is_asked_about_cells_that_the_cap_has_not_left() {
    let site = asking();
    site.edit_config("[policy]", "[policy]\nmax_cells = 3");
    let custodian = ready(&site);
    assert_eq!(refusal(&custodian.round(&site.request(&site.study()))), ErrorCode::CapReached, "4 of 3 cells");
    assert!(list(&custodian).studies.is_empty() && !kinds(&custodian).contains(&"pending".to_owned()));
}

#[test]
fn a_study_that_the_rules_refuse_while_it_waits_is_off_the_desk_and_a_repeat_is_not() {
    let site = asking();
    site.edit_config("[policy]", "[policy]\nmax_cells = 1");
    let custodian = ready(&site);
    let [one, two, again] = [(1, "age > 30"), (2, "age > 31"), (3, "age > 30")]
        .map(|(nonce, words)| site.request(&super::caps::one_cell(&site, nonce, words)));
    waits(&custodian.round(&one));
    waits(&custodian.round(&two));
    assert_eq!(show(&custodian, &two).cap.map(|cap| (cap.most, cap.left)), Some((1, 1)));
    approve(&custodian, &one, 7);
    assert!(released(&custodian.round(&one)));
    assert_eq!(show(&custodian, &two).cap.map(|cap| (cap.most, cap.left)), Some((1, 0)));
    assert_eq!(refusal(&custodian.round(&two)), ErrorCode::CapReached);
    let listed = show(&custodian, &two).listed;
    assert_eq!(listed.state, State::RefusedByRules);
    assert!(listed.detail.starts_with("cap_reached: "), "{}", listed.detail);
    for answer in [approve(&custodian, &two, 7), deny(&custodian, &two, "no")] {
        assert!(failed(answer).contains("the site's rules refused the study"));
    }
    assert_eq!(waits(&custodian.round(&again)).code, ErrorCode::ApprovalPending, "what was paid for costs nothing");
}

#[test]
fn a_refusal_is_told_with_its_reason_and_is_final() {
    let site = asking();
    let custodian = ready(&site);
    let request = site.request(&site.study());
    waits(&custodian.round(&request));
    assert!(failed(deny(&custodian, &request, "\u{1b}[2J")).contains("not a line"));
    assert!(failed(deny(&custodian, &request, " ")).contains("not a line"));
    assert_eq!(dossier(deny(&custodian, &request, "not in this quarter")).listed.state, State::Refused);
    let Reply::Refused(error) = reply(&custodian.round(&request)) else { panic!() };
    assert_eq!(error.code, ErrorCode::ApprovalRefused);
    assert!(error.message.contains("not in this quarter"), "{error}");
    assert!(failed(approve(&custodian, &request, 7)).contains("final"));
    assert_eq!(refusal(&custodian.round(&request)), ErrorCode::ApprovalRefused);
}

#[test]
fn a_no_after_a_yes_stops_also_what_left_before() {
    let site = asking();
    let custodian = ready(&site);
    let request = site.request(&site.study());
    waits(&custodian.round(&request));
    approve(&custodian, &request, 7);
    assert!(released(&custodian.round(&request)) && released(&custodian.round(&request)));
    deny(&custodian, &request, "the project has ended");
    assert_eq!(refusal(&custodian.round(&request)), ErrorCode::ApprovalRefused);
}

#[test]
fn an_approval_of_one_study_lets_no_other_run() {
    let site = asking();
    let custodian = ready(&site);
    let (one, two) = (site.request(&other(&site, 'a')), site.request(&other(&site, 'b')));
    waits(&custodian.round(&one));
    waits(&custodian.round(&two));
    approve(&custodian, &one, 7);
    waits(&custodian.round(&two));
    assert!(released(&custodian.round(&one)));
    // The very bytes of the other's approval, in this one's name.
    let mut copied = None;
    custodian
        .ledger
        .at_the_desk(Some(&one.study.id()), |record| copied = record.body::<Approval>().or(copied.take()))
        .unwrap();
    let entry = Entry::of_study(Kind::Approval, two.study.id(), &copied.unwrap());
    custodian.ledger.append(NOW, &[entry]).unwrap();
    waits(&custodian.round(&two));
}

#[test]
fn an_approval_that_was_written_into_the_ledger_by_anybody_else_does_not_count() {
    let site = asking();
    let custodian = ready(&site);
    let request = site.request(&site.study());
    waits(&custodian.round(&request));
    let forged = Approval {
        by: person(7),
        policy: custodian.config.policy_version(),
        until: NOW.plus_secs(1000),
        note: None,
        seal: Digest::from_bytes([9; 32]),
    };
    // Well chained, as whoever can write the file can make it.
    custodian.ledger.append(NOW, &[Entry::of_study(Kind::Approval, request.study.id(), &forged)]).unwrap();
    assert!(custodian.ledger.verify().unwrap().is_ok());
    waits(&custodian.round(&request));
    assert!(show(&custodian, &request).said.is_empty());
    // And not chained: verification finds it besides.
    let sql = rusqlite::Connection::open(custodian.config.state.ledger()).unwrap();
    let copy =
        "INSERT INTO record SELECT seq + 1, at_ms, kind, study, round, body, payload, prev_hash, hash FROM record
                WHERE kind = 'approval'";
    assert_eq!(sql.execute(copy, []).unwrap(), 1);
    waits(&custodian.round(&request));
    assert!(custodian.ledger.verify().unwrap().is_err());
}

#[test]
fn a_longer_end_written_into_an_approval_does_not_count() {
    let site = asking();
    let custodian = ready(&site);
    let request = site.request(&site.study());
    waits(&custodian.round(&request));
    approve(&custodian, &request, 7);
    let sql = rusqlite::Connection::open(custodian.config.state.ledger()).unwrap();
    let change = "DROP TRIGGER record_no_update; UPDATE record SET at_ms = at_ms + 1 WHERE kind = 'approval'";
    sql.execute_batch(change).unwrap();
    waits(&custodian.round(&request));
}

#[test]
fn a_changed_policy_makes_an_approved_study_wait_again_and_the_list_says_so() {
    let site = asking();
    let request = site.request(&site.study());
    let before = ready(&site);
    waits(&before.round(&request));
    approve(&before, &request, 7);
    drop(before);
    site.edit_config("threshold = 11", "threshold = 12");
    let after = custodian(&site);
    assert!(failed(approve(&after, &request, 7)).contains("has not been asked under it yet"));
    assert_eq!(waits(&after.round(&request)).code, ErrorCode::ApprovalPending);
    let listed = list(&after).studies.remove(0);
    assert_eq!(listed.state, State::Pending);
    assert!(listed.detail.contains("the policy has been changed since"), "{}", listed.detail);
    assert!(show(&after, &request).said[0].lapsed.is_some());
    waits(&after.round(&request));
    assert_eq!(kinds(&after).iter().filter(|kind| *kind == "pending").count(), 2, "once for each policy");
    approve(&after, &request, 7);
    assert!(released(&after.round(&request)));
}

#[test]
fn an_approval_ends_at_its_day_and_a_study_at_its_own_end() {
    let site = asking();
    let clock = Arc::new(Moved(AtomicI64::new(0)));
    let config = site.config();
    std::fs::create_dir_all(&config.state.0).unwrap();
    let ledger = Ledger::open(&config.state.ledger()).unwrap();
    let key = read_release_key(&config.release_key_file).unwrap();
    let custodian = Custodian::new(
        config,
        ledger,
        key,
        Arc::clone(&clock) as Arc<dyn Clock>,
        Arc::new(|_| {}),
        Switches::default(),
    );
    custodian.take_due_snapshots();
    let request = site.request(&site.study());
    waits(&custodian.round(&request));
    let day = |secs| Command::Approve {
        study: request.study.id().to_string(),
        until: Some(NOW.plus_secs(secs)),
        note: Some("this week".to_owned()),
    };
    assert!(failed(custodian.command(person(7), day(-1))).contains("must lie between"));
    assert!(failed(custodian.command(person(7), day(100 * 86_400))).contains("must lie between"));
    dossier(custodian.command(person(7), day(86_400)));
    clock.0.store(86_401, Ordering::SeqCst);
    waits(&custodian.round(&request));
    assert!(list(&custodian).studies[0].detail.contains("its time is over"));
    dossier(custodian.command(person(7), day(2 * 86_400)));
    assert!(released(&custodian.round(&request)));
    let unanswered = site.request(&other(&site, 'a'));
    waits(&custodian.round(&unanswered));
    clock.0.store(91 * 86_400, Ordering::SeqCst);
    let states: Vec<State> = list(&custodian).studies.iter().map(|study| study.state).collect();
    assert_eq!(states, [State::Answered, State::Ended]);
    assert!(failed(approve(&custodian, &unanswered, 8)).contains("has ended"));
}

#[test]
fn where_two_must_agree_one_person_is_not_two() {
    let site = Site::new();
    site.edit_config("[policy]", "[policy]\ndecide = \"ask\"\ntwo_persons = true");
    let custodian = ready(&site);
    let request = site.request(&site.study());
    waits(&custodian.round(&request));
    let once = dossier(approve(&custodian, &request, 7));
    assert_eq!((once.listed.state, once.listed.detail.as_str()), (State::Pending, "1 of 2 people have said yes"));
    assert!(failed(approve(&custodian, &request, 7)).contains("another person"));
    waits(&custodian.round(&request));
    // What the record says about it is for people to read: the policy counts.
    let mut body = None;
    custodian.ledger.at_the_desk(None, |record| body = record.body::<Pending>().or(body.take())).unwrap();
    let one = Pending { persons: 1, ..body.unwrap() };
    custodian.ledger.append(NOW, &[Entry::of_study(Kind::Pending, request.study.id(), &one)]).unwrap();
    waits(&custodian.round(&request));
    approve(&custodian, &request, 8);
    assert!(released(&custodian.round(&request)));
}

#[test]
fn the_ledger_says_of_a_fit_of_many_rounds_what_the_person_read_who_decided() {
    let site = asking();
    let custodian = ready(&site);
    let study = site.study_of(super::rounding::MODEL);
    let first = site.request(&study);
    waits(&custodian.round(&first));
    let asks = show(&custodian, &first).asks;
    let mut read: Vec<_> = asks.into_iter().map(|asks| (asks.analysis.to_string(), asks.explained)).collect();
    read.sort();
    assert!(read.iter().any(|(_, text)| text.contains("numbers may leave, in 25 rounds at most")), "{read:?}");
    approve(&custodian, &first, 7);
    assert!(released(&custodian.round(&first)));
    let Spec::Model(model) = &study.analyses[0].spec else { panic!("no model") };
    let steps = vec![Step { analysis: 0, state: RoundState::At(model.start()) }];
    assert!(released(&custodian.round(&RoundRequest { round: 1, steps, ..first })));
    let accounts = custodian.ledger.accounts(&Window::default()).unwrap();
    assert_eq!(accounts.studies[0].asks(), read);
    let mut told = Vec::new();
    let read = |record: ledger::Record| told.extend(record.body::<Decision>().map(|decision| decision.explained.len()));
    custodian.ledger.records(None, read).unwrap();
    assert_eq!(told, [2, 0], "once");
}

#[test]
fn a_person_who_decides_sees_what_would_leave_and_what_has_left_before() {
    let site = asking();
    let custodian = ready(&site);
    let (one, two) = (site.request(&other(&site, 'a')), site.request(&other(&site, 'b')));
    waits(&custodian.round(&one));
    assert!(show(&custodian, &one).received.is_empty());
    approve(&custodian, &one, 7);
    assert!(released(&custodian.round(&one)));
    // As if it had been of two rounds.
    let mut body = None;
    custodian.ledger.asked_and_released(|record| body = record.body::<Released>().or(body.take())).unwrap();
    custodian.ledger.append(NOW, &[Entry::of_study(Kind::Release, one.study.id(), &body.unwrap())]).unwrap();
    waits(&custodian.round(&two));
    let shown = show(&custodian, &two);
    assert_eq!((shown.listed.researcher.as_str(), shown.key), ("Ada", site.researcher.public()));
    assert_eq!(shown.listed.purpose, "scientific_research");
    let asks: Vec<_> = shown.asks.iter().map(|a| (a.analysis.as_str(), a.cells)).collect();
    assert_eq!(asks, [("by_sex", 3), ("all", 1)]);
    assert!(shown.asks.iter().all(|a| a.numbers > 0 && a.explained.starts_with("Reads ")));
    assert_eq!(shown.received.len(), 1, "a study is told once, however many rounds it had");
    assert!(shown.received[0].rounds.values().all(|rounds| *rounds == 2), "{:?}", shown.received[0].rounds);
    assert_eq!(shown.received[0].study, one.study.id().to_string());
    assert_eq!(shown.received[0].cells.iter().map(|(_, cells)| cells).sum::<u64>(), 6);
    assert!(
        shown.received[0].explained.values().any(|text| text.contains("Groups them by sex")),
        "{:?}",
        shown.received
    );
    assert_eq!(shown.threshold, Some((11, "the policy's default".to_owned())));
}

#[test]
fn a_pause_stops_everything_also_what_left_before_and_ends_by_resume_alone() {
    let site = Site::new();
    let custodian = ready(&site);
    let request = site.request(&site.study());
    assert!(released(&custodian.round(&request)));
    let records = kinds(&custodian).len();
    let pause = Command::Pause { reason: Some("an incident".to_owned()) };
    for _ in 0..2 {
        custodian.command(person(7), pause.clone());
    }
    custodian.command(person(8), Command::Pause { reason: None });
    let since = list(&custodian).paused.unwrap();
    assert_eq!((since.by, since.reason.as_deref()), (person(7), Some("an incident")), "no reason takes none away");
    assert_eq!(kinds(&custodian).len(), records + 1, "one pause, and no request");
    custodian.command(person(8), Command::Pause { reason: Some("still that incident".to_owned()) });
    let again = list(&custodian).paused.unwrap();
    assert_eq!((again.at, again.by, again.reason.as_deref()), (since.at, person(8), Some("still that incident")));
    drop(custodian);
    let again = self::custodian(&site);
    let error = waits(&again.round(&request));
    assert_eq!(error.code, ErrorCode::Paused);
    assert!(error.message.contains("still that incident"), "{error}");
    assert_eq!(kinds(&again).len(), records + 2, "a pause, another reason, and no request");
    again.command(person(8), Command::Resume);
    again.command(person(8), Command::Resume);
    assert!(list(&again).paused.is_none() && released(&again.round(&request)));
    again.command(person(8), pause);
    assert!(list(&again).paused.is_some(), "an earlier end ends no later pause");
}

#[test]
fn what_is_computed_when_a_pause_begins_does_not_leave_and_leaves_after_it_under_one_reservation() {
    // In the first of two queries, and in the last.
    for at in 1..=2 {
        a_pause_begins_in_query(at);
    }
}

fn a_pause_begins_in_query(at: u32) {
    let site = Site::new();
    let own: Arc<std::sync::OnceLock<std::sync::Weak<Custodian>>> = Arc::default();
    let (within, queries) = (Arc::clone(&own), AtomicU32::new(0));
    let switches = Switches {
        before_query: Some(Arc::new(move |_| {
            if queries.fetch_add(1, Ordering::SeqCst) + 1 == at {
                let custodian = within.get().unwrap().upgrade().unwrap();
                custodian.command(person(7), Command::Pause { reason: None });
            }
        })),
        ..Switches::default()
    };
    let pausing = Arc::new(custodian_with(&site, switches, Arc::new(|_| {})));
    own.set(Arc::downgrade(&pausing)).unwrap();
    pausing.take_due_snapshots();
    let request = site.request(&site.study());
    assert_eq!(waits(&pausing.round(&request)).code, ErrorCode::Paused);
    assert!(!kinds(&pausing).contains(&"release".to_owned()));
    assert_eq!(pausing.ledger.in_flight().unwrap(), None);
    drop(pausing);
    let later = custodian(&site);
    later.command(person(7), Command::Resume);
    assert!(released(&later.round(&request)));
    assert_eq!(kinds(&later).iter().filter(|k| *k == "reservation").count(), 1);
}

#[test]
fn the_researcher_reads_the_sites_message_while_they_wait() {
    let site = asking();
    site.edit_config("[policy]", "[steward]\nmessage = \"we meet on Tuesdays\"\n[policy]");
    let error = waits(&ready(&site).round(&site.request(&site.study())));
    assert!(error.message.contains("we meet on Tuesdays") && error.message.contains("cleveland"), "{error}");
}
