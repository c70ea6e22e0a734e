//! Features in normal form: what the researcher called them and their tables, in which order they stand, and those that nothing reads, all
//! make no difference.

use std::collections::{BTreeMap, BTreeSet};

use super::called::Called;
use super::{measure, normal, truth};
use crate::contract::Contract;
use crate::ids::{ColumnName, Digest, TableName};
use crate::plan::features::Known;
use crate::plan::{
    Bins, Contracts, Derived, Discovered, Edge, Expr, Feature, Measure, Moment, Plan, Query, RelatedTable, Rows,
    Statistic, Table, Window,
};
use crate::trust::canonical;

/// The plan with its tables named after their datasets, and its features after their place among those that are read; and what they were called.
/// One that cannot be named so, because two of its tables have one name, stays as it is.
pub(super) fn named(plan: &Plan, contracts: &Contracts<'_>) -> (Plan, Called) {
    let query = &plan.query;
    let as_it_is = || {
        let own = |feature: &Feature| (feature.name.clone(), feature.name.clone());
        (plan.clone(), Called::of(&query.features, query.features.iter().map(own)))
    };
    let Some(tables) = tables(&query.related) else { return as_it_is() };
    let used = used(plan);
    let mut found: Vec<Content> = Vec::new();
    let mut contents: BTreeMap<Read, ColumnName> = BTreeMap::new();
    let mut known = Known::of(contracts);
    for feature in query.features.iter().filter(|feature| used.contains(&(feature.on.clone(), feature.name.clone()))) {
        let name = |on: Option<&TableName>, name: &ColumnName| {
            contents.get(&(on.cloned(), name.clone())).unwrap_or(name).clone()
        };
        let table = |table: &TableName| tables.get(table).unwrap_or(table).clone();
        // Conditions are put in order under names that say what features are: those of the text say nothing.
        let own = renamed(feature, &TableName::clone, &name);
        let of = known.at(own.of.table()).map_or_else(|| own.of.clone(), |contract| plain(&own.of, contract));
        let made = renamed(&Feature { of, ..own.clone() }, &table, &|_, name| name.clone());
        let reads: Vec<ColumnName> = own.reads().into_iter().map(|(_, name)| name.clone()).collect();
        let depths = found.iter().filter(|content| reads.contains(&content.of.name)).map(|content| content.depth + 1);
        let depth = depths.max().unwrap_or(0);
        let Some(content) = content(&made) else { return as_it_is() };
        if found.iter().all(|other| other.of.name != content) {
            found.push(Content { depth, of: Feature { name: content.clone(), ..made } });
            known.add(&Feature { name: content.clone(), ..own });
        }
        contents.insert((feature.on.clone(), feature.name.clone()), content);
    }
    found.sort_by(|a, b| (a.depth, &a.of.name).cmp(&(b.depth, &b.of.name)));
    let taken = |name: &ColumnName| {
        let tables = contracts.related.iter().filter(|(table, _)| query.related.contains_key(table));
        let mut all = tables.map(|(_, contract)| *contract).chain([contracts.base]);
        all.any(|contract| contract.column(name.as_str()).is_some())
    };
    let free = (1..).filter_map(|n| format!("f{n}").parse::<ColumnName>().ok()).filter(|name| !taken(name));
    let names: BTreeMap<&ColumnName, ColumnName> = found.iter().map(|content| &content.of.name).zip(free).collect();
    let last = |content: &ColumnName| names.get(content).unwrap_or(content).clone();
    let name = |old: &ColumnName| last(contents.get(&(None, old.clone())).unwrap_or(old));
    let written = query.features.iter().filter_map(|feature| {
        let content = contents.get(&(feature.on.clone(), feature.name.clone()))?;
        Some((last(content), feature.name.clone()))
    });
    let features: Vec<Feature> = found
        .iter()
        .map(|content| Feature {
            name: last(&content.of.name),
            ..renamed(&content.of, &TableName::clone, &|_, content| last(content))
        })
        .collect();
    let called = Called::of(&features, written);
    let read: BTreeSet<&TableName> = features.iter().flat_map(Feature::tables).collect();
    let related = query.related.iter().filter_map(|(old, table)| Some((tables.get(old)?.clone(), table.clone())));
    let named = Plan {
        query: Query {
            related: related.filter(|(name, _)| read.contains(name)).collect(),
            filter: query.filter.as_ref().map(|filter| filter.renamed(&name)),
            features,
            ..query.clone()
        },
        statistic: statistic(&plan.statistic, &name),
    };
    (named, called)
}

/// A column, with the related table that has it; none is the base.
type Read = (Option<TableName>, ColumnName);

/// A feature under a name that follows from what it is.
struct Content {
    /// How many features stand before it in the longest chain.
    depth: usize,
    of: Feature,
}

/// A name for each feature of a plan in normal form that follows from what it is, whatever others the plan has.
pub(in crate::plan) fn contents(features: &[Feature]) -> BTreeMap<ColumnName, ColumnName> {
    let mut contents: BTreeMap<ColumnName, ColumnName> = BTreeMap::new();
    for feature in features {
        let of = renamed(feature, &TableName::clone, &|_, name| contents.get(name).unwrap_or(name).clone());
        if let Some(name) = content(&of) {
            contents.insert(feature.name.clone(), name);
        }
    }
    contents
}

/// The name says whose rows it is of, where those are not the base's.
fn content(feature: &Feature) -> Option<ColumnName> {
    let of = canonical(&feature.of).ok()?;
    let mut parts: Vec<&[u8]> = vec![&of];
    parts.extend(feature.on.iter().map(|on| on.as_str().as_bytes()));
    let digest = Digest::of("bocage/feature/1", &parts);
    format!("x{}", &digest.to_string()[..40]).parse().ok()
}

/// Each table's name after its dataset; nothing where two would be one.
fn tables(related: &BTreeMap<TableName, RelatedTable>) -> Option<BTreeMap<TableName, TableName>> {
    let named = related.iter().map(|(old, table)| {
        let name = table.dataset.name().replace('-', "_");
        Some((old.clone(), name.parse::<TableName>().ok()?))
    });
    let named: BTreeMap<TableName, TableName> = named.collect::<Option<_>>()?;
    let distinct: BTreeSet<&TableName> = named.values().collect();
    (distinct.len() == named.len()).then_some(named)
}

/// What filter and statistic read, and what the features among it read.
fn used(plan: &Plan) -> BTreeSet<Read> {
    let filter = plan.query.filter.iter().flat_map(|filter| filter.columns());
    let mut used: BTreeSet<Read> = filter.chain(plan.statistic.columns()).map(|name| (None, name.clone())).collect();
    for feature in plan.query.features.iter().rev() {
        if used.contains(&(feature.on.clone(), feature.name.clone())) {
            used.extend(feature.reads().into_iter().map(|(on, name)| (on.cloned(), name.clone())));
        }
    }
    used
}

/// The feature with its condition and its window in normal form.
pub(in crate::plan) fn plain(of: &Derived, own: &Contract) -> Derived {
    let rows = |Rows { table, filter, window }: Rows| Rows {
        filter: filter.as_ref().map(|filter| normal(filter, own)).filter(|filter| *filter != truth(true)),
        window: window.map(|Window { from, to }| Window { from: from.map(edge), to: to.map(edge) }),
        table,
    };
    match of.clone() {
        Derived::Has { rows: of, at_least } => Derived::Has { rows: rows(of), at_least },
        Derived::Count { rows: of } => Derived::Count { rows: rows(of) },
        Derived::Pick { pick, column, rows: of } => Derived::Pick { pick, column, rows: rows(of) },
        Derived::Sum { column, rows: of, at_most } => Derived::Sum { column, rows: rows(of), at_most },
        Derived::Predicted(of) => {
            let normal = |key: &Expr| normal(key, own);
            Derived::Predicted(Box::new(of.map(&|of| measure(of, own), &normal).sorted()))
        }
        other => other,
    }
}

/// So many days after a date are a date.
fn edge(edge: Edge) -> Edge {
    match edge.at {
        Moment::Date(day) => match day.checked_add(edge.days) {
            Some(day) => Edge { at: Moment::Date(day), days: 0 },
            None => edge,
        },
        Moment::Column(_) => edge,
    }
}

/// The feature with other names of tables, and of columns by the tables that have them; its own stays.
fn renamed(
    feature: &Feature,
    table: &impl Fn(&TableName) -> TableName,
    name: &impl Fn(Option<&TableName>, &ColumnName) -> ColumnName,
) -> Feature {
    let on = feature.on.as_ref();
    let moment = |moment: &Moment| match moment {
        Moment::Date(day) => Moment::Date(*day),
        Moment::Column(column) => Moment::Column(name(on, column)),
    };
    let edge = |edge: &Edge| Edge { at: moment(&edge.at), days: edge.days };
    let window = |window: &Window| Window { from: window.from.as_ref().map(edge), to: window.to.as_ref().map(edge) };
    let rows = |rows: &Rows| Rows {
        table: table(&rows.table),
        filter: rows.filter.as_ref().map(|filter| filter.renamed(&|column| name(Some(&rows.table), column))),
        window: rows.window.as_ref().map(window),
    };
    let of = match &feature.of {
        Derived::Has { rows: of, at_least } => Derived::Has { rows: rows(of), at_least: *at_least },
        Derived::Count { rows: of } => Derived::Count { rows: rows(of) },
        Derived::Pick { pick, column, rows: of } => {
            Derived::Pick { pick: *pick, column: name(Some(&of.table), column), rows: rows(of) }
        }
        Derived::Sum { column, rows: of, at_most } => {
            Derived::Sum { column: name(Some(&of.table), column), rows: rows(of), at_most: *at_most }
        }
        Derived::Value { table: of, column } => Derived::Value { table: table(of), column: name(Some(of), column) },
        Derived::Reached { through, table: of, column } => {
            Derived::Reached { through: name(on, through), table: table(of), column: name(Some(of), column) }
        }
        Derived::Age { table: of, at } => Derived::Age { table: of.as_ref().map(table), at: moment(at) },
        Derived::Predicted(of) => {
            let own = |column: &ColumnName| name(on, column);
            Derived::Predicted(Box::new(of.map(&|of| of.renamed(&own), &|key| key.renamed(&own))))
        }
        Derived::Plausible { column, lo, hi } => Derived::Plausible { column: name(on, column), lo: *lo, hi: *hi },
    };
    Feature { name: feature.name.clone(), on: on.map(table), of }
}

fn statistic(statistic: &Statistic, name: &impl Fn(&ColumnName) -> ColumnName) -> Statistic {
    let all = |parts: &[Expr]| parts.iter().map(|part| part.renamed(name)).collect();
    let measure = |measure: &Measure| measure.renamed(name);
    let table = |table: &Table| Table {
        by: all(&table.by),
        measures: table.measures.iter().map(measure).collect(),
        roll_up: table.roll_up,
    };
    match statistic {
        Statistic::Table(of) => Statistic::Table(table(of)),
        Statistic::Discovered(Discovered { key, table: of }) => {
            Statistic::Discovered(Discovered { key: name(key), table: table(of) })
        }
        Statistic::Bins(Bins::Column(column)) => Statistic::Bins(Bins::Column(name(column))),
        Statistic::Bins(Bins::Steps(steps)) => Statistic::Bins(Bins::Steps(all(steps))),
        Statistic::Model(model) => Statistic::Model(model.map(&measure, &|key| key.renamed(name))),
        Statistic::Bins(Bins::Lines(lines)) => Statistic::Bins(Bins::Lines(lines.map(|part| part.renamed(name)))),
    }
}
