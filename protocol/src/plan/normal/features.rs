//! Features in normal form: what the researcher called them and their tables, in which order they stand, and those that nothing reads, all
//! make no difference.

use std::collections::{BTreeMap, BTreeSet};

use super::{measure, normal, truth};
use crate::contract::Contract;
use crate::ids::{ColumnName, Digest, TableName};
use crate::plan::{
    Bins, Contracts, Derived, Discovered, Edge, Expr, Feature, Measure, Moment, Plan, Query, RelatedTable, Rows,
    Statistic, Table, Window,
};
use crate::trust::canonical;

/// The plan with its tables named after their datasets, and its features after their place among those that are read. One that cannot be
/// named so, because two of its tables have one name, stays as it is.
pub(super) fn named(plan: &Plan, contracts: &Contracts<'_>) -> Plan {
    let base = contracts.base;
    let query = &plan.query;
    let Some(tables) = tables(&query.related) else { return plan.clone() };
    let used = used(plan);
    let mut found: Vec<Content> = Vec::new();
    let mut contents: BTreeMap<ColumnName, ColumnName> = BTreeMap::new();
    for feature in query.features.iter().filter(|feature| used.contains(&feature.name)) {
        let depths =
            feature.of.reads().filter_map(|m| contents.get(m)).filter_map(|m| found.iter().find(|f| f.name == *m));
        let depth = depths.map(|f| f.depth + 1).max().unwrap_or(0);
        let own = feature.of.table().and_then(|table| contracts.related.get(table)).copied().unwrap_or(base);
        let of = derived(&feature.of, own, &tables, &|name| contents.get(name).unwrap_or(name).clone());
        let Some(name) = content(&of) else { return plan.clone() };
        if found.iter().all(|other| other.name != name) {
            found.push(Content { name: name.clone(), depth, of });
        }
        contents.insert(feature.name.clone(), name);
    }
    found.sort_by(|a, b| (a.depth, &a.name).cmp(&(b.depth, &b.name)));
    let free =
        (1..).filter_map(|n| format!("f{n}").parse::<ColumnName>().ok()).filter(|n| base.column(n.as_str()).is_none());
    let names: BTreeMap<&ColumnName, ColumnName> = found.iter().map(|content| &content.name).zip(free).collect();
    let name = |old: &ColumnName| {
        let content = contents.get(old).unwrap_or(old);
        names.get(content).unwrap_or(content).clone()
    };
    let no_other = |name: &TableName| name.clone();
    let features: Vec<Feature> =
        found.iter().map(|c| Feature { name: name(&c.name), of: renamed(&c.of, &no_other, &name) }).collect();
    let read: BTreeSet<&TableName> = features.iter().filter_map(|feature| feature.of.table()).collect();
    let related = query.related.iter().filter_map(|(old, table)| Some((tables.get(old)?.clone(), table.clone())));
    Plan {
        query: Query {
            related: related.filter(|(name, _)| read.contains(name)).collect(),
            filter: query.filter.as_ref().map(|filter| filter.renamed(&name)),
            features,
            ..query.clone()
        },
        statistic: statistic(&plan.statistic, &name),
    }
}

/// A feature under a name that follows from what it is.
struct Content {
    name: ColumnName,
    /// How many features stand before it in the longest chain.
    depth: usize,
    of: Derived,
}

/// A name for each feature of a plan in normal form that follows from what it is, whatever others the plan has.
pub(in crate::plan) fn contents(features: &[Feature]) -> BTreeMap<ColumnName, ColumnName> {
    let mut contents: BTreeMap<ColumnName, ColumnName> = BTreeMap::new();
    for feature in features {
        let of = renamed(&feature.of, &TableName::clone, &|name| contents.get(name).unwrap_or(name).clone());
        if let Some(name) = content(&of) {
            contents.insert(feature.name.clone(), name);
        }
    }
    contents
}

fn content(of: &Derived) -> Option<ColumnName> {
    let digest = Digest::of("bocage/feature/1", &[&canonical(of).ok()?]);
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

/// The features that filter and statistic read, and those that these read.
fn used(plan: &Plan) -> BTreeSet<ColumnName> {
    let filter = plan.query.filter.iter().flat_map(|filter| filter.columns());
    let mut used: BTreeSet<ColumnName> = filter.chain(plan.statistic.columns()).cloned().collect();
    for feature in plan.query.features.iter().rev() {
        if used.contains(&feature.name) {
            used.extend(feature.of.reads().cloned());
        }
    }
    used
}

fn derived(
    of: &Derived,
    own: &Contract,
    tables: &BTreeMap<TableName, TableName>,
    name: &impl Fn(&ColumnName) -> ColumnName,
) -> Derived {
    plain(&renamed(of, &|table| tables.get(table).unwrap_or(table).clone(), name), own)
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

fn renamed(
    of: &Derived,
    table: &impl Fn(&TableName) -> TableName,
    name: &impl Fn(&ColumnName) -> ColumnName,
) -> Derived {
    let moment = |moment: &Moment| match moment {
        Moment::Date(day) => Moment::Date(*day),
        Moment::Column(column) => Moment::Column(name(column)),
    };
    let edge = |edge: &Edge| Edge { at: moment(&edge.at), days: edge.days };
    let window = |window: &Window| Window { from: window.from.as_ref().map(edge), to: window.to.as_ref().map(edge) };
    let rows = |rows: &Rows| Rows {
        table: table(&rows.table),
        filter: rows.filter.clone(),
        window: rows.window.as_ref().map(window),
    };
    match of {
        Derived::Has { rows: of, at_least } => Derived::Has { rows: rows(of), at_least: *at_least },
        Derived::Count { rows: of } => Derived::Count { rows: rows(of) },
        Derived::Pick { pick, column, rows: of } => {
            Derived::Pick { pick: *pick, column: column.clone(), rows: rows(of) }
        }
        Derived::Value { table: of, column } => Derived::Value { table: table(of), column: column.clone() },
        Derived::Age { table: of, at } => Derived::Age { table: of.as_ref().map(table), at: moment(at) },
        Derived::Predicted(of) => {
            Derived::Predicted(Box::new(of.map(&|of| of.renamed(name), &|key| key.renamed(name))))
        }
    }
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
