//! When a node asks for the roots in force and for a new certificate, when it tries again and when people must know: a state machine without clock,
//! socket or key. The agent carries out its actions and tells it what came of them.
//!
//! ```text
//!                       due, session open                  told: renew, or its time has come
//! Resting until `next` ───────────────────▶ asks for roots ────────────────────────────────▶ asks for a certificate
//!        ▲  ▲                                   │ told: nothing to do                             │ exchanged
//!        │  └───────────────────────────────────┘                                                 │
//!        └────────────────────────────────────────────────────────────────────────────────────────┘
//!        failed: the next attempt after a wait that doubles, from a minute to an hour
//! ```
//! A certificate is renewed when two thirds of its life are over. What is drawn beforehand smears two thousand nodes that were enrolled on one day, or
//! that lost one coordinator, over a day and over a minute.

use std::collections::VecDeque;
use std::fmt;

use crate::env::{Entropy, Timestamp};

/// Between two questions for the roots in force, at most; half of it at least.
pub const LOOK_MS: i64 = 3_600_000;
/// The first wait after a failure.
const BACKOFF_MIN_MS: i64 = 60_000;
/// After a session begins, what is due waits for up to so long.
const SMEAR_MS: i64 = 60_000;
/// A certificate that ends sooner is a matter for people: at ten days of thirty it is renewed.
pub const WARN_DAYS: i64 = 9;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// From when to when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Its begin.
    pub from: Timestamp,
    /// Its end.
    pub until: Timestamp,
}

impl Life {
    /// The time at which two thirds are over, earlier by up to a twenty-fourth of the life.
    pub fn renew_at(self, entropy: &mut dyn Entropy) -> Timestamp {
        let ms = self.until.since_ms(self.from).max(0);
        let early = drawn(ms / 24, entropy);
        Timestamp(self.from.0.saturating_add(ms / 3 * 2).saturating_sub(early))
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A session stands in which one may ask.
    Opened,
    /// It ended, or one that stands knows no renewal.
    Closed,
    /// [`Action::AskRoots`] was answered.
    Told {
        /// Whether the certificate is to be renewed before its time.
        renew: bool,
    },
    /// Another certificate is in force, whoever brought it.
    Exchanged(Life),
    /// What was asked for did not come.
    Failed {
        /// Why, for people.
        reason: String,
    },
    /// A person wants everything looked at now.
    Look,
}

/// What the agent has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Ask for the roots in force; ends in [`Event::Told`] or [`Event::Failed`], in bounded time.
    AskRoots,
    /// Ask for a certificate; ends in [`Event::Exchanged`] or [`Event::Failed`], in bounded time.
    Renew,
    /// Tell people.
    Report(Report),
}

/// What people should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The certificate ends soon, or has ended.
    Ends {
        /// Its end.
        until: Timestamp,
        /// What is left; none or less when it has ended.
        left_ms: i64,
    },
    /// A question was not answered.
    Failed {
        /// Why.
        reason: String,
        /// Failures in a row.
        failures: u32,
        /// The next attempt.
        until: Timestamp,
    },
}

impl Report {
    /// Whether the node has no session any more, or none soon.
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Ends { left_ms, .. } if *left_ms <= 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ends { until, left_ms } if *left_ms <= 0 => write!(
                f,
                "the certificate ended at {until}, and no session can begin; hint: enrol this site anew with an invitation of the network's operator"
            ),
            Self::Ends { until, left_ms } => write!(
                f,
                "the certificate ends at {until}, in {} days, and was not renewed; hint: earlier lines say why; a coordinator renews where it has [issuing]",
                left_ms / DAY_MS
            ),
            Self::Failed { reason, failures, until } => {
                write!(f, "no renewal ({reason}); failures in a row: {failures}; next attempt at {until}")
            }
        }
    }
}

/// The state machine; see the module.
#[derive(Debug)]
pub struct Renewal {
    life: Life,
    renew_at: Timestamp,
    open: bool,
    asking: bool,
    /// The coordinator wants it renewed before its time.
    wanted: bool,
    next: Timestamp,
    warn_at: Timestamp,
    failures: u32,
    actions: VecDeque<Action>,
}

impl Renewal {
    /// Of a certificate with this life; no session stands.
    pub fn new(life: Life, now: Timestamp, entropy: &mut dyn Entropy) -> Self {
        Self {
            life,
            renew_at: life.renew_at(entropy),
            open: false,
            asking: false,
            wanted: false,
            next: now,
            warn_at: life.until.plus_secs(-WARN_DAYS * DAY_MS / 1000),
            failures: 0,
            actions: VecDeque::new(),
        }
    }

    /// The next thing to do, if any. Ask until `None` after every `handle…`.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Renewal::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Timestamp {
        if self.open && !self.asking { self.next.min(self.warn_at) } else { self.warn_at }
    }

    /// Lets the time act. Harmless when nothing is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if now >= self.warn_at {
            let Life { until, .. } = self.life;
            self.actions.push_back(Action::Report(Report::Ends { until, left_ms: until.since_ms(now) }));
            // At its very end once more, and then every day.
            let tomorrow = Timestamp(now.0.saturating_add(DAY_MS));
            self.warn_at = if now < until { tomorrow.min(until) } else { tomorrow };
        }
        let left_ms = self.next.since_ms(now);
        // Further off than any wait that was asked for: the clock was set back.
        if self.open && !self.asking && (left_ms <= 0 || left_ms > LOOK_MS) {
            self.asking = true;
            self.actions.push_back(if self.is_due(now) { Action::Renew } else { Action::AskRoots });
        }
    }

    /// Takes an event.
    pub fn handle(&mut self, now: Timestamp, event: Event, entropy: &mut dyn Entropy) {
        match event {
            Event::Opened => {
                self.open = true;
                self.asking = false;
                self.next = self.next.max(Timestamp(now.0.saturating_add(drawn(SMEAR_MS, entropy))));
            }
            Event::Closed => (self.open, self.asking) = (false, false),
            Event::Told { renew } => {
                self.asking = false;
                self.failures = 0;
                self.wanted = renew;
                self.rest(now, entropy);
            }
            Event::Exchanged(life) => {
                let (open, fresh) = (self.open, Self::new(life, now, entropy));
                *self = Self { open, actions: std::mem::take(&mut self.actions), ..fresh };
                self.rest(now, entropy);
                // Whoever makes certificates that end at once does not keep this one busy.
                self.next = self.next.max(Timestamp(now.0.saturating_add(BACKOFF_MIN_MS)));
            }
            Event::Failed { reason } => {
                self.asking = false;
                let range = BACKOFF_MIN_MS.saturating_mul(1 << self.failures.min(10)).min(LOOK_MS);
                self.failures = self.failures.saturating_add(1);
                self.next = Timestamp(now.0.saturating_add(range / 2 + drawn(range / 2, entropy)));
                let (failures, until) = (self.failures, self.next);
                self.actions.push_back(Action::Report(Report::Failed { reason, failures, until }));
            }
            Event::Look => self.next = now,
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.wanted || now >= self.renew_at
    }

    /// Until the next question: the renewal where that comes earlier, and at once where it is due.
    fn rest(&mut self, now: Timestamp, entropy: &mut dyn Entropy) {
        let look = Timestamp(now.0.saturating_add(LOOK_MS / 2 + drawn(LOOK_MS / 2, entropy)));
        self.next = if self.is_due(now) { now } else { look.min(self.renew_at) };
    }
}

/// A number from 0 to `most_ms`. The bias of the remainder is below 2⁻³⁰ for a life of years.
fn drawn(most_ms: i64, entropy: &mut dyn Entropy) -> i64 {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes);
    (u64::from_le_bytes(bytes) % (most_ms.max(0).unsigned_abs() + 1)) as i64
}

#[cfg(test)]
mod tests;
