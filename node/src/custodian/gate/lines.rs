//! The rules of mode `exact` for lines along a declared grid: the cells of each line, by itself, are merged until every bin has k subjects.
//!
//! A line begins as one bin. Its edges are tried in a public order: that of the last cell, the middle of what is below, then the middles of both
//! halves, and so on. An edge stays if the bins on either side have k subjects, and nobody or k who have moved since earlier answers. So two
//! sites whose lines are alike keep the same edges, and their sums can be compared there; filled from below, as the bins of quantiles are,
//! they would share hardly one. Where fewer than k are below the last cell and k in it, it is shown alone: most of a line may stand there, and
//! would else hide that hardly anyone stands elsewhere. A bin of fewer than k says 0. Pure arithmetic; it must never show a part of a bin.

use std::collections::VecDeque;

use bocage_protocol::plan::{Grid, TableLayout};
use bocage_protocol::release::{BinRelease, LinesRelease};
use bocage_protocol::tally::{Size, Tally};

use super::moved::{self, MovedTable};
use super::{Withheld, rules};

/// One part of who has moved, in the cells of a line.
type Part<'a> = (Option<usize>, &'a [Size]);

/// Lines of bins from a tally over the grid's cells in each. `moved`: the same of those who have moved since earlier answers.
pub(super) fn exact(
    tally: &Tally,
    moved: &[MovedTable],
    layout: &TableLayout,
    grid: &Grid,
    one_row_per_subject: bool,
    threshold: u32,
) -> Result<LinesRelease, Withheld> {
    // Subjects of two cells may be added only if nobody is in both.
    let consistent = |tally| rules::consistent(tally, layout, true);
    if !one_row_per_subject || !consistent(tally) || !moved.iter().all(|part| consistent(&part.counted.tally)) {
        return Err(Withheld::Inconsistent);
    }
    let sizes: Vec<Size> = tally.cells.iter().map(|cell| cell.size).collect();
    let cells = grid.cells();
    if !sizes.len().is_multiple_of(cells) || sizes.iter().any(|s| s.subjects != s.rows) {
        return Err(Withheld::Inconsistent);
    }
    // Lines show who is in them and nothing else.
    let moved: Vec<(bool, Option<usize>, Vec<Size>)> =
        moved.iter().filter(|part| !part.stays).map(|part| (part.inside, part.twin, moved::sizes(part))).collect();
    // Where fewer than k is nobody, an empty bin says no more than none.
    let k = if threshold > 1 { i128::from(threshold) } else { 0 };
    let mut held_back = false;
    let mut lines = Vec::with_capacity(sizes.len() / cells);
    for (i, line) in sizes.chunks(cells).enumerate() {
        let mut parts: Vec<Part<'_>> = Vec::with_capacity(moved.len());
        for (_, twin, part) in &moved {
            parts.push((*twin, part.get(i * cells..(i + 1) * cells).ok_or(Withheld::Inconsistent)?));
        }
        let edges = edges(line, &parts, k);
        let from = std::iter::once(0).chain(edges.iter().copied());
        let mut bins = Vec::with_capacity(edges.len());
        for (from, upto) in from.zip(edges.iter().copied()) {
            let shows = may_stand(line, &parts, from, upto, k);
            let of = |(_, part): &Part<'_>| subjects(&part[from..upto]);
            let gone = moved.iter().zip(&parts).filter(|((inside, ..), _)| !inside).map(|(_, part)| of(part));
            // What has fewer than k by now counts as well if it can have been shown.
            held_back |=
                !shows && !settled(&parts, from, upto, k) && subjects(&line[from..upto]) + gone.sum::<i128>() >= k;
            let n = if shows { subjects(&line[from..upto]) } else { 0 };
            let count = rules::count(Size { subjects: n, rows: n })?;
            bins.push(BinRelease { upto: u32::try_from(upto).map_err(|_| Withheld::Inconsistent)?, count });
        }
        lines.push(bins);
    }
    let release = LinesRelease { threshold: threshold.max(1), lines, held_back, rounded: false };
    // The receiver checks the same, so a release that it would refuse never leaves.
    if release.fits(grid, layout) { Ok(release) } else { Err(Withheld::Inconsistent) }
}

fn subjects(cells: &[Size]) -> i128 {
    cells.iter().map(|size| size.subjects).sum()
}

/// Whether nobody or k of every part have moved between these edges.
fn settled(parts: &[Part<'_>], from: usize, to: usize, k: i128) -> bool {
    moved::settled(k, parts.iter().map(|(twin, part)| (*twin, subjects(&part[from..to]))))
}

fn may_stand(line: &[Size], parts: &[Part<'_>], from: usize, to: usize, k: i128) -> bool {
    subjects(&line[from..to]) >= k && settled(parts, from, to, k)
}

/// The edges that stay, ascending, the grid's end included.
fn edges(line: &[Size], parts: &[Part<'_>], k: i128) -> Vec<usize> {
    let (last, end) = (line.len() - 1, line.len());
    let stands = |from: usize, to: usize| may_stand(line, parts, from, to, k);
    if stands(last, end) && subjects(&line[..last]) < k {
        return vec![last, end];
    }
    let mut edges = vec![0, end];
    if !stands(0, end) {
        return vec![end];
    }
    let mut attempt = |edge: usize| {
        let above = edges.partition_point(|known| *known < edge);
        if stands(edges[above - 1], edge) && stands(edge, edges[above]) {
            edges.insert(above, edge);
        }
    };
    let mut halves = VecDeque::from([(0, last)]);
    attempt(last);
    while let Some((from, to)) = halves.pop_front() {
        if to - from > 1 {
            let middle = from.midpoint(to);
            attempt(middle);
            halves.extend([(from, middle), (middle, to)]);
        }
    }
    edges.split_off(1)
}

#[cfg(test)]
mod tests;
