//! The selected rows of a part, as numbers and levels.

use bocage_protocol::plan::{Inputs, Slot};
use polars::prelude::{DataFrame, UInt32Chunked};

use crate::custodian::engine::pass::PassError;

/// What a design reads of rows. A number that is not known is NaN, a level is beyond all.
pub struct Selected {
    pub subjects: UInt32Chunked,
    /// One a measure.
    pub numbers: Vec<Vec<f64>>,
    /// One a key.
    pub levels: Vec<Vec<u32>>,
}

impl Selected {
    /// Subjects, measures and keys, as they were selected in this order.
    ///
    /// # Errors
    /// They are others.
    pub fn of(selected: &DataFrame, inputs: &Inputs) -> Result<Self, PassError> {
        let (measures, keys) = (inputs.measures.len(), inputs.keys.len());
        let columns = selected.columns();
        if columns.len() != 1 + measures + keys {
            return Err(PassError::Shape);
        }
        let (subjects, others) = columns.split_first().ok_or(PassError::Shape)?;
        let subjects = subjects.u32().map_err(|_| PassError::Shape)?.clone();
        let numbers = others[..measures].iter().map(|column| column.f64().map_err(|_| PassError::Shape));
        let numbers: Vec<Vec<f64>> = numbers
            .map(|column| Ok(column?.iter().map(|x| x.unwrap_or(f64::NAN)).collect()))
            .collect::<Result<_, PassError>>()?;
        let levels = others[measures..].iter().map(|column| column.u32().map_err(|_| PassError::Shape));
        let levels: Vec<Vec<u32>> = levels
            .map(|column| Ok(column?.iter().map(|level| level.unwrap_or(u32::MAX)).collect()))
            .collect::<Result<_, PassError>>()?;
        Ok(Self { subjects, numbers, levels })
    }
}

/// A column of the design in a row of which all inputs are known.
pub fn product(slots: &[Slot], row: usize, numbers: &[Vec<f64>], levels: &[Vec<u32>]) -> f64 {
    let value = |slot: &Slot| match slot {
        Slot::Number { input, scale } => scale.apply(numbers[*input][row]),
        Slot::Level { input, level } => f64::from(levels[*input][row] == *level),
        Slot::Spline { input, of, scale } => scale.apply(of.value(numbers[*input][row])),
    };
    slots.iter().map(value).product()
}
