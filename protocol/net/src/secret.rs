//! Secret files: read only what nobody else can read, written so that nobody else ever could.
//!
//! A secret never comes from a flag or the environment. Content never appears in an error; the file's name does.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use zeroize::Zeroizing;

use crate::settings::unreadable;

/// Why a secret file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Others than the owner may open the file.
    #[error("{file}: others may read this secret (mode {mode:04o})\n  hint: chmod 600 {file}", file = .file.display())]
    Exposed {
        /// The file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is a directory, device, socket or pipe.
    #[error("{}: not a regular file", .file.display())]
    NotAFile {
        /// The path.
        file: PathBuf,
    },
    /// It is larger than any secret of ours.
    #[error("{}: larger than {limit_bytes} bytes", .file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// The bound.
        limit_bytes: usize,
    },
    /// A text was wanted.
    #[error("{}: not UTF-8 text", .file.display())]
    NotText {
        /// The file.
        file: PathBuf,
    },
    /// The file is there already; a secret is never overwritten.
    #[error("{}: exists already and is not overwritten", .file.display())]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// The operating system refused.
    #[error("{}: {}", .file.display(), unreadable(source.kind()))]
    Io {
        /// The file or directory.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

fn io_error(file: &Path) -> impl FnOnce(io::Error) -> SecretError {
    let file = file.to_owned();
    |source| SecretError::Io { file, source }
}

/// Reads a secret of at most `limit_bytes`. A symbolic link is followed; what counts is the file behind it.
///
/// # Errors
/// When group or others have any permission on the file, when it is no regular file, or when it is too large.
pub fn read_secret(file: &Path, limit_bytes: usize) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    // Looked at before it is opened, or a pipe in its place would block us; looked at again once open, because that
    // is the file that is read.
    check(file, &fs::metadata(file).map_err(io_error(file))?, limit_bytes)?;
    let handle = File::open(file).map_err(io_error(file))?;
    check(file, &handle.metadata().map_err(io_error(file))?, limit_bytes)?;
    // With the whole capacity reserved the bytes are never moved, so that no copy stays behind in freed memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit_bytes + 1));
    handle.take(limit_bytes as u64 + 1).read_to_end(&mut bytes).map_err(io_error(file))?;
    if bytes.len() > limit_bytes {
        return Err(SecretError::TooLarge { file: file.to_owned(), limit_bytes });
    }
    Ok(bytes)
}

/// [`read_secret`] for text.
///
/// # Errors
/// As [`read_secret`], and when the bytes are not UTF-8.
pub fn read_secret_text(file: &Path, limit_bytes: usize) -> Result<Zeroizing<String>, SecretError> {
    let bytes = read_secret(file, limit_bytes)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(SecretError::NotText { file: file.to_owned() }),
    }
}

fn check(file: &Path, metadata: &fs::Metadata, limit_bytes: usize) -> Result<(), SecretError> {
    if !metadata.is_file() {
        return Err(SecretError::NotAFile { file: file.to_owned() });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Exposed { file: file.to_owned(), mode });
    }
    if metadata.len() > limit_bytes as u64 {
        return Err(SecretError::TooLarge { file: file.to_owned(), limit_bytes });
    }
    Ok(())
}

/// Writes a new secret with mode 0600 and makes it durable. Missing parent directories are made with mode 0700.
///
/// # Errors
/// [`SecretError::Exists`] when the file is there already.
pub fn write_secret(file: &Path, bytes: &[u8]) -> Result<(), SecretError> {
    let parent = parent_of(file);
    DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(io_error(parent))?;
    let mut handle = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(handle) => handle,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(SecretError::Exists { file: file.to_owned() });
        }
        Err(source) => return Err(SecretError::Io { file: file.to_owned(), source }),
    };
    let written = handle.write_all(bytes).and_then(|()| handle.sync_all()).and_then(|()| sync_directory(parent));
    if written.is_err() {
        // Half a secret is worse than none: the next attempt would be told that it exists.
        let _ = fs::remove_file(file);
    }
    written.map_err(io_error(file))
}

/// Replaces `file` by `bytes` with permission bits `mode`, so that a reader or a crash at any point sees the old
/// content or the new, never a mixture.
///
/// # Errors
/// What the operating system said; the old content is untouched then.
pub fn write_atomically(file: &Path, bytes: &[u8], mode: u32) -> Result<(), SecretError> {
    let parent = parent_of(file);
    let (temporary, mut handle) = create_beside(file, mode)?;
    let written = handle
        .write_all(bytes)
        .and_then(|()| give(&handle, mode))
        .and_then(|()| handle.sync_all())
        .and_then(|()| fs::rename(&temporary, file));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.and_then(|()| sync_directory(parent)).map_err(io_error(file))
}

/// Gives a file its mode, where the umask has taken bits from it at its creation. A confined process may change no modes, and need not.
fn give(handle: &File, mode: u32) -> io::Result<()> {
    if handle.metadata()?.permissions().mode() & 0o7777 == mode {
        return Ok(());
    }
    handle.set_permissions(fs::Permissions::from_mode(mode))
}

/// Makes a fresh file `.NAME.PID-COUNT.tmp` in the directory of `file`, where a rename is atomic.
fn create_beside(file: &Path, mode: u32) -> Result<(PathBuf, File), SecretError> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = file.file_name().ok_or_else(|| SecretError::NotAFile { file: file.to_owned() })?;
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut temporary_name = std::ffi::OsString::from(".");
        temporary_name.push(name);
        temporary_name.push(format!(".{}-{count}.tmp", std::process::id()));
        let temporary = file.with_file_name(temporary_name);
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary) {
            Ok(handle) => return Ok((temporary, handle)),
            // Left by a process of the same number that died; count on.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && count < u32::MAX => {}
            Err(source) => return Err(SecretError::Io { file: temporary, source }),
        }
    }
}

fn parent_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_written_secret_reads_back_and_is_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys/site/tls.key");
        write_secret(&file, b"hidden").unwrap();
        assert_eq!(read_secret(&file, 100).unwrap().as_slice(), b"hidden");
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        assert!(matches!(write_secret(&file, b"other"), Err(SecretError::Exists { .. })));
        assert_eq!(read_secret_text(&file, 6).unwrap().as_str(), "hidden");
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tls.key");
        write_secret(&file, b"hidden").unwrap();
        for bits in [0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(&file, fs::Permissions::from_mode(bits)).unwrap();
            let text = read_secret(&file, 100).unwrap_err().to_string();
            assert!(text.ends_with(&format!("chmod 600 {}", file.display())), "{text}");
            assert!(!text.contains("hidden"));
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(read_secret(&file, 100).is_ok());
    }

    #[test]
    fn what_is_no_file_or_too_large_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read_secret(dir.path(), 10), Err(SecretError::NotAFile { .. })));
        assert!(matches!(read_secret(Path::new("/dev/null"), 10), Err(SecretError::NotAFile { .. })));
        assert!(matches!(read_secret(&dir.path().join("absent"), 10), Err(SecretError::Io { .. })));
        let file = dir.path().join("big");
        write_secret(&file, &[b'x'; 11]).unwrap();
        assert!(matches!(read_secret(&file, 10), Err(SecretError::TooLarge { .. })));
    }

    #[test]
    fn an_atomic_write_replaces_the_content_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state.json");
        write_atomically(&file, b"one", 0o644).unwrap();
        write_atomically(&file, b"two", 0o600).unwrap();
        assert_eq!((fs::read(&file).unwrap().as_slice(), mode(&file)), (b"two".as_slice(), 0o600));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        fs::create_dir(dir.path().join("taken")).unwrap();
        assert!(write_atomically(&dir.path().join("taken"), b"x", 0o600).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
