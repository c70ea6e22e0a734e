//! The machine: disk, memory, who may read which file. What it finds follows from numbers alone, so that tests need no full disk.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Check, Finding};

const MIB: u64 = 1 << 20;
/// So many times what must stay free is comfortable.
const COMFORTABLE: u64 = 4;
/// Below this an ingest or a model does not get far.
const MEMORY_LEAST: u64 = 256 * MIB;
/// Below this large datasets wait for the disk.
const MEMORY_ENOUGH: u64 = 1024 * MIB;
/// Files that a finding names.
const NAMED: usize = 4;

/// What is written to see whether anything can be.
const TRIAL_BYTES: usize = 4096;

/// The disk of a folder, which may not be there yet: whether it can be written, and what is free. However little must stay free, none is too little.
pub fn disk(folder: &Path, least_mib: u32) -> Finding {
    if let Some(fails) = unwritable(folder) {
        return fails;
    }
    let (there, least) = (nearest(folder), u64::from(least_mib.max(1)) * MIB);
    if let Err(full) = trial(there) {
        return Finding::fail(Check::Disk, format!("{}: {full}", folder.display()), make_room(least));
    }
    match rustix::fs::statvfs(there) {
        Ok(disk) => room(folder, disk.f_bavail.saturating_mul(disk.f_frsize), least),
        Err(error) => {
            let fix = "the disk or network share must be mounted and readable";
            Finding::fail(Check::Disk, format!("{}: {error}", there.display()), fix)
        }
    }
}

/// Where no file can be written in a folder, or in the nearest above it that is there: that it fails. A disk that is full is another matter.
pub fn unwritable(folder: &Path) -> Option<Finding> {
    let why = match trial(nearest(folder)).err()? {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => return None,
        // Of a file system that has no files of its own.
        ErrorKind::NotFound | ErrorKind::Unsupported => String::new(),
        kind => format!(": {kind}"),
    };
    let what = format!("{}: no file can be written there{why}", folder.display());
    Some(Finding::fail(Check::Disk, what, "name a folder on a disk that the daemon's own user may write"))
}

/// Writes a file that has no name, and of which nothing is left.
fn trial(folder: &Path) -> Result<(), ErrorKind> {
    let tried = tempfile::tempfile_in(folder).and_then(|mut file| file.write_all(&[0; TRIAL_BYTES]));
    tried.map_err(|error| error.kind())
}

/// The folder, or the nearest above it that is there.
fn nearest(folder: &Path) -> &Path {
    let relative_to = |path: &Path| path.as_os_str().is_empty();
    let there = folder.ancestors().find(|path| relative_to(path) || path.exists());
    there.filter(|path| !relative_to(path)).unwrap_or(Path::new("."))
}

fn room(folder: &Path, free: u64, least: u64) -> Finding {
    let what = format!("{}: {} MiB free", folder.display(), free / MIB);
    match free {
        free if free < least => Finding::fail(Check::Disk, what, make_room(least)),
        free if free < least.saturating_mul(COMFORTABLE) => Finding::warn(Check::Disk, what, make_room(least)),
        _ => Finding::ok(Check::Disk, what),
    }
}

fn make_room(least: u64) -> String {
    format!("make room, or move the folder; {} MiB must stay free for the daemon to go on", least / MIB)
}

/// Memory that is available, by the kernel's own estimate.
pub fn memory() -> Finding {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    match available(&text) {
        Some(bytes) => enough(bytes),
        None => Finding::warn(Check::Memory, "the kernel does not say how much is available", "mount /proc"),
    }
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

fn enough(bytes: u64) -> Finding {
    let what = format!("{} MiB available", bytes / MIB);
    let fix = "give the machine more memory, or move other programs off it";
    match bytes {
        ..MEMORY_LEAST => Finding::fail(Check::Memory, what, fix),
        MEMORY_LEAST..MEMORY_ENOUGH => Finding::warn(Check::Memory, what, fix),
        _ => Finding::ok(Check::Memory, what),
    }
}

/// Files that only their owner may open, and a folder that nobody else may write. What is not there is no matter of modes.
pub fn modes(secrets: &[PathBuf], folder: &Path) -> Vec<Finding> {
    let me = rustix::process::geteuid().as_raw();
    let looked = |path: &Path| fs::metadata(path).ok().map(|file| (file.mode() & 0o7777, file.uid()));
    let mut found = Vec::new();
    let open: Vec<&PathBuf> =
        secrets.iter().filter(|path| looked(path).is_some_and(|(mode, _)| mode & 0o077 != 0)).collect();
    if !open.is_empty() {
        let what = format!("others may open {}", named(&open));
        found.push(Finding::fail(Check::Modes, what, format!("chmod 600 {}", named(&open))));
    }
    if let Some((mode, owner)) = looked(folder) {
        if mode & 0o027 != 0 {
            let what = format!("others may look into or write {} (mode {mode:04o})", folder.display());
            found.push(Finding::fail(Check::Modes, what, format!("chmod 700 {}", folder.display())));
        }
        if owner != me && me != 0 {
            let what = format!("{} is another user's (user {owner}; this is user {me})", folder.display());
            found.push(Finding::fail(
                Check::Modes,
                what,
                "run this as the daemon's own user, or give the folder to it",
            ));
        }
    }
    if found.is_empty() {
        found.push(Finding::ok(Check::Modes, "secrets and state are their owner's alone"));
    }
    found
}

fn named(paths: &[&PathBuf]) -> String {
    let mut names: Vec<String> = paths.iter().take(NAMED).map(|path| path.display().to_string()).collect();
    if paths.len() > NAMED {
        names.push(format!("and {} more", paths.len() - NAMED));
    }
    names.join(" ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Level;
    use super::*;

    #[test]
    fn a_disk_fails_below_what_must_stay_free_and_warns_before() {
        let level = |free| room(Path::new("/state"), free * MIB, 256 * MIB).level;
        assert_eq!(
            [level(255), level(256), level(1023), level(1024)],
            [Level::Fail, Level::Warn, Level::Warn, Level::Ok]
        );
        assert_eq!(disk(Path::new("/not/there/yet"), 0).level, Level::Ok);
        assert_eq!(room(Path::new("/state"), 0, MIB).level, Level::Fail);
    }

    #[test]
    fn a_folder_fails_in_which_no_file_can_be_written_whatever_is_free() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (folder, why) in
            [(Path::new("/proc"), ""), (Path::new("/proc/not/there/yet"), ""), (file.path(), ": not a directory")]
        {
            let found = disk(folder, 0);
            assert_eq!(found.level, Level::Fail);
            assert_eq!(found.what, format!("{}: no file can be written there{why}", folder.display()));
        }
        assert_eq!(nearest(Path::new("not/there/yet")), Path::new("."), "not the root of the machine");
    }

    #[test]
    fn memory_is_read_from_what_the_kernel_says() {
        assert_eq!(available("MemTotal: 5 kB\nMemAvailable:   2048 kB\n"), Some(2 * MIB));
        assert_eq!(available("MemTotal: 5 kB\n"), None);
        let level = |mib| enough(mib * MIB).level;
        assert_eq!(
            [level(255), level(256), level(1023), level(1024)],
            [Level::Fail, Level::Warn, Level::Warn, Level::Ok]
        );
    }

    #[test]
    fn a_secret_that_others_may_open_and_a_state_folder_that_they_may_enter_are_named_with_the_command_that_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        let (secret, state) = (dir.path().join("tls.key"), dir.path().join("state"));
        fs::write(&secret, "k").unwrap();
        fs::create_dir(&state).unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        set(&secret, 0o640);
        set(&state, 0o755);
        let found = modes(&[secret.clone(), dir.path().join("none")], &state);
        assert_eq!(found.iter().map(|f| f.level).collect::<Vec<_>>(), [Level::Fail; 2]);
        assert_eq!(found[0].fix.as_deref(), Some(format!("chmod 600 {}", secret.display()).as_str()));
        set(&secret, 0o400);
        // A stewards' group may pass through.
        set(&state, 0o710);
        assert_eq!(modes(&[secret], &state).len(), 1);
    }
}
