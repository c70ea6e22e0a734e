//! The expression language, evaluated row by row in plain Rust: what the engine is compared with. For tests only.
//!
//! Written from `protocol::plan::expr` and SQL's three-valued logic, sharing nothing with the compiled form: codes are
//! texts here, and a key's level is found by its label.

use std::collections::{BTreeMap, BTreeSet};

use bocage_protocol::contract::{Contract, Groups, Kind};
use bocage_protocol::plan::{
    Comparison, DateUnit, Expr, Function, Literal, MISSING, Measure, MeasureLayout, Operation, ValidPlan, band_labels,
};
use bocage_protocol::tally::{Cell, Size, Sums, Tally};

/// A value; codes are texts.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub enum Value {
    Number(f64),
    Bool(bool),
    Text(String),
    Date(i32),
    Datetime(i64),
    /// The label of a band or group.
    Level(String),
}

/// A row: its subject, and its values by column; absent ones are null.
#[derive(Debug, Clone)]
pub struct Row {
    pub subject: u32,
    pub values: BTreeMap<String, Value>,
}

/// The value of an expression in a row.
pub fn value(expr: &Expr, row: &Row, contract: &Contract) -> Option<Value> {
    let of = |e: &Expr| value(e, row, contract);
    let truth = |e: &Expr| match of(e) {
        Some(Value::Bool(b)) => Some(b),
        None => None,
        other => panic!("not a condition: {other:?}"),
    };
    let number = |e: &Expr| match of(e) {
        Some(Value::Number(x)) => Some(x),
        None => None,
        other => panic!("not a number: {other:?}"),
    };
    let finite = |x: f64| x.is_finite().then_some(Value::Number(x));
    match expr {
        Expr::Column(name) => row.values.get(name.as_str()).cloned(),
        Expr::Literal(literal) => Some(constant(literal)),
        Expr::Not(e) => truth(e).map(|b| Value::Bool(!b)),
        Expr::And(parts) => {
            let parts: Vec<Option<bool>> = parts.iter().map(truth).collect();
            if parts.contains(&Some(false)) {
                Some(Value::Bool(false))
            } else {
                (!parts.contains(&None)).then_some(Value::Bool(true))
            }
        }
        Expr::Or(parts) => {
            let parts: Vec<Option<bool>> = parts.iter().map(truth).collect();
            if parts.contains(&Some(true)) {
                Some(Value::Bool(true))
            } else {
                (!parts.contains(&None)).then_some(Value::Bool(false))
            }
        }
        Expr::Compare { op, left, right } => {
            let (left, right) = (of(left)?, of(right)?);
            Some(Value::Bool(match op {
                Comparison::Equal => left == right,
                Comparison::NotEqual => left != right,
                Comparison::Less => left < right,
                Comparison::LessOrEqual => left <= right,
                Comparison::Greater => left > right,
                Comparison::GreaterOrEqual => left >= right,
            }))
        }
        Expr::In { of: e, list } => of(e).map(|v| Value::Bool(list.iter().any(|l| constant(l) == v))),
        Expr::IsNull(e) => Some(Value::Bool(of(e).is_none())),
        Expr::Prefix { of: e, prefix } => match of(e)? {
            Value::Text(text) => Some(Value::Bool(text.starts_with(prefix))),
            other => panic!("no beginning: {other:?}"),
        },
        Expr::Arithmetic { op, left, right } => {
            let (a, b) = (number(left)?, number(right)?);
            finite(match op {
                Operation::Add => a + b,
                Operation::Subtract => a - b,
                Operation::Multiply => a * b,
                Operation::Divide => a / b,
            })
        }
        Expr::Apply { function, of: e } => {
            let x = number(e)?;
            finite(match function {
                Function::Exp => x.exp(),
                Function::Ln => x.ln(),
                Function::Sqrt => x.sqrt(),
                Function::Abs => x.abs(),
            })
        }
        Expr::Between { unit, from, to } => {
            let days = match (of(from)?, of(to)?) {
                (Value::Date(from), Value::Date(to)) => f64::from(to - from),
                (Value::Datetime(from), Value::Datetime(to)) => ((to - from) / 86_400_000) as f64,
                other => panic!("no dates: {other:?}"),
            };
            finite(if *unit == DateUnit::Days { days } else { days / 365.25 })
        }
        Expr::Case { branches, otherwise } => match branches.iter().find(|b| truth(&b.when) == Some(true)) {
            Some(branch) => of(&branch.then),
            None => otherwise.as_deref().and_then(of),
        },
        Expr::Cut { of: e, breaks } => number(e).map(|x| Value::Level(band(breaks, x))),
        Expr::Grouped { column, grouping } => {
            let column = contract.column(column.as_str()).unwrap();
            let value = row.values.get(column.name.as_str())?;
            Some(Value::Level(match (&column.grouping(grouping).unwrap().groups, value) {
                (Groups::Breaks(breaks), Value::Number(x)) => band(breaks, *x),
                (Groups::Codes { labels, of }, Value::Text(code)) => {
                    let Kind::Code { codes, .. } = &column.kind else { panic!("no codes") };
                    labels[of[codes.iter().position(|c| c.code == *code).unwrap()] as usize].clone()
                }
                other => panic!("no group: {other:?}"),
            }))
        }
        Expr::Coalesce(parts) => parts.iter().find_map(of),
        Expr::NullIf { of: e, equal } => {
            let found = of(e)?;
            if of(equal).as_ref() == Some(&found) { None } else { Some(found) }
        }
        Expr::Parse { .. } => panic!("a plan reads no texts"),
    }
}

fn band(breaks: &[f64], x: f64) -> String {
    band_labels(breaks)[breaks.iter().filter(|b| **b <= x).count()].clone()
}

fn constant(literal: &Literal) -> Value {
    match literal {
        Literal::Int(i) => Value::Number(*i as f64),
        Literal::Float(x) => Value::Number(*x),
        Literal::Bool(b) => Value::Bool(*b),
        Literal::Text(t) => Value::Text(t.clone()),
        Literal::Date(d) => Value::Date(*d),
        Literal::Datetime(t) => Value::Datetime(*t),
    }
}

/// The label of a key's level, as the layout spells it.
fn label(key: &Expr, row: &Row, contract: &Contract) -> String {
    match value(key, row, contract) {
        None => MISSING.to_owned(),
        Some(Value::Level(label)) => label,
        Some(Value::Bool(b)) => b.to_string(),
        Some(Value::Number(x)) => (x as i64).to_string(),
        Some(Value::Text(text)) => contract
            .columns()
            .iter()
            .find_map(|c| match &c.kind {
                Kind::Code { codes, .. } => codes.iter().find(|code| code.code == text).map(|code| code.label.clone()),
                _ => None,
            })
            .unwrap_or(text),
        other => panic!("no key: {other:?}"),
    }
}

/// The tally of `rows`, counted with sets.
pub fn tally(rows: &[Row], plan: &ValidPlan, contract: &Contract) -> Tally {
    let query = &plan.plan().query;
    let holds = |e: &Expr, row: &Row| value(e, row, contract) == Some(Value::Bool(true));
    let chosen: Vec<&Row> = rows.iter().filter(|r| query.filter.as_ref().is_none_or(|f| holds(f, r))).collect();
    let layout = plan.layout();
    let cells = (0..layout.cells_at(0)).map(|cell| {
        let labels = layout.labels(0, cell);
        let inside: Vec<&Row> = chosen
            .iter()
            .copied()
            .filter(|row| plan.table().by.iter().map(|key| label(key, row, contract)).eq(labels.iter().cloned()))
            .collect();
        let measures = plan.table().measures.iter().zip(layout.measures());
        Cell { size: size(&inside), measures: measures.map(|(m, l)| sums(m, l, &inside, contract)).collect() }
    });
    Tally { total: size(&chosen), cells: cells.collect() }
}

fn size(rows: &[&Row]) -> Size {
    let subjects: BTreeSet<u32> = rows.iter().map(|r| r.subject).collect();
    Size { subjects: subjects.len() as i128, rows: rows.len() as i128 }
}

fn sums(measure: &Measure, layout: &MeasureLayout, rows: &[&Row], contract: &Contract) -> Sums {
    let get = |name: &str, row: &Row| row.values.get(name).cloned();
    let number = |name: &str, row: &Row| match get(name, row) {
        Some(Value::Number(x)) => Some(x),
        _ => None,
    };
    if let Measure::Condition(expr) = measure {
        let side = |wanted: bool| -> Vec<&Row> {
            rows.iter().copied().filter(|r| value(expr, r, contract) == Some(Value::Bool(wanted))).collect()
        };
        let (holds, fails) = (side(true), side(false));
        let valid: Vec<&Row> = holds.iter().chain(&fails).copied().collect();
        return Sums::Condition { valid: size(&valid), holds: size(&holds), fails: size(&fails) };
    }
    let MeasureLayout::Number(quantum) = layout else { panic!("no number") };
    let quanta = |row: &Row| {
        let x = match measure {
            Measure::Column(c) => number(c.as_str(), row)?,
            Measure::Ln(c) => number(c.as_str(), row)?.ln(),
            Measure::Sqrt(c) => number(c.as_str(), row)?.sqrt(),
            Measure::Product(a, b) => number(a.as_str(), row)? * number(b.as_str(), row)?,
            Measure::Days { from, to } => match (get(from.as_str(), row)?, get(to.as_str(), row)?) {
                (Value::Date(from), Value::Date(to)) => f64::from(to - from),
                other => panic!("no dates: {other:?}"),
            },
            Measure::Condition(_) => unreachable!(),
        };
        quantum.quanta(x).map(i128::from)
    };
    let valid: Vec<&Row> = rows.iter().copied().filter(|r| quanta(r).is_some()).collect();
    let all: Vec<i128> = valid.iter().filter_map(|r| quanta(r)).collect();
    Sums::Number { valid: size(&valid), sum: all.iter().sum(), sum_sq: all.iter().map(|q| q * q).sum() }
}
