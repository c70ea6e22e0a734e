//! Putting a node's backup back. The ledger that comes back says of itself that it is an older copy, before it stands under its name: no node ever
//! answers from it until its steward has accepted that.

use std::fs::File;
use std::path::{Path, PathBuf};

use bocage_keep::archive::{Manifest, PlaceError, Placed, UnpackError, unpack};
use bocage_keep::seal::Identities;
use bocage_protocol::env::Timestamp;

use crate::config::StateDir;
use crate::custodian::ledger::bodies::restored;
use crate::custodian::ledger::{Broken, Entry, Kind, Ledger, LedgerError};

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup cannot be opened.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// It is a coordinator's.
    #[error("this is a backup of a {0}\n  hint: `bocage-{0} restore` puts it back")]
    OtherDaemon(String),
    /// The ledger within cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The ledger's chain does not hold.
    #[error("the backup's ledger: {0}\n  hint: take another backup")]
    Broken(Broken),
    /// A node runs there.
    #[error("a node runs on {}\n  hint: stop it first", .0.display())]
    Running(PathBuf),
    /// It cannot be put in its place.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// The configuration, where it is now.
    pub config: PathBuf,
    /// What was put where.
    pub placed: Placed,
    /// The records that the ledger had when it was kept; none where there was no ledger.
    pub records: Option<u64>,
}

/// Puts the backup `file` back into the folder `into`.
///
/// # Errors
/// It cannot be opened or placed: then all is as before.
pub fn restore(
    file: &Path,
    identities: &Identities,
    into: &Path,
    replace: bool,
    elsewhere: bool,
    now: Timestamp,
) -> Result<Restored, RestoreError> {
    let staged = unpack(file, identities, into)?;
    let about = staged.manifest.about.clone();
    if about.daemon != "node" {
        return Err(RestoreError::OtherDaemon(about.daemon));
    }
    let state = StateDir(staged.path(&about.state), None);
    let records = state.ledger().exists().then(|| mark(&state.ledger(), &about.made_at, now)).transpose()?;
    if let Some(target) = staged.state() {
        let there = StateDir(target, None);
        if [there.lock(), there.custodian_lock()].iter().any(|lock| is_held(lock)) {
            return Err(RestoreError::Running(there.0));
        }
    }
    let aside = format!("before-restore-{}", now.to_string().replace(':', ""));
    let placed = staged.place(replace.then_some(aside.as_str()), elsewhere)?;
    let config = staged.config().unwrap_or_else(|| into.to_owned());
    Ok(Restored { manifest: staged.manifest.clone(), config, placed, records })
}

/// Writes into the ledger that it is an older copy; answers how many records it had.
fn mark(ledger: &Path, made_at: &str, now: Timestamp) -> Result<u64, RestoreError> {
    let ledger = Ledger::open(ledger)?;
    let verified = ledger.verify()?.map_err(RestoreError::Broken)?;
    let body = restored::Restored { backup: Some(made_at.to_owned()), known: None };
    ledger.append(now, &[Entry::of_site(Kind::Restored, &body)])?;
    Ok(verified.records)
}

/// Whether a process holds this lock. A lock that is not there is held by nobody.
fn is_held(lock: &Path) -> bool {
    File::open(lock).is_ok_and(|file| matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}
