//! Expressions and measures as people read them: the study language's own spelling, which they have seen before.
//!
//! Total over the closed expression language. What it writes is for people and is never parsed.

pub(crate) mod calls;
pub(super) mod features;

use self::calls::Calls;
use super::{Comparison, DateUnit, Expr, Function, Literal, Measure, Operation, ParseAs, Periods};
use crate::contract::Contract;
use crate::ids::{ColumnName, Digest};
use crate::marks::steers;

/// Constants of a list that are spelt out. The rest is counted, with a digest of the whole list, so that two lists never read the same.
const LISTED: usize = 50;

/// A contract's titles for its columns, and what a person reads of features. A name is said before its title stands beside it: the title is a text.
pub(super) struct Words<'a> {
    contract: &'a Contract,
    calls: &'a Calls,
}

impl<'a> Words<'a> {
    pub(super) fn new(contract: &'a Contract, calls: &'a Calls) -> Self {
        Self { contract, calls }
    }

    /// A column's name, with its title where it has another one.
    pub(super) fn column(&self, name: &ColumnName) -> String {
        let said = self.calls.name(name);
        match self.contract.column(name.as_str()).map(|column| column.label.as_str()) {
            Some(label) if !label.is_empty() && label != name.as_str() => format!("{said} ({label})"),
            _ => said,
        }
    }

    /// What is summed.
    pub(super) fn measure(&self, measure: &Measure) -> String {
        let name = |name: &ColumnName| self.calls.name(name);
        match measure {
            Measure::Column(of) => self.column(of),
            Measure::Ln(of) => format!("ln({})", name(of)),
            Measure::Sqrt(of) => format!("sqrt({})", name(of)),
            Measure::Days { from, to } => format!("days_between({}, {})", name(from), name(to)),
            Measure::Product(a, b) => format!("{} * {}", name(a), name(b)),
            Measure::Condition(condition) => self.calls.say(&expression(condition)),
        }
    }
}

/// An expression in the study language.
pub fn expression(expr: &Expr) -> String {
    match expr {
        Expr::Column(name) => name.to_string(),
        Expr::Literal(value) => literal(value),
        Expr::Not(of) => format!("not {}", part(of)),
        Expr::And(parts) => joined(parts, " and "),
        Expr::Or(parts) => joined(parts, " or "),
        Expr::Compare { op, left, right } => format!("{} {} {}", part(left), comparison(*op), part(right)),
        Expr::In { of, list } => format!("{} in ({})", part(of), constants(list)),
        Expr::IsNull(of) => format!("{} is null", part(of)),
        Expr::Prefix { of, prefix } => format!("{} like {}", part(of), quoted(&format!("{prefix}%"))),
        Expr::Arithmetic { op, left, right } => format!("{} {} {}", part(left), operation(*op), part(right)),
        Expr::Apply { function: by, of } => format!("{}({})", function(*by), expression(of)),
        Expr::Between { unit, from, to } => format!("{}({}, {})", between(*unit), expression(from), expression(to)),
        Expr::Case { branches, otherwise } => {
            let mut text = "case".to_owned();
            for branch in branches {
                text += &format!(" when {} then {}", expression(&branch.when), expression(&branch.then));
            }
            if let Some(value) = otherwise {
                text += &format!(" else {}", expression(value));
            }
            text + " end"
        }
        Expr::Cut { of, breaks } => {
            let breaks: Vec<String> = breaks.iter().map(f64::to_string).collect();
            format!("cut({}, {})", expression(of), breaks.join(", "))
        }
        Expr::Grouped { column, grouping } => format!("grouped({column}, {})", quoted(grouping)),
        Expr::Periods(Periods { column, unit, from, to }) => {
            let (first, last) = (literal(&Literal::Date(*from)), literal(&Literal::Date(to.saturating_sub(1))));
            format!("{}({column}, {first}, {last})", unit.as_str())
        }
        Expr::Coalesce(parts) => {
            let parts: Vec<String> = parts.iter().map(expression).collect();
            format!("coalesce({})", parts.join(", "))
        }
        Expr::NullIf { of, equal } => format!("nullif({}, {})", expression(of), expression(equal)),
        Expr::Parse { of, to } => format!("{}({})", parse(*to), expression(of)),
    }
}

/// Part of a larger expression: in brackets where it could be misread.
fn part(expr: &Expr) -> String {
    let text = expression(expr);
    match expr {
        Expr::Not(_)
        | Expr::And(_)
        | Expr::Or(_)
        | Expr::Compare { .. }
        | Expr::In { .. }
        | Expr::IsNull(_)
        | Expr::Prefix { .. }
        | Expr::Arithmetic { .. } => format!("({text})"),
        _ => text,
    }
}

fn joined(parts: &[Expr], by: &str) -> String {
    let part = |expr: &Expr| match (expr, by) {
        (Expr::And(_), " or ") | (Expr::Or(_), " and ") => format!("({})", expression(expr)),
        _ => expression(expr),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(by)
}

fn constants(list: &[Literal]) -> String {
    let mut texts: Vec<String> = list.iter().take(LISTED).map(literal).collect();
    if list.len() > LISTED {
        let whole = Digest::of("bocage/list/1", &[&crate::trust::canonical(&list).unwrap_or_default()]);
        texts.push(format!("… {} more, list {}", list.len() - LISTED, whole.short()));
    }
    texts.join(", ")
}

fn literal(value: &Literal) -> String {
    match value {
        Literal::Int(n) => n.to_string(),
        Literal::Float(x) => x.to_string(),
        Literal::Bool(truth) => truth.to_string(),
        Literal::Text(text) => quoted(text),
        Literal::Date(days) => match chrono::DateTime::from_timestamp(i64::from(*days) * 86_400, 0) {
            Some(day) => format!("date '{}'", day.format("%Y-%m-%d")),
            None => format!("day {days}"),
        },
        Literal::Datetime(ms) => format!("timestamp '{}'", moment(*ms)),
    }
}

/// A moment to the millisecond, where it has any.
fn moment(ms: i64) -> String {
    match (ms.rem_euclid(1000), chrono::DateTime::from_timestamp_millis(ms)) {
        (1.., Some(time)) => time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        _ => crate::env::Timestamp(ms).to_string(),
    }
}

/// A researcher's text on one line, whatever is in it: a steward's terminal shows it. What steers or does not show is spelt out, since the
/// condition means another one with it than without.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        match c {
            '\'' => quoted.push_str("''"),
            _ if steers(c) => quoted.extend(c.escape_unicode()),
            _ => quoted.push(c),
        }
    }
    quoted + "'"
}

fn comparison(op: Comparison) -> &'static str {
    match op {
        Comparison::Equal => "=",
        Comparison::NotEqual => "<>",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

fn operation(op: Operation) -> &'static str {
    match op {
        Operation::Add => "+",
        Operation::Subtract => "-",
        Operation::Multiply => "*",
        Operation::Divide => "/",
    }
}

fn function(function: Function) -> &'static str {
    match function {
        Function::Exp => "exp",
        Function::Ln => "ln",
        Function::Sqrt => "sqrt",
        Function::Abs => "abs",
    }
}

fn between(unit: DateUnit) -> &'static str {
    match unit {
        DateUnit::Days => "days_between",
        DateUnit::Years => "years_between",
    }
}

fn parse(to: ParseAs) -> &'static str {
    match to {
        ParseAs::Float => "number",
        ParseAs::Date => "date",
        ParseAs::Datetime => "datetime",
        ParseAs::Bool => "boolean",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str) -> Expr {
        Expr::Column(name.parse().unwrap())
    }

    #[test]
    fn a_title_is_a_text_and_stays_as_it_is() {
        let text = "id = \"lab@1\"\nsubject = \"patient\"\none_row_per_subject = true\n\
                    [[column]]\nname = \"patient\"\ntype = \"text\"\n\
                    [[column]]\nname = \"chol\"\nlabel = \"the site's marker f1\"\ntype = \"float\"\nrange = [50, 700]\n\
                    [[column]]\nname = \"f1\"\nlabel = \"f1's own\"\ntype = \"int\"\nrange = [0, 130]\n";
        let contract = crate::contract::parse(text, "lab.toml").unwrap();
        let age = crate::plan::Derived::Age { table: None, at: crate::plan::Moment::Date(18_292) };
        let age = crate::plan::Feature { name: "f1".parse().unwrap(), on: None, of: age };
        let calls = Calls::of([&age], |_| None);
        let words = Words::new(&contract, &calls);
        let of = |name: &str| Measure::Column(name.parse().unwrap());
        assert_eq!(words.measure(&of("chol")), "chol (the site's marker f1)");
        assert_eq!(words.measure(&of("f1")), "age_at(date '2020-01-31') (f1's own)");
        let product = Measure::Product("chol".parse().unwrap(), "f1".parse().unwrap());
        assert_eq!(words.measure(&product), "chol * age_at(date '2020-01-31')");
    }

    #[test]
    fn two_lists_never_read_the_same_however_long_they_are() {
        let of = |last: i64| {
            let list = (0..200).map(Literal::Int).chain([Literal::Int(last)]).collect();
            expression(&Expr::In { of: Box::new(column("n")), list })
        };
        assert_ne!(of(941), of(942));
        assert!(of(941).contains("49, … 151 more, list "), "{}", of(941));
    }

    #[test]
    fn what_could_be_misread_stands_in_brackets_and_no_text_disturbs_a_terminal() {
        let is_a = Expr::Compare {
            op: Comparison::Equal,
            left: Box::new(column("code")),
            right: Box::new(Expr::Literal(Literal::Text("a'\u{1b}[2J".into()))),
        };
        let either = Expr::Or(vec![is_a.clone(), Expr::IsNull(Box::new(column("b")))]);
        let both = Expr::And(vec![either, Expr::Not(Box::new(is_a))]);
        assert_eq!(expression(&both), r"(code = 'a''\u{1b}[2J' or b is null) and not (code = 'a''\u{1b}[2J')");
    }

    #[test]
    fn a_text_that_turns_or_hides_what_is_around_it_is_spelt_out() {
        let text = "m\u{202e}or f\u{200b}\u{2028}\u{61c}می\u{200c}شود";
        assert_eq!(literal(&Literal::Text(text.into())), "'m\\u{202e}or f\\u{200b}\\u{2028}\\u{61c}می\u{200c}شود'");
        let like = Expr::Prefix { of: Box::new(column("code")), prefix: "a\u{feff}".into() };
        assert_eq!(expression(&like), r"code like 'a\u{feff}%'");
    }

    #[test]
    fn a_list_is_spelt_out_and_dates_are_dates() {
        let list = (0..9).map(Literal::Int).collect();
        let among = Expr::In { of: Box::new(column("n")), list };
        assert_eq!(expression(&among), "n in (0, 1, 2, 3, 4, 5, 6, 7, 8)");
        assert_eq!(literal(&Literal::Date(18_292)), "date '2020-01-31'");
        assert_eq!(literal(&Literal::Datetime(1_675_152_000_750)), "timestamp '2023-01-31T08:00:00.750Z'");
        assert_eq!(literal(&Literal::Datetime(1_675_152_000_000)), "timestamp '2023-01-31T08:00:00Z'");
        assert_eq!(literal(&Literal::Datetime(-1)), "timestamp '1969-12-31T23:59:59.999Z'");
    }
}
