//! A plan as what Polars has to select: for each row its cell, its subject, and the number or truth of each measure.

use bocage_protocol::contract::{Contract, Kind};
use bocage_protocol::plan::{
    Columns, Expr, Inputs, KeyLevels, Literal, Measure, MeasureLayout, ModelLayout, Type, ValidPlan, type_of,
};
use polars::prelude as pl;
use polars::prelude::{DataType, lit};

use super::compile::{Form, Scope, Unfit, choose, compile, condition, index, number};
use super::elementwise;
use crate::custodian::source::SUBJECT;

/// The column in which the rows of a part have the position of their discovered key. No contract can have it.
pub const KEY: &str = "__key";

/// What to filter by and what to select.
pub struct Question {
    /// The levels of each dense key.
    pub levels: Vec<KeyLevels>,
    /// Rows for which this is true.
    pub filter: Option<pl::Expr>,
    /// The cell of the dense keys as `UInt32`; none where there are no dense keys.
    pub dense: Option<pl::Expr>,
    /// The cell as `UInt32`, [`SUBJECT`], and one column a measure: a `Float64` or `Boolean`.
    pub select: Vec<pl::Expr>,
}

/// Compiles a plan over the physical columns of a snapshot of `contract`.
///
/// # Errors
/// The plan was checked against another contract.
pub fn compile_plan(plan: &ValidPlan, contract: &Contract) -> Result<Question, Unfit> {
    let scope = Scope::Snapshot(contract);
    let filter = plan.plan().query.filter.as_ref().map(|f| condition(f, scope)).transpose()?;
    let table = plan.table();
    let levels = plan.layout().keys_at(0);
    if levels.len() != table.by.len() || plan.layout().measures().len() != table.measures.len() {
        return Err(Unfit("the layout is another plan's"));
    }
    let mut cell = index(0);
    for (i, (key, levels)) in table.by.iter().zip(&levels).enumerate() {
        let level = level(key, levels, contract)?;
        cell = if i == 0 { level } else { cell * index(levels.labels.len() as u32) + level };
    }
    let dense = (!levels.is_empty()).then(|| cell.clone());
    if plan.discovered().is_some() {
        cell = pl::col(KEY) * index(plan.layout().cells_at(0) as u32) + cell;
    }
    let mut select = vec![cell.alias("cell"), pl::col(SUBJECT)];
    for (i, (measure, layout)) in table.measures.iter().zip(plan.layout().measures()).enumerate() {
        let column = match layout {
            MeasureLayout::Number(_) => value(measure, scope)?,
            MeasureLayout::Condition => truth(measure, scope)?,
        };
        select.push(column.alias(format!("measure_{i}")));
    }
    Ok(Question { levels, filter, dense, select })
}

/// What a model reads: its filter; subjects, its measures as `Float64`, its keys' levels as `UInt32`. What is missing is null, or beyond the levels.
///
/// # Errors
/// The plan was checked against another contract.
pub fn compile_model(
    plan: &ValidPlan,
    layout: &ModelLayout,
    contract: &Contract,
) -> Result<(Option<pl::Expr>, Vec<pl::Expr>), Unfit> {
    let scope = Scope::Snapshot(contract);
    let filter = plan.plan().query.filter.as_ref().map(|f| condition(f, scope)).transpose()?;
    Ok((filter, compile_inputs(&layout.inputs, contract)?))
}

/// Subjects, the measures of a design as `Float64`, and its keys' levels as `UInt32`.
///
/// # Errors
/// The design was checked against another contract.
pub fn compile_inputs(inputs: &Inputs, contract: &Contract) -> Result<Vec<pl::Expr>, Unfit> {
    let scope = Scope::Snapshot(contract);
    let mut select = vec![pl::col(SUBJECT)];
    for (i, of) in inputs.measures.iter().enumerate() {
        let column = match of {
            Measure::Condition(_) => truth(of, scope)?.cast(DataType::Float64),
            _ => value(of, scope)?,
        };
        select.push(column.alias(format!("measure_{i}")));
    }
    for (i, (key, domain)) in inputs.keys.iter().enumerate() {
        let mut labels = domain.labels.clone();
        if domain.missing {
            labels.push(String::new());
        }
        let levels = KeyLevels { labels, missing: domain.missing };
        select.push(level(key, &levels, contract)?.alias(format!("key_{i}")));
    }
    Ok(select)
}

/// The position of a row's value among a key's levels, as `UInt32`.
pub fn level(key: &Expr, levels: &KeyLevels, contract: &Contract) -> Result<pl::Expr, Unfit> {
    let scope = Scope::Snapshot(contract);
    let known = levels.labels.len() - usize::from(levels.missing);
    let of = type_of(key, Columns::Contract(contract)).map_err(|_| Unfit("the key has no type"))?;
    let position = match (key, &of) {
        (Expr::Case { branches, otherwise }, Type::Text) => {
            let label = |result: &Expr| {
                let Expr::Literal(Literal::Text(text)) = result else { return Err(Unfit("a label is not quoted")) };
                let at = levels.labels[..known].iter().position(|l| l == text).ok_or(Unfit("a label is no level"))?;
                Ok(index(at as u32))
            };
            let conditions = branches.iter().map(|b| condition(&b.when, scope)).collect::<Result<_, _>>()?;
            let results = branches.iter().map(|b| label(&b.then)).collect::<Result<_, _>>()?;
            let last = match otherwise.as_deref() {
                Some(result) => label(result)?,
                None => lit(pl::NULL).cast(DataType::UInt32),
            };
            choose(conditions, results, last)
        }
        (Expr::Column(name), Type::Int) => match contract.column(name.as_str()).map(|c| &c.kind) {
            Some(Kind::Int { lo, .. }) => (pl::col(name.as_str()) - lit(*lo)).cast(DataType::UInt32),
            _ => return Err(Unfit("the key is not the integer that it was")),
        },
        _ => {
            let compiled = compile(key, scope)?;
            match compiled.form {
                Form::Code(_) | Form::Level => compiled.expr,
                Form::Bool => compiled.expr.cast(DataType::UInt32),
                _ => return Err(Unfit("the key has no declared levels")),
            }
        }
    };
    Ok(if levels.missing { position.fill_null(index(known as u32)) } else { position })
}

/// The number that a measure sums, as `Float64`.
fn value(measure: &Measure, scope: Scope<'_>) -> Result<pl::Expr, Unfit> {
    let column = |name: &bocage_protocol::ids::ColumnName| number(&Expr::Column(name.clone()), scope);
    match measure {
        Measure::Column(name) => column(name),
        Measure::Ln(name) => Ok(elementwise::number(column(name)?, f64::ln)),
        Measure::Sqrt(name) => Ok(elementwise::number(column(name)?, f64::sqrt)),
        Measure::Product(a, b) => Ok(elementwise::binary(column(a)?, column(b)?, |a, b| a * b)),
        Measure::Days { from, to } => {
            let day = |name: &bocage_protocol::ids::ColumnName| {
                let compiled = compile(&Expr::Column(name.clone()), scope)?;
                match compiled.form {
                    Form::Date => Ok(compiled.expr.cast(DataType::Float64)),
                    _ => Err(Unfit("days lie between two dates")),
                }
            };
            Ok(elementwise::binary(day(from)?, day(to)?, |from, to| to - from))
        }
        Measure::Condition(_) => Err(Unfit("a condition is not summed")),
    }
}

fn truth(measure: &Measure, scope: Scope<'_>) -> Result<pl::Expr, Unfit> {
    match measure {
        Measure::Condition(expr) => condition(expr, scope),
        _ => Err(Unfit("a number is no condition")),
    }
}
