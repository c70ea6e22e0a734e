//! Rows brought together by patient, in bounded memory. They come in the source's order and leave in groups: each patient's rows in one, and the
//! groups in the order of the patients' places.
//!
//! ```text
//! batches ─▶ held in memory ──full──▶ cut by place into pieces of parts ──full──▶ a stream a part ──at the end──▶ groups of whole parts
//! ```
//! A part is a range of places, so neither how many there are nor where batches ended shows in what comes out. What fits into memory touches no disk. Only
//! the rows of one patient, or of very few, can make a group larger than it should be.

use std::path::Path;

use polars::prelude::{DataFrame, Schema};

use super::keys::Keys;
use super::pieces::{Gathered, Layout, Piece};
use super::spool::{Spool, Stream};
use super::unfinished::{self, Begun, Beside, Mark, Unfinished};
use super::{Floor, SnapshotError};
use crate::custodian::source::{Key, PLACE};

/// A part's piece should not be smaller, so that few are read for each part.
const PIECE_BYTES: usize = 16 << 10;
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
    layout: Layout,
    /// Rows that are not cut, before it is known that not all fit into memory.
    held: Vec<DataFrame>,
    held_bytes: usize,
    /// Keys of all rows that are not put aside.
    keys: Keys,
    parts: Option<Parts<'a>>,
    lasting: Option<Unfinished>,
    /// The most bytes that were in memory at a time.
    most: usize,
}

struct Parts<'a> {
    spool: Spool<'a>,
    streams: Vec<Stream>,
    /// What is not in the streams yet, and its bytes.
    pieces: Vec<Piece>,
    bytes: usize,
}

impl<'a> Parts<'a> {
    /// Streams behind those that a lasting file has for itself, and those of keys.
    fn of(spool: Spool<'a>, keys: &Keys, count: usize) -> Self {
        let first = unfinished::KEYS + keys.streams();
        let streams = (first..first + count).map(Stream).collect();
        Self { spool, streams, pieces: (0..count).map(|_| Piece::default()).collect(), bytes: 0 }
    }

    /// Adds rows to the pieces of their parts.
    fn cut(&mut self, layout: &Layout, rows: &DataFrame) -> Result<(), SnapshotError> {
        let count = self.streams.len() as u128;
        let parts: Vec<u32> = if count == 1 {
            vec![0; rows.height()]
        } else {
            let places = rows.column(PLACE).and_then(|places| places.u64()).map_err(|_| fault("placing rows"))?;
            places.into_no_null_iter().map(|place| ((u128::from(place) * count) >> 64) as u32).collect()
        };
        let bytes = layout.scatter(rows, &parts, &mut self.pieces);
        self.bytes += bytes.ok_or_else(|| fault("cutting rows into parts"))?;
        Ok(())
    }

    /// Puts all pieces aside, and the keys of their rows.
    fn flush(&mut self, keys: &mut Keys) -> Result<(), SnapshotError> {
        self.bytes = 0;
        keys.flush(&mut self.spool)?;
        for (stream, piece) in self.streams.iter().zip(&mut self.pieces) {
            if let Some(bytes) = piece.take() {
                self.spool.append(*stream, &bytes)?;
            }
        }
        Ok(())
    }
}

impl<'a> Shuffle<'a> {
    /// Of rows with these columns, and with keys for so many rules.
    pub(super) fn new(
        folder: &'a Path,
        floor: Floor<'a>,
        room: Room,
        rows: &Schema,
        rules: usize,
    ) -> Result<Self, SnapshotError> {
        let layout = Layout::of(rows).ok_or_else(|| fault("laying out rows"))?;
        let (as_they_come, held, keys) = (false, Vec::new(), Keys::of(rules));
        let (parts, lasting) = (None, None);
        Ok(Self { room, as_they_come, folder, floor, layout, held, held_bytes: 0, keys, parts, lasting, most: 0 })
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
        if !(1..=most).contains(&count) || spool.width() > unfinished::KEYS + self.keys.streams() + count {
            return None;
        }
        self.parts = Some(Parts::of(spool, &self.keys, count));
        Some(begun)
    }

    /// Writes down how far the ingest is, where all rows were put aside in a file that lasts; else nothing.
    pub(super) fn mark(&mut self, beside: &mut Beside, mark: impl FnOnce(usize) -> Mark) -> Result<(), SnapshotError> {
        match &mut self.parts {
            Some(parts) if self.lasting.is_some() && parts.bytes == 0 => {
                beside.write(&mut parts.spool, &mark(parts.streams.len()))
            }
            _ => Ok(()),
        }
    }

    /// Takes the next rows and their keys; whether all rows are put aside now.
    pub(super) fn add(&mut self, batch: DataFrame, keys: &[Vec<Key>]) -> Result<bool, SnapshotError> {
        let key_bytes = self.keys.add(keys);
        if let Some(parts) = &mut self.parts {
            parts.cut(&self.layout, &batch)?;
            parts.bytes += key_bytes;
            self.most = self.most.max(parts.bytes);
            let full = parts.bytes >= self.room.held_bytes;
            return if full { parts.flush(&mut self.keys).map(|()| true) } else { Ok(false) };
        }
        self.held_bytes += batch.estimated_size() + key_bytes;
        self.most = self.most.max(self.held_bytes);
        self.held.push(batch);
        let full = self.held_bytes >= self.room.held_bytes;
        if full {
            self.begin_parts()?;
        }
        Ok(full)
    }

    /// Puts the last rows aside, where others were.
    pub(super) fn end(&mut self) -> Result<(), SnapshotError> {
        self.parts.as_mut().map_or(Ok(()), |parts| parts.flush(&mut self.keys))
    }

    /// Gives the keys of all rows, rule by rule and part by part, equal ones together.
    pub(super) fn each_key(
        &mut self,
        take: impl FnMut(usize, usize, Vec<Key>) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        let spool = self.parts.as_mut().map(|parts| &mut parts.spool);
        self.most = self.most.max(self.keys.each(spool, take)?);
        Ok(())
    }

    /// Gives all rows, group by group.
    pub(super) fn finish(
        mut self,
        mut take: impl FnMut(DataFrame) -> Result<(), SnapshotError>,
    ) -> Result<usize, SnapshotError> {
        self.end()?;
        let Some(Parts { mut spool, streams, .. }) = self.parts else {
            if let Some(all) = together(std::mem::take(&mut self.held))? {
                take(all)?;
            }
            return Ok(self.most);
        };
        let mut group = Gathered::new(&self.layout);
        let mut bytes = 0;
        for (i, stream) in streams.iter().enumerate() {
            spool.read(*stream, |piece| {
                group.add(piece).ok_or_else(|| fault("reading rows again"))?;
                bytes += piece.len() as u64;
                if self.as_they_come
                    && let Some(rows) = group.take()
                {
                    return take(rows);
                }
                Ok(())
            })?;
            self.most = self.most.max(bytes as usize);
            let next = streams.get(i + 1).map(|next| spool.bytes(*next));
            if next.is_none_or(|next| bytes + next > self.room.group_bytes)
                && let Some(rows) = group.take()
            {
                bytes = 0;
                take(rows)?;
            }
        }
        Ok(self.most)
    }

    /// Puts what is held into parts.
    fn begin_parts(&mut self) -> Result<(), SnapshotError> {
        let count = if self.as_they_come { 1 } else { (self.room.held_bytes / PIECE_BYTES).clamp(16, PARTS) };
        let spool = match &self.lasting {
            Some(lasting) => lasting.create(self.folder, self.floor)?,
            None => Spool::new(self.folder, self.floor)?,
        };
        let parts = self.parts.insert(Parts::of(spool, &self.keys, count));
        self.held_bytes = 0;
        self.held.drain(..).try_for_each(|rows| parts.cut(&self.layout, &rows))?;
        parts.flush(&mut self.keys)
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
