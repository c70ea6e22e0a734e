//! The engine: a checked plan over a snapshot gives a [`Private`] tally. Polars' streaming engine filters, derives and
//! selects; one deterministic pass counts and sums.
//!
//! ```text
//! ValidPlan ──compile_plan──▶ filter, select ──Polars, streaming──▶ chunks ──Pass──▶ Private<Tally>
//! ```
//!
//! [`run`] blocks: call it from a thread that may. It must never let a text of Polars out: those hold patients' values.

mod compile;
mod elementwise;
#[cfg(test)]
mod interpreter;
mod pass;
mod question;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bocage_protocol::contract::Contract;
use bocage_protocol::ids::{ContractId, Digest};
use bocage_protocol::plan::{MeasureLayout, ValidPlan};
use bocage_protocol::tally::Tally;
use polars::prelude::{DataFrame, Engine, IntoLazy, LazyFrame, OptFlags, Series};

use self::pass::{MeasureChunk, Pass};
use self::question::compile_plan;
use super::gate::Private;
use super::snapshot::Snapshot;

pub use compile::Unfit;
pub(in crate::custodian) use compile::{Form, Scope, compile};
pub use pass::PassError;

/// Why a plan has no tally. The texts are safe to log: none holds a value of the data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Plan, contract and snapshot are not of one version.
    #[error("the snapshot was taken under another version of `{contract}`\n  hint: take a new snapshot")]
    ContractMismatch {
        /// The contract of the plan.
        contract: ContractId,
    },
    /// The plan does not compile.
    #[error("snapshot {}: {cause}", snapshot.short())]
    Plan {
        /// The snapshot.
        snapshot: Digest,
        /// Why.
        cause: Unfit,
    },
    /// Polars failed; its own text is not repeated.
    #[error("snapshot {}: the query failed while {stage}", snapshot.short())]
    Query {
        /// The snapshot.
        snapshot: Digest,
        /// What was going on.
        stage: &'static str,
    },
    /// The selected rows cannot be counted.
    #[error("snapshot {}: {cause}", snapshot.short())]
    Rows {
        /// The snapshot.
        snapshot: Digest,
        /// Why.
        cause: PassError,
    },
}

/// Computes a plan over a snapshot.
///
/// The result is a function of plan, contract and the snapshot's rows alone: no clock, no randomness, no thread shows in it.
///
/// # Errors
/// See [`EngineError`].
pub fn run(snapshot: &Snapshot, plan: &ValidPlan, contract: &Contract) -> Result<Private<Tally>, EngineError> {
    let hash = contract.hash();
    if snapshot.manifest().contract_hash != hash || plan.plan().query.contract != hash {
        return Err(EngineError::ContractMismatch { contract: plan.plan().query.dataset.clone() });
    }
    tally(snapshot.frame(), plan, contract, *snapshot.content_hash()).map(Private::new)
}

fn tally(frame: &DataFrame, plan: &ValidPlan, contract: &Contract, snapshot: Digest) -> Result<Tally, EngineError> {
    let question = compile_plan(plan, contract).map_err(|cause| EngineError::Plan { snapshot, cause })?;
    let rows = frame.clone().lazy();
    let rows = match question.filter {
        Some(filter) => rows.filter(filter),
        None => rows,
    };
    let selected = collect(rows.select(question.select)).map_err(|stage| EngineError::Query { snapshot, stage })?;
    count(selected, plan).map_err(|cause| EngineError::Rows { snapshot, cause })
}

/// The optimiser's rewritings that may run: reading the needed columns only. Its simplifications are off, since some hold
/// in two-valued logic alone: 0.55.2 makes `x and not x` false where x is null, also inside a comparison.
const REWRITINGS: OptFlags = OptFlags::PROJECTION_PUSHDOWN.union(OptFlags::TYPE_COERCION).union(OptFlags::TYPE_CHECK);

/// Runs a query on the streaming engine. What Polars says or panics with stays here.
pub(in crate::custodian) fn collect(query: LazyFrame) -> Result<DataFrame, &'static str> {
    let query = query.with_optimizations(REWRITINGS);
    match catch_unwind(AssertUnwindSafe(|| query.collect_with_engine(Engine::Streaming).map(|r| r.unwrap_single()))) {
        Ok(Ok(frame)) => Ok(frame),
        Ok(Err(_)) => Err("filtering and selecting"),
        Err(_) => Err("filtering and selecting: Polars panicked"),
    }
}

fn count(selected: DataFrame, plan: &ValidPlan) -> Result<Tally, PassError> {
    let columns = aligned(&selected);
    let (Some(cells), Some(subjects)) = (columns.first(), columns.get(1)) else { return Err(PassError::Shape) };
    let cells = cells.u32().map_err(|_| PassError::Shape)?;
    let subjects = subjects.u32().map_err(|_| PassError::Shape)?;
    if cells.null_count() > 0 || subjects.null_count() > 0 {
        return Err(PassError::OutsideTable);
    }
    let measures =
        plan.layout().measures().iter().zip(&columns[2..]).map(chunks).collect::<Result<Vec<_>, PassError>>()?;
    let mut pass = Pass::new(plan.layout());
    for (i, (cells, subjects)) in cells.downcast_iter().zip(subjects.downcast_iter()).enumerate() {
        let chunk = measures.iter().map(|chunks| chunks.get(i).copied()).collect::<Option<Vec<_>>>();
        pass.add(cells.values(), subjects.values(), &chunk.ok_or(PassError::Shape)?)?;
    }
    Ok(pass.finish())
}

/// The columns, cut into chunks at the same rows. Polars' are, but for a column that is one constant.
fn aligned(selected: &DataFrame) -> Vec<Series> {
    let columns: Vec<Series> = selected.columns().iter().map(|c| c.as_materialized_series().clone()).collect();
    let same = columns.windows(2).all(|pair| pair[0].chunk_lengths().eq(pair[1].chunk_lengths()));
    if same { columns } else { columns.iter().map(|c| c.rechunk()).collect() }
}

fn chunks<'a>((layout, column): (&MeasureLayout, &'a Series)) -> Result<Vec<MeasureChunk<'a>>, PassError> {
    Ok(match layout {
        MeasureLayout::Number(_) => {
            column.i64().map_err(|_| PassError::Shape)?.downcast_iter().map(MeasureChunk::Number).collect()
        }
        MeasureLayout::Condition => {
            column.bool().map_err(|_| PassError::Shape)?.downcast_iter().map(MeasureChunk::Condition).collect()
        }
    })
}
