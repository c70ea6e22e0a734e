//! The expression language, evaluated row by row in plain Rust: what the engine is compared with. For tests only.
//!
//! Written from `protocol::plan::expr` and SQL's three-valued logic, sharing nothing with the compiled form: codes are
//! texts here, and a key's level is found by its label.

use std::collections::{BTreeMap, BTreeSet};

use bocage_protocol::contract::{Contract, Groups, Kind};
use bocage_protocol::plan::{
    Comparison, DateUnit, Expr, Function, Literal, MISSING, Measure, MeasureLayout, Operation, PeriodUnit, Periods,
    ValidPlan, band_labels,
};
use bocage_protocol::tally::{Cell, Size, Sums, Tally};
use chrono::{Datelike as _, NaiveDate, TimeDelta};

use crate::custodian::gate::{Counted, CountedKeys, Detail, Spread};

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
        Expr::Periods(periods) => {
            let day = match row.values.get(periods.column.as_str())? {
                Value::Date(day) => *day,
                Value::Datetime(ms) => ms.div_euclid(86_400_000) as i32,
                other => panic!("no date: {other:?}"),
            };
            Some(Value::Level(period(periods, day)))
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

/// The label of the period that a day lies in, from the day itself.
fn period(Periods { unit, from, to, .. }: &Periods, day: i32) -> String {
    let label = |day: i32| {
        let day = NaiveDate::default() + TimeDelta::days(day.into());
        match unit {
            PeriodUnit::Week => format!("{}-W{:02}", day.iso_week().year(), day.iso_week().week()),
            PeriodUnit::Month => format!("{}-{:02}", day.year(), day.month()),
            PeriodUnit::Quarter => format!("{}-Q{}", day.year(), day.month().div_ceil(3)),
            PeriodUnit::Year => day.year().to_string(),
        }
    };
    match day {
        _ if day < *from => format!("<{}", label(*from)),
        _ if day >= *to => format!(">{}", label(to - 1)),
        _ => label(day),
    }
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
    counted(rows, plan, contract, 1).tally
}

/// The tally with its details for a gate with the threshold `k`.
pub fn counted(rows: &[Row], plan: &ValidPlan, contract: &Contract, k: u32) -> Counted {
    counted_of(&chosen(rows, plan, contract), plan, contract, k)
}

/// The tables of the `most` keys with the most subjects in cells of `k` or more.
pub fn keys(rows: &[Row], plan: &ValidPlan, contract: &Contract, k: u32, most: usize) -> CountedKeys {
    let key = plan.discovered().unwrap();
    let column = contract.column(key.column().as_str()).unwrap();
    // Where a value stands in the column's order, and its name; missing values first.
    let place = |row: &Row| match row.values.get(column.name.as_str()) {
        None => (None, 0, None),
        Some(Value::Number(x)) => (Some(String::new()), *x as i64, Some((*x as i64).to_string())),
        Some(Value::Text(text)) => match &column.kind {
            Kind::Code { codes, .. } => {
                let at = codes.iter().position(|c| c.code == *text).unwrap();
                (Some(String::new()), at as i64, Some(text.clone()))
            }
            _ => (Some(text.clone()), 0, Some(text.clone())),
        },
        other => panic!("no key: {other:?}"),
    };
    let mut of: BTreeMap<_, Vec<&Row>> = BTreeMap::new();
    chosen(rows, plan, contract).into_iter().for_each(|row| of.entry(place(row)).or_default().push(row));
    // A key's table, and the sizes of its cells of k or more.
    let counted = |rows: Vec<&Row>| {
        let mut counted = counted_of(&rows, plan, contract, k);
        let sizes: Vec<Size> = counted.tally.cells.iter().map(|cell| cell.size).collect();
        let sum = |of: fn(&Size) -> i128| sizes.iter().map(of).sum();
        counted.tally.total = Size { subjects: sum(|size| size.subjects), rows: sum(|size| size.rows) };
        let shown: Vec<i128> = sizes.iter().map(|size| size.subjects).filter(|n| *n >= i128::from(k)).collect();
        (counted, shown)
    };
    let said = |name: &Option<String>| {
        name.as_ref().is_none_or(|n| !n.contains(bocage_protocol::marks::steers) && n.len() <= 200)
    };
    of.retain(|(_, _, name), _| said(name));
    let mut frequent: Vec<_> = of.into_iter().map(|(place, rows)| (place, counted(rows))).collect();
    frequent.retain(|(_, (_, shown))| !shown.is_empty());
    frequent.sort_by_key(|(_, (_, shown))| std::cmp::Reverse(shown.iter().sum::<i128>()));
    let left_out = frequent.split_off(most.min(frequent.len()));
    let beyond = left_out.iter().flat_map(|(_, (_, shown))| shown).max().copied();
    frequent.sort_by(|(a, _), (b, _)| a.cmp(b));
    let keys = frequent.into_iter().map(|((_, _, name), (counted, _))| (name, counted)).collect();
    CountedKeys { keys, beyond }
}

fn counted_of(chosen: &[&Row], plan: &ValidPlan, contract: &Contract, k: u32) -> Counted {
    let layout = plan.layout();
    let measures = || plan.table().measures.iter().zip(layout.measures());
    let inside: Vec<Vec<&Row>> = (0..layout.cells_at(0))
        .map(|cell| {
            let labels = layout.labels(0, cell);
            let is_inside =
                |row: &&Row| plan.table().by.iter().map(|key| label(key, row, contract)).eq(labels.iter().cloned());
            chosen.iter().copied().filter(is_inside).collect()
        })
        .collect();
    let cell = |rows: &Vec<&Row>| Cell {
        size: size(rows),
        measures: measures().map(|(m, l)| sums(m, l, rows, contract)).collect(),
    };
    let tally = Tally { total: size(chosen), cells: inside.iter().map(cell).collect() };
    Counted { threshold: k, tally, details: measures().map(|(m, l)| detail(m, l, &inside, contract, k)).collect() }
}

fn chosen<'a>(rows: &'a [Row], plan: &ValidPlan, contract: &Contract) -> Vec<&'a Row> {
    let holds = |e: &Expr, row: &Row| value(e, row, contract) == Some(Value::Bool(true));
    rows.iter().filter(|r| plan.plan().query.filter.as_ref().is_none_or(|f| holds(f, r))).collect()
}

fn detail(measure: &Measure, layout: &MeasureLayout, cells: &[Vec<&Row>], contract: &Contract, k: u32) -> Detail {
    if let Measure::Condition(expr) = measure {
        let lacks = |rows: &Vec<&Row>| {
            let lacking: Vec<&Row> = rows.iter().copied().filter(|row| value(expr, row, contract).is_none()).collect();
            size(&lacking).subjects as u32
        };
        return Detail::Condition(cells.iter().map(lacks).collect());
    }
    let spread = |rows: &Vec<&Row>| {
        let mut first: BTreeMap<u32, i64> = BTreeMap::new();
        for row in rows {
            if let Some(q) = quanta(measure, layout, row) {
                first.entry(row.subject).or_insert(q);
            }
        }
        let mut values: BTreeMap<i64, u32> = BTreeMap::new();
        first.values().for_each(|q| *values.entry(*q).or_default() += 1);
        let (subjects, most) = (first.len() as u32, values.values().copied().max().unwrap_or(0));
        if k == 1 || (values.len() >= 8 && values.values().all(|n| subjects - n >= k)) {
            Spread::Wide
        } else {
            Spread::Narrow { values: values.into_iter().collect(), subjects, most }
        }
    };
    Detail::Number(cells.iter().map(spread).collect())
}

fn size(rows: &[&Row]) -> Size {
    let subjects: BTreeSet<u32> = rows.iter().map(|r| r.subject).collect();
    Size { subjects: subjects.len() as i128, rows: rows.len() as i128 }
}

/// The quanta of a number in a row.
fn quanta(measure: &Measure, layout: &MeasureLayout, row: &Row) -> Option<i64> {
    let MeasureLayout::Number(quantum) = layout else { panic!("no number") };
    let get = |name: &bocage_protocol::ids::ColumnName| row.values.get(name.as_str()).cloned();
    let number = |name: &bocage_protocol::ids::ColumnName| match get(name) {
        Some(Value::Number(x)) => Some(x),
        _ => None,
    };
    quantum.quanta(match measure {
        Measure::Column(c) => number(c)?,
        Measure::Ln(c) => number(c)?.ln(),
        Measure::Sqrt(c) => number(c)?.sqrt(),
        Measure::Product(a, b) => number(a)? * number(b)?,
        Measure::Days { from, to } => match (get(from)?, get(to)?) {
            (Value::Date(from), Value::Date(to)) => f64::from(to - from),
            other => panic!("no dates: {other:?}"),
        },
        Measure::Condition(_) => panic!("no number"),
    })
}

fn sums(measure: &Measure, layout: &MeasureLayout, rows: &[&Row], contract: &Contract) -> Sums {
    if let Measure::Condition(expr) = measure {
        let side = |wanted: bool| -> Vec<&Row> {
            rows.iter().copied().filter(|r| value(expr, r, contract) == Some(Value::Bool(wanted))).collect()
        };
        let (holds, fails) = (side(true), side(false));
        let valid: Vec<&Row> = holds.iter().chain(&fails).copied().collect();
        return Sums::Condition { valid: size(&valid), holds: size(&holds), fails: size(&fails) };
    }
    let quanta = |row: &Row| quanta(measure, layout, row).map(i128::from);
    let valid: Vec<&Row> = rows.iter().copied().filter(|r| quanta(r).is_some()).collect();
    let all: Vec<i128> = valid.iter().filter_map(|r| quanta(r)).collect();
    Sums::Number { valid: size(&valid), sum: all.iter().sum(), sum_sq: all.iter().map(|q| q * q).sum() }
}
