//! What opt-outs have moved since the same was answered: patients who were in an earlier answer and are not in this one, or the other way
//! round. Whoever has both answers can subtract them, so **what has moved is itself a cell**: nobody, or one that the gate would show.
//!
//! The patients come in parts: those of one part were in the same earlier answers, all of them. Whatever is computed from any number of
//! answers is then about whole parts. It only ever hides; what is counted here must never leave.

use bocage_protocol::plan::TableLayout;
use bocage_protocol::tally::{Cell, Size, Sums};

use super::counted::{Computed, Counted, Detail};
use super::model::CountedModel;
use super::{Rules, Withheld, rules};

mod designs;

pub(super) use designs::is_settled;

/// The same plan over the patients who have moved, part by part.
#[derive(Default)]
pub struct Moved(pub Vec<MovedPart>);

/// One part of them.
pub struct MovedPart {
    /// Whether they are in the answer that is given now.
    pub inside: bool,
    /// Two parts that follow each other under one number are the same patients, as two answers have them.
    pub twin: Option<usize>,
    /// Whether they are in the same cells in both answers, so that measures alone may differ.
    pub stays: bool,
    /// What the plan says of them.
    pub counted: Computed,
}

/// The table of one part.
pub(super) struct MovedTable {
    /// As [`MovedPart::inside`].
    pub inside: bool,
    /// As [`MovedPart::twin`].
    pub twin: Option<usize>,
    /// As [`MovedPart::stays`].
    pub stays: bool,
    /// The table.
    pub counted: Counted,
}

impl Moved {
    /// The parts of a table, or of the cells of a grid.
    pub(super) fn tables(self) -> Result<Vec<MovedTable>, Withheld> {
        let table = |MovedPart { inside, twin, stays, counted }: MovedPart| match counted {
            Computed::Table(counted) => Ok(MovedTable { inside, twin, stays, counted }),
            Computed::Keys(_) | Computed::Model(_) => Err(Withheld::Inconsistent),
        };
        self.0.into_iter().map(table).collect()
    }

    /// The parts of a model. Of whom another table has changed, nobody may be among the complete cases both before and after: their numbers may
    /// have changed, and of how many is not known.
    pub(super) fn models(self) -> Result<Vec<CountedModel>, Withheld> {
        let model = |MovedPart { twin, counted, .. }: MovedPart| match counted {
            Computed::Model(counted) if twin.is_some() && counted.n > 0 => Ok(CountedModel { n: 1, ..*counted }),
            Computed::Model(counted) => Ok(*counted),
            Computed::Table(_) | Computed::Keys(_) => Err(Withheld::Inconsistent),
        };
        self.0.into_iter().map(model).collect()
    }
}

/// Whether patients have something, or are somewhere, in two answers alike. How many others of them have not is then unknown: it may be one.
#[derive(Clone, Default)]
pub(super) struct Twins {
    last: Option<usize>,
    some: bool,
}

impl Twins {
    /// Takes the next part. Whether of it there is something, and of its twin before it as well.
    pub(super) fn both(&mut self, twin: Option<usize>, some: bool) -> bool {
        let both = some && self.some && twin.is_some() && twin == self.last;
        (self.last, self.some) = (twin, some);
        both
    }
}

/// The parts at one step of a table's ladder.
pub(super) struct Parts(Vec<(Option<usize>, Vec<Cell>, Vec<Detail>)>);

impl Parts {
    /// Of counted parts, at a step.
    pub(super) fn at(moved: Vec<MovedTable>, layout: &TableLayout, step: usize) -> Result<Self, Withheld> {
        let part = |MovedTable { counted, twin, .. }: MovedTable| {
            let Counted { threshold, tally, details } = counted;
            let cells = tally.rolled_up(layout, step).map_err(|_| Withheld::Inconsistent)?.into_owned();
            Ok((twin, cells, Detail::at(details, threshold, layout, step)))
        };
        Ok(Self(moved.into_iter().map(part).collect::<Result<_, _>>()?))
    }

    /// Whether this measure of a cell cannot be shown, since what has moved of it could not.
    pub(super) fn hides(
        &self,
        at: usize,
        (measure, layout): (usize, &TableLayout),
        under: Rules,
    ) -> Result<bool, Withheld> {
        let mut twins = Twins::default();
        for (twin, cells, details) in &self.0 {
            let (Some(cell), Some(detail)) = (cells.get(at), details.get(measure)) else {
                return Err(Withheld::Inconsistent);
            };
            let sums = cell.measures.get(measure).ok_or(Withheld::Inconsistent)?;
            let (Sums::Number { valid, .. } | Sums::Condition { valid, .. }) = sums;
            let some = valid.rows > 0;
            if twins.both(*twin, some)
                || (some && !rules::shows_measure(cell.size, sums, (detail, layout.chosen(measure)), at, under))
            {
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
        let mut twins = vec![Twins::default(); cells];
        for MovedTable { inside, twin, counted, .. } in moved.iter().filter(|part| !part.stays) {
            let cells = counted.tally.rolled_up(layout, step).map_err(|_| Withheld::Inconsistent)?;
            for (at, cell) in cells.iter().enumerate() {
                let n = cell.size.subjects;
                all.few[at] |= !rules::none_or(k, n) || twins[at].both(*twin, n > 0);
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

/// Whether of each of these parts, in this order, nobody or k have moved, and nobody stays with what is not known of the others.
pub(super) fn settled(k: i128, parts: impl Iterator<Item = (Option<usize>, i128)>) -> bool {
    let mut twins = Twins::default();
    let mut parts = parts;
    parts.all(|(twin, n)| !twins.both(twin, n > 0) && rules::none_or(k, n))
}

/// The sizes of a grid's cells.
pub(super) fn sizes(moved: &MovedTable) -> Vec<Size> {
    moved.counted.tally.cells.iter().map(|cell| cell.size).collect()
}

#[cfg(test)]
mod tests;
