//! The rules of mode `exact` for bins: the cells of a public grid are merged until every bin has k subjects.
//!
//! Greedy, from below: a bin ends with the first cell at which it has k subjects, and nobody or k who have moved since earlier answers. What is
//! left over at the top joins the last bin; where too few of that one have moved, it joins the one before. Who has no value is counted only
//! from k on. Pure arithmetic; it must never show a part of a bin, nor how many there are in all where it hides some.

use std::ops::Range;

use bocage_protocol::plan::{Grid, TableLayout};
use bocage_protocol::release::{BinRelease, BinsRelease, Count};
use bocage_protocol::tally::{Size, Tally};

use super::moved::{self, MovedTable};
use super::{Withheld, rules};

/// Bins of k or more subjects from a tally over the grid's cells. `moved`: the same of those who have moved since earlier answers.
pub(super) fn exact(
    tally: &Tally,
    moved: &[MovedTable],
    layout: &TableLayout,
    grid: &Grid,
    one_row_per_subject: bool,
    threshold: u32,
) -> Result<BinsRelease, Withheld> {
    // Subjects of two cells may be added only if nobody is in both.
    let consistent = |tally| rules::consistent(tally, layout, true);
    if !one_row_per_subject || !consistent(tally) || !moved.iter().all(|part| consistent(&part.counted.tally)) {
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
    // Bins show who is in them and nothing else.
    let moved: Vec<&MovedTable> = moved.iter().filter(|part| !part.stays).collect();
    let parts: Vec<(bool, Option<usize>, Vec<Size>)> =
        moved.into_iter().map(|part| (part.inside, part.twin, moved::sizes(part))).collect();
    let holds_back = |range: Range<usize>| {
        let sum =
            |sizes: &[Size]| sizes.iter().skip(range.start).take(range.len()).map(|size| size.subjects).sum::<i128>();
        let few = !moved::settled(k, parts.iter().map(|(_, twin, part)| (*twin, sum(part))));
        let gone: i128 = parts.iter().filter(|(inside, ..)| !inside).map(|(.., part)| sum(part)).sum();
        // What has fewer than k by now counts as well if it can have been shown.
        few && sum(&sizes) + gone >= k
    };
    let no_value = grid.cells()..grid.cells() + 1;
    let lacking = parts.iter().filter_map(|(_, twin, part)| Some((*twin, part.get(grid.cells())?.subjects)));
    let few = !moved::settled(k, lacking);
    let enough = rest.first().filter(|size| size.subjects >= k && !few);
    let missing = enough.map(|size| rules::count(*size)).transpose()?;
    let bins = merge(cells, &parts.iter().map(|(_, twin, part)| (*twin, part.as_slice())).collect::<Vec<_>>(), k)?;
    let held_back = (bins.is_empty() && holds_back(0..grid.cells())) || (missing.is_none() && holds_back(no_value));
    let release = BinsRelease { threshold: threshold.max(1), missing, bins, held_back, rounded: false };
    // The receiver checks the same, so a release that it would refuse never leaves.
    if release.fits(grid, can_be_missing) { Ok(release) } else { Err(Withheld::Inconsistent) }
}

/// A bin that grows.
#[derive(Clone)]
struct Open {
    upto: usize,
    subjects: i128,
    /// Who has moved, part by part.
    moved: Vec<(Option<usize>, i128)>,
}

impl Open {
    fn join(&mut self, above: &Open) {
        self.upto = above.upto;
        self.subjects += above.subjects;
        self.moved.iter_mut().zip(&above.moved).for_each(|((_, own), (_, above))| *own += above);
    }

    fn may_close(&self, k: i128) -> bool {
        self.subjects >= k && moved::settled(k, self.moved.iter().copied())
    }
}

fn merge(cells: &[Size], moved: &[(Option<usize>, &[Size])], k: i128) -> Result<Vec<BinRelease>, Withheld> {
    let mut bins: Vec<Open> = Vec::new();
    let none = Open { upto: 0, subjects: 0, moved: moved.iter().map(|(twin, _)| (*twin, 0)).collect() };
    let mut open = none.clone();
    for (i, size) in cells.iter().enumerate() {
        let moved = moved.iter().map(|(twin, part)| (*twin, part.get(i).map_or(0, |size| size.subjects))).collect();
        open.join(&Open { upto: i + 1, subjects: size.subjects, moved });
        if open.may_close(k) {
            bins.push(std::mem::replace(&mut open, none.clone()));
        }
    }
    open.upto = cells.len();
    if let Some(last) = bins.last_mut() {
        last.join(&open);
    }
    while let Some(last) = bins.pop_if(|last| !last.may_close(k)) {
        if let Some(before) = bins.last_mut() {
            before.join(&last);
        }
    }
    let bin = |Open { upto, subjects: n, .. }: Open| {
        let upto = u32::try_from(upto).map_err(|_| Withheld::Inconsistent)?;
        let count: Count = rules::count(Size { subjects: n, rows: n })?;
        Ok(BinRelease { upto, count })
    };
    bins.into_iter().map(bin).collect()
}

#[cfg(test)]
mod tests;
