//! What people write, made typed: study texts, and the expressions of a node's mapping. Every issue is reported, with its place and a hint.

mod codes;
pub mod dates;
mod expression;
mod lines;
mod permit;
mod relation;
mod sorts;
mod sql;
mod study;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::ids::ColumnName;
use crate::plan::{Expr, Type, TypeProblem};
use crate::settings::Problem;

#[cfg(test)]
pub(crate) use relation::tests as cohorts;

pub use codes::Files;
pub use lines::with_lines;
pub use permit::{PermitContext, permit};
pub use sorts::Sort;
pub use study::{BindContext, StudyText};

/// Binds an expression of `node.toml` over the columns of a source, which are all texts. Without them, any name may be one: all else is looked at.
///
/// # Errors
/// All problems at once.
pub fn bind_mapping(text: &str, columns: Option<&[ColumnName]>) -> Result<(Expr, Type), Vec<TypeProblem>> {
    let none = BTreeMap::new();
    let mut binder = expression::Binder::new(expression::Scope::Source(columns), &none);
    let sql = sql::parse(text).map_err(|problem| vec![problem])?;
    binder.bind(&sql).ok_or(binder.problems)
}

/// Binds the condition of a contract's own rule over that contract's columns.
///
/// # Errors
/// All problems at once.
pub(crate) fn bind_rule(text: &str, contract: &crate::contract::Contract) -> Result<Expr, Vec<TypeProblem>> {
    let none = BTreeMap::new();
    let given = Default::default();
    let mut binder = expression::Binder::new(expression::Scope::Table(contract, &given), &none);
    let sql = sql::parse(text).map_err(|problem| vec![problem])?;
    let bound = binder.condition(&sql);
    bound.filter(|_| binder.problems.is_empty()).ok_or(binder.problems)
}

/// A condition over a contract's columns, for tests of what is made of it.
#[cfg(test)]
pub(crate) fn condition(text: &str, contract: &crate::contract::Contract) -> Expr {
    let none = BTreeMap::new();
    let given = Default::default();
    let mut binder = expression::Binder::new(expression::Scope::Table(contract, &given), &none);
    let bound = binder.condition(&sql::parse(text).unwrap());
    bound.unwrap_or_else(|| panic!("{text}: {:?}", binder.problems))
}

/// The name under which a source's column is known: lower case, every other character an underscore.
pub fn source_column(text: &str) -> Option<ColumnName> {
    let plain: String =
        text.trim().chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let trimmed = plain.trim_matches('_');
    let named =
        if trimmed.starts_with(|c: char| c.is_ascii_digit()) { format!("c{trimmed}") } else { trimmed.to_owned() };
    named.parse().ok()
}

/// A TOML syntax error with its line.
pub fn toml_problem(text: &str, file: &str, error: &toml::de::Error) -> Problem {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let key = line.map_or(String::new(), |line| format!("line {line}"));
    Problem::new(file, key, error.message().replace('\n', ", "))
        .hint("the file is TOML: see docs/STUDIES.md for examples")
}
