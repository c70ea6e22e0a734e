//! A number where it lies in the range that a study says; missing where it does not.

use bocage_protocol::ids::ColumnName;
use polars::prelude::{BooleanChunked, Column, DataFrame, DataType, IntoColumn as _, Series};

use crate::custodian::engine::pass::PassError;

/// A column of the base, or an earlier feature, and its range.
pub struct Plausible {
    column: ColumnName,
    lo: f64,
    hi: f64,
}

impl Plausible {
    /// Both ends are plausible.
    pub fn new(column: ColumnName, (lo, hi): (f64, f64)) -> Self {
        Self { column, lo, hi }
    }

    /// What it is computed from.
    pub fn column(&self) -> &str {
        self.column.as_str()
    }

    /// Its value in each row of a part, of the type that the column has there.
    ///
    /// # Errors
    /// The part lacks the column, or it has no numbers.
    pub fn of(&self, rows: &DataFrame) -> Result<Column, PassError> {
        let shape = |_| PassError::Shape;
        let values = rows.column(self.column.as_str()).map_err(shape)?.as_materialized_series();
        // Whole numbers are exact as doubles: a contract's are at most 2⁵³.
        let numbers = values.cast(&DataType::Float64).map_err(shape)?;
        let numbers = numbers.f64().map_err(shape)?;
        let lies = |value: Option<f64>| value.is_some_and(|value| self.lo <= value && value <= self.hi);
        let mask: BooleanChunked = numbers.iter().map(lies).collect();
        let missing = Series::full_null(values.name().clone(), values.len(), values.dtype());
        Ok(values.zip_with(&mask, &missing).map_err(shape)?.into_column())
    }
}
