//! What features are, row by row in plain Rust: what the engine is compared with. It shares nothing with it: no numbers of subjects, no parts, no
//! days that were worked out before, its own calendar.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bocage_protocol::contract::{Contract, Kind};
use bocage_protocol::ids::{ColumnName, ContractId, TableName};
use bocage_protocol::plan::{Derived, Edge, Expr, Moment, Pick, Rows, ValidPlan};

use crate::custodian::engine::interpreter::{Row, Value, value};

/// The tables of a site: contracts, and rows whose subject is the patient.
pub type Tables = BTreeMap<ContractId, (Contract, Vec<Row>)>;

/// The rows of the base with the plan's features as further values.
pub fn extended(base: &ContractId, tables: &Tables, plan: &ValidPlan) -> Vec<Row> {
    let (contract, rows) = &tables[base];
    let extend = |row: &Row| {
        let mut row = row.clone();
        for feature in plan.features() {
            let of = Of { row: &row, contract, tables, plan };
            if let Some(value) = of.derive(&feature.of) {
                row.values.insert(feature.name.to_string(), value);
            }
        }
        row
    };
    rows.iter().map(extend).collect()
}

struct Of<'a> {
    row: &'a Row,
    contract: &'a Contract,
    tables: &'a Tables,
    plan: &'a ValidPlan,
}

impl Of<'_> {
    fn derive(&self, derived: &Derived) -> Option<Value> {
        match derived {
            Derived::Has { rows, at_least } => Some(Value::Bool(self.rows(rows).len() >= *at_least as usize)),
            Derived::Count { rows } => Some(Value::Number(self.rows(rows).len().min(10_000) as f64)),
            Derived::Pick { pick, column, rows } => self.pick(*pick, column, rows),
            Derived::Value { table, column } => self.only(table)?.values.get(column.as_str()).cloned(),
            Derived::Age { table, at } => {
                let born = match table {
                    None => self.row.values.get(self.contract.birth()?.as_str())?,
                    Some(table) => self.only(table)?.values.get(self.table(table).0.birth()?.as_str())?,
                };
                let (born, at) = (calendar(day(born)?), calendar(self.moment(at)?));
                let had = (at.1, at.2) >= (born.1, born.2);
                let years = at.0 - born.0 - i64::from(!had);
                (0..=130).contains(&years).then_some(Value::Number(years as f64))
            }
        }
    }

    fn table(&self, name: &TableName) -> &(Contract, Vec<Row>) {
        &self.tables[&self.plan.related()[name].dataset]
    }

    /// The patient's one row.
    fn only(&self, table: &TableName) -> Option<&Row> {
        self.table(table).1.iter().find(|row| row.subject == self.row.subject)
    }

    fn rows(&self, rows: &Rows) -> Vec<&Row> {
        let (contract, all) = self.table(&rows.table);
        let holds = |row: &Row, filter: &Expr| value(filter, row, contract) == Some(Value::Bool(true));
        let within = |row: &Row| {
            let Some(window) = &rows.window else { return true };
            let Some(at) = contract.time().and_then(|time| row.values.get(time.as_str())).and_then(day) else {
                return false;
            };
            let end = |edge: &Edge| self.moment(&edge.at).map(|day| day + i64::from(edge.days));
            let after = window.from.as_ref().is_none_or(|edge| end(edge).is_some_and(|from| at >= from));
            let before = window.to.as_ref().is_none_or(|edge| end(edge).is_some_and(|to| at <= to));
            after && before
        };
        all.iter()
            .filter(|row| row.subject == self.row.subject)
            .filter(|row| rows.filter.as_ref().is_none_or(|filter| holds(row, filter)) && within(row))
            .collect()
    }

    fn moment(&self, moment: &Moment) -> Option<i64> {
        match moment {
            Moment::Date(day) => Some(i64::from(*day)),
            Moment::Column(name) => self.row.values.get(name.as_str()).and_then(day),
        }
    }

    fn pick(&self, pick: Pick, column: &ColumnName, rows: &Rows) -> Option<Value> {
        let contract = &self.table(&rows.table).0;
        let kind = &contract.column(column.as_str())?.kind;
        let mut found: Vec<(Option<Value>, Value)> = Vec::new();
        for row in self.rows(rows) {
            let time = contract.time().and_then(|time| row.values.get(time.as_str())).cloned();
            if let Some(value) = row.values.get(column.as_str()).cloned() {
                found.push((time, value));
            }
        }
        let smallest = |found: Vec<(Option<Value>, Value)>| {
            found.into_iter().map(|(_, value)| value).min_by(|a, b| order(kind, a, b))
        };
        match pick {
            Pick::Least => smallest(found),
            Pick::Greatest => found.into_iter().map(|(_, value)| value).max_by(|a, b| order(kind, a, b)),
            Pick::First | Pick::Last => {
                let times = found.iter().filter_map(|(time, _)| time.clone());
                let at = match pick {
                    Pick::First => times.min_by(|a, b| a.partial_cmp(b).unwrap()),
                    _ => times.max_by(|a, b| a.partial_cmp(b).unwrap()),
                }?;
                smallest(found.into_iter().filter(|(time, _)| time.as_ref() == Some(&at)).collect())
            }
            Pick::Mean => {
                let number = |value: &Value| if let Value::Number(x) = value { *x } else { panic!("not a number") };
                let mut numbers: Vec<f64> = found.iter().map(|(_, value)| number(value)).collect();
                numbers.sort_by(f64::total_cmp);
                let (least, greatest) = (*numbers.first()?, *numbers.last()?);
                Some(Value::Number((numbers.iter().sum::<f64>() / numbers.len() as f64).max(least).min(greatest)))
            }
        }
    }
}

/// Codes by their place in the contract, everything else by itself.
fn order(kind: &Kind, a: &Value, b: &Value) -> Ordering {
    match (kind, a, b) {
        (Kind::Code { codes, .. }, Value::Text(a), Value::Text(b)) => {
            let at = |text: &String| codes.iter().position(|code| code.code == *text).unwrap();
            at(a).cmp(&at(b))
        }
        _ => a.partial_cmp(b).unwrap(),
    }
}

fn day(value: &Value) -> Option<i64> {
    match value {
        Value::Date(day) => Some(i64::from(*day)),
        Value::Datetime(ms) => Some((*ms - ms.rem_euclid(86_400_000)) / 86_400_000),
        other => panic!("no day: {other:?}"),
    }
}

/// Year, month and day, by counting.
fn calendar(day: i64) -> (i64, i64, i64) {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let (mut year, mut left) = (1970, day);
    while left < 0 {
        year -= 1;
        left += if leap(year) { 366 } else { 365 };
    }
    while left >= if leap(year) { 366 } else { 365 } {
        left -= if leap(year) { 366 } else { 365 };
        year += 1;
    }
    let months = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= months[month] {
        left -= months[month];
        month += 1;
    }
    (year, month as i64 + 1, left + 1)
}
