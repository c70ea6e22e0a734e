//! Snapshots: frozen, content-hashed tables in Arrow IPC, one record batch, sorted by a dense subject number.
//!
//! ```text
//! DIR/DATASET/HASH.arrow   the rows, never rewritten in place
//! DIR/DATASET/HASH.json    the manifest: contract, settings, report; for the hospital's own eyes
//! DIR/DATASET/current      the hash of the snapshot that studies are answered on
//! ```
//!
//! A snapshot is whole or not there: every file is written beside its place, synced, then renamed, and `current` moves last.
//! Nothing here may put a content hash on the wire: [`Snapshot::public_name`] is what leaves.

mod files;
mod manifest;
mod mapped;
mod open;
mod take;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use bocage_protocol::ids::Digest;

pub use manifest::{Manifest, Stale, stale_reason};
pub use open::{Snapshot, Snapshots, current, manifest};
pub use take::take;

use super::source::SourceError;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The name could not be that of a folder.
    #[error("not a name of a dataset")]
    Name,
    /// No snapshot was ever taken.
    #[error("dataset `{dataset}` has no snapshot\n  hint: take one with `bocage-node datasets refresh {dataset}`")]
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
    /// A file cannot be read or written.
    #[error("{path}: {kind}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        kind: std::io::ErrorKind,
    },
    /// The source did not become rows.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl SnapshotError {
    pub(self) fn io(path: &std::path::Path, error: &std::io::Error) -> Self {
        SnapshotError::Io { path: path.to_owned(), kind: error.kind() }
    }
}
