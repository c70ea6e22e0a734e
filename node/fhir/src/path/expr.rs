//! A compiled path.

use rust_decimal::Decimal;

use super::parser::Operator;
use crate::moment::{Moment, Sort};
use crate::names::Name;

/// A path over what a view reads of a resource.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum Expr {
    This,
    Resource,
    RowIndex,
    Bool(bool),
    Number(Decimal),
    Text(String),
    Moment(Moment, String),
    /// The members of these names; several where a choice has no type.
    Element(Box<Expr>, Vec<Name>),
    Index(Box<Expr>, Box<Expr>),
    Where(Box<Expr>, Box<Expr>),
    /// Resources of this type.
    OfType(Box<Expr>, String),
    Exists(Box<Expr>),
    Empty(Box<Expr>),
    Not(Box<Expr>),
    First(Box<Expr>),
    Last(Box<Expr>),
    Count(Box<Expr>),
    Join(Box<Expr>, String),
    ResourceKey(Box<Expr>),
    ReferenceKey(Box<Expr>, Option<String>),
    /// The last moment or largest number if `high`, and as what moment, if that is known.
    Boundary {
        of: Box<Expr>,
        high: bool,
        sort: Option<Sort>,
    },
    Negative(Box<Expr>),
    /// What the one yields, then what the other does: an element's own extensions and those of its value.
    Both(Box<Expr>, Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
}
