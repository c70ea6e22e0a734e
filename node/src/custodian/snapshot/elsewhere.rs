//! The keys of another dataset's rows, as far as rules look for them: read from the snapshot that it has now, a few rows at a time, and put aside by the same parts
//! as the dataset's own ([`super::keys`]). Of both, one part is in memory.

use std::path::Path;

use bocage_protocol::contract::Check;

use super::keys::Keys;
use super::spool::Spool;
use super::tokens::Tokens;
use super::{Floor, Snapshot, SnapshotError};
use crate::custodian::others::{Other, Others};
use crate::custodian::source::{Key, SUBJECT, Side, seen};

/// Rows that are looked at at once.
const ROWS: usize = 1 << 16;
/// Bytes of keys, before they go to the disk.
const HELD_BYTES: usize = 16 << 20;

/// What rules look for, by their places among those that wait.
pub(super) struct Elsewhere<'a> {
    keys: Keys,
    held_bytes: usize,
    folder: &'a Path,
    floor: Floor<'a>,
    spool: Option<Spool<'a>>,
}

impl<'a> Elsewhere<'a> {
    /// What some rules look for in the snapshots under `dir`; what does not fit into memory lies in `folder`.
    pub(super) fn gather(
        dir: &Path,
        (folder, floor): (&'a Path, Floor<'a>),
        late: &[Option<&Check>],
        others: &Others,
    ) -> Result<Self, SnapshotError> {
        let mut gathered = Self { keys: Keys::of(late.len()), held_bytes: 0, folder, floor, spool: None };
        for (place, check) in late.iter().enumerate() {
            let Some(check) = check else { continue };
            let other = check.looks_into().and_then(|name| others.get(name).ok());
            gathered.add(dir, (place, late.len()), check, other.ok_or_else(|| fault("finding another dataset"))?)?;
        }
        Ok(gathered)
    }

    /// The keys of a rule in one part.
    pub(super) fn part(&mut self, rule: usize, part: usize) -> Result<Vec<Key>, SnapshotError> {
        self.keys.take(self.spool.as_mut(), rule, part)
    }

    fn add(&mut self, dir: &Path, place: (usize, usize), check: &Check, other: &Other) -> Result<(), SnapshotError> {
        let manifest = &other.manifest;
        let column = check.looks_for(&other.contract).and_then(|name| other.contract.column(name.as_str()));
        let column = column.ok_or_else(|| fault("finding another dataset's column"))?;
        let snapshot = Snapshot::open(dir, &manifest.dataset, &manifest.content)?;
        let rows =
            snapshot.frame().select([SUBJECT, column.name.as_str()]).map_err(|_| fault("reading another dataset"))?;
        let mut tokens = Tokens::open(dir, manifest)?;
        for at in (0..rows.height()).step_by(ROWS) {
            let rows = rows.slice(at as i64, ROWS);
            let unread = || fault("reading another dataset");
            let subjects = rows.column(SUBJECT).and_then(|subjects| subjects.u32()).map_err(|_| unread())?;
            let of_column = rows.column(column.name.as_str()).map_err(|_| unread())?;
            let seen = seen(check, of_column, column.precision, Side::Other).ok_or_else(unread)?;
            let mut keys = Vec::with_capacity(seen.len());
            for (subject, seen) in subjects.into_no_null_iter().zip(seen) {
                let patient = tokens.of(subject)?;
                // Its own rows have no numbers that matter.
                keys.extend(seen.map(|seen| seen.key(patient, 0)));
            }
            self.put(place, keys)?;
        }
        tokens.end()
    }

    fn put(&mut self, (place, of): (usize, usize), keys: Vec<Key>) -> Result<(), SnapshotError> {
        let mut all = vec![Vec::new(); of];
        all[place] = keys;
        self.held_bytes += self.keys.add(&all);
        if self.held_bytes < HELD_BYTES {
            return Ok(());
        }
        self.held_bytes = 0;
        let spool = match &mut self.spool {
            Some(spool) => spool,
            none => none.insert(Spool::new(self.folder, self.floor)?),
        };
        self.keys.flush(spool)
    }
}

fn fault(stage: &'static str) -> SnapshotError {
    SnapshotError::Fault { stage }
}
