//! What the coordinator counts for those who watch it. Labels are words of the code: outcomes and error codes. No site's text, no study's and no person's name is ever one.

use bocage_daemon::figures::{Counted, Histogram, Registry, count};
use bocage_protocol::error::ErrorCode;

/// Seconds: from a round trip on one machine to the longest that a query may take.
const ROUND_TRIP_SECS: [f64; 12] = [0.005, 0.02, 0.1, 0.25, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0];

/// What came of a round that was put to a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoundOutcome {
    /// A release was recorded.
    Answered,
    /// The site refused for good.
    Refused,
    /// A person of the site has to decide first. Counted at each attempt.
    Waits,
    /// The site was busy. Counted at each attempt.
    Busy,
    /// The link was lost before the answer. Counted at each attempt.
    Lost,
    /// The deadline came first.
    TimedOut,
}

impl RoundOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Waits => "waits",
            Self::Busy => "busy",
            Self::Lost => "lost",
            Self::TimedOut => "timed_out",
        }
    }
}

/// What is counted from the start on.
#[derive(Debug)]
pub struct Counts {
    rounds: Counted,
    refusals: Counted,
    rejected: Counted,
    round_trip: Histogram,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            rounds: Counted::default(),
            refusals: Counted::default(),
            rejected: Counted::default(),
            round_trip: Histogram::new(ROUND_TRIP_SECS),
        }
    }
}

impl Counts {
    /// A round at a site has come to something.
    pub fn round(&self, outcome: RoundOutcome) {
        count(&self.rounds, "outcome", outcome.as_str());
    }

    /// A site refused, and said so.
    pub fn refused(&self, code: ErrorCode) {
        self.round(RoundOutcome::Refused);
        count(&self.refusals, "code", code.as_str());
    }

    /// A site answered after so many seconds.
    pub fn answered(&self, secs: f64) {
        self.round(RoundOutcome::Answered);
        self.round_trip.observe(secs);
    }

    /// A peer whose certificate holds was not let in.
    pub fn rejected(&self, reason: &'static str) {
        count(&self.rejected, "reason", reason);
    }

    /// Puts all of it on a page.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("rounds", "Rounds put to sites, by what came of them", self.rounds.clone());
        registry.register("round_refusals", "Final refusals of sites, by error code", self.refusals.clone());
        registry.register(
            "sessions_rejected",
            "Peers with a good certificate that were not let in",
            self.rejected.clone(),
        );
        registry.register(
            "round_trip_seconds",
            "From a round's request to a site's whole answer",
            self.round_trip.clone(),
        );
    }
}
