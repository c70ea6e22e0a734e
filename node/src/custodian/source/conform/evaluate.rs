//! One mapping rule computed over all source rows, with enough beside the value to tell why it is null.

use bocage_protocol::plan::Expr;
use polars::prelude as pl;
use polars::prelude::{DataFrame, DataType, IntoLazy, Series, lit};
use polars_arrow::array::{BooleanArray, PrimitiveArray, StaticArray as _, Utf8ViewArray};

use crate::custodian::engine::{Form, Scope, collect, compile};

/// A value that a rule gave.
pub enum Input<'a> {
    /// A text, still to be read.
    Text(&'a str),
    /// A finite number.
    Number(f64),
    /// A whole number as the source has it; of a datetime, its milliseconds.
    Whole(i64),
    /// A number as the source has it, which may be none.
    Double(f64),
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
    Text(Utf8ViewArray),
    Number(PrimitiveArray<f64>),
    Whole(PrimitiveArray<i64>),
    Double(PrimitiveArray<f64>),
    Days(PrimitiveArray<i32>),
    Millis(PrimitiveArray<i64>),
    Truth(BooleanArray),
}

/// A column that [`evaluate`]'s source must have beside those that the rule reads. No source column can have this name.
pub const ROW: &str = "__row";

const FAILED: &str = "computing an expression";

/// Computes `expr` over a source's columns: texts, wherever it does more than hand one on.
///
/// # Errors
/// The stage that failed; it holds no value.
pub fn evaluate(expr: &Expr, source: &DataFrame) -> Result<Evaluated, &'static str> {
    if let Expr::Column(name) = expr {
        // Most columns are, and a query costs more than all else that becomes of them.
        let column = source.column(name.as_str()).map_err(|_| FAILED)?.as_materialized_series();
        return Ok(Evaluated { values: as_it_stands(column).map_err(|_| FAILED)?, why: None });
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
        Form::Text => value.str().map(|v| Values::Text(v.downcast_as_array().clone())),
        Form::Number => value.f64().map(|v| Values::Number(v.downcast_as_array().clone())),
        Form::Date => value.i32().map(|v| Values::Days(v.downcast_as_array().clone())),
        Form::Datetime => value.i64().map(|v| Values::Millis(v.downcast_as_array().clone())),
        Form::Bool => value.bool().map(|v| Values::Truth(v.downcast_as_array().clone())),
        Form::Code(_) | Form::Level => return Err("an expression gives bands or codes"),
    };
    let why = Why { misread: truths("misread")?, present: truths("present")? };
    Ok(Evaluated { values: values.map_err(|_| FAILED)?, why: Some(why) })
}

/// A source's column, of texts or of what it is held as.
fn as_it_stands(column: &Series) -> pl::PolarsResult<Values> {
    let column = column.rechunk();
    Ok(match column.dtype() {
        DataType::Int64 => Values::Whole(column.i64()?.downcast_as_array().clone()),
        DataType::Float64 => Values::Double(column.f64()?.downcast_as_array().clone()),
        DataType::Int32 => Values::Days(column.i32()?.downcast_as_array().clone()),
        DataType::Boolean => Values::Truth(column.bool()?.downcast_as_array().clone()),
        _ => Values::Text(column.str()?.downcast_as_array().clone()),
    })
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
            Values::Whole(v) => v.get(row).map(Input::Whole),
            Values::Double(v) => v.get(row).map(Input::Double),
            Values::Days(v) => v.get(row).map(Input::Days),
            Values::Millis(v) => v.get(row).map(Input::Millis),
            Values::Truth(v) => v.get(row).map(Input::Truth),
        }
    }

    /// The value in each row, in their order.
    #[inline(always)]
    pub fn each<'e>(&'e self, mut take: impl FnMut(usize, Option<Input<'e>>)) {
        macro_rules! each {
            ($of:expr, $input:path) => {
                $of.iter().enumerate().for_each(|(row, value)| take(row, value.map($input)))
            };
            (copied $of:expr, $input:path) => {
                $of.iter().enumerate().for_each(|(row, value)| take(row, value.copied().map($input)))
            };
        }
        match &self.values {
            Values::Text(v) => each!(v, Input::Text),
            Values::Number(v) => each!(copied v, Input::Number),
            Values::Whole(v) => each!(copied v, Input::Whole),
            Values::Double(v) => each!(copied v, Input::Double),
            Values::Days(v) => each!(copied v, Input::Days),
            Values::Millis(v) => each!(copied v, Input::Millis),
            Values::Truth(v) => each!(v, Input::Truth),
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
