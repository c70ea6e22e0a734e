//! Sessions in simulated time.

use super::*;

/// Entropy that always draws the same byte.
use crate::env::Fixed;

const START: Timestamp = Timestamp(1_790_000_000_000);

struct Bench {
    session: Session,
    now: Timestamp,
}

impl Bench {
    fn new() -> Self {
        let config = SessionConfig::new("aa".parse().unwrap(), "north".parse().unwrap(), "test 1");
        Self { session: Session::new(config, START), now: START }
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.session.poll_action()).collect()
    }

    fn event(&mut self, event: Event) -> Vec<Action> {
        self.session.handle(self.now, event, &mut Fixed(0));
        self.actions()
    }

    /// Jumps to the next wake-up and returns the wait with what is to do then.
    fn wake(&mut self) -> (i64, Vec<Action>) {
        let until = self.session.poll_timeout().unwrap();
        let waited = until.since_ms(self.now);
        self.now = until;
        self.session.handle_timeout(self.now, &mut Fixed(0));
        (waited, self.actions())
    }

    fn welcome(&mut self, network: &str, skew_ms: i64) -> Vec<Action> {
        let now = Timestamp(self.now.0 + skew_ms);
        self.event(Event::HelloAnswered(Answer::Welcome(Welcome {
            version: 1,
            network: network.parse().unwrap(),
            now,
        })))
    }

    fn make_ready(&mut self) {
        assert_eq!(self.wake().1, [Action::Connect]);
        assert!(matches!(self.event(Event::Connected)[..], [Action::SendHello(_)]));
        self.welcome("north", 0);
        assert!(matches!(self.session.state(), State::Ready { version: 1, .. }));
    }

    fn lose(&mut self) {
        let actions = self.event(Event::Lost { reason: "gone".into() });
        assert!(matches!(actions[..], [Action::Close(_), Action::Report(Report::Waiting { .. })]));
    }
}

#[test]
fn a_session_connects_greets_and_is_ready() {
    let mut bench = Bench::new();
    assert_eq!(bench.wake(), (0, vec![Action::Connect]));
    assert_eq!(bench.session.poll_timeout(), None);
    let hello = Hello { versions: VERSIONS, site: "aa".parse().unwrap(), software: "test 1".into(), now: bench.now };
    assert_eq!(bench.event(Event::Connected), [Action::SendHello(hello)]);
    assert_eq!(bench.welcome("north", -40), [Action::Report(Report::Ready { version: 1, skew_ms: -40 })]);
    assert_eq!(bench.session.poll_timeout(), None);
}

#[test]
fn what_a_welcome_takes_is_no_skew_of_a_clock() {
    let mut bench = Bench::new();
    bench.wake();
    bench.event(Event::Connected);
    bench.now = Timestamp(bench.now.0 + 600);
    let sent = -300;
    assert_eq!(bench.welcome("north", sent), [Action::Report(Report::Ready { version: 1, skew_ms: 0 })]);
}

#[test]
fn waits_double_up_to_the_longest_and_are_jittered() {
    let mut bench = Bench::new();
    bench.wake();
    let mut waits = Vec::new();
    for _ in 0..10 {
        bench.event(Event::ConnectFailed { reason: "refused".into() });
        waits.push(bench.wake().0);
    }
    assert_eq!(waits, [125, 250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
    for byte in 0..=255 {
        bench.session.handle(bench.now, Event::ConnectFailed { reason: String::new() }, &mut Fixed(byte));
        assert!((15_000..=30_000).contains(&bench.wake().0));
    }
}

#[test]
fn only_a_session_that_stayed_ends_the_growth_of_the_waits() {
    let mut bench = Bench::new();
    for wait in [125, 250, 500] {
        bench.make_ready();
        bench.now = bench.now.plus_secs(9);
        bench.lose();
        assert_eq!(bench.session.poll_timeout().unwrap().since_ms(bench.now), wait);
    }
    bench.make_ready();
    bench.now = bench.now.plus_secs(10);
    bench.lose();
    assert_eq!(bench.session.poll_timeout().unwrap().since_ms(bench.now), 125);
}

#[test]
fn a_coordinator_that_was_there_a_moment_ago_is_dialled_again_within_seconds() {
    let mut bench = Bench::new();
    bench.wake();
    for _ in 0..20 {
        bench.event(Event::ConnectFailed { reason: "refused".into() });
        bench.wake();
    }
    bench.event(Event::Connected);
    bench.welcome("north", 0);
    for _ in 0..20 {
        bench.lose();
        assert_eq!(bench.session.poll_timeout().unwrap().since_ms(bench.now), YOUNG_LOST_MS / 2);
        bench.make_ready();
    }
}

#[test]
fn ten_minutes_without_a_network_heal_by_themselves_within_the_longest_wait() {
    for draw in [0, 127, 255] {
        let mut bench = Bench::new();
        bench.make_ready();
        bench.now = bench.now.plus_secs(3600);
        let back = bench.now.plus_secs(600);
        // The transport notices after its idle timeout, and an attempt fails after as long as a handshake may take.
        bench.now = bench.now.plus_secs(15);
        bench.session.handle(bench.now, Event::Lost { reason: "no sign of life".into() }, &mut Fixed(draw));
        loop {
            bench.actions();
            bench.now = bench.session.poll_timeout().unwrap();
            bench.session.handle_timeout(bench.now, &mut Fixed(draw));
            assert_eq!(bench.actions(), [Action::Connect]);
            if bench.now >= back {
                break;
            }
            bench.now = bench.now.plus_secs(10);
            let failed = Event::ConnectFailed { reason: "no answer".into() };
            bench.session.handle(bench.now, failed, &mut Fixed(draw));
        }
        assert!(bench.now.since_ms(back) <= 40_000);
        assert!(matches!(bench.event(Event::Connected)[..], [Action::SendHello(_)]));
        bench.welcome("north", 0);
        assert!(matches!(bench.session.state(), State::Ready { .. }));
    }
}

#[test]
fn a_refusal_that_a_person_must_mend_waits_the_longest_and_tries_again() {
    for code in [ErrorCode::VersionUnsupported, ErrorCode::SiteUnknown, ErrorCode::SiteMismatch] {
        let mut bench = Bench::new();
        bench.wake();
        bench.event(Event::Connected);
        let actions = bench.event(Event::HelloAnswered(Answer::Reject(PublicError::new(code, "no"))));
        let [Action::Close(_), Action::Report(Report::Rejected { error, .. })] = &actions[..] else { panic!() };
        assert_eq!(error.code, code);
        assert_eq!(bench.wake(), (15_000, vec![Action::Connect]));
    }
    let mut bench = Bench::new();
    bench.wake();
    bench.event(Event::Connected);
    bench.event(Event::HelloAnswered(Answer::Reject(PublicError::new(ErrorCode::Busy, "later"))));
    assert_eq!(bench.wake().0, 125);
}

#[test]
fn a_coordinator_that_stays_silent_is_given_up() {
    let mut bench = Bench::new();
    bench.wake();
    bench.event(Event::Connected);
    let (waited, actions) = bench.wake();
    assert_eq!((waited, &actions[0]), (10_000, &Action::Close(CloseCode::TIMEOUT)));
    // A late answer of the link that was given up changes nothing.
    assert_eq!(bench.welcome("north", 0), []);
    assert_eq!(bench.event(Event::Lost { reason: "late".into() }), []);
    assert_eq!(bench.wake(), (125, vec![Action::Connect]));
}

#[test]
fn a_clock_that_differs_too_much_is_reported() {
    for (skew_ms, warns) in [(300_000, false), (-300_000, false), (300_001, true), (-300_001, true)] {
        let mut bench = Bench::new();
        bench.wake();
        bench.event(Event::Connected);
        let reports = bench.welcome("north", skew_ms);
        assert_eq!(reports.contains(&Action::Report(Report::ClockSkew { skew_ms })), warns);
    }
}

#[test]
fn another_networks_welcome_is_refused() {
    let mut bench = Bench::new();
    bench.wake();
    bench.event(Event::Connected);
    let actions = bench.welcome("south", 0);
    assert!(matches!(&actions[..], [Action::Close(CloseCode::PROTOCOL), Action::Report(Report::Rejected { .. })]));
    assert_eq!(bench.wake().0, 15_000);
}

#[test]
fn a_clock_set_back_does_not_keep_the_node_away() {
    let mut bench = Bench::new();
    bench.wake();
    bench.event(Event::ConnectFailed { reason: "refused".into() });
    bench.now = bench.now.plus_secs(-86_400);
    bench.session.handle_timeout(bench.now, &mut Fixed(0));
    assert_eq!(bench.actions(), [Action::Connect]);
}

#[test]
fn a_stopped_session_closes_once_and_stays_stopped() {
    let mut bench = Bench::new();
    bench.make_ready();
    assert_eq!(bench.event(Event::Stop), [Action::Close(CloseCode::SHUTDOWN)]);
    assert_eq!(bench.event(Event::Lost { reason: "closed".into() }), []);
    assert_eq!((bench.session.poll_timeout(), bench.session.state()), (None, State::Stopped));
}

#[test]
fn a_session_that_stands_moves_to_another_link_and_no_other_does() {
    let mut bench = Bench::new();
    let welcome = |network: &str, version| Welcome { version, network: network.parse().unwrap(), now: START };
    assert!(!bench.session.moved(START, &welcome("north", 1)));
    bench.make_ready();
    bench.now = bench.now.plus_secs(60);
    assert!(!bench.session.moved(bench.now, &welcome("south", 1)));
    assert!(!bench.session.moved(bench.now, &welcome("north", VERSIONS.max() + 1)));
    assert!(bench.session.moved(bench.now, &welcome("north", 3)));
    assert_eq!(bench.session.state(), State::Ready { since: bench.now, version: 3 });
    assert!(matches!(bench.actions()[..], [Action::Report(Report::Ready { version: 3, .. })]));
    bench.lose();
}
