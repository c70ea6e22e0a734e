//! A file for what does not fit into memory: streams of bytes that grow beside each other and are read again as a whole. It has no
//! name, so that nothing of it is left when its process ends, however that ends.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::{Floor, SnapshotError};

/// What is written at once.
const WRITE_BYTES: usize = 1 << 20;
/// After so many bytes it is looked whether enough stays free.
const LOOK_BYTES: u64 = 32 << 20;

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
}

/// Bytes that were appended at once.
#[derive(Clone, Copy)]
struct Piece {
    at: u64,
    bytes: usize,
}

/// A stream of a [`Spool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stream(usize);

impl<'a> Spool<'a> {
    /// A new one, on the disk of `folder`.
    pub(super) fn new(folder: &Path, floor: Floor<'a>) -> Result<Self, SnapshotError> {
        let file = tempfile::tempfile_in(folder).map_err(|e| SnapshotError::io(folder, &e))?;
        let folder = folder.to_owned();
        Ok(Self { floor, folder, file, pending: Vec::new(), written: 0, looked: 0, streams: Vec::new() })
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
        let at = self.written + self.pending.len() as u64;
        self.streams[stream.0].push(Piece { at, bytes: bytes.len() });
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
        self.streams[stream.0].iter().map(|piece| piece.bytes as u64).sum()
    }

    /// Reads a stream again: `take` gets each piece as it was appended.
    pub(super) fn read(
        &mut self,
        stream: Stream,
        mut take: impl FnMut(&[u8]) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        self.flush()?;
        let mut buffer = Vec::new();
        for Piece { at, bytes } in &self.streams[stream.0] {
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

#[cfg(test)]
mod tests {
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
}
