//! Opening a backup: every member is held to the manifest before any of it is put in its place.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::pack::Hashing;
use super::place::Staged;
use super::{FILES, FORMAT, MANIFEST, MANIFEST_BYTES, Manifest, Member, safe};
use crate::seal::{self, Identities, SealError};

/// Why a backup cannot be opened. Nothing was put anywhere.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The backup cannot be read.
    #[error("{}: cannot be read: {source}\n  hint: if it was cut or damaged, take another backup; what `backup` printed as its SHA-256 must be the file's", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its seal.
    #[error("{}: {source}", .file.display())]
    Seal {
        /// The file.
        file: PathBuf,
        /// Why.
        source: SealError,
    },
    /// It is sealed, and no backup of ours, or not whole.
    #[error("{}: {what}\n  hint: `backup` writes the manifest last: without it, or where it does not fit, the archive is not whole or not ours", .file.display())]
    NotWhole {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// It was written by a later version.
    #[error("{}: the archive has format {found}, this version reads {FORMAT}\n  hint: restore it with the version that made it, {software}, or a newer one", .file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: u32,
        /// Who wrote it.
        software: String,
    },
    /// Nothing can be written where it is to go.
    #[error("{}: cannot be written: {source}\n  hint: run the command as the daemon's own user, on a disk that holds it", .place.display())]
    Write {
        /// The folder.
        place: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Opens a backup, holds every member to its digest, and writes nothing.
///
/// # Errors
/// It cannot be opened, or is not whole.
pub fn look(file: &Path, identities: &Identities) -> Result<Manifest, UnpackError> {
    walk(file, identities, &mut |_| Ok(Box::new(io::sink())))
}

/// Opens a backup into a folder within `into`, from where [`Staged::place`] puts it where it belongs.
///
/// # Errors
/// It cannot be opened, is not whole, or `into` cannot be written.
pub fn unpack(file: &Path, identities: &Identities, into: &Path) -> Result<Staged, UnpackError> {
    let failed = |source| UnpackError::Write { place: into.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(into).map_err(failed)?;
    // A folder of mode 0700, on the disk where most of it goes.
    let dir = tempfile::Builder::new().prefix(".restore-").tempdir_in(into).map_err(failed)?;
    let mut create = |member: &str| -> io::Result<Box<dyn Write>> {
        let path = dir.path().join(member);
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        Ok(Box::new(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?))
    };
    let manifest = walk(file, identities, &mut create)?;
    Ok(Staged::new(dir, manifest, into))
}

type Create<'a> = dyn FnMut(&str) -> io::Result<Box<dyn Write>> + 'a;

fn walk(file: &Path, identities: &Identities, create: &mut Create<'_>) -> Result<Manifest, UnpackError> {
    let read = |source| UnpackError::Read { file: file.to_owned(), source };
    let not_whole = |what: &str| UnpackError::NotWhole { file: file.to_owned(), what: what.to_owned() };
    let sealed = BufReader::new(File::open(file).map_err(read)?);
    let open = seal::open(sealed, identities).map_err(|source| UnpackError::Seal { file: file.to_owned(), source })?;
    let mut archive = tar::Archive::new(open);
    let (mut found, mut names, mut manifest) = (Vec::new(), BTreeSet::new(), None);
    for entry in archive.entries().map_err(read)? {
        let entry = entry.map_err(read)?;
        let path = entry.path().map_err(read)?.to_str().unwrap_or_default().to_owned();
        if manifest.is_some() || found.len() > FILES || !entry.header().entry_type().is_file() {
            return Err(not_whole("it holds something that a backup does not"));
        }
        if path == MANIFEST {
            let mut text = Vec::new();
            entry.take(MANIFEST_BYTES).read_to_end(&mut text).map_err(read)?;
            manifest = Some(parse(file, &text)?);
            continue;
        }
        if safe(&path).is_none() || !names.insert(path.clone()) {
            return Err(not_whole("a member has a path that a backup's has not"));
        }
        let write = |source| UnpackError::Write { place: PathBuf::from(&path), source };
        let mut out = create(&path).map_err(write)?;
        let mut reading = Hashing::new(entry);
        pass(&mut reading, &mut *out).map_err(|failed| match failed {
            Passing::Read(source) => read(source),
            Passing::Write(source) => write(source),
        })?;
        let (bytes, sha256) = reading.done();
        found.push(Member { path, bytes, sha256 });
    }
    // Only at its end does the seal say that nothing was cut off.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(read)?;
    let manifest = manifest.ok_or_else(|| not_whole("it has no manifest"))?;
    if manifest.files != found {
        return Err(not_whole("its members are not those of its manifest"));
    }
    Ok(manifest)
}

enum Passing {
    Read(io::Error),
    Write(io::Error),
}

fn pass(from: &mut impl Read, to: &mut dyn Write) -> Result<(), Passing> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).map_err(Passing::Read)?;
        if count == 0 {
            return to.flush().map_err(Passing::Write);
        }
        to.write_all(&buffer[..count]).map_err(Passing::Write)?;
    }
}

fn parse(file: &Path, text: &[u8]) -> Result<Manifest, UnpackError> {
    let not_whole = |what: &str| UnpackError::NotWhole { file: file.to_owned(), what: what.to_owned() };
    // The number alone first: of a later form nothing else need be understood.
    let value: serde_json::Value = serde_json::from_slice(text).map_err(|_| not_whole("its manifest is no JSON"))?;
    let found = value.get("format").and_then(serde_json::Value::as_u64).unwrap_or_default();
    if found > u64::from(FORMAT) {
        let software = value.pointer("/about/software").and_then(serde_json::Value::as_str).unwrap_or("a newer one");
        let (found, software) = (u32::try_from(found).unwrap_or(u32::MAX), software.chars().take(40).collect());
        return Err(UnpackError::Newer { file: file.to_owned(), found, software });
    }
    serde_json::from_value(value).map_err(|_| not_whole("its manifest cannot be understood"))
}
