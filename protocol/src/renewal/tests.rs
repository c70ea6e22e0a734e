//! Renewals in simulated time.

use super::*;

/// Entropy that always draws the same byte.
use crate::env::Fixed;

const START: Timestamp = Timestamp(1_790_000_000_000);

fn days(from: Timestamp, days: i64) -> Life {
    Life { from, until: from.plus_secs(days * 24 * 3600) }
}

struct Bench {
    renewal: Renewal,
    now: Timestamp,
}

impl Bench {
    fn new() -> Self {
        Self { renewal: Renewal::new(days(START, 30), START, &mut Fixed(0)), now: START }
    }

    fn event(&mut self, event: Event) -> Vec<Action> {
        self.renewal.handle(self.now, event, &mut Fixed(0));
        self.actions()
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.renewal.poll_action()).collect()
    }

    /// Jumps to the next wake-up: the wait, and what is to do then.
    fn wake(&mut self) -> (i64, Vec<Action>) {
        let waited = self.renewal.poll_timeout().since_ms(self.now);
        self.now = self.now.max(self.renewal.poll_timeout());
        self.renewal.handle_timeout(self.now);
        (waited, self.actions())
    }

    /// Goes on, with every question for roots answered, until something else is to do.
    fn until_something_else(&mut self) -> Vec<Action> {
        loop {
            match self.wake().1 {
                asked if asked == [Action::AskRoots] => {
                    assert_eq!(self.event(Event::Told { renew: false }), []);
                }
                other => return other,
            }
        }
    }
}

#[test]
fn a_certificate_is_renewed_when_two_thirds_of_its_life_are_over_and_then_again() {
    let mut bench = Bench::new();
    bench.event(Event::Opened);
    let mut begun = START;
    for _ in 0..20 {
        assert_eq!(bench.until_something_else(), [Action::Renew]);
        assert_eq!(bench.now.since_ms(begun), 20 * DAY_MS);
        begun = bench.now;
        assert_eq!(bench.event(Event::Exchanged(days(begun, 30))), []);
    }
}

#[test]
fn nodes_that_were_enrolled_in_one_moment_renew_over_more_than_a_day() {
    let life = days(START, 30);
    let at = |byte| life.renew_at(&mut Fixed(byte)).since_ms(START);
    let all: Vec<i64> = (0..=255).map(at).collect();
    assert!(all.iter().all(|at| (18 * DAY_MS + DAY_MS / 2..=20 * DAY_MS).contains(at)));
    assert!(all.iter().max().unwrap() - all.iter().min().unwrap() > DAY_MS);
}

#[test]
fn what_the_coordinator_wants_renewed_is_renewed_at_once() {
    let mut bench = Bench::new();
    bench.event(Event::Opened);
    assert_eq!(bench.wake(), (0, vec![Action::AskRoots]));
    bench.event(Event::Told { renew: true });
    assert_eq!(bench.wake(), (0, vec![Action::Renew]));
    bench.event(Event::Exchanged(days(bench.now, 30)));
    assert_eq!(bench.wake(), (LOOK_MS / 2, vec![Action::AskRoots]));
}

#[test]
fn nothing_is_asked_without_a_session_and_what_was_asked_in_a_lost_one_is_asked_again() {
    let mut bench = Bench::new();
    bench.now = bench.now.plus_secs(19 * 24 * 3600);
    bench.renewal.handle_timeout(bench.now);
    assert_eq!(bench.actions(), []);
    assert_eq!(bench.renewal.poll_timeout(), START.plus_secs(21 * 24 * 3600));
    bench.event(Event::Opened);
    assert_eq!(bench.wake().1, [Action::AskRoots]);
    bench.event(Event::Closed);
    bench.event(Event::Opened);
    assert_eq!(bench.wake().1, [Action::AskRoots]);
}

#[test]
fn failures_wait_longer_each_time_up_to_an_hour_and_success_ends_that() {
    let mut bench = Bench::new();
    bench.now = bench.now.plus_secs(21 * 24 * 3600);
    bench.event(Event::Opened);
    bench.renewal.handle_timeout(bench.now);
    assert!(bench.actions().contains(&Action::Renew));
    let mut waits = Vec::new();
    for count in 1..10 {
        let reported = bench.event(Event::Failed { reason: "no".into() });
        assert!(matches!(&reported[..], [Action::Report(Report::Failed { failures, .. })] if *failures == count));
        let (waited, actions) = bench.wake();
        assert_eq!(actions, [Action::Renew]);
        waits.push(waited / 1000);
    }
    assert_eq!(waits, [30, 60, 120, 240, 480, 960, 1800, 1800, 1800]);
    bench.event(Event::Exchanged(days(bench.now, 30)));
    assert_eq!(bench.wake().1, [Action::AskRoots]);
    bench.event(Event::Failed { reason: "no".into() });
    assert_eq!(bench.wake().0, 30_000);
}

#[test]
fn people_are_told_every_day_of_the_last_nine_and_when_it_has_ended() {
    let mut bench = Bench::new();
    let mut told = Vec::new();
    for _ in 0..12 {
        let (_, actions) = bench.wake();
        let [Action::Report(report @ Report::Ends { left_ms, .. })] = &actions[..] else { panic!("{actions:?}") };
        told.push((left_ms / DAY_MS, report.is_error()));
        let hint = if report.is_error() { "enrol this site anew" } else { "[issuing]" };
        assert!(report.to_string().contains(hint), "{report}");
    }
    let expected: Vec<_> = (-2..=9).rev().map(|left| (left, left <= 0)).collect();
    assert_eq!(told, expected);
}

#[test]
fn a_look_by_hand_asks_at_once_and_a_clock_set_back_keeps_nothing_waiting() {
    let mut bench = Bench::new();
    bench.event(Event::Opened);
    bench.wake();
    bench.event(Event::Told { renew: false });
    assert_eq!(bench.renewal.poll_timeout().since_ms(bench.now), LOOK_MS / 2);
    bench.event(Event::Look);
    assert_eq!(bench.wake(), (0, vec![Action::AskRoots]));
    bench.event(Event::Told { renew: false });
    bench.now = bench.now.plus_secs(-7 * 24 * 3600);
    bench.renewal.handle_timeout(bench.now);
    assert_eq!(bench.actions(), [Action::AskRoots]);
}
