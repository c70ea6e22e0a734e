//! What of a contract's columns makes their values comparable: what a site says of a contract that others do not hold.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Column, Contract};
use crate::ids::ColumnName;
use crate::limits::UNIT_BYTES;
use crate::marks::one_line;

/// A column as far as its values must be alike elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ColumnTraits {
    /// Its name.
    pub name: ColumnName,
    /// Its type's name.
    pub kind: String,
    /// The unit of measurement.
    pub unit: Option<String>,
    /// The code system.
    pub system: Option<String>,
}

impl ColumnTraits {
    /// Of a column; texts beyond their bound are cut.
    pub fn of(column: &Column) -> Self {
        let (name, kind) = (column.name.clone(), column.kind.name().to_owned());
        Self { name, kind, unit: column.unit.clone(), system: column.system().map(str::to_owned) }.tamed()
    }

    /// The same with texts on one line and of bounded length: a peer may have written anything.
    #[must_use]
    pub fn tamed(self) -> Self {
        let tame = |text: String| {
            let line = one_line(&text);
            line.chars()
                .scan(0, |bytes, c| {
                    *bytes += c.len_utf8();
                    (*bytes <= UNIT_BYTES).then_some(c)
                })
                .collect::<String>()
        };
        Self { name: self.name, kind: tame(self.kind), unit: self.unit.map(tame), system: self.system.map(tame) }
    }
}

impl Contract {
    /// What makes the values of its columns comparable, in the contract's order.
    pub fn traits(&self) -> Vec<ColumnTraits> {
        self.columns().iter().map(ColumnTraits::of).collect()
    }
}
