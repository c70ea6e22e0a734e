//! What the custodian counts for those who watch it: rounds by what came of them, and refusals by their public code.
//!
//! It must never count what the researcher is not told: how many cells a round hides and by which of the gate's rules, how many patients opted out, how many rows were left out.
//! Of two pages before and after a round, the difference is about that round, and whoever watches machines is not the steward.

use bocage_daemon::figures::{Counted, Registry, count};
use bocage_protocol::error::ErrorCode;

use super::ledger::bodies::ReleasedPart;

/// What came of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoundOutcome {
    /// It left.
    Released,
    /// What had left before left again.
    Repeated,
    /// It was refused for good.
    Refused,
    /// A person has to decide, or has stopped everything.
    Waits,
    /// The ledger could not be used: nothing left.
    Failed,
}

impl RoundOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Repeated => "repeated",
            Self::Refused => "refused",
            Self::Waits => "waits",
            Self::Failed => "failed",
        }
    }
}

/// What is counted from the start on.
#[derive(Debug, Default)]
pub struct Counts {
    rounds: Counted,
    refusals: Counted,
    analyses: Counted,
}

impl Counts {
    /// A round has come to something.
    pub fn round(&self, outcome: RoundOutcome) {
        count(&self.rounds, "outcome", outcome.as_str());
    }

    /// A round was refused, and the requester told so.
    pub fn refused(&self, code: ErrorCode) {
        self.round(RoundOutcome::Refused);
        count(&self.refusals, "code", code.as_str());
    }

    /// The gate's decisions about the analyses of a round that left, as its release says them: an analysis left, or was refused by this rule.
    pub fn released(&self, parts: &[ReleasedPart]) {
        self.round(RoundOutcome::Released);
        for part in parts {
            let rule = part.refused.as_ref().map_or("released", |error| error.code.as_str());
            count(&self.analyses, "decision", rule);
        }
    }

    /// Puts all of it on a page.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("rounds", "Rounds that were asked for, by what came of them", self.rounds.clone());
        registry.register("round_refusals", "Rounds that were refused, by error code", self.refusals.clone());
        registry.register(
            "gate_decisions",
            "Analyses at the gate: released, or refused by error code",
            self.analyses.clone(),
        );
    }
}
