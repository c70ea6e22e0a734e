//! The rules of mode `exact`, as the module's head states them. Pure arithmetic on one table.

use std::borrow::Cow;

use bocage_protocol::plan::{MeasureLayout, TableLayout};
use bocage_protocol::release::{CellRelease, Count, MeasureRelease, TableRelease};
use bocage_protocol::tally::{Cell, Size, Sums, Tally};

use super::super::controls::Control;
use super::counted::{Counted, Detail};
use super::moved::{Few, MovedTable, Parts};
use super::spread::Spread;
use super::{Rules, Withheld};

/// A table under thresholds and roll-up, its shown numbers unchanged. `moved`: the same of those who have moved since earlier answers.
pub(super) fn exact(
    counted: Counted,
    moved: Vec<MovedTable>,
    layout: &TableLayout,
    one_row_per_subject: bool,
    under: Rules,
) -> Result<TableRelease, Withheld> {
    let Rules { threshold, controls, .. } = under;
    let fits = |one: &Counted| {
        consistent(&one.tally, layout, one_row_per_subject) && one.fits(layout, one_row_per_subject, threshold)
    };
    if !fits(&counted) || !moved.iter().map(|part| &part.counted).all(fits) {
        return Err(Withheld::Inconsistent);
    }
    let Counted { threshold: counted_for, tally, details } = counted;
    let Chosen { step, cells, few } = choose_step(&tally, &moved, layout, one_row_per_subject, under.k())?;
    // Who may be in several cells is: the total beside the cells says how many are.
    let overlaps = !one_row_per_subject && layout.has_keys() && controls.enforces(Control::OverlapTotal);
    let is_hidden = |at: usize| few.few[at] || cells[at].size.subjects < under.k();
    let all_shown = !(0..cells.len()).any(is_hidden);
    let total = if overlaps { None } else { total(&tally, all_shown, under).map(count).transpose()? };
    let (details, moved) = (Detail::at(details, counted_for, layout, step), Parts::at(moved, layout, step)?);
    let show = |(at, cell): (usize, &Cell)| match is_hidden(at) {
        true => Ok(CellRelease::FewerThanK),
        false => show(cell, (&details, layout), &moved, at, under),
    };
    let release = TableRelease {
        threshold: threshold.max(1),
        step: u16::try_from(step).map_err(|_| Withheld::Inconsistent)?,
        total,
        cells: cells.iter().enumerate().map(show).collect::<Result<_, _>>()?,
        held_back: (0..cells.len()).any(|at| few.holds_back(at, cells[at].size.subjects, under.k())),
        rounded: false,
    };
    // The receiver checks the same, so a release that it would refuse never leaves.
    if release.fits(layout) { Ok(release) } else { Err(Withheld::Inconsistent) }
}

/// A step of the ladder.
struct Chosen<'a> {
    step: usize,
    /// As asked they are the tally's own: nothing is copied.
    cells: Cow<'a, [Cell]>,
    /// Which of them so few have moved in that they are hidden.
    few: Few,
}

/// The first step of the ladder that hides nothing, else the one that hides the smallest share of its cells.
fn choose_step<'a>(
    tally: &'a Tally,
    moved: &[MovedTable],
    layout: &TableLayout,
    one_row_per_subject: bool,
    k: i128,
) -> Result<Chosen<'a>, Withheld> {
    let mut best: Option<(usize, Chosen<'a>)> = None;
    // Rolling up adds subjects over cells, which is right only if a subject is in one of them.
    let steps = if one_row_per_subject { layout.steps() } else { 1 };
    for step in 0..steps {
        let cells = tally.rolled_up(layout, step).map_err(|_| Withheld::Inconsistent)?;
        let few = Few::at(moved, layout, step, k)?;
        let hidden = cells.iter().zip(&few.few).filter(|(cell, few)| **few || cell.size.subjects < k).count();
        let better = match &best {
            None => true,
            Some((least, of)) => hidden * of.cells.len() < least * cells.len(),
        };
        if better {
            best = Some((hidden, Chosen { step, cells, few }));
        }
        if hidden == 0 {
            break;
        }
    }
    best.map(|(_, chosen)| chosen).ok_or(Withheld::Inconsistent)
}

impl Rules {
    fn k(self) -> i128 {
        i128::from(self.threshold.max(1))
    }
}

/// The cohort's size, where nothing is hidden that it could be compared with.
fn total(tally: &Tally, all_shown: bool, under: Rules) -> Option<Size> {
    let whole = all_shown || !under.controls.enforces(Control::IntervalRule);
    (tally.total.subjects >= under.k() && whole).then_some(tally.total)
}

fn show(
    cell: &Cell,
    (details, layout): (&[Detail], &TableLayout),
    moved: &Parts,
    at: usize,
    under: Rules,
) -> Result<CellRelease, Withheld> {
    // As many as there will be: a list that grows takes twice the room, in every cell.
    let mut measures = Vec::with_capacity(details.len());
    for (i, (sums, detail)) in cell.measures.iter().zip(details).enumerate() {
        measures.push(match moved.hides(at, (i, layout), under)? {
            true => MeasureRelease::Hidden,
            false => show_measure(cell.size, sums, (detail, layout.chosen(i)), at, under)?,
        });
    }
    Ok(CellRelease::Shown { count: count(cell.size)?, measures })
}

/// Whether a measure of a cell of k or more subjects may be shown.
pub(super) fn shows_measure(of: Size, sums: &Sums, of_measure: (&Detail, bool), at: usize, under: Rules) -> bool {
    show_measure(of, sums, of_measure, at, under).is_ok_and(|shown| shown != MeasureRelease::Hidden)
}

fn show_measure(
    of: Size,
    sums: &Sums,
    (detail, chosen): (&Detail, bool),
    at: usize,
    under: Rules,
) -> Result<MeasureRelease, Withheld> {
    let (k, controls) = (under.k(), under.controls);
    let wide = |spread: Option<&Spread>| spread.is_some_and(Spread::is_wide);
    let all = |sides: [&Size; 3]| sides.iter().all(|side| side.subjects >= k);
    // Where the researcher chooses who has no value: of a condition, and of a number that reads a feature.
    let answered = |valid: &Size, lacking: Option<i128>| {
        let enough = none_or(k, of.subjects - valid.subjects) && lacking.is_some_and(|n| none_or(k, n));
        enough || !controls.enforces(Control::ConditionNulls)
    };
    Ok(match (sums, detail) {
        (Sums::Number { valid, sum, sum_sq }, Detail::Number(spreads))
            if valid.subjects >= k
                && (wide(spreads.get(at)) || !controls.enforces(Control::ValueSpread))
                && (!chosen || answered(valid, Some(0))) =>
        {
            MeasureRelease::Number { valid: count(*valid)?, sum: *sum, sum_sq: *sum_sq }
        }
        (Sums::Condition { valid, holds, fails }, Detail::Condition(lacking))
            if (all([valid, holds, fails]) || !controls.enforces(Control::ConditionSides))
                && answered(valid, lacking.get(at).map(|n| i128::from(*n))) =>
        {
            MeasureRelease::Condition { valid: count(*valid)?, holds_rows: count(*holds)?.rows }
        }
        _ => MeasureRelease::Hidden,
    })
}

/// Whether so many subjects are nobody, or k or more.
pub(super) fn none_or(k: i128, subjects: i128) -> bool {
    subjects == 0 || subjects >= k
}

pub(super) fn count(size: Size) -> Result<Count, Withheld> {
    let number = |n: i128| u64::try_from(n).map_err(|_| Withheld::Inconsistent);
    Ok(Count { subjects: number(size.subjects)?, rows: number(size.rows)? })
}

/// Whether the tally has the layout's shape and its numbers can be those of one set of rows.
pub(super) fn consistent(tally: &Tally, layout: &TableLayout, one_row_per_subject: bool) -> bool {
    let sane = |size: &Size| {
        0 <= size.subjects && size.subjects <= size.rows && (!one_row_per_subject || size.subjects == size.rows)
    };
    let within = |part: &Size, of: &Size| sane(part) && part.subjects <= of.subjects && part.rows <= of.rows;
    let measure_fits = |sums: &Sums, layout: &MeasureLayout, of: &Size| match (sums, layout) {
        (Sums::Number { valid, .. }, MeasureLayout::Number(_)) => within(valid, of),
        (Sums::Condition { valid, holds, fails }, MeasureLayout::Condition) => {
            within(valid, of) && within(holds, valid) && within(fails, valid) && holds.rows + fails.rows == valid.rows
        }
        _ => false,
    };
    let cell_fits = |cell: &Cell| {
        within(&cell.size, &tally.total)
            && cell.measures.len() == layout.measures().len()
            && cell.measures.iter().zip(layout.measures()).all(|(sums, layout)| measure_fits(sums, layout, &cell.size))
    };
    tally.cells.len() == layout.cells_at(0)
        && sane(&tally.total)
        && tally.cells.iter().all(cell_fits)
        && tally.cells.iter().map(|cell| cell.size.rows).sum::<i128>() == tally.total.rows
}
