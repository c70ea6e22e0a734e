//! The values of a key's column, row by row, and the position of each among the keys that are counted.

use std::hash::BuildHasher as _;

use bocage_protocol::plan::KeyValue;
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use polars::prelude::{Column, DataType, PolarsDataType, StringType};

use super::pass::PassError;
use crate::custodian::snapshot::Part;

/// A chunk of texts as Polars holds it.
type Texts = <StringType as PolarsDataType>::Array;

/// A row whose key is not counted. There are never so many keys.
pub const UNCOUNTED: u32 = u32::MAX;

/// The hash of a value: the same in every run and on every machine.
pub fn hash(value: &KeyValue<'_>) -> u64 {
    let state = FixedState::with_seed(0);
    match value {
        KeyValue::At(number) => state.hash_one(number),
        KeyValue::Text(text) => state.hash_one(text),
    }
}

/// A column of a snapshot as keys.
#[derive(Clone, Copy)]
pub enum KeyColumn<'a> {
    /// Texts, where they are mapped.
    Texts(&'a Texts),
    /// Integers, or positions of codes.
    Numbers(&'a Column),
}

impl<'a> KeyColumn<'a> {
    /// The column as keys.
    ///
    /// # Errors
    /// It is of another type, or not one piece as a snapshot's columns are.
    pub fn of(column: &'a Column) -> Result<Self, PassError> {
        match column.dtype() {
            DataType::String => {
                let texts = column.str().map_err(|_| PassError::Shape)?;
                let mut chunks = texts.downcast_iter();
                match (chunks.next(), chunks.next()) {
                    (Some(texts), None) => Ok(KeyColumn::Texts(texts)),
                    _ => Err(PassError::Shape),
                }
            }
            of if of.is_integer() => Ok(KeyColumn::Numbers(column)),
            _ => Err(PassError::Shape),
        }
    }

    /// Calls `take` with each row of a part, counted from its first, and its value.
    ///
    /// # Errors
    /// The column is not what it was.
    pub fn each(self, part: &Part, mut take: impl FnMut(usize, Option<KeyValue<'a>>)) -> Result<(), PassError> {
        let mut at = 0;
        let mut take = |value| {
            take(at, value);
            at += 1;
        };
        match self {
            KeyColumn::Texts(texts) => {
                part.ranges().flatten().for_each(|row| take(texts.get(row).map(KeyValue::Text)));
            }
            KeyColumn::Numbers(column) => {
                for range in part.ranges() {
                    let numbers = column.slice(range.start as i64, range.len());
                    let numbers = numbers.cast(&DataType::Int64).map_err(|_| PassError::Shape)?;
                    let numbers = numbers.i64().map_err(|_| PassError::Shape)?;
                    numbers.iter().for_each(|number| take(number.map(KeyValue::At)));
                }
            }
        }
        Ok(())
    }
}

/// Where each counted key stands among them.
pub struct Positions<'a> {
    values: HashTable<(KeyValue<'a>, u32)>,
    missing: u32,
}

impl<'a> Positions<'a> {
    /// The positions of these keys, which are different ones.
    pub fn new(keys: impl Iterator<Item = Option<KeyValue<'a>>>) -> Self {
        let mut positions = Self { values: HashTable::new(), missing: UNCOUNTED };
        for (key, at) in keys.zip(0..) {
            match key {
                None => positions.missing = at,
                Some(value) => {
                    positions.values.insert_unique(hash(&value), (value, at), |(value, _)| hash(value));
                }
            }
        }
        positions
    }

    /// The position of each row's key in a part, or [`UNCOUNTED`].
    ///
    /// # Errors
    /// The column is not what it was.
    pub fn of(&self, column: KeyColumn<'a>, part: &Part) -> Result<Vec<u32>, PassError> {
        let mut positions = Vec::with_capacity(part.len());
        column.each(part, |_, value| {
            positions.push(match value {
                None => self.missing,
                Some(value) => {
                    let found = self.values.find(hash(&value), |(known, _)| *known == value);
                    found.map_or(UNCOUNTED, |(_, at)| *at)
                }
            });
        })?;
        Ok(positions)
    }
}
