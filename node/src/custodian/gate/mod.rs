//! The gate: the one place where a tally becomes a release. First form: mode `exact`.
//!
//! What it holds back, with k the policy's threshold on *subjects*:
//!
//! 1. **Cells.** A cell of fewer than k subjects leaves as "fewer than k", 0 and 1 … k − 1 alike.
//! 2. **Measures** of a shown cell are hidden unless k subjects have a value; conditions are also hidden unless k subjects
//!    stand on either side. A hidden measure says nothing about which side was short.
//! 3. **Roll-up.** Of the ladder's steps the first without a hidden cell is taken, else the one with the smallest share of
//!    hidden cells, the finest of equals. Only that step leaves.
//! 4. **The interval rule.** Everyone knows that a hidden cell lies in [0, k − 1]. Everything else that leaves must keep all
//!    k of these values possible. The one other number about cells is the cohort's total; it works like one more cell, and
//!    is hidden where it would narrow a hidden one. With m hidden cells whose subjects sum to R, it leaves only if
//!    * nothing is hidden, or
//!    * every subject has one row (then R = total − shown), the step taken is the ladder's last, and
//!      k − 1 ≤ R ≤ (m − 1)(k − 1): the other hidden cells can then make up for any value of each.
//!
//!    Why the last step: taking a finer one says that coarser cells were hidden too, i.e. that some sums of hidden cells are
//!    below k, and together with R that narrows them. Without R it does not: the others may all be 0.
//!
//! What it does not hold back yet: the protection is **within one table**. Two tables about nearly equal cohorts can be
//! subtracted, and so can two conditions of one table that differ by a few patients; mode `exact` is therefore for
//! researchers whom the site trusts by name. How many values of a measure are missing (cell minus valid) is shown whatever
//! its size: it is a fact about the record keeping, and a measure over two columns cannot hide it either, since the valid
//! counts of each bound those of both. Several measures of one column (its logarithm, its square) are as many equations
//! about the same values; the contract's check keeps out columns with few levels.
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
//! use bocage_protocol::release::TableRelease;
//! fn look(released: &Released) -> &TableRelease {
//!     released.table()
//! }
//! ```
//! and made by the gate alone.
//! ```compile_fail,E0423
//! use bocage_node::custodian::gate::Released;
//! use bocage_protocol::release::TableRelease;
//! fn forge(table: TableRelease) -> Released {
//!     Released(table)
//! }
//! ```

#[cfg(test)]
mod attack;
mod private;
mod rules;
mod seal;
#[cfg(test)]
mod tests;

use bocage_protocol::contract::Contract;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::plan::ValidPlan;
use bocage_protocol::release::TableRelease;
use bocage_protocol::tally::Tally;

pub use crate::config::Mode;
pub use private::Private;
pub use seal::{Answer, Heading, seal};

/// How a site's tallies leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatePolicy {
    /// k: no count of fewer subjects is shown.
    pub threshold: u32,
    /// What happens to what is shown.
    pub mode: Mode,
}

/// What the gate let out. Only [`release`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Released(TableRelease);

impl Released {
    /// The table.
    pub fn table(&self) -> &TableRelease {
        &self.0
    }
}

/// Why nothing is let out at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Withheld {
    /// The tally is not one of this plan, or its numbers contradict each other: a fault of ours.
    #[error("the tally does not fit its plan")]
    Inconsistent,
}

impl From<Withheld> for PublicError {
    fn from(_: Withheld) -> Self {
        PublicError::new(ErrorCode::Internal, "the site could not prepare its answer")
    }
}

/// Lets out what the policy allows of a tally.
///
/// `contract` is the plan's: it says publicly whether a subject has one row.
///
/// # Errors
/// The tally is not one of this plan.
pub fn release(
    private: Private<Tally>,
    plan: &ValidPlan,
    contract: &Contract,
    policy: &GatePolicy,
) -> Result<Released, Withheld> {
    let tally = private.open();
    match policy.mode {
        Mode::Exact => rules::exact(&tally, plan.layout(), contract.one_row_per_subject(), policy.threshold),
    }
    .map(Released)
}
