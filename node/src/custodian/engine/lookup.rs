//! The cells of rows, where each key is of one column that has few values: the level of each such value is computed once, by the same expression
//! as of a row, and then looked up. So a part without a filter goes from the mapped columns into the pass, and Polars sees none of its rows.
//!
//! It must give a row the cell that the expression gives it: only who has a domain by the contract is looked up.

use bocage_protocol::contract::{Contract, Kind};
use bocage_protocol::plan::{Expr, KeyLevels, ValidPlan};
use polars::prelude::{
    ChunkedArray, DataFrame, DataType, Engine, IntoColumn as _, IntoLazy as _, NamedFrom as _, PolarsNumericType,
    PolarsResult, Series,
};

use super::collect_on;
use super::pass::{PassError, RowCells};
use super::question::level;

/// Values of a column beyond which computing their levels costs more than those of a small snapshot's rows.
const MOST_VALUES: usize = 1 << 12;
/// No cell has this number.
const NONE: u32 = u32::MAX;

/// The keys of a plan.
pub struct Lookups(Vec<Lookup>);

/// One key.
struct Lookup {
    column: String,
    /// The column's lowest value.
    lo: i64,
    /// What each value from there on adds to a row's cell; then what any other does.
    adds: Vec<u32>,
    /// What a missing one adds.
    missing: u32,
}

impl Lookups {
    /// The keys of a plan over `contract`, which have these `levels`; none where one of them must be computed row by row, which then also says what is wrong with it.
    pub fn of(plan: &ValidPlan, levels: &[KeyLevels], contract: &Contract) -> Option<Self> {
        if plan.discovered().is_some() || levels.len() != plan.table().by.len() {
            return None;
        }
        let (mut lookups, mut stride) = (Vec::new(), 1);
        // The last key's levels stand side by side.
        for (key, levels) in plan.table().by.iter().zip(levels).rev() {
            let (column, lo, values) = domain(key, contract)?;
            let (count, level) = (values.len(), level(key, levels, contract).ok()?);
            let rows = DataFrame::new(count, vec![values.into_column()]).ok()?;
            let found = collect_on(Engine::InMemory, rows.lazy().select([level.alias("level")])).ok()?;
            let found =
                found.column("level").and_then(|found| found.u32()).ok().filter(|found| found.len() == count)?;
            let mut adds: Vec<u32> = found.iter().map(|level| level.map_or(NONE, |level| level * stride)).collect();
            let missing = adds.pop()?;
            adds.push(NONE);
            lookups.push(Lookup { column, lo, adds, missing });
            stride *= levels.labels.len() as u32;
        }
        Some(Self(lookups))
    }

    /// The columns of these rows that the keys read.
    ///
    /// # Errors
    /// They are not what they were.
    pub fn looking_at(&self, rows: &DataFrame) -> Result<Looked<'_>, PassError> {
        let column = |lookup: &Lookup| rows.column(&lookup.column).map(|c| c.as_materialized_series().rechunk());
        let columns = self.0.iter().map(column).collect::<PolarsResult<_>>().map_err(|_| PassError::Shape)?;
        Ok(Looked { lookups: &self.0, columns, rows: rows.height() })
    }
}

/// Rows whose cells are looked up when the pass comes to them.
pub struct Looked<'a> {
    lookups: &'a [Lookup],
    /// One for each of them, in one chunk.
    columns: Vec<Series>,
    rows: usize,
}

impl RowCells for Looked<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn block<'c>(&'c self, from: usize, room: &'c mut [u32]) -> Result<&'c [u32], PassError> {
        room.fill(0);
        for (lookup, column) in self.lookups.iter().zip(&self.columns) {
            match column.dtype() {
                DataType::UInt8 => lookup.add(column.u8(), from, room),
                DataType::UInt16 => lookup.add(column.u16(), from, room),
                DataType::UInt32 => lookup.add(column.u32(), from, room),
                DataType::Int32 => lookup.add(column.i32(), from, room),
                DataType::Int64 => lookup.add(column.i64(), from, room),
                _ => Err(PassError::Shape),
            }?;
        }
        Ok(room)
    }
}

impl Lookup {
    /// Adds what the values of the column from row `from` on do to the rows' cells.
    fn add<T>(&self, column: PolarsResult<&ChunkedArray<T>>, from: usize, cells: &mut [u32]) -> Result<(), PassError>
    where
        T: PolarsNumericType,
        T::Native: Into<i64>,
    {
        let chunk = column.ok().and_then(|column| column.downcast_iter().next()).ok_or(PassError::Shape)?;
        let values = chunk.values().get(from..from + cells.len()).ok_or(PassError::Shape)?;
        let mut all = true;
        let mut seen = |cell: &mut u32, adds: u32| {
            all &= adds != NONE;
            *cell = cell.wrapping_add(adds);
        };
        match chunk.validity().filter(|bits| bits.null_count_range(from, cells.len()) > 0) {
            None => cells.iter_mut().zip(values).for_each(|(cell, value)| seen(cell, self.of((*value).into()))),
            Some(bits) => {
                for (i, (cell, value)) in (from..).zip(cells.iter_mut().zip(values)) {
                    seen(cell, if bits.get_bit(i) { self.of((*value).into()) } else { self.missing });
                }
            }
        }
        if all { Ok(()) } else { Err(PassError::OutsideTable) }
    }

    #[inline(always)]
    fn of(&self, value: i64) -> u32 {
        let last = self.adds.len() - 1;
        self.adds[usize::try_from(value.wrapping_sub(self.lo).cast_unsigned()).unwrap_or(last).min(last)]
    }
}

/// The one column that a key reads, its lowest value, and all of its values with a missing one last; none where it reads others or has many.
fn domain(key: &Expr, contract: &Contract) -> Option<(String, i64, Series)> {
    let columns = key.columns();
    let name = columns.first()?.as_str();
    if columns.iter().any(|column| column.as_str() != name) || !contract.can_be_read(name) {
        return None;
    }
    let (lo, hi) = match &contract.column(name)?.kind {
        Kind::Int { lo, hi } => (*lo, *hi),
        Kind::Code { codes, .. } => (0, codes.len() as i64 - 1),
        _ => return None,
    };
    let count = usize::try_from(hi.checked_sub(lo)?).ok().filter(|count| *count < MOST_VALUES)?;
    let values: Vec<Option<i64>> = (lo..).take(count + 1).map(Some).chain([None]).collect();
    Some((name.to_owned(), lo, Series::new(name.into(), values)))
}
