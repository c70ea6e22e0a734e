//! One form for what means the same. Two plans that differ only in how their conditions are written become one plan, with one digest and one
//! answer: asked again in other words, a question is a repeat.
//!
//! Every rule here holds in SQL's three-valued logic and in the engine's arithmetic. Columns of whole numbers and dates are compared by `<` and
//! `>=` only (`whole`). What means the same for deeper reasons (`2 * age > 60` and `age > 30`) stays different, and counts as different.

mod called;
mod features;
mod whole;

pub(super) use called::Called;
pub(crate) use called::is_numbered;
pub(super) use features::contents;

pub(super) use features::plain as derived;

use std::borrow::Cow;

use super::order::{self, Stands};
use super::{
    Bins, Branch, Comparison, Contracts, Discovered, Expr, Literal, Measure, Operation, Plan, Query, Statistic, Table,
    TableLayout,
};
use crate::contract::Contract;
use crate::ids::ContractId;
use crate::limits;
use crate::settings::Problems;
use crate::trust::canonical;

/// The plan with every condition, key and measure in normal form, and what it lists in one order (`order`); `written` is its shape as it was written.
pub(super) fn plan(plan: &Plan, contracts: &Contracts<'_>, written: &TableLayout) -> (Plan, Stands, Called) {
    let (mut normal, called) = in_order(plan, contracts);
    let stands = order::put(&mut normal, written);
    (normal, stands, called)
}

fn in_order(plan: &Plan, contracts: &Contracts<'_>) -> (Plan, Called) {
    let (plan, called) = &features::named(plan, contracts);
    let extended = extended(plan, contracts);
    let contract = extended.as_ref().map_or(contracts.base, |known| &known.base);
    let normal = |expr: &Expr| normal(expr, contract);
    let statistic = match &plan.statistic {
        Statistic::Table(of) => Statistic::Table(table(of, contract)),
        Statistic::Discovered(Discovered { key, table: of }) => {
            Statistic::Discovered(Discovered { key: key.clone(), table: table(of, contract) })
        }
        Statistic::Bins(Bins::Steps(steps)) => Statistic::Bins(Bins::Steps(steps.iter().map(normal).collect())),
        Statistic::Bins(Bins::Column(column)) => Statistic::Bins(Bins::Column(column.clone())),
        Statistic::Model(model) => Statistic::Model(model.map(&|of| measure(of, contract), &normal)),
        Statistic::Bins(Bins::Lines(lines)) => Statistic::Bins(Bins::Lines(lines.map(normal))),
    };
    let filter = plan.query.filter.as_ref().map(normal).filter(|filter| *filter != truth(true));
    (Plan { query: Query { filter, ..plan.query.clone() }, statistic }, called.clone())
}

/// The contracts of a plan whose tables have other names than when they were given.
pub(super) fn renamed<'a>(plan: &Plan, contracts: &Contracts<'a>) -> Contracts<'a> {
    let own = |id: &ContractId| contracts.related.values().find(|contract| contract.id() == id).copied();
    Contracts::of(contracts.base, &plan.query.related, own)
}

/// The contracts with the plan's features, whatever their names are.
fn extended(plan: &Plan, contracts: &Contracts<'_>) -> Option<super::features::Known> {
    super::features::extended(&plan.query, &renamed(plan, contracts), &mut Problems::default())
}

fn table(table: &Table, contract: &Contract) -> Table {
    Table {
        by: table.by.iter().map(|key| normal(key, contract)).collect(),
        measures: table.measures.iter().map(|of| measure(of, contract)).collect(),
        roll_up: table.roll_up,
    }
}

fn measure(measure: &Measure, contract: &Contract) -> Measure {
    match measure {
        Measure::Condition(condition) => Measure::Condition(normal(condition, contract)),
        Measure::Product(a, b) if b < a => Measure::Product(b.clone(), a.clone()),
        other => other.clone(),
    }
}

/// The expression in normal form: of the same type, and with the same value in every row. One that is beyond the bounds of
/// [`crate::limits`], or whose normal form would be (`not` of many parts grows by one for each), stays as it is.
pub fn normal(expr: &Expr, contract: &Contract) -> Expr {
    // Once more, for comparisons that have become equal.
    let twice = |mut form: Expr| if whole::rewrite(&mut form, contract) { rewritten(&form) } else { form };
    let bounded = expr.size().map(|_| twice(rewritten(expr))).filter(|normal| normal.size().is_some());
    bounded.unwrap_or_else(|| expr.clone())
}

fn rewritten(expr: &Expr) -> Expr {
    let boxed = |part: &Expr| Box::new(rewritten(part));
    match expr {
        Expr::Column(_) | Expr::Literal(_) | Expr::Grouped { .. } | Expr::Periods(_) => expr.clone(),
        Expr::Not(of) => negated(rewritten(of)),
        Expr::And(parts) => junction(true, parts.iter().map(rewritten).collect()),
        Expr::Or(parts) => junction(false, parts.iter().map(rewritten).collect()),
        Expr::Compare { op, left, right } => comparison(*op, rewritten(left), rewritten(right)),
        Expr::In { of, list } => membership(rewritten(of), list.clone()),
        Expr::IsNull(of) => match rewritten(of) {
            Expr::Literal(_) => truth(false),
            of => Expr::IsNull(Box::new(of)),
        },
        Expr::Prefix { of, prefix } => Expr::Prefix { of: boxed(of), prefix: prefix.clone() },
        Expr::Arithmetic { op, left, right } => arithmetic(*op, rewritten(left), rewritten(right)),
        Expr::Apply { function, of } => Expr::Apply { function: *function, of: boxed(of) },
        Expr::Between { unit, from, to } => Expr::Between { unit: *unit, from: boxed(from), to: boxed(to) },
        Expr::Case { branches, otherwise } => Expr::Case {
            branches: branches.iter().map(|b| Branch { when: rewritten(&b.when), then: rewritten(&b.then) }).collect(),
            otherwise: otherwise.as_deref().map(boxed),
        },
        Expr::Cut { of, breaks } => Expr::Cut { of: boxed(of), breaks: breaks.clone() },
        Expr::Coalesce(parts) if parts.len() == 1 => rewritten(&parts[0]),
        Expr::Coalesce(parts) => Expr::Coalesce(parts.iter().map(rewritten).collect()),
        Expr::NullIf { of, equal } => Expr::NullIf { of: boxed(of), equal: boxed(equal) },
        Expr::Parse { of, to } => Expr::Parse { of: boxed(of), to: *to },
    }
}

fn truth(value: bool) -> Expr {
    Expr::Literal(Literal::Bool(value))
}

/// Not this, which is in normal form: the `not` goes inwards until nothing lets it through.
fn negated(expr: Expr) -> Expr {
    match expr {
        Expr::Literal(Literal::Bool(value)) => truth(!value),
        Expr::Not(of) => *of,
        Expr::And(parts) => junction(false, parts.into_iter().map(negated).collect()),
        Expr::Or(parts) => junction(true, parts.into_iter().map(negated).collect()),
        Expr::Compare { op, left, right } => Expr::Compare { op: opposite(op), left, right },
        other => Expr::Not(Box::new(other)),
    }
}

/// `and` or `or` of parts in normal form: flat, sorted, each part once, and what is said about one thing's values in one list.
fn junction(all: bool, parts: Vec<Expr>) -> Expr {
    let mut flat = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Expr::And(inner) if all => flat.extend(inner),
            Expr::Or(inner) if !all => flat.extend(inner),
            // `false and x` is false and `true or x` is true, whatever x is; null too.
            Expr::Literal(Literal::Bool(value)) if value != all => return truth(value),
            Expr::Literal(Literal::Bool(_)) => {}
            other => flat.push(other),
        }
    }
    let mut sorted: Vec<(Vec<u8>, Expr)> = gathered(all, flat).into_iter().map(|part| (place(&part), part)).collect();
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    sorted.dedup_by(|(a, _), (b, _)| a == b);
    let mut parts: Vec<Expr> = sorted.into_iter().map(|(_, part)| part).collect();
    match (parts.len(), all) {
        (0, _) => truth(all),
        (1, _) => parts.remove(0),
        (_, true) => Expr::And(parts),
        (_, false) => Expr::Or(parts),
    }
}

/// `x = 1 or x in (2, 3)` in one list, and so `x <> 1 and not x in (2, 3)`.
fn gathered(all: bool, parts: Vec<Expr>) -> Vec<Expr> {
    let mut lists: Vec<(Expr, Vec<Literal>)> = Vec::new();
    let mut others = Vec::with_capacity(parts.len());
    for part in parts {
        match listed(all, &part) {
            None => others.push(part),
            Some((of, list)) => match lists.iter_mut().find(|(known, _)| known == of) {
                Some((_, known)) if known.len() + list.len() <= limits::IN_LIST => known.extend(list.into_owned()),
                _ => lists.push((of.clone(), list.into_owned())),
            },
        }
    }
    others.extend(lists.into_iter().map(|(of, list)| {
        let of = membership(of, list);
        if all { negated(of) } else { of }
    }));
    others
}

/// What a part of an `or` lists as allowed, or a part of an `and` as excluded.
fn listed(excluded: bool, part: &Expr) -> Option<(&Expr, Cow<'_, [Literal]>)> {
    let equality = if excluded { Comparison::NotEqual } else { Comparison::Equal };
    match part {
        Expr::Compare { op, left, right } if *op == equality => match right.as_ref() {
            Expr::Literal(literal) => Some((left.as_ref(), Cow::Owned(vec![literal.clone()]))),
            _ => None,
        },
        Expr::Not(of) if excluded => match of.as_ref() {
            Expr::In { of, list } => Some((of.as_ref(), Cow::Borrowed(list.as_slice()))),
            _ => None,
        },
        Expr::In { of, list } if !excluded => Some((of.as_ref(), Cow::Borrowed(list.as_slice()))),
        _ => None,
    }
}

fn membership(of: Expr, list: Vec<Literal>) -> Expr {
    let mut sorted: Vec<(Vec<u8>, Literal)> =
        list.into_iter().map(number).map(|literal| (place(&literal), literal)).collect();
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    sorted.dedup_by(|(a, _), (b, _)| a == b);
    let mut list: Vec<Literal> = sorted.into_iter().map(|(_, literal)| literal).collect();
    match (&of, list.len()) {
        (_, 1) => comparison(Comparison::Equal, of, Expr::Literal(list.remove(0))),
        (Expr::Literal(value), _) => {
            let value = number(value.clone());
            truth(list.contains(&value))
        }
        _ => Expr::In { of: Box::new(of), list },
    }
}

/// A comparison of parts in normal form: a constant stands right.
fn comparison(op: Comparison, left: Expr, right: Expr) -> Expr {
    let (left, right) = (constant(left), constant(right));
    if let (Expr::Literal(left), Expr::Literal(right)) = (&left, &right)
        && let Some(value) = compared(op, left, right)
    {
        return truth(value);
    }
    let is_literal = |expr: &Expr| matches!(expr, Expr::Literal(_));
    let turned = match (is_literal(&left), is_literal(&right)) {
        (false, true) => false,
        (true, false) => true,
        _ => place(&right) < place(&left),
    };
    let (op, left, right) = if turned { (mirrored(op), right, left) } else { (op, left, right) };
    match (op, &right) {
        (Comparison::Equal, Expr::Literal(Literal::Bool(true)))
        | (Comparison::NotEqual, Expr::Literal(Literal::Bool(false))) => left,
        (Comparison::Equal, Expr::Literal(Literal::Bool(false)))
        | (Comparison::NotEqual, Expr::Literal(Literal::Bool(true))) => negated(left),
        _ => Expr::Compare { op, left: Box::new(left), right: Box::new(right) },
    }
}

fn arithmetic(op: Operation, left: Expr, right: Expr) -> Expr {
    if let (Some(a), Some(b)) = (value(&left), value(&right)) {
        let result = match op {
            Operation::Add => a + b,
            Operation::Subtract => a - b,
            Operation::Multiply => a * b,
            Operation::Divide => a / b,
        };
        if result.is_finite() {
            // Adding zero makes −0 what it is compared as.
            return Expr::Literal(Literal::Float(result + 0.0));
        }
    }
    let (left, right) = (constant(left), constant(right));
    // IEEE 754: a + b and a · b do not depend on the order.
    let commutes = matches!(op, Operation::Add | Operation::Multiply);
    let (left, right) = if commutes && place(&right) < place(&left) { (right, left) } else { (left, right) };
    Expr::Arithmetic { op, left: Box::new(left), right: Box::new(right) }
}

fn value(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Literal(Literal::Int(i)) => Some(*i as f64),
        Expr::Literal(Literal::Float(x)) => Some(*x),
        _ => None,
    }
}

fn constant(expr: Expr) -> Expr {
    match expr {
        Expr::Literal(literal) => Expr::Literal(number(literal)),
        other => other,
    }
}

/// A number that is compared or calculated with: whole ones as integers, since 5 and 5.0 are the same double.
fn number(literal: Literal) -> Literal {
    match literal {
        Literal::Float(x) if x.fract() == 0.0 && x.abs() <= limits::EXACT_INT as f64 => Literal::Int(x as i64),
        other => other,
    }
}

/// What two constants of one type say; nothing where they are not of one.
fn compared(op: Comparison, left: &Literal, right: &Literal) -> Option<bool> {
    use std::cmp::Ordering;
    let order = match (left, right) {
        (Literal::Bool(a), Literal::Bool(b)) => a.cmp(b),
        (Literal::Text(a), Literal::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Literal::Date(a), Literal::Date(b)) => a.cmp(b),
        (Literal::Datetime(a), Literal::Datetime(b)) => a.cmp(b),
        _ => {
            let of = |literal: &Literal| value(&Expr::Literal(literal.clone()));
            of(left)?.partial_cmp(&of(right)?)?
        }
    };
    Some(match op {
        Comparison::Equal => order == Ordering::Equal,
        Comparison::NotEqual => order != Ordering::Equal,
        Comparison::Less => order == Ordering::Less,
        Comparison::LessOrEqual => order != Ordering::Greater,
        Comparison::Greater => order == Ordering::Greater,
        Comparison::GreaterOrEqual => order != Ordering::Less,
    })
}

fn opposite(op: Comparison) -> Comparison {
    match op {
        Comparison::Equal => Comparison::NotEqual,
        Comparison::NotEqual => Comparison::Equal,
        Comparison::Less => Comparison::GreaterOrEqual,
        Comparison::LessOrEqual => Comparison::Greater,
        Comparison::Greater => Comparison::LessOrEqual,
        Comparison::GreaterOrEqual => Comparison::Less,
    }
}

/// The same comparison with its sides exchanged.
fn mirrored(op: Comparison) -> Comparison {
    match op {
        Comparison::Equal | Comparison::NotEqual => op,
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
    }
}

/// Where something stands among others: by its canonical bytes.
pub(super) fn place(of: &impl serde::Serialize) -> Vec<u8> {
    canonical(of).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::parse;
    use crate::front::condition;

    fn contract() -> Contract {
        let numbers =
            ["age", "x", "y"].map(|n| format!("[[column]]\nname = \"{n}\"\ntype = \"int\"\nrange = [0, 99]\n"));
        let others = "[[column]]\nname = \"weight\"\ntype = \"float\"\nrange = [0, 99]\n\
                      [[column]]\nname = \"seen\"\ntype = \"date\"\nrange = [\"1990-01-01\", \"2030-01-01\"]\n";
        let truths = ["a", "b", "c"].map(|n| format!("[[column]]\nname = \"{n}\"\ntype = \"bool\"\n"));
        let contract = format!("id = \"test@1\"\nsubject = \"row\"\n{}{}{others}", numbers.concat(), truths.concat());
        parse(&contract, "t.toml").unwrap()
    }

    fn of_form(expr: &Expr) -> Expr {
        normal(expr, &contract())
    }

    fn of(text: &str) -> Expr {
        of_form(&condition(text, &contract()))
    }

    fn mean_the_same(groups: &[&[&str]]) {
        for group in groups {
            for text in group.iter().skip(1) {
                assert_eq!(of(group[0]), of(text), "{text}");
            }
        }
    }

    #[test]
    fn the_same_condition_in_other_words_is_one() {
        let same: [&[&str]; 8] = [
            &["age > 5", "5 < age", "not age <= 5", "not not age > 5", "age > 5.0", "age > 2 + 3", "not (5 >= age)"],
            &[
                "a and b",
                "b and a",
                "a and b and a",
                "not (not a or not b)",
                "(b and (a and b)) or false",
                "a = true and b",
            ],
            &[
                "x between 1 and 9",
                "1 <= x and 9 >= x",
                "x <= 9 and x >= 1",
                "not (x < 1 or x > 9)",
                "x >= 1 and x <= 9 and true",
            ],
            &[
                "x in (1, 2, 3)",
                "x in (3, 1, 2, 1)",
                "x = 1 or x in (2, 3)",
                "3 = x or x = 2 or 1.0 = x",
                "not (x <> 1 and not x in (2, 3))",
            ],
            &[
                "x not in (1, 2)",
                "not x in (2, 1)",
                "x <> 2 and x <> 1",
                "not (x = 1 or x = 2)",
                "2 <> x and not x = 1",
            ],
            &["x = 1", "x in (1)", "1 = x", "x in (1, 1.0)", "not x <> 1"],
            &["x + y > 1", "y + x > 1", "1 < x + y", "1 < coalesce(y + x)"],
            &[
                "a or b or c",
                "(c or b) or a",
                "c or (a or b)",
                "not (not a and not b and not c)",
                "b <> false or not c = false or a",
            ],
        ];
        mean_the_same(&same);
    }

    #[test]
    fn whole_numbers_and_days_are_compared_in_one_way() {
        let same: [&[&str]; 6] = [
            &[
                "age > 34",
                "age >= 35",
                "not age < 35",
                "35 <= age",
                "34 < age",
                "age > 34.5",
                "34.5 < age",
                "age >= 34.5",
                "not age <= 34.9",
            ],
            &["age < 35", "age <= 34", "34 >= age", "not age >= 35", "age < 34.5", "age <= 34.99", "age < 30 + 4.5"],
            &[
                "age > 34 and age < 46",
                "age between 35 and 45",
                "age >= 35 and age <= 45.5",
                "not (age < 35 or age > 45)",
            ],
            &["age > 34 and age >= 35 and a", "a and age > 34.2"],
            &["age in (1, 2.5, 3)", "age = 3 or age = 1", "age in (3, 1)"],
            &[
                "seen > date '2020-02-28'",
                "seen >= date '2020-02-29'",
                "not seen <= date '2020-02-28'",
                "date '2020-02-29' <= seen",
            ],
        ];
        mean_the_same(&same);
        for (a, b) in [
            ("weight > 34", "weight >= 35"),
            ("age > 34", "age > 35"),
            ("x + y > 4", "x + y >= 5"),
            ("age = 4.5", "age = 5"),
        ] {
            assert_ne!(of(a), of(b), "{a} / {b}");
        }
        let far = "age > 9007199254740991";
        assert_eq!(of(far), of("9007199254740991 < age"), "what no integer follows exactly stays");
    }

    #[test]
    fn conditions_that_differ_stay_different() {
        let all = [
            "age > 5",
            "age >= 5",
            "age < 5",
            "x > 5",
            "age = 5",
            "age <> 5",
            "a and b",
            "a or b",
            "not a",
            "a",
            "x - y > 1",
            "y - x > 1",
        ];
        for (i, a) in all.iter().enumerate() {
            for b in &all[i + 1..] {
                assert_ne!(of(a), of(b), "{a} / {b}");
            }
        }
    }

    #[test]
    fn a_normal_form_is_its_own_and_a_constant_is_found_to_be_one() {
        for text in ["not (a and x in (2, 1) or y + 1 > x)", "case when not not a then 'x' else 'y' end = 'x'"] {
            assert_eq!(of_form(&of(text)), of(text), "{text}");
        }
        assert_eq!(of("x > 1 or 1 = 1"), truth(true));
        assert_eq!(of("x > 1 and 'a' = 'b'"), truth(false));
    }
}
