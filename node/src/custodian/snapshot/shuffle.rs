//! Rows brought together by patient, in bounded memory. They come in the source's order and leave in groups: each patient's rows in one, and the
//! groups in the order of the patients' places.
//!
//! ```text
//! batches ─▶ held in memory ──full──▶ cut by place into parts ─▶ a stream a part ──at the end──▶ groups of whole parts
//! ```
//! A part is a range of places, so neither how many there are nor where batches ended shows in what comes out. What fits into memory touches no disk. Only
//! the rows of one patient, or of very few, can make a group larger than it should be.

use std::io::Cursor;
use std::path::Path;

use polars::prelude::{DataFrame, IdxCa};
use polars_io::ipc::{IpcReader, IpcWriter};
use polars_io::{SerReader, SerWriter};

use super::spool::{Spool, Stream};
use super::{Floor, SnapshotError};
use crate::custodian::source::PLACE;

/// What a part's piece takes on the disk for each column beside its values.
const COLUMN_BYTES: usize = 2 << 10;
/// The most parts.
const PARTS: usize = 1024;

/// How much of the rows is in memory at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Of rows that are held before they are cut.
    pub(super) held_bytes: usize,
    /// Of a group.
    pub(super) group_bytes: u64,
}

/// Rows on their way.
pub(super) struct Shuffle<'a> {
    room: Room,
    folder: &'a Path,
    floor: Floor<'a>,
    held: Vec<DataFrame>,
    held_bytes: usize,
    parts: Option<Parts<'a>>,
    /// The most bytes that were in memory at a time.
    most: usize,
}

struct Parts<'a> {
    spool: Spool<'a>,
    streams: Vec<Stream>,
}

impl<'a> Shuffle<'a> {
    pub(super) fn new(folder: &'a Path, floor: Floor<'a>, room: Room) -> Self {
        Self { room, folder, floor, held: Vec::new(), held_bytes: 0, parts: None, most: 0 }
    }

    /// Takes the next rows.
    pub(super) fn add(&mut self, batch: DataFrame) -> Result<(), SnapshotError> {
        self.held_bytes += batch.estimated_size();
        self.most = self.most.max(self.held_bytes);
        self.held.push(batch);
        if self.held_bytes >= self.room.held_bytes { self.cut() } else { Ok(()) }
    }

    /// Gives all rows, group by group.
    pub(super) fn finish(
        mut self,
        mut take: impl FnMut(DataFrame) -> Result<(), SnapshotError>,
    ) -> Result<usize, SnapshotError> {
        if self.parts.is_none() {
            if let Some(all) = self.together()? {
                take(all)?;
            }
            return Ok(self.most);
        }
        self.cut()?;
        let Some(Parts { mut spool, streams }) = self.parts else { return Ok(self.most) };
        let mut group = Vec::new();
        let mut bytes = 0;
        for (i, stream) in streams.iter().enumerate() {
            spool.read(*stream, |piece| {
                let rows = IpcReader::new(Cursor::new(piece)).finish().map_err(|_| fault("reading rows again"))?;
                bytes += rows.estimated_size() as u64;
                group.push(rows);
                Ok(())
            })?;
            self.most = self.most.max(bytes as usize);
            let next = streams.get(i + 1).map(|next| spool.bytes(*next));
            if next.is_none_or(|next| bytes + next > self.room.group_bytes)
                && let Some(rows) = together(std::mem::take(&mut group))?
            {
                bytes = 0;
                take(rows)?;
            }
        }
        Ok(self.most)
    }

    fn together(&mut self) -> Result<Option<DataFrame>, SnapshotError> {
        self.held_bytes = 0;
        together(std::mem::take(&mut self.held))
    }

    /// Puts what is held into the parts.
    fn cut(&mut self) -> Result<(), SnapshotError> {
        let Some(rows) = self.together()? else { return Ok(()) };
        let parts = match &mut self.parts {
            Some(parts) => parts,
            None => {
                let parts = (self.room.held_bytes / (rows.width().max(1) * COLUMN_BYTES)).clamp(16, PARTS);
                let mut spool = Spool::new(self.folder, self.floor)?;
                let streams = (0..parts).map(|_| spool.stream()).collect();
                self.parts.insert(Parts { spool, streams })
            }
        };
        let count = parts.streams.len();
        let mut of_part: Vec<Vec<u32>> = vec![Vec::new(); count];
        let places = rows.column(PLACE).and_then(|places| places.u64()).map_err(|_| fault("placing rows"))?;
        for (row, place) in (0..).zip(places.into_no_null_iter()) {
            of_part[((u128::from(place) * count as u128) >> 64) as usize].push(row);
        }
        for (stream, own) in parts.streams.iter().zip(of_part).filter(|(_, own)| !own.is_empty()) {
            let mut own =
                rows.take(&IdxCa::from_vec("rows".into(), own)).map_err(|_| fault("cutting rows into parts"))?;
            let mut bytes = Vec::new();
            IpcWriter::new(&mut bytes).finish(&mut own).map_err(|_| fault("putting rows aside"))?;
            parts.spool.append(*stream, &bytes)?;
        }
        Ok(())
    }
}

fn together(frames: Vec<DataFrame>) -> Result<Option<DataFrame>, SnapshotError> {
    let mut frames = frames.into_iter();
    let Some(mut all) = frames.next() else { return Ok(None) };
    for frame in frames {
        all.vstack_mut_owned(frame).map_err(|_| fault("bringing rows together"))?;
    }
    all.rechunk_mut();
    Ok(Some(all))
}

fn fault(stage: &'static str) -> SnapshotError {
    SnapshotError::Fault { stage }
}
