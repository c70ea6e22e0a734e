//! Why a ledger cannot be used, and what to do about it. Whoever asks from outside learns that it cannot, and nothing else.

use std::fmt;
use std::io;
use std::path::PathBuf;

use bocage_protocol::error::{ErrorCode, PublicError};

const RESTORE: &str = "keep what is there, and put the newest backup back with `bocage node restore FILE --identity KEY --replace` (OPERATING, A restored ledger)";

/// What is wrong with a file that should be a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruin {
    /// A folder or a device has its name.
    NoFile,
    /// It has no byte: a ledger never has so few.
    Empty,
    /// It begins otherwise than a database does.
    NotSqlite,
    /// It is somebody else's database.
    Other,
    /// A part is missing or was overwritten.
    Damaged,
}

impl fmt::Display for Ruin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoFile => "is no file",
            Self::Empty => "is empty, and no ledger ever is: it was cut off",
            Self::NotSqlite => "is no database of SQLite: it was overwritten",
            Self::Other => "is a database, and no ledger of a form that this version reads",
            Self::Damaged => "is damaged: a part of it is missing, or was overwritten",
        })
    }
}

/// Why the ledger could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be opened or created, or its mode cannot be set.
    #[error("cannot open the ledger {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
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
    #[error("the ledger {path} has format {found}, this version reads {known}", known = super::FORMAT)]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// The file is no sound ledger. It was left as it is.
    #[error("the ledger {path} {ruin}; nothing of it was changed")]
    Ruined {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        ruin: Ruin,
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

impl LedgerError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run this as the node's own user; files that somebody else restored are given to it by `chown -R`"
            }
            Self::File { .. } => "the folder must be there, on a disk that is mounted and can be written",
            Self::Newer { .. } => {
                "run the version that wrote it, or a newer one; a backup from before the upgrade has the older form"
            }
            Self::Ruined { .. } => RESTORE,
            Self::Open { source, .. } | Self::Write(source) | Self::Read(source) => match source.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => RESTORE,
                Some(rusqlite::ErrorCode::DiskFull) => "make room on the disk of the state folder",
                Some(rusqlite::ErrorCode::DatabaseBusy) => "another process holds it; try again",
                _ => {
                    "run this as the node's own user, on a disk that can be written; `bocage node ledger verify` looks at all of it"
                }
            },
            Self::Damaged { .. } => "`bocage node ledger verify` says from where on the ledger proves nothing",
            Self::Body => "this is our fault: report it with the node's log",
        }
    }
}

impl From<&LedgerError> for PublicError {
    fn from(_: &LedgerError) -> Self {
        PublicError::new(ErrorCode::LedgerUnavailable, "the site's ledger cannot be used, so nothing may leave it")
            .hint("the site's operator finds the cause in the node's log; a full disk is the most frequent one")
    }
}
