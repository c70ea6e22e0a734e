//! What a contract's rows must be beside their columns' types and ranges: looked at once, when a snapshot is taken, and never in a study.
//!
//! A rule speaks of rows whose columns passed their own checks. What it cannot tell for want of a value, it does not find fault with.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Contract;
use crate::ids::{ColumnName, RuleName};
use crate::plan::{Expr, written};

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rule {
    /// Its name.
    pub name: RuleName,
    /// What must hold.
    pub check: Check,
    /// What happens to a row that fails.
    pub on_fail: OnFail,
    /// The column whose value is at fault, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<ColumnName>,
}

/// What must hold of a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// A condition over the row's own columns. Null passes.
    Holds(Expr),
    /// No date or datetime of these columns lies behind the day on which the snapshot is taken.
    FutureDate {
        /// The columns.
        columns: Vec<ColumnName>,
    },
    /// No two rows have the same values in these columns; the first of them passes. A row that lacks one of the values passes.
    Duplicate {
        /// The columns.
        columns: Vec<ColumnName>,
    },
    /// The day of this column is none before the patient was born, as another dataset of the node has it. Of days that a source knows to the month or year
    /// alone, any may be meant.
    BeforeBirth {
        /// The date or datetime.
        column: ColumnName,
        /// The name of that dataset's contract, without its version.
        born: String,
    },
    /// The patient has a row of the key that this column names, in the dataset to which it refers.
    Dangling {
        /// The column that refers.
        column: ColumnName,
        /// The name of that dataset's contract, without its version.
        to: String,
    },
}

impl Check {
    /// The name of the contract of another dataset that it looks into, where it does.
    pub fn looks_into(&self) -> Option<&str> {
        match self {
            Check::Holds(_) | Check::FutureDate { .. } | Check::Duplicate { .. } => None,
            Check::BeforeBirth { born: other, .. } | Check::Dangling { to: other, .. } => Some(other),
        }
    }

    /// What it looks for in a dataset under a contract of that name: the column with the birth, or with the key. None where the contract has none.
    pub fn looks_for<'a>(&self, other: &'a Contract) -> Option<&'a ColumnName> {
        match self {
            Check::Holds(_) | Check::FutureDate { .. } | Check::Duplicate { .. } => None,
            Check::BeforeBirth { .. } => other.birth(),
            Check::Dangling { .. } => other.key(),
        }
    }
}

/// What becomes of a row that fails a rule, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFail {
    /// It is counted, and kept as it is.
    Keep,
    /// It is kept without the value at fault.
    Null,
    /// It is left out.
    Reject,
}

impl OnFail {
    /// As contracts and `node.toml` spell it.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "keep" => Some(OnFail::Keep),
            "null" => Some(OnFail::Null),
            "reject" => Some(OnFail::Reject),
            _ => None,
        }
    }
}

impl Rule {
    /// The columns that lose their value where the rule fails and `null` is what happens.
    pub fn at_fault(&self) -> &[ColumnName] {
        match &self.check {
            Check::FutureDate { columns } => columns,
            Check::BeforeBirth { column, .. } | Check::Dangling { column, .. } => std::slice::from_ref(column),
            Check::Holds(_) | Check::Duplicate { .. } => self.column.as_slice(),
        }
    }

    /// Why this cannot be what happens where the rule fails, if it cannot.
    pub fn cannot(&self, on_fail: OnFail, contract: &Contract) -> Option<String> {
        if on_fail != OnFail::Null {
            return None;
        }
        if matches!(self.check, Check::Duplicate { .. }) {
            return Some("a row that repeats another has no value at fault".to_owned());
        }
        if self.at_fault().is_empty() {
            return Some("without `column` there is no value to leave out".to_owned());
        }
        let kept = |name: &&ColumnName| {
            contract.is_subject(name.as_str()) || contract.column(name.as_str()).is_some_and(|c| c.required)
        };
        self.at_fault().iter().find(kept).map(|name| format!("`{name}` is required, so it cannot be left out"))
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |columns: &[ColumnName]| columns.iter().map(ColumnName::as_str).collect::<Vec<_>>().join(", ");
        match self {
            Check::Holds(condition) => f.write_str(&written(condition)),
            Check::FutureDate { columns } => write!(f, "no date in the future: {}", list(columns)),
            Check::Duplicate { columns } => write!(f, "unique together: {}", list(columns)),
            Check::BeforeBirth { column, born } => write!(f, "not before the birth in {born}: {column}"),
            Check::Dangling { column, to } => write!(f, "leads to a row of the patient in {to}: {column}"),
        }
    }
}

impl fmt::Display for OnFail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OnFail::Keep => "keep",
            OnFail::Null => "null",
            OnFail::Reject => "reject",
        })
    }
}
