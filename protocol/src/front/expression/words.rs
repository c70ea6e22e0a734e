//! Words and signs that stand where people of other languages would put them: a text without its quotes, another operator, a chain of comparisons.

use sqlparser::ast::{BinaryOperator, Expr as Sql, Value};

use super::Binder;
use crate::plan::{Expr, Type, TypeProblem, type_of};

/// What to write in the place of an operator that there is not.
pub(super) fn instead_of(op: &BinaryOperator) -> Option<&'static str> {
    Some(match op {
        BinaryOperator::BitwiseOr | BinaryOperator::StringConcat => {
            "write `or` between conditions; a model tells sites apart by a term: OUTCOME ~ COLUMN + site"
        }
        BinaryOperator::BitwiseAnd | BinaryOperator::PGOverlap => "write `and`",
        BinaryOperator::BitwiseXor | BinaryOperator::PGExp => "write x * x, exp(x) or sqrt(x)",
        BinaryOperator::PGLikeMatch | BinaryOperator::PGRegexMatch | BinaryOperator::PGRegexIMatch => {
            "write a beginning: code like 'E11%'"
        }
        _ => return None,
    })
}

/// `18 <= age <= 65`, whose left side is a comparison by itself.
pub(super) fn chained(left: &Sql) -> Option<TypeProblem> {
    let Sql::BinaryOp { left, op, right } = left else { return None };
    // `age > 3 | age < 2` is this too, and another mistake.
    if matches!(right.as_ref(), Sql::BinaryOp { op, .. } if instead_of(op).is_some()) {
        return None;
    }
    let ordered = matches!(op, BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq);
    ordered.then(|| {
        let problem = TypeProblem::new(format!("`{left} {op} {right}` is compared with a third value"));
        problem.hint("write `and` between two comparisons, or: age between 18 and 65")
    })
}

/// `x = null`, which is true of nothing.
pub(super) fn beside_null(left: &Sql, right: &Sql) -> Option<TypeProblem> {
    let is_null = |sql: &Sql| matches!(sql, Sql::Value(value) if value.value == Value::Null);
    let of = if is_null(right) { left } else { is_null(left).then_some(right)? };
    let problem = TypeProblem::new("nothing is equal to null, or larger or smaller");
    Some(problem.hint(format!("write `{of} is null`, or `{of} is not null`")))
}

/// What SQL has and the study language has not.
pub(super) fn foreign(sql: &Sql) -> TypeProblem {
    match sql {
        Sql::Array(_) => TypeProblem::new(format!("`{sql}` is a list in brackets"))
            .hint("values follow one another: cut(age, 40, 60), and a list stands in parentheses: in (1, 2)"),
        _ => TypeProblem::new(format!("`{sql}` is not part of the study language"))
            .hint("see docs/STUDIES.md for what an expression may be"),
    }
}

impl Binder<'_> {
    /// What stands opposite `of`: a bare word that is no name is a text that lacks its quotes, where a text is what fits there.
    pub(super) fn lower_beside(&mut self, of: Option<&Expr>, sql: &Sql) -> Option<Expr> {
        let before = self.problems.len();
        let lowered = self.lower(sql);
        let (None, Sql::Identifier(word), Some(of)) = (&lowered, sql, of) else { return lowered };
        let word = &word.value;
        // A list of codes, which has been told of.
        if word.starts_with('@') {
            return None;
        }
        let problem = TypeProblem::new(format!("`{word}` is no column"));
        let hint = match type_of(of, self.columns()) {
            Ok(Type::Code(column)) => match self.columns().code_meant(&column, word) {
                Some(code) if code.label != code.code => {
                    format!("a code stands in single quotes: '{}' ({})", code.code, code.label)
                }
                Some(code) => format!("a code stands in single quotes: '{}'", code.code),
                None => return None,
            },
            // A source's columns are all texts: one of them is rather misspelt.
            Ok(Type::Text) if self.is_near_a_source_column(before) => return None,
            Ok(Type::Text) => format!("a text stands in single quotes: '{word}'"),
            _ => return None,
        };
        self.problems.truncate(before);
        self.refuse(problem.hint(hint))
    }

    /// Whether a column of a source was proposed in the problems from `before` on.
    fn is_near_a_source_column(&self, before: usize) -> bool {
        let proposed =
            |problem: &TypeProblem| problem.hint.as_ref().is_some_and(|hint| hint.starts_with("did you mean"));
        matches!(self.scope, super::Scope::Source(_)) && self.problems[before..].iter().any(proposed)
    }
}
