//! The engine: a checked plan over a snapshot gives a [`Private`] tally. Polars filters, derives and selects; one
//! deterministic pass counts and sums. Both work on fixed parts of the snapshot, on all cores.
//!
//! ```text
//! ValidPlan ──compile_plan──▶ filter, select ──Polars, part by part──▶ chunks ──Pass──▶ Private<Computed>
//! ```
//!
//! Where a plan looks into other tables, `features` first makes columns of each patient's rows there; parts of the base then have them beside their
//! own, under the contract that the plan extends.
//!
//! A table of discovered keys takes two such ways over the rows: `discover` finds the keys, and then the pass counts the tables of
//! all of them, one behind the other.
//!
//! [`run`] blocks: call it from a thread that may. It must never let a text of Polars out: those hold patients' values.

mod compile;
mod discover;
mod elementwise;
mod features;
#[cfg(test)]
mod interpreter;
mod keys;
mod lookup;
mod model;
mod moved;
mod numbers;
mod parts;
mod pass;
mod question;
mod rounding;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bocage_protocol::contract::Contract;
use bocage_protocol::ids::{ContractId, Digest};
use bocage_protocol::plan::{Expr, KeyValue, Measure, MeasureLayout, Table, ValidPlan};
use polars::prelude as pl;
use polars::prelude::{
    DataFrame, DataType, Engine, IntoColumn as _, IntoLazy, LazyFrame, OptFlags, Series, UInt32Chunked,
};

use self::compile::index;
use self::discover::{Keys, Search};
use self::features::{Columns, Tables};
use self::keys::{KeyColumn, Positions, UNCOUNTED};
use self::lookup::Lookups;
use self::parts::Partition;
use self::pass::{MeasureChunk, Pass, RowCells};
use self::question::{KEY, Question, compile_plan};
use super::folds::Folds;
use super::gate::{Computed, CountedKeys, Private};
use super::snapshot::{Part, Rows};
use super::source::SUBJECT;

pub use compile::Unfit;
pub(in crate::custodian) use compile::{Form, Scope, compile};
pub use features::{Features, Ground, Joined};
pub use model::Designs;
use model::Whom;
pub use moved::moved;
pub use parts::cores;
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

/// Computes a plan over what is offered of its tables, for a gate with the threshold `k`. `features` keeps what other plans of the round may
/// want as well: it must be of this ground. `designs` keeps those of models between rounds.
///
/// The result is a function of plan, contracts, `k` and the offered rows alone: no clock, no randomness, no thread shows in it.
///
/// # Errors
/// See [`EngineError`].
pub fn run(
    ground: &Ground<'_>,
    features: &mut Features,
    designs: &Designs,
    plan: &ValidPlan,
    k: u32,
) -> Result<Private<Computed>, EngineError> {
    if plan.plan().query.contract != ground.contract.hash() {
        return Err(EngineError::ContractMismatch { contract: plan.plan().query.dataset.clone() });
    }
    ground.check()?;
    of_offered(ground, features, plan, k, |asked| asked.compute(k, Whom::Offered(designs))).map(Private::new)
}

/// Something of a plan over the rows that are offered.
fn of_offered<T>(
    ground: &Ground<'_>,
    features: &mut Features,
    plan: &ValidPlan,
    k: u32,
    what: impl FnOnce(Asked<'_>) -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    let snapshot = ground.base.manifest().content;
    let tables = Tables::of(ground).ok_or(EngineError::Rows { snapshot, cause: PassError::Shape })?;
    let features = &features.columns(plan, &tables, Partition::of(0))?;
    let folds = ground.folds.as_deref();
    what(Asked { rows: tables.base, plan, contract: plan.contract(ground.contract), features, folds, k, snapshot })
}

/// A plan, the rows that it is asked of, and the gate's threshold.
#[derive(Clone, Copy)]
struct Asked<'a> {
    rows: Rows<'a>,
    plan: &'a ValidPlan,
    /// That of the rows, with the plan's features.
    contract: &'a Contract,
    features: &'a Columns,
    /// In which folds the patients are, where the plan asks.
    folds: Option<&'a Folds>,
    k: u32,
    snapshot: Digest,
}

impl<'a> Asked<'a> {
    /// The tally. Of discovered keys those count that `least` subjects share in a cell.
    fn compute(&self, least: u32, whom: Whom<'_>) -> Result<Computed, EngineError> {
        if self.plan.model().is_some() {
            return self.model(whom).map(|counted| Computed::Model(Box::new(counted)));
        }
        Ok(match self.plan.discovered() {
            None => Computed::Table(self.pass(Partition::of(self.plan.layout().values()))?.finish()),
            Some(_) => Computed::Keys(self.keys(Partition::of(0), self.plan.most_keys(), least)?),
        })
    }

    /// The pass over all rows, of one table.
    fn pass(&self, partition: Partition) -> Result<Pass, EngineError> {
        let question = self.question()?;
        let lookups =
            question.filter.is_none().then(|| Lookups::of(self.plan, &question.levels, self.contract)).flatten();
        let count = |part: &Part, pass: &mut Pass| {
            let rows = self.part(part)?;
            match &lookups {
                Some(lookups) => self.look_up(lookups, &question, rows, pass),
                None => self.count(&question, rows, pass),
            }
        };
        partition
            .count(self.rows, || Pass::new(self.plan.layout(), 1, self.k), count)
            .map_err(|fault| self.error(fault))
    }

    /// The tables of the `most` keys that are the most frequent, of those that `least` subjects share in a cell.
    fn keys(&self, partition: Partition, most: usize, least: u32) -> Result<CountedKeys, EngineError> {
        let Keys { kept, beyond } = self.discover(partition, |search| Search { most, k: least, ..search })?;
        let key = self.plan.discovered().ok_or_else(|| self.error(PassError::Shape.into()))?;
        let column = self.key_column()?;
        let positions = Positions::new(kept.iter().map(|key| key.value));
        let Question { levels, filter, dense, select } = self.question()?;
        let counted = pl::col(KEY).neq(pl::lit(UNCOUNTED));
        let filter = Some(filter.map_or(counted.clone(), |filter| counted.and(filter)));
        let question = Question { levels, filter, dense, select };
        let count = |part: &Part, pass: &mut Pass| {
            let at = UInt32Chunked::from_vec(KEY.into(), positions.of(column, part)?);
            let mut rows = self.part(part)?;
            rows.with_column(at.into_column()).map_err(|_| PassError::Shape)?;
            self.count(&question, rows, pass)
        };
        let layout = self.plan.layout();
        let fewer = Partition::of(kept.len() * layout.values());
        let partition = Partition { threads: partition.threads.min(fewer.threads), ..partition };
        let pass = partition
            .count(self.rows, || Pass::new(layout, kept.len(), self.k), count)
            .map_err(|fault| self.error(fault))?;
        // One that has no name was not kept.
        let name = |value: Option<KeyValue<'_>>| match value {
            None => Ok(None),
            Some(value) => key.text(value).map(Some).ok_or_else(|| self.error(PassError::Shape.into())),
        };
        let names = kept.into_iter().map(|key| name(key.value)).collect::<Result<_, EngineError>>()?;
        Ok(CountedKeys::split(pass.finish(), layout.cells_at(0), names, beyond.map(i128::from)))
    }

    /// The keys that are the most frequent. `limit` may make the search more modest.
    fn discover(
        &self,
        partition: Partition,
        limit: impl Fn(Search<'a>) -> Search<'a>,
    ) -> Result<Keys<'a>, EngineError> {
        let key = self.plan.discovered().ok_or_else(|| self.error(PassError::Shape.into()))?;
        let Question { filter, dense, .. } = self.question()?;
        let place = |part: &Part| -> Result<Option<Vec<u32>>, Fault> {
            if filter.is_none() && dense.is_none() {
                return Ok(None);
            }
            let counts = filter.clone().unwrap_or_else(|| pl::lit(true));
            let cell = dense.clone().unwrap_or_else(|| index(0));
            // Beside the subjects, so that a constant is as long as they are.
            let select = [counts.alias("counts"), cell.alias("cell"), pl::col(SUBJECT)];
            let rows = collect_on(Engine::InMemory, self.part(part)?.lazy().select(select)).map_err(Fault::Query)?;
            let counts = rows.column("counts").and_then(|counts| counts.bool()).map_err(|_| PassError::Shape)?;
            let cells = rows.column("cell").and_then(|cells| cells.u32()).map_err(|_| PassError::Shape)?;
            let place = |(counts, cell): (Option<bool>, Option<u32>)| match counts {
                Some(true) => cell.ok_or(PassError::OutsideTable),
                _ => Ok(UNCOUNTED),
            };
            Ok(Some(counts.iter().zip(cells.iter()).map(place).collect::<Result<_, _>>()?))
        };
        let (most, cells) = (self.plan.most_keys(), self.plan.layout().cells_at(0));
        let search = limit(Search::new(key, self.key_column()?, self.k, most, cells));
        search.run(partition, self.rows, place).map_err(|fault| self.error(fault))
    }

    fn key_column(&self) -> Result<KeyColumn<'a>, EngineError> {
        let key = self.plan.discovered().ok_or_else(|| self.error(PassError::Shape.into()))?;
        let column = self.rows.column(key.column().as_str()).ok_or(PassError::Shape);
        column.and_then(KeyColumn::of).map_err(|cause| self.error(cause.into()))
    }

    fn question(&self) -> Result<Question, EngineError> {
        let snapshot = self.snapshot;
        compile_plan(self.plan, self.contract).map_err(|cause| EngineError::Plan { snapshot, cause })
    }

    /// The rows of a part, with the columns that the plan reads.
    fn part(&self, part: &Part) -> Result<DataFrame, PassError> {
        let Table { by, measures, .. } = self.plan.table();
        let conditions = self.plan.plan().query.filter.iter().chain(by).flat_map(Expr::columns);
        let columns = conditions.chain(measures.iter().flat_map(Measure::columns));
        let columns: BTreeSet<&str> = columns.map(|column| column.as_str()).collect();
        let mut rows = self.rows.frame(part, self.features.base(&columns)).ok_or(PassError::Shape)?;
        if !self.features.is_empty() {
            self.features.append(&mut rows, &columns, (part, &self.rows.subjects(part)))?;
        }
        Ok(rows)
    }

    /// Adds the rows of a part to a pass.
    fn count(&self, question: &Question, rows: DataFrame, pass: &mut Pass) -> Result<(), Fault> {
        let rows = match &question.filter {
            Some(filter) => rows.lazy().filter(filter.clone()),
            None => rows.lazy(),
        };
        let selected = collect_on(Engine::InMemory, rows.select_seq(&question.select)).map_err(Fault::Query)?;
        let columns = selected.columns().iter().map(|column| column.as_materialized_series().clone());
        add(columns.collect(), self.plan, pass).map_err(Fault::Rows)
    }

    /// Adds rows without a filter: what the snapshot has as the pass wants it is taken as it is, and cells are looked up.
    fn look_up(&self, lookups: &Lookups, question: &Question, rows: DataFrame, pass: &mut Pass) -> Result<(), Fault> {
        let cells = lookups.looking_at(&rows)?;
        let taken = |name: &str| rows.column(name).map(|c| c.as_materialized_series().rechunk()).ok();
        let (subject, measures) = (taken(SUBJECT), &question.select[2..]);
        let direct = self.plan.table().measures.iter().map(|measure| match measure {
            Measure::Column(name) => taken(name.as_str()).filter(|column| column.dtype() == &DataType::Float64),
            _ => None,
        });
        let mut columns: Vec<Option<Series>> = std::iter::once(subject).chain(direct).collect();
        let missing = measures.iter().zip(&columns[1..]).filter(|(_, column)| column.is_none());
        let missing: Vec<pl::Expr> = missing.map(|(measure, _)| measure.clone()).collect();
        if !missing.is_empty() {
            // Beside the subjects, so that a constant is as long as they are.
            let select = std::iter::once(pl::col(SUBJECT)).chain(missing).collect::<Vec<_>>();
            let found = collect_on(Engine::InMemory, rows.lazy().select_seq(&select)).map_err(Fault::Query)?;
            let found = found.columns().iter().skip(1).map(|column| column.as_materialized_series().rechunk());
            columns[1..].iter_mut().filter(|column| column.is_none()).zip(found).for_each(|(c, f)| *c = Some(f));
        }
        let columns = columns.into_iter().collect::<Option<Vec<_>>>().ok_or(PassError::Shape)?;
        Ok(add_beside(std::iter::once(&cells), &columns, self.plan, pass)?)
    }

    fn error(&self, fault: Fault) -> EngineError {
        fault.of(self.snapshot)
    }
}

/// Why a part is not counted.
enum Fault {
    Query(&'static str),
    Rows(PassError),
}

impl Fault {
    fn of(self, snapshot: Digest) -> EngineError {
        match self {
            Fault::Query(stage) => EngineError::Query { snapshot, stage },
            Fault::Rows(cause) => EngineError::Rows { snapshot, cause },
        }
    }
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

/// Adds the selected rows of a part: cells, subjects, measures.
fn add(selected: Vec<Series>, plan: &ValidPlan, pass: &mut Pass) -> Result<(), PassError> {
    let columns = aligned(selected);
    let (cells, columns) = columns.split_first().ok_or(PassError::Shape)?;
    let cells = cells.u32().map_err(|_| PassError::Shape)?;
    if cells.null_count() > 0 {
        return Err(PassError::OutsideTable);
    }
    add_beside(cells.downcast_iter().map(|cells| cells.values().as_slice()), columns, plan, pass)
}

/// Adds subjects and measures, chunk by chunk beside their cells.
fn add_beside<'c, C: RowCells + ?Sized + 'c>(
    cells: impl Iterator<Item = &'c C>,
    columns: &[Series],
    plan: &ValidPlan,
    pass: &mut Pass,
) -> Result<(), PassError> {
    let (subjects, measures) = columns.split_first().ok_or(PassError::Shape)?;
    let subjects = subjects.u32().map_err(|_| PassError::Shape)?;
    if subjects.null_count() > 0 {
        return Err(PassError::OutsideTable);
    }
    let measures = plan.layout().measures().iter().zip(measures).map(chunks).collect::<Result<Vec<_>, PassError>>()?;
    for (i, (cells, subjects)) in cells.zip(subjects.downcast_iter()).enumerate() {
        let chunk = measures.iter().map(|chunks| chunks.get(i).copied()).collect::<Option<Vec<_>>>();
        pass.add(cells, subjects.values(), &chunk.ok_or(PassError::Shape)?)?;
    }
    Ok(())
}

/// The columns, cut into chunks at the same rows. Polars' are, but for a column that is one constant.
fn aligned(columns: Vec<Series>) -> Vec<Series> {
    let same = columns.windows(2).all(|pair| pair[0].chunk_lengths().eq(pair[1].chunk_lengths()));
    if same { columns } else { columns.iter().map(|c| c.rechunk()).collect() }
}

fn chunks<'a>((layout, column): (&MeasureLayout, &'a Series)) -> Result<Vec<MeasureChunk<'a>>, PassError> {
    Ok(match layout {
        MeasureLayout::Number(_) => {
            column.f64().map_err(|_| PassError::Shape)?.downcast_iter().map(MeasureChunk::Number).collect()
        }
        MeasureLayout::Condition => {
            column.bool().map_err(|_| PassError::Shape)?.downcast_iter().map(MeasureChunk::Condition).collect()
        }
    })
}
