//! Features as people read them: what is read of which table, and when it must have happened.

use super::{Literal, expression, literal};
use crate::contract::Contract;
use crate::plan::{Contracts, Derived, Edge, Feature, Moment, Pick, Rows, Window};

/// A feature with its name.
pub(in crate::plan) fn feature(feature: &Feature, contracts: &Contracts<'_>) -> String {
    format!("{} is {}", feature.name, derived(&feature.of, contracts))
}

fn derived(of: &Derived, contracts: &Contracts<'_>) -> String {
    match of {
        Derived::Has { rows: of, at_least: 1 } => format!("whether the patient has a row {}", rows(of)),
        Derived::Has { rows: of, at_least } => format!("whether the patient has at least {at_least} rows {}", rows(of)),
        Derived::Count { rows: of } => format!("how many rows the patient has {}", rows(of)),
        Derived::Pick { pick, column, rows: of } => {
            let (what, which) = match pick {
                Pick::First => (format!("{column}"), "the patient's first row"),
                Pick::Last => (format!("{column}"), "the patient's last row"),
                Pick::Least => (format!("the smallest {column}"), "the patient's rows"),
                Pick::Greatest => (format!("the greatest {column}"), "the patient's rows"),
                Pick::Mean => (format!("the mean {column}"), "the patient's rows"),
            };
            format!("{what} of {which} {}", rows(of))
        }
        Derived::Value { table, column } => format!("{column} of the patient's row in {table}"),
        Derived::Age { table, at } => {
            let contract = match table {
                Some(table) => contracts.related.get(table).copied(),
                None => Some(contracts.base),
            };
            let birth = contract.and_then(Contract::birth).map_or_else(|| "birth".to_owned(), ToString::to_string);
            let of = table.as_ref().map(|table| format!(" in {table}")).unwrap_or_default();
            format!("the age in completed years at {}, from {birth}{of}", moment(at))
        }
    }
}

fn rows(rows: &Rows) -> String {
    let condition = rows.filter.as_ref().map(|filter| format!(" where {}", expression(filter))).unwrap_or_default();
    let window = rows.window.as_ref().map(|window| format!(", dated {}", dated(window))).unwrap_or_default();
    format!("in {}{condition}{window}", rows.table)
}

fn dated(window: &Window) -> String {
    let from = window.from.as_ref().map(|edge| format!("from {} on", day(edge)));
    let to = window.to.as_ref().map(|edge| format!("until {}", day(edge)));
    from.into_iter().chain(to).collect::<Vec<_>>().join(" and ")
}

fn day(edge: &Edge) -> String {
    let at = moment(&edge.at);
    let days = |n: u32| if n == 1 { "1 day".to_owned() } else { format!("{n} days") };
    match edge.days {
        0 => at,
        n if n > 0 => format!("{} after {at}", days(n.unsigned_abs())),
        n => format!("{} before {at}", days(n.unsigned_abs())),
    }
}

fn moment(moment: &Moment) -> String {
    match moment {
        Moment::Date(day) => literal(&Literal::Date(*day)),
        Moment::Column(name) => name.to_string(),
    }
}
