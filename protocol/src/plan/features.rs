//! Checking of features: each against the base with the features before it, and against the table that it looks into.

use std::collections::{BTreeMap, BTreeSet};

use super::typing::{Columns, Type, TypeProblem, check_condition};
use super::{Contracts, Derived, Edge, Feature, Measure, Moment, Pick, Query, Rows, Window};
use crate::contract::{Contract, Subject};
use crate::ids::{ColumnName, ContractId, TableName};
use crate::limits;
use crate::settings::{Problems, nearest};

/// The days that a text can name: to the end of the year 9999.
const LAST_DAY: u32 = 2_932_896;

/// Which columns of which datasets something reads. A dataset of which only the rows matter is there too, with none.
pub type Touches = BTreeMap<ContractId, BTreeSet<ColumnName>>;

/// The base's contract with the query's features, where it has any. What is wrong with one is noted, and those after it are looked at too.
pub(super) fn extended(query: &Query, contracts: &Contracts<'_>, problems: &mut Problems) -> Option<Contract> {
    let mut note = |key: &str, problem: TypeProblem| problems.push(problem.at("plan", key));
    if query.related.len() > limits::RELATED_TABLES {
        note("related", TypeProblem::new(format!("a study looks into at most {} tables", limits::RELATED_TABLES)));
    }
    if query.features.len() > limits::FEATURES {
        note("features", TypeProblem::new(format!("a study has at most {} features", limits::FEATURES)));
    }
    let mut named: BTreeMap<&str, &ContractId> = BTreeMap::new();
    for (name, table) in &query.related {
        let fits = contracts.related.get(name).is_some_and(|c| *c.id() == table.dataset && c.hash() == table.contract);
        if !fits {
            let problem = TypeProblem::new(format!("the plan is not for this version of `{}`", table.dataset));
            note(&format!("related.{name}"), problem);
        }
        if let Some(other) = named.insert(table.dataset.name(), &table.dataset) {
            let problem = TypeProblem::new(format!("`{other}` and `{}` are one dataset", table.dataset));
            note(&format!("related.{name}"), problem.hint("give it one name, and use that"));
        }
    }
    if query.features.is_empty() {
        return None;
    }
    let tables: BTreeMap<TableName, &Contract> = contracts
        .related
        .iter()
        .filter(|(name, _)| query.related.contains_key(name))
        .map(|(name, contract)| (name.clone(), *contract))
        .collect();
    let contracts = Contracts { base: contracts.base, related: tables };
    let mut known = contracts.base.clone();
    for (i, feature) in query.features.iter().enumerate().take(limits::FEATURES) {
        for problem in check_feature(feature, &known, &contracts) {
            note(&format!("features[{i}]"), problem);
        }
        known.add(feature, &contracts.related);
    }
    Some(known)
}

/// What is wrong with a feature. `known` is the base with the features before it.
pub(crate) fn check_feature(feature: &Feature, known: &Contract, contracts: &Contracts<'_>) -> Vec<TypeProblem> {
    let mut check = Check { known, contracts, problems: Vec::new() };
    if known.column(feature.name.as_str()).is_some() {
        check.note(TypeProblem::new(format!("there is a column `{}` already", feature.name)));
    }
    check.derived(&feature.of);
    check.problems
}

struct Check<'a> {
    known: &'a Contract,
    contracts: &'a Contracts<'a>,
    problems: Vec<TypeProblem>,
}

impl<'a> Check<'a> {
    fn note(&mut self, problem: TypeProblem) {
        self.problems.push(problem);
    }

    fn derived(&mut self, of: &Derived) {
        match of {
            Derived::Has { rows, at_least } => {
                if !(1..=limits::FEATURE_COUNT).contains(at_least) {
                    let most = limits::FEATURE_COUNT;
                    self.note(TypeProblem::new(format!("`at_least` is a whole number from 1 to {most}")));
                }
                self.rows(rows);
            }
            Derived::Count { rows } => drop(self.rows(rows)),
            Derived::Pick { pick, column, rows } => {
                if let Some(table) = self.rows(rows) {
                    self.picked(*pick, column, &rows.table, table);
                }
            }
            Derived::Value { table, column } => {
                if let Some(contract) = self.one_row(table) {
                    self.readable(column, table, contract);
                }
            }
            Derived::Age { table, at } => {
                let contract = match table {
                    None => Some(self.contracts.base),
                    Some(table) => self.one_row(table),
                };
                if let Some(contract) = contract.filter(|contract| contract.birth().is_none()) {
                    let problem = TypeProblem::new(format!("`{}` does not say when a patient was born", contract.id()));
                    self.note(problem.hint("its contract names the column: birth = \"…\""));
                }
                self.moment(at, false);
            }
            Derived::Predicted(of) => {
                if let Err(problems) = of.lower(self.known) {
                    self.problems.extend(problems);
                }
            }
        }
    }

    /// The table, which must share its patients with the base.
    fn table(&mut self, name: &TableName) -> Option<&'a Contract> {
        let Some(table) = self.contracts.related.get(name).copied() else {
            self.note(unknown_table(name.as_str(), self.contracts.related.keys().map(TableName::as_str)));
            return None;
        };
        let base = self.contracts.base;
        let kind = |contract: &Contract| match contract.subject() {
            Subject::Column(column) => contract.column(column.as_str()).map(|c| c.kind.name()),
            Subject::Row => None,
        };
        match (kind(base), kind(table)) {
            (Some(ours), Some(theirs)) if ours == theirs => {}
            (Some(ours), Some(theirs)) => {
                let problem = format!("`{}` names patients by {ours}, `{}` by {theirs}", base.id(), table.id());
                self.note(
                    TypeProblem::new(problem).hint("tables are joined where their contracts name patients alike"),
                );
            }
            (ours, _) => {
                let row = if ours.is_none() { base } else { table };
                let problem =
                    format!("`{}` has no column that names the patient, so no other table can be joined", row.id());
                self.note(TypeProblem::new(problem).hint("its contract says `subject = \"row\"`"));
            }
        }
        Some(table)
    }

    fn one_row(&mut self, name: &TableName) -> Option<&'a Contract> {
        let table = self.table(name)?;
        if !table.one_row_per_subject() {
            let problem = TypeProblem::new(format!("`{name}` may have several rows of a patient: which one?"));
            self.note(problem.hint(format!("write e.g. first({name}.COLUMN) or last({name}.COLUMN)")));
        }
        Some(table)
    }

    fn rows(&mut self, rows: &Rows) -> Option<&'a Contract> {
        let table = self.table(&rows.table);
        if let (Some(filter), Some(table)) = (&rows.filter, table)
            && let Err(problem) = check_condition(filter, Columns::Contract(table))
        {
            self.note(within(&rows.table, problem));
        }
        if let Some(window) = &rows.window {
            self.window(window, &rows.table, table);
        }
        table
    }

    fn window(&mut self, window: &Window, name: &TableName, table: Option<&Contract>) {
        if let Some(table) = table {
            self.timed(table, name, "no window can be made over it");
        }
        if window.from.is_none() && window.to.is_none() {
            self.note(TypeProblem::new("a window without an end").hint("write after, since, before or until = a date"));
        }
        for Edge { at, days } in window.from.iter().chain(&window.to) {
            if days.unsigned_abs() > limits::WINDOW_DAYS as u32 {
                self.note(TypeProblem::new(format!("a window reaches at most {} days", limits::WINDOW_DAYS)));
            }
            self.moment(at, true);
        }
    }

    fn timed(&mut self, table: &Contract, name: &TableName, so: &str) {
        if table.time().is_none() {
            let problem = TypeProblem::new(format!("`{name}` does not say when its rows happened: {so}"));
            self.note(problem.hint(format!("the contract {} names the column: time = \"…\"", table.id())));
        }
    }

    fn moment(&mut self, moment: &Moment, of_the_patient: bool) {
        match moment {
            Moment::Date(day) if day.unsigned_abs() <= LAST_DAY => {}
            Moment::Date(_) => self.note(TypeProblem::new("a day beyond the year 9999")),
            Moment::Column(name) => match Columns::Contract(self.known).type_of(name) {
                Err(problem) => self.note(problem),
                Ok(Type::Date | Type::Datetime) => {
                    let base = self.contracts.base;
                    if of_the_patient && base.column(name.as_str()).is_some() && !base.one_row_per_subject() {
                        let problem =
                            format!("`{name}` is of one row, and `{}` may have several of a patient", base.id());
                        self.note(TypeProblem::new(problem).hint(
                            "a window is about a patient: begin at one of their dates, e.g. after = first(TABLE.DATE)",
                        ));
                    }
                }
                Ok(other) => {
                    let problem = TypeProblem::new(format!("expected a date, found {}", other.name()));
                    self.note(problem.hint("write date '2020-01-31', today, or a column or feature that is a date"));
                }
            },
        }
    }

    fn readable(&mut self, column: &ColumnName, name: &TableName, table: &Contract) -> Option<Type> {
        match Columns::Contract(table).type_of(column) {
            Ok(of) => Some(of),
            Err(problem) => {
                self.note(within(name, problem));
                None
            }
        }
    }

    fn picked(&mut self, pick: Pick, column: &ColumnName, name: &TableName, table: &Contract) {
        if matches!(pick, Pick::First | Pick::Last) {
            self.timed(table, name, "there is no first or last one");
        }
        let Some(of) = self.readable(column, name, table) else { return };
        let (fits, wanted) = match pick {
            Pick::First | Pick::Last => (true, ""),
            Pick::Least | Pick::Greatest => {
                (of.is_number() || matches!(of, Type::Date | Type::Datetime), "a number or a date")
            }
            Pick::Mean => (of.is_number(), "a number"),
        };
        if !fits {
            let problem = TypeProblem::new(format!("expected {wanted}, found {}", of.name()));
            self.note(problem.hint("first(…) and last(…) take any column"));
        }
    }
}

/// A name that is no table.
pub(crate) fn unknown_table<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> TypeProblem {
    let known: Vec<&str> = known.collect();
    let problem = TypeProblem::new(format!("unknown table `{name}`"));
    problem.hint(match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("name its dataset under [tables]: {name} = \"DATASET@VERSION\""),
        None => format!("the tables are {}", known.join(", ")),
    })
}

/// A problem that is about a column of a table.
fn within(table: &TableName, problem: TypeProblem) -> TypeProblem {
    TypeProblem { message: format!("in {table}: {}", problem.message), ..problem }
}

/// What a numeric measure is made of, of whatever rows. Versions of a dataset are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Source {
    /// A stored column, by the dataset's name.
    Column(String, ColumnName),
    /// How many rows of a dataset there are.
    Count(String),
    /// An age, of whatever day.
    Age,
}

impl Source {
    /// All that a measure reads: each by the name of a column that reads it, and with the rows of other tables that **the measure** chooses. They
    /// count for its other factor, too: a count that is one for all patients but one makes a product of the column with it that is the
    /// column without this patient.
    pub fn all(
        measure: &Measure,
        query: &Query,
        contracts: &Contracts<'_>,
    ) -> BTreeMap<Self, (ColumnName, BTreeSet<Vec<u8>>)> {
        let mut all = BTreeMap::new();
        let mut chosen = BTreeSet::new();
        for column in measure.columns() {
            let (source, rows) = Self::of(column, query, contracts);
            // An age is of the patient: it chooses no rows, and differs from others by its day alone.
            let age = source == Self::Age;
            let (_, own) = all.entry(source).or_insert_with(|| (column.clone(), BTreeSet::new()));
            if age { own.extend(rows) } else { chosen.extend(rows) }
        }
        let of_rows = all.iter_mut().filter(|(source, _)| **source != Self::Age);
        of_rows.for_each(|(_, (_, rows))| rows.extend(chosen.iter().cloned()));
        all
    }

    /// That of a column of the base or of a feature, and what the feature chooses, in canonical bytes.
    fn of(name: &ColumnName, query: &Query, contracts: &Contracts<'_>) -> (Self, Option<Vec<u8>>) {
        let dataset = |table: &TableName| query.related.get(table).map_or(&query.dataset, |table| &table.dataset);
        let feature = query.features.iter().find(|feature| feature.name == *name).map(|feature| &feature.of);
        let chosen = |of: &Derived| {
            let own = of.table().and_then(|table| contracts.related.get(table)).copied().unwrap_or(contracts.base);
            Some(crate::trust::canonical(&super::normal::derived(of, own)).unwrap_or_default())
        };
        match feature {
            Some(of @ Derived::Pick { column, rows, .. }) => {
                (Self::Column(dataset(&rows.table).name().to_owned(), column.clone()), chosen(of))
            }
            Some(of @ (Derived::Count { rows } | Derived::Has { rows, .. })) => {
                (Self::Count(dataset(&rows.table).name().to_owned()), chosen(of))
            }
            Some(of @ Derived::Age { .. }) => (Self::Age, chosen(of)),
            Some(Derived::Value { table, column }) => {
                (Self::Column(dataset(table).name().to_owned(), column.clone()), None)
            }
            Some(Derived::Predicted(_)) | None => (Self::Column(query.dataset.name().to_owned(), name.clone()), None),
        }
    }
}

/// What a query reads, `names` being those that its filter and its statistic read.
pub(super) fn touches<'a>(
    query: &Query,
    names: impl Iterator<Item = &'a ColumnName>,
    contracts: &Contracts<'_>,
) -> Touches {
    let mut base: BTreeSet<ColumnName> = names.cloned().collect();
    let mut touches = Touches::new();
    for feature in &query.features {
        base.extend(feature.of.reads().cloned());
        let contract = match feature.of.table() {
            Some(table) => contracts.related.get(table).copied(),
            None => Some(contracts.base),
        };
        if let Some(contract) = contract {
            let columns = touches.entry(contract.id().clone()).or_default();
            columns.extend(sources(&feature.of, contract).into_iter().cloned());
        }
    }
    base.retain(|name| query.features.iter().all(|feature| feature.name != *name));
    touches.entry(query.dataset.clone()).or_default().extend(base);
    touches
}

/// The columns of its table that a feature reads.
fn sources<'a>(of: &'a Derived, table: &'a Contract) -> Vec<&'a ColumnName> {
    let by_time = |pick: &Pick| matches!(pick, Pick::First | Pick::Last);
    let (mut columns, timed) = match of {
        Derived::Has { .. } | Derived::Count { .. } => (vec![], false),
        Derived::Pick { pick, column, .. } => (vec![column], by_time(pick)),
        Derived::Value { column, .. } => (vec![column], false),
        Derived::Age { .. } => (table.birth().into_iter().collect(), false),
        Derived::Predicted(_) => (vec![], false),
    };
    if let Some(rows) = of.rows() {
        columns.extend(rows.filter.iter().flat_map(|filter| filter.columns()));
        columns.extend(table.time().filter(|_| timed || rows.window.is_some()));
    }
    columns
}
