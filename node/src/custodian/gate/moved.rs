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
pub struct Moved(pub Vec<MovedPart>);

/// One part of them.
pub struct MovedPart {
    /// Whether they are in the answer that is given now.
    pub inside: bool,
    /// What the plan says of them.
    pub counted: Computed,
}

/// The table of one part.
pub(super) struct MovedTable {
    /// As [`MovedPart::inside`].
    pub inside: bool,
    /// The table.
    pub counted: Counted,
}

impl Moved {
    /// The parts of a table, or of the cells of a grid.
    pub(super) fn tables(self) -> Result<Vec<MovedTable>, Withheld> {
        let table = |part: MovedPart| match part.counted {
            Computed::Table(counted) => Ok(MovedTable { inside: part.inside, counted }),
            Computed::Keys(_) => Err(Withheld::Inconsistent),
        };
        self.0.into_iter().map(table).collect()
    }
}

/// The parts at one step of a table's ladder.
pub(super) struct Parts(Vec<(Vec<Cell>, Vec<Detail>)>);

impl Parts {
    /// Of counted parts, at a step.
    pub(super) fn at(moved: Vec<MovedTable>, layout: &TableLayout, step: usize) -> Result<Self, Withheld> {
        let part = |MovedTable { counted, .. }: MovedTable| {
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

/// Who has moved in the cells of one step of the ladder, as far as it decides what is hidden.
pub(super) struct Few {
    /// In which cells somebody of a part has moved, but fewer than k.
    pub few: Vec<bool>,
    /// How many have gone from each cell, over all parts.
    gone: Vec<i128>,
}

impl Few {
    /// Of the cells at a step.
    pub(super) fn at(moved: &[MovedTable], layout: &TableLayout, step: usize, k: i128) -> Result<Self, Withheld> {
        let cells = layout.cells_at(step);
        let mut all = Self { few: vec![false; cells], gone: vec![0; cells] };
        for MovedTable { inside, counted } in moved {
            let cells = counted.tally.rolled_up(layout, step).map_err(|_| Withheld::Inconsistent)?;
            for (at, cell) in cells.iter().enumerate() {
                all.few[at] |= !rules::none_or(k, cell.size.subjects);
                all.gone[at] += if *inside { 0 } else { cell.size.subjects };
            }
        }
        Ok(all)
    }

    /// Whether a cell of so many subjects is held back. One that has fewer than k by now counts as well if it can have been shown: else whoever
    /// remembers 12 and reads that 11 are held back knows how many have gone.
    pub(super) fn holds_back(&self, at: usize, subjects: i128, k: i128) -> bool {
        self.few[at] && subjects + self.gone[at] >= k
    }
}

/// The sizes of a grid's cells.
pub(super) fn sizes(moved: &MovedTable) -> Vec<Size> {
    moved.counted.tally.cells.iter().map(|cell| cell.size).collect()
}

#[cfg(test)]
mod tests;
