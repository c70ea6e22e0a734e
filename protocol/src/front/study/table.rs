//! `table = { by, show, roll_up, top }`: keys, and what is shown of every cell.

use serde::Deserialize;
use sqlparser::ast::Expr as Sql;

use super::super::expression::Binder;
use super::{Binding, discovered};
use crate::analysis::{Key, Show, Shown, Spec, TableSpec};
use crate::limits;
use crate::plan::{DateUnit, Expr, Function, Measure, Operation, TypeProblem, check_key, check_measure};
use crate::settings::{join, nearest};

#[derive(Deserialize)]
pub(super) struct RawTable {
    #[serde(default)]
    pub(super) by: Vec<String>,
    show: Vec<String>,
    pub(super) roll_up: Option<bool>,
    pub(super) top: Option<u32>,
}

/// Those of some texts that mean the same as an earlier one.
fn twice(texts: &[String]) -> impl Iterator<Item = (usize, String)> {
    let labels: Vec<String> = texts.iter().map(|text| label(text)).collect();
    let repeated = (0..labels.len()).filter(|i| labels[..*i].contains(&labels[*i])).collect::<Vec<_>>();
    repeated.into_iter().map(move |i| (i, labels[i].clone()))
}

const SHOWN: &str = "a table shows count, rows, sum(x), mean(x), sd(x) and share(condition)";

impl Binding<'_> {
    pub(super) fn table(&mut self, key: &str, raw: &RawTable) -> Option<Spec> {
        if raw.show.is_empty() || raw.show.len() > limits::TABLE_SHOW {
            let problem = TypeProblem::new(format!("a table shows 1 to {} columns", limits::TABLE_SHOW));
            self.refuse::<()>(&join(key, "table.show"), problem.hint("e.g. show = [\"count\"]"));
        }
        for (i, text) in twice(&raw.show) {
            let problem = TypeProblem::new(format!("`{text}` is shown twice"));
            self.refuse::<()>(&join(key, &format!("table.show[{i}]")), problem.hint("leave one out"));
        }
        let discovered = self.discovered_key(&join(key, "table"), raw);
        let by = self.keys_but(&join(key, "table.by"), &raw.by, discovered::is_discovered);
        let show: Vec<Option<Shown>> = raw
            .show
            .iter()
            .enumerate()
            .map(|(i, text)| {
                let show = self.show(&join(key, &format!("table.show[{i}]")), text)?;
                Some(Shown { label: label(text), show })
            })
            .collect();
        let show = show.into_iter().collect::<Option<_>>();
        let discovered = discovered?;
        let roll_up = raw.roll_up.unwrap_or(discovered.is_none());
        let table = TableSpec { by: by?, show: show?, roll_up };
        Some(match discovered {
            Some(key) => discovered::spec(key, table, raw.top),
            None => Spec::Table(table),
        })
    }

    /// A list of keys with declared levels.
    pub(super) fn keys(&mut self, key: &str, texts: &[String]) -> Option<Vec<Key>> {
        self.keys_but(key, texts, |_| false)
    }

    /// A list of keys without those of another kind.
    fn keys_but(&mut self, key: &str, texts: &[String], other: impl Fn(&str) -> bool) -> Option<Vec<Key>> {
        for (i, text) in twice(texts) {
            let problem = TypeProblem::new(format!("`{text}` is named twice"));
            self.refuse::<()>(&format!("{key}[{i}]"), problem.hint("leave one out"));
        }
        let texts = texts.iter().enumerate().filter(|(_, text)| !other(text));
        let keys: Vec<Option<Key>> = texts.map(|(i, text)| self.levelled_key(&format!("{key}[{i}]"), text)).collect();
        keys.into_iter().collect()
    }

    /// One key, which must have declared levels.
    pub(super) fn levelled_key(&mut self, place: &str, text: &str) -> Option<Key> {
        let key = self.key(place, text)?;
        match check_key(&key.key, self.contract()) {
            Ok(()) => Some(key),
            Err(problem) => self.refuse(place, problem),
        }
    }

    /// One key.
    pub(super) fn key(&mut self, key: &str, text: &str) -> Option<Key> {
        let (expr, _) = self.with_binder(key, text, |binder, sql| binder.bind(sql))?;
        Some(Key { label: label(text), key: expr })
    }

    /// What a column of an answer shows.
    pub(super) fn show(&mut self, key: &str, text: &str) -> Option<Show> {
        let show = self.shown(key, text)?;
        match show.measure().map(|measure| check_measure(measure, self.contract())) {
            Some(Err(problem)) => self.refuse(key, problem),
            _ => Some(show),
        }
    }

    fn shown(&mut self, key: &str, text: &str) -> Option<Show> {
        match text.trim() {
            "count" => return Some(Show::Count),
            "rows" => return Some(Show::Rows),
            _ => {}
        }
        self.with_binder(key, text, |binder, sql| {
            let Some((name, argument)) = call_of_one(sql) else {
                let counts =
                    ["count(*)", "n", "n()", "patients", "subjects"].contains(&&*sql.to_string().to_lowercase());
                let hint = if counts { "write \"count\": it counts patients" } else { SHOWN };
                return binder.refuse(TypeProblem::new(format!("`{sql}` cannot be shown")).hint(hint));
            };
            match name.as_str() {
                "share" => binder.condition(argument).map(Measure::Condition).map(Show::Share),
                "sum" => measure(binder, argument).map(Show::Sum),
                "mean" => measure(binder, argument).map(Show::Mean),
                "sd" => measure(binder, argument).map(Show::Sd),
                "count" => binder
                    .refuse(TypeProblem::new("`count` takes no argument").hint("write \"count\": it counts patients")),
                other => {
                    let hint = instead_of(other, argument);
                    binder.refuse(TypeProblem::new(format!("`{other}` cannot be shown")).hint(hint))
                }
            }
        })
    }
}

/// What was meant by a function that a table does not show.
fn instead_of(name: &str, argument: &Sql) -> String {
    match name {
        "median" | "quantile" | "percentile" | "iqr" => {
            format!("a median is an analysis of its own: quantiles = {{ of = \"{argument}\", at = [0.5] }}")
        }
        "min" | "max" => "the value of one patient is not shown; quantiles = { … } come near".to_owned(),
        "avg" | "average" => "did you mean `mean`?".to_owned(),
        "std" | "stddev" | "stdev" | "var" | "variance" => "did you mean `sd`?".to_owned(),
        "percent" | "pct" | "proportion" | "prop" | "rate" => "did you mean `share`?".to_owned(),
        other => match nearest(other, ["share", "sum", "mean", "sd"]) {
            Some(near) => format!("did you mean `{near}`?"),
            None => SHOWN.to_owned(),
        },
    }
}

/// Where the text says what the plan's check found at `place`.
pub(super) fn text_place(table: &TableSpec, place: &str) -> String {
    let measure = place.strip_prefix("measures[").and_then(|i| i.trim_end_matches(']').parse::<usize>().ok());
    let Some(index) = measure else { return format!("table.{place}") };
    let measure = table.measures().get(index).copied().cloned();
    let at = table.show.iter().position(|s| s.show.measure() == measure.as_ref()).unwrap_or(0);
    format!("table.show[{at}]")
}

/// The heading of what was written so.
pub(super) fn label(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn call_of_one(sql: &Sql) -> Option<(String, &Sql)> {
    use sqlparser::ast::{FunctionArg, FunctionArgExpr, FunctionArguments};
    let Sql::Function(function) = sql else { return None };
    let FunctionArguments::List(list) = &function.args else { return None };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] => {
            Some((function.name.to_string().to_lowercase(), argument))
        }
        _ => None,
    }
}

/// What may be summed, or be a number of a model.
pub(super) fn measure(binder: &mut Binder<'_>, argument: &Sql) -> Option<Measure> {
    let (expr, _) = binder.bind(argument)?;
    let column = |expr: &Expr| match expr {
        Expr::Column(name) => Some(name.clone()),
        _ => None,
    };
    let found = match &expr {
        Expr::Column(name) => Some(Measure::Column(name.clone())),
        Expr::Apply { function: Function::Ln, of } => column(of).map(Measure::Ln),
        Expr::Apply { function: Function::Sqrt, of } => column(of).map(Measure::Sqrt),
        Expr::Between { unit: DateUnit::Days, from, to } => {
            column(from).zip(column(to)).map(|(from, to)| Measure::Days { from, to })
        }
        Expr::Arithmetic { op: Operation::Multiply, left, right } => {
            column(left).zip(column(right)).map(|(left, right)| Measure::Product(left, right))
        }
        _ => None,
    };
    found.or_else(|| {
        binder.refuse(
            TypeProblem::new(format!("`{argument}` cannot be summed")).hint(
                "only a column, ln(column), sqrt(column), days_between(from, to) or a product of two columns can",
            ),
        )
    })
}
