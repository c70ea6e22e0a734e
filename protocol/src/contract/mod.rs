//! A contract: the agreed schema of a dataset. Its hash is part of every signed study, so both sides mean the same columns.

mod diff;
mod extended;
mod packs;
mod precision;
mod rule;
#[cfg(test)]
mod tests;
mod text;
mod traits;

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::ids::{ColumnName, ContractId, Digest};

pub use diff::{Change, ChangeKind, changes};
pub(crate) use extended::feature_column;
pub use packs::{PACKS, Pack, pack};
pub use precision::Precision;
pub use rule::{Check, OnFail, Rule};
pub use text::parse;
pub use traits::ColumnTraits;

/// A dataset's agreed schema. [`parse`] is the only way to make one, so it is consistent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contract {
    id: ContractId,
    title: String,
    subject: Subject,
    one_row_per_subject: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<ColumnName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<ColumnName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    birth: Option<ColumnName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<ColumnName>,
    columns: Vec<Column>,
    /// What is looked at when a snapshot is taken. Contracts without rules are spelt, and hashed, as before there were any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<Rule>,
    /// Of the rest: every round asks for it.
    #[serde(skip)]
    hash: Digest,
}

/// Who a row is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Every row is one patient.
    Row,
    /// The column that names the patient. It never leaves the site and no expression can read it.
    Column(ColumnName),
}

/// One column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: ColumnName,
    /// A few words for people.
    pub label: String,
    /// Its type, with the domain of its values.
    pub kind: Kind,
    /// The unit of measurement (UCUM where there is one).
    pub unit: Option<String>,
    /// The code system of a text or whole number that is a code. Codes have theirs in [`Kind::Code`]: see [`Column::system`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The name of the dataset to whose rows it refers, by their key. It is then a name and can be read by no expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub references: Option<String>,
    /// The coarsest date that it takes, where that is not a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// Whether a row without a valid value is left out of the snapshot.
    pub required: bool,
    /// What happens to a row whose value is not valid.
    pub invalid: OnInvalid,
    /// Coarser groupings, finest first.
    pub groupings: Vec<Grouping>,
}

/// A column's type and the domain of its values. Ranges are inclusive.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Kind {
    Int {
        lo: i64,
        hi: i64,
    },
    Float {
        lo: f64,
        hi: f64,
    },
    Code {
        system: Option<String>,
        /// Shared: a feature that picks such a column has them too.
        #[serde(serialize_with = "shared")]
        codes: Arc<[Code]>,
    },
    /// Days since 1970-01-01.
    Date {
        lo: i32,
        hi: i32,
    },
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Datetime {
        lo: i64,
        hi: i64,
    },
    Bool,
    Text,
}

impl Kind {
    /// The type's name in a contract.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Int { .. } => "int",
            Kind::Float { .. } => "float",
            Kind::Code { .. } => "code",
            Kind::Date { .. } => "date",
            Kind::Datetime { .. } => "datetime",
            Kind::Bool => "bool",
            Kind::Text => "text",
        }
    }
}

/// A code with its meaning. Its position in the contract is its physical value in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Code {
    /// As it stands in the data.
    pub code: String,
    /// As people read it.
    pub label: String,
}

/// What a snapshot does with a row whose value is of the wrong type, out of range or an unknown code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnInvalid {
    /// Leave the row out.
    Reject,
    /// Keep the row, without the value.
    Null,
}

/// A coarser view of a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Grouping {
    /// Its name.
    pub name: String,
    /// How it groups.
    pub groups: Groups,
}

/// How a grouping groups.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Groups {
    /// Bands of a number, as `cut` makes them.
    Breaks(Vec<f64>),
    /// Labels, and for each code (by position) the position of its label.
    Codes {
        /// The groups' labels.
        #[serde(serialize_with = "shared")]
        labels: Arc<[String]>,
        /// One entry a code: which label it has.
        #[serde(serialize_with = "shared")]
        of: Arc<[u32]>,
    },
}

/// A list that features share with the column that they pick, as any list.
fn shared<T: Serialize, S: Serializer>(list: &Arc<[T]>, to: S) -> Result<S::Ok, S::Error> {
    list.as_ref().serialize(to)
}

impl Contract {
    /// Name and version.
    pub fn id(&self) -> &ContractId {
        &self.id
    }

    /// A line for people.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Who a row is about.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Whether a subject may have one row only.
    pub fn one_row_per_subject(&self) -> bool {
        self.one_row_per_subject || self.subject == Subject::Row
    }

    /// The column that says when a row happened.
    pub fn time(&self) -> Option<&ColumnName> {
        self.time.as_ref()
    }

    /// The column that says which of several rows of one [time](Contract::time) came first.
    pub fn order(&self) -> Option<&ColumnName> {
        self.order.as_ref()
    }

    /// The column that says when the patient was born.
    pub fn birth(&self) -> Option<&ColumnName> {
        self.birth.as_ref()
    }

    /// The column that tells one row of a patient from another: by it other datasets refer to a row.
    pub fn key(&self) -> Option<&ColumnName> {
        self.key.as_ref()
    }

    /// All columns, in the contract's order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// What is looked at when a snapshot is taken, in the contract's order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The names of the contracts of other datasets that rules look into, each once.
    pub fn looks_into(&self) -> impl Iterator<Item = &str> {
        let mut seen = std::collections::BTreeSet::new();
        self.rules.iter().filter_map(|rule| rule.check.looks_into()).filter(move |name| seen.insert(*name))
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name.as_str() == name)
    }

    /// Whether `name` is the column that names the patient.
    pub fn is_subject(&self, name: &str) -> bool {
        matches!(&self.subject, Subject::Column(subject) if subject.as_str() == name)
    }

    /// Whether `name` is a column that names a row, its own or one of another dataset. It never leaves the site and no expression can read it.
    pub fn names_a_row(&self, name: &str) -> bool {
        self.key.as_ref().is_some_and(|key| key.as_str() == name)
            || self.column(name).is_some_and(|column| column.references.is_some())
    }

    /// Whether expressions may read the column of this name, if there is one: it names neither the patient nor a row.
    pub fn can_be_read(&self, name: &str) -> bool {
        !self.is_subject(name) && !self.names_a_row(name)
    }

    /// The columns that refer to rows of a dataset.
    pub fn references_to<'a>(&'a self, dataset: &'a str) -> impl Iterator<Item = &'a Column> {
        self.columns.iter().filter(move |column| column.references.as_deref() == Some(dataset))
    }

    /// The digest of the contract's canonical JSON: equal for two texts that mean the same.
    pub fn hash(&self) -> Digest {
        self.hash
    }

    fn hashed(mut self) -> Self {
        let json = crate::trust::canonical(&self).unwrap_or_default();
        self.hash = Digest::of("bocage/contract/1", &[&json]);
        self
    }
}

impl Column {
    /// The code system of its values, where the contract names one.
    pub fn system(&self) -> Option<&str> {
        match &self.kind {
            Kind::Code { system, .. } => system.as_deref(),
            _ => self.system.as_deref(),
        }
    }

    /// The grouping of this name.
    pub fn grouping(&self, name: &str) -> Option<&Grouping> {
        self.groupings.iter().find(|g| g.name == name)
    }
}
