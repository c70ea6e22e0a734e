//! Whether files have been replaced since they were read: by inode, length and time of change. Nothing of their content is looked at.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// A file as it lies on the disk: device, inode, bytes, and the time of its last change. None where it is not there.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// Files that are looked at again and again.
#[derive(Debug)]
pub struct Watched {
    files: Vec<PathBuf>,
    seen: Vec<Stamp>,
}

impl Watched {
    /// These files, as they are now: look before they are read, so that nothing between is missed.
    pub fn new(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let files: Vec<PathBuf> = files.into_iter().collect();
        let seen = stamps(&files);
        Self { files, seen }
    }

    /// Whether one has been replaced, changed, made or removed since the last look.
    pub fn changed(&mut self) -> bool {
        let now = stamps(&self.files);
        std::mem::replace(&mut self.seen, now) != self.seen
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |file: &PathBuf| {
        let of = fs::metadata(file).ok()?;
        Some((of.dev(), of.ino(), of.size(), of.ctime(), of.ctime_nsec()))
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_renamed_over_or_removed_is_noticed_once() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two, other] = ["one", "two", "other"].map(|name| dir.path().join(name));
        fs::write(&one, "1").unwrap();
        let mut watched = Watched::new([one.clone(), two.clone()]);
        assert!(!watched.changed());
        fs::write(&two, "2").unwrap();
        assert!(watched.changed() && !watched.changed());
        fs::write(&other, "1").unwrap();
        fs::rename(&other, &one).unwrap();
        assert!(watched.changed() && !watched.changed());
        fs::remove_file(&two).unwrap();
        assert!(watched.changed() && !watched.changed());
    }
}
