//! What the agent says of itself: whether it has a session, and what it handed on. It knows of no study, so it counts none.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use bocage_daemon::figures::{Counted, Gauges, count, page};
use bocage_daemon::process::Process;
use bocage_daemon::pulse::Pulse;
use bocage_daemon::status::{Look, Verdict, Watched};
use bocage_net::Identities;
use bocage_protocol::env::Clock;
use bocage_protocol::session::State;

/// The session's states, as they are shown.
const STATES: [&str; 5] = ["waiting", "connecting", "greeting", "ready", "stopped"];
const READY: u8 = 3;
const DAY_SECS: f64 = 86_400.0;

/// What came of a request of the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handed {
    /// The custodian answered it.
    On,
    /// There was no custodian that could.
    Back,
    /// Too many were under way.
    Away,
}

/// Told at each turn of the agent's loop whether there is a session.
pub type OnBeat = Box<dyn Fn(bool) + Send + Sync>;

/// See the module.
pub struct Presence {
    clock: Arc<dyn Clock>,
    pulse: Pulse,
    process: Process,
    beaten: OnBeat,
    state: AtomicU8,
    under_way: AtomicUsize,
    /// As whom it is known, where the transport has certificates.
    identities: Option<Identities>,
    events: Counted,
    requests: Counted,
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Presence {
    /// An agent that has just begun.
    /// `process` is opened before a sandbox closes `/proc`.
    pub fn new(process: Process, clock: Arc<dyn Clock>, beaten: OnBeat) -> Self {
        Self {
            clock,
            pulse: Pulse::default(),
            process,
            beaten,
            state: AtomicU8::new(0),
            under_way: AtomicUsize::new(0),
            identities: None,
            events: Counted::default(),
            requests: Counted::default(),
        }
    }

    /// The same, of an agent that is known by the certificate in force there.
    #[must_use]
    pub fn certified_by(self, identities: Identities) -> Self {
        Self { identities: Some(identities), ..self }
    }

    /// The loop turns.
    pub(super) fn beat(&self) {
        self.pulse.beat();
        (self.beaten)(self.is_ready());
    }

    pub(super) fn at(&self, state: State, under_way: usize) {
        let number = match state {
            State::Waiting { .. } => 0,
            State::Connecting => 1,
            State::Greeting { .. } => 2,
            State::Ready { .. } => READY,
            State::Stopped => 4,
        };
        self.state.store(number, Ordering::Relaxed);
        self.under_way.store(under_way, Ordering::Relaxed);
    }

    /// Something happened to the session.
    pub(super) fn event(&self, event: &'static str) {
        count(&self.events, "event", event);
    }

    pub(super) fn request(&self, handed: Handed) {
        let outcome = match handed {
            Handed::On => "answered",
            Handed::Back => "custodian_not_ready",
            Handed::Away => "too_many",
        };
        count(&self.requests, "outcome", outcome);
    }

    fn is_ready(&self) -> bool {
        self.state.load(Ordering::Relaxed) == READY
    }

    fn gauges(&self) -> Gauges {
        let mut gauges = Gauges::of_process(env!("CARGO_PKG_VERSION"), &self.pulse, &self.process);
        let now = usize::from(self.state.load(Ordering::Relaxed));
        let states = STATES.iter().enumerate();
        let states = states.map(|(i, state)| (vec![("state", (*state).to_owned())], f64::from(u8::from(i == now))));
        gauges.by("session", "The state of the session: 1 for the one that it is in.", states);
        let under_way = self.under_way.load(Ordering::Relaxed) as f64;
        gauges.one("requests_under_way", "Requests of the coordinator that are being answered.", Some(under_way));
        let end = self.identities.as_ref().map(|identities| identities.current().valid_until());
        let days = end.map(|end| end.since_ms(self.clock.now()) as f64 / 1000.0 / DAY_SECS);
        gauges.one("certificate_days_left", "Days until the site's certificate ends.", days);
        gauges
    }
}

impl Watched for Presence {
    fn alive(&self) -> Verdict {
        self.pulse.alive()
    }

    fn ready(&self) -> Look<Verdict> {
        let ready = self.is_ready();
        Box::pin(async move { if ready { Ok(()) } else { Err("there is no session with the coordinator".to_owned()) } })
    }

    fn metrics(&self) -> Look<String> {
        let text = page("agent", self.gauges(), |registry| {
            registry.register("session_events", "Sessions that began, and attempts that failed", self.events.clone());
            registry.register("requests", "Requests of the coordinator, by what came of them", self.requests.clone());
        });
        Box::pin(async move { text })
    }
}
