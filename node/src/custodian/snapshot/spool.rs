//! A file for what does not fit into memory: streams of bytes that grow beside each other and are read again as a whole.
//!
//! Usually it has no name, so that nothing of it is left when its process ends, however that ends. One that is to last has a name, and before each piece its
//! stream, its length and a checksum: so it can be taken up again.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::files::Syncing;
use super::{Floor, SnapshotError};

/// What is written at once.
const WRITE_BYTES: usize = 1 << 20;
/// After so many bytes it is looked whether enough stays free.
const LOOK_BYTES: u64 = 32 << 20;
/// What is lost at most of a lasting file when the machine stops, beside what is on its way to the disk.
const SYNC_BYTES: u64 = 256 << 20;
/// Before a piece of a lasting file: its stream, its length and a checksum, 4 bytes each.
const HEADER_BYTES: usize = 12;
/// No file has more streams.
const STREAMS: usize = 1 << 16;

/// A file of streams.
pub(super) struct Spool<'a> {
    floor: Floor<'a>,
    folder: PathBuf,
    file: File,
    /// What is not in the file yet.
    pending: Vec<u8>,
    /// Bytes of the file.
    written: u64,
    looked: u64,
    streams: Vec<Vec<Piece>>,
    /// Of one that lasts.
    syncing: Option<Syncing>,
}

/// Bytes that were appended at once.
#[derive(Clone, Copy)]
struct Piece {
    at: u64,
    bytes: usize,
}

/// A stream of a [`Spool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stream(pub(super) usize);

impl<'a> Spool<'a> {
    /// A new one without a name, on the disk of `folder`.
    pub(super) fn new(folder: &Path, floor: Floor<'a>) -> Result<Self, SnapshotError> {
        let file = tempfile::tempfile_in(folder).map_err(|e| SnapshotError::io(folder, &e))?;
        Ok(Self::of(file, folder, floor))
    }

    fn of(file: File, folder: &Path, floor: Floor<'a>) -> Self {
        let (folder, pending, streams) = (folder.to_owned(), Vec::new(), Vec::new());
        Self { floor, folder, file, pending, written: 0, looked: 0, streams, syncing: None }
    }

    /// The same, so that it can be taken up again.
    fn made_to_last(mut self) -> io::Result<Self> {
        self.looked = self.written;
        self.syncing = Some(Syncing::new(&self.file, self.written, SYNC_BYTES)?);
        Ok(self)
    }

    /// A new one at `path`, in place of what stands there, for the owner alone: what stood there may be another's, or a link to something else.
    pub(super) fn lasting(path: &Path, folder: &Path, floor: Floor<'a>) -> Result<Self, SnapshotError> {
        let failed = |e: io::Error| SnapshotError::io(folder, &e);
        match fs::remove_file(path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        // A new file is made where nothing stands, not even a link.
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
        Self::of(file.map_err(failed)?, folder, floor).made_to_last().map_err(failed)
    }

    /// One that lasted, up to the last piece of the stream `mark`; none where there is no such piece, or where others can write or read it. Every piece before
    /// the mark is as it was written.
    pub(super) fn take_up(
        path: &Path,
        folder: &Path,
        floor: Floor<'a>,
        mark: Stream,
    ) -> Result<Option<Self>, SnapshotError> {
        let failed = |e: io::Error| SnapshotError::io(folder, &e);
        // Whoever could write to the folder could have put a link, or a pipe that is never opened, in its place.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = match OpenOptions::new().read(true).write(true).custom_flags(flags).open(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed)?,
        };
        let facts = file.metadata().map_err(failed)?;
        if !is_own(&facts) {
            return Ok(None);
        }
        let mut spool = Self::of(file, folder, floor);
        let left = facts.len();
        let mut reader = BufReader::with_capacity(WRITE_BYTES, spool.file.try_clone().map_err(failed)?);
        let (mut behind, mut at, mut bytes) = (Vec::new(), 0, Vec::new());
        while let Some(stream) = next_piece(&mut reader, left - at, &mut bytes).map_err(failed)? {
            behind.push((stream, Piece { at: at + HEADER_BYTES as u64, bytes: bytes.len() }));
            at += (HEADER_BYTES + bytes.len()) as u64;
            if stream == mark {
                spool.written = at;
                behind.drain(..).for_each(|(stream, piece)| spool.pieces(stream).push(piece));
            }
        }
        spool.file.set_len(spool.written).map_err(failed)?;
        spool.file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok((spool.written > 0).then_some(spool.made_to_last().map_err(failed)?))
    }

    /// How many streams it has, with empty ones between others.
    pub(super) fn width(&self) -> usize {
        self.streams.len()
    }

    fn pieces(&mut self, stream: Stream) -> &mut Vec<Piece> {
        if self.streams.len() <= stream.0 {
            self.streams.resize_with(stream.0 + 1, Vec::new);
        }
        &mut self.streams[stream.0]
    }

    /// A new stream.
    pub(super) fn stream(&mut self) -> Stream {
        self.streams.push(Vec::new());
        Stream(self.streams.len() - 1)
    }

    /// Lets a stream grow.
    pub(super) fn append(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), SnapshotError> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.syncing.is_some() {
            self.pending.extend_from_slice(&header(stream, bytes));
        }
        let at = self.written + self.pending.len() as u64;
        self.pieces(stream).push(Piece { at, bytes: bytes.len() });
        if self.pending.len() + bytes.len() > WRITE_BYTES {
            self.flush()?;
        }
        if bytes.len() > WRITE_BYTES {
            self.write(bytes)
        } else {
            self.pending.extend_from_slice(bytes);
            Ok(())
        }
    }

    /// How long a stream is.
    pub(super) fn bytes(&self, stream: Stream) -> u64 {
        self.streams.get(stream.0).map_or(0, |pieces| pieces.iter().map(|piece| piece.bytes as u64).sum())
    }

    /// The last piece of a stream, if it has one.
    pub(super) fn last(&mut self, stream: Stream, into: &mut Vec<u8>) -> Result<(), SnapshotError> {
        self.flush()?;
        let Some(Piece { at, bytes }) = self.streams.get(stream.0).and_then(|pieces| pieces.last()) else {
            return Ok(());
        };
        into.resize(*bytes, 0);
        self.file.read_exact_at(into, *at).map_err(|e| SnapshotError::io(&self.folder, &e))
    }

    /// Lets the file have all that was appended, so that it outlives the process; what was appended long ago outlives the machine.
    pub(super) fn settle(&mut self) -> Result<(), SnapshotError> {
        self.flush()?;
        let synced = self.syncing.as_mut().map_or(Ok(()), |syncing| syncing.wrote(self.written));
        synced.map_err(|e| SnapshotError::io(&self.folder, &e))
    }

    /// Reads a stream again: `take` gets each piece as it was appended.
    pub(super) fn read(
        &mut self,
        stream: Stream,
        mut take: impl FnMut(&[u8]) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        self.flush()?;
        let mut buffer = Vec::new();
        for Piece { at, bytes } in self.streams.get(stream.0).into_iter().flatten() {
            buffer.resize(*bytes, 0);
            self.file.read_exact_at(&mut buffer, *at).map_err(|e| SnapshotError::io(&self.folder, &e))?;
            take(&buffer)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SnapshotError> {
        let pending = std::mem::take(&mut self.pending);
        let written = self.write(&pending);
        self.pending = pending;
        self.pending.clear();
        written
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        if self.written + bytes.len() as u64 >= self.looked + LOOK_BYTES {
            self.looked = self.written;
            self.floor.leaves_room(&self.folder, bytes.len() as u64)?;
        }
        let written = self.floor.disk.writer(&mut self.file).write_all(bytes);
        written.map_err(|e| SnapshotError::io(&self.folder, &e))?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

/// Whether a file is a plain one of this user, with one name, that nobody else may open.
fn is_own(facts: &Metadata) -> bool {
    facts.is_file() && facts.nlink() == 1 && facts.uid() == geteuid().as_raw() && facts.mode() & 0o077 == 0
}

/// What stands before a piece.
fn header(stream: Stream, bytes: &[u8]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&(stream.0 as u32).to_le_bytes());
    header[4..8].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&header[..8]);
    checksum.update(bytes);
    header[8..].copy_from_slice(&checksum.finalize().to_le_bytes());
    header
}

/// Reads a piece; none where none stands that is whole. No more than `left` bytes are there.
fn next_piece(reader: &mut impl Read, left: u64, bytes: &mut Vec<u8>) -> io::Result<Option<Stream>> {
    let mut own = [0; HEADER_BYTES];
    if left < HEADER_BYTES as u64 {
        return Ok(None);
    }
    reader.read_exact(&mut own)?;
    let word = |at: usize| u32::from_le_bytes([own[at], own[at + 1], own[at + 2], own[at + 3]]) as usize;
    let (stream, length) = (Stream(word(0)), word(4));
    if stream.0 >= STREAMS || length as u64 > left - HEADER_BYTES as u64 {
        return Ok(None);
    }
    bytes.resize(length, 0);
    reader.read_exact(bytes)?;
    Ok((header(stream, bytes) == own).then_some(stream))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::process::Command;

    use super::*;
    use crate::custodian::snapshot::SystemDisk;

    #[test]
    fn streams_are_read_as_they_were_written_however_they_grew_and_nobody_sees_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(dir.path(), Floor { disk: &SystemDisk, bytes: 0 }).unwrap();
        let [one, two, none] = [spool.stream(), spool.stream(), spool.stream()];
        let large = vec![7; WRITE_BYTES + 1];
        spool.append(one, b"a").unwrap();
        spool.append(two, &large).unwrap();
        spool.append(one, b"bc").unwrap();
        let mut read = |stream| {
            let mut all = Vec::new();
            let keep = |bytes: &[u8]| {
                all.extend_from_slice(bytes);
                Ok(())
            };
            spool.read(stream, keep).unwrap();
            assert_eq!(spool.bytes(stream), all.len() as u64);
            all
        };
        assert_eq!((read(one), read(two) == large, read(none)), (b"abc".to_vec(), true, vec![]));
        assert_eq!(read(one), b"abc");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn one_that_lasts_is_taken_up_as_it_was_at_its_last_mark_and_no_damaged_piece_is() {
        let dir = tempfile::tempdir().unwrap();
        let (path, floor) = (dir.path().join("rows"), Floor { disk: &SystemDisk, bytes: 0 });
        let [mark, one, two] = [0, 1, 2].map(Stream);
        let taken_up = || {
            let mut spool = Spool::take_up(&path, dir.path(), floor, mark).unwrap()?;
            let mut all = Vec::new();
            for stream in [mark, one, two] {
                let mut pieces = Vec::new();
                let keep = |piece: &[u8]| {
                    pieces.push(piece.to_vec());
                    Ok(())
                };
                spool.read(stream, keep).unwrap();
                all.push(pieces.concat());
            }
            Some((spool, all.iter().map(|all| String::from_utf8_lossy(all).into_owned()).collect::<Vec<_>>()))
        };
        assert!(taken_up().is_none(), "there is none");
        let mut spool = Spool::lasting(&path, dir.path(), floor).unwrap();
        spool.append(one, b"a").unwrap();
        spool.settle().unwrap();
        drop(spool);
        assert!(taken_up().is_none(), "it has no mark");
        let mut spool = Spool::lasting(&path, dir.path(), floor).unwrap();
        for (stream, bytes) in [(one, "a"), (two, "b"), (mark, "1"), (one, "c"), (mark, "2"), (two, "lost")] {
            spool.append(stream, bytes.as_bytes()).unwrap();
        }
        spool.settle().unwrap();
        drop(spool);
        let (mut spool, all) = taken_up().unwrap();
        assert_eq!(all, ["12", "ac", "b"]);
        spool.append(two, b"d").unwrap();
        spool.append(mark, b"3").unwrap();
        spool.settle().unwrap();
        drop(spool);
        assert_eq!(taken_up().unwrap().1, ["123", "ac", "bd"]);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            let all = taken_up().map(|(_, all)| all.concat());
            assert!(all.is_none_or(|all| ["1ab", "12acb"].contains(&all.as_str())), "byte {at}");
        }
    }

    #[test]
    fn one_that_lasts_is_made_and_taken_up_as_a_plain_file_of_its_owner_alone_and_nothing_is_written_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (path, floor) = (dir.path().join("rows"), Floor { disk: &SystemDisk, bytes: 0 });
        let make = || {
            let mut spool = Spool::lasting(&path, dir.path(), floor).unwrap();
            spool.append(Stream(0), b"1").unwrap();
            spool.settle().unwrap();
        };
        let is_taken_up = || Spool::take_up(&path, dir.path(), floor, Stream(0)).is_ok_and(|spool| spool.is_some());
        let allow = |mode: u32| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let other = dir.path().join("other");
        fs::write(&other, "another's").unwrap();
        symlink(&other, &path).unwrap();
        make();
        assert_eq!(fs::read_to_string(&other).unwrap(), "another's");
        assert!(is_taken_up());
        allow(0o640);
        assert!(!is_taken_up(), "others may read it");
        make();
        assert_eq!(
            fs::metadata(&path).unwrap().mode() & 0o777,
            0o600,
            "what stood there before could be read by others"
        );
        fs::rename(&path, &other).unwrap();
        symlink(&other, &path).unwrap();
        assert!(!is_taken_up(), "it is a link");
        fs::remove_file(&path).unwrap();
        fs::hard_link(&other, &path).unwrap();
        assert!(!is_taken_up(), "it has another name, which stays");
        fs::remove_file(&other).unwrap();
        assert!(is_taken_up());
        fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg("-m600").arg(&path).status().unwrap().success());
        assert!(!is_taken_up(), "it is a pipe");
    }
}
