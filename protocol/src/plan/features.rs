//! Checking of features: each against the base with the features before it, and against the table that it looks into.

mod reads;

use std::collections::BTreeMap;

use super::typing::{Columns, Type, TypeProblem, check_condition};
use super::{Contracts, Derived, Edge, Feature, Moment, Pick, Query, Rows, Window, plausible};
use crate::contract::{Contract, Subject, feature_column};
use crate::ids::{ColumnName, ContractId, TableName};
use crate::limits;
use crate::settings::{Problems, nearest};

/// The days that a text can name: to the end of the year 9999.
const LAST_DAY: u32 = 2_932_896;

pub use reads::Touches;
pub(super) use reads::{Source, touches};

/// Contracts with the features so far as further columns: what expressions over their tables are checked against.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Known {
    /// That of the base.
    pub base: Contract,
    /// Those of the related tables.
    pub tables: BTreeMap<TableName, Contract>,
}

impl Known {
    /// Without features.
    pub fn of(contracts: &Contracts<'_>) -> Self {
        let owned = |(name, contract): (&TableName, &&Contract)| (name.clone(), (*contract).clone());
        Self { base: contracts.base.clone(), tables: contracts.related.iter().map(owned).collect() }
    }

    /// That of a table; of the base where none is named.
    pub fn at(&self, table: Option<&TableName>) -> Option<&Contract> {
        match table {
            None => Some(&self.base),
            Some(table) => self.tables.get(table),
        }
    }

    /// Adds one more feature. One whose table or column is not there is left out.
    pub fn add(&mut self, feature: &Feature) {
        let Some(own) = self.at(feature.on.as_ref()) else { return };
        let Some(column) = feature_column(own, feature, |table| self.tables.get(table)) else { return };
        match &feature.on {
            None => self.base.push(column),
            Some(table) => drop(self.tables.get_mut(table).map(|contract| contract.push(column))),
        }
    }
}

/// The contracts with the query's features, where it has any. What is wrong with one is noted, and those after it are looked at too.
pub(super) fn extended(query: &Query, contracts: &Contracts<'_>, problems: &mut Problems) -> Option<Known> {
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
    let mut known = Known::of(&Contracts { base: contracts.base, related: tables });
    for (i, feature) in query.features.iter().enumerate().take(limits::FEATURES) {
        for problem in check_feature(feature, &known, &query.features[..i]) {
            note(&format!("features[{i}]"), problem);
        }
        known.add(feature);
    }
    Some(known)
}

/// What is wrong with a feature. `known` are the contracts with the features `before` it.
pub(crate) fn check_feature(feature: &Feature, known: &Known, before: &[Feature]) -> Vec<TypeProblem> {
    let mut check = Check { known, before, feature, problems: Vec::new() };
    let taken = known.at(feature.on.as_ref()).is_some_and(|own| own.column(feature.name.as_str()).is_some());
    if taken || before.iter().any(|other| other.name == feature.name) {
        check.note(TypeProblem::new(format!("there is a column `{}` already", feature.name)));
    }
    check.derived(&feature.of);
    check.problems
}

struct Check<'a> {
    known: &'a Known,
    before: &'a [Feature],
    feature: &'a Feature,
    problems: Vec<TypeProblem>,
}

impl<'a> Check<'a> {
    fn note(&mut self, problem: TypeProblem) {
        self.problems.push(problem);
    }

    fn derived(&mut self, of: &Derived) {
        if let Some(on) = &self.feature.on {
            self.table(on);
        }
        let of_rows = self.feature.is_of_rows(&self.known.base, self.before);
        if of_rows && !matches!(of, Derived::Has { .. } | Derived::Count { .. } | Derived::Reached { .. }) {
            let problem = TypeProblem::new("other rows about a row are counted, by has or count");
            self.note(problem.hint(
                "a window for first, last and the like begins at a date of the patient, e.g. after = first(TABLE.DATE)",
            ));
        }
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
            Derived::Sum { column, rows, at_most } => {
                if !(1..=limits::FEATURE_COUNT).contains(at_most) {
                    let most = limits::FEATURE_COUNT;
                    self.note(TypeProblem::new(format!("`at_most` is a whole number from 1 to {most}")));
                }
                if let Some(table) = self.rows(rows)
                    && let Some(of) = self.readable(column, &rows.table, table).filter(|of| !of.is_number())
                {
                    self.note(TypeProblem::new(format!("expected a number, found {}", of.name())));
                }
            }
            Derived::Reached { through, table, column } => self.reached(through, table, column),
            Derived::Value { table, column } => {
                if let Some(contract) = self.one_row(table) {
                    self.readable(column, table, contract);
                }
            }
            Derived::Age { table, at } => {
                let contract = match table {
                    None => Some(&self.known.base),
                    Some(table) => self.one_row(table),
                };
                if let Some(contract) = contract.filter(|contract| contract.birth().is_none()) {
                    let problem = TypeProblem::new(format!("`{}` does not say when a patient was born", contract.id()));
                    self.note(problem.hint("its contract names the column: birth = \"…\""));
                }
                self.moment(at);
            }
            Derived::Predicted(of) => {
                if let Err(problems) = of.lower(&self.known.base) {
                    self.problems.extend(problems);
                }
            }
            Derived::Plausible { column, lo, hi } => {
                let predicts = |of: &Feature| of.name == *column && matches!(of.of, Derived::Predicted(_));
                if self.before.iter().any(predicts) {
                    // Else a sum of it would be one of those whom a steep score singles out.
                    let problem = TypeProblem::new("what a model predicts has its range already");
                    self.note(problem.hint("its bands are a key: cut(predict(MODEL), 0.1, 0.2)"));
                } else if let Err(problem) = plausible::narrows(column, (*lo, *hi), &self.known.base) {
                    self.note(problem);
                }
            }
        }
    }

    /// The row of the same patient that a column refers to.
    fn reached(&mut self, through: &ColumnName, name: &TableName, column: &ColumnName) {
        let known = self.known;
        let Some(own) = known.at(self.feature.on.as_ref()) else { return };
        let Some(table) = self.table(name) else { return };
        let Some(reference) = own.column(through.as_str()) else {
            return self.note(Columns::Contract(own).unknown(through.as_str()));
        };
        if reference.references.as_deref() != Some(table.id().name()) {
            let problem = TypeProblem::new(format!("`{through}` does not refer to rows of {name}"));
            return self.note(problem.hint(format!("its contract says so: references = \"{}\"", table.id().name())));
        }
        let key = table.key().and_then(|key| table.column(key.as_str()));
        match key.map(|key| key.kind.name() == reference.kind.name()) {
            Some(true) => drop(self.readable(column, name, table)),
            Some(false) => {
                let problem = format!("`{through}` is of type {}, and the key of {name} is not", reference.kind.name());
                self.note(TypeProblem::new(problem));
            }
            None => {
                let problem = TypeProblem::new(format!("`{name}` does not say what tells its rows apart"));
                self.note(problem.hint(format!("the contract {} names the column: key = \"…\"", table.id())));
            }
        }
    }

    /// The table, which must share its patients with the base.
    fn table(&mut self, name: &TableName) -> Option<&'a Contract> {
        let known = self.known;
        let Some(table) = known.tables.get(name) else {
            self.note(unknown_table(name.as_str(), known.tables.keys().map(TableName::as_str)));
            return None;
        };
        let base = &known.base;
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
            self.moment(at);
        }
    }

    fn timed(&mut self, table: &Contract, name: &TableName, so: &str) {
        if table.time().is_none() {
            let problem = TypeProblem::new(format!("`{name}` does not say when its rows happened: {so}"));
            self.note(problem.hint(format!("the contract {} names the column: time = \"…\"", table.id())));
        }
    }

    fn moment(&mut self, moment: &Moment) {
        let known = self.known;
        match moment {
            Moment::Date(day) if day.unsigned_abs() <= LAST_DAY => {}
            Moment::Date(_) => self.note(TypeProblem::new("a day beyond the year 9999")),
            Moment::Column(name) => {
                let Some(own) = known.at(self.feature.on.as_ref()) else { return };
                match Columns::Contract(own).type_of(name) {
                    Err(problem) => self.note(problem),
                    Ok(Type::Date | Type::Datetime) => {}
                    Ok(other) => {
                        let problem = TypeProblem::new(format!("expected a date, found {}", other.name()));
                        self.note(
                            problem.hint("write date '2020-01-31', today, or a column or feature that is a date"),
                        );
                    }
                }
            }
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
