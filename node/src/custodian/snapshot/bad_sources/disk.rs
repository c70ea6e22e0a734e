//! The disk under a snapshot: it fills up, the source on it changes while it is read, and two processes meet.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde_json::json;

use super::{HEADER, SOUND, Site};
use crate::custodian::snapshot::keep::Lock;
use crate::custodian::snapshot::{Disk, Floor, SystemDisk};

/// Something happens to the source between the opening and the end of reading.
pub(super) struct Meanwhile<'a>(pub(super) &'a (dyn Fn() + Send + Sync));

impl Disk for Meanwhile<'_> {
    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        (self.0)();
        Ok(u64::MAX)
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 5] = [
        ("replaced by another", |path| {
            let other = path.with_extension("new");
            fs::write(&other, fs::read(path).unwrap()).unwrap();
            fs::rename(other, path).unwrap();
        }),
        ("removed", |path| fs::remove_file(path).unwrap()),
        ("grown", |path| {
            let mut file = File::options().append(true).open(path).unwrap();
            file.write_all(b"NHS-3,50,f,200,\n").unwrap();
        }),
        ("shortened", |path| File::options().write(true).open(path).unwrap().set_len(70).unwrap()),
        ("rewritten in place", |path| {
            let file = File::options().write(true).open(path).unwrap();
            file.write_at(b"9", HEADER.len() as u64 + 6).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }),
    ];
    for (name, change) in changes {
        let site = Site::new();
        let path = site.file();
        let happens = move || {
            if path.exists() {
                change(&path);
            }
        };
        let says = site.refusal(site.take_above(Floor { disk: &Meanwhile(&happens), bytes: 0 }, &json!({})));
        let wanted = "visits.csv: it was changed or replaced while it was read\n  hint: write new data beside it, rename it into \
                      place, then take the snapshot again";
        assert_eq!(says, wanted, "{name}");
    }
}

/// A disk that takes some bytes and then fails.
pub(in crate::custodian::snapshot) struct Failing {
    pub(in crate::custodian::snapshot) free: u64,
    pub(in crate::custodian::snapshot) takes: usize,
    pub(in crate::custodian::snapshot) then: ErrorKind,
}

impl Disk for Failing {
    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.free)
    }

    fn writer<'a>(&self, file: &'a mut File) -> Box<dyn Write + 'a> {
        Box::new(Until { file, left: self.takes, then: self.then })
    }
}

struct Until<'a> {
    file: &'a mut File,
    left: usize,
    then: ErrorKind,
}

impl Write for Until<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(self.then.into());
        }
        let written = self.file.write(&bytes[..bytes.len().min(self.left)])?;
        self.left -= written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[test]
fn a_full_disk_leaves_the_snapshot_before_in_use() {
    let full = "snapshots/visits: the disk is full\n  hint: make room; the snapshot before stays in use";
    let broken = "snapshots/visits: other error";
    let cases = [
        (0, ErrorKind::StorageFull, full),
        (1, ErrorKind::StorageFull, full),
        (500, ErrorKind::QuotaExceeded, full),
        (100, ErrorKind::Other, broken),
    ];
    for (takes, then, wanted) in cases {
        let site = Site::new();
        fs::write(site.file(), format!("{HEADER}{SOUND}{SOUND}")).unwrap();
        let disk = Failing { free: u64::MAX, takes, then };
        let taken = site.take_above(Floor { disk: &disk, bytes: 0 }, &json!({}));
        assert_eq!(site.refusal(taken), wanted, "{takes}");
    }
}

#[test]
fn a_snapshot_that_would_leave_too_little_room_is_not_begun() {
    let site = Site::new();
    let floor = |free, bytes| (Failing { free, takes: usize::MAX, then: ErrorKind::Other }, bytes);
    let (disk, bytes) = floor(255 << 20, 256 << 20);
    let says = site.refusal(site.take_above(Floor { disk: &disk, bytes }, &json!({})));
    assert_eq!(
        says,
        "snapshots/visits: 255 MiB are free, the snapshot takes about 0 MiB, and 256 MiB must stay free\n  hint: make room, or lower \
         snapshots.keep or snapshots.min_free_mib; the snapshot before stays in use"
    );
    // Enough before, too little with its own rows.
    let (disk, bytes) = floor(256 << 20, 256 << 20);
    let says = site.refusal(site.take_above(Floor { disk: &disk, bytes }, &json!({})));
    assert!(says.contains("the snapshot takes about 1 MiB"), "{says}");
    let (disk, bytes) = floor(257 << 20, 256 << 20);
    site.take_above(Floor { disk: &disk, bytes }, &json!({})).unwrap();
    assert!(SystemDisk.free_bytes(site.dir.path()).unwrap() > 0);
}

#[test]
fn two_processes_do_not_take_snapshots_of_one_dataset_at_a_time() {
    let site = Site::new();
    let lock = Lock::take(&site.snapshots().join("visits")).unwrap();
    let says = site.refusal(site.take(&json!({})));
    assert_eq!(says, "snapshots/visits: another process is taking a snapshot here\n  hint: wait until it has ended");
    drop(lock);
    site.take(&json!({})).unwrap();
}
