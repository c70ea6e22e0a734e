//! Features: columns that are made of a patient's rows in other tables, beside the rows of the base.
//!
//! ```text
//! related rows ──filter (Polars), window──▶ each patient's rows ──fold──▶ a value ──link──▶ by the base's subject numbers
//! base's part ◀── appended, as a column of the extended contract ──────────────────────────────────┘
//! ```
//!
//! Each feature is one pass over the offered rows of one table, in parts and on all cores as any count. It says the same whatever the order of
//! rows, parts and threads: a tie is settled by the value. What was made is kept for the plans of a round and no longer. Tables meet in no other
//! way, so that nothing grows with a product of rows, and the base's subjects stay what the gate counts.

mod days;
mod fold;
mod ground;
mod look;
mod making;
mod predicting;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bocage_protocol::ids::{ColumnName, Digest};
use bocage_protocol::plan::{Feature, ValidPlan};
use polars::prelude::{Column, DataFrame, DataType};

use self::days::Ages;
use self::making::Making;
use self::predicting::Predicting;
use super::EngineError;
use super::parts::Partition;
use super::pass::PassError;

pub use ground::{Ground, Joined};
pub(super) use ground::{Table, Tables};

/// The features that were made in a round. Plans have their own names for them: they are known by what they are.
#[derive(Default)]
pub struct Features {
    made: HashMap<Digest, Arc<Made>>,
}

/// A feature's values.
pub(super) enum Made {
    /// One for each subject of the base.
    BySubject(Column),
    /// Counts, one for each subject: narrow while they are kept, as wide as whole numbers are where a part is read.
    Counts(Column),
    /// Ages, computed for each row of a part.
    Ages(Ages),
    /// What a fitted model makes of each row of a part.
    Predicted(Box<Predicting>),
}

/// A plan's features under the plan's names.
#[derive(Default)]
pub(super) struct Columns {
    named: Vec<(ColumnName, Arc<Made>)>,
}

impl Features {
    /// The columns of a plan's features. Those that the round has not seen yet are computed.
    ///
    /// # Errors
    /// A table is missing or not of the contract that the plan names, or a pass over its rows fails.
    pub(super) fn columns(
        &mut self,
        plan: &ValidPlan,
        tables: &Tables<'_>,
        partition: Partition,
    ) -> Result<Columns, EngineError> {
        let mut columns = Columns::default();
        let mut known: HashMap<&ColumnName, Digest> = HashMap::new();
        for feature in plan.features() {
            let key = key(feature, plan, &known);
            let made = match self.made.get(&key) {
                Some(made) => Arc::clone(made),
                None => Arc::new(Making { plan, tables, before: &columns, partition }.make(feature)?),
            };
            self.made.insert(key, Arc::clone(&made));
            known.insert(&feature.name, key);
            columns.named.push((feature.name.clone(), made));
        }
        Ok(columns)
    }
}

/// What a feature is, whatever names a plan has for the features and tables that it reads.
fn key(feature: &Feature, plan: &ValidPlan, known: &HashMap<&ColumnName, Digest>) -> Digest {
    let of = bocage_protocol::trust::canonical(&feature.of).unwrap_or_default();
    let table = feature.of.table().and_then(|table| plan.related().get(table));
    let table = table.map_or(plan.plan().query.contract, |table| table.contract);
    let reads: Vec<u8> =
        feature.of.reads().flat_map(|name| known.get(name).map_or([0; 32], |key| *key.as_bytes())).collect();
    Digest::of("bocage/feature/1", &[&of, table.as_bytes(), &reads])
}

impl Columns {
    /// None.
    #[cfg(test)]
    pub const fn none() -> Self {
        Self { named: Vec::new() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// The base's own columns among these, and those that the features among them are computed from row by row.
    pub fn base<'n>(&'n self, wanted: &BTreeSet<&'n str>) -> BTreeSet<&'n str> {
        let wanted = &self.with_read(wanted);
        let mut base: BTreeSet<&str> = wanted.iter().filter(|name| self.get(name).is_none()).copied().collect();
        for name in wanted.iter() {
            if let Some(Made::Ages(ages)) = self.get(name) {
                base.extend(ages.base_columns());
            }
        }
        base
    }

    /// The columns that are wanted, and those that predictions among them read.
    fn with_read<'n>(&'n self, wanted: &BTreeSet<&'n str>) -> BTreeSet<&'n str> {
        let mut all = wanted.clone();
        for (name, made) in self.named.iter().rev() {
            if let Made::Predicted(of) = made.as_ref()
                && all.contains(name.as_str())
            {
                all.extend(of.columns());
            }
        }
        all
    }

    /// Appends those of the features that are wanted to the rows of a part, of which these are the subjects.
    ///
    /// # Errors
    /// A subject has no value.
    pub fn append(&self, rows: &mut DataFrame, wanted: &BTreeSet<&str>, subjects: &[u32]) -> Result<(), PassError> {
        let wanted = &self.with_read(wanted);
        for (name, made) in self.named.iter().filter(|(name, _)| wanted.contains(name.as_str())) {
            let column = match made.as_ref() {
                Made::BySubject(values) => of_subjects(values, subjects)?,
                Made::Counts(counts) => {
                    of_subjects(counts, subjects)?.cast(&DataType::Int64).map_err(|_| PassError::Shape)?
                }
                Made::Ages(ages) => ages.of(rows, subjects)?,
                Made::Predicted(of) => of.of(rows)?,
            };
            rows.with_column(column.with_name(name.as_str().into())).map_err(|_| PassError::Shape)?;
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&Made> {
        self.named.iter().find(|(known, _)| known.as_str() == name).map(|(_, made)| made.as_ref())
    }
}

/// The value of each row's subject.
fn of_subjects(values: &Column, subjects: &[u32]) -> Result<Column, PassError> {
    let Some(first) = subjects.first() else { return Ok(values.slice(0, 0)) };
    // A table with one row a patient has them one after the other.
    if subjects.iter().zip(*first..).all(|(subject, next)| *subject == next)
        && *first as usize + subjects.len() <= values.len()
    {
        return Ok(values.slice(i64::from(*first), subjects.len()));
    }
    values.take_slice(subjects).map_err(|_| PassError::Shape)
}
