//! What a site's gate let out in one round, as it is written to the ledger, sent and kept. Hidden cells carry nothing.

use serde::{Deserialize, Serialize};

use crate::env::Timestamp;
use crate::error::PublicError;
use crate::ids::{Digest, SiteId, StudyId};
use crate::limits;
use crate::plan::{Grid, MeasureLayout, Quantum, TableLayout, ValidPlan};

mod discovered;
pub mod length;
mod lines;
mod model;
pub mod rounding;

pub use discovered::{DiscoveredRelease, KeyRelease};
pub use lines::LinesRelease;
pub use model::ModelRelease;

/// A site's answer to one round of a study. Signed as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// The study.
    pub study: StudyId,
    /// The site that answers.
    pub site: SiteId,
    /// The round, from 0.
    pub round: u16,
    /// The public name of the snapshot: a keyed digest, so that nobody can confirm a guess of its content.
    pub snapshot: Digest,
    /// When the snapshot was taken.
    pub snapshot_at: Timestamp,
    /// One for each analysis that the round asked, in the order of the request.
    pub parts: Vec<Part>,
}

/// The answer to one analysis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The analysis' position in the study.
    pub analysis: u16,
    /// The digest of the plan that the site derived.
    pub plan: Digest,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an analysis at a site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// A table that passed the gate.
    Table(TableRelease),
    /// Nothing, and why.
    Refused(PublicError),
    /// Bins that passed the gate.
    Bins(BinsRelease),
    /// Tables of discovered keys that passed the gate.
    Discovered(DiscoveredRelease),
    /// The sums of a model's step.
    Model(ModelRelease),
    /// Lines of bins that passed the gate.
    Lines(LinesRelease),
}

impl Outcome {
    /// Whether this could be an honest answer to `plan`. A refusal always could.
    pub fn fits(&self, plan: &ValidPlan) -> bool {
        if let Some((_, layout)) = plan.model() {
            return match self {
                Outcome::Refused(_) => true,
                Outcome::Model(model) => model.fits(layout),
                _ => false,
            };
        }
        match (self, plan.grid(), plan.discovered()) {
            (Outcome::Refused(_), ..) => true,
            (Outcome::Table(table), None, None) => table.fits(plan.layout()),
            (Outcome::Lines(lines), Some(grid @ Grid::Edges(_)), _) => lines.fits(grid, plan.layout()),
            (Outcome::Bins(_), Some(Grid::Edges(_)), _) => false,
            (Outcome::Bins(bins), Some(grid), _) => bins.fits(grid, plan.layout().can_be_missing()),
            (Outcome::Discovered(found), _, Some(key)) => found.fits(key, plan.layout()),
            (
                Outcome::Table(_) | Outcome::Bins(_) | Outcome::Discovered(_) | Outcome::Lines(_) | Outcome::Model(_),
                ..,
            ) => false,
        }
    }
}

/// A table that passed the gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableRelease {
    /// k: no count of 1 … k − 1 subjects is shown, and none of 0 either.
    pub threshold: u32,
    /// The step of the layout's ladder at which the cells stand.
    pub step: u16,
    /// The whole cohort, where that gives no hidden cell away.
    pub total: Option<Count>,
    /// One a cell of that step.
    pub cells: Vec<CellRelease>,
    /// Whether a hidden cell may be of any size, since fewer than k of its subjects have changed since the same was answered.
    pub held_back: bool,
    /// Whether every count is rounded, and sums are of so many ([`rounding`]).
    pub rounded: bool,
}

/// Subjects and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Distinct patients.
    pub subjects: u64,
    /// Rows.
    pub rows: u64,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum CellRelease {
    /// Fewer than k subjects, possibly none; of a release that holds back, any number.
    FewerThanK,
    /// k or more subjects.
    Shown {
        /// How many.
        count: Count,
        /// One a measure.
        measures: Vec<MeasureRelease>,
    },
}

/// What left of a measure in a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MeasureRelease {
    /// Fewer than k subjects have a value, or one unlike the others', or stand on one side of the condition; or a few lack a value of it.
    Hidden,
    /// A number's sums.
    Number {
        /// Rows and subjects with a value.
        valid: Count,
        /// Σq.
        sum: i128,
        /// Σq².
        sum_sq: i128,
    },
    /// A condition's counts.
    Condition {
        /// Rows and subjects for which it is true or false.
        valid: Count,
        /// Rows for which it is true.
        holds_rows: u64,
    },
}

/// Counts over a grid, merged into bins of k or more subjects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BinsRelease {
    /// k: no bin has fewer subjects.
    pub threshold: u32,
    /// Who has no value, where that is k or more; else 0 … k − 1.
    pub missing: Option<Count>,
    /// From below, without gaps: each begins where the one before ends, the first at cell 0. None: fewer than k subjects have a value.
    pub bins: Vec<BinRelease>,
    /// Whether what is not shown, of those with a value or without one, may be any number.
    pub held_back: bool,
    /// Whether the numbers below each edge are rounded, and bins are what lies between two of them ([`rounding`]).
    pub rounded: bool,
}

/// One bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinRelease {
    /// The cell after its last one: the index of its upper edge. Of the last bin it is the grid's number of cells.
    pub upto: u32,
    /// How many.
    pub count: Count,
}

/// How far a bin's number can be from the true one.
fn off(rounded: bool) -> u64 {
    if rounded { rounding::OFF_BETWEEN } else { 0 }
}

/// The most subjects of what is not shown: k − 1, or no bound.
fn most_hidden(threshold: u32, held_back: bool) -> Option<u64> {
    (!held_back).then(|| u64::from(threshold.saturating_sub(1)))
}

impl BinsRelease {
    /// The most subjects that have no value, or that have one, where they are not shown; none: no bound.
    pub fn most_hidden(&self) -> Option<u64> {
        most_hidden(self.threshold, self.held_back)
    }

    /// Whether this could be an honest answer over `grid`, of rows that can or cannot lack a value: order, edges and size of every number.
    ///
    /// What passes can be added up over any number of sites of a study without overflow.
    pub fn fits(&self, grid: &Grid, can_be_missing: bool) -> bool {
        let k = u64::from(self.threshold.max(1)).saturating_sub(off(self.rounded)).max(1);
        // Bins exist for one row a subject only.
        let plausible = |c: &Count| c.subjects >= k && c.subjects == c.rows && c.rows <= limits::ROWS;
        let counts = || self.bins.iter().map(|bin| &bin.count).chain(&self.missing);
        let edges: Vec<u32> = std::iter::once(0).chain(self.bins.iter().map(|bin| bin.upto)).collect();
        counts().all(plausible)
            && counts().fold(0u64, |n, c| n.saturating_add(c.rows)) <= limits::ROWS
            && (can_be_missing || self.missing.is_none())
            && edges.windows(2).all(|w| w[0] < w[1])
            && self.bins.last().is_none_or(|bin| bin.upto as usize == grid.cells())
    }
}

impl CellRelease {
    /// Whether anything of it is shown.
    pub fn is_shown(&self) -> bool {
        matches!(self, CellRelease::Shown { .. })
    }

    fn fits(&self, layout: &TableLayout, plausible: &dyn Fn(&Count) -> bool) -> bool {
        match self {
            CellRelease::FewerThanK => true,
            CellRelease::Shown { count, measures } => {
                plausible(count)
                    && measures.len() == layout.measures().len()
                    && measures.iter().zip(layout.measures()).all(|(m, l)| m.fits(l, count, plausible))
            }
        }
    }
}

impl TableRelease {
    /// The most subjects of a hidden cell; none: no bound.
    pub fn most_hidden(&self) -> Option<u64> {
        most_hidden(self.threshold, self.held_back)
    }

    /// Whether this could be an honest answer under `layout`: shape, order and size of every value.
    ///
    /// What passes can be merged over any number of sites without overflow.
    pub fn fits(&self, layout: &TableLayout) -> bool {
        let k = u64::from(self.threshold.max(1));
        let plausible = |c: &Count| c.subjects >= k && c.subjects <= c.rows && c.rows <= limits::ROWS;
        let step = usize::from(self.step);
        step < layout.steps()
            && self.cells.len() == layout.cells_at(step)
            && self.total.as_ref().is_none_or(plausible)
            && self.cells.iter().all(|cell| cell.fits(layout, &plausible))
    }
}

impl MeasureRelease {
    fn fits(&self, layout: &MeasureLayout, of: &Count, plausible: &dyn Fn(&Count) -> bool) -> bool {
        let within = |valid: &Count| plausible(valid) && valid.rows <= of.rows && valid.subjects <= of.subjects;
        match (self, layout) {
            (MeasureRelease::Hidden, _) => true,
            (MeasureRelease::Number { valid, sum, sum_sq }, MeasureLayout::Number(_)) => {
                let largest = i128::from(Quantum::LARGEST);
                let rows = i128::from(valid.rows);
                within(valid)
                    && sum.unsigned_abs() <= (rows * largest) as u128
                    && (0..=rows * largest * largest).contains(sum_sq)
            }
            (MeasureRelease::Condition { valid, holds_rows }, MeasureLayout::Condition) => {
                within(valid) && *holds_rows <= valid.rows
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(n: u64) -> Count {
        Count { subjects: n, rows: n }
    }

    fn bins(edges: &[(u32, u64)]) -> BinsRelease {
        let bins = edges.iter().map(|(upto, n)| BinRelease { upto: *upto, count: count(*n) }).collect();
        BinsRelease { threshold: 3, missing: None, bins, held_back: false, rounded: false }
    }

    #[test]
    fn bins_fit_only_with_rising_edges_to_the_grids_end_and_k_subjects_of_one_row_each() {
        let grid = Grid::Integers { lo: 1, hi: 4 };
        let fits = |release: &BinsRelease| release.fits(&grid, true);
        assert!(fits(&bins(&[(1, 3), (4, 9)])));
        assert!(fits(&bins(&[])));
        for bad in [
            &[(1, 3), (3, 9)][..],
            &[(1, 3), (5, 9)],
            &[(0, 3), (4, 9)],
            &[(2, 3), (2, 9), (4, 3)],
            &[(3, 3), (2, 9), (4, 3)],
            &[(1, 2), (4, 9)],
            &[(4, limits::ROWS + 1)],
            &[(1, limits::ROWS), (4, 3)],
            &[(1, u64::MAX), (2, u64::MAX), (4, u64::MAX)],
        ] {
            assert!(!fits(&bins(bad)), "{bad:?}");
        }
        let several_rows = |bin: &mut BinRelease| bin.count.rows += 1;
        let mut release = bins(&[(1, 3), (4, 9)]);
        several_rows(&mut release.bins[0]);
        assert!(!fits(&release));
    }

    #[test]
    fn a_number_of_missing_values_fits_from_k_on_and_where_there_can_be_any() {
        let grid = Grid::Integers { lo: 1, hi: 4 };
        let missing = |n| BinsRelease { missing: Some(count(n)), ..bins(&[(4, 9)]) };
        assert!(missing(3).fits(&grid, true));
        assert!(!missing(2).fits(&grid, true));
        assert!(!missing(3).fits(&grid, false));
        assert!(!missing(limits::ROWS).fits(&grid, true));
    }
}
