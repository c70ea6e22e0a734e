//! Paths: the part of FHIRPath that SQL-on-FHIR asks for, and `|`, `count()` and `last()`.
//!
//! ```text
//! text ─ lexer ─▶ tokens ─ parser ─▶ Ast ─ compile ─▶ Expr ─ evaluate(resource) ─▶ items, one after another
//! ```
//!
//! A path is compiled once for a view: names become numbers, constants values, `value.ofType(Quantity)` the member `valueQuantity`.

mod choice;
mod compile;
pub mod evaluate;
mod expr;
mod item;
mod lexer;
mod operators;
mod parser;
#[cfg(test)]
mod tests;

pub use compile::{Compiler, Constant};
pub use evaluate::Stop;
pub use expr::Expr;
pub use item::Item;
use serde::{Deserialize, Serialize};

/// Why a path is none, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathProblem {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl PathProblem {
    fn at(position: usize, message: impl std::fmt::Display) -> Self {
        Self { message: format!("character {}: {message}", position + 1), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// What a resource holds that a view cannot make rows of. Never a value: places are added by who knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error)]
pub enum Trouble {
    /// Several values where one is wanted.
    #[error("several values where one is wanted (`first()` takes one, `\"collection\": true` keeps all)")]
    Several,
    /// An object where a value is wanted.
    #[error("an object where a value is wanted")]
    NotScalar,
    /// An array within an array, which FHIR does not have.
    #[error("an array within an array")]
    ArrayInArray,
    /// A value where `true` or `false` is wanted.
    #[error("neither true nor false where one of them is wanted (`exists()` asks whether there is a value)")]
    NotBoolean,
    /// A text where a number is wanted, or the other way round.
    #[error("values of two kinds that cannot be compared or counted with")]
    Unlike,
    /// A number that no calculation can hold.
    #[error("a number out of range")]
    OutOfRange,
    /// A path that repeats itself without end.
    #[error("`repeat` goes on without end")]
    Endless,
    /// More values than can be compared with each other.
    #[error("too many values for `|`")]
    TooManyValues,
    /// A view stands on more elements of one resource than it may, whether they give rows or not.
    #[error("the view goes over too many elements of one resource")]
    TooManyElements,
    /// One resource gives more rows than it may.
    #[error("one resource gives too many rows")]
    TooManyRows,
}
