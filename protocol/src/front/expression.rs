//! SQL expressions, bound to the closed [`Expr`]. Whatever SQL has beyond it is refused by name.

mod calls;
mod levels;
mod lists;
mod plausible;
mod predicted;
mod relation;
mod window;
mod words;

use std::collections::BTreeMap;

use sqlparser::ast::{BinaryOperator, CaseWhen, DataType, Expr as Sql, UnaryOperator, Value};

use super::relation::{Given, Relations};
use super::sql::parse;
use super::{dates, source_column};
use crate::contract::Contract;
use crate::ids::{ColumnName, TableName};
use crate::limits;
use crate::plan::{
    Branch, Columns, Comparison, Expr, Literal, Operation, ParseAs, Type, TypeProblem, check_condition, type_of,
};
use crate::settings::nearest;

/// Where an expression stands: what it may name.
pub(super) enum Scope<'a> {
    /// In a node's mapping; none where its source is not at hand.
    Source(Option<&'a [ColumnName]>),
    /// In a condition over one table alone.
    Table(&'a Contract, &'a Given),
    /// In a condition on rows of a related table of a study: what it makes of other rows becomes features of these.
    Rows(&'a mut Relations, TableName),
    /// In a study, over the base: what it makes of other tables becomes features.
    Study(&'a mut Relations),
}

/// Binds parsed expressions to columns and derived names, noting every problem.
pub(super) struct Binder<'a> {
    scope: Scope<'a>,
    derived: &'a BTreeMap<ColumnName, String>,
    open: Vec<ColumnName>,
    depth: usize,
    /// Nodes so far, each derived name counted as what it stands for: names that double each other end here, not after they were expanded.
    nodes: usize,
    /// What the feature is to be called that the whole expression is.
    want: Option<ColumnName>,
    pub(super) problems: Vec<TypeProblem>,
}

impl<'a> Binder<'a> {
    pub(super) fn new(scope: Scope<'a>, derived: &'a BTreeMap<ColumnName, String>) -> Self {
        Self { scope, derived, open: Vec::new(), depth: 0, nodes: 0, want: None, problems: Vec::new() }
    }

    /// Within another expression, at this depth of it.
    pub(super) fn at_depth(self, depth: usize) -> Self {
        Self { depth, ..self }
    }

    fn columns(&self) -> Columns<'_> {
        match &self.scope {
            Scope::Source(names) => Columns::Source(*names),
            Scope::Table(contract, _) => Columns::Contract(contract),
            Scope::Rows(relations, table) => Columns::Contract(relations.of_rows(table)),
            Scope::Study(relations) => Columns::Contract(relations.extended()),
        }
    }

    /// The bound expression and its type; `None` where a problem was noted.
    pub(super) fn bind(&mut self, sql: &Sql) -> Option<(Expr, Type)> {
        let before = self.problems.len();
        let expr = self.lower(sql)?;
        if self.problems.len() > before {
            return None;
        }
        let typed = type_of(&expr, self.columns());
        match typed {
            Ok(of) => Some((expr, of)),
            Err(problem) => self.refuse(problem),
        }
    }

    /// The bound condition.
    pub(super) fn condition(&mut self, sql: &Sql) -> Option<Expr> {
        let (expr, of) = self.bind(sql)?;
        let expr = self.coerce(expr, ParseAs::Bool);
        let checked = check_condition(&expr, self.columns());
        match checked {
            Ok(()) => Some(expr),
            Err(problem) if of == Type::Text => {
                self.refuse(problem.hint("texts are in single quotes, columns are bare names"))
            }
            Err(problem) => self.refuse(problem),
        }
    }

    pub(super) fn refuse<T>(&mut self, problem: TypeProblem) -> Option<T> {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
        None
    }

    fn lower(&mut self, sql: &Sql) -> Option<Expr> {
        if self.depth > limits::EXPRESSION_DEPTH {
            return self.refuse(TypeProblem::new(format!("nested more than {} deep", limits::EXPRESSION_DEPTH)));
        }
        // Constants do not multiply anything, and there may be thousands in a list.
        if !matches!(sql, Sql::Nested(_) | Sql::Value(_) | Sql::TypedString(_) | Sql::UnaryOp { .. }) {
            self.nodes += 1;
        }
        if self.nodes > limits::EXPRESSION_NODES {
            let problem = TypeProblem::new(format!("it has more than {} parts", limits::EXPRESSION_NODES));
            return self.refuse(problem.hint("derived names count as what they stand for"));
        }
        self.depth += 1;
        let lowered = self.lower_here(sql);
        self.depth -= 1;
        lowered
    }

    fn lower_here(&mut self, sql: &Sql) -> Option<Expr> {
        match sql {
            Sql::Nested(inner) => self.lower(inner),
            Sql::Identifier(name) => self.name(&name.value),
            Sql::CompoundIdentifier(parts) => self.member(sql, parts),
            Sql::Value(value) => self.value(&value.value).map(Expr::Literal),
            Sql::TypedString(typed) => self.typed_string(&typed.data_type, &typed.value.value),
            Sql::UnaryOp { op: UnaryOperator::Not, expr } => self.lower_condition(expr).map(not),
            Sql::UnaryOp { op: UnaryOperator::Minus, expr } => self.negated(expr),
            Sql::UnaryOp { op: UnaryOperator::Plus, expr } => self.lower(expr),
            Sql::BinaryOp { left, op, right } => self.binary(sql, left, op, right),
            Sql::Between { expr, negated, low, high } => {
                let low = self.compare(Comparison::GreaterOrEqual, expr, low);
                let high = self.compare(Comparison::LessOrEqual, expr, high);
                let both = Expr::And(vec![low?, high?]);
                Some(if *negated { not(both) } else { both })
            }
            Sql::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            Sql::IsNull(of) => Some(Expr::IsNull(Box::new(self.lower(of)?))),
            Sql::IsNotNull(of) => Some(not(Expr::IsNull(Box::new(self.lower(of)?)))),
            Sql::IsTrue(of) => self.is(of, true, true),
            Sql::IsNotTrue(of) => self.is(of, true, false),
            Sql::IsFalse(of) => self.is(of, false, true),
            Sql::IsNotFalse(of) => self.is(of, false, false),
            Sql::Like { negated, any: false, expr, pattern, escape_char: None } => self.like(expr, pattern, *negated),
            Sql::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            Sql::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                let args = self.arguments(&function.args)?;
                if !matches!(self.scope, Scope::Source(_)) && relation::is_feature(&name) {
                    self.feature(&name, &args)
                } else {
                    self.call(&name, &args)
                }
            }
            _ => self.refuse(words::foreign(sql)),
        }
    }

    fn name(&mut self, text: &str) -> Option<Expr> {
        let name = match self.scope {
            Scope::Source(_) => source_column(text),
            _ => text.parse().ok(),
        };
        let Some(name) = name else {
            let problem = match text.strip_prefix('@') {
                Some(_) => {
                    TypeProblem::new(format!("`{text}` is a list of codes")).hint(format!("write COLUMN in {text}"))
                }
                None => self.columns().unknown(text),
            };
            return self.refuse(problem);
        };
        if let Some(definition) = self.derived.get(&name) {
            return self.derived(&name, definition);
        }
        if let Some(defined) = self.defined(&name) {
            return defined;
        }
        let typed = self.columns().type_of(&name);
        match typed {
            Ok(_) => Some(Expr::Column(name)),
            Err(problem) => {
                if let Some(given) = self.given_name(text) {
                    return Some(given);
                }
                let defined: Vec<&ColumnName> = match &self.scope {
                    Scope::Study(relations) => relations.definitions().collect(),
                    _ => vec![],
                };
                let names = self.derived.keys().chain(defined).map(ColumnName::as_str);
                let near = nearest(text, names).map(str::to_owned);
                self.refuse(match near {
                    Some(near) if problem.hint.as_ref().is_none_or(|h| !h.starts_with("did you")) => {
                        problem.hint(format!("did you mean `{near}`?"))
                    }
                    _ => problem,
                })
            }
        }
    }

    fn derived(&mut self, name: &ColumnName, definition: &str) -> Option<Expr> {
        if self.open.contains(name) {
            return self.refuse(TypeProblem::new(format!("`{name}` is derived from itself")));
        }
        self.open.push(name.clone());
        let lowered = parse(definition).map_err(|p| self.refuse::<()>(p)).ok().and_then(|sql| self.lower(&sql));
        self.open.pop();
        let lowered = lowered?;
        if lowered.size().is_none() {
            return self.refuse(TypeProblem::new(format!("`{name}` is too large an expression")));
        }
        Some(lowered)
    }

    fn value(&mut self, value: &Value) -> Option<Literal> {
        match value {
            Value::Number(text, _) => match text.parse::<i64>() {
                Ok(i) => Some(Literal::Int(i)),
                Err(_) => text.parse().ok().filter(|x: &f64| x.is_finite()).map(Literal::Float),
            },
            Value::SingleQuotedString(text) => Some(Literal::Text(text.clone())),
            Value::Boolean(b) => Some(Literal::Bool(*b)),
            Value::Null => {
                let problem = TypeProblem::new("`null` cannot stand alone");
                return self.refuse(problem.hint("write `is null`, or leave `else` out"));
            }
            _ => None,
        }
        .or_else(|| self.refuse(TypeProblem::new(format!("`{value}` is not a number, text or truth value"))))
    }

    fn typed_string(&mut self, of: &DataType, value: &Value) -> Option<Expr> {
        let text = match value {
            Value::SingleQuotedString(text) => text.as_str(),
            _ => "",
        };
        let literal = match of {
            DataType::Date => dates::parse_date(text).map(Literal::Date),
            DataType::Timestamp(..) | DataType::Datetime(_) => dates::parse_datetime(text).map(Literal::Datetime),
            _ => None,
        };
        match literal {
            Some(literal) => Some(Expr::Literal(literal)),
            None => {
                let why = dates::no_such_day(text).map_or_else(String::new, |why| format!(": {why}"));
                self.refuse(
                    TypeProblem::new(format!("`{of} {value}` is not a date or datetime{why}"))
                        .hint("write date '2020-01-31' or timestamp '2020-01-31T00:00:00Z'"),
                )
            }
        }
    }

    fn negated(&mut self, of: &Sql) -> Option<Expr> {
        Some(match self.lower_number(of)? {
            Expr::Literal(Literal::Int(i)) => Expr::Literal(Literal::Int(i.checked_neg()?)),
            Expr::Literal(Literal::Float(x)) => Expr::Literal(Literal::Float(-x)),
            of => Expr::Arithmetic {
                op: Operation::Subtract,
                left: Box::new(Expr::Literal(Literal::Int(0))),
                right: Box::new(of),
            },
        })
    }

    fn binary(&mut self, whole: &Sql, left: &Sql, op: &BinaryOperator, right: &Sql) -> Option<Expr> {
        let arithmetic = |op| Some(op);
        let operation = match op {
            BinaryOperator::And | BinaryOperator::Or => return self.chain(whole, op),
            BinaryOperator::Eq => return self.compare(Comparison::Equal, left, right),
            BinaryOperator::NotEq => return self.compare(Comparison::NotEqual, left, right),
            BinaryOperator::Lt => return self.compare(Comparison::Less, left, right),
            BinaryOperator::LtEq => return self.compare(Comparison::LessOrEqual, left, right),
            BinaryOperator::Gt => return self.compare(Comparison::Greater, left, right),
            BinaryOperator::GtEq => return self.compare(Comparison::GreaterOrEqual, left, right),
            BinaryOperator::Plus => arithmetic(Operation::Add),
            BinaryOperator::Minus => arithmetic(Operation::Subtract),
            BinaryOperator::Multiply => arithmetic(Operation::Multiply),
            BinaryOperator::Divide => arithmetic(Operation::Divide),
            _ => None,
        };
        let Some(op) = operation else {
            let problem = TypeProblem::new(format!("the operator `{op}` is not part of the study language"));
            return self.refuse(match words::instead_of(op) {
                Some(hint) => problem.hint(hint),
                None => problem,
            });
        };
        let (left, right) = (self.lower_number(left), self.lower_number(right));
        Some(Expr::Arithmetic { op, left: Box::new(left?), right: Box::new(right?) })
    }

    /// `a and b and c` is parsed as a left-deep chain of any length: it is flattened without recursion.
    fn chain(&mut self, whole: &Sql, op: &BinaryOperator) -> Option<Expr> {
        let (mut parts, mut rest) = (Vec::new(), whole);
        while let Sql::BinaryOp { left, op: same, right } = rest {
            if same != op {
                break;
            }
            parts.push(right.as_ref());
            rest = left;
        }
        parts.push(rest);
        let lowered: Vec<Option<Expr>> = parts.into_iter().rev().map(|p| self.lower_condition(p)).collect();
        for part in lowered.iter().flatten() {
            // Each part by itself, so that one mistake does not hide the next.
            if let Err(problem) = check_condition(part, self.columns()) {
                self.refuse::<()>(problem);
            }
        }
        let lowered: Vec<Expr> = lowered.into_iter().collect::<Option<_>>()?;
        Some(if *op == BinaryOperator::And { Expr::And(lowered) } else { Expr::Or(lowered) })
    }

    fn compare(&mut self, op: Comparison, left: &Sql, right: &Sql) -> Option<Expr> {
        if let Some(problem) = words::chained(left).or_else(|| words::beside_null(left, right)) {
            return self.refuse(problem);
        }
        let (wanted, bare) = (self.lower(left), calls::bare_code(right));
        let right = self.lower_beside(wanted.as_ref(), right);
        let (left, right) = (wanted?, right?);
        let is_code = || matches!(type_of(&left, self.columns()), Ok(Type::Code(_) | Type::Text));
        let is_day = || matches!(type_of(&left, self.columns()), Ok(Type::Date | Type::Datetime));
        // A source's columns are all texts, read as numbers where they are compared with such.
        if let Some(bare) = bare.filter(|_| !matches!(self.scope, Scope::Source(_))) {
            let day = dates::parse_date(&bare).filter(|_| is_day()).map(|_| "days are written in quotes");
            if let Some(why) = day.or_else(|| is_code().then_some("codes are texts")) {
                let problem = TypeProblem::new(format!("`{bare}` is a calculation, and {why}"));
                return self.refuse(problem.hint(format!("put it in single quotes: '{bare}'")));
            }
        }
        if let Some(problem) = self.no_day(&left, &right) {
            return self.refuse(problem);
        }
        let (left, right) = self.matched(left, right);
        Some(Expr::Compare { op, left: Box::new(left), right: Box::new(right) })
    }

    /// Whether a date is compared with the text of a day that no month has.
    fn no_day(&self, left: &Expr, right: &Expr) -> Option<TypeProblem> {
        let Expr::Literal(Literal::Text(text)) = right else { return None };
        let Ok(Type::Date | Type::Datetime) = type_of(left, self.columns()) else { return None };
        let why = dates::no_such_day(text)?;
        Some(TypeProblem::new(format!("`'{text}'` is not a date: {why}")).hint("write date '2020-01-31'"))
    }

    fn in_list(&mut self, of: &Sql, list: &[Sql], negated: bool) -> Option<Expr> {
        let of = self.lower(of);
        if let Some(named) = lists::named_lists(list) {
            let member = self.in_lists(of?, &named)?;
            return Some(if negated { not(member) } else { member });
        }
        let items: Vec<Option<Expr>> = list.iter().map(|item| self.lower_beside(of.as_ref(), item)).collect();
        let mut of = of?;
        let mut literals = Vec::with_capacity(items.len());
        for item in items {
            let item = item?;
            let (left, right) = self.matched(of, item);
            of = left;
            match right {
                Expr::Literal(literal) => literals.push(literal),
                _ => return self.refuse(TypeProblem::new("an `in` list holds constants only")),
            }
        }
        let member = Expr::In { of: Box::new(of), list: literals };
        Some(if negated { not(member) } else { member })
    }

    fn is(&mut self, of: &Sql, value: bool, holds: bool) -> Option<Expr> {
        let of = self.lower_condition(of)?;
        let of = if value { of } else { not(of) };
        let certain = Expr::Coalesce(vec![of, Expr::Literal(Literal::Bool(false))]);
        Some(if holds { certain } else { not(certain) })
    }

    fn like(&mut self, of: &Sql, pattern: &Sql, negated: bool) -> Option<Expr> {
        let of = self.lower(of)?;
        let prefix = match self.lower(pattern)? {
            Expr::Literal(Literal::Text(text)) => {
                text.strip_suffix('%').filter(|p| !p.contains(['%', '_'])).map(str::to_owned)
            }
            _ => None,
        };
        let Some(prefix) = prefix else {
            return self.refuse(TypeProblem::new("`like` takes a beginning only").hint("e.g. code like 'E11%'"));
        };
        let begins = Expr::Prefix { of: Box::new(of), prefix };
        Some(if negated { not(begins) } else { begins })
    }

    fn case(&mut self, operand: Option<&Sql>, conditions: &[CaseWhen], otherwise: Option<&Sql>) -> Option<Expr> {
        let mut branches = Vec::new();
        for CaseWhen { condition, result } in conditions {
            let when = match operand {
                None => self.lower_condition(condition),
                Some(operand) => self.compare(Comparison::Equal, operand, condition),
            };
            let then = self.lower(result);
            branches.push(when.zip(then).map(|(when, then)| Branch { when, then }));
        }
        let otherwise = match otherwise {
            Some(Sql::Value(value)) if value.value == Value::Null => None,
            Some(sql) => Some(Box::new(self.lower(sql)?)),
            None => None,
        };
        let mut branches: Vec<Branch> = branches.into_iter().collect::<Option<_>>()?;
        let mut otherwise: Option<Box<Expr>> = otherwise;
        let results = branches.iter_mut().map(|b| &mut b.then).chain(otherwise.as_deref_mut());
        self.align(&mut results.collect::<Vec<_>>());
        Some(Expr::Case { branches, otherwise })
    }

    /// Where one of several results is a value, a source's texts among the others are read as such values too.
    fn align(&self, results: &mut [&mut Expr]) {
        let types = results.iter().filter_map(|expr| type_of(expr, self.columns()).ok());
        let to = types.into_iter().find_map(|of| match of {
            Type::Int | Type::Float => Some(ParseAs::Float),
            Type::Date => Some(ParseAs::Date),
            Type::Datetime => Some(ParseAs::Datetime),
            Type::Bool => Some(ParseAs::Bool),
            _ => None,
        });
        if let Some(to) = to {
            for expr in results {
                **expr = self.coerce((*expr).clone(), to);
            }
        }
    }

    fn lower_number(&mut self, sql: &Sql) -> Option<Expr> {
        let expr = self.lower(sql)?;
        Some(self.coerce(expr, ParseAs::Float))
    }

    fn lower_condition(&mut self, sql: &Sql) -> Option<Expr> {
        let expr = self.lower(sql)?;
        Some(self.coerce(expr, ParseAs::Bool))
    }

    /// A source's text is read as what its place needs.
    fn coerce(&self, expr: Expr, to: ParseAs) -> Expr {
        let is_text = matches!(self.scope, Scope::Source(_))
            && !matches!(expr, Expr::Literal(_))
            && type_of(&expr, self.columns()) == Ok(Type::Text);
        if is_text { Expr::Parse { of: Box::new(expr), to } } else { expr }
    }

    /// Two sides of a comparison: texts are read as what stands opposite, constants are written as what stands opposite.
    fn matched(&self, left: Expr, right: Expr) -> (Expr, Expr) {
        let (Ok(left_type), Ok(right_type)) = (type_of(&left, self.columns()), type_of(&right, self.columns())) else {
            return (left, right);
        };
        let left = self.adapted(left, &left_type, &right_type);
        let right = self.adapted(right, &right_type, &left_type);
        match (&left, &right_type) {
            (Expr::Literal(Literal::Text(_)), Type::Code(_)) => (right, left),
            _ => (left, right),
        }
    }

    fn adapted(&self, expr: Expr, own: &Type, opposite: &Type) -> Expr {
        match (&expr, own, opposite) {
            (Expr::Literal(Literal::Int(code)), _, Type::Code(_)) => Expr::Literal(Literal::Text(code.to_string())),
            (Expr::Literal(Literal::Text(text)), _, Type::Date) => {
                dates::parse_date(text).map_or(expr.clone(), |days| Expr::Literal(Literal::Date(days)))
            }
            (Expr::Literal(Literal::Text(text)), _, Type::Datetime) => {
                dates::parse_datetime(text).map_or(expr.clone(), |ms| Expr::Literal(Literal::Datetime(ms)))
            }
            (_, Type::Text, Type::Int | Type::Float) => self.coerce(expr, ParseAs::Float),
            (_, Type::Text, Type::Date) => self.coerce(expr, ParseAs::Date),
            (_, Type::Text, Type::Datetime) => self.coerce(expr, ParseAs::Datetime),
            (_, Type::Text, Type::Bool) => self.coerce(expr, ParseAs::Bool),
            _ => expr,
        }
    }
}

fn not(of: Expr) -> Expr {
    Expr::Not(Box::new(of))
}
