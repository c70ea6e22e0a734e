//! What a node computes in a round. A plan is data, never code, and always derived by the node itself from a signed study.
//!
//! ```text
//! Plan ──check(contract)──▶ ValidPlan ──layout()──▶ TableLayout ──▶ Tally
//! ```

mod bins;
mod check;
mod discovered;
mod domain;
mod explain;
mod expr;
mod features;
mod layout;
mod lines;
mod model;
mod normal;
mod order;
mod periods;
mod plausible;
mod predicted;
mod relation;
#[cfg(test)]
mod tests;
mod typing;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::contract::Contract;
use crate::ids::{ColumnName, ContractId, Digest, TableName};
use crate::settings::Problems;

pub use bins::Grid;
pub use check::nullable;
pub(crate) use check::{check_discovered, check_key, check_measure, measure_range, nested, summed_together};
pub use discovered::{DiscoveredKey, KeyValue};
pub use domain::{Coarser, KeyDomain, MISSING, band_labels};
pub use explain::{Explained, Passed, RowsOf};
pub use expr::{Branch, Comparison, DateUnit, Expr, Function, Literal, Operation, ParseAs};
pub use features::Touches;
pub(crate) use features::{Known, check_feature, unknown_table};
pub use layout::{KeyLevels, MeasureLayout, Quantum, TableLayout};
pub use lines::Lines;
pub use model::{
    Centroids, CoxSums, Described, Explains, Factor, Family, Fit, Folds, Gives, GridSums, Hazard, Inputs, LeftOut,
    Link, Model, ModelLayout, Position, Prediction, PredictionLayout, Product, Response, RiskSlots, Row, RowColumns,
    Scale, SharedGrid, Slot, Spline, Sums, Ties, TimeGrid, TimeScale, Transform, digamma,
};
use normal::Called;
pub(crate) use normal::is_numbered;
pub use normal::normal;
use order::{Stands, Written};
pub use periods::{PeriodUnit, Periods};
pub use relation::{Contracts, Derived, Edge, Feature, Moment, Pick, RelatedTable, Rows, Window};
pub use typing::{Columns, Type, TypeProblem, check_condition, type_of};
pub(crate) use words::calls::Calls;
pub use words::expression as written;

/// A plan as it was derived: its expressions are not checked yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Which rows.
    pub query: Query,
    /// What is computed over them.
    pub statistic: Statistic,
}

/// Which rows of which dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The dataset's contract.
    pub dataset: ContractId,
    /// The contract's hash.
    pub contract: Digest,
    /// The other datasets that features look into.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub related: BTreeMap<TableName, RelatedTable>,
    /// Columns that are made of a patient's rows, each after those that it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<Feature>,
    /// Rows for which this is true; all rows if absent.
    pub filter: Option<Expr>,
}

impl Contract {
    /// The rows of a dataset under this contract for which `filter` is true, by themselves.
    pub fn rows(&self, filter: Option<Expr>) -> Query {
        let (related, features) = (BTreeMap::new(), Vec::new());
        Query { dataset: self.id().clone(), contract: self.hash(), related, features, filter }
    }
}

/// What is computed. A closed list that later analyses extend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// Counts and sums over the cells of a dense table.
    Table(Table),
    /// Counts over a public grid of ordered cells, which the node merges into bins of k or more patients before anything leaves.
    Bins(Bins),
    /// A dense table for each value of a column that occurs among k or more patients. Which values those are is found in the data.
    Discovered(Discovered),
    /// The sums of one step of a model's fit.
    Model(Model),
}

/// A key that is found in the data, and the dense rest of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discovered {
    /// The column whose values are the keys.
    pub key: ColumnName,
    /// What is counted of each; never rolled up.
    pub table: Table,
}

/// What is ordered and counted. The grid is no part of the plan: it follows from the contract's range, or from the number of steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bins {
    /// The values of a number column.
    Column(ColumnName),
    /// The first of these conditions that is not true.
    Steps(Vec<Expr>),
    /// A number over declared edges, in a line for each group.
    Lines(Lines),
}

/// A dense table: every combination of the keys' declared levels is a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The keys, at most [`crate::limits::TABLE_KEYS`]; none means one cell for the whole cohort.
    pub by: Vec<Expr>,
    /// What is summed.
    pub measures: Vec<Measure>,
    /// Whether a site may fall back to the contract's coarser groupings rather than hide cells.
    pub roll_up: bool,
}

/// What may be summed: much narrower than an expression, so that no patient's value can be smuggled through a sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// A numeric column.
    Column(ColumnName),
    /// Its natural logarithm; the contract's range must be positive.
    Ln(ColumnName),
    /// Its square root; the contract's range must not be negative.
    Sqrt(ColumnName),
    /// Days between two date columns, `to` − `from`.
    Days {
        /// The earlier date.
        from: ColumnName,
        /// The later date.
        to: ColumnName,
    },
    /// The product of two numeric columns.
    Product(ColumnName, ColumnName),
    /// A boolean subset: how many rows satisfy it, of those where it is not null.
    Condition(Expr),
}

impl Statistic {
    /// Every column that it reads, with repeats.
    pub fn columns(&self) -> Vec<&ColumnName> {
        match self {
            Statistic::Table(table) => table.columns(),
            Statistic::Discovered(Discovered { key, table }) => [key].into_iter().chain(table.columns()).collect(),
            Statistic::Bins(Bins::Column(column)) => vec![column],
            Statistic::Bins(Bins::Steps(steps)) => steps.iter().flat_map(Expr::columns).collect(),
            Statistic::Model(model) => model.reads(),
            Statistic::Bins(Bins::Lines(lines)) => lines.columns(),
        }
    }
}

impl Table {
    fn columns(&self) -> Vec<&ColumnName> {
        let measures = self.measures.iter().flat_map(Measure::columns);
        self.by.iter().flat_map(Expr::columns).chain(measures).collect()
    }
}

impl Measure {
    /// The same under other names.
    pub(crate) fn renamed(&self, name: &impl Fn(&ColumnName) -> ColumnName) -> Self {
        match self {
            Measure::Column(column) => Measure::Column(name(column)),
            Measure::Ln(column) => Measure::Ln(name(column)),
            Measure::Sqrt(column) => Measure::Sqrt(name(column)),
            Measure::Days { from, to } => Measure::Days { from: name(from), to: name(to) },
            Measure::Product(a, b) => Measure::Product(name(a), name(b)),
            Measure::Condition(condition) => Measure::Condition(condition.renamed(name)),
        }
    }

    /// In a few words, without a condition's literals.
    pub fn plainly(&self) -> String {
        match self {
            Measure::Column(column) => column.to_string(),
            Measure::Ln(column) => format!("ln({column})"),
            Measure::Sqrt(column) => format!("sqrt({column})"),
            Measure::Days { from, to } => format!("days({from}, {to})"),
            Measure::Product(a, b) => format!("{a} * {b}"),
            Measure::Condition(expr) => {
                let columns: Vec<&str> = expr.columns().into_iter().map(ColumnName::as_str).collect();
                format!("condition on {}", columns.join(", "))
            }
        }
    }

    /// Every column that the measure reads.
    pub fn columns(&self) -> Vec<&ColumnName> {
        match self {
            Measure::Column(c) | Measure::Ln(c) | Measure::Sqrt(c) => vec![c],
            Measure::Days { from, to } => vec![from, to],
            Measure::Product(a, b) => vec![a, b],
            Measure::Condition(expr) => expr.columns(),
        }
    }
}

/// A plan that fits its contract and all bounds, in normal form: what means the same by the rules of [`normal`] is the same plan. It exists
/// only if every check passed.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidPlan {
    plan: Plan,
    called: Called,
    digest: Digest,
    table: Table,
    grid: Option<Grid>,
    key: Option<DiscoveredKey>,
    model: Option<ModelLayout>,
    stands: Stands,
    layout: TableLayout,
    written: Option<Written>,
    extended: Option<Known>,
    touches: Touches,
}

impl ValidPlan {
    /// Checks `plan` against the contracts that it names: one alone, where it looks into no other table.
    ///
    /// # Errors
    /// All problems at once, each with its place within the plan (`filter`, `by[0]`, `measures[2]`).
    pub fn check<'a>(plan: Plan, contracts: impl Into<Contracts<'a>>) -> Result<Self, Problems> {
        let contracts = &contracts.into();
        let written = check::plan(&plan, contracts)?;
        let (normal, stands, called) = normal::plan(&plan, contracts, &written.layout);
        let named = normal::renamed(&normal, contracts);
        // An expression whose normal form is beyond the bounds stays as it was written, by itself ([`normal()`]). Whatever else the normal form
        // is refused for, the plan is: else other words would be a way around it.
        let (plan, checked) = if normal == plan {
            (plan, written)
        } else {
            let checked = check::plan(&normal, &named)?;
            (normal, checked)
        };
        let check::Checked { table, grid, key, mut model, layout, extended, touches } = checked;
        model.iter_mut().for_each(|model| model.called = called.clone());
        let digest = Digest::of("bocage/plan/1", &[&crate::trust::canonical(&plan).unwrap_or_default()]);
        let written = Written::of(&layout, &stands);
        Ok(Self { plan, called, digest, table, grid, key, model, stands, layout, written, extended, touches })
    }

    /// One of its measures as a person reads it, who knows the study and not the names of a normal form.
    pub fn said(&self, measure: &Measure) -> String {
        self.called.calls().say(&measure.plainly())
    }

    /// Columns that are made of a patient's rows, each after those that it reads.
    pub fn features(&self) -> &[Feature] {
        &self.plan.query.features
    }

    /// The tables that the features look into.
    pub fn related(&self) -> &BTreeMap<TableName, RelatedTable> {
        &self.plan.query.related
    }

    /// What keys, filter and measures read: `base`, the contract of the plan's dataset, or the virtual one with the features as columns.
    pub fn contract<'a>(&'a self, base: &'a Contract) -> &'a Contract {
        self.extended.as_ref().map_or(base, |known| &known.base)
    }

    /// What conditions on rows of a related table read: `own`, its contract, or the virtual one with the features of its rows as columns.
    pub fn table_contract<'a>(&'a self, table: &TableName, own: &'a Contract) -> &'a Contract {
        self.extended.as_ref().and_then(|known| known.tables.get(table)).unwrap_or(own)
    }

    /// Every column that the plan reads, of every dataset: in keys, measures, filters and windows, and as a time or birth. Never one that names
    /// the patient.
    pub fn touches(&self) -> &Touches {
        &self.touches
    }

    /// The plan, in normal form.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The table that an engine computes: the plan's own, that over the cells of its grid, or that of each discovered key. Of a model: what is read
    /// of each row, as keys and measures.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The grid of [`Statistic::Bins`]. The table then has one key: the grid's cells, and a last level for missing values if there can be any. Of
    /// [`Bins::Lines`] it has the groups' keys, and the grid's cells last.
    pub fn grid(&self) -> Option<&Grid> {
        self.grid.as_ref()
    }

    /// The key of [`Statistic::Discovered`]. The table is then that of one of its values.
    pub fn discovered(&self) -> Option<&DiscoveredKey> {
        self.key.as_ref()
    }

    /// The step and the shape of [`Statistic::Model`].
    pub fn model(&self) -> Option<(&Model, &ModelLayout)> {
        match (&self.plan.statistic, &self.model) {
            (Statistic::Model(model), Some(layout)) => Some((model, layout)),
            _ => None,
        }
    }

    /// Of each column of a model, as they were written, which one it is in normal form. Sites answer in that order, and centroids are given in it.
    pub fn stands(&self) -> &[usize] {
        &self.stands.columns
    }

    /// How many keys a site may answer with: 1, or as many discovered ones as fit a tally.
    pub fn most_keys(&self) -> usize {
        if self.key.is_some() { self.layout.keys_that_fit() } else { 1 }
    }

    /// How many cells a site answers with at most.
    pub fn most_cells(&self) -> usize {
        match &self.model {
            Some(model) => model.values(),
            None => self.most_keys().saturating_mul(self.layout.cells_at(0)),
        }
    }

    /// The shape of the table: a function of plan and contract alone, never of data.
    pub fn layout(&self) -> &TableLayout {
        &self.layout
    }

    /// The digest of what its cells are: filter and keys in any order, with the features that they read, whatever is measured in them, whether the
    /// keys are discovered, and under whatever versions of the contracts. Answers to plans that agree in it have cells that can be compared one by
    /// one. A model has one cell, its complete cases: filter and all columns that it reads, whatever it makes of them.
    pub fn cells_digest(&self) -> Digest {
        let contents = normal::contents(self.features());
        let name = |name: &ColumnName| contents.get(name).unwrap_or(name).clone();
        let json = |of: &Expr| crate::trust::canonical(&of.renamed(&name)).unwrap_or_default();
        let column = |of: &ColumnName| json(&Expr::Column(of.clone()));
        let discovered = self.key.as_ref().map(|key| column(key.column()));
        let (domain, mut keys): (_, Vec<Vec<u8>>) = match &self.plan.statistic {
            Statistic::Model(model) => ("bocage/complete-cases/1", model.reads().into_iter().map(column).collect()),
            _ => ("bocage/cells/1", self.table.by.iter().map(json).chain(discovered).collect()),
        };
        keys.sort();
        keys.dedup();
        let filter = self.plan.query.filter.as_ref().map(json).unwrap_or_default();
        let parts: Vec<&[u8]> = std::iter::once(&filter).chain(&keys).map(Vec::as_slice).collect();
        Digest::of(domain, &parts)
    }

    /// The digest of a model at no particular step, whatever its features are called: filter, and columns in their order. Centroids of plans that
    /// agree in it lie among the same numbers.
    pub fn model_digest(&self) -> Option<Digest> {
        let (model, _) = self.model()?;
        let contents = normal::contents(self.features());
        let name = |name: &ColumnName| contents.get(name).unwrap_or(name).clone();
        let model = model.unplaced().map(&|measure| measure.renamed(&name), &|key| key.renamed(&name));
        let filter = self.plan.query.filter.as_ref().map(|filter| filter.renamed(&name));
        let json = crate::trust::canonical(&(filter, model)).unwrap_or_default();
        Some(Digest::of("bocage/model/1", &[&json]))
    }

    /// Whether patients are told apart by their fold.
    pub fn has_folds(&self) -> bool {
        let by_fold = |folds: &Folds| matches!(folds.by, LeftOut::Fold(_));
        let predicts = |feature: &Feature| matches!(&feature.of, Derived::Predicted(of) if !of.folds.is_empty());
        self.model().is_some_and(|(model, _)| model.folds.as_deref().is_some_and(by_fold))
            || self.features().iter().any(predicts)
    }

    /// Whether filter or keys read a feature, so that other tables decide in which cells a patient is.
    pub fn cells_read_features(&self) -> bool {
        let is_feature = |name: &ColumnName| self.features().iter().any(|f| f.on.is_none() && f.name == *name);
        self.plan.query.filter.iter().chain(&self.table.by).flat_map(Expr::columns).any(is_feature)
    }

    /// The digest of the plan's canonical JSON.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}
