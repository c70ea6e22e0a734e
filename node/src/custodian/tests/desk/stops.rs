//! What a person's word stops, also while it is computed, and who cannot take it back.

use super::*;

#[test]
fn a_person_decides_about_the_whole_study_whatever_part_is_asked_first() {
    let site = asking();
    let custodian = ready(&site);
    let whole = site.request(&site.study());
    let part = RoundRequest { steps: whole.steps[1..].to_vec(), ..whole.clone() };
    waits(&custodian.round(&part));
    let asks: Vec<String> = show(&custodian, &whole).asks.iter().map(|a| a.analysis.to_string()).collect();
    assert_eq!(asks, ["by_sex", "all"]);
}

#[test]
fn nothing_leaves_after_a_no_that_was_said_while_it_was_computed() {
    let site = asking();
    let own: Arc<std::sync::OnceLock<std::sync::Weak<Custodian>>> = Arc::default();
    let within = Arc::clone(&own);
    let switches = Switches {
        before_query: Some(Arc::new(move |id| {
            let custodian = within.get().unwrap().upgrade().unwrap();
            let no = Command::Refuse { study: id.to_string(), reason: "stop".to_owned() };
            let _ = custodian.command(person(7), no);
        })),
        ..Switches::default()
    };
    let custodian = Arc::new(custodian_with(&site, switches, Arc::new(|_| {})));
    own.set(Arc::downgrade(&custodian)).unwrap();
    custodian.take_due_snapshots();
    let request = site.request(&site.study());
    waits(&custodian.round(&request));
    approve(&custodian, &request, 7);
    assert_eq!(refusal(&custodian.round(&request)), ErrorCode::ApprovalRefused);
    assert!(!kinds(&custodian).contains(&"release".to_owned()));
}

/// A clock that pauses the site when it is asked for the so-and-so-manieth time.
struct Pausing {
    own: std::sync::OnceLock<std::sync::Weak<Custodian>>,
    calls: AtomicI64,
    at: AtomicI64,
}

impl Clock for Pausing {
    fn now(&self) -> Timestamp {
        if self.calls.fetch_add(1, Ordering::SeqCst) == self.at.load(Ordering::SeqCst) {
            let custodian = self.own.get().unwrap().upgrade().unwrap();
            let _ = custodian.command(person(7), Command::Pause { reason: None });
        }
        NOW
    }
}

#[test]
fn no_repeat_leaves_after_a_pause_that_began_while_it_was_looked_up() {
    let site = Site::new();
    let config = site.config();
    std::fs::create_dir_all(&config.state.0).unwrap();
    let ledger = Ledger::open(&config.state.ledger()).unwrap();
    let key = read_release_key(&config.release_key_file).unwrap();
    let clock = Arc::new(Pausing { own: std::sync::OnceLock::new(), calls: AtomicI64::new(0), at: AtomicI64::new(-1) });
    let time = Arc::clone(&clock) as Arc<dyn Clock>;
    let custodian = Arc::new(Custodian::new(config, ledger, key, time, Arc::new(|_| {}), Switches::default()));
    clock.own.set(Arc::downgrade(&custodian)).unwrap();
    custodian.take_due_snapshots();
    let request = site.request(&site.study());
    assert!(released(&custodian.round(&request)));
    // The round asks for the time first, then the desk: after it was looked whether a pause lasts.
    clock.at.store(clock.calls.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
    assert_eq!(waits(&custodian.round(&request)).code, ErrorCode::Paused);
}

#[test]
fn a_pause_is_ended_by_the_site_and_by_no_line_in_the_ledgers_file() {
    let site = Site::new();
    let custodian = ready(&site);
    let request = site.request(&site.study());
    custodian.command(person(7), Command::Pause { reason: None });
    let ends = kinds(&custodian).len() as i64;
    for seal in [None, Some(Digest::from_bytes([7; 32]))] {
        custodian.ledger.append(NOW, &[Entry::of_site(Kind::Resume, &Resume { by: person(7), ends, seal })]).unwrap();
        assert_eq!(waits(&custodian.round(&request)).code, ErrorCode::Paused);
        assert!(list(&custodian).paused.is_some());
    }
    custodian.command(person(7), Command::Resume);
    assert!(released(&custodian.round(&request)));
    // The site's own word about one pause ends no other.
    let mut own = None;
    custodian.ledger.pauses(|record| own = record.body::<Resume>().or(own.take())).unwrap();
    custodian.command(person(7), Command::Pause { reason: None });
    let again = Resume { ends: kinds(&custodian).len() as i64, ..own.unwrap() };
    custodian.ledger.append(NOW, &[Entry::of_site(Kind::Resume, &again)]).unwrap();
    assert_eq!(waits(&custodian.round(&request)).code, ErrorCode::Paused);
}

#[test]
fn a_study_that_was_begun_counts_as_open_whatever_else_is_asked_in_its_name() {
    let site = Site::new();
    site.edit_config("[policy]", "[policy]\nconcurrent = 1");
    let own: Arc<std::sync::OnceLock<std::sync::Weak<Custodian>>> = Arc::default();
    let (within, queries) = (Arc::clone(&own), AtomicU32::new(0));
    let pause_in_the_first = move |_: &bocage_protocol::ids::StudyId| {
        if queries.fetch_add(1, Ordering::SeqCst) == 0 {
            within.get().unwrap().upgrade().unwrap().command(person(7), Command::Pause { reason: None });
        }
    };
    let switches = Switches { before_query: Some(Arc::new(pause_in_the_first)), ..Switches::default() };
    let custodian = Arc::new(custodian_with(&site, switches, Arc::new(|_| {})));
    own.set(Arc::downgrade(&custodian)).unwrap();
    custodian.take_due_snapshots();
    let (one, two) = (site.request(&other(&site, 'a')), site.request(&other(&site, 'b')));
    assert_eq!(waits(&custodian.round(&one)).code, ErrorCode::Paused);
    custodian.command(person(7), Command::Resume);
    assert_eq!(waits(&custodian.round(&two)).code, ErrorCode::PolicyLater);
    refusal(&custodian.round(&RoundRequest { steps: vec![], ..one.clone() }));
    assert_eq!(waits(&custodian.round(&two)).code, ErrorCode::PolicyLater);
    assert!(released(&custodian.round(&one)));
    assert!(released(&custodian.round(&two)));
}

#[test]
fn a_pause_that_the_ledger_does_not_take_lasts_in_memory_and_is_written_down_when_it_does() {
    let site = Site::new();
    let custodian = ready(&site);
    let request = site.request(&site.study());
    let pause = |reason: Option<&str>| {
        let answer = custodian.command(person(7), Command::Pause { reason: reason.map(str::to_owned) });
        let Answer::Desk(desk) = answer else { panic!("{answer:?}") };
        desk.paused.unwrap().unwritten
    };
    custodian.ledger.make_unwritable(true);
    let unwritten = pause(Some("an incident")).unwrap();
    assert!(unwritten.why.starts_with("cannot write the ledger") && !unwritten.hint.is_empty(), "{unwritten:?}");
    assert!(pause(None).is_some(), "said again, it is no better");
    assert_eq!(waits(&custodian.round(&request)).message, "cleveland has paused all answers: an incident");
    assert_eq!(list(&custodian).paused.unwrap().reason.as_deref(), Some("an incident"));
    assert_eq!(kinds(&custodian), ["snapshot"]);
    custodian.ledger.make_unwritable(false);
    assert_eq!(waits(&custodian.round(&request)).code, ErrorCode::Paused);
    assert_eq!(list(&custodian).paused.unwrap().unwritten, None);
    assert_eq!(kinds(&custodian), ["snapshot", "pause"]);
    custodian.command(person(7), Command::Resume);
    assert!(released(&custodian.round(&request)));
}

#[test]
fn a_pause_that_is_not_in_the_ledger_ends_by_a_word_and_is_written_down_when_the_node_stops() {
    let site = Site::new();
    let custodian = ready(&site);
    custodian.ledger.make_unwritable(true);
    custodian.command(person(7), Command::Pause { reason: None });
    custodian.command(person(7), Command::Resume);
    assert_eq!(list(&custodian).paused, None);
    custodian.command(person(7), Command::Pause { reason: None });
    custodian.ledger.make_unwritable(false);
    custodian.end_stop();
    assert_eq!(kinds(&custodian), ["snapshot", "pause"]);
}

#[test]
fn a_study_that_is_answered_without_the_desk_is_stopped_by_a_no_to_its_later_rounds_and_repeats() {
    let site = Site::new();
    let custodian = ready(&site);
    let study = site.study_of(super::super::rounding::MODEL);
    let Spec::Model(model) = &study.analyses[0].spec else { panic!("no model") };
    let first = site.request(&study);
    let steps = vec![Step { analysis: 0, state: RoundState::At(model.start()) }];
    let second = RoundRequest { round: 1, steps, ..first.clone() };
    assert!(released(&custodian.round(&first)));
    let id = first.study.id().to_string();
    let no = |study: &str| {
        custodian
            .command(person(7), Command::Refuse { study: study.to_owned(), reason: "outside our mandate".to_owned() })
    };
    assert!(matches!(no("nobody"), Answer::Failed { .. }));
    assert_eq!(no(&id[..12]), Answer::Stopped { study: id.clone() });
    let refused = |frame: &[u8]| {
        let Reply::Refused(error) = reply(frame) else { panic!("it is answered") };
        assert!(error.code == ErrorCode::ApprovalRefused && error.message.contains("outside our mandate"), "{error}");
    };
    refused(&custodian.round(&first));
    refused(&custodian.round(&second));
    assert!(kinds(&custodian).contains(&"denial".to_owned()), "it stands in the ledger");
    assert!(matches!(no(&id), Answer::Failed { .. }), "a no is final");
    // Others are answered, and it is no study that waits.
    assert!(released(&custodian.round(&site.request(&other(&site, 'a')))));
    assert!(list(&custodian).studies.is_empty());
}
