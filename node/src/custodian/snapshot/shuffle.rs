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
use super::unfinished::{self, Begun, Beside, Mark, Unfinished};
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
    /// Whether the rows leave as they come, since each is a patient.
    as_they_come: bool,
    folder: &'a Path,
    floor: Floor<'a>,
    held: Vec<DataFrame>,
    held_bytes: usize,
    parts: Option<Parts<'a>>,
    lasting: Option<Unfinished>,
    /// The most bytes that were in memory at a time.
    most: usize,
}

struct Parts<'a> {
    spool: Spool<'a>,
    streams: Vec<Stream>,
}

impl<'a> Parts<'a> {
    /// Streams behind those that a lasting file has for itself.
    fn of(spool: Spool<'a>, count: usize) -> Self {
        Self { spool, streams: (unfinished::PARTS..unfinished::PARTS + count).map(Stream).collect() }
    }
}

impl<'a> Shuffle<'a> {
    pub(super) fn new(folder: &'a Path, floor: Floor<'a>, room: Room) -> Self {
        let (as_they_come, lasting) = (false, None);
        Self { room, as_they_come, folder, floor, held: Vec::new(), held_bytes: 0, parts: None, lasting, most: 0 }
    }

    /// Of rows that leave in the order in which they come.
    pub(super) fn in_order(self) -> Self {
        Self { as_they_come: true, ..self }
    }

    /// What is put aside may be taken up by an ingest after this one.
    pub(super) fn lasting(self, unfinished: Unfinished) -> Self {
        Self { lasting: Some(unfinished), ..self }
    }

    /// Takes up what an ingest before left, if there is something that this one would have done too.
    pub(super) fn take_up(&mut self) -> Option<Begun> {
        let (spool, begun) = self.lasting.as_ref()?.take_up(self.folder, self.floor)?;
        let (count, most) = (begun.mark.parts, if self.as_they_come { 1 } else { PARTS });
        // Rows in a stream that is none of these would be lost without a word.
        if !(1..=most).contains(&count) || spool.width() > unfinished::PARTS + count {
            return None;
        }
        self.parts = Some(Parts::of(spool, count));
        Some(begun)
    }

    /// Writes down how far the ingest is, where all rows were put aside in a file that lasts; else nothing.
    pub(super) fn mark(&mut self, beside: &mut Beside, mark: impl FnOnce(usize) -> Mark) -> Result<(), SnapshotError> {
        match &mut self.parts {
            Some(parts) if self.lasting.is_some() && self.held.is_empty() => {
                beside.write(&mut parts.spool, &mark(parts.streams.len()))
            }
            _ => Ok(()),
        }
    }

    /// Takes the next rows; whether all rows are put aside now.
    pub(super) fn add(&mut self, batch: DataFrame) -> Result<bool, SnapshotError> {
        self.held_bytes += batch.estimated_size();
        self.most = self.most.max(self.held_bytes);
        self.held.push(batch);
        let full = self.held_bytes >= self.room.held_bytes;
        if full {
            self.cut()?;
        }
        Ok(full)
    }

    /// Puts the last rows aside, where others were.
    pub(super) fn end(&mut self) -> Result<(), SnapshotError> {
        if self.parts.is_some() { self.cut() } else { Ok(()) }
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
                if self.as_they_come {
                    return take(rows);
                }
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
                let spool = match &self.lasting {
                    Some(lasting) => lasting.create(self.folder, self.floor)?,
                    None => Spool::new(self.folder, self.floor)?,
                };
                self.parts.insert(Parts::of(spool, if self.as_they_come { 1 } else { parts }))
            }
        };
        if self.as_they_come {
            return put(&mut parts.spool, parts.streams[0], rows);
        }
        let count = parts.streams.len();
        let mut of_part: Vec<Vec<u32>> = vec![Vec::new(); count];
        let places = rows.column(PLACE).and_then(|places| places.u64()).map_err(|_| fault("placing rows"))?;
        for (row, place) in (0..).zip(places.into_no_null_iter()) {
            of_part[((u128::from(place) * count as u128) >> 64) as usize].push(row);
        }
        for (stream, own) in parts.streams.iter().zip(of_part).filter(|(_, own)| !own.is_empty()) {
            let own = rows.take(&IdxCa::from_vec("rows".into(), own)).map_err(|_| fault("cutting rows into parts"))?;
            put(&mut parts.spool, *stream, own)?;
        }
        Ok(())
    }
}

fn put(spool: &mut Spool<'_>, stream: Stream, mut rows: DataFrame) -> Result<(), SnapshotError> {
    let mut bytes = Vec::new();
    IpcWriter::new(&mut bytes).finish(&mut rows).map_err(|_| fault("putting rows aside"))?;
    spool.append(stream, &bytes)
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
