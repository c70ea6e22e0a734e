//! What features are, row by row in plain Rust: what the engine is compared with. It shares nothing with it: no numbers of subjects, no parts, no
//! days that were worked out before, its own calendar.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bocage_protocol::contract::{Contract, Kind};
use bocage_protocol::ids::{ColumnName, ContractId, TableName};
use bocage_protocol::plan::{
    Derived, Edge, Expr, Factor, Family, Fit, Gives, Measure, Moment, Pick, Prediction, Product, Rows, ValidPlan,
};

use crate::custodian::engine::interpreter::{Row, Value, value};

/// The tables of a site: contracts, and rows whose subject is the patient.
pub type Tables = BTreeMap<ContractId, (Contract, Vec<Row>)>;

/// A mistake that the reference makes on purpose: cohorts that do not tell it from the truth would not tell an engine's mistake either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slip {
    /// None.
    Nothing,
    /// Of several rows at the last time, the one with the greatest value.
    TieOfLast,
    /// Of several rows at the first time, the one with the greatest value.
    TieOfFirst,
    /// A window without its last day.
    LastDay,
    /// A window without its first day.
    FirstDay,
    /// Rows without a time are in every window.
    Timeless,
    /// A row counts where its condition is not known.
    Unknown,
    /// One row more than asked for.
    OneMore,
    /// A window whose moment is not known is open.
    Open,
    /// Birthdays are had on the day after.
    Birthday,
    /// A row is one of those about itself.
    Itself,
    /// A key that several rows have is that of the first.
    AnyKey,
    /// Rows of other patients are referred to.
    OtherPatient,
    /// A sum has no bounds.
    Unbounded,
    /// What is not plausible counts as the nearest end of the range.
    Clamped,
    /// The ends of a range are not plausible.
    Inside,
}

impl Slip {
    /// All mistakes.
    pub const ALL: [Self; 15] = [
        Self::TieOfLast,
        Self::TieOfFirst,
        Self::LastDay,
        Self::FirstDay,
        Self::Timeless,
        Self::Unknown,
        Self::OneMore,
        Self::Open,
        Self::Birthday,
        Self::Itself,
        Self::AnyKey,
        Self::OtherPatient,
        Self::Unbounded,
        Self::Clamped,
        Self::Inside,
    ];
}

/// The rows of the base with the plan's features as further values.
pub fn extended(base: &ContractId, tables: &Tables, plan: &ValidPlan, slip: Slip) -> Vec<Row> {
    let (mut tables, mut own) = (tables.clone(), tables[base].1.clone());
    for (i, feature) in plan.features().iter().enumerate() {
        let id = feature.on.as_ref().map_or(base, |table| &plan.related()[table].dataset);
        let of_rows = feature.is_of_rows(&tables[base].0, &plan.features()[..i]);
        let rows = if feature.on.is_none() { &own } else { &tables[id].1 };
        let derived = |(at, row): (usize, &Row)| {
            let itself = of_rows.then_some((id, at));
            Of { row, contract: &tables[id].0, tables: &tables, plan, slip, itself }.derive(&feature.of)
        };
        let made: Vec<Option<Value>> = rows.iter().enumerate().map(derived).collect();
        let rows = if feature.on.is_none() { &mut own } else { &mut tables.get_mut(id).unwrap().1 };
        for (row, value) in rows.iter_mut().zip(made) {
            row.values.extend(value.map(|value| (feature.name.to_string(), value)));
        }
    }
    own
}

struct Of<'a> {
    row: &'a Row,
    contract: &'a Contract,
    tables: &'a Tables,
    plan: &'a ValidPlan,
    slip: Slip,
    /// Where the row stands, of a feature of rows.
    itself: Option<(&'a ContractId, usize)>,
}

impl Of<'_> {
    fn derive(&self, derived: &Derived) -> Option<Value> {
        match derived {
            Derived::Has { rows, at_least } => {
                let at_least = *at_least as usize + usize::from(self.slip == Slip::OneMore);
                Some(Value::Bool(self.rows(rows).len() >= at_least))
            }
            Derived::Count { rows } => Some(Value::Number(self.rows(rows).len().min(10_000) as f64)),
            Derived::Pick { pick, column, rows } => self.pick(*pick, column, rows),
            Derived::Sum { column, rows, at_most } => Some(self.sum(column, rows, *at_most)),
            Derived::Reached { through, table, column } => {
                let key = self.row.values.get(through.as_str())?;
                let (contract, rows) = self.table(table);
                let own = |row: &&Row| row.subject == self.row.subject || self.slip == Slip::OtherPatient;
                let keyed = |row: &&Row| row.values.get(contract.key().unwrap().as_str()) == Some(key);
                let found: Vec<&Row> = rows.iter().filter(own).filter(keyed).collect();
                let clear = found.len() == 1 || self.slip == Slip::AnyKey;
                found.first().filter(|_| clear)?.values.get(column.as_str()).cloned()
            }
            Derived::Value { table, column } => self.only(table)?.values.get(column.as_str()).cloned(),
            Derived::Predicted(of) => self.predicted(of),
            Derived::Plausible { column, lo, hi } => match self.row.values.get(column.as_str())? {
                Value::Number(x) if self.slip == Slip::Clamped => Some(Value::Number(x.max(*lo).min(*hi))),
                Value::Number(x) if self.slip == Slip::Inside => (lo < x && x < hi).then_some(Value::Number(*x)),
                Value::Number(x) => (lo <= x && x <= hi).then_some(Value::Number(*x)),
                _ => None,
            },
            Derived::Age { table, at } => {
                let born = match table {
                    None => self.row.values.get(self.contract.birth()?.as_str())?,
                    Some(table) => self.only(table)?.values.get(self.table(table).0.birth()?.as_str())?,
                };
                let (born, at) = (calendar(day(born)?), calendar(self.moment(at)?));
                let (today, birthday) = ((at.1, at.2), (born.1, born.2));
                let had = if self.slip == Slip::Birthday { today > birthday } else { today >= birthday };
                let years = at.0 - born.0 - i64::from(!had);
                (0..=130).contains(&years).then_some(Value::Number(years as f64))
            }
        }
    }

    /// Σ β Π x on the columns as they stand, and its mean.
    fn predicted(&self, of: &Prediction) -> Option<Value> {
        let factor = |factor: &Factor| match factor {
            Factor::Number(Measure::Column(name)) => match self.row.values.get(name.as_str())? {
                Value::Number(x) => Some(*x),
                _ => None,
            },
            Factor::Level { key, level } => match value(key, self.row, self.contract)? {
                Value::Bool(is) => Some(f64::from(u8::from(u32::from(is) == *level))),
                _ => None,
            },
            _ => None,
        };
        let column = |product: &Product| product.iter().map(factor).product::<Option<f64>>();
        let eta = of.columns.iter().zip(&of.beta).map(|(product, beta)| Some(beta * column(product)?));
        let eta = eta.sum::<Option<f64>>()?;
        Some(Value::Number(match (&of.gives, of.fit) {
            (Gives::Linear, _) | (_, Fit::Mean(Family::Gaussian)) => eta,
            _ => 1.0 / (1.0 + (-eta).exp()),
        }))
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
        let contract = self.plan.table_contract(&rows.table, contract);
        let itself = |at: usize| {
            let dataset = &self.plan.related()[&rows.table].dataset;
            self.slip != Slip::Itself && self.itself == Some((dataset, at))
        };
        let holds = |row: &Row, filter: &Expr| match value(filter, row, contract) {
            None => self.slip == Slip::Unknown,
            known => known == Some(Value::Bool(true)),
        };
        let within = |row: &Row| {
            let Some(window) = &rows.window else { return true };
            let Some(at) = contract.time().and_then(|time| row.values.get(time.as_str())).and_then(day) else {
                return self.slip == Slip::Timeless;
            };
            let end = |edge: &Edge| self.moment(&edge.at).map(|day| day + i64::from(edge.days));
            let within = |edge: &Option<Edge>, holds: &dyn Fn(i64) -> bool| match edge.as_ref().map(end) {
                None => true,
                Some(None) => self.slip == Slip::Open,
                Some(Some(day)) => holds(day),
            };
            within(&window.from, &|from| at > from || (at == from && self.slip != Slip::FirstDay))
                && within(&window.to, &|to| at < to || (at == to && self.slip != Slip::LastDay))
        };
        let others = all.iter().enumerate().filter(|(at, _)| !itself(*at)).map(|(_, row)| row);
        others
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

    fn sum(&self, column: &ColumnName, rows: &Rows, at_most: u32) -> Value {
        let of = |row: &Row| match row.values.get(column.as_str()) {
            Some(Value::Number(x)) => Some(*x),
            _ => None,
        };
        let mut numbers: Vec<f64> = self.rows(rows).into_iter().filter_map(of).collect();
        numbers.sort_by(f64::total_cmp);
        let (lo, hi) = match self.table(&rows.table).0.column(column.as_str()).unwrap().kind {
            Kind::Int { lo, hi } => (lo as f64, hi as f64),
            Kind::Float { lo, hi } => (lo, hi),
            _ => panic!("not a number"),
        };
        let sum = numbers.into_iter().sum::<f64>();
        let n = f64::from(at_most);
        Value::Number(if self.slip == Slip::Unbounded { sum } else { sum.max(n * lo.min(0.0)).min(n * hi.max(0.0)) })
    }

    fn pick(&self, pick: Pick, column: &ColumnName, rows: &Rows) -> Option<Value> {
        let contract = self.plan.table_contract(&rows.table, &self.table(&rows.table).0);
        let kind = &contract.column(column.as_str())?.kind;
        let mut found: Vec<(Option<Value>, Value)> = Vec::new();
        for row in self.rows(rows) {
            let time = contract.time().and_then(|time| row.values.get(time.as_str())).cloned();
            if let Some(value) = row.values.get(column.as_str()).cloned() {
                found.push((time, value));
            }
        }
        let smallest = |found: Vec<(Option<Value>, Value)>| {
            let mut values: Vec<Value> = found.into_iter().map(|(_, value)| value).collect();
            values.sort_by(|a, b| order(kind, a, b));
            match (pick, self.slip) {
                (Pick::First, Slip::TieOfFirst) | (Pick::Last, Slip::TieOfLast) => values.pop(),
                _ => values.into_iter().next(),
            }
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
