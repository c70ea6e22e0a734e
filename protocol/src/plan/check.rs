//! Checking of plans. A node runs this on every plan that it derived; the front runs the same on a study's text.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::bins::{self, Grid};
use super::discovered::DiscoveredKey;
use super::domain::KeyDomain;
use super::features::{self, Known, Source, Touches};
use super::layout::{MeasureLayout, Quantum, TableLayout};
use super::model::{self, ModelLayout};
use super::plausible;
use super::predicted;
use super::typing::{Columns, Type, TypeProblem, check_condition, type_of};
use super::{Contracts, Discovered, Expr, Measure, Periods, Plan, Query, Statistic, Table};
use crate::contract::{Contract, Groups, Kind};
use crate::ids::ColumnName;
use crate::limits;
use crate::release::rounding;
use crate::settings::Problems;

/// Beyond so many levels of one column, most of a table's cells are likely empty.
const MANY_LEVELS: usize = 50;

/// Whether an expression can be null where the columns in `present` are not. May say yes too often, never no.
pub fn nullable(expr: &Expr, contract: &Contract, present: &HashSet<ColumnName>) -> bool {
    let any = |parts: &[Expr]| parts.iter().any(|p| nullable(p, contract, present));
    let of = |part: &Expr| nullable(part, contract, present);
    match expr {
        Expr::Column(name) | Expr::Grouped { column: name, .. } | Expr::Periods(Periods { column: name, .. }) => {
            !present.contains(name) && contract.column(name.as_str()).is_none_or(|c| !c.required)
        }
        Expr::Literal(_) | Expr::IsNull(_) => false,
        Expr::Not(part) | Expr::In { of: part, .. } | Expr::Prefix { of: part, .. } | Expr::Cut { of: part, .. } => {
            of(part)
        }
        Expr::And(parts) | Expr::Or(parts) => any(parts),
        Expr::Compare { left, right, .. } => of(left) || of(right),
        Expr::Between { from, to, .. } => of(from) || of(to),
        Expr::Case { branches, otherwise } => {
            branches.iter().any(|b| of(&b.then)) || otherwise.as_deref().is_none_or(of)
        }
        Expr::Coalesce(parts) => parts.iter().all(of),
        Expr::Arithmetic { .. } | Expr::Apply { .. } | Expr::NullIf { .. } | Expr::Parse { .. } => true,
    }
}

/// The columns that cannot be null in a row that satisfies `filter`.
pub(super) fn present_under(filter: Option<&Expr>) -> HashSet<ColumnName> {
    let mut present = HashSet::new();
    let mut open: Vec<&Expr> = filter.into_iter().collect();
    while let Some(condition) = open.pop() {
        let parts: Vec<&Expr> = match condition {
            Expr::And(parts) => {
                open.extend(parts);
                vec![]
            }
            Expr::Compare { left, right, .. } => vec![left, right],
            Expr::In { of, .. } | Expr::Prefix { of, .. } => vec![of],
            Expr::Not(inner) => match inner.as_ref() {
                Expr::IsNull(of) | Expr::In { of, .. } | Expr::Prefix { of, .. } => vec![of],
                Expr::Compare { left, right, .. } => vec![left, right],
                _ => vec![],
            },
            _ => vec![],
        };
        present.extend(parts.into_iter().filter_map(|part| match part {
            Expr::Column(name) => Some(name.clone()),
            _ => None,
        }));
    }
    present
}

/// What the check of a plan finds out.
pub(super) struct Checked {
    pub table: Table,
    pub grid: Option<Grid>,
    pub key: Option<DiscoveredKey>,
    pub model: Option<ModelLayout>,
    pub layout: TableLayout,
    /// The contracts with the features, where there are any.
    pub extended: Option<Known>,
    pub touches: Touches,
}

/// Checks a plan and lays out its result.
pub(super) fn plan(plan: &Plan, contracts: &Contracts<'_>) -> Result<Checked, Problems> {
    let mut problems = Problems::default();
    let mut note = |key: &str, problem: TypeProblem| problems.push(problem.at("plan", key));
    let contract = contracts.base;
    if plan.query.dataset != *contract.id() || plan.query.contract != contract.hash() {
        note("query", TypeProblem::new(format!("the plan is not for this version of `{}`", contract.id())));
    }
    let extended = features::extended(&plan.query, contracts, &mut problems);
    let mut note = |key: &str, problem: TypeProblem| problems.push(problem.at("plan", key));
    let contract = extended.as_ref().map_or(contracts.base, |known| &known.base);
    let filter = plan.query.filter.as_ref();
    if let Some(Err(problem)) = filter.map(|f| check_condition(f, Columns::Contract(contract))) {
        note("filter", problem);
    }
    let present = present_under(filter);
    let (mut key, mut model) = (None, None);
    let lowered = match &plan.statistic {
        Statistic::Table(table) => Some((None, table.clone())),
        Statistic::Discovered(Discovered { key: column, table }) => {
            if plan.query.features.iter().any(|feature| feature.on.is_none() && feature.name == *column) {
                note(
                    "key",
                    TypeProblem::new(format!("`{column}` is made of rows, and only a column's values are discovered")),
                );
            }
            match DiscoveredKey::of(column, contract, &present) {
                Ok(found) => key = Some(found),
                Err(problem) => note("key", problem),
            }
            if table.roll_up {
                note("roll_up", TypeProblem::new("a table of discovered keys is not rolled up"));
            }
            Some((None, table.clone()))
        }
        Statistic::Bins(bins) => match bins::lower(bins, contract) {
            Ok((grid, table)) => Some((Some(grid), table)),
            Err(found) => {
                found.into_iter().for_each(|(key, problem)| note(&key, problem));
                None
            }
        },
        Statistic::Model(of) => match model::lower(of, contract) {
            Ok((layout, table)) => {
                model = Some(layout);
                Some((None, table))
            }
            Err(found) => {
                found.into_iter().for_each(|(key, problem)| note(&key, problem));
                None
            }
        },
    };
    let Some((grid, table)) = lowered else { return Err(problems) };
    for (key, problem) in predicted::misused(&plan.query, &plan.statistic, &table.measures) {
        note(&key, problem);
    }
    if model.is_none() {
        plausible::of_rows(&plan.query, contracts.base, &table.measures)
            .into_iter()
            .for_each(|(key, problem)| note(&key, problem));
    }
    // What a model reads makes no cells.
    let cells = if model.is_some() { Table { by: vec![], measures: vec![], roll_up: false } } else { table.clone() };
    let layout = table_layout(&cells, &present, (contract, &plan.query, contracts), &mut problems);
    if key.is_some() && layout.keys_that_fit() < limits::TOP {
        let problem = TypeProblem::new(format!(
            "the table has {} cells for each discovered key: too many for {} keys",
            layout.cells_at(0),
            limits::TOP
        ));
        problems.push(problem.hint("use fewer other keys, wider bands or fewer measures").at("plan", "by"));
    }
    let names = filter.into_iter().flat_map(Expr::columns).chain(plan.statistic.columns());
    let touches = features::touches(&plan.query, names, contracts);
    problems.into_result(Checked { table, grid, key, model, layout, extended, touches })
}

fn table_layout(
    table: &Table,
    present: &HashSet<ColumnName>,
    (contract, query, contracts): (&Contract, &Query, &Contracts<'_>),
    problems: &mut Problems,
) -> TableLayout {
    let mut note = |key: &str, problem: TypeProblem| problems.push(problem.at("plan", key));
    if table.by.len() > limits::TABLE_KEYS {
        note("by", TypeProblem::new(format!("a table has at most {} keys", limits::TABLE_KEYS)));
    }
    if table.measures.len() > limits::TABLE_SHOW {
        note("measures", TypeProblem::new(format!("a table has at most {} measures", limits::TABLE_SHOW)));
    }
    let mut keys = Vec::new();
    for (i, by) in table.by.iter().enumerate().take(limits::TABLE_KEYS) {
        let typed = type_of(by, Columns::Contract(contract));
        match typed.and_then(|of| KeyDomain::of(by, &of, contract, present)) {
            Ok(key) => keys.push(key),
            Err(problem) => note(&format!("by[{i}]"), problem),
        }
    }
    let mut measures = Vec::new();
    for (i, measure) in table.measures.iter().enumerate() {
        match measure_layout(measure, contract) {
            Ok(layout) => measures.push(layout),
            Err(problem) => note(&format!("measures[{i}]"), problem),
        }
    }
    for (i, problem) in overused(&table.measures, query, contracts) {
        note(&format!("measures[{i}]"), problem);
    }
    let cells = keys.iter().fold(1usize, |n, key| n.saturating_mul(key.size()));
    if cells > limits::CELLS || cells.saturating_mul(2 + 5 * measures.len()) > limits::TALLY_VALUES {
        note(
            "by",
            TypeProblem::new(format!("the table has {cells} cells: too many")).hint(too_many_hint(table, &keys)),
        );
    }
    let is_feature = |name: &ColumnName| query.features.iter().any(|f| f.on.is_none() && f.name == *name);
    let chosen = table.measures.iter().map(|measure| measure.columns().into_iter().any(is_feature)).collect();
    let units = table.measures.iter().zip(&measures).map(|(of, layout)| unit(of, layout, contract)).collect();
    let roll_up = table.roll_up && contract.one_row_per_subject();
    TableLayout::new(keys, measures, roll_up).choosing(chosen).in_units(units)
}

/// What a measure's sums are multiples of where a site rounds.
fn unit(of: &Measure, layout: &MeasureLayout, contract: &Contract) -> i128 {
    match (layout, measure_range(of, contract)) {
        (MeasureLayout::Number(quantum), Ok((lo, hi))) => rounding::unit(hi - lo, *quantum),
        _ => 1,
    }
}

fn too_many_hint(table: &Table, keys: &[KeyDomain]) -> String {
    let columns = table.by.iter().zip(keys).filter_map(|(key, domain)| match key {
        Expr::Column(name) => Some((domain.size(), name)),
        _ => None,
    });
    let widest = columns.max_by_key(|(size, _)| *size).filter(|(size, _)| *size > MANY_LEVELS);
    let or = widest.map(|(_, name)| format!(", or let the data name the keys of a table: discovered({name})"));
    format!("use fewer keys or wider bands{}", or.unwrap_or_default())
}

/// Checks a discovered key by itself, so that a text's every key can be reported on.
pub(crate) fn check_discovered(column: &ColumnName, contract: &Contract) -> Result<(), TypeProblem> {
    DiscoveredKey::of(column, contract, &HashSet::new()).map(drop)
}

/// Checks one key by itself, so that a text's every key can be reported on.
pub(crate) fn check_key(key: &Expr, contract: &Contract) -> Result<(), TypeProblem> {
    let of = type_of(key, Columns::Contract(contract))?;
    KeyDomain::of(key, &of, contract, &HashSet::new()).map(drop)
}

/// Checks one measure by itself, so that a text's every measure can be reported on.
pub(crate) fn check_measure(measure: &Measure, contract: &Contract) -> Result<(), TypeProblem> {
    measure_layout(measure, contract).map(drop)
}

/// Whether a table may have these measures beside each other.
pub(crate) fn summed_together(measures: &[Measure], query: &Query, contracts: &Contracts<'_>) -> bool {
    overused(measures, query, contracts).is_empty()
}

/// The measures that read what [`limits::COLUMN_MEASURES`] other ones read already, or what an earlier one reads of other rows.
///
/// Each measure of a column is one more equation about the same values; and of two that read it by rows that differ in one patient's, the
/// difference is that patient's value.
fn overused(measures: &[Measure], query: &Query, contracts: &Contracts<'_>) -> Vec<(usize, TypeProblem)> {
    let mut read: HashMap<Source, (usize, BTreeSet<Vec<u8>>)> = HashMap::new();
    let mut problems = Vec::new();
    for (i, measure) in measures.iter().enumerate() {
        if matches!(measure, Measure::Condition(_)) || measures[..i].contains(measure) {
            continue;
        }
        for (source, (column, rows)) in Source::all(measure, query, contracts) {
            let (uses, first) = read.entry(source.clone()).or_insert_with(|| (0, rows.clone()));
            *uses += 1;
            if *first != rows {
                let problem = match source {
                    Source::Age => "a table has one age among its numeric measures".to_owned(),
                    Source::Count(_) => {
                        format!("a table's numeric measures count the same rows, and `{column}` needs others")
                    }
                    Source::Column(..) => {
                        format!(
                            "a table's numeric measures of one column are of the same rows, and that of `{column}` needs others"
                        )
                    }
                };
                problems.push((i, TypeProblem::new(problem).hint("ask for it in another analysis")));
            } else if *uses > limits::COLUMN_MEASURES {
                let most = limits::COLUMN_MEASURES;
                let problem = TypeProblem::new(format!("a table has at most {most} numeric measures of `{column}`"));
                let hint =
                    "mean, sum and sd of one thing are one measure; choose, e.g. the column itself and its logarithm";
                problems.push((i, problem.hint(hint)));
            }
        }
    }
    problems
}

/// The least and the most that a number of a row can be. Unlike a sum of them, a model may have numbers of few values.
pub(crate) fn measure_range(measure: &Measure, contract: &Contract) -> Result<(f64, f64), TypeProblem> {
    match measure {
        Measure::Column(name) => Ok(range(name, contract)?.bounds()),
        Measure::Ln(name) => match range(name, contract)?.bounds() {
            (lo, hi) if lo > 0.0 => Ok((lo.ln(), hi.ln())),
            _ => Err(no_function(name, "logarithm")),
        },
        Measure::Sqrt(name) => match range(name, contract)?.bounds() {
            (lo, hi) if lo >= 0.0 => Ok((lo.sqrt(), hi.sqrt())),
            _ => Err(no_function(name, "square root")),
        },
        Measure::Days { from, to } => {
            let ((f_lo, f_hi), (t_lo, t_hi)) = (days(from, contract)?, days(to, contract)?);
            Ok((f64::from(t_lo) - f64::from(f_hi), f64::from(t_hi) - f64::from(f_lo)))
        }
        Measure::Product(a, b) => product_range(range(a, contract)?.bounds(), range(b, contract)?.bounds()),
        Measure::Condition(_) => Err(TypeProblem::new("a condition is no number")),
    }
}

fn measure_layout(measure: &Measure, contract: &Contract) -> Result<MeasureLayout, TypeProblem> {
    let number = |q: Quantum| Ok(MeasureLayout::Number(q));
    match measure {
        Measure::Condition(condition) => {
            check_condition(condition, Columns::Contract(contract)).map(|()| MeasureLayout::Condition)
        }
        Measure::Column(name) => match summable(name, contract)? {
            Range::Int(lo, hi) if hi - lo < Quantum::LARGEST => number(Quantum::of_int_range(lo, hi)),
            Range::Int(lo, hi) => number(Quantum::of_float_range(lo as f64, hi as f64)),
            Range::Float(lo, hi) => number(Quantum::of_float_range(lo, hi)),
        },
        Measure::Ln(name) => match summable(name, contract)?.bounds() {
            (lo, hi) if lo > 0.0 => number(Quantum::of_float_range(lo.ln(), hi.ln())),
            _ => Err(no_function(name, "logarithm")),
        },
        Measure::Sqrt(name) => match summable(name, contract)?.bounds() {
            (lo, hi) if lo >= 0.0 => number(Quantum::of_float_range(lo.sqrt(), hi.sqrt())),
            _ => Err(no_function(name, "square root")),
        },
        Measure::Days { from, to } => {
            let ((f_lo, f_hi), (t_lo, t_hi)) = (days(from, contract)?, days(to, contract)?);
            let (lo, hi) = (i64::from(t_lo) - i64::from(f_hi), i64::from(t_hi) - i64::from(f_lo));
            if hi - lo + 1 < limits::MEASURE_LEVELS {
                return Err(TypeProblem::new(format!("`{from}` and `{to}` have too few differences to be summed"))
                    .hint(format!("count them instead: share(days_between({from}, {to}) >= {hi})")));
            }
            number(Quantum::of_int_range(lo, hi))
        }
        Measure::Product(a, b) if a == b => {
            Err(TypeProblem::new(format!("the square of `{a}` is in its standard deviation already"))
                .hint(format!("ask for mean({a}) and sd({a})")))
        }
        Measure::Product(a, b) => {
            let (lo, hi) = product_range(summable(a, contract)?.bounds(), summable(b, contract)?.bounds())?;
            number(Quantum::of_float_range(lo, hi))
        }
    }
}

fn product_range((a_lo, a_hi): (f64, f64), (b_lo, b_hi): (f64, f64)) -> Result<(f64, f64), TypeProblem> {
    let corners = [a_lo * b_lo, a_lo * b_hi, a_hi * b_lo, a_hi * b_hi];
    let lo = corners.iter().copied().fold(f64::INFINITY, f64::min);
    let hi = corners.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if (hi - lo).is_finite() { Ok((lo, hi)) } else { Err(TypeProblem::new("the product's range is not finite")) }
}

fn no_function(name: &ColumnName, function: &str) -> TypeProblem {
    TypeProblem::new(format!("the range of `{name}` is not positive, so it has no {function}"))
}

enum Range {
    Int(i64, i64),
    Float(f64, f64),
}

impl Range {
    fn bounds(&self) -> (f64, f64) {
        match self {
            Range::Int(lo, hi) => (*lo as f64, *hi as f64),
            Range::Float(lo, hi) => (*lo, *hi),
        }
    }
}

/// The range of a column that may be summed, by itself or as a part of something.
fn summable(name: &ColumnName, contract: &Contract) -> Result<Range, TypeProblem> {
    match range(name, contract)? {
        Range::Int(lo, hi) if hi - lo + 1 < limits::MEASURE_LEVELS => {
            Err(TypeProblem::new(format!("`{name}` has too few values to be summed"))
                .hint(format!("count them instead: share({name} = {hi})")))
        }
        range => Ok(range),
    }
}

fn range(name: &ColumnName, contract: &Contract) -> Result<Range, TypeProblem> {
    let found = Columns::Contract(contract).type_of(name)?;
    match contract.column(name.as_str()).map(|c| &c.kind) {
        Some(Kind::Int { lo, hi }) => Ok(Range::Int(*lo, *hi)),
        Some(Kind::Float { lo, hi }) => Ok(Range::Float(*lo, *hi)),
        _ => {
            let problem = TypeProblem::new(format!("`{name}` is {}, which has no sum", found.name()));
            Err(match found {
                Type::Bool => problem.hint(format!("write share({name})")),
                Type::Code(_) => problem.hint(format!("write share({name} = '…'), or use it as a key")),
                Type::Date => problem.hint("write mean(days_between(from, to))"),
                _ => problem,
            })
        }
    }
}

fn days(name: &ColumnName, contract: &Contract) -> Result<(i32, i32), TypeProblem> {
    let found = Columns::Contract(contract).type_of(name)?;
    match contract.column(name.as_str()).map(|c| &c.kind) {
        Some(Kind::Date { lo, hi }) => Ok((*lo, *hi)),
        _ => Err(TypeProblem::new(format!("`{name}` is {}, not a date", found.name()))),
    }
}

/// Whether every group of `finer` lies in one group of `coarser`.
pub(crate) fn nested(finer: &Groups, coarser: &Groups) -> bool {
    match (finer, coarser) {
        (Groups::Breaks(finer), Groups::Breaks(coarser)) => coarser.iter().all(|b| finer.contains(b)),
        (Groups::Codes { of: finer, .. }, Groups::Codes { of: coarser, .. }) => {
            let pairs: HashSet<(u32, u32)> = finer.iter().copied().zip(coarser.iter().copied()).collect();
            let distinct: HashSet<u32> = pairs.iter().map(|(f, _)| *f).collect();
            pairs.len() == distinct.len()
        }
        _ => false,
    }
}
