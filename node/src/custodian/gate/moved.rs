//! What opt-outs have moved since the same was answered: patients who were in an earlier answer and are not in this one, or the other way
//! round. Whoever has both answers can subtract them, so **what has moved is itself a cell**: nobody, or one that the gate would show.
//!
//! The patients come in parts: those of one part were in the same earlier answers, all of them. Whatever is computed from any number of
//! answers is then about whole parts. It only ever hides; what is counted here must never leave.

use bocage_protocol::plan::TableLayout;
use bocage_protocol::tally::{Cell, Size, Sums};

use super::counted::{Computed, Counted, Detail};
use super::{Rules, Withheld, rules};

/// The same plan over the patients who have moved, part by part.
#[derive(Default)]
pub struct Moved(pub Vec<Computed>);

impl Moved {
    /// The parts of a table, or of the cells of a grid.
    pub(super) fn tables(self) -> Result<Vec<Counted>, Withheld> {
        let table = |part| match part {
            Computed::Table(counted) => Ok(counted),
            Computed::Keys(_) => Err(Withheld::Inconsistent),
        };
        self.0.into_iter().map(table).collect()
    }
}

/// The parts at one step of a table's ladder.
pub(super) struct Parts(Vec<(Vec<Cell>, Vec<Detail>)>);

impl Parts {
    /// Of counted parts, at a step.
    pub(super) fn at(moved: Vec<Counted>, layout: &TableLayout, step: usize) -> Result<Self, Withheld> {
        let part = |counted: Counted| {
            let cells = counted.tally.rolled_up(layout, step).map_err(|_| Withheld::Inconsistent)?;
            Ok((cells, counted.details_at(layout, step)))
        };
        Ok(Self(moved.into_iter().map(part).collect::<Result<_, _>>()?))
    }

    /// Whether this measure of a cell cannot be shown, since what has moved of it could not.
    pub(super) fn hides(&self, at: usize, measure: usize, under: Rules) -> Result<bool, Withheld> {
        for (cells, details) in &self.0 {
            let (Some(cell), Some(detail)) = (cells.get(at), details.get(measure)) else {
                return Err(Withheld::Inconsistent);
            };
            let sums = cell.measures.get(measure).ok_or(Withheld::Inconsistent)?;
            let (Sums::Number { valid, .. } | Sums::Condition { valid, .. }) = sums;
            if valid.rows > 0 && !rules::shows_measure(cell.size, sums, detail, at, under) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Of which cells at a step of the ladder somebody has moved, but fewer than k.
pub(super) fn few(moved: &[Counted], layout: &TableLayout, step: usize, k: i128) -> Result<Vec<bool>, Withheld> {
    let mut few = vec![false; layout.cells_at(step)];
    for part in moved {
        let cells = part.tally.rolled_up(layout, step).map_err(|_| Withheld::Inconsistent)?;
        few.iter_mut().zip(&cells).for_each(|(few, cell)| *few |= !rules::none_or(k, cell.size.subjects));
    }
    Ok(few)
}

/// The sizes of a grid's cells, part by part.
pub(super) fn sizes(moved: &[Counted]) -> Vec<Vec<Size>> {
    moved.iter().map(|part| part.tally.cells.iter().map(|cell| cell.size).collect()).collect()
}

#[cfg(test)]
mod tests;
