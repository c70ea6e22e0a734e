//! What an expression makes of a patient's rows in other tables, and the code lists that it names.

use sqlparser::ast::{
    BinaryOperator, Expr as Sql, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Value,
};

use super::super::relation::Relations;
use super::super::sql::WHERE;
use super::plausible::PLAUSIBLE;
use super::{Binder, Scope};
use crate::ids::{ColumnName, TableName};
use crate::plan::{Derived, Expr, Literal, Moment, Pick, Rows, Type, TypeProblem, unknown_table};
use crate::settings::nearest;

pub(super) const FEATURES: &[&str] =
    &["has", "count", "first", "last", "min", "max", "mean", "sum", "age_at", "predict", "linear", "ipw", PLAUSIBLE];
const NAMED: &[&str] = &["at_least", "at_most", "after", "from", "before", "until", "within"];
/// The name of any table's time column, where the table has no column of that name.
const DATE: &str = "date";

/// Whether a call of this name is a value by itself: of rows, or of a row's values by more than an expression may say.
pub(super) fn is_feature(name: &str) -> bool {
    FEATURES.contains(&name)
}

/// A call's arguments, told apart.
#[derive(Default)]
pub(super) struct Arguments<'a> {
    conditions: Vec<&'a Sql>,
    pub named: Vec<(&'a str, &'a Sql)>,
}

impl Binder<'_> {
    /// `today`, `index` and a table's `date`: names that no contract declares.
    pub(super) fn given_name(&self, text: &str) -> Option<Expr> {
        let (today, contract) = match &self.scope {
            Scope::Source(_) => return None,
            Scope::Table(contract, given) => (given.today, *contract),
            Scope::Rows(relations, table) => (relations.given().today, relations.of_rows(table)),
            Scope::Study(relations) => (relations.given().today, relations.extended()),
        };
        match text {
            "today" => today.map(|day| Expr::Literal(Literal::Date(day))),
            DATE => contract.time().cloned().map(Expr::Column),
            _ => None,
        }
    }

    /// A name that the study defines; an inner nothing where its definition is wrong.
    pub(super) fn defined(&mut self, name: &ColumnName) -> Option<Option<Expr>> {
        let (derived, depth) = (self.derived, self.depth);
        let Scope::Study(relations) = &mut self.scope else { return None };
        let defined = relations.resolve(name, derived, depth)?;
        if let Some(size) = defined.as_ref().and_then(Expr::size) {
            self.nodes += size.0;
        }
        Some(defined)
    }

    /// The whole expression, which is to be called `name`.
    pub(in crate::front) fn bind_named(&mut self, sql: &Sql, name: &ColumnName) -> Option<(Expr, Type)> {
        let mut inner = sql;
        while let Sql::Nested(nested) = inner {
            inner = nested;
        }
        let is = match inner {
            Sql::Function(function) => is_feature(&function.name.to_string().to_lowercase()),
            Sql::CompoundIdentifier(_) => true,
            _ => false,
        };
        self.want = is.then(|| name.clone());
        self.bind(sql)
    }

    /// `table.column`: of the base, of the row that this one refers to, or of the patient's only row.
    pub(super) fn member(&mut self, whole: &Sql, parts: &[Ident]) -> Option<Expr> {
        let want = self.want.take();
        let Some(relations) = self.relations() else {
            let problem =
                TypeProblem::new(format!("`{whole}`: a condition on rows reads the columns of their own table"));
            let column = parts.last().map_or("", |part| part.value.as_str());
            return self.refuse(problem.hint(format!("write `{column}` if it is one of them")));
        };
        let of_rows = matches!(self.scope, Scope::Rows(..));
        let parts = match parts {
            [base, rest @ ..] if !of_rows && relations.is_base(&base.value) => rest,
            all => all,
        };
        match parts {
            [column] => self.name(&column.value),
            [place, column] => {
                let known = relations.table(&place.value);
                let only = !of_rows && known.is_some_and(|(_, contract)| contract.one_row_per_subject());
                let own = match &self.scope {
                    Scope::Rows(relations, table) => relations.of_rows(table),
                    _ => relations.extended(),
                };
                let refers = own.column(&place.value).is_some_and(|column| column.references.is_some());
                let reached = if only && !refers { Ok(None) } else { relations.reference(own, &place.value) };
                match reached {
                    Ok(Some((through, table))) => {
                        let (table, column) = self.column_of(table.as_str(), &column.value)?;
                        self.register(Derived::Reached { through, table, column }, want)
                    }
                    Ok(None) if of_rows => {
                        let problem = TypeProblem::new(format!(
                            "`{whole}`: a condition on rows reads the columns of their own table, and of those that they refer to"
                        ));
                        self.refuse(problem.hint(format!("write `{}` if it is one of them", column.value)))
                    }
                    Ok(None) => {
                        let (table, column) = self.column_of(&place.value, &column.value)?;
                        self.register(Derived::Value { table, column }, want)
                    }
                    Err(problem) => self.refuse(problem),
                }
            }
            _ => self.refuse(
                TypeProblem::new(format!("`{whole}` is not part of the study language")).hint("write TABLE.COLUMN"),
            ),
        }
    }

    /// `table.reference.column`: a column of the row that each row of a table refers to.
    fn reached_from(&mut self, parts: &[Ident]) -> Option<(TableName, ColumnName)> {
        let [table, place, column] = parts else { return None };
        let table = self.table_of(&table.value)?;
        let relations = self.relations()?;
        let (through, there) = match relations.reference(relations.of_rows(&table), &place.value) {
            Ok(Some(found)) => found,
            Ok(None) => {
                let problem = TypeProblem::new(format!("rows of `{table}` do not refer to any of `{}`", place.value));
                return self.refuse(problem.hint("its contract says which columns do: references = \"DATASET\""));
            }
            Err(problem) => return self.refuse(problem),
        };
        let (there, column) = self.column_of(there.as_str(), &column.value)?;
        let of = Derived::Reached { through, table: there, column };
        match self.registered(of, Some(table.clone()), None)? {
            Expr::Column(column) => Some((table, column)),
            _ => None,
        }
    }

    fn relations(&self) -> Option<&Relations> {
        match &self.scope {
            Scope::Study(relations) | Scope::Rows(relations, _) => Some(relations),
            Scope::Source(_) | Scope::Table(..) => None,
        }
    }

    /// A call of a function that reads rows.
    pub(super) fn feature(&mut self, name: &str, args: &[Sql]) -> Option<Expr> {
        let want = self.want.take();
        let allowed = match self.scope {
            Scope::Study(_) => true,
            Scope::Rows(..) => name == "has" || name == "count",
            Scope::Source(_) | Scope::Table(..) => false,
        };
        if !allowed && name == PLAUSIBLE {
            let problem = TypeProblem::new("`plausible` is of a study's own numbers, not within a condition on rows");
            return self.refuse(problem.hint("compare there: value between 40 and 300"));
        }
        if !allowed {
            let problem =
                TypeProblem::new(format!("`{name}` stands in a study's own conditions, not within one on rows"));
            return self.refuse(problem.hint("a condition on rows reads the columns of their own table; of the patient's other rows there are has and count"));
        }
        let Some((first, rest)) = args.split_first() else { return self.refuse(usage(name)) };
        if super::predicted::is(name) {
            return self.predicted(name, first, rest, want);
        }
        if name == "age_at" {
            return self.age(first, rest, want);
        }
        if name == PLAUSIBLE {
            return self.plausible(first, rest, want);
        }
        let arguments = self.told_apart(rest);
        let pick = match name {
            "first" => Some(Pick::First),
            "last" => Some(Pick::Last),
            "min" => Some(Pick::Least),
            "max" => Some(Pick::Greatest),
            "mean" => Some(Pick::Mean),
            _ => None,
        };
        let of_column = pick.is_some() || name == "sum";
        let place = match (of_column, first) {
            (true, Sql::CompoundIdentifier(parts)) if parts.len() == 2 => {
                self.column_of(&parts[0].value, &parts[1].value).map(|(table, column)| (table, Some(column)))
            }
            (true, Sql::CompoundIdentifier(parts)) if parts.len() == 3 => {
                self.reached_from(parts).map(|(table, column)| (table, Some(column)))
            }
            (false, Sql::Identifier(table)) => self.table_of(&table.value).map(|table| (table, None)),
            _ => self.refuse(usage(name)),
        };
        let table = place.as_ref().map(|(table, _)| table.clone());
        let filter = self.rows_where(table.as_ref(), &arguments.conditions);
        let at_least = self.number("at_least", "has", name, &arguments);
        let at_most = self.number("at_most", "sum", name, &arguments);
        let window = self.window(&arguments);
        let (table, column) = place?;
        let rows = Rows { table, filter: filter?, window: window? };
        let (at_least, at_most) = (at_least?, at_most?);
        let of = match (pick, column) {
            (Some(pick), Some(column)) => Derived::Pick { pick, column, rows },
            (None, Some(column)) => match at_most {
                Some(at_most) => Derived::Sum { column, rows, at_most },
                None => {
                    let problem = TypeProblem::new("`sum` does not say of how many rows a patient's is at most");
                    return self.refuse(problem.hint("it bounds the sum, e.g. at_most = 100: what lies beyond 100 times the column's range counts as its end"));
                }
            },
            _ if name == "has" => Derived::Has { rows, at_least: at_least.unwrap_or(1) },
            _ => Derived::Count { rows },
        };
        self.register(of, want)
    }

    /// The column of a feature of the base, or of the rows that a condition is about.
    pub(super) fn register(&mut self, of: Derived, want: Option<ColumnName>) -> Option<Expr> {
        let on = match &self.scope {
            Scope::Rows(_, table) => Some(table.clone()),
            _ => None,
        };
        self.registered(of, on, want)
    }

    fn registered(&mut self, of: Derived, on: Option<TableName>, want: Option<ColumnName>) -> Option<Expr> {
        let derived = self.derived;
        let relations = match &mut self.scope {
            Scope::Study(relations) | Scope::Rows(relations, _) => relations,
            Scope::Source(_) | Scope::Table(..) => return None,
        };
        match relations.feature(of, on, want, derived) {
            Ok(name) => Some(Expr::Column(name)),
            Err(problems) => {
                for problem in problems {
                    self.refuse::<()>(problem);
                }
                None
            }
        }
    }

    /// Conditions, with or without `where`, and arguments with names.
    fn told_apart<'a>(&mut self, args: &'a [Sql]) -> Arguments<'a> {
        let mut found = Arguments::default();
        for arg in args {
            match arg {
                Sql::Function(function) if function.name.to_string() == WHERE => match only_argument(function) {
                    Some(condition) => found.conditions.push(condition),
                    None => drop(self.refuse::<()>(TypeProblem::new("nothing stands behind `where`"))),
                },
                Sql::BinaryOp { left, op: BinaryOperator::Eq, right } => match left.as_ref() {
                    Sql::Identifier(name) if NAMED.contains(&name.value.to_lowercase().as_str()) => {
                        let name =
                            NAMED.iter().find(|n| n.eq_ignore_ascii_case(&name.value)).copied().unwrap_or_default();
                        if found.named.iter().any(|(other, _)| *other == name) {
                            self.refuse::<()>(TypeProblem::new(format!("`{name}` is given twice")));
                        }
                        found.named.push((name, right));
                    }
                    _ => found.conditions.push(arg),
                },
                _ => found.conditions.push(arg),
            }
        }
        if let Some(second) = found.conditions.get(1) {
            let problem = misspelt(second).unwrap_or_else(|| {
                TypeProblem::new(format!("`{second}` is a second condition")).hint("join conditions with `and`")
            });
            self.refuse::<()>(problem);
        }
        found
    }

    /// The condition on rows of a table, bound to its columns alone.
    fn rows_where(&mut self, table: Option<&TableName>, conditions: &[&Sql]) -> Option<Option<Expr>> {
        let Some(condition) = conditions.first() else { return Some(None) };
        let (bound, problems) = {
            let table = table?.clone();
            let relations = match &mut self.scope {
                Scope::Study(relations) | Scope::Rows(relations, _) => relations,
                Scope::Source(_) | Scope::Table(..) => return None,
            };
            let none = Default::default();
            let mut binder = Binder::new(Scope::Rows(relations, table), &none).at_depth(self.depth);
            (binder.condition(condition), binder.problems)
        };
        let failed = !problems.is_empty();
        for problem in problems {
            self.refuse::<()>(unmeant(condition, problem, table));
        }
        bound.filter(|_| !failed).map(Some)
    }

    /// A number that one function takes by name; an inner nothing where it is not given.
    fn number(&mut self, wanted: &str, of: &str, function: &str, arguments: &Arguments<'_>) -> Option<Option<u32>> {
        let Some((_, given)) = arguments.named.iter().find(|(name, _)| *name == wanted) else { return Some(None) };
        if function != of {
            let problem = TypeProblem::new(format!("`{function}` takes no `{wanted}`"));
            return self.refuse(problem.hint(match of {
                "has" => "has(TABLE, CONDITION, at_least = 2) does",
                _ => "sum(TABLE.COLUMN where CONDITION, at_most = 100) does",
            }));
        }
        match whole(given).and_then(|n| u32::try_from(n).ok()) {
            Some(n) => Some(Some(n)),
            None => {
                let problem = TypeProblem::new(format!("`{wanted} = {given}` is no whole number"));
                self.refuse(problem.hint(format!("e.g. {wanted} = {}", if of == "has" { 2 } else { 100 })))
            }
        }
    }

    fn age(&mut self, at: &Sql, rest: &[Sql], want: Option<ColumnName>) -> Option<Expr> {
        if !rest.is_empty() {
            return self.refuse(usage("age_at"));
        }
        let (at, days) = self.moment(at)?;
        let at = match (at, days) {
            (Moment::Date(day), days) => Moment::Date(day.saturating_add(days)),
            (at, 0) => at,
            _ => {
                let problem = TypeProblem::new("`age_at` takes a day, and nothing is added to it");
                return self.refuse(problem.hint("write age_at(index)"));
            }
        };
        let Scope::Study(relations) = &self.scope else { return None };
        match relations.births() {
            Ok(table) => self.register(Derived::Age { table, at }, want),
            Err(problem) => self.refuse(problem),
        }
    }

    fn table_of(&mut self, name: &str) -> Option<TableName> {
        let relations = self.relations()?;
        match relations.table(name) {
            Some((table, _)) => Some(table.clone()),
            None => {
                let problem = unknown_table(name, relations.tables());
                self.refuse(problem)
            }
        }
    }

    fn column_of(&mut self, table: &str, column: &str) -> Option<(TableName, ColumnName)> {
        let table = self.table_of(table)?;
        let relations = self.relations()?;
        let (_, contract) = relations.table(table.as_str())?;
        let columns = crate::plan::Columns::Contract(contract);
        let time = contract.time().filter(|_| column == DATE && contract.column(DATE).is_none());
        let found = match column.parse::<ColumnName>() {
            _ if time.is_some() => Ok(time.cloned()),
            Ok(name) => columns.type_of(&name).map(|_| Some(name)),
            Err(_) => Err(columns.unknown(column)),
        };
        match found {
            Ok(column) => Some((table, column?)),
            Err(problem) => self.refuse(in_table(&table, problem)),
        }
    }
}

fn in_table(table: &TableName, problem: TypeProblem) -> TypeProblem {
    TypeProblem { message: format!("in {table}: {}", problem.message), ..problem }
}

/// A problem of a condition on rows. What looks like an argument with a misspelt name is told so.
fn unmeant(condition: &Sql, problem: TypeProblem, table: Option<&TableName>) -> TypeProblem {
    if problem.message.starts_with("unknown column")
        && let Some(misspelt) = misspelt(condition)
    {
        return misspelt;
    }
    match table {
        Some(table) => in_table(table, problem),
        None => problem,
    }
}

/// What looks like an argument whose name is nearly one.
fn misspelt(condition: &Sql) -> Option<TypeProblem> {
    let Sql::BinaryOp { left, op: BinaryOperator::Eq, .. } = condition else { return None };
    let Sql::Identifier(name) = left.as_ref() else { return None };
    let near = nearest(&name.value, NAMED.iter().copied())?;
    Some(TypeProblem::new(format!("unknown argument `{}`", name.value)).hint(format!("did you mean `{near}`?")))
}

pub(super) fn usage(name: &str) -> TypeProblem {
    let how = match name {
        "has" => "has(TABLE, CONDITION, at_least = 2, after = DAY, within = days(90))",
        "count" => "count(TABLE where CONDITION, after = DAY, within = days(90))",
        "sum" => "sum(TABLE.COLUMN where CONDITION, at_most = 100, after = DAY)",
        "predict" | "linear" | "ipw" => "predict(MODEL), linear(MODEL) or ipw(MODEL), of a model under [models]",
        PLAUSIBLE => "plausible(COLUMN, LEAST, GREATEST), e.g. plausible(systolic, 40, 300)",
        "age_at" => "age_at(today), age_at(index) or age_at(date '2020-01-31')",
        _ => "first(TABLE.COLUMN where CONDITION, after = DAY), and so last, min, max and mean",
    };
    TypeProblem::new(format!("`{name}` does not take these arguments")).hint(format!("write {how}"))
}

pub(super) fn only_argument(function: &Function) -> Option<&Sql> {
    let FunctionArguments::List(list) = &function.args else { return None };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(sql))] => Some(sql),
        _ => None,
    }
}

pub(super) fn whole(sql: &Sql) -> Option<i64> {
    match sql {
        Sql::Value(value) => match &value.value {
            Value::Number(text, _) => text.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}
