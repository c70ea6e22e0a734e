//! One mapping rule computed over all source rows, with enough beside the value to tell why it is null.

use bocage_protocol::plan::Expr;
use polars::prelude as pl;
use polars::prelude::{DataFrame, IntoLazy, Series, lit};

use crate::custodian::engine::{Form, Scope, collect, compile};

/// A value that a rule gave.
pub enum Input<'a> {
    /// A text, still to be read.
    Text(&'a str),
    /// A finite number.
    Number(f64),
    /// Days since 1970-01-01.
    Days(i32),
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Millis(i64),
    /// A truth value.
    Truth(bool),
}

/// A rule's result in every row.
pub struct Evaluated {
    values: Values,
    why: Option<Why>,
}

/// Why a row has no value. A column that is taken as it stands has none where the source has none.
struct Why {
    misread: pl::BooleanChunked,
    present: pl::BooleanChunked,
}

enum Values {
    Text(pl::StringChunked),
    Number(pl::Float64Chunked),
    Days(pl::Int32Chunked),
    Millis(pl::Int64Chunked),
    Truth(pl::BooleanChunked),
}

/// A column that [`evaluate`]'s source must have beside those that the rule reads. No source column can have this name.
pub const ROW: &str = "__row";

const FAILED: &str = "computing an expression";

/// Computes `expr` over a source's text columns.
///
/// # Errors
/// The stage that failed; it holds no value.
pub fn evaluate(expr: &Expr, source: &DataFrame) -> Result<Evaluated, &'static str> {
    if let Expr::Column(name) = expr
        && let Some(texts) = source.column(name.as_str()).ok().and_then(|column| column.str().ok())
    {
        // Most columns are, and a query costs more than all else that becomes of them.
        return Ok(Evaluated { values: Values::Text(texts.rechunk().into_owned()), why: None });
    }
    let compiled = compile(expr, Scope::Source).map_err(|_| "compiling an expression")?;
    let mut misread = lit(false);
    for (of, parsed) in parses(expr)? {
        misread = misread.or(of.is_not_null().and(parsed.is_null()));
    }
    let present = expr.columns().iter().fold(lit(true), |all, c| all.and(pl::col(c.as_str()).is_not_null()));
    // A real column keeps a rule that reads none as long as the source.
    let select = [pl::col(ROW), compiled.expr.alias("value"), misread.alias("misread"), present.alias("present")];
    let frame = collect(source.clone().lazy().select(select))?;
    let column = |name: &str| -> Result<Series, &'static str> {
        Ok(frame.column(name).map_err(|_| FAILED)?.as_materialized_series().rechunk())
    };
    let truths = |name: &str| column(name)?.bool().cloned().map_err(|_| FAILED);
    let value = column("value")?;
    let values = match compiled.form {
        Form::Text => value.str().map(|v| Values::Text(v.clone())),
        Form::Number => value.f64().map(|v| Values::Number(v.clone())),
        Form::Date => value.i32().map(|v| Values::Days(v.clone())),
        Form::Datetime => value.i64().map(|v| Values::Millis(v.clone())),
        Form::Bool => value.bool().map(|v| Values::Truth(v.clone())),
        Form::Code(_) | Form::Level => return Err("an expression gives bands or codes"),
    };
    let why = Why { misread: truths("misread")?, present: truths("present")? };
    Ok(Evaluated { values: values.map_err(|_| FAILED)?, why: Some(why) })
}

/// Every reading of a text within `expr`: the text, and what it was read as.
fn parses(expr: &Expr) -> Result<Vec<(pl::Expr, pl::Expr)>, &'static str> {
    let compiled = |e: &Expr| compile(e, Scope::Source).map(|c| c.expr).map_err(|_| "compiling an expression");
    let mut found = Vec::new();
    let mut open = vec![expr];
    while let Some(part) = open.pop() {
        if let Expr::Parse { of, .. } = part {
            found.push((compiled(of)?, compiled(part)?));
        }
        open.extend(part.children());
    }
    Ok(found)
}

impl Evaluated {
    /// The value in a row.
    pub fn input(&self, row: usize) -> Option<Input<'_>> {
        match &self.values {
            Values::Text(v) => v.get(row).map(Input::Text),
            Values::Number(v) => v.get(row).map(Input::Number),
            Values::Days(v) => v.get(row).map(Input::Days),
            Values::Millis(v) => v.get(row).map(Input::Millis),
            Values::Truth(v) => v.get(row).map(Input::Truth),
        }
    }

    /// Whether a text that the rule reads as a number, date or truth value in this row is none.
    pub fn misread(&self, row: usize) -> bool {
        self.why.as_ref().is_some_and(|why| why.misread.get(row) == Some(true))
    }

    /// Whether every source column that the rule reads has a value in this row.
    pub fn present(&self, row: usize) -> bool {
        match &self.why {
            Some(why) => why.present.get(row) == Some(true),
            None => self.input(row).is_some(),
        }
    }
}
