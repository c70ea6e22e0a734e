//! A contract with a query's features as columns: what keys, filters and measures are checked against.

use std::collections::BTreeMap;

use super::{Column, Contract, Kind, OnInvalid};
use crate::ids::TableName;
use crate::limits;
use crate::plan::{Contracts, Derived, Feature, Known, Pick, Rows};

impl Contract {
    /// The **virtual** contract of a query: this one's columns, and each feature as one more. It keeps id, hash and subject, so it is the contract
    /// of nothing that is stored. A feature whose table or column is not there is left out.
    #[must_use]
    pub fn extended(&self, features: &[Feature], related: &BTreeMap<TableName, &Contract>) -> Contract {
        let mut known = Known::of(&Contracts { base: self, related: related.clone() });
        features.iter().for_each(|feature| known.add(feature));
        known.base
    }

    /// Adds a column to a virtual contract.
    pub(crate) fn push(&mut self, column: Column) {
        self.columns.push(column);
    }
}

/// The column that a feature is, beside those that are `known` of its table; none where its table or column is not there.
pub(crate) fn feature_column<'a>(
    known: &Contract,
    feature: &Feature,
    find: impl Fn(&TableName) -> Option<&'a Contract>,
) -> Option<Column> {
    let plain = |kind, unit: Option<&str>, required| Column {
        name: feature.name.clone(),
        label: feature.name.to_string(),
        kind,
        unit: unit.map(str::to_owned),
        system: None,
        references: None,
        precision: None,
        required,
        invalid: if required { OnInvalid::Reject } else { OnInvalid::Null },
        groupings: vec![],
    };
    let source = |table: &TableName, name: &str| find(table)?.column(name);
    let copied = |of: &Column| Column {
        name: feature.name.clone(),
        label: feature.name.to_string(),
        required: false,
        invalid: OnInvalid::Null,
        ..of.clone()
    };
    Some(match &feature.of {
        Derived::Has { .. } => plain(Kind::Bool, None, true),
        Derived::Count { .. } => plain(Kind::Int { lo: 0, hi: i64::from(limits::FEATURE_COUNT) }, None, true),
        Derived::Pick { pick: Pick::Mean, column, rows: Rows { table, .. } } => {
            let source = source(table, column.as_str())?;
            let (lo, hi) = match source.kind {
                Kind::Int { lo, hi } => (lo as f64, hi as f64),
                Kind::Float { lo, hi } => (lo, hi),
                _ => return None,
            };
            Column { kind: Kind::Float { lo, hi }, ..copied(source) }
        }
        Derived::Sum { column, rows: Rows { table, .. }, at_most } => {
            let source = source(table, column.as_str())?;
            Column {
                required: true,
                invalid: OnInvalid::Reject,
                kind: summed(&source.kind, *at_most)?,
                groupings: vec![],
                ..copied(source)
            }
        }
        Derived::Pick { column, rows: Rows { table, .. }, .. }
        | Derived::Value { table, column }
        | Derived::Reached { table, column, .. } => copied(source(table, column.as_str())?),
        Derived::Age { .. } => plain(Kind::Int { lo: 0, hi: limits::AGE }, Some("a"), false),
        Derived::Predicted(of) => {
            let (lo, hi) = of.lower(known).ok()?.range;
            plain(Kind::Float { lo, hi }, None, false)
        }
        Derived::Plausible { column, lo, hi } => {
            let source = known.column(column.as_str())?;
            Column { kind: narrowed(&source.kind, (*lo, *hi))?, groupings: vec![], ..copied(source) }
        }
    })
}

/// A number's type held to a range; none where nothing is left of it.
fn narrowed(kind: &Kind, (lo, hi): (f64, f64)) -> Option<Kind> {
    match *kind {
        Kind::Int { lo: least, hi: most } => {
            let (lo, hi) = ((lo.ceil() as i64).max(least), (hi.floor() as i64).min(most));
            (lo <= hi).then_some(Kind::Int { lo, hi })
        }
        Kind::Float { lo: least, hi: most } => {
            let (lo, hi) = (lo.max(least), hi.min(most));
            (lo < hi).then_some(Kind::Float { lo, hi })
        }
        _ => None,
    }
}

/// Between what sum of so many values or fewer lies: none of them is 0. Whole numbers stay whole as far as they are exact.
fn summed(kind: &Kind, at_most: u32) -> Option<Kind> {
    match *kind {
        Kind::Int { lo, hi } => {
            let n = i64::from(at_most);
            let (lo, hi) = (lo.min(0).saturating_mul(n), hi.max(0).saturating_mul(n));
            let exact = |of: i64| of.clamp(-limits::EXACT_INT, limits::EXACT_INT);
            Some(Kind::Int { lo: exact(lo), hi: exact(hi) })
        }
        Kind::Float { lo, hi } => {
            let (lo, hi) = (lo.min(0.0) * f64::from(at_most), hi.max(0.0) * f64::from(at_most));
            (lo.is_finite() && hi.is_finite()).then_some(Kind::Float { lo, hi })
        }
        _ => None,
    }
}
