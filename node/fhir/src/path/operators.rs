//! What stands between two operands.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use rust_decimal::Decimal;

use super::evaluate::{Scope, each, ended, single, truth};
use super::parser::Operator;
use super::{Expr, Item, Trouble};
use crate::json::Value;

/// Evaluates `left operator right`, but for unions: these are no single value.
pub fn operate<'v>(
    operator: Operator,
    left: &'v Expr,
    right: &'v Expr,
    scope: &Scope<'v>,
) -> Result<Option<Item<'v>>, Trouble> {
    let bool = |truth: Option<bool>| Ok(truth.map(Item::Bool));
    match operator {
        Operator::And | Operator::Or => bool(connect(operator == Operator::Or, left, right, scope)?),
        Operator::Equal => bool(equal(left, right, scope)?),
        Operator::Unequal => bool(equal(left, right, scope)?.map(|same| !same)),
        Operator::Less => bool(compare(left, right, scope)?.map(Ordering::is_lt)),
        Operator::LessOrEqual => bool(compare(left, right, scope)?.map(Ordering::is_le)),
        Operator::Greater => bool(compare(left, right, scope)?.map(Ordering::is_gt)),
        Operator::GreaterOrEqual => bool(compare(left, right, scope)?.map(Ordering::is_ge)),
        Operator::Plus => calculate(left, right, scope, Decimal::checked_add),
        Operator::Minus => calculate(left, right, scope, Decimal::checked_sub),
        Operator::Times => calculate(left, right, scope, Decimal::checked_mul),
        Operator::Divided => calculate(left, right, scope, Decimal::checked_div),
        Operator::Union => Ok(None),
    }
}

/// Logic of three values: what is not known decides nothing.
fn connect<'v>(or: bool, left: &'v Expr, right: &'v Expr, scope: &Scope<'v>) -> Result<Option<bool>, Trouble> {
    let a = truth(left, scope)?;
    if a == Some(or) {
        return Ok(a);
    }
    let b = truth(right, scope)?;
    Ok(if b == Some(or) { b } else { a.zip(b).map(|_| !or) })
}

fn equal<'v>(left: &'v Expr, right: &'v Expr, scope: &Scope<'v>) -> Result<Option<bool>, Trouble> {
    let (first_a, rest_a) = some(left, scope)?;
    if let (Some(Item::Node(Value::Text(text))), Expr::Text(other)) = (&first_a, right) {
        // What most conditions ask: whether a text of the resource is the one that stands in the path.
        return Ok(Some(rest_a.is_empty() && text == other));
    }
    let (first_b, rest_b) = some(right, scope)?;
    let Some(first) = first_a.zip(first_b) else { return Ok(None) };
    if rest_a.len() != rest_b.len() {
        return Ok(Some(false));
    }
    let mut all = Some(true);
    for (a, b) in [first].into_iter().chain(rest_a.into_iter().zip(rest_b)) {
        match a.equal(&b)? {
            Some(true) => {}
            Some(false) => return Ok(Some(false)),
            None => all = None,
        }
    }
    Ok(all)
}

/// The first item and the rest: mostly there is one, which takes no list.
fn some<'v>(expr: &'v Expr, scope: &Scope<'v>) -> Result<(Option<Item<'v>>, Vec<Item<'v>>), Trouble> {
    let (mut first, mut rest) = (None, Vec::new());
    ended(each(expr, scope, &mut |item| {
        match first {
            None => first = Some(item),
            Some(_) => rest.push(item),
        }
        ControlFlow::Continue(())
    }))?;
    Ok((first, rest))
}

fn compare<'v>(left: &'v Expr, right: &'v Expr, scope: &Scope<'v>) -> Result<Option<Ordering>, Trouble> {
    match single(left, scope)?.zip(single(right, scope)?) {
        Some((a, b)) => a.compare(&b),
        None => Ok(None),
    }
}

/// Calculates with two numbers, or puts two texts together. What has no result, as a division by zero, is nothing.
fn calculate<'v>(
    left: &'v Expr,
    right: &'v Expr,
    scope: &Scope<'v>,
    with: impl Fn(Decimal, Decimal) -> Option<Decimal>,
) -> Result<Option<Item<'v>>, Trouble> {
    let Some((a, b)) = single(left, scope)?.zip(single(right, scope)?) else { return Ok(None) };
    let (a, b) = a.number()?.zip(b.number()?).ok_or(Trouble::Unlike)?;
    Ok(with(a, b).map(Item::Number))
}
