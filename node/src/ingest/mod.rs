//! The ingest: reads one dataset's source, writes a snapshot and ends. By schedule the supervisor starts it, by hand a person.
//!
//! It must never be given the ledger or the release key: what it reads is not trusted, and a defect that a source could use reaches no further than
//! the dataset's own snapshots, and to read those that its rules look into, and the custodian believes nothing of how these are laid out. That a snapshot is there is written into the ledger by the custodian, which takes it into use.

pub mod attempt;
pub mod progress;

use std::cell::Cell;

use bocage_protocol::env::Timestamp;

use self::attempt::Attempt;

use crate::config::{Dataset, SnapshotRules, StateDir};
use crate::custodian::optout::IdForm;
use crate::custodian::others::Others;
use crate::custodian::snapshot::{Floor, Manifest, Progress, Size, SnapshotError, SystemDisk, Taking};

/// Why a snapshot is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The dataset has none that can be used.
    Start,
    /// The one in use is older than `snapshots.epoch_days`.
    Epoch,
    /// The one in use is older than the dataset's `refresh`, or than a day where its source says who opted out.
    Schedule,
    /// A person wanted it.
    Refresh,
}

impl Why {
    const ALL: [Self; 4] = [Self::Start, Self::Epoch, Self::Schedule, Self::Refresh];

    /// As the ledger writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Start => "start",
            Why::Epoch => "epoch",
            Why::Schedule => "schedule",
            Why::Refresh => "refresh",
        }
    }

    /// What [`Why::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.as_str() == text)
    }
}

/// What an ingest knows.
pub struct Ingest<'a> {
    /// The node's state, of which it sees the dataset's snapshots.
    pub state: &'a StateDir,
    /// What must stay free.
    pub rules: SnapshotRules,
    /// What it reads.
    pub dataset: &'a Dataset,
    /// How patients are known again, where they can opt out.
    pub form: Option<&'a IdForm>,
    /// What rules that look into other datasets find there.
    pub others: &'a Others,
    /// How much is in memory at a time.
    pub size: Size,
}

impl Ingest<'_> {
    /// Takes a snapshot and makes it the current one. That it failed stands beside the snapshots until the next one is taken. `goes_on` is told again and
    /// again how far it is; where it says no, nothing is taken.
    ///
    /// # Errors
    /// The source, its mapping or the disk, or another process is at it. The snapshot before is then still the current one.
    pub fn run(&self, why: Why, now: Timestamp, goes_on: &dyn Fn(Progress) -> bool) -> Result<Manifest, SnapshotError> {
        let dir = self.state.snapshots();
        let floor = Floor { disk: &SystemDisk, bytes: u64::from(self.rules.min_free_mib) << 20 };
        let path = attempt::path(&dir, &self.dataset.name);
        let before = attempt::read(&path);
        let failures = before.as_ref().map_or(0, |attempt| attempt.failures);
        let before = Cell::new(before);
        let noted = |progress| {
            match progress {
                // Where it cannot be written, the disk says so soon.
                Progress::Begun => drop(attempt::write(&path, &Attempt { began_at: now, error: None, failures })),
                Progress::GoesOn { rows } => {
                    before.set(None);
                    tracing::info!(dataset = self.dataset.name, rows, "goes on where an ingest before was interrupted");
                }
                Progress::Reading { .. } => {
                    if let Some(before) = before.take() {
                        let ended = before.ended();
                        tracing::info!(
                            dataset = self.dataset.name,
                            "the ingest before {ended}; this one reads the source from the start"
                        );
                    }
                }
                _ => {}
            }
            goes_on(progress)
        };
        let (form, others, size, why) = (self.form, self.others, self.size, why.as_str());
        let taking = Taking { dir: &dir, floor, form, others, why, size, goes_on: &noted };
        let taken = taking.take(&self.dataset.spec, &self.dataset.contract, now);
        match &taken {
            Ok(_) => attempt::remove(&path),
            // It is another process's attempt.
            Err(SnapshotError::Busy { .. }) => {}
            Err(error) => {
                let failures = if error.may_pass() { failures.saturating_add(1) } else { 0 };
                let failed = Attempt { began_at: now, error: Some(error.to_string()), failures };
                drop(attempt::write(&path, &failed));
            }
        }
        taken
    }
}
