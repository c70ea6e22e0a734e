//! The window of rows that a feature looks at: days, and moments of a patient with so many days after them.

use sqlparser::ast::{BinaryOperator, Expr as Sql};

use super::Binder;
use super::relation::{Arguments, only_argument, whole};
use crate::front::dates;
use crate::plan::{Edge, Expr, Literal, Moment, TypeProblem, Window};

const INSTEAD: &str =
    "write date '2020-01-31', today, a date of the patient such as first(TABLE.date), or one of these + days(90)";

impl Binder<'_> {
    pub(super) fn window(&mut self, arguments: &Arguments<'_>) -> Option<Option<Window>> {
        let given = |wanted: &str| arguments.named.iter().find(|(name, _)| *name == wanted).map(|(_, sql)| *sql);
        let start = self.end(("after", given("after"), 1), ("from", given("from"), 0));
        let end = self.end(("before", given("before"), -1), ("until", given("until"), 0));
        let within = match given("within").map(|sql| (days(sql), sql)) {
            None => Some(None),
            Some((Some(n), _)) if n >= 0 => Some(Some(n)),
            Some((_, sql)) => {
                let problem = TypeProblem::new(format!("`within = {sql}` is no number of days"));
                self.refuse(problem.hint("e.g. within = days(90)"))
            }
        };
        let (start, end) = (start?, end?);
        let (from, to) = (start.as_ref().map(|s| s.edge(s.shift)), end.as_ref().map(|e| e.edge(e.shift)));
        let window = match (start, end, within?) {
            (None, None, None) => return Some(None),
            (_, _, None) => Window { from, to },
            (Some(start), None, Some(n)) => Window { from, to: Some(start.edge(n)) },
            (None, Some(end), Some(n)) => Window { from: Some(end.edge(-n)), to },
            (None, None, Some(_)) => {
                let problem = TypeProblem::new("`within` does not say of what");
                return self.refuse(
                    problem.hint("write it beside after, from, before or until: after = index, within = days(90)"),
                );
            }
            (Some(_), Some(_), Some(_)) => {
                let problem = TypeProblem::new("`within` stands beside one end of a window, and two are given");
                return self.refuse(problem.hint("leave one of them out"));
            }
        };
        if is_empty(&window) {
            let problem = TypeProblem::new("no day lies in the window: it ends before it begins");
            return self
                .refuse(problem.hint("`after` and `before` leave their own day out, `from` and `until` take it in"));
        }
        Some(Some(window))
    }

    /// One end of a window, given in one of two ways.
    fn end<'a>(
        &mut self,
        one: (&str, Option<&'a Sql>, i32),
        other: (&str, Option<&'a Sql>, i32),
    ) -> Option<Option<End>> {
        if one.1.is_some() && other.1.is_some() {
            let problem = TypeProblem::new(format!("`{}` and `{}` are the same end of the window", one.0, other.0));
            return self.refuse(problem.hint("leave one of them out"));
        }
        let Some((sql, shift)) = one.1.map(|sql| (sql, one.2)).or(other.1.map(|sql| (sql, other.2))) else {
            return Some(None);
        };
        let (at, days) = self.moment(sql)?;
        Some(Some(End { at, days, shift }))
    }

    /// A day: a moment, and so many days after it.
    pub(super) fn moment(&mut self, sql: &Sql) -> Option<(Moment, i32)> {
        match sql {
            Sql::Nested(inner) => return self.moment(inner),
            Sql::BinaryOp { left, op: BinaryOperator::Plus, right } if days(right).is_some() => {
                let (at, before) = self.moment(left)?;
                return Some((at, before.saturating_add(days(right)?)));
            }
            Sql::BinaryOp { left, op: BinaryOperator::Minus, right } if days(right).is_some() => {
                let (at, before) = self.moment(left)?;
                return Some((at, before.saturating_sub(days(right)?)));
            }
            _ => {}
        }
        let problem = TypeProblem::new(format!("`{sql}` is no day")).hint(INSTEAD);
        if matches!(sql, Sql::BinaryOp { op: BinaryOperator::Plus | BinaryOperator::Minus, .. }) {
            return self.refuse(problem);
        }
        let day = |ms: i64| i32::try_from(ms.div_euclid(86_400_000)).ok();
        match self.lower(sql)? {
            Expr::Column(name) => Some((Moment::Column(name), 0)),
            Expr::Literal(Literal::Date(day)) => Some((Moment::Date(day), 0)),
            Expr::Literal(Literal::Datetime(ms)) => Some((Moment::Date(day(ms)?), 0)),
            Expr::Literal(Literal::Text(text)) => match dates::parse_date(&text) {
                Some(day) => Some((Moment::Date(day), 0)),
                None => match dates::no_such_day(&text) {
                    Some(why) => self.refuse(TypeProblem { message: format!("{}: {why}", problem.message), ..problem }),
                    None => self.refuse(problem),
                },
            },
            _ => self.refuse(problem),
        }
    }
}

/// Whether the last day lies before the first whatever the data: of two days, or of one moment.
fn is_empty(window: &Window) -> bool {
    let (Some(from), Some(to)) = (&window.from, &window.to) else { return false };
    match (&from.at, &to.at) {
        (Moment::Date(first), Moment::Date(last)) => {
            i64::from(*first) + i64::from(from.days) > i64::from(*last) + i64::from(to.days)
        }
        (first, last) => first == last && from.days > to.days,
    }
}

/// An end of a window: a moment, so many days after it, and one more where the day itself is outside.
struct End {
    at: Moment,
    days: i32,
    shift: i32,
}

impl End {
    fn edge(&self, days: i32) -> Edge {
        Edge { at: self.at.clone(), days: self.days.saturating_add(days) }
    }
}

/// The number of `days(n)`.
fn days(sql: &Sql) -> Option<i32> {
    match sql {
        Sql::Function(function) if function.name.to_string().eq_ignore_ascii_case("days") => {
            whole(only_argument(function)?).and_then(|n| i32::try_from(n).ok())
        }
        _ => None,
    }
}
