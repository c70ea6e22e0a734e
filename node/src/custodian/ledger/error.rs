//! Why a ledger cannot be used. Whoever asks from outside learns that it cannot, and nothing else.

use std::path::PathBuf;

use bocage_protocol::error::{ErrorCode, PublicError};

/// Why the ledger could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be created or its mode cannot be set.
    #[error("cannot prepare the ledger {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be opened as a database.
    #[error("cannot open the ledger {path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A later version wrote it.
    #[error(
        "{path} has format {found}, this version reads {known}\n  hint: run the version that wrote it, or a newer one; a backup from before the upgrade has the older form",
        known = super::FORMAT
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// The file is something else.
    #[error("{path} is not a ledger of format {format}", format = super::FORMAT)]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// Records could not be written.
    #[error("cannot write the ledger: {0}")]
    Write(rusqlite::Error),
    /// A body that JSON cannot hold.
    #[error("cannot write the ledger: a record's body cannot be written as JSON")]
    Body,
    /// A hash that is none.
    #[error("cannot read the ledger: the hash beside record {seq} is damaged")]
    Damaged {
        /// The record.
        seq: i64,
    },
    /// Records could not be read.
    #[error("cannot read the ledger: {0}")]
    Read(rusqlite::Error),
}

impl From<&LedgerError> for PublicError {
    fn from(_: &LedgerError) -> Self {
        PublicError::new(ErrorCode::LedgerUnavailable, "the site's ledger cannot be used, so nothing may leave it")
            .hint("the site's operator finds the cause in the node's log; a full disk is the most frequent one")
    }
}
