//! What rows only refer to: columns that are filled from other resources of the export, by the key that the row has of one.
//!
//! The other resources are read when the first row needs one, all at once: an export that says everything in place is not read twice. Of each a hash of its key
//! and the number of its texts stay, of which there are few: memory follows [`limits::FHIR_LOOKED_UP`], never the export.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::path::Path;
use std::sync::Arc;

use bocage_protocol::limits;
use foldhash::quality::FixedState;

use super::{How, ReadError, Reader};
use crate::view::{Batch, Texts, View};

/// Texts of one resource, one for each column that is filled.
type Filling = Vec<Option<Box<str>>>;

/// A look-up of a view's rows in the rows of another.
pub struct LookUp {
    view: Arc<View>,
    /// The column of keys, and those that are filled, in the rows and as the other view has them.
    by: (usize, usize),
    fill: Vec<(usize, usize)>,
    known: Option<Known>,
}

/// The other view's rows.
#[derive(Default)]
struct Known {
    places: HashMap<u64, u32, FixedState>,
    fillings: Vec<Filling>,
}

/// How many rows were looked up, and how many of these found nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LookedUp {
    /// Rows that have a key and nothing else.
    pub rows: u64,
    /// Those whose key no resource has.
    pub nowhere: u64,
}

impl LookUp {
    /// Of rows of `rows` in those of `other`, whose first column has the keys; all its columns are found by their names. None where `rows` lacks one.
    pub fn of(rows: &View, other: View) -> Option<Self> {
        let place = |name: &str| rows.columns().iter().position(|column| column.name == name);
        let columns = other.columns().iter().enumerate();
        let mut pairs =
            columns.map(|(there, column)| Some((place(&column.name)?, there))).collect::<Option<Vec<_>>>()?;
        let by = (!pairs.is_empty()).then(|| pairs.remove(0))?;
        Some(Self { view: Arc::new(other), by, fill: pairs, known: None })
    }

    /// Fills the columns of rows that have a key and none of them.
    pub fn fill(&mut self, batch: &mut Batch, export: &Path, how: How) -> Result<LookedUp, ReadError> {
        let mut looked_up = LookedUp::default();
        let cell = |column: usize, row: usize| batch.columns().get(column).and_then(|texts| texts.get(row));
        let lacks =
            |row: &usize| cell(self.by.0, *row).is_some() && self.fill.iter().all(|(at, _)| cell(*at, *row).is_none());
        let rows: Vec<usize> = (0..batch.rows()).filter(lacks).collect();
        if rows.is_empty() {
            return Ok(looked_up);
        }
        if self.known.is_none() {
            self.known = Some(self.read(export, how)?);
        }
        let Some(known) = &self.known else { return Ok(looked_up) };
        let found: HashMap<usize, &Filling> =
            rows.iter().filter_map(|row| Some((*row, known.get(cell(self.by.0, *row)?)?))).collect();
        looked_up.rows = rows.len() as u64;
        looked_up.nowhere = (rows.len() - found.len()) as u64;
        for (i, (at, _)) in self.fill.iter().enumerate() {
            batch.fill(*at, |row| found.get(&row)?[i].as_deref());
        }
        Ok(looked_up)
    }

    fn read(&self, export: &Path, how: How) -> Result<Known, ReadError> {
        let mut reader = Reader::reading(export, Arc::clone(&self.view), how)?;
        let mut known = Known::default();
        let mut numbers: HashMap<Filling, u32, FixedState> = HashMap::default();
        let mut bytes = 0;
        while let Some(batch) = reader.next_batch(1 << 14, 1 << 20)? {
            let cell = |column: usize, row: usize| batch.columns().get(column).and_then(|texts: &Texts| texts.get(row));
            for row in 0..batch.rows() {
                let Some(key) = cell(self.by.1, row) else { continue };
                let filling: Filling = self.fill.iter().map(|(_, there)| cell(*there, row).map(Box::from)).collect();
                if known.places.len() >= limits::FHIR_LOOKED_UP || bytes >= limits::FHIR_LOOKED_UP_BYTES {
                    return Ok(known);
                }
                let number = *numbers.entry(filling).or_insert_with_key(|filling| {
                    bytes += filling.iter().flatten().map(|text| 2 * text.len()).sum::<usize>() + 64 * filling.len();
                    known.fillings.push(filling.clone());
                    known.fillings.len() as u32 - 1
                });
                known.places.entry(hash(key)).or_insert(number);
            }
        }
        Ok(known)
    }
}

impl Known {
    fn get(&self, key: &str) -> Option<&Filling> {
        self.fillings.get(*self.places.get(&hash(key))? as usize)
    }
}

fn hash(key: &str) -> u64 {
    FixedState::with_seed(0).hash_one(key)
}
