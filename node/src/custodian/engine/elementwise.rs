//! Row-by-row functions that the engine runs inside Polars' streaming plan.
//!
//! They exist where Polars' own kernels do something else than the expression language says. Its division by a constant,
//! for one, multiplies by the reciprocal, which puts `49 / 49` below 1: a row would then stand in one band here and in
//! another one at a site with another engine. Each function depends on one row alone and must never keep state.

use std::collections::HashSet;
use std::sync::Arc;

use bocage_protocol::plan::{Operation, ParseAs};
use polars::chunked_array::ops::arity::{broadcast_binary_elementwise, unary_elementwise, unary_elementwise_values};
use polars::prelude::{
    BooleanChunked, Column, DataType, Expr, Field, Float64Chunked, Int32Chunked, Int64Chunked, IntoColumn,
    PolarsResult, Schema, StringChunked, UInt32Chunked,
};

use super::compile::Form;
use crate::custodian::source::parse_as;

/// A function from numbers to numbers. A result that is not finite is null.
pub fn number(of: Expr, f: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Expr {
    typed(of, DataType::Float64, move |c| {
        let result: Float64Chunked = unary_elementwise(c.f64()?, |x: Option<f64>| x.and_then(|x| finite(f(x))));
        Ok(result.into_column())
    })
}

/// Arithmetic on two numbers. A result that is not finite is null.
pub fn arithmetic(op: Operation, left: Expr, right: Expr) -> Expr {
    let f = match op {
        Operation::Add => |a: f64, b: f64| a + b,
        Operation::Subtract => |a: f64, b: f64| a - b,
        Operation::Multiply => |a: f64, b: f64| a * b,
        Operation::Divide => |a: f64, b: f64| a / b,
    };
    binary(left, right, f)
}

/// A function of two numbers. A result that is not finite is null.
pub fn binary(left: Expr, right: Expr, f: impl Fn(f64, f64) -> f64 + Send + Sync + 'static) -> Expr {
    left.map_many(
        move |columns| {
            let (a, b) = (columns[0].as_materialized_series(), columns[1].as_materialized_series());
            let op = |a: Option<f64>, b: Option<f64>| finite(f(a?, b?));
            let result: Float64Chunked = broadcast_binary_elementwise(a.f64()?, b.f64()?, op);
            Ok(result.into_column())
        },
        &[right],
        |_: &Schema, fields: &[Field]| Ok(Field::new(fields[0].name().clone(), DataType::Float64)),
    )
}

fn finite(x: f64) -> Option<f64> {
    // Adding zero turns −0 into 0, so that equal numbers have equal bits.
    x.is_finite().then_some(x + 0.0)
}

/// The band of a number: how many of the ascending `breaks` are at or below it.
pub fn cut(of: Expr, breaks: Vec<f64>) -> Expr {
    typed(of, DataType::UInt32, move |c| {
        let band = |x: f64| breaks.partition_point(|b| *b <= x) as u32;
        let result: UInt32Chunked = unary_elementwise_values(c.f64()?, band);
        Ok(result.into_column())
    })
}

/// The entry of `table` at an index; null beyond it.
pub fn look_up(of: Expr, table: Vec<u32>) -> Expr {
    typed(of, DataType::UInt32, move |c| {
        let at = |i: Option<u32>| table.get(i? as usize).copied();
        let result: UInt32Chunked = unary_elementwise(c.u32()?, at);
        Ok(result.into_column())
    })
}

/// Whether `table` says true at an index; null beyond it.
pub fn flagged(of: Expr, table: Vec<bool>) -> Expr {
    typed(of, DataType::Boolean, move |c| {
        let at = |i: Option<u32>| table.get(i? as usize).copied();
        let result: BooleanChunked = unary_elementwise(c.u32()?, at);
        Ok(result.into_column())
    })
}

/// Whether a number is one of `list`.
pub fn number_in(of: Expr, list: &[f64]) -> Expr {
    let bits = |x: f64| (x + 0.0).to_bits();
    let set: HashSet<u64> = list.iter().copied().map(bits).collect();
    typed(of, DataType::Boolean, move |c| {
        let result: BooleanChunked = unary_elementwise_values(c.f64()?, |x: f64| set.contains(&bits(x)));
        Ok(result.into_column())
    })
}

/// Whether a date is one of `list`.
pub fn date_in(of: Expr, list: HashSet<i32>) -> Expr {
    typed(of, DataType::Boolean, move |c| {
        let result: BooleanChunked = unary_elementwise_values(c.i32()?, |x: i32| list.contains(&x));
        Ok(result.into_column())
    })
}

/// Whether a datetime is one of `list`.
pub fn datetime_in(of: Expr, list: HashSet<i64>) -> Expr {
    typed(of, DataType::Boolean, move |c| {
        let result: BooleanChunked = unary_elementwise_values(c.i64()?, |x: i64| list.contains(&x));
        Ok(result.into_column())
    })
}

/// Whether a text satisfies `f`.
pub fn text_is(of: Expr, f: impl Fn(&str) -> bool + Send + Sync + 'static) -> Expr {
    typed(of, DataType::Boolean, move |c| {
        let result: BooleanChunked = unary_elementwise(c.str()?, |x: Option<&str>| x.map(&f));
        Ok(result.into_column())
    })
}

/// A text of a source read as a value; null where it cannot be.
pub fn parse(of: Expr, to: ParseAs) -> Expr {
    fn read<T>(texts: &StringChunked, f: fn(&str) -> Option<T>) -> impl Iterator<Item = Option<T>> {
        texts.iter().map(move |t| t.and_then(f))
    }
    let dtype = match to {
        ParseAs::Float => DataType::Float64,
        ParseAs::Date => DataType::Int32,
        ParseAs::Datetime => DataType::Int64,
        ParseAs::Bool => DataType::Boolean,
    };
    typed(of, dtype, move |c| {
        let (texts, name) = (c.str()?, c.name().clone());
        Ok(match to {
            ParseAs::Float => read(texts, parse_as::float).collect::<Float64Chunked>().with_name(name).into_column(),
            ParseAs::Date => read(texts, parse_as::date).collect::<Int32Chunked>().with_name(name).into_column(),
            ParseAs::Datetime => {
                read(texts, parse_as::datetime).collect::<Int64Chunked>().with_name(name).into_column()
            }
            ParseAs::Bool => read(texts, parse_as::bool).collect::<BooleanChunked>().with_name(name).into_column(),
        })
    })
}

/// Null where the two are equal, else the first. One pass: with `when` the first would be computed twice, and nested ones
/// exponentially often.
pub fn null_if(of: Expr, equal: Expr, form: &Form) -> Expr {
    macro_rules! keep {
        ($a:expr, $b:expr, $of:ident, $chunked:ty) => {{
            let result: $chunked =
                broadcast_binary_elementwise($a.$of()?, $b.$of()?, |a, b| a.filter(|a| b != Some(*a)));
            Ok(result.into_column())
        }};
    }
    let form = form.clone();
    let dtype = form.dtype();
    of.map_many(
        move |columns| {
            let (a, b) = (columns[0].as_materialized_series(), columns[1].as_materialized_series());
            match form {
                Form::Number => keep!(a, b, f64, Float64Chunked),
                Form::Bool => keep!(a, b, bool, BooleanChunked),
                Form::Date => keep!(a, b, i32, Int32Chunked),
                Form::Datetime => keep!(a, b, i64, Int64Chunked),
                Form::Code(_) | Form::Level => keep!(a, b, u32, UInt32Chunked),
                Form::Text => null_if_text(a.str()?, b.str()?),
            }
        },
        &[equal],
        move |_: &Schema, fields: &[Field]| Ok(Field::new(fields[0].name().clone(), dtype.clone())),
    )
}

fn null_if_text(a: &StringChunked, b: &StringChunked) -> PolarsResult<Column> {
    let rows = match (a.len(), b.len()) {
        (1, rows) | (rows, _) => rows,
    };
    let at = |texts: &StringChunked, row: usize| if texts.len() == 1 { 0 } else { row };
    let kept = (0..rows).map(|row| a.get(at(a, row)).filter(|text| b.get(at(b, row)) != Some(text)));
    Ok(kept.collect::<StringChunked>().with_name(a.name().clone()).into_column())
}

fn typed(of: Expr, dtype: DataType, f: impl Fn(&Column) -> PolarsResult<Column> + Send + Sync + 'static) -> Expr {
    let f = Arc::new(f);
    of.map(
        move |column| f(&column.as_materialized_series().clone().into_column()),
        move |_: &Schema, field: &Field| Ok(Field::new(field.name().clone(), dtype.clone())),
    )
}
