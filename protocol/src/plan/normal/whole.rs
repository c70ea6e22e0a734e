//! Comparisons of columns that hold whole numbers or days with constants: `age > 34`, `age > 34.5` and `age >= 35` say the same. They become `<`
//! or `>=`, of which one is the other's opposite, so that `not` changes nothing.
//!
//! It must never touch what is not a column: sums and products are doubles, and those have values in between.

use super::super::{Comparison, Expr, Literal};
use crate::contract::{Contract, Kind};
use crate::limits;

/// Rewrites them wherever they stand, in an expression in normal form. Says whether it changed anything.
pub(super) fn rewrite(expr: &mut Expr, contract: &Contract) -> bool {
    match expr {
        Expr::Compare { op, left, right } => {
            let inner = rewrite(left, contract) | rewrite(right, contract);
            let Some((first, literal)) = of_whole(left, right, contract).and_then(|literal| bound(*op, literal)) else {
                return inner;
            };
            let changed = *op != first || **right != Expr::Literal(literal.clone());
            (*op, **right) = (first, Expr::Literal(literal));
            changed | inner
        }
        Expr::In { of, list } => {
            let inner = rewrite(of, contract);
            let is_whole = |literal: &Literal| matches!(literal, Literal::Int(_));
            if kind(of, contract) != Some(Whole::Numbers) || list.iter().all(is_whole) || !list.iter().any(is_whole) {
                return inner;
            }
            list.retain(is_whole);
            true
        }
        Expr::Column(_) | Expr::Literal(_) | Expr::Grouped { .. } | Expr::Periods(_) => false,
        Expr::Not(of)
        | Expr::IsNull(of)
        | Expr::Prefix { of, .. }
        | Expr::Apply { of, .. }
        | Expr::Cut { of, .. }
        | Expr::Parse { of, .. } => rewrite(of, contract),
        Expr::And(parts) | Expr::Or(parts) | Expr::Coalesce(parts) => {
            parts.iter_mut().fold(false, |changed, part| rewrite(part, contract) | changed)
        }
        Expr::Arithmetic { left, right, .. } => rewrite(left, contract) | rewrite(right, contract),
        Expr::Between { from, to, .. } => rewrite(from, contract) | rewrite(to, contract),
        Expr::NullIf { of, equal } => rewrite(of, contract) | rewrite(equal, contract),
        Expr::Case { branches, otherwise } => {
            let branches = branches.iter_mut().fold(false, |changed, branch| {
                rewrite(&mut branch.when, contract) | rewrite(&mut branch.then, contract) | changed
            });
            branches | otherwise.as_deref_mut().is_some_and(|otherwise| rewrite(otherwise, contract))
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    Numbers,
    Days,
}

fn kind(expr: &Expr, contract: &Contract) -> Option<Whole> {
    let Expr::Column(name) = expr else { return None };
    match contract.column(name.as_str())?.kind {
        Kind::Int { .. } => Some(Whole::Numbers),
        Kind::Date { .. } => Some(Whole::Days),
        _ => None,
    }
}

/// The constant that a column without values in between is compared with. In normal form it stands right.
fn of_whole<'a>(left: &Expr, right: &'a Expr, contract: &Contract) -> Option<&'a Literal> {
    let Expr::Literal(literal) = right else { return None };
    match (kind(left, contract)?, literal) {
        (Whole::Numbers, Literal::Int(_) | Literal::Float(_)) | (Whole::Days, Literal::Date(_)) => Some(literal),
        _ => None,
    }
}

/// The same comparison as `<` or `>=` of the next whole constant; none where it has no order, or no such constant is exact.
fn bound(op: Comparison, literal: &Literal) -> Option<(Comparison, Literal)> {
    // Of `<` and `>=` the constant itself counts if it is whole; of the others the one after it does.
    let (first, after) = match op {
        Comparison::Equal | Comparison::NotEqual => return None,
        Comparison::Less => (Comparison::Less, false),
        Comparison::LessOrEqual => (Comparison::Less, true),
        Comparison::Greater => (Comparison::GreaterOrEqual, true),
        Comparison::GreaterOrEqual => (Comparison::GreaterOrEqual, false),
    };
    let literal = match literal {
        Literal::Date(day) => Literal::Date(day.checked_add(i32::from(after))?),
        Literal::Int(i) => Literal::Int(exact(i.checked_add(i64::from(after))?)?),
        Literal::Float(x) if x.is_finite() && x.abs() < limits::EXACT_INT as f64 => {
            Literal::Int(exact(if after { x.floor() as i64 + 1 } else { x.ceil() as i64 })?)
        }
        _ => return None,
    };
    Some((first, literal))
}

fn exact(i: i64) -> Option<i64> {
    (i.abs() <= limits::EXACT_INT).then_some(i)
}
