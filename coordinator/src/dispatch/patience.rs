//! How long a round is worked on: for as long as its study's sites have time to answer, and while some site waits for its steward until the study's own end.
//!
//! ```text
//! open_until long passed?  ── yes ──▶ decided: who has not answered is missing
//!        │ no
//! time to answer over?  ── no ──▶ the round goes on
//!        │ yes
//! some site's last word was "wait"?  ── no ──▶ decided
//!        │ yes
//! open_until passed?  ── no ──▶ the round goes on, for all that have not answered
//!        │ yes
//!     decided
//! ```
//! Each round has a time to answer of its own. It is what is left until `answer_by` when the round begins or is taken up again, and runs by a clock that nobody sets and that stands still while the
//! machine sleeps. Whoever takes a study up, or finds that the time of day went ahead of that clock, leaves the sites a grace at least: they were cut off
//! meanwhile, and none of them could answer. `open_until` is a time of day.
//!
//! A site waits from its first such word until it answers, refuses, or is connected, asked and silent for `answer_within`. After an approval it thus
//! has `answer_within` again. One that is away goes on waiting: its steward may have decided by the time it is back.

use std::collections::BTreeSet;
use std::time::Duration;

use bocage_protocol::env::{Clock, Timestamp};
use bocage_protocol::ids::SiteId;
use bocage_protocol::limits::CLOCK_TOLERANCE_SECS;
use bocage_protocol::trust::Study;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::store::StudyRecord;

/// The longest single sleep towards a deadline: the clocks are read again, in case one was set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// The time of day may run ahead of the other clock by so much between two looks. A link outlasts as long a sleep of the machine.
const JUMP: Duration = Duration::from_secs(10);

/// Both clocks, read together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    up: Instant,
    day: Timestamp,
}

impl Now {
    pub(super) fn read(clock: &dyn Clock) -> Self {
        Self { up: Instant::now(), day: clock.now() }
    }
}

/// What is left of a round's time to answer.
#[derive(Debug)]
pub(super) struct Patience {
    until: Instant,
    open_until: Timestamp,
    grace: Duration,
    seen: Now,
}

impl Patience {
    /// Of a round that begins now, or is taken up again.
    pub(super) fn new(study: &Study, answer_by: Timestamp, grace: Duration, now: Now) -> Self {
        let within = Duration::from_secs(u64::from(study.answer_within_secs));
        let grace = grace.min(within);
        let left = until(answer_by, now.day).clamp(grace, within);
        Self { until: now.up + left, open_until: study.expires_at, grace, seen: now }
    }

    /// How long until the next look; none when the round is not worked on any more. `waits`: some site waits for its steward.
    fn look(&mut self, now: Now, waits: bool) -> Option<Duration> {
        let up = now.up.saturating_duration_since(self.seen.up);
        if until(now.day, self.seen.day) > up + JUMP {
            tracing::warn!("the clock went ahead, or the machine slept: sites have time to come back");
            self.until = self.until.max(now.up + self.grace);
        }
        self.seen = now;
        let mut left = self.until.saturating_duration_since(now.up);
        if waits {
            left = left.max(until(self.open_until, now.day));
        }
        // No node starts on it any more.
        left = left.min(until(self.open_until.plus_secs(CLOCK_TOLERANCE_SECS), now.day));
        (!left.is_zero()).then_some(left.min(LONGEST_SLEEP))
    }
}

/// From `now` until `time`; nothing where that has passed.
fn until(time: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(time.since_ms(now)).unwrap_or_default())
}

/// The sites that let a round wait, as all who ask them know.
#[derive(Debug)]
pub(super) struct Waiting(watch::Sender<BTreeSet<SiteId>>);

impl Waiting {
    /// Those that did when the round was last worked on.
    pub(super) fn of(record: &StudyRecord, round: u16) -> Self {
        Self(watch::channel(record.waiting(round).into_keys().cloned().collect()).0)
    }

    /// Whether this site does.
    pub(super) fn has(&self, site: &SiteId) -> bool {
        self.0.borrow().contains(site)
    }

    pub(super) fn begins(&self, site: &SiteId) {
        self.0.send_if_modified(|sites| sites.insert(site.clone()));
    }

    pub(super) fn ends(&self, site: &SiteId) {
        self.0.send_if_modified(|sites| sites.remove(site));
    }

    /// Ends when the round is not worked on any more.
    pub(super) async fn over(&self, clock: &dyn Clock, patience: &mut Patience) {
        let mut sites = self.0.subscribe();
        loop {
            let waits = !sites.borrow_and_update().is_empty();
            let Some(left) = patience.look(Now::read(clock), waits) else { return };
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                // The sender lives as long as this call.
                _ = sites.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{SITES, START, STUDY, study};

    const GRACE: Duration = Duration::from_secs(60);
    const WITHIN: u64 = 600;

    /// Two clocks that go on together, or not.
    struct Clocks(Now);

    impl Clocks {
        fn new() -> Self {
            Self(Now { up: Instant::now(), day: START })
        }

        fn pass(&mut self, time: Duration) {
            self.0.up += time;
            self.0.day = Timestamp(self.0.day.0 + time.as_millis() as i64);
        }

        fn set(&mut self, secs: i64) {
            self.0.day = self.0.day.plus_secs(secs);
        }

        fn take_up(&self) -> Patience {
            let study = study(STUDY, &SITES, 1);
            Patience::new(&study, START.plus_secs(WITHIN as i64), GRACE, self.0)
        }

        /// Looks whenever it is time to; answers the seconds until it is over.
        fn run(&mut self, patience: &mut Patience, waits: bool) -> u64 {
            let begun = self.0.up;
            while let Some(left) = patience.look(self.0, waits) {
                assert!(left <= LONGEST_SLEEP);
                self.pass(left);
            }
            (self.0.up - begun).as_secs()
        }
    }

    #[test]
    fn a_round_goes_on_until_the_time_to_answer_is_over() {
        let mut clocks = Clocks::new();
        let mut patience = clocks.take_up();
        assert_eq!(clocks.run(&mut patience, false), WITHIN);
    }

    #[test]
    fn a_study_that_is_taken_up_again_has_what_was_left_of_it_and_a_grace_at_least() {
        for (away, left) in [(100, WITHIN - 100), (WITHIN - 1, 60), (WITHIN + 1, 60), (86_400, 60)] {
            let mut clocks = Clocks::new();
            clocks.pass(Duration::from_secs(away));
            let mut patience = clocks.take_up();
            assert_eq!(clocks.run(&mut patience, false), left, "away for {away} s");
        }
        let mut clocks = Clocks::new();
        clocks.set(-86_400);
        let mut patience = clocks.take_up();
        assert_eq!(
            clocks.run(&mut patience, false),
            WITHIN,
            "the clock went back meanwhile: no more than answer_within"
        );
    }

    #[test]
    fn a_clock_that_is_set_decides_no_round() {
        for (secs, passed) in [(7 * 86_400, 30), (7 * 86_400, 590), (-7 * 86_400, 30), (5, 590)] {
            let mut clocks = Clocks::new();
            let mut patience = clocks.take_up();
            clocks.pass(Duration::from_secs(passed));
            patience.look(clocks.0, false).unwrap();
            clocks.set(secs);
            let rest = if secs > 60 { (WITHIN - passed).max(60) } else { WITHIN - passed };
            assert_eq!(clocks.run(&mut patience, false), rest, "set by {secs} s after {passed} s");
        }
    }

    #[test]
    fn a_machine_that_slept_lets_its_sites_come_back() {
        let mut clocks = Clocks::new();
        let mut patience = clocks.take_up();
        clocks.pass(Duration::from_secs(WITHIN - 1));
        patience.look(clocks.0, false).unwrap();
        // Within its last sleep: the one clock stood still.
        clocks.set(3600);
        clocks.pass(Duration::from_secs(2));
        assert_eq!(clocks.run(&mut patience, false), 60);
    }

    #[test]
    fn who_waits_for_a_person_waits_until_the_study_ends_and_nobody_longer() {
        let life = study(STUDY, &SITES, 1).expires_at.since_ms(START) as u64 / 1000;
        let mut clocks = Clocks::new();
        let mut patience = clocks.take_up();
        assert_eq!(clocks.run(&mut patience, true), life);
        // Taken up when it has just ended: nodes still answer it.
        let mut clocks = Clocks::new();
        clocks.pass(Duration::from_secs(life + 1));
        let mut patience = clocks.take_up();
        assert_eq!(clocks.run(&mut patience, true), 60);
        for secs in [life as i64 + CLOCK_TOLERANCE_SECS, 400 * 86_400] {
            let mut clocks = Clocks::new();
            let mut patience = clocks.take_up();
            clocks.set(secs);
            assert_eq!(clocks.run(&mut patience, true), 0, "no node answers after {secs} s");
        }
    }
}
