//! What a site's gate let out in one round, as it is written to the ledger, sent and kept. Hidden cells carry nothing.

use serde::{Deserialize, Serialize};

use crate::env::Timestamp;
use crate::error::PublicError;
use crate::ids::{Digest, SiteId, StudyId};
use crate::limits;
use crate::plan::{MeasureLayout, Quantum, TableLayout};

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
    /// Fewer than k subjects, possibly none.
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
    /// Fewer than k subjects have a value, or stand on one side of the condition.
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

impl TableRelease {
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
            && self.cells.iter().all(|cell| match cell {
                CellRelease::FewerThanK => true,
                CellRelease::Shown { count, measures } => {
                    plausible(count)
                        && measures.len() == layout.measures().len()
                        && measures.iter().zip(layout.measures()).all(|(m, l)| m.fits(l, count, &plausible))
                }
            })
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
