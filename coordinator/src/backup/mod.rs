//! A coordinator's backup: its configuration with all files that it names, contracts, the key by which it publishes, and its databases, each copied as it stands at one moment while the
//! coordinator works on it.
//!
//! A coordinator that is put back has forgotten what came after: studies that were handed in since are asked for again by whoever handed them in, and what
//! sites said of their ledgers since comes again with their next releases.

pub mod cli;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bocage_keep::archive::{
    About, Manifest, PackError, Packed, Packing, PlaceError, Placed, UnpackError, member, unpack,
};
use bocage_keep::database;
use bocage_keep::named::named_files;
use bocage_keep::seal::{Identities, Recipient};
use bocage_protocol::env::Timestamp;

use crate::config::{Config, ENV_PREFIX};
use crate::publisher::Publisher;
use crate::store::{FILE, LOCK};

/// Where a copy of the store is put together, within the state folder: nobody else may read it.
const COPYING: &str = ".backup-";

/// Why there is no backup, or nothing was put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The archive cannot be made.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The store cannot be copied.
    #[error(
        "the store cannot be copied: {0}\n  hint: the state folder's disk must have room for it a second time for a while"
    )]
    Copy(#[from] rusqlite::Error),
    /// A file or folder cannot be looked at.
    #[error("{}: {source}\n  hint: run the command as the coordinator's own user", .path.display())]
    Look {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The archive cannot be opened.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// It is a node's.
    #[error("this is a backup of a {0}\n  hint: `bocage-{0} restore` puts it back")]
    OtherDaemon(String),
    /// A coordinator runs there.
    #[error("a coordinator runs on {}\n  hint: stop it first", .0.display())]
    Running(PathBuf),
    /// It cannot be put in its place.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

/// Keeps a coordinator, whose configuration is `file` with `overrides`, in the new file `to`.
///
/// # Errors
/// Something cannot be read or written: then there is no such file.
pub fn backup(
    config: &Config,
    file: &Path,
    overrides: &[(String, String)],
    to: &Path,
    recipients: &[Recipient],
    now: Timestamp,
) -> Result<Packed, BackupError> {
    let base = match file.parent() {
        Some(base) if !base.as_os_str().is_empty() => base,
        _ => Path::new("."),
    };
    let name = |path: &Path| member(base, path).ok_or_else(|| PackError::Name { file: path.to_owned() });
    let about = About {
        daemon: "coordinator".to_owned(),
        network: config.network.to_string(),
        site: None,
        software: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: now.to_string(),
        config: name(file)?,
        state: name(&config.state_dir)?,
    };
    let mut packing = Packing::begin(to, recipients, about)?;
    for database in databases(&config.state_dir)? {
        let look = |source| BackupError::Look { path: config.state_dir.clone(), source };
        remove_leftovers(&config.state_dir);
        let dir = tempfile::Builder::new().prefix(COPYING).tempdir_in(&config.state_dir).map_err(look)?;
        let copy = dir.path().join("copy.sqlite");
        database::copy(&database, &copy)?;
        packing.add(&name(&database)?, &copy)?;
    }
    let publisher = Publisher::file(&config.state_dir);
    if publisher.exists() {
        packing.add(&name(&publisher)?, &publisher)?;
    }
    let settings = bocage_net::settings::load(file, ENV_PREFIX, overrides);
    let tree = settings.map(|settings| settings.tree).unwrap_or_default();
    for path in named_files(&tree, base) {
        for file in texts(&path)? {
            packing.add(&name(&file)?, &file)?;
        }
    }
    packing.add(&name(file)?, file)?;
    Ok(packing.finish()?)
}

/// The databases of the state folder: studies, and people with their tokens. None where the coordinator never ran.
fn databases(state: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let look = |source| BackupError::Look { path: state.to_owned(), source };
    let entries = match fs::read_dir(state) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(look)?,
    };
    let entries: Result<Vec<_>, _> = entries.collect();
    let files = entries.map_err(look)?.into_iter().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|e| e == "sqlite")).collect();
    found.sort();
    Ok(found)
}

/// A named file itself, the texts of a named folder, or nothing where nothing is there: that is missed by `check`.
fn texts(path: &Path) -> Result<Vec<PathBuf>, BackupError> {
    if !path.is_dir() {
        return Ok(if path.exists() { vec![path.to_owned()] } else { Vec::new() });
    }
    let look = |source| BackupError::Look { path: path.to_owned(), source };
    let entries: Result<Vec<_>, _> = fs::read_dir(path).map_err(look)?.collect();
    let files = entries.map_err(look)?.into_iter().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    Ok(files)
}

/// What backups left behind that were killed.
fn remove_leftovers(state: &Path) {
    for entry in fs::read_dir(state).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(COPYING)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
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
) -> Result<(Manifest, Placed), BackupError> {
    let staged = unpack(file, identities, into)?;
    let manifest = staged.manifest.clone();
    if manifest.about.daemon != "coordinator" {
        return Err(BackupError::OtherDaemon(manifest.about.daemon));
    }
    if let Some(state) = staged.state()
        && is_held(&state.join(LOCK))
    {
        return Err(BackupError::Running(state));
    }
    withdraw_invitations(&staged.path(&manifest.about.state).join(FILE), now)?;
    let aside = format!("before-restore-{}", now.to_string().replace(':', ""));
    let placed = staged.place(replace.then_some(aside.as_str()), elsewhere)?;
    Ok((manifest, placed))
}

/// An invitation that was used after the backup was made would be good again, and the file with it lies about: none that is open survives.
fn withdraw_invitations(store: &Path, now: Timestamp) -> Result<(), BackupError> {
    if !store.exists() {
        return Ok(());
    }
    let db = rusqlite::Connection::open(store)?;
    let known =
        db.query_row("select count(*) from sqlite_schema where name = 'invitations'", [], |row| row.get::<_, i64>(0))?;
    if known > 0 {
        let open = "update invitations set withdrawn_at = ?1 where withdrawn_at is null and token not in (select invitation from enrolments)";
        db.execute(open, [now.0])?;
    }
    db.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// Whether a process holds this lock. A lock that is not there is held by nobody.
fn is_held(lock: &Path) -> bool {
    File::open(lock).is_ok_and(|file| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
}
