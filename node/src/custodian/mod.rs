//! The custodian: the only process that opens the site's data, its ledger and its release key.
//!
//! It must never open a network connection: it answers frames on a Unix socket inside the state directory and nothing else.

pub mod answer;
pub mod authority;
mod controls;
mod counts;
pub mod data;
pub mod desk;
pub mod engine;
pub mod folds;
pub mod gate;
mod gathered;
mod in_words;
pub mod ledger;
pub mod links;
pub mod optout;
pub mod others;
mod refusals;
mod reuse;
mod revocations;
pub mod schedule;
pub mod server;
pub mod snapshot;
pub mod source;
#[cfg(test)]
mod tests;
pub mod watched;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bocage_daemon::pulse::Pulse;
use bocage_protocol::env::{Clock, Timestamp};
use bocage_protocol::ids::{Digest, StudyId};
use bocage_protocol::trust::{SecretKey, SignedCheckpoint, SignedRevocations};

use crate::config::CustodianConfig;
use crate::ingest::Why;
pub use controls::{Control, Controls};

use crate::sandbox::OnSealed;
use desk::shown::Paused;
use engine::Designs;
use folds::KeptFolds;
use ledger::bodies::{Attempt, AttemptState, Refusal};
use ledger::{Entry, Kind, Ledger, LedgerError};
use links::Links;
use optout::OptOuts;
use refusals::Refusals;
use snapshot::Snapshots;

/// Called with the study before each query, on the thread that computes.
pub type BeforeQuery = Arc<dyn Fn(&StudyId) + Send + Sync>;

/// A moment at which a sudden end of the custodian is most interesting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Request, decision, reservation and attempt are in the ledger; nothing is computed.
    Reserved,
    /// The release is made and signed; it is not in the ledger.
    Computed,
    /// The release is in the ledger; it has not left.
    Recorded,
}

impl Moment {
    /// All moments.
    pub const ALL: [Self; 3] = [Self::Reserved, Self::Computed, Self::Recorded];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Computed => "computed",
            Self::Recorded => "recorded",
        }
    }
}

/// Called at each moment, on the compute thread.
pub type AtMoment = Arc<dyn Fn(Moment) + Send + Sync>;

/// Called with how far an ingest is.
pub type OnIngest = Arc<dyn Fn(snapshot::Progress) + Send + Sync>;

/// What tests may change about a node. Only code can set it: there is no flag, variable or Cargo feature for any of it.
#[derive(Clone, Default)]
pub struct Switches {
    /// Called before each query, on the compute thread: it may block, panic or end the process.
    pub before_query: Option<BeforeQuery>,
    /// Called at each [`Moment`]: it may end the process.
    pub at: Option<AtMoment>,
    /// The time, where it is not the machine's.
    pub clock: Option<Arc<dyn Clock>>,
    /// Called in each process of a node when its sandbox is complete: it may try the sandbox.
    pub sealed: Option<OnSealed>,
    /// Called in an ingest at each step: it may block or end the process.
    pub ingesting: Option<OnIngest>,
    /// How much of a source an ingest has in memory at a time.
    pub size: snapshot::Size,
    /// No sandbox at all, where the configuration requires none either: what a test compares with.
    pub unsandboxed: bool,
    /// Environment variables whose names begin so reach the node's children, beside those that a node needs.
    pub environment: Vec<String>,
    /// What is enforced: everything, unless an attack test says otherwise.
    pub controls: Controls,
}

/// What the supervisor is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A query begins.
    Working {
        /// The ledger's number of this attempt.
        attempt: u64,
        /// How long it may take.
        limit: Duration,
    },
    /// No query runs.
    Idle,
    /// The loop turns.
    Beat,
    /// A snapshot of a dataset is due to be taken.
    Due {
        /// The dataset.
        dataset: String,
        /// Why.
        why: Why,
    },
    /// A study waits for the steward, since now.
    Pending {
        /// Which.
        study: StudyId,
        /// Its title.
        title: String,
    },
}

/// Where [`Progress`] goes.
pub type Report = Arc<dyn Fn(Progress) + Send + Sync>;

/// Everything that answers a round. One for each process; rounds are answered one at a time.
pub struct Custodian {
    config: CustodianConfig,
    /// Which policy that is. The configuration never changes, and a round names it several times.
    policy: Digest,
    ledger: Ledger,
    release_key: SecretKey,
    clock: Arc<dyn Clock>,
    progress: Report,
    switches: Switches,
    stopping: AtomicBool,
    strangers: AtomicU32,
    /// What a coordinator remembered of the ledger when it was heard last; none where none has said so: then it does not know the words for it.
    witnesses: Mutex<Option<Vec<SignedCheckpoint>>>,
    refusals: Refusals,
    /// The list of revoked permits that was heard last and is in the ledger, or is older than one that is.
    heard: Mutex<Option<SignedRevocations>>,
    /// Held while a release is recorded or a pause begins: one of the two comes first.
    brake: Mutex<()>,
    /// A pause that the ledger did not take.
    unwritten: Mutex<Option<Paused>>,
    snapshots: Snapshots,
    /// When the snapshot of each dataset was put into use that the ledger knows.
    adopted: Mutex<HashMap<String, SystemTime>>,
    /// The datasets that an ingest was asked for, and when.
    asked: Mutex<HashMap<String, Timestamp>>,
    optouts: OptOuts,
    links: Links,
    folds: KeptFolds,
    designs: Designs,
    counts: counts::Counts,
    pulse: Pulse,
}

impl Custodian {
    /// A custodian over an open ledger.
    pub fn new(
        config: CustodianConfig,
        ledger: Ledger,
        release_key: SecretKey,
        clock: Arc<dyn Clock>,
        progress: Report,
        switches: Switches,
    ) -> Self {
        let stopping = AtomicBool::new(false);
        let snapshots = Snapshots::new(config.state.snapshots());
        let designs = Designs::new(config.site.clone());
        let optouts = OptOuts::new(&config, switches.controls);
        Self {
            policy: config.policy_version(),
            config,
            ledger,
            release_key,
            clock,
            progress,
            switches,
            stopping,
            strangers: AtomicU32::new(0),
            witnesses: Mutex::default(),
            refusals: Refusals::default(),
            heard: Mutex::default(),
            brake: Mutex::new(()),
            unwritten: Mutex::default(),
            snapshots,
            adopted: Mutex::default(),
            asked: Mutex::default(),
            optouts,
            links: Links::default(),
            folds: KeptFolds::default(),
            designs,
            counts: counts::Counts::default(),
            pulse: Pulse::default(),
        }
    }

    /// Settles what an earlier custodian left in flight. `overran` is the attempt for which the supervisor ended it.
    ///
    /// An attempt that overran ends its round; one that died may be tried once more, under the same reservation.
    ///
    /// # Errors
    /// Where the ledger cannot be used.
    pub fn recover(&self, overran: Option<u64>) -> Result<(), LedgerError> {
        let Some((seq, study, round)) = self.ledger.in_flight()? else { return Ok(()) };
        let state = if overran == Some(seq.unsigned_abs()) { AttemptState::Overran } else { AttemptState::Died };
        let deaths = self.ledger.history(&study)?.deaths + 1;
        let mut entries = vec![Entry::new(Kind::Attempt, study, round, &Attempt { state })];
        let over = state == AttemptState::Overran || deaths >= ledger::DEATHS;
        if over {
            let refusal = Refusal { error: answer::too_heavy(), r#final: true };
            entries.push(Entry::new(Kind::Refusal, study, round, &refusal));
        }
        self.ledger.append(self.clock.now(), &entries)?;
        tracing::warn!(%study, round, attempt = seq, ?state, ends_round = over, "the custodian ended within a query");
        Ok(())
    }

    /// The agent's user, where it is not this process's own.
    pub fn agent_user(&self) -> Option<u32> {
        self.config.agent_user
    }

    /// Drops what the ledger need not keep any longer. Where that fails it stays, until the next day.
    pub fn drop_old_payloads(&self) {
        match self.ledger.drop_payloads(self.config.ledger.keep_payloads_days, self.clock.now()) {
            Ok(0) => {}
            Ok(dropped) => tracing::info!(dropped, "dropped old payloads of the ledger; their hashes stay"),
            Err(error) => tracing::error!(%error, "old payloads of the ledger could not be dropped"),
        }
    }

    /// Drops designs that no round has asked for long.
    pub fn drop_old_designs(&self) {
        let dropped = self.designs.expire(self.clock.now());
        if dropped > 0 {
            tracing::debug!(dropped, "dropped what was kept for fits that go on no more");
        }
    }

    /// Looks over the ledger's chain, through a connection of its own: nothing waits for it. A chain that is broken is told, and stops nothing:
    /// what leaves is signed and approvals are sealed, each by itself, and a flipped byte must not close a hospital's node.
    pub fn look_over_ledger(&self) {
        let path = self.config.state.ledger();
        // One moment of the ledger: beside it, payloads may be dropped.
        let look = |ledger: Ledger| ledger.hold().and_then(|()| ledger.verify());
        match Ledger::open_read_only(&path).and_then(look) {
            Ok(Ok(verified)) => tracing::info!(records = verified.records, "the ledger's chain holds"),
            Ok(Err(broken)) => tracing::error!(
                record = broken.seq,
                why = broken.why,
                "the ledger's chain is broken: answers go on, but the ledger proves nothing from this record on; see `bocage node ledger verify`"
            ),
            Err(error) => tracing::error!(%error, "the ledger's chain could not be looked over"),
        }
    }

    /// The loop turns.
    fn beat(&self) {
        self.pulse.beat();
        (self.progress)(Progress::Beat);
    }

    fn pass(&self, moment: Moment) {
        if let Some(at) = &self.switches.at {
            at(moment);
        }
    }

    /// From now on every round is answered `busy`; the one that is being computed may finish.
    pub fn begin_stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Notes that the operator, not the query, ended what is still being computed.
    pub fn end_stop(&self) {
        self.write_down_pause();
        let stopped = || {
            let Some((_, study, round)) = self.ledger.in_flight()? else { return Ok(()) };
            let entry = Entry::new(Kind::Attempt, study, round, &Attempt { state: AttemptState::Stopped });
            self.ledger.append(self.clock.now(), &[entry]).map(drop)
        };
        let stopped: Result<(), LedgerError> = stopped();
        if let Err(error) = stopped {
            tracing::error!(%error, "the interrupted query could not be recorded");
        }
        let refused = self.refusals.end();
        if !refused.is_empty()
            && let Err(error) = self.ledger.append(self.clock.now(), &refused)
        {
            tracing::error!(%error, "how many refusals were not written down could not be recorded");
        }
    }
}
