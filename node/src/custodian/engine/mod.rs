//! The engine: a checked plan over a snapshot gives a [`Private`] tally. Polars filters, derives and selects; one
//! deterministic pass counts and sums. Both work on fixed parts of the snapshot, on all cores.
//!
//! ```text
//! ValidPlan ──compile_plan──▶ filter, select ──Polars, part by part──▶ chunks ──Pass──▶ Private<Counted>
//! ```
//!
//! [`run`] blocks: call it from a thread that may. It must never let a text of Polars out: those hold patients' values.

mod compile;
mod elementwise;
#[cfg(test)]
mod interpreter;
mod parts;
mod pass;
mod question;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bocage_protocol::contract::Contract;
use bocage_protocol::ids::{ContractId, Digest};
use bocage_protocol::plan::{MeasureLayout, ValidPlan};
use polars::prelude::{DataFrame, Engine, IntoLazy, LazyFrame, OptFlags, Series};

use self::parts::Partition;
use self::pass::{MeasureChunk, Pass};
use self::question::{Question, compile_plan};
use super::gate::{Counted, Private};
use super::snapshot::Snapshot;
use super::source::SUBJECT;

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

/// Computes a plan over a snapshot, for a gate with the threshold `k`.
///
/// The result is a function of plan, contract, `k` and the snapshot's rows alone: no clock, no randomness, no thread shows in it.
///
/// # Errors
/// See [`EngineError`].
pub fn run(
    snapshot: &Snapshot,
    plan: &ValidPlan,
    contract: &Contract,
    k: u32,
) -> Result<Private<Counted>, EngineError> {
    let hash = contract.hash();
    if snapshot.manifest().contract_hash != hash || plan.plan().query.contract != hash {
        return Err(EngineError::ContractMismatch { contract: plan.plan().query.dataset.clone() });
    }
    let partition = Partition::of(plan.layout());
    let pass = pass_in(partition, k, snapshot.frame(), plan, contract, *snapshot.content_hash())?;
    Ok(Private::new(pass.finish()))
}

fn pass_in(
    partition: Partition,
    k: u32,
    frame: &DataFrame,
    plan: &ValidPlan,
    contract: &Contract,
    snapshot: Digest,
) -> Result<Pass, EngineError> {
    let rows = |cause| EngineError::Rows { snapshot, cause };
    let Question { filter, select } =
        compile_plan(plan, contract).map_err(|cause| EngineError::Plan { snapshot, cause })?;
    let subjects = frame.column(SUBJECT).and_then(|c| c.u32()).map_err(|_| rows(PassError::Shape))?;
    let count = |part: std::ops::Range<usize>, pass: &mut Pass| {
        let part = frame.slice(part.start as i64, part.len()).lazy();
        let part = match &filter {
            Some(filter) => part.filter(filter.clone()),
            None => part,
        };
        let selected = collect_on(Engine::InMemory, part.select(&select)).map_err(Fault::Query)?;
        add(selected, plan, pass).map_err(Fault::Rows)
    };
    partition.count(subjects, plan.layout(), k, count).map_err(|fault| match fault {
        Fault::Query(stage) => EngineError::Query { snapshot, stage },
        Fault::Rows(cause) => rows(cause),
    })
}

/// Why a part is not counted.
enum Fault {
    Query(&'static str),
    Rows(PassError),
}

impl From<PassError> for Fault {
    fn from(error: PassError) -> Self {
        Fault::Rows(error)
    }
}

/// The optimiser's rewritings that may run: reading the needed columns only. Its simplifications are off, since some hold
/// in two-valued logic alone: 0.55.2 makes `x and not x` false where x is null, also inside a comparison.
const REWRITINGS: OptFlags = OptFlags::PROJECTION_PUSHDOWN.union(OptFlags::TYPE_COERCION).union(OptFlags::TYPE_CHECK);

/// Runs a query on the streaming engine, on all cores.
pub(in crate::custodian) fn collect(query: LazyFrame) -> Result<DataFrame, &'static str> {
    collect_on(Engine::Streaming, query)
}

/// Runs a query. What Polars says or panics with stays here.
fn collect_on(engine: Engine, query: LazyFrame) -> Result<DataFrame, &'static str> {
    let query = query.with_optimizations(REWRITINGS);
    match catch_unwind(AssertUnwindSafe(|| query.collect_with_engine(engine).map(|r| r.unwrap_single()))) {
        Ok(Ok(frame)) => Ok(frame),
        Ok(Err(_)) => Err("filtering and selecting"),
        Err(_) => Err("filtering and selecting: Polars panicked"),
    }
}

/// Adds the selected rows of a part.
fn add(selected: DataFrame, plan: &ValidPlan, pass: &mut Pass) -> Result<(), PassError> {
    let columns = aligned(&selected);
    let (Some(cells), Some(subjects)) = (columns.first(), columns.get(1)) else { return Err(PassError::Shape) };
    let cells = cells.u32().map_err(|_| PassError::Shape)?;
    let subjects = subjects.u32().map_err(|_| PassError::Shape)?;
    if cells.null_count() > 0 || subjects.null_count() > 0 {
        return Err(PassError::OutsideTable);
    }
    let measures =
        plan.layout().measures().iter().zip(&columns[2..]).map(chunks).collect::<Result<Vec<_>, PassError>>()?;
    for (i, (cells, subjects)) in cells.downcast_iter().zip(subjects.downcast_iter()).enumerate() {
        let chunk = measures.iter().map(|chunks| chunks.get(i).copied()).collect::<Option<Vec<_>>>();
        pass.add(cells.values(), subjects.values(), &chunk.ok_or(PassError::Shape)?)?;
    }
    Ok(())
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
