//! One driver per analysis: what the sites released goes in, the next round or the combined answer comes out.
//!
//! A driver is sans-IO and deterministic: the same releases in any order give the same bits, so that a restarted coordinator replays the
//! stored releases and goes on where it was. It never asks a node for anything; `dispatch` does.
//!
//! ```text
//!            ┌──────────── Next::Round(state) ◀───────────┐
//!            ▼                                            │
//! Driver::first() ─▶ every site's release of the round ─▶ Driver::step ─▶ Next::Publish(AnalysisResult)
//! ```

mod block;
mod notes;
mod pool;
mod table;

use bocage_protocol::PublicError;
use bocage_protocol::analysis::{AnalysisSpec, RoundState, Spec};
use bocage_protocol::contract::Contract;
use bocage_protocol::ids::SiteId;
use bocage_protocol::plan::ValidPlan;
use bocage_protocol::release::TableRelease;

use crate::api::types::AnalysisResult;
pub use table::TableDriver;

/// What came of a round at one site. Every site of the study has one, in any order.
#[derive(Debug, Clone, Copy)]
pub struct SiteAnswer<'a> {
    /// The site.
    pub site: &'a SiteId,
    /// What it released, verified and of the layout's shape, or why there is nothing.
    pub answer: Answer<'a>,
}

/// What came of a round of an analysis at one site.
#[derive(Debug, Clone, Copy)]
pub enum Answer<'a> {
    /// A table.
    Table(&'a TableRelease),
    /// It said no, to the study or to this analysis.
    Refused(&'a PublicError),
    /// It did not answer in time.
    Missing,
}

/// What a driver wants after a round.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Another round with these numbers.
    Round(RoundState),
    /// Nothing more: this is the answer.
    Publish(Box<AnalysisResult>),
}

/// The driver of one analysis. A closed list that later analyses extend.
#[derive(Debug)]
pub enum Driver {
    /// One round, one table.
    Table(TableDriver),
}

impl Driver {
    /// The driver of `spec`, whose first round's plan is `plan`. A combined cell needs `min_sites` sites.
    ///
    /// # Errors
    /// `study_invalid` where a column of the answer asks of its measure what that cannot give.
    pub fn new(
        spec: &AnalysisSpec,
        plan: &ValidPlan,
        contract: &Contract,
        min_sites: u32,
    ) -> Result<Self, PublicError> {
        match &spec.spec {
            Spec::Table(table) => {
                let one_row = contract.one_row_per_subject();
                TableDriver::new(spec.name.clone(), table.clone(), plan, one_row, min_sites).map(Driver::Table)
            }
        }
    }

    /// The numbers of the first round.
    pub fn first(&self) -> RoundState {
        match self {
            Driver::Table(_) => RoundState::First,
        }
    }

    /// Takes in a finished round.
    pub fn step(&mut self, answers: &[SiteAnswer<'_>]) -> Next {
        match self {
            Driver::Table(table) => Next::Publish(Box::new(table.publish(answers))),
        }
    }
}

#[cfg(test)]
mod tests;
