//! The disk that snapshots are written to, and how much room it has.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::SnapshotError;

/// A disk, as far as a snapshot depends on it. Tests pass one that is full.
pub trait Disk: Send + Sync {
    /// Bytes that the node's user may still write in `folder`.
    ///
    /// # Errors
    /// The system does not say.
    fn free_bytes(&self, folder: &Path) -> io::Result<u64>;

    /// Where a snapshot's rows are written.
    fn writer<'a>(&self, file: &'a mut File) -> Box<dyn Write + 'a> {
        Box::new(file)
    }
}

/// The machine's own.
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        let facts = rustix::fs::statvfs(folder)?;
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
    }
}

/// What must stay free on the disk when a snapshot was taken.
#[derive(Clone, Copy)]
pub struct Floor<'a> {
    /// The disk.
    pub disk: &'a dyn Disk,
    /// Bytes: the ledger must always be able to go on.
    pub bytes: u64,
}

impl Floor<'_> {
    /// Refuses where less would stay free once `more_bytes` are written in `folder`.
    pub(super) fn leaves_room(&self, folder: &Path, more_bytes: u64) -> Result<(), SnapshotError> {
        let free = self.disk.free_bytes(folder).map_err(|e| SnapshotError::io(folder, &e))?;
        if free >= self.bytes.saturating_add(more_bytes) {
            return Ok(());
        }
        let mib = |bytes: u64| bytes >> 20;
        let (free_mib, floor_mib) = (mib(free), mib(self.bytes));
        Err(SnapshotError::NoRoom {
            path: folder.to_owned(),
            free_mib,
            needed_mib: more_bytes.div_ceil(1 << 20),
            floor_mib,
        })
    }
}
