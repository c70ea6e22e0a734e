//! A node's side of its session to the coordinator: when to dial, what to say first, when to give up and when to try
//! again. No socket, clock or task in here: the agent feeds events and carries out actions.
//!
//! ```text
//!            due                 Connected                Welcome
//! Waiting ─────────▶ Connecting ───────────▶ Greeting ──────────────▶ Ready
//!    ▲                   │ ConnectFailed         │ Reject, Lost, 10 s    │ Lost
//!    └───────────────────┴───────────────────────┴──────────────────────┘
//! ```
//! The agent's loop: carry out every [`Session::poll_action`]; then wait for an event or until
//! [`Session::poll_timeout`]; feed [`Session::handle`] or [`Session::handle_timeout`]. After [`Action::Close`] it
//! forgets the link, so that no late event of an old link meets a new one.
//!
//! Keeping a quiet connection alive, and noticing a dead one, is the transport's work (QUIC: a keep-alive every 5 s, an
//! idle timeout of 15 s, see `bocage-net`); its verdict arrives as [`Event::Lost`].
//!
//! Waits grow from [`SessionConfig::backoff_min_ms`] to [`SessionConfig::backoff_max_ms`], each drawn from the upper
//! half of its range: two thousand nodes that lose one coordinator do not come back in one instant.

use std::collections::VecDeque;
use std::fmt;

use crate::env::{Entropy, Timestamp};
use crate::error::{ErrorCode, PublicError};
use crate::ids::{NetworkId, SiteId};
use crate::limits::CLOCK_TOLERANCE_SECS;
use crate::wire::hello::{Answer, Hello, VERSIONS, VersionRange, Welcome};

/// Why a link is closed, as a number on the wire. Numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u32);

impl CloseCode {
    /// Nothing is left to do.
    pub const DONE: Self = Self(0);
    /// The process is stopping; come back later.
    pub const SHUTDOWN: Self = Self(1);
    /// The peer broke the protocol.
    pub const PROTOCOL: Self = Self(2);
    /// The hello was rejected.
    pub const REJECTED: Self = Self(3);
    /// A newer link of the same site takes over.
    pub const REPLACED: Self = Self(4);
    /// The peer did not answer in time.
    pub const TIMEOUT: Self = Self(5);
    /// The peer is no longer admitted.
    pub const DENIED: Self = Self(6);
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DONE => f.write_str("done"),
            Self::SHUTDOWN => f.write_str("shutting down"),
            Self::PROTOCOL => f.write_str("protocol broken"),
            Self::REJECTED => f.write_str("hello rejected"),
            Self::REPLACED => f.write_str("replaced by a newer link"),
            Self::TIMEOUT => f.write_str("no answer in time"),
            Self::DENIED => f.write_str("no longer admitted"),
            Self(other) => write!(f, "code {other}"),
        }
    }
}

/// The longest wait after the loss of a session that was ready but did not stay long: the coordinator is there, and restarts, or the line to it
/// flaps. Two thousand nodes in that state cost it one core at most (a handshake takes 1.4 ms).
pub const YOUNG_LOST_MS: i64 = 4_000;

/// What a session needs to know. [`SessionConfig::new`] has the usual times.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// The own site.
    pub site: SiteId,
    /// The network that the node belongs to; another network's welcome is refused.
    pub network: NetworkId,
    /// Software and version, as the hello says it.
    pub software: String,
    /// The protocol versions spoken.
    pub versions: VersionRange,
    /// The first wait after a failure.
    pub backoff_min_ms: i64,
    /// The longest wait.
    pub backoff_max_ms: i64,
    /// How long the coordinator may take to answer the hello.
    pub greeting_timeout_secs: i64,
    /// A session that stayed ready this long ends the growth of the waits: a coordinator that is restarted now and then sees its nodes soon.
    pub stable_after_secs: i64,
}

impl SessionConfig {
    /// 250 ms to 30 s between attempts, 10 s for an answer, 10 s for a stable session.
    pub fn new(site: SiteId, network: NetworkId, software: impl Into<String>) -> Self {
        Self {
            site,
            network,
            software: software.into(),
            versions: VERSIONS,
            backoff_min_ms: 250,
            backoff_max_ms: 30_000,
            greeting_timeout_secs: 10,
            stable_after_secs: 10,
        }
    }
}

/// What happened to the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The link asked for by [`Action::Connect`] stands.
    Connected,
    /// It could not be made.
    ConnectFailed {
        /// Why, for people.
        reason: String,
    },
    /// The coordinator answered the hello.
    HelloAnswered(Answer),
    /// The link ended, or brought bytes that are no answer.
    Lost {
        /// Why, for people.
        reason: String,
    },
    /// The node is stopping.
    Stop,
}

/// What the agent has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make a link; ends in [`Event::Connected`] or [`Event::ConnectFailed`], in bounded time.
    Connect,
    /// Send this as the first frame of the control stream.
    SendHello(Hello),
    /// Close the link and forget it.
    Close(CloseCode),
    /// Tell people.
    Report(Report),
}

/// A change that people may want to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The session is on.
    Ready {
        /// The protocol version.
        version: u16,
        /// The coordinator's clock minus ours.
        skew_ms: i64,
    },
    /// The clocks differ by more than [`CLOCK_TOLERANCE_SECS`]: studies and certificates will be refused.
    ClockSkew {
        /// The coordinator's clock minus ours.
        skew_ms: i64,
    },
    /// The link is down; the next attempt is at `until`.
    Waiting {
        /// Why.
        reason: String,
        /// Failures in a row.
        failures: u32,
        /// The next attempt.
        until: Timestamp,
    },
    /// The coordinator refuses the node: somebody has to change something. The next attempt is at `until`.
    Rejected {
        /// What it said.
        error: PublicError,
        /// The next attempt.
        until: Timestamp,
    },
}

impl Report {
    /// Whether somebody should look at it.
    pub fn is_warning(&self) -> bool {
        !matches!(self, Self::Ready { .. })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { version, skew_ms } => {
                write!(f, "session ready: protocol version {version}, clock skew {skew_ms} ms")
            }
            Self::ClockSkew { skew_ms } => write!(
                f,
                "clock differs from the coordinator's by {} s, more than the {CLOCK_TOLERANCE_SECS} s \
                 allowed; hint: synchronise this machine's clock",
                skew_ms / 1000
            ),
            Self::Waiting { reason, failures, until } => {
                write!(f, "no session ({reason}); failures in a row: {failures}; next attempt at {until}")
            }
            Self::Rejected { error, until } => {
                write!(f, "coordinator rejects this node: {error}")?;
                if let Some(hint) = &error.hint {
                    write!(f, "; hint: {hint}")?;
                }
                write!(f, "; next attempt at {until}")
            }
        }
    }
}

/// Where the session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No link; the next attempt is at `until`.
    Waiting {
        /// The next attempt.
        until: Timestamp,
    },
    /// A link is being made.
    Connecting,
    /// The hello is sent; its answer is due at `until`.
    Greeting {
        /// The end of patience.
        until: Timestamp,
    },
    /// The session is on.
    Ready {
        /// Since when.
        since: Timestamp,
        /// The protocol version.
        version: u16,
    },
    /// The node is stopping; nothing leads out of here.
    Stopped,
}

/// The state machine; see the module.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    state: State,
    failures: u32,
    actions: VecDeque<Action>,
}

impl Session {
    /// A session that is due to connect `now`.
    pub fn new(config: SessionConfig, now: Timestamp) -> Self {
        Self { config, state: State::Waiting { until: now }, failures: 0, actions: VecDeque::new() }
    }

    /// Where the session is.
    pub fn state(&self) -> State {
        self.state
    }

    /// The next thing to do, if any. Ask until `None` after every `handle…`.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Session::handle_timeout`] is due. Never waits longer than the longest wait of the configuration, even
    /// when the clock was set back meanwhile: the agent asks again after every wake-up.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match self.state {
            State::Waiting { until } | State::Greeting { until } => Some(until),
            State::Connecting | State::Ready { .. } | State::Stopped => None,
        }
    }

    /// Lets the time act. Harmless when nothing is due.
    pub fn handle_timeout(&mut self, now: Timestamp, entropy: &mut dyn Entropy) {
        match self.state {
            State::Waiting { until } if due(until, now, self.config.backoff_max_ms) => {
                self.state = State::Connecting;
                self.actions.push_back(Action::Connect);
            }
            State::Greeting { until } if due(until, now, self.greeting_ms()) => {
                self.actions.push_back(Action::Close(CloseCode::TIMEOUT));
                self.fail("the coordinator did not answer the hello in time".into(), now, entropy);
            }
            _ => {}
        }
    }

    /// Takes an event. One that does not fit the state comes from a link that is given up, and is ignored.
    pub fn handle(&mut self, now: Timestamp, event: Event, entropy: &mut dyn Entropy) {
        match (self.state, event) {
            (State::Stopped, _) => {}
            (State::Connecting, Event::Connected) => self.greet(now),
            (State::Connecting, Event::ConnectFailed { reason }) => self.fail(reason, now, entropy),
            (State::Greeting { .. }, Event::HelloAnswered(Answer::Welcome(welcome))) => {
                self.welcomed(&welcome, now, entropy);
            }
            (State::Greeting { .. }, Event::HelloAnswered(Answer::Reject(error))) => {
                self.actions.push_back(Action::Close(CloseCode::DONE));
                self.rejected(error, now, entropy);
            }
            (State::Greeting { .. }, Event::Lost { reason }) => {
                self.actions.push_back(Action::Close(CloseCode::PROTOCOL));
                self.fail(reason, now, entropy);
            }
            (State::Ready { since, .. }, Event::Lost { reason }) => {
                if now.since_ms(since) >= self.config.stable_after_secs.saturating_mul(1000) {
                    self.failures = 0;
                }
                while self.failures > 0 && self.range_ms() > YOUNG_LOST_MS {
                    self.failures -= 1;
                }
                self.actions.push_back(Action::Close(CloseCode::DONE));
                self.fail(reason, now, entropy);
            }
            (state, Event::Stop) => {
                if matches!(state, State::Greeting { .. } | State::Ready { .. }) {
                    self.actions.push_back(Action::Close(CloseCode::SHUTDOWN));
                }
                self.state = State::Stopped;
            }
            _ => {}
        }
    }

    fn greeting_ms(&self) -> i64 {
        self.config.greeting_timeout_secs.saturating_mul(1000)
    }

    fn greet(&mut self, now: Timestamp) {
        self.state = State::Greeting { until: now.plus_secs(self.config.greeting_timeout_secs) };
        self.actions.push_back(Action::SendHello(self.hello(now)));
    }

    /// The session goes on over another link, which the agent has made and greeted beside the one that stands; it closes that one itself. Whether it
    /// does: a welcome that is none of ours, or that comes when no session stands, changes nothing.
    pub fn moved(&mut self, now: Timestamp, welcome: &Welcome) -> bool {
        let ours = welcome.network == self.config.network && self.config.versions.contains(welcome.version);
        if let (State::Ready { .. }, true) = (self.state, ours) {
            self.state = State::Ready { since: now, version: welcome.version };
            let skew_ms = welcome.now.since_ms(now);
            self.actions.push_back(Action::Report(Report::Ready { version: welcome.version, skew_ms }));
            return true;
        }
        false
    }

    /// What is said first on a link that is made beside the one that stands: [`Session::moved`].
    pub fn hello(&self, now: Timestamp) -> Hello {
        Hello {
            versions: self.config.versions,
            site: self.config.site.clone(),
            software: self.config.software.clone(),
            now,
        }
    }

    fn welcomed(&mut self, welcome: &Welcome, now: Timestamp, entropy: &mut dyn Entropy) {
        let refusal = if welcome.network != self.config.network {
            let message = format!("the coordinator is network {}'s, not {}'s", welcome.network, self.config.network);
            Some(PublicError::new(ErrorCode::NetworkMismatch, message))
        } else if !self.config.versions.contains(welcome.version) {
            let message = format!("the coordinator chose version {}, which was not offered", welcome.version);
            Some(PublicError::new(ErrorCode::VersionUnsupported, message))
        } else {
            None
        };
        if let Some(error) = refusal {
            self.actions.push_back(Action::Close(CloseCode::PROTOCOL));
            return self.rejected(error, now, entropy);
        }
        // The welcome was half a round trip old when it came.
        let left_ms = if let State::Greeting { until } = self.state { until.since_ms(now) } else { self.greeting_ms() };
        let half_ms = self.greeting_ms().saturating_sub(left_ms).clamp(0, self.greeting_ms()) / 2;
        self.state = State::Ready { since: now, version: welcome.version };
        let skew_ms = welcome.now.since_ms(now).saturating_add(half_ms);
        self.actions.push_back(Action::Report(Report::Ready { version: welcome.version, skew_ms }));
        if skew_ms.saturating_abs() > CLOCK_TOLERANCE_SECS * 1000 {
            self.actions.push_back(Action::Report(Report::ClockSkew { skew_ms }));
        }
    }

    /// How long the next wait may be.
    fn range_ms(&self) -> i64 {
        let range = self.config.backoff_min_ms.saturating_mul(1_i64 << self.failures.min(40));
        range.min(self.config.backoff_max_ms)
    }

    /// A failure that may pass: the next wait is longer than the last.
    fn fail(&mut self, reason: String, now: Timestamp, entropy: &mut dyn Entropy) {
        let until = self.wait(self.range_ms(), now, entropy);
        self.actions.push_back(Action::Report(Report::Waiting { reason, failures: self.failures, until }));
    }

    /// A refusal. What only a person can mend waits the longest at once.
    fn rejected(&mut self, error: PublicError, now: Timestamp, entropy: &mut dyn Entropy) {
        let for_a_person = matches!(
            error.code,
            ErrorCode::VersionUnsupported
                | ErrorCode::SiteUnknown
                | ErrorCode::SiteMismatch
                | ErrorCode::SiteRevoked
                | ErrorCode::NetworkMismatch
                | ErrorCode::Malformed
        );
        if !for_a_person {
            return self.fail(error.to_string(), now, entropy);
        }
        let until = self.wait(self.config.backoff_max_ms, now, entropy);
        self.actions.push_back(Action::Report(Report::Rejected { error, until }));
    }

    /// Waits for a time drawn from the upper half of `range_ms`.
    fn wait(&mut self, range_ms: i64, now: Timestamp, entropy: &mut dyn Entropy) -> Timestamp {
        let half = (range_ms / 2).max(0);
        let mut drawn = [0; 8];
        entropy.fill(&mut drawn);
        // The bias of the remainder is below 2⁻⁴⁸ for waits of seconds.
        let jitter = u64::from_le_bytes(drawn) % (half as u64 + 1);
        let until = Timestamp(now.0.saturating_add(half).saturating_add(jitter as i64));
        self.failures = self.failures.saturating_add(1);
        self.state = State::Waiting { until };
        until
    }
}

/// Whether `until` has come, or lies further off than any wait that was ever asked for: the clock was set back.
fn due(until: Timestamp, now: Timestamp, longest_ms: i64) -> bool {
    let left_ms = until.since_ms(now);
    left_ms <= 0 || left_ms > longest_ms
}

#[cfg(test)]
mod tests;
