//! From the closed expression language to Polars expressions over physical columns.
//!
//! Numbers are computed as doubles whatever their storage, codes as their position in the contract, dates as days and
//! datetimes as milliseconds. What the checker admits, this compiles; it must never read a column that the expression does
//! not name.

use bocage_protocol::contract::{Code, Contract, Groups, Kind};
use bocage_protocol::ids::ColumnName;
use bocage_protocol::plan::{Branch, Comparison, DateUnit, Expr, Function, Literal, Periods};
use polars::prelude as pl;
use polars::prelude::{DataType, lit};

use super::elementwise;

/// What the columns of an expression are.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// The physical columns of a snapshot under this contract.
    Snapshot(&'a Contract),
    /// The columns of a source, all of them texts.
    Source,
}

/// How a compiled value is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// `Float64`, finite.
    Number,
    /// `Boolean`.
    Bool,
    /// `String`.
    Text,
    /// `Int32`, days since 1970-01-01.
    Date,
    /// `Int64`, milliseconds since 1970-01-01T00:00:00Z.
    Datetime,
    /// `UInt32`, the position of a code of this column.
    Code(ColumnName),
    /// `UInt32`, a band or group.
    Level,
}

impl Form {
    /// The type that Polars holds it in.
    pub fn dtype(&self) -> DataType {
        match self {
            Form::Number => DataType::Float64,
            Form::Bool => DataType::Boolean,
            Form::Text => DataType::String,
            Form::Date => DataType::Int32,
            Form::Datetime => DataType::Int64,
            Form::Code(_) | Form::Level => DataType::UInt32,
        }
    }
}

/// A compiled expression.
#[derive(Clone)]
pub struct Compiled {
    /// For Polars.
    pub expr: pl::Expr,
    /// How its values are held.
    pub form: Form,
}

/// An expression that the checker would not have admitted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the expression does not fit its columns: {0}")]
pub struct Unfit(pub &'static str);

type Result<T> = std::result::Result<T, Unfit>;

/// Compiles an expression that passed the checker.
///
/// # Errors
/// It did not pass the checker.
pub fn compile(expr: &Expr, scope: Scope<'_>) -> Result<Compiled> {
    let part = |part: &Expr| compile(part, scope);
    match expr {
        Expr::Column(name) => column(name, scope),
        Expr::Literal(literal) => Ok(constant(literal)),
        Expr::Not(of) => Ok(boolean(condition(of, scope)?.not())),
        Expr::And(parts) => all(parts, scope, pl::Expr::and),
        Expr::Or(parts) => all(parts, scope, pl::Expr::or),
        Expr::Compare { op, left, right } => {
            let (left, right) = pair(left, right, scope)?;
            Ok(boolean(compare(*op, left.expr, right)))
        }
        Expr::In { of, list } => member(part(of)?, list, scope).map(boolean),
        Expr::IsNull(of) => Ok(boolean(part(of)?.expr.is_null())),
        Expr::Prefix { of, prefix } => begins(part(of)?, prefix, scope).map(boolean),
        Expr::Arithmetic { op, left, right } => {
            Ok(numeric(elementwise::arithmetic(*op, number(left, scope)?, number(right, scope)?)))
        }
        Expr::Apply { function, of } => {
            let f = match function {
                Function::Exp => f64::exp,
                Function::Ln => f64::ln,
                Function::Sqrt => f64::sqrt,
                Function::Abs => f64::abs,
            };
            Ok(numeric(elementwise::number(number(of, scope)?, f)))
        }
        Expr::Between { unit, from, to } => between(*unit, part(from)?, part(to)?),
        Expr::Case { branches, otherwise } => case(branches, otherwise.as_deref(), scope),
        Expr::Cut { of, breaks } => {
            Ok(Compiled { expr: elementwise::cut(number(of, scope)?, breaks.clone()), form: Form::Level })
        }
        Expr::Grouped { column, grouping } => grouped(column, grouping, scope),
        Expr::Periods(periods) => period(periods, scope),
        Expr::Coalesce(parts) => coalesce(parts, scope),
        Expr::NullIf { of, equal } => {
            let (of, equal) = pair(of, equal, scope)?;
            Ok(Compiled { expr: elementwise::null_if(of.expr, equal, &of.form), form: of.form })
        }
        Expr::Parse { of, to } => {
            use bocage_protocol::plan::ParseAs;
            let texts = part(of)?;
            if texts.form != Form::Text {
                return Err(Unfit("only a text is read as a value"));
            }
            let form = match to {
                ParseAs::Float => Form::Number,
                ParseAs::Date => Form::Date,
                ParseAs::Datetime => Form::Datetime,
                ParseAs::Bool => Form::Bool,
            };
            Ok(Compiled { expr: elementwise::parse(texts.expr, *to), form })
        }
    }
}

/// Compiles a condition.
///
/// # Errors
/// It is something else.
pub fn condition(expr: &Expr, scope: Scope<'_>) -> Result<pl::Expr> {
    let compiled = compile(expr, scope)?;
    if compiled.form == Form::Bool { Ok(compiled.expr) } else { Err(Unfit("not a condition")) }
}

/// Compiles a number.
///
/// # Errors
/// It is something else.
pub fn number(expr: &Expr, scope: Scope<'_>) -> Result<pl::Expr> {
    let compiled = compile(expr, scope)?;
    if compiled.form == Form::Number { Ok(compiled.expr) } else { Err(Unfit("not a number")) }
}

fn boolean(expr: pl::Expr) -> Compiled {
    Compiled { expr, form: Form::Bool }
}

fn numeric(expr: pl::Expr) -> Compiled {
    Compiled { expr, form: Form::Number }
}

fn kind<'a>(name: &ColumnName, contract: &'a Contract) -> Result<&'a Kind> {
    if !contract.can_be_read(name.as_str()) {
        return Err(Unfit("what names a patient or a row cannot be read"));
    }
    contract.column(name.as_str()).map(|c| &c.kind).ok_or(Unfit("unknown column"))
}

fn column(name: &ColumnName, scope: Scope<'_>) -> Result<Compiled> {
    let col = pl::col(name.as_str());
    let Scope::Snapshot(contract) = scope else { return Ok(Compiled { expr: col, form: Form::Text }) };
    Ok(match kind(name, contract)? {
        Kind::Int { .. } => numeric(col.cast(DataType::Float64)),
        Kind::Float { .. } => numeric(col),
        Kind::Code { .. } => Compiled { expr: col.cast(DataType::UInt32), form: Form::Code(name.clone()) },
        Kind::Date { .. } => Compiled { expr: col, form: Form::Date },
        Kind::Datetime { .. } => Compiled { expr: col, form: Form::Datetime },
        Kind::Bool => boolean(col),
        Kind::Text => Compiled { expr: col, form: Form::Text },
    })
}

fn constant(literal: &Literal) -> Compiled {
    match literal {
        Literal::Int(i) => numeric(lit(*i as f64)),
        Literal::Float(x) => numeric(lit(*x + 0.0)),
        Literal::Bool(b) => boolean(lit(*b)),
        Literal::Text(text) => Compiled { expr: lit(text.clone()), form: Form::Text },
        // Polars keeps the type of an integer literal open; the casts settle it.
        Literal::Date(days) => Compiled { expr: lit(*days).cast(DataType::Int32), form: Form::Date },
        Literal::Datetime(ms) => Compiled { expr: lit(*ms).cast(DataType::Int64), form: Form::Datetime },
    }
}

fn all(parts: &[Expr], scope: Scope<'_>, join: fn(pl::Expr, pl::Expr) -> pl::Expr) -> Result<Compiled> {
    let mut open = parts.iter().map(|p| condition(p, scope)).collect::<Result<Vec<_>>>()?;
    // In pairs, so that a long list makes a flat tree: Polars recurses over it.
    while open.len() > 1 {
        let mut pairs = open.into_iter();
        open = std::iter::from_fn(|| {
            let first = pairs.next()?;
            Some(match pairs.next() {
                Some(second) => join(first, second),
                None => first,
            })
        })
        .collect();
    }
    open.pop().map(boolean).ok_or(Unfit("no parts"))
}

/// Two comparable parts. A quoted text beside a code becomes the code's position.
fn pair(left: &Expr, right: &Expr, scope: Scope<'_>) -> Result<(Compiled, pl::Expr)> {
    let left = compile(left, scope)?;
    if let (Form::Code(column), Expr::Literal(Literal::Text(text))) = (&left.form, right) {
        let position = position(column, text, scope)?;
        return Ok((left, index(position)));
    }
    let right = compile(right, scope)?;
    if left.form != right.form || left.form == Form::Level {
        return Err(Unfit("two kinds of values in one comparison"));
    }
    Ok((left, right.expr))
}

fn compare(op: Comparison, left: pl::Expr, right: pl::Expr) -> pl::Expr {
    match op {
        Comparison::Equal => left.eq(right),
        Comparison::NotEqual => left.neq(right),
        Comparison::Less => left.lt(right),
        Comparison::LessOrEqual => left.lt_eq(right),
        Comparison::Greater => left.gt(right),
        Comparison::GreaterOrEqual => left.gt_eq(right),
    }
}

/// A position among codes or levels.
pub fn index(position: u32) -> pl::Expr {
    lit(position).cast(DataType::UInt32)
}

fn codes<'a>(column: &ColumnName, scope: Scope<'a>) -> Result<&'a [Code]> {
    match scope {
        Scope::Snapshot(contract) => match kind(column, contract)? {
            Kind::Code { codes, .. } => Ok(codes),
            _ => Err(Unfit("not a column of codes")),
        },
        Scope::Source => Err(Unfit("a source has no codes")),
    }
}

fn position(column: &ColumnName, text: &str, scope: Scope<'_>) -> Result<u32> {
    let found = codes(column, scope)?.iter().position(|c| c.code == text);
    found.map(|i| i as u32).ok_or(Unfit("not a code of this column"))
}

fn member(of: Compiled, list: &[Literal], scope: Scope<'_>) -> Result<pl::Expr> {
    const MIXED: Unfit = Unfit("two kinds of values in one list");
    let Compiled { expr, form } = of;
    match form {
        Form::Number => {
            let number = |l: &Literal| match l {
                Literal::Int(i) => Ok(*i as f64),
                Literal::Float(x) => Ok(*x),
                _ => Err(MIXED),
            };
            Ok(elementwise::number_in(expr, &list.iter().map(number).collect::<Result<Vec<_>>>()?))
        }
        Form::Text => {
            let text = |l: &Literal| if let Literal::Text(t) = l { Ok(t.clone()) } else { Err(MIXED) };
            let set = list.iter().map(text).collect::<Result<std::collections::HashSet<_>>>()?;
            Ok(elementwise::text_is(expr, move |t| set.contains(t)))
        }
        Form::Date => {
            let date = |l: &Literal| if let Literal::Date(d) = l { Ok(*d) } else { Err(MIXED) };
            Ok(elementwise::date_in(expr, list.iter().map(date).collect::<Result<_>>()?))
        }
        Form::Datetime => {
            let time = |l: &Literal| if let Literal::Datetime(t) = l { Ok(*t) } else { Err(MIXED) };
            Ok(elementwise::datetime_in(expr, list.iter().map(time).collect::<Result<_>>()?))
        }
        Form::Bool => {
            let truth = |l: &Literal| if let Literal::Bool(b) = l { Ok(*b) } else { Err(MIXED) };
            let truths = list.iter().map(truth).collect::<Result<Vec<_>>>()?;
            let flags = [truths.contains(&false), truths.contains(&true)];
            Ok(elementwise::flagged(expr.cast(DataType::UInt32), flags.to_vec()))
        }
        Form::Code(column) => {
            let mut flags = vec![false; codes(&column, scope)?.len()];
            for literal in list {
                let Literal::Text(text) = literal else { return Err(MIXED) };
                flags[position(&column, text, scope)? as usize] = true;
            }
            Ok(elementwise::flagged(expr, flags))
        }
        Form::Level => Err(Unfit("bands and groups cannot be listed")),
    }
}

fn begins(of: Compiled, prefix: &str, scope: Scope<'_>) -> Result<pl::Expr> {
    match of.form {
        Form::Text => {
            let prefix = prefix.to_owned();
            Ok(elementwise::text_is(of.expr, move |t| t.starts_with(&prefix)))
        }
        Form::Code(column) => {
            let flags = codes(&column, scope)?.iter().map(|c| c.code.starts_with(prefix)).collect();
            Ok(elementwise::flagged(of.expr, flags))
        }
        _ => Err(Unfit("only texts and codes have a beginning")),
    }
}

/// Whole days, also between datetimes; years are days / 365.25.
fn between(unit: DateUnit, from: Compiled, to: Compiled) -> Result<Compiled> {
    let per_day = match (&from.form, &to.form) {
        (Form::Date, Form::Date) => 1.0,
        (Form::Datetime, Form::Datetime) => 86_400_000.0,
        _ => return Err(Unfit("a difference needs two dates")),
    };
    let per_unit = match unit {
        DateUnit::Days => 1.0,
        DateUnit::Years => 365.25,
    };
    let (from, to) = (from.expr.cast(DataType::Float64), to.expr.cast(DataType::Float64));
    Ok(numeric(elementwise::binary(from, to, move |from, to| ((to - from) / per_day).trunc() / per_unit)))
}

fn case(branches: &[Branch], otherwise: Option<&Expr>, scope: Scope<'_>) -> Result<Compiled> {
    let results =
        branches.iter().map(|b| &b.then).chain(otherwise).map(|r| compile(r, scope)).collect::<Result<Vec<_>>>()?;
    let form = same_form(&results)?;
    let mut results = results.into_iter().map(|r| r.expr);
    let conditions = branches.iter().map(|b| condition(&b.when, scope)).collect::<Result<Vec<_>>>()?;
    let chosen: Vec<pl::Expr> = results.by_ref().take(branches.len()).collect();
    let last = results.next().unwrap_or_else(|| lit(pl::NULL).cast(form.dtype()));
    Ok(Compiled { expr: choose(conditions, chosen, last), form })
}

/// The first result whose condition is true, else `last`. A condition that is null counts as false.
pub fn choose(conditions: Vec<pl::Expr>, results: Vec<pl::Expr>, last: pl::Expr) -> pl::Expr {
    conditions
        .into_iter()
        .zip(results)
        .rev()
        .fold(last, |rest, (condition, result)| pl::when(condition.fill_null(lit(false))).then(result).otherwise(rest))
}

fn coalesce(parts: &[Expr], scope: Scope<'_>) -> Result<Compiled> {
    let parts = parts.iter().map(|p| compile(p, scope)).collect::<Result<Vec<_>>>()?;
    let form = same_form(&parts)?;
    let exprs: Vec<pl::Expr> = parts.into_iter().map(|p| p.expr).collect();
    Ok(Compiled { expr: pl::coalesce(&exprs), form })
}

fn same_form(parts: &[Compiled]) -> Result<Form> {
    let first = parts.first().ok_or(Unfit("no parts"))?.form.clone();
    if parts.iter().all(|p| p.form == first) { Ok(first) } else { Err(Unfit("two kinds of values in one place")) }
}

/// The level of a day among calendar periods.
fn period(periods: &Periods, scope: Scope<'_>) -> Result<Compiled> {
    let Scope::Snapshot(contract) = scope else { return Err(Unfit("a source has no calendar periods")) };
    let of = column(&periods.column, scope)?;
    let per_day = match of.form {
        Form::Date => 1.0,
        Form::Datetime => 86_400_000.0,
        _ => return Err(Unfit("a period is of a date")),
    };
    let edges = periods.edges(contract).map_err(|_| Unfit("no such periods"))?;
    let edges = edges.into_iter().map(|day| f64::from(day) * per_day).collect();
    Ok(Compiled { expr: elementwise::cut(of.expr.cast(DataType::Float64), edges), form: Form::Level })
}

fn grouped(name: &ColumnName, grouping: &str, scope: Scope<'_>) -> Result<Compiled> {
    let Scope::Snapshot(contract) = scope else { return Err(Unfit("a source has no groupings")) };
    let of = column(name, scope)?;
    let found = contract.column(name.as_str()).and_then(|c| c.grouping(grouping)).ok_or(Unfit("no such grouping"))?;
    let expr = match (&found.groups, &of.form) {
        (Groups::Breaks(breaks), Form::Number) => elementwise::cut(of.expr, breaks.clone()),
        (Groups::Codes { of: groups, .. }, Form::Code(_)) => elementwise::look_up(of.expr, groups.to_vec()),
        _ => return Err(Unfit("the grouping is for another type of column")),
    };
    Ok(Compiled { expr, form: Form::Level })
}
