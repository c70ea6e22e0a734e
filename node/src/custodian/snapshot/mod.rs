//! Snapshots: frozen, content-hashed tables in Arrow IPC, one record batch, sorted by a dense subject number.
//!
//! ```text
//! DIR/DATASET/HASH.arrow   the rows, never rewritten in place
//! DIR/DATASET/HASH.json    the manifest: contract, settings, report; for the hospital's own eyes
//! DIR/DATASET/HASH.ids     by what the patients are known again, where they have ids or can opt out
//! DIR/DATASET/current      the hash of the snapshot that studies are answered on
//! DIR/DATASET/attempt.json why there is no newer one, where the last ingest failed
//! DIR/DATASET/unfinished.rows  how far an ingest was that came to no end
//! ```
//!
//! A snapshot is whole or not there: every file is written beside its place, synced, then renamed, and `current` moves last. What is put aside on the
//! way (`spool`) has no name, but for the rows from which an ingest goes on that was killed (`unfinished`).
//! Nothing here may put a content hash on the wire: [`public_name`] is what leaves.

#[cfg(test)]
mod bad_sources;
mod columns;
mod disk;
mod elsewhere;
#[cfg(test)]
mod exports;
mod files;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod going_on;
mod keep;
mod keys;
mod manifest;
mod mapped;
mod offered;
mod open;
mod pieces;
mod shuffle;
#[cfg(test)]
mod sizes;
mod sound;
mod spool;
mod subjects;
mod sweep;
mod take;
#[cfg(test)]
mod tests;
mod tokens;
mod unfinished;

use std::path::PathBuf;

use bocage_protocol::ids::{Digest, RuleName};

pub use disk::{Disk, Floor, SystemDisk};
pub use keep::{Held, drop_all, held, is_being_taken, retire};
pub use manifest::{IdsFile, Manifest, Stale, stale_reason};
#[cfg(test)]
pub(in crate::custodian) use offered::gaps;
pub use offered::{LeftOut, Offered, public_name};
pub(in crate::custodian) use offered::{Part, Rows};
pub use open::{Snapshot, Snapshots, current, manifest, moved_at, subject_ids};
pub use sweep::sweep;
pub use take::{Progress, Size, Taking};

use super::source::SourceError;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The name could not be that of a folder.
    #[error("not a name of a dataset")]
    Name,
    /// No snapshot was ever taken.
    #[error("dataset `{dataset}` has no snapshot\n  hint: take one with `bocage node datasets refresh {dataset}`")]
    None {
        /// The dataset.
        dataset: String,
    },
    /// A file of the snapshot is missing, cut or altered.
    #[error("{path}: {reason}\n  hint: the snapshot is damaged and will not be used; take a new one")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The snapshot does not hold what its name says.
    #[error("{path}: the content is not that of {}\n  hint: the file was altered; take a new snapshot", expected.short())]
    Altered {
        /// The file.
        path: PathBuf,
        /// The hash that it should have.
        expected: Digest,
    },
    /// The disk is full.
    #[error("{path}: the disk is full\n  hint: make room; the snapshot before stays in use")]
    Full {
        /// What could not be written.
        path: PathBuf,
    },
    /// Too little would stay free.
    #[error(
        "{path}: {free_mib} MiB are free, the snapshot takes about {needed_mib} MiB, and {floor_mib} MiB must stay free\n  hint: make room, or \
         lower snapshots.keep or snapshots.min_free_mib; the snapshot before stays in use"
    )]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// What is free now.
        free_mib: u64,
        /// What the snapshot takes, as far as it is known.
        needed_mib: u64,
        /// What must stay free.
        floor_mib: u64,
    },
    /// A rule takes rows or values away by what another dataset says, which cannot be asked.
    #[error(
        "rule `{rule}` takes rows or values away by another dataset, and cannot be looked at: {why}\n  hint: take that dataset's snapshot first, with `bocage node datasets refresh`"
    )]
    Unheld {
        /// The rule.
        rule: RuleName,
        /// Why it cannot.
        why: String,
    },
    /// Another process takes or removes snapshots of the dataset.
    #[error("{path}: another process is taking a snapshot here\n  hint: wait until it has ended")]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{path}: {kind}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        kind: std::io::ErrorKind,
    },
    /// Somebody wanted it to stop.
    #[error("it was interrupted; the snapshot before stays in use")]
    Interrupted,
    /// A failure of ours; the cause may hold data and is not repeated.
    #[error("the snapshot could not be made: {stage}")]
    Fault {
        /// Where it stopped.
        stage: &'static str,
    },
    /// The source did not become rows.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl SnapshotError {
    /// Whether the same ingest may go well later, with nobody having changed anything: the server of its database was away.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Source(SourceError::Postgres(error)) if error.may_pass())
    }

    pub(self) fn io(path: &std::path::Path, error: &std::io::Error) -> Self {
        SnapshotError::of_kind(path, error.kind())
    }

    pub(self) fn of_kind(path: &std::path::Path, kind: std::io::ErrorKind) -> Self {
        use std::io::ErrorKind;
        let path = path.to_owned();
        match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => SnapshotError::Full { path },
            kind => SnapshotError::Io { path, kind },
        }
    }
}
