//! The rules of mode `exact`, as the module's head states them. Pure arithmetic on one table.

use bocage_protocol::plan::{MeasureLayout, TableLayout};
use bocage_protocol::release::{CellRelease, Count, MeasureRelease, TableRelease};
use bocage_protocol::tally::{Cell, Size, Sums, Tally};

use super::super::controls::Control;
use super::counted::{Counted, Detail};
use super::spread::Spread;
use super::{Rules, Withheld};

/// A table under thresholds and roll-up, its shown numbers unchanged.
pub(super) fn exact(
    counted: Counted,
    layout: &TableLayout,
    one_row_per_subject: bool,
    under: Rules,
) -> Result<TableRelease, Withheld> {
    let Rules { threshold, controls } = under;
    let tally = &counted.tally;
    if !consistent(tally, layout, one_row_per_subject) || !counted.fits(layout, one_row_per_subject, threshold) {
        return Err(Withheld::Inconsistent);
    }
    let k = under.k();
    let (step, cells) = choose_step(tally, layout, one_row_per_subject, k)?;
    // Who may be in several cells is: the total beside the cells says how many are.
    let overlaps = !one_row_per_subject && !layout.keys_at(0).is_empty() && controls.enforces(Control::OverlapTotal);
    let total = if overlaps { None } else { total(tally, &cells, under).map(count).transpose()? };
    let details = counted.details_at(layout, step);
    let show = |(at, cell)| show(cell, (&details, layout), at, under);
    let release = TableRelease {
        threshold: threshold.max(1),
        step: u16::try_from(step).map_err(|_| Withheld::Inconsistent)?,
        total,
        cells: cells.iter().enumerate().map(show).collect::<Result<_, _>>()?,
    };
    // The receiver checks the same, so a release that it would refuse never leaves.
    if release.fits(layout) { Ok(release) } else { Err(Withheld::Inconsistent) }
}

/// The first step of the ladder that hides nothing, else the one that hides the smallest share of its cells.
fn choose_step(
    tally: &Tally,
    layout: &TableLayout,
    one_row_per_subject: bool,
    k: i128,
) -> Result<(usize, Vec<Cell>), Withheld> {
    let mut best: Option<(usize, usize, Vec<Cell>)> = None;
    // Rolling up adds subjects over cells, which is right only if a subject is in one of them.
    let steps = if one_row_per_subject { layout.steps() } else { 1 };
    for step in 0..steps {
        let cells = tally.rolled_up(layout, step).map_err(|_| Withheld::Inconsistent)?;
        let hidden = hidden(&cells, k).count();
        let better = match &best {
            None => true,
            Some((_, least, of)) => hidden * of.len() < least * cells.len(),
        };
        if better {
            best = Some((step, hidden, cells));
        }
        if hidden == 0 {
            break;
        }
    }
    best.map(|(step, _, cells)| (step, cells)).ok_or(Withheld::Inconsistent)
}

impl Rules {
    fn k(self) -> i128 {
        i128::from(self.threshold.max(1))
    }
}

fn hidden(cells: &[Cell], k: i128) -> impl Iterator<Item = &Cell> {
    cells.iter().filter(move |cell| cell.size.subjects < k)
}

/// The cohort's size, where nothing is hidden that it could be compared with.
fn total(tally: &Tally, cells: &[Cell], under: Rules) -> Option<Size> {
    let k = under.k();
    let whole = hidden(cells, k).next().is_none() || !under.controls.enforces(Control::IntervalRule);
    (tally.total.subjects >= k && whole).then_some(tally.total)
}

fn show(
    cell: &Cell,
    (details, layout): (&[Detail], &TableLayout),
    at: usize,
    under: Rules,
) -> Result<CellRelease, Withheld> {
    if cell.size.subjects < under.k() {
        return Ok(CellRelease::FewerThanK);
    }
    let measure = |(i, (sums, detail)): (usize, (&Sums, &Detail))| {
        let chosen = layout.chosen(i) && under.controls.enforces(Control::ConditionNulls);
        if chosen && !none_or(under.k(), lacking(cell.size, sums)) {
            return Ok(MeasureRelease::Hidden);
        }
        show_measure(cell.size, sums, detail, at, under)
    };
    let measures = cell.measures.iter().zip(details).enumerate().map(measure).collect::<Result<_, _>>()?;
    Ok(CellRelease::Shown { count: count(cell.size)?, measures })
}

fn show_measure(of: Size, sums: &Sums, detail: &Detail, at: usize, under: Rules) -> Result<MeasureRelease, Withheld> {
    let (k, controls) = (under.k(), under.controls);
    let wide = |spread: Option<&Spread>| spread.is_some_and(Spread::is_wide);
    let all = |sides: [&Size; 3]| sides.iter().all(|side| side.subjects >= k);
    let answered = |valid: &Size, lacking: Option<&u32>| {
        none_or(k, of.subjects - valid.subjects) && lacking.is_some_and(|n| none_or(k, i128::from(*n)))
    };
    Ok(match (sums, detail) {
        (Sums::Number { valid, sum, sum_sq }, Detail::Number(spreads))
            if valid.subjects >= k && (wide(spreads.get(at)) || !controls.enforces(Control::ValueSpread)) =>
        {
            MeasureRelease::Number { valid: count(*valid)?, sum: *sum, sum_sq: *sum_sq }
        }
        (Sums::Condition { valid, holds, fails }, Detail::Condition(lacking))
            if (all([valid, holds, fails]) || !controls.enforces(Control::ConditionSides))
                && (answered(valid, lacking.get(at)) || !controls.enforces(Control::ConditionNulls)) =>
        {
            MeasureRelease::Condition { valid: count(*valid)?, holds_rows: count(*holds)?.rows }
        }
        _ => MeasureRelease::Hidden,
    })
}

/// Subjects without a value.
fn lacking(of: Size, sums: &Sums) -> i128 {
    let (Sums::Number { valid, .. } | Sums::Condition { valid, .. }) = sums;
    of.subjects - valid.subjects
}

/// Whether so many subjects are nobody, or k or more.
fn none_or(k: i128, subjects: i128) -> bool {
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
