//! The rules of mode `exact` for lines along a declared grid: the cells of each line, by itself, are merged until every bin has k subjects.
//!
//! A line begins as one bin. Its edges are tried in a public order, the middle one first and then the middles of both halves: an edge stays if
//! the bins on either side have k subjects, and nobody or k who have moved since earlier answers. So two sites whose lines are alike keep the
//! same edges, and their sums can be compared there; filled from below, as the bins of quantiles are, they would share hardly one. Pure
//! arithmetic; it must never show a part of a bin, nor a line of fewer than k.

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
    if sizes.len() % cells != 0 || sizes.iter().any(|s| s.subjects != s.rows) {
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
        let gone = moved.iter().zip(&parts).filter(|((inside, ..), _)| !inside).map(|(_, (_, part))| subjects(part));
        // What has fewer than k by now counts as well if it can have been shown.
        held_back |= edges.is_empty() && !settled(&parts, 0, cells, k) && subjects(line) + gone.sum::<i128>() >= k;
        lines.push(bins(line, &edges)?);
    }
    let release = LinesRelease { threshold: threshold.max(1), lines, held_back };
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

/// The edges that stay, ascending, the grid's end included; none where the line as a whole cannot be shown.
fn edges(line: &[Size], parts: &[Part<'_>], k: i128) -> Vec<usize> {
    let may_stand = |from: usize, to: usize| subjects(&line[from..to]) >= k && settled(parts, from, to, k);
    if !may_stand(0, line.len()) {
        return Vec::new();
    }
    let mut edges = vec![0, line.len()];
    let mut halves = VecDeque::from([(0, line.len())]);
    while let Some((from, to)) = halves.pop_front() {
        if to - from < 2 {
            continue;
        }
        let middle = from.midpoint(to);
        let above = edges.partition_point(|edge| *edge < middle);
        if may_stand(edges[above - 1], middle) && may_stand(middle, edges[above]) {
            edges.insert(above, middle);
        }
        halves.extend([(from, middle), (middle, to)]);
    }
    edges.split_off(1)
}

fn bins(line: &[Size], edges: &[usize]) -> Result<Vec<BinRelease>, Withheld> {
    let from = std::iter::once(0).chain(edges.iter().copied());
    let bin = |(from, upto): (usize, &usize)| {
        let n = subjects(&line[from..*upto]);
        let count = rules::count(Size { subjects: n, rows: n })?;
        Ok(BinRelease { upto: u32::try_from(*upto).map_err(|_| Withheld::Inconsistent)?, count })
    };
    from.zip(edges).map(bin).collect()
}

#[cfg(test)]
mod tests;
