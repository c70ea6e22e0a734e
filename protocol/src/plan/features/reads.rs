//! What features and measures read of which dataset: what permits ask of a plan, and what keeps two measures from being one value's difference.

use std::collections::{BTreeMap, BTreeSet};

use crate::contract::Contract;
use crate::ids::{ColumnName, ContractId, TableName};
use crate::plan::{Contracts, Derived, Feature, Measure, Pick, Query};

/// Which columns of which datasets something reads. A dataset of which only the rows matter is there too, with none.
pub type Touches = BTreeMap<ContractId, BTreeSet<ColumnName>>;

/// What a numeric measure is made of, of whatever rows. Versions of a dataset are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::plan) enum Source {
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

    /// That of a column of the base or of a feature, and what the feature chooses, in canonical bytes. Who has a plausible value is chosen like rows.
    fn of(name: &ColumnName, query: &Query, contracts: &Contracts<'_>) -> (Self, BTreeSet<Vec<u8>>) {
        let dataset = |table: &TableName| query.related.get(table).map_or(&query.dataset, |table| &table.dataset);
        let feature = query.features.iter().find(|feature| feature.name == *name).map(|feature| &feature.of);
        let chosen = |of: &Derived| {
            let own = of.table().and_then(|table| contracts.related.get(table)).copied().unwrap_or(contracts.base);
            BTreeSet::from([crate::trust::canonical(&crate::plan::normal::derived(of, own)).unwrap_or_default()])
        };
        let column = |table: &TableName, column: &ColumnName| {
            let (table, column) = stored(table, column, query);
            Self::Column(dataset(table).name().to_owned(), column.clone())
        };
        match feature {
            Some(of @ (Derived::Pick { column: name, rows, .. } | Derived::Sum { column: name, rows, .. })) => {
                (column(&rows.table, name), chosen(of))
            }
            Some(of @ Derived::Reached { table, column: name, .. }) => (column(table, name), chosen(of)),
            Some(of @ (Derived::Count { rows } | Derived::Has { rows, .. })) => {
                (Self::Count(dataset(&rows.table).name().to_owned()), chosen(of))
            }
            Some(of @ Derived::Age { .. }) => (Self::Age, chosen(of)),
            Some(Derived::Value { table, column: name }) => (column(table, name), BTreeSet::new()),
            // Each feature reads earlier ones only, so this comes to an end.
            Some(of @ Derived::Plausible { column, .. }) if column != name => {
                let (source, mut rows) = Self::of(column, query, contracts);
                rows.extend(chosen(of));
                (source, rows)
            }
            _ => (Self::Column(query.dataset.name().to_owned(), name.clone()), BTreeSet::new()),
        }
    }
}

/// The column of a snapshot whose values a column of a table has: another one's where rows refer to that.
fn stored<'a>(table: &'a TableName, column: &'a ColumnName, query: &'a Query) -> (&'a TableName, &'a ColumnName) {
    // Each feature reads earlier ones only.
    query.features.iter().rev().fold((table, column), |(table, column), feature| match &feature.of {
        Derived::Reached { table: there, column: value, .. }
            if feature.on.as_ref() == Some(table) && feature.name == *column =>
        {
            (there, value)
        }
        _ => (table, column),
    })
}

/// What a query reads, `names` being those that its filter and its statistic read.
pub(in crate::plan) fn touches<'a>(
    query: &Query,
    names: impl Iterator<Item = &'a ColumnName>,
    contracts: &Contracts<'_>,
) -> Touches {
    let mut touches = Touches::new();
    let dataset = |table: Option<&TableName>| match table {
        Some(table) => query.related.get(table).map(|table| &table.dataset),
        None => Some(&query.dataset),
    };
    let is_feature = |(on, name): &(Option<&TableName>, &ColumnName)| {
        query.features.iter().any(|feature| feature.on.as_ref() == *on && feature.name == **name)
    };
    touches.entry(query.dataset.clone()).or_default();
    let mut add = |read: (Option<&TableName>, &ColumnName)| {
        let contract = match read.0 {
            Some(table) => contracts.related.get(table).copied(),
            None => Some(contracts.base),
        };
        // What names a row is read by nobody: it says which one is meant, as the subject does of patients.
        let named = contract.is_some_and(|contract| contract.names_a_row(read.1.as_str()));
        if let Some(dataset) = dataset(read.0).filter(|_| !named && !is_feature(&read)) {
            touches.entry(dataset.clone()).or_default().insert(read.1.clone());
        }
    };
    names.for_each(|name| add((None, name)));
    for feature in &query.features {
        feature.reads().into_iter().for_each(&mut add);
        times(feature, contracts).into_iter().for_each(&mut add);
    }
    for table in query.features.iter().flat_map(Feature::tables) {
        if let Some(dataset) = dataset(Some(table)) {
            touches.entry(dataset.clone()).or_default();
        }
    }
    touches
}

/// The birth, or the time and the order of rows of one time, by which a feature goes, with its table.
fn times<'a>(feature: &'a Feature, contracts: &Contracts<'a>) -> Vec<(Option<&'a TableName>, &'a ColumnName)> {
    let table = feature.of.table();
    let own: Option<&'a Contract> = match table {
        Some(table) => contracts.related.get(table).copied(),
        None => Some(contracts.base),
    };
    let Some(own) = own else { return Vec::new() };
    let names = match &feature.of {
        Derived::Age { .. } => [own.birth(), None],
        Derived::Pick { pick: Pick::First | Pick::Last, .. } => [own.time(), own.order()],
        of => [own.time().filter(|_| of.rows().is_some_and(|rows| rows.window.is_some())), None],
    };
    names.into_iter().flatten().map(|name| (table, name)).collect()
}
