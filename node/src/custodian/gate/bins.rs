//! The rules of mode `exact` for bins: the cells of a public grid are merged until every bin has k subjects.
//!
//! Greedy, from below: a bin ends with the first cell at which it has k subjects. What is left over at the top joins the last bin. Who has
//! no value is counted only from k on. Pure arithmetic; it must never show a part of a bin, nor how many there are in all where it hides some.

use bocage_protocol::plan::{Grid, TableLayout};
use bocage_protocol::release::{BinRelease, BinsRelease, Count};
use bocage_protocol::tally::{Size, Tally};

use super::{Withheld, rules};

/// Bins of k or more subjects from a tally over the grid's cells.
pub(super) fn exact(
    tally: &Tally,
    layout: &TableLayout,
    grid: &Grid,
    one_row_per_subject: bool,
    threshold: u32,
) -> Result<BinsRelease, Withheld> {
    // Subjects of two cells may be added only if nobody is in both.
    if !one_row_per_subject || !rules::consistent(tally, layout, true) {
        return Err(Withheld::Inconsistent);
    }
    let can_be_missing = layout.can_be_missing();
    let sizes: Vec<Size> = tally.cells.iter().map(|cell| cell.size).collect();
    let cells = sizes.get(..grid.cells()).ok_or(Withheld::Inconsistent)?;
    let rest = &sizes[grid.cells()..];
    if rest.len() != usize::from(can_be_missing) || cells.iter().chain(rest).any(|s| s.subjects != s.rows) {
        return Err(Withheld::Inconsistent);
    }
    let k = i128::from(threshold.max(1));
    let missing = rest.first().filter(|size| size.subjects >= k).map(|size| rules::count(*size)).transpose()?;
    let release = BinsRelease { threshold: threshold.max(1), missing, bins: merge(cells, k)? };
    // The receiver checks the same, so a release that it would refuse never leaves.
    if release.fits(grid, can_be_missing) { Ok(release) } else { Err(Withheld::Inconsistent) }
}

fn merge(cells: &[Size], k: i128) -> Result<Vec<BinRelease>, Withheld> {
    let mut bins: Vec<(usize, i128)> = Vec::new();
    let mut open = 0;
    for (i, size) in cells.iter().enumerate() {
        open += size.subjects;
        if open >= k {
            bins.push((i + 1, open));
            open = 0;
        }
    }
    if let Some(last) = bins.last_mut() {
        *last = (cells.len(), last.1 + open);
    }
    let bin = |(upto, n): (usize, i128)| {
        let upto = u32::try_from(upto).map_err(|_| Withheld::Inconsistent)?;
        let count: Count = rules::count(Size { subjects: n, rows: n })?;
        Ok(BinRelease { upto, count })
    };
    bins.into_iter().map(bin).collect()
}

#[cfg(test)]
mod tests;
