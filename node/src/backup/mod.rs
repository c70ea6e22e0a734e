//! A node's backup: everything that it needs to go on elsewhere, but for what the hospital has anyway (its data, its list of opt-outs) and what is made
//! anew (snapshots, unless they are wanted, and what only a running node has).
//!
//! **Order.** The ledger is copied first, as it stands at one moment; then what lies beside it. The state of opt-outs is written before the ledger speaks
//! of it, so a state that is read later knows all that the ledger knows.
//!
//! Reading a backup needs no configuration: it brings its own.

mod restore;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bocage_keep::archive::{About, PackError, Packed, Packing, member};
use bocage_keep::database;
use bocage_keep::named::named_files;
use bocage_keep::seal::Recipient;
use bocage_protocol::env::Timestamp;

use crate::config::{Config, ENV_PREFIX, Origin};
use crate::custodian::ledger::{Broken, Ledger, LedgerError};

pub use restore::{RestoreError, Restored, restore};

/// Where a copy of the ledger is put together, within the state folder: nobody else may read it.
const COPYING: &str = ".backup-";

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The archive.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The ledger cannot be copied.
    #[error(
        "the ledger cannot be copied: {0}\n  hint: the state folder's disk must have room for it a second time for a while"
    )]
    Copy(#[from] rusqlite::Error),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The ledger's chain does not hold.
    #[error(
        "{0}: a backup of it would prove nothing\n  hint: `bocage node ledger verify` says more; keep the file as it is, and look for an older backup"
    )]
    Broken(Broken),
    /// A file or folder cannot be looked at.
    #[error("{}: {source}\n  hint: run the command as the node's own user", .path.display())]
    Look {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The archive.
    pub packed: Packed,
    /// The ledger's records; none where there is no ledger yet.
    pub records: Option<u64>,
}

/// Keeps a node in the new file `to`.
///
/// # Errors
/// Something cannot be read or written: then there is no such file.
pub fn backup(
    config: &Config,
    origin: &Origin,
    to: &Path,
    recipients: &[Recipient],
    with_snapshots: bool,
    now: Timestamp,
) -> Result<Kept, BackupError> {
    let base = match origin.base() {
        base if base.as_os_str().is_empty() => Path::new("."),
        base => base,
    };
    let name = |path: &Path| member(base, path).ok_or_else(|| PackError::Name { file: path.to_owned() });
    let about = About {
        daemon: "node".to_owned(),
        network: config.network.to_string(),
        site: Some(config.site.to_string()),
        software: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: now.to_string(),
        config: name(&origin.file)?,
        state: name(&config.state.0)?,
    };
    let mut packing = Packing::begin(to, recipients, about)?;
    let records = match config.state.ledger() {
        ledger if ledger.exists() => Some(add_ledger(&mut packing, &name(&ledger)?, &ledger, &config.state.0)?),
        _ => None,
    };
    let mut folders = vec![(config.state.optouts(), true)];
    if with_snapshots {
        folders.push((config.state.snapshots(), false));
    }
    for (folder, all) in folders {
        for file in files_below(&folder)? {
            match packing.add(&name(&file)?, &file) {
                // A running node removes snapshots that nobody needs any more.
                Err(PackError::Read { source, .. }) if !all && source.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
    }
    for file in named(config, origin, base)? {
        packing.add(&name(&file)?, &file)?;
    }
    packing.add(&name(&origin.file)?, &origin.file)?;
    Ok(Kept { packed: packing.finish()?, records })
}

/// Adds a copy of the ledger as it stands now, whose chain holds; answers how many records it has.
fn add_ledger(packing: &mut Packing, member: &str, ledger: &Path, state: &Path) -> Result<u64, BackupError> {
    let look = |source| BackupError::Look { path: state.to_owned(), source };
    remove_leftovers(state);
    let dir = tempfile::Builder::new().prefix(COPYING).tempdir_in(state).map_err(look)?;
    let copy = dir.path().join("ledger.sqlite");
    database::copy(ledger, &copy)?;
    let verified = Ledger::open_read_only(&copy)?.verify()?.map_err(BackupError::Broken)?;
    packing.add(member, &copy)?;
    Ok(verified.records)
}

/// What backups left behind that were killed.
fn remove_leftovers(state: &Path) {
    for entry in fs::read_dir(state).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(COPYING)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The files that the configuration names and that are there: what is missing is missed by `check`.
fn named(config: &Config, origin: &Origin, base: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let settings = bocage_net::settings::load(&origin.file, ENV_PREFIX, &origin.overrides);
    let tree = settings.map(|settings| settings.tree).unwrap_or_default();
    let mut files = Vec::new();
    for path in named_files(&tree, base) {
        // What lies in the state folder was kept, or is made anew.
        if path.starts_with(&config.state.0) {
            continue;
        }
        if path.is_dir() {
            let texts = files_below(&path)?.into_iter().filter(|file| file.extension().is_some_and(|e| e == "toml"));
            files.extend(texts);
        } else if path.exists() {
            files.push(path);
        }
    }
    Ok(files)
}

/// All regular files below a folder, in the order of their names; none where there is no such folder.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let look = |source| BackupError::Look { path: folder.clone(), source };
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(look)?,
        };
        for entry in entries {
            let entry = entry.map_err(look)?;
            let kind = entry.file_type().map_err(look)?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}
