//! Calls of functions of one row's values.

use sqlparser::ast::{BinaryOperator, Expr as Sql, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

use super::super::study::{DISCOVERED, misplaced};
use super::relation::FEATURES;
use super::{Binder, Scope};
use crate::plan::{DateUnit, Expr, Function, ParseAs, PeriodUnit, TypeProblem};
use crate::settings::nearest;

const FUNCTIONS: &[&str] = &[
    "cut",
    "grouped",
    "week",
    "month",
    "quarter",
    "year",
    "nullif",
    "coalesce",
    "exp",
    "ln",
    "sqrt",
    "abs",
    "days_between",
    "years_between",
];

/// What there is in place of SQL's own aggregates.
const OF_ROWS: &str = "of a patient's rows in another table there are has, count, first, last, min, max, mean and sum; sums and means over patients are \
     asked by a table's `show`";

/// What is written here for a function that other languages have.
fn elsewhere(name: &str) -> Option<&'static str> {
    Some(match name {
        "log" | "log10" | "log2" => "write ln(x) for the natural logarithm",
        "if" | "iif" | "ifelse" | "if_else" => "write case when CONDITION then … else … end",
        "isnull" | "is_null" | "isna" | "ifnull" | "nvl" => "write COLUMN is null, or coalesce(COLUMN, …)",
        "startswith" | "starts_with" | "substring" | "substr" | "left" | "regexp_like" => {
            "write a beginning: COLUMN like 'E11%'"
        }
        "lower" | "upper" | "trim" => "texts and codes are compared as the contract has them",
        "bs" | "rcs" | "cr" | "cc" | "s" | "spline" => {
            "the spline of a formula is ns(COLUMN, knots = [50, 60]); a polynomial poly(COLUMN, 2)"
        }
        "factor" => "write C(COLUMN) in a formula; a code is a category by itself",
        "i" | "pow" | "power" => "write the product, or in a formula poly(COLUMN, 2)",
        "datediff" | "date_diff" | "timestampdiff" => "write days_between(FROM, TO) or years_between(FROM, TO)",
        "now" | "current_date" | "getdate" => "write today",
        _ => return None,
    })
}

/// Codes such as 8480-6, which are calculations where they have no quotes.
pub(super) fn bare_code(sql: &Sql) -> Option<String> {
    fn text(sql: &Sql) -> Option<String> {
        match sql {
            Sql::Value(value) => match &value.value {
                Value::Number(text, _) => Some(text.clone()),
                _ => None,
            },
            Sql::BinaryOp { left, op: BinaryOperator::Minus, right } => {
                Some(format!("{}-{}", text(left)?, text(right)?))
            }
            _ => None,
        }
    }
    matches!(sql, Sql::BinaryOp { .. }).then(|| text(sql))?
}

impl Binder<'_> {
    pub(super) fn arguments(&mut self, args: &FunctionArguments) -> Option<Vec<Sql>> {
        let plain = |arg: &FunctionArg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(sql)) => Some(sql.clone()),
            _ => None,
        };
        let found = match args {
            FunctionArguments::List(list) if list.clauses.is_empty() && list.duplicate_treatment.is_none() => {
                list.args.iter().map(plain).collect()
            }
            _ => None,
        };
        found.or_else(|| self.refuse(TypeProblem::new("a function takes plain arguments in parentheses")))
    }

    pub(super) fn call(&mut self, name: &str, args: &[Sql]) -> Option<Expr> {
        let of_one = |function| Some(function);
        if let Some((_, unit)) = PeriodUnit::ALL.iter().find(|(spelt, _)| *spelt == name) {
            return self.periods(*unit, args);
        }
        let function = match (name, args) {
            ("cut", [of, breaks @ ..]) => return self.cut(of, breaks),
            ("grouped", [Sql::Identifier(column), grouping]) => return self.grouped(&column.value, grouping),
            ("coalesce", parts) if !parts.is_empty() => {
                let lowered: Vec<Option<Expr>> = parts.iter().map(|p| self.lower(p)).collect();
                let mut lowered: Vec<Expr> = lowered.into_iter().collect::<Option<_>>()?;
                self.align(&mut lowered.iter_mut().collect::<Vec<_>>());
                return Some(Expr::Coalesce(lowered));
            }
            ("nullif", [of, equal]) => {
                let (of, equal) = (self.lower(of), self.lower(equal));
                let (of, equal) = self.matched(of?, equal?);
                return Some(Expr::NullIf { of: Box::new(of), equal: Box::new(equal) });
            }
            ("days_between", [from, to]) => return self.between(DateUnit::Days, from, to),
            ("years_between", [from, to]) => return self.between(DateUnit::Years, from, to),
            ("exp", [_]) => of_one(Function::Exp),
            ("ln", [_]) => of_one(Function::Ln),
            ("sqrt", [_]) => of_one(Function::Sqrt),
            ("abs", [_]) => of_one(Function::Abs),
            _ => None,
        };
        if let Some(function) = function {
            return Some(Expr::Apply { function, of: Box::new(self.lower_number(&args[0])?) });
        }
        if name == DISCOVERED {
            return self.refuse(misplaced());
        }
        let problem = if FUNCTIONS.contains(&name) {
            TypeProblem::new(format!("`{name}` does not take these {} arguments", args.len()))
        } else {
            TypeProblem::new(format!("unknown function `{name}`"))
        };
        // Those of features are written wherever a study's expressions are, and in no mapping of a node.
        let of_features = if matches!(self.scope, Scope::Source(_)) { &[] } else { FEATURES };
        self.refuse(match nearest(name, FUNCTIONS.iter().chain(of_features).copied()) {
            _ if name == "sum" || name == "avg" => problem.hint(OF_ROWS),
            _ if elsewhere(name).is_some() => problem.hint(elsewhere(name).unwrap_or_default()),
            Some(near) if near != name => problem.hint(format!("did you mean `{near}`?")),
            _ => problem.hint(format!("the functions are {}", FUNCTIONS.join(", "))),
        })
    }

    fn between(&mut self, unit: DateUnit, from: &Sql, to: &Sql) -> Option<Expr> {
        let (from, to) = (self.lower(from), self.lower(to));
        let (from, to) = (self.coerce(from?, ParseAs::Date), self.coerce(to?, ParseAs::Date));
        Some(Expr::Between { unit, from: Box::new(from), to: Box::new(to) })
    }
}
