//! Code lists in conditions: `COLUMN in @LIST`.

use std::collections::BTreeSet;

use sqlparser::ast::Expr as Sql;

use super::{Binder, Scope};
use crate::contract::{Contract, Kind};
use crate::ids::ColumnName;
use crate::plan::{Expr, Type, TypeProblem, type_of};
use crate::settings::nearest;

/// The names of code lists that a list consists of, an empty one for what is none; nothing where it names no list at all.
pub(super) fn named_lists(list: &[Sql]) -> Option<Vec<&str>> {
    let name = |item: &Sql| matches!(item, Sql::Identifier(name) if name.value.starts_with('@'));
    if !list.iter().any(name) {
        return None;
    }
    let mut names = Vec::with_capacity(list.len());
    for item in list {
        names.push(match item {
            Sql::Identifier(name) => name.value.strip_prefix('@').unwrap_or_default(),
            _ => "",
        });
    }
    Some(names)
}

impl Binder<'_> {
    /// Whether `of` is in one of the code lists.
    pub(super) fn in_lists(&mut self, of: Expr, names: &[&str]) -> Option<Expr> {
        let mut parts = Vec::new();
        for name in names {
            match self.in_list_named(&of, name) {
                Ok(Some(part)) => parts.push(part),
                Ok(None) => return None,
                Err(problem) => return self.refuse(problem),
            }
        }
        Some(if parts.len() == 1 { parts.remove(0) } else { Expr::Or(parts) })
    }

    /// An inner nothing where the list is wrong, which is said at its place.
    fn in_list_named(&self, of: &Expr, name: &str) -> Result<Option<Expr>, TypeProblem> {
        let (given, contract): (_, &Contract) = match &self.scope {
            Scope::Source(_) => return Err(TypeProblem::new("code lists are of studies")),
            Scope::Table(contract, given) => (*given, contract),
            Scope::Rows(relations, table) => (relations.given(), relations.of_rows(table)),
            Scope::Study(relations) => (relations.given(), relations.extended()),
        };
        if name.is_empty() {
            return Err(TypeProblem::new("code lists and codes stand in one list")
                .hint("join them with `or`: code in @list or code in ('…')"));
        }
        let Some(list) = name.parse::<ColumnName>().ok().and_then(|name| given.lists.get(&name)) else {
            let problem = TypeProblem::new(format!("there is no code list `@{name}`"));
            let near = nearest(name, given.lists.keys().map(ColumnName::as_str));
            return Err(problem.hint(match near {
                Some(near) => format!("did you mean `@{near}`?"),
                None => format!("add it: [codes] {name} = {{ system = \"…\", codes = [\"…\"] }}"),
            }));
        };
        let column = match of {
            Expr::Column(column) => contract.column(column.as_str()),
            _ => None,
        };
        let found = type_of(of, self.columns())?;
        let Some((column, Type::Code(_) | Type::Text | Type::Int)) = column.map(|column| (column, found)) else {
            return Err(TypeProblem::new(format!(
                "`@{name}` is a list of codes, and what is looked for in it is no column of such"
            ))
            .hint("write COLUMN in @LIST"));
        };
        let Some(list) = list else { return Ok(None) };
        if let Some(system) = column.system().filter(|system| !system.eq_ignore_ascii_case(&list.system)) {
            let problem =
                format!("`{}` has codes of `{system}`, and `@{name}` those of `{}`", column.name, list.system);
            return Err(TypeProblem::new(problem).hint("use a list of the column's own system"));
        }
        let declared: Option<BTreeSet<&str>> = match &column.kind {
            Kind::Code { codes, .. } => Some(codes.iter().map(|code| code.code.as_str()).collect()),
            _ => None,
        };
        let whole = matches!(column.kind, Kind::Int { .. });
        list.condition(of, declared.as_ref(), whole)
            .map(Some)
            .map_err(|problem| TypeProblem { message: format!("`@{name}`: {}", problem.message), ..problem })
    }
}
