//! The gate: the one place where a tally becomes a release, in mode `exact` or `round`.
//!
//! What it holds back in both, with k the policy's threshold on *subjects*:
//!
//! 1. **Cells.** A cell of fewer than k subjects leaves as "fewer than k", 0 and 1 … k − 1 alike.
//! 2. **Measures** of a shown cell are hidden unless k subjects have a value.
//!    * A **number** is also hidden unless, of its subjects' values (each subject's first), eight differ and k subjects have
//!      another one than the most frequent (`spread`): n, Σx and Σx² of few values solve for the count of each, and a sum of zeros
//!      and one value is that value. A policy with k = 1 does without: it is for tests, no configuration can have it.
//!    * A **condition** is also hidden unless k subjects stand on either side, and where 1 … k − 1 have no value, or a row without
//!      one: the researcher decides for whom a condition is null (`case` without `else`), so that null is a third side. Of it 0 may
//!      be told apart from 1 … k − 1, or complete data could never be shown.
//!
//!    A hidden measure does not say which rule hid it.
//! 3. **Roll-up.** Of the ladder's steps the first without a hidden cell is taken, else the one with the smallest share of
//!    hidden cells, the finest of equals. Only that step leaves.
//! 4. **The interval rule.** Everyone knows that a hidden cell lies in [0, k − 1]. Everything else that leaves must keep all k of these values
//!    possible. The one other number about cells is the cohort's total: it leaves only where no cell is hidden. That hidden cells could make up
//!    for each other is no reason to show it: some are known to be empty (bands beyond the contract's range, one key said twice, what
//!    medicine rules out), and then the total is the sum of the few that are not.
//!
//!    Where a subject can have several rows, the total leaves a table without keys only: beside cells it gives the size of their
//!    intersections (40 in one, 41 in another, 80 in all).
//!
//! 5. **Bins.** Cells of a public grid are merged from below into bins of k or more subjects, the rest at the top joins the last bin; fewer
//!    than k in all: no bin. Those without a value are counted from k on only, and no total leaves beside them. Every part of a bin keeps
//!    at least k possible values. What an edge does give away: a bin that is not the last ends in a cell that is not empty, so where
//!    every k-th patient's value lies is known to a cell of the grid (an integer, or a thousandth of the contract's range), but not
//!    whose it is. Bins exist only where a patient has one row, or cells could not be added.
//!
//!    **Lines** are bins of many groups along a declared grid that is no finer (`lines`): each line by itself, its edges tried in a public order
//!    rather than from below, so that sites keep the same ones. A line of fewer than k shows nothing, and no line has another's patients.
//!
//! 6. **Discovered keys.** Each key's cells are those of a dense table of its own. A key leaves only if one of its cells is shown and its name
//!    may be said: a short plain text. No total leaves, neither of all keys (less the shown ones it is the size of the hidden ones) nor of one
//!    (less its shown cells it is a hidden one). Where there is no room for all keys, those with the most
//!    subjects in cells of k or more leave, and a power of two bounds the largest such cell of the others: both follow from cells that
//!    are shown where there is room, never from hidden ones. A key that is not in the release has fewer than k subjects in every cell,
//!    none included, or has no name, or was left out.
//!
//! 7. **What opt-outs have moved** since the same cells were asked before (`moved`): whoever has both answers can subtract them, so of each cell
//!    nobody, or k subjects, must have come or gone, and of a measure what could be shown of them alone. Else it is hidden, before roll-up
//!    and total; bins grow until it holds. A release with such a cell says that it holds back: a hidden cell may then be of any size. Of whom
//!    opt-outs of another table have changed, nobody may be in the cell, or have a value, both before and after: how many others have come or
//!    gone would not be known. Of a model's design that holds of all that its sums tell apart (`moved/designs.rs`), or nothing of it leaves.
//!
//! 8. **Mode `round`** (`round`): k is raised so that every count that is shown shares its rounded value with four others; what the rules above let out
//!    is rounded, sums to so many with the mean that they had; no total leaves beside cells.
//!
//! What it does not hold back yet: the protection is **within one table**. Two tables about nearly equal cohorts can be
//! subtracted, and so can two conditions of one table that differ by a few patients; mode `exact` is therefore for
//! researchers whom the site trusts by name. How many values of a number are missing (cell minus valid) is shown whatever
//! its size: it is a fact about the record keeping that no researcher chooses, and a measure over two columns cannot hide it
//! either, since the valid counts of each bound those of both. Of a feature a researcher does choose who has a value, so a number
//! that reads one is hidden where 1 … k − 1 subjects lack it. Where subjects have several rows, so is how many rows a shown cell has beyond
//! its subjects. Values that differ by little count as different, so one large value among many near zero dominates a sum unseen.
//! Two measures of one column (its logarithm, its square) are as many equations about the same values; the plan's check allows no
//! third in one table, but another table may ask it.
//!
//! It must never show one number of a hidden cell or measure, and never depend on anything but tally, plan and policy.
//!
//! # The types keep the rule
//! A [`Private`] can be passed on and nothing else:
//! ```
//! use bocage_node::custodian::gate::Private;
//! use bocage_protocol::tally::Tally;
//! fn pass_on(tally: Private<Tally>) -> Private<Tally> {
//!     println!("{:?} {:?}", "a text", serde_json::to_string("a text"));
//!     tally
//! }
//! ```
//! It cannot be printed,
//! ```compile_fail,E0277
//! use bocage_node::custodian::gate::Private;
//! use bocage_protocol::tally::Tally;
//! fn pass_on(tally: Private<Tally>) -> Private<Tally> {
//!     println!("{tally:?}");
//!     tally
//! }
//! ```
//! nor serialised,
//! ```compile_fail,E0277
//! use bocage_node::custodian::gate::Private;
//! use bocage_protocol::tally::Tally;
//! fn pass_on(tally: Private<Tally>) -> Private<Tally> {
//!     let _ = serde_json::to_string(&tally);
//!     tally
//! }
//! ```
//! nor opened.
//! ```compile_fail,E0616
//! use bocage_node::custodian::gate::Private;
//! use bocage_protocol::tally::Tally;
//! fn pass_on(tally: Private<Tally>) -> Private<Tally> {
//!     let _ = &tally.0;
//!     tally
//! }
//! ```
//! A [`Released`] can be looked at by anyone,
//! ```
//! use bocage_node::custodian::gate::Released;
//! use bocage_protocol::release::Outcome;
//! fn look(released: &Released) -> &Outcome {
//!     released.outcome()
//! }
//! ```
//! and made by the gate alone.
//! ```compile_fail,E0423
//! use bocage_node::custodian::gate::Released;
//! use bocage_protocol::release::Outcome;
//! fn forge(outcome: Outcome) -> Released {
//!     Released(outcome)
//! }
//! ```

#[cfg(test)]
mod attack;
mod bins;
mod columns;
mod counted;
mod cox;
mod described;
mod discovered;
mod leaving;
mod lines;
mod model;
mod moved;
mod private;
mod round;
mod rules;
mod seal;
mod shares;
mod spread;
#[cfg(test)]
mod tests;

use bocage_protocol::contract::Contract;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::plan::{Grid, ValidPlan};
use bocage_protocol::release::Outcome;

use super::controls::{Control, Controls};

pub use crate::config::Mode;
pub use counted::{Computed, Counted, CountedKeys, Detail};
pub use cox::CountedRisk;
pub use described::{CountedClusters, CountedDescribed};
pub use leaving::CountedLeaving;
pub use model::{CountedModel, LEVERAGE, Side, Weights};
pub use moved::{Moved, MovedPart};
pub use private::Private;
pub use seal::{Answer, Heading, again, seal};
pub use shares::Shares;
pub use spread::Spread;

/// How a site's tallies leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatePolicy {
    /// k: no count of fewer subjects is shown.
    pub threshold: u32,
    /// So many subjects are in each cell of two columns of a model; k where that is less.
    pub joint: u32,
    /// What happens to what is shown.
    pub mode: Mode,
}

/// What the rules go by.
#[derive(Clone, Copy)]
struct Rules {
    /// k.
    threshold: u32,
    /// Of two columns of a model together: at most k.
    joint: u32,
    /// Which of the rules hold.
    controls: Controls,
}

/// What the gate let out. Only [`release`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Released(Outcome);

impl Released {
    /// A table, bins, lines or discovered keys, never a refusal.
    pub fn outcome(&self) -> &Outcome {
        &self.0
    }
}

/// Why nothing is let out at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Withheld {
    /// The tally is not one of this plan, or its numbers contradict each other: a fault of ours.
    #[error("the tally does not fit its plan")]
    Inconsistent,
    /// A model's sums would tell a small group apart.
    #[error("the model tells too few patients apart")]
    Model(model::TooFew),
}

impl From<Withheld> for PublicError {
    fn from(withheld: Withheld) -> Self {
        match withheld {
            Withheld::Inconsistent => PublicError::new(ErrorCode::Internal, "the site could not prepare its answer"),
            Withheld::Model(too_few) => too_few.into(),
        }
    }
}

/// Lets out what the policy allows of a tally.
///
/// `contract` is the plan's: it says publicly whether a subject has one row. Nobody has moved since earlier answers.
///
/// # Errors
/// The tally is not one of this plan.
pub fn release(
    private: Private<Computed>,
    plan: &ValidPlan,
    contract: &Contract,
    policy: &GatePolicy,
) -> Result<Released, Withheld> {
    release_under(Controls::default(), private, Private::new(Moved::default()), plan, contract, policy)
}

/// [`release`] with the controls that the custodian was made with, and with those who have moved since earlier answers.
pub(super) fn release_under(
    controls: Controls,
    private: Private<Computed>,
    moved: Private<Moved>,
    plan: &ValidPlan,
    contract: &Contract,
    policy: &GatePolicy,
) -> Result<Released, Withheld> {
    let (layout, one_row_per_subject) = (plan.layout(), contract.one_row_per_subject());
    let rules = Rules { threshold: policy.threshold, joint: policy.joint.min(policy.threshold), controls };
    let moved = moved.open();
    let exact = match (private.open(), plan.grid(), plan.discovered()) {
        (Computed::Table(counted), None, None) => {
            Outcome::Table(rules::exact(counted, moved.tables()?, layout, one_row_per_subject, rules)?)
        }
        (Computed::Table(counted), Some(grid @ Grid::Edges(_)), None) => {
            let moved = moved.tables()?;
            Outcome::Lines(lines::exact(&counted.tally, &moved, layout, grid, one_row_per_subject, rules.threshold)?)
        }
        (Computed::Table(counted), Some(grid), None) => {
            let moved = moved.tables()?;
            Outcome::Bins(bins::exact(&counted.tally, &moved, layout, grid, one_row_per_subject, rules.threshold)?)
        }
        (Computed::Keys(found), None, Some(key)) => {
            Outcome::Discovered(discovered::exact(found, moved, key, layout, one_row_per_subject, rules)?)
        }
        (Computed::Model(counted), None, None) => {
            let (_, layout) = plan.model().ok_or(Withheld::Inconsistent)?;
            Outcome::Model(model::exact(*counted, &moved.models()?, layout, rules)?)
        }
        (Computed::Table(_) | Computed::Keys(_) | Computed::Model(_), ..) => return Err(Withheld::Inconsistent),
    };
    let outcome = match policy.mode {
        Mode::Round if controls.enforces(Control::Rounding) => round::rounded(exact, layout),
        Mode::Exact | Mode::Round => exact,
    };
    // The receiver checks the same, so a release that it would refuse never leaves.
    let fits = !controls.enforces(Control::ReleaseForm) || outcome.fits(plan);
    if fits { Ok(Released(outcome)) } else { Err(Withheld::Inconsistent) }
}
