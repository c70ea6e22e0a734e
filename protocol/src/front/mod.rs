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
    let problem = Problem { line, ..Problem::new(file, "", error.message().replace('\n', ", ")) };
    problem.hint(match line.and_then(|line| text.lines().nth(line - 1)) {
        _ if let Some(other) = of_another_language(text) => {
            format!("this is {other}, and the file is TOML: KEY = VALUE, one a line")
        }
        Some(line) => not_toml(line).unwrap_or_else(|| TOML.to_owned()),
        None => TOML.to_owned(),
    })
}

/// What a text looks like that is written in another language altogether.
fn of_another_language(text: &str) -> Option<&'static str> {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let begins = |word: &str| first.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    match () {
        () if first.starts_with('{') => Some("JSON"),
        () if first.starts_with('<') => Some("XML or HTML"),
        () if begins("select ") || begins("with ") => Some("SQL"),
        () if first.starts_with("---") => Some("YAML"),
        () if !first.contains(['=', '[', '#']) && first.contains([',', ';', '\t']) => Some("a table of values (CSV)"),
        () => None,
    }
}

const TOML: &str = "the file is TOML: see docs/STUDIES.md for examples";

/// What a line looks like that is no TOML.
fn not_toml(line: &str) -> Option<String> {
    let Some((key, value)) = line.split_once('=') else {
        let (key, _) = line.split_once(':')?;
        let key = key.trim();
        let is_name = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        return is_name.then(|| format!("a key and its value have `=` between them: {key} = …"));
    };
    let (key, value) = (key.trim_start_matches('\u{feff}').trim(), value.trim());
    if line.contains(['“', '”', '„', '‘', '’']) {
        let straight = value.trim_matches(['“', '”', '„', '‘', '’', '"', '\'']);
        return Some(format!("write straight quotes: {key} = \"{straight}\""));
    }
    let known = ["true", "false", "inf", "nan"].iter().any(|word| value.starts_with(word));
    (value.starts_with(|c: char| c.is_alphabetic()) && !known && !key.contains(['"', '\'', '{']))
        .then(|| format!("a text stands in quotes: {key} = \"…\""))
}
