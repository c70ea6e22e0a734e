//! Views: what a ViewDefinition of SQL-on-FHIR v2 makes of a resource, as rows of texts.
//!
//! ```text
//! ViewDefinition (JSON) ─ load ─▶ View ─ rows(resource) ─▶ Batch
//! ```

mod batch;
mod constants;
mod load;
mod rows;
mod select;

use crate::names::Names;
use crate::path::Expr;

pub use batch::{Batch, Texts};
pub use rows::Resource;

/// A checked view, its paths compiled.
#[derive(Debug, Clone)]
pub struct View {
    resource: String,
    columns: Vec<Column>,
    parts: Vec<Part>,
    conditions: Vec<Expr>,
    names: Names,
}

/// A column of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The FHIR type that the view declares for it.
    pub kind: Option<String>,
    /// Whether a cell holds all values, as a JSON array.
    pub collection: bool,
}

/// What rows are made of: each part multiplies the rows of those before it.
#[derive(Debug, Clone)]
enum Part {
    /// A row, or several, for each element.
    Each {
        /// Of these.
        each: Each,
        /// The cells that an element fills.
        cells: Vec<(usize, Expr)>,
        /// What each row is continued by.
        parts: Vec<Part>,
    },
    /// The rows of one, then those of the next.
    Union(Vec<Part>),
}

/// Which elements rows are made for.
#[derive(Debug, Clone)]
enum Each {
    /// The one at hand.
    This,
    /// Those of a path.
    Element(Expr),
    /// Those of a path, or one row without any.
    ElementOrNull(Expr),
    /// Those of the paths, and those that the same paths find in these.
    Repeat(Vec<Expr>),
}

impl View {
    /// The type of the resources that it reads.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// Its columns, in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The names that it reads; all others are skipped.
    pub fn names(&self) -> &Names {
        &self.names
    }
}
