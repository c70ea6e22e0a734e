//! When which of two ways is dialled, and which one is the favourite next time. No clock and no socket in here: [`super`] asks and tells.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bocage_protocol::env::Timestamp;

/// How long the favourite has before the other way is tried beside it.
pub(super) const HEAD_START: Duration = Duration::from_secs(1);
/// How long a second way that has won stays the favourite.
const REMEMBERED_SECS: i64 = 15 * 60;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    First,
    Second,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "QUIC",
            Self::Second => "TCP",
        })
    }
}

impl Way {
    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// One race. Times are those since it began.
#[derive(Debug)]
pub(super) struct Race {
    favourite: Way,
    favourite_runs: bool,
    favourite_lost: bool,
    other_runs: bool,
}

impl Race {
    pub(super) fn new(favourite: Way) -> Self {
        Self { favourite, favourite_runs: false, favourite_lost: false, other_runs: false }
    }

    /// The way that is to be dialled now, if one is: each once.
    pub(super) fn next(&mut self, elapsed: Duration) -> Option<Way> {
        if !self.favourite_runs {
            self.favourite_runs = true;
            return Some(self.favourite);
        }
        let due = self.favourite_lost || elapsed >= HEAD_START;
        if due && !self.other_runs {
            self.other_runs = true;
            return Some(self.favourite.other());
        }
        None
    }

    /// How long nothing is to be dialled, if anything is at all.
    pub(super) fn wait(&self, elapsed: Duration) -> Option<Duration> {
        (!self.other_runs).then(|| HEAD_START.saturating_sub(elapsed))
    }

    /// A way has failed.
    pub(super) fn lost(&mut self, way: Way) {
        self.favourite_lost |= way == self.favourite;
    }
}

/// The addresses from which this machine reaches others: they tell one network from another.
pub(super) type Here = [Option<IpAddr>; 2];

/// What is remembered between races: that the second way won, and the first did not.
#[derive(Debug, Default)]
pub(super) struct Memory(Option<(Timestamp, Here)>);

impl Memory {
    /// Who gets the head start now.
    pub(super) fn favourite(&self, now: Timestamp, here: &Here) -> Way {
        match &self.0 {
            // A clock that was set back counts as one that has gone on.
            Some((at, there)) if here == there && (0..REMEMBERED_SECS * 1000).contains(&now.since_ms(*at)) => {
                Way::Second
            }
            _ => Way::First,
        }
    }

    /// A race was won.
    pub(super) fn won(&mut self, way: Way, now: Timestamp, here: Here) {
        match way {
            Way::First => self.0 = None,
            // Counted from the race that the first way lost, however often the second one is dialled meanwhile.
            Way::Second if self.favourite(now, &here) == Way::Second => {}
            Way::Second => self.0 = Some((now, here)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a way that is dialled: a link or a failure after so many milliseconds, or nothing.
    #[derive(Clone, Copy)]
    enum Answers {
        After(u64),
        Failing(u64),
        Never,
    }

    const DAY: Here = [None, None];

    /// Runs a race through its events, and answers who won, after how long, and who was dialled when.
    fn run(favourite: Way, answers: impl Fn(Way) -> Answers) -> (Option<Way>, u64, Vec<(Way, u64)>) {
        let (mut race, mut now, mut dialled) = (Race::new(favourite), 0, Vec::new());
        let mut coming: Vec<(u64, Way, bool)> = Vec::new();
        loop {
            while let Some(way) = race.next(Duration::from_millis(now)) {
                dialled.push((way, now));
                match answers(way) {
                    Answers::After(ms) => coming.push((now + ms, way, true)),
                    Answers::Failing(ms) => coming.push((now + ms, way, false)),
                    Answers::Never => {}
                }
            }
            coming.sort_by_key(|(at, ..)| *at);
            let due = race.wait(Duration::from_millis(now)).map(|wait| now + wait.as_millis() as u64);
            match (coming.first().copied(), due) {
                (Some((at, way, link)), due) if due.is_none_or(|due| at < due) => {
                    coming.remove(0);
                    now = at;
                    if link {
                        return (Some(way), now, dialled);
                    }
                    race.lost(way);
                }
                (_, Some(due)) => now = due,
                (None, None) => return (None, now, dialled),
                (Some(_), None) => unreachable!("what comes is taken where nothing is due"),
            }
        }
    }

    fn quic_and_tcp(quic: Answers, tcp: Answers) -> (Option<Way>, u64, Vec<(Way, u64)>) {
        run(Way::First, |way| if way == Way::First { quic } else { tcp })
    }

    #[test]
    fn a_favourite_that_answers_within_its_head_start_runs_alone() {
        let (won, at, dialled) = quic_and_tcp(Answers::After(900), Answers::After(1));
        assert_eq!((won, at, dialled), (Some(Way::First), 900, vec![(Way::First, 0)]));
    }

    #[test]
    fn the_other_way_is_dialled_after_a_second_and_at_once_where_the_favourite_has_failed() {
        let both = |at| vec![(Way::First, 0), (Way::Second, at)];
        assert_eq!(quic_and_tcp(Answers::Never, Answers::After(300)), (Some(Way::Second), 1300, both(1000)));
        assert_eq!(quic_and_tcp(Answers::Failing(20), Answers::After(300)), (Some(Way::Second), 320, both(20)));
        // Whoever was slow may still win.
        assert_eq!(quic_and_tcp(Answers::After(1200), Answers::After(300)), (Some(Way::First), 1200, both(1000)));
        assert_eq!(quic_and_tcp(Answers::After(5000), Answers::Failing(10)), (Some(Way::First), 5000, both(1000)));
        assert_eq!(quic_and_tcp(Answers::Failing(3000), Answers::Failing(4000)), (None, 5000, both(1000)));
    }

    #[test]
    fn a_second_way_that_won_has_the_head_start_and_gives_way_when_it_fails() {
        let (won, at, dialled) = run(Way::Second, |way| match way {
            Way::First => Answers::After(50),
            Way::Second => Answers::Failing(10),
        });
        assert_eq!((won, at, dialled), (Some(Way::First), 60, vec![(Way::Second, 0), (Way::First, 10)]));
    }

    #[test]
    fn the_winner_is_the_favourite_for_a_quarter_of_an_hour_and_no_longer_however_often_it_wins() {
        let (mut memory, start) = (Memory::default(), Timestamp(1_790_000_000_000));
        assert_eq!(memory.favourite(start, &DAY), Way::First);
        for minute in (0..15).step_by(3) {
            memory.won(Way::Second, start.plus_secs(minute * 60), DAY);
            assert_eq!(memory.favourite(start.plus_secs(14 * 60), &DAY), Way::Second);
            assert_eq!(memory.favourite(start.plus_secs(15 * 60), &DAY), Way::First);
        }
        memory.won(Way::Second, start.plus_secs(15 * 60), DAY);
        assert_eq!(memory.favourite(start.plus_secs(29 * 60), &DAY), Way::Second);
        memory.won(Way::First, start.plus_secs(29 * 60), DAY);
        assert_eq!(memory.favourite(start.plus_secs(29 * 60), &DAY), Way::First);
    }

    #[test]
    fn in_another_network_or_another_time_nothing_is_remembered() {
        let (mut memory, start) = (Memory::default(), Timestamp(1_790_000_000_000));
        memory.won(Way::Second, start, DAY);
        assert_eq!(memory.favourite(start, &[Some(IpAddr::from([192, 0, 2, 7])), None]), Way::First);
        assert_eq!(memory.favourite(start.plus_secs(-3600), &DAY), Way::First);
    }
}
