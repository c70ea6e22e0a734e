//! A contract with a query's features as columns: what keys, filters and measures are checked against.

use std::collections::BTreeMap;

use super::{Column, Contract, Kind, OnInvalid};
use crate::ids::TableName;
use crate::limits;
use crate::plan::{Derived, Feature, Pick, Rows};

impl Contract {
    /// The **virtual** contract of a query: this one's columns, and each feature as one more. It keeps id, hash and subject, so it is the contract
    /// of nothing that is stored. A feature whose table or column is not there is left out.
    #[must_use]
    pub fn extended(&self, features: &[Feature], related: &BTreeMap<TableName, &Contract>) -> Contract {
        let mut extended = self.clone();
        features.iter().for_each(|feature| extended.add(feature, related));
        extended
    }

    /// Adds one more feature to a virtual contract.
    pub(crate) fn add(&mut self, feature: &Feature, related: &BTreeMap<TableName, &Contract>) {
        let column = column(self, feature, related);
        self.columns.extend(column);
    }
}

fn column(known: &Contract, feature: &Feature, related: &BTreeMap<TableName, &Contract>) -> Option<Column> {
    let plain = |kind, unit: Option<&str>, required| Column {
        name: feature.name.clone(),
        label: feature.name.to_string(),
        kind,
        unit: unit.map(str::to_owned),
        system: None,
        required,
        invalid: if required { OnInvalid::Reject } else { OnInvalid::Null },
        groupings: vec![],
    };
    let source = |table: &TableName, name: &str| related.get(table)?.column(name);
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
        Derived::Pick { column, rows: Rows { table, .. }, .. } | Derived::Value { table, column } => {
            copied(source(table, column.as_str())?)
        }
        Derived::Age { .. } => plain(Kind::Int { lo: 0, hi: limits::AGE }, Some("a"), false),
        Derived::Predicted(of) => {
            let (lo, hi) = of.lower(known).ok()?.range;
            plain(Kind::Float { lo, hi }, None, false)
        }
    })
}
