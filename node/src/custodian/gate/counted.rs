//! What the engine hands to the gate: a tally, and what the gate must know about it that no sum says.
//!
//! A tally adds up over cells, parts and sites; how different the values are does not, so it stands beside it and ends at the gate.
//! It must never leave: only the gate opens a `Private<Counted>`.

use bocage_protocol::plan::{MeasureLayout, TableLayout};
use bocage_protocol::tally::{Cell, Size, Sums, Tally};

use super::model::CountedModel;
use super::spread::Spread;

/// A tally with what the gate must know beside it.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct Counted {
    /// The threshold that the details were counted for.
    pub threshold: u32,
    /// The sums.
    pub tally: Tally,
    /// One a measure, in the layout's order.
    pub details: Vec<Detail>,
}

/// What the gate must know of one measure, by the cells of step 0.
#[derive(Clone)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub enum Detail {
    /// Of a number: how different its values are.
    Number(Vec<Spread>),
    /// Of a condition: subjects with a row in which it is neither true nor false.
    Condition(Vec<u32>),
}

/// What the engine computed of a plan.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub enum Computed {
    /// The cells of one table, or of a grid.
    Table(Counted),
    /// A table for each discovered key.
    Keys(CountedKeys),
    /// The sums of a model's step.
    Model(Box<CountedModel>),
}

/// The tables of the discovered keys.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct CountedKeys {
    /// In the column's own order, each with its name and its table. The total of a table is that of its cells, a subject counted once a cell.
    pub keys: Vec<(Option<String>, Counted)>,
    /// The most subjects in a cell of a key that was left out for want of room: k or more, as of any key that has room.
    pub beyond: Option<i128>,
}

impl CountedKeys {
    /// The tables of `keys`, of `cells` cells each, that were counted one behind the other.
    pub fn split(all: Counted, cells: usize, keys: Vec<Option<String>>, beyond: Option<i128>) -> Self {
        let Counted { threshold, tally, details } = all;
        let mut of_cells = tally.cells.into_iter();
        let mut of_details: Vec<DetailIter> = details.into_iter().map(DetailIter::new).collect();
        let table = |key| {
            let cells_of: Vec<Cell> = of_cells.by_ref().take(cells).collect();
            let sum = |of: fn(&Size) -> i128| cells_of.iter().map(|cell| of(&cell.size)).sum();
            let total = Size { subjects: sum(|size| size.subjects), rows: sum(|size| size.rows) };
            let tally = Tally { total, cells: cells_of };
            let details = of_details.iter_mut().map(|detail| detail.take(cells)).collect();
            (key, Counted { threshold, tally, details })
        };
        Self { keys: keys.into_iter().map(table).collect(), beyond }
    }
}

/// A measure's details, handed out piece by piece.
enum DetailIter {
    Number(std::vec::IntoIter<Spread>),
    Condition(std::vec::IntoIter<u32>),
}

impl DetailIter {
    fn new(detail: Detail) -> Self {
        match detail {
            Detail::Number(spreads) => DetailIter::Number(spreads.into_iter()),
            Detail::Condition(lacking) => DetailIter::Condition(lacking.into_iter()),
        }
    }

    fn take(&mut self, cells: usize) -> Detail {
        match self {
            DetailIter::Number(spreads) => Detail::Number(spreads.by_ref().take(cells).collect()),
            DetailIter::Condition(lacking) => Detail::Condition(lacking.by_ref().take(cells).collect()),
        }
    }
}

impl Counted {
    /// Whether the details are of this tally, under this layout and threshold.
    pub(super) fn fits(&self, layout: &TableLayout, one_row_per_subject: bool, k: u32) -> bool {
        let cells = &self.tally.cells;
        let measure_fits = |(i, (detail, layout)): (usize, (&Detail, &MeasureLayout))| match (detail, layout) {
            (Detail::Number(spreads), MeasureLayout::Number(_)) => {
                let all = cells.iter().zip(spreads);
                spreads.len() == cells.len() && all.into_iter().all(|(cell, spread)| number_fits(cell, i, spread))
            }
            (Detail::Condition(lacking), MeasureLayout::Condition) => {
                let all = cells.iter().zip(lacking);
                lacking.len() == cells.len()
                    && all.into_iter().all(|(cell, n)| condition_fits(cell, i, *n, one_row_per_subject))
            }
            _ => false,
        };
        self.threshold == k
            && self.details.len() == layout.measures().len()
            && self.details.iter().zip(layout.measures()).enumerate().all(measure_fits)
    }
}

impl Detail {
    /// Details, counted for a threshold of `k`, at a step of the ladder. A coarser one is right only where a subject is in one cell, as for the
    /// tally.
    pub(super) fn at(details: Vec<Detail>, k: u32, layout: &TableLayout, step: usize) -> Vec<Detail> {
        if step == 0 {
            return details;
        }
        let (to, cells) = (layout.containing(0, step), layout.cells_at(step));
        let rolled_up = |detail: &Detail| match detail {
            Detail::Number(fine) => {
                let mut coarse = vec![Spread::new(k); cells];
                to.iter().zip(fine).for_each(|(to, spread)| coarse[*to].absorb(spread, k));
                Detail::Number(coarse)
            }
            Detail::Condition(fine) => {
                let mut coarse = vec![0u32; cells];
                to.iter().zip(fine).for_each(|(to, n)| coarse[*to] = coarse[*to].saturating_add(*n));
                Detail::Condition(coarse)
            }
        };
        details.iter().map(rolled_up).collect()
    }
}

fn number_fits(cell: &Cell, measure: usize, spread: &Spread) -> bool {
    match (cell.measures.get(measure), spread) {
        (Some(Sums::Number { .. }), Spread::Wide) => true,
        (Some(Sums::Number { valid, .. }), Spread::Narrow { subjects, .. }) => valid.subjects == i128::from(*subjects),
        _ => false,
    }
}

fn condition_fits(cell: &Cell, measure: usize, lacking: u32, one_row_per_subject: bool) -> bool {
    let Some(Sums::Condition { valid, .. }) = cell.measures.get(measure) else { return false };
    let (lacking, without) = (i128::from(lacking), cell.size.subjects - valid.subjects);
    if one_row_per_subject { lacking == without } else { without <= lacking && lacking <= cell.size.subjects }
}

#[cfg(test)]
impl Counted {
    /// A tally made by hand: every number wide, every condition null for whom it is not valid.
    pub(in crate::custodian) fn wide(tally: Tally, layout: &TableLayout, threshold: u32) -> Self {
        let lacking = |cell: &Cell, i: usize| match cell.measures.get(i) {
            Some(Sums::Condition { valid, .. }) => (cell.size.subjects - valid.subjects) as u32,
            _ => 0,
        };
        let detail = |(i, layout): (usize, &MeasureLayout)| match layout {
            MeasureLayout::Number(_) => Detail::Number(vec![Spread::Wide; tally.cells.len()]),
            MeasureLayout::Condition => Detail::Condition(tally.cells.iter().map(|cell| lacking(cell, i)).collect()),
        };
        let details = layout.measures().iter().enumerate().map(detail).collect();
        Self { threshold, tally, details }
    }
}
