//! When the better way is tried again while a session stands on the other: a hospital whose firewall let UDP through for once, or whose line was bad when
//! the session began, does not stay on TCP until that session ends.
//!
//! No clock and no socket in here: the agent tells over which way its session goes, and asks. Each try makes the next wait twice as long, up to
//! [`LONGEST_MS`]; only a session that stayed on the better way for that long begins anew. A way that is found and lost again is so tried ever more seldom.

use bocage_protocol::env::{Entropy, Timestamp};

/// The longest wait.
pub(super) const LONGEST_MS: i64 = 3_600_000;

/// By which way a session goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The better one.
    First,
    /// The one that is taken where the better is shut.
    Second,
}

/// See the module.
#[derive(Debug)]
pub(super) struct WayBack {
    first_ms: i64,
    wait_ms: i64,
    standing: Option<Standing>,
    /// Since when a session stands on the better way.
    since: Option<Timestamp>,
    next: Option<Timestamp>,
}

impl WayBack {
    /// Tries for the first time after so long. No session stands.
    pub(super) fn new(first_secs: u32) -> Self {
        let first_ms = i64::from(first_secs) * 1000;
        Self { first_ms, wait_ms: first_ms, standing: None, since: None, next: None }
    }

    /// Over which way the session goes now, if there is one.
    pub(super) fn follow(&mut self, now: Timestamp, standing: Option<Standing>, entropy: &mut dyn Entropy) {
        if standing == self.standing {
            return;
        }
        if self.since.take().is_some_and(|since| now.since_ms(since) >= LONGEST_MS) {
            self.wait_ms = self.first_ms;
        }
        (self.standing, self.next) = (standing, None);
        match standing {
            Some(Standing::First) => self.since = Some(now),
            Some(Standing::Second) => self.wait(now, entropy),
            None => {}
        }
    }

    /// When [`WayBack::take`] has something to say.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.next
    }

    /// Whether the better way is to be tried now; the next try is later.
    pub(super) fn take(&mut self, now: Timestamp, entropy: &mut dyn Entropy) -> bool {
        let Some(next) = self.next else { return false };
        let left_ms = next.since_ms(now);
        // Further off than any wait that was asked for: the clock was set back.
        let due = left_ms <= 0 || left_ms > self.longest_ms();
        if due {
            self.wait_ms = self.wait_ms.saturating_mul(2).min(self.longest_ms());
            self.wait(now, entropy);
        }
        due
    }

    /// A wait that was asked for is never cut short.
    fn longest_ms(&self) -> i64 {
        LONGEST_MS.max(self.first_ms)
    }

    /// From the upper half of the wait: sites that lost the better way in one instant do not all come back in one.
    fn wait(&mut self, now: Timestamp, entropy: &mut dyn Entropy) {
        let mut drawn = [0; 8];
        entropy.fill(&mut drawn);
        let half = self.wait_ms / 2;
        // The bias of the remainder is below 2⁻⁴⁰ for waits of a day.
        let jitter = u64::from_le_bytes(drawn) % (half.unsigned_abs() + 1);
        self.next = Some(Timestamp(now.0.saturating_add(half).saturating_add(jitter as i64)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_790_000_000_000);
    const SECOND: Option<Standing> = Some(Standing::Second);
    const FIRST: Option<Standing> = Some(Standing::First);

    /// Entropy that always draws the same byte.
    struct Fixed(u8);

    impl Entropy for Fixed {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    /// Jumps to the next try; answers after how many seconds it came.
    fn tried(back: &mut WayBack, now: &mut Timestamp) -> i64 {
        let next = back.poll_timeout().unwrap();
        let waited = next.since_ms(*now);
        assert!(!back.take(Timestamp(next.0 - 1), &mut Fixed(0)));
        *now = next;
        assert!(back.take(*now, &mut Fixed(0)));
        waited / 1000
    }

    #[test]
    fn a_session_on_the_second_way_tries_the_first_ever_more_seldom_up_to_an_hour() {
        let (mut back, mut now) = (WayBack::new(300), START);
        assert_eq!(back.poll_timeout(), None);
        back.follow(now, SECOND, &mut Fixed(0));
        let waits: Vec<i64> = (0..7).map(|_| tried(&mut back, &mut now)).collect();
        assert_eq!(waits, [150, 300, 600, 1200, 1800, 1800, 1800]);
        // Another session over the same way goes on where the last one was.
        back.follow(now, None, &mut Fixed(0));
        assert_eq!(back.poll_timeout(), None);
        back.follow(now, SECOND, &mut Fixed(0));
        assert_eq!(tried(&mut back, &mut now), 1800);
        for byte in 0..=255 {
            back.follow(now, None, &mut Fixed(byte));
            back.follow(now, SECOND, &mut Fixed(byte));
            let wait = back.poll_timeout().unwrap().since_ms(now);
            assert!((LONGEST_MS / 2..=LONGEST_MS).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn only_a_session_that_stayed_on_the_first_way_begins_anew() {
        let (mut back, mut now) = (WayBack::new(10), START);
        back.follow(now, SECOND, &mut Fixed(0));
        assert_eq!([tried(&mut back, &mut now), tried(&mut back, &mut now)], [5, 10]);
        back.follow(now, FIRST, &mut Fixed(0));
        assert_eq!(back.poll_timeout(), None);
        now = now.plus_secs(3599);
        back.follow(now, SECOND, &mut Fixed(0));
        assert_eq!(tried(&mut back, &mut now), 20);
        back.follow(now, FIRST, &mut Fixed(0));
        now = now.plus_secs(3600);
        back.follow(now, None, &mut Fixed(0));
        back.follow(now, SECOND, &mut Fixed(0));
        assert_eq!(tried(&mut back, &mut now), 5);
    }

    #[test]
    fn a_clock_set_back_does_not_put_it_off_and_a_wait_longer_than_an_hour_is_kept() {
        let mut back = WayBack::new(86_400);
        back.follow(START, SECOND, &mut Fixed(0));
        assert_eq!(back.poll_timeout(), Some(START.plus_secs(43_200)));
        assert!(!back.take(START.plus_secs(-3600), &mut Fixed(0)));
        assert!(back.take(START.plus_secs(-86_400), &mut Fixed(0)));
    }
}
