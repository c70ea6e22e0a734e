//! Typing of expressions over the columns of a contract or of a source.

use super::{Comparison, Expr, Literal};
use crate::contract::{Code, Contract, Kind};
use crate::ids::ColumnName;
use crate::limits;
use crate::settings::{Problem, nearest};

/// What an expression yields.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Type {
    Int,
    Float,
    Bool,
    Text,
    Date,
    Datetime,
    /// A code of this column.
    Code(ColumnName),
    /// A band among so many.
    Band(usize),
    /// A group of a column's grouping.
    Group(ColumnName, String),
}

impl Type {
    /// Whether arithmetic works on it.
    pub fn is_number(&self) -> bool {
        matches!(self, Type::Int | Type::Float)
    }

    /// The type's name for people.
    pub fn name(&self) -> String {
        match self {
            Type::Int => "an integer".into(),
            Type::Float => "a number".into(),
            Type::Bool => "a condition".into(),
            Type::Text => "a text".into(),
            Type::Date => "a date".into(),
            Type::Datetime => "a datetime".into(),
            Type::Code(column) => format!("a code of `{column}`"),
            Type::Band(_) => "a band".into(),
            Type::Group(column, _) => format!("a group of `{column}`"),
        }
    }
}

/// The columns that an expression may read.
#[derive(Debug, Clone, Copy)]
pub enum Columns<'a> {
    /// Those of a contract, except the one that names the patient.
    Contract(&'a Contract),
    /// Those of a site's source: all are texts. None: it is not at hand, and may have any.
    Source(Option<&'a [ColumnName]>),
}

impl<'a> Columns<'a> {
    /// The type of a column.
    ///
    /// # Errors
    /// Unknown, with the nearest name; or the subject column.
    pub fn type_of(&self, name: &ColumnName) -> Result<Type, TypeProblem> {
        match self {
            Columns::Contract(contract) if contract.is_subject(name.as_str()) => {
                Err(TypeProblem::new(format!("`{name}` names the patient and cannot be read"))
                    .hint("counts are of patients already"))
            }
            Columns::Contract(contract) if contract.names_a_row(name.as_str()) => {
                let problem = TypeProblem::new(format!("`{name}` names a row and cannot be read"));
                Err(match contract.column(name.as_str()).and_then(|column| column.references.as_ref()) {
                    Some(_) => problem.hint(format!("read a column of the row that it refers to: {name}.COLUMN")),
                    None => problem.hint("other datasets refer to rows by it"),
                })
            }
            Columns::Contract(contract) => match contract.column(name.as_str()).map(|c| &c.kind) {
                Some(Kind::Int { .. }) => Ok(Type::Int),
                Some(Kind::Float { .. }) => Ok(Type::Float),
                Some(Kind::Code { .. }) => Ok(Type::Code(name.clone())),
                Some(Kind::Date { .. }) => Ok(Type::Date),
                Some(Kind::Datetime { .. }) => Ok(Type::Datetime),
                Some(Kind::Bool) => Ok(Type::Bool),
                Some(Kind::Text) => Ok(Type::Text),
                None => Err(self.unknown(name.as_str())),
            },
            Columns::Source(names) if names.is_none_or(|names| names.contains(name)) => Ok(Type::Text),
            Columns::Source(_) => Err(self.unknown(name.as_str())),
        }
    }

    /// The problem of a name that is no column.
    pub fn unknown(&self, name: &str) -> TypeProblem {
        let names: Vec<&str> = match self {
            Columns::Contract(contract) => {
                contract.columns().iter().map(|c| c.name.as_str()).filter(|n| contract.can_be_read(n)).collect()
            }
            Columns::Source(names) => names.unwrap_or_default().iter().map(ColumnName::as_str).collect(),
        };
        let problem = TypeProblem::new(format!("unknown column `{name}`"));
        match nearest(name, names.iter().copied()) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None if (1..=30).contains(&names.len()) => problem.hint(format!("the columns are {}", names.join(", "))),
            None => problem,
        }
    }

    /// The code of a column that a word is, or whose label it is.
    pub(crate) fn code_meant(&self, column: &ColumnName, word: &str) -> Option<&'a Code> {
        let is = |code: &&Code| code.code.eq_ignore_ascii_case(word) || code.label.eq_ignore_ascii_case(word);
        self.codes(column).iter().find(is)
    }

    fn codes(&self, column: &ColumnName) -> &'a [Code] {
        match self {
            Columns::Contract(contract) => match contract.column(column.as_str()).map(|c| &c.kind) {
                Some(Kind::Code { codes, .. }) => codes,
                _ => &[],
            },
            Columns::Source(_) => &[],
        }
    }
}

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeProblem {
    /// One sentence, lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl TypeProblem {
    /// A problem without a hint.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// The same problem with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The problem at a place of a file.
    pub fn at(self, file: &str, key: &str) -> Problem {
        Problem { hint: self.hint, ..Problem::new(file, key, self.message) }
    }
}

type Typed = Result<Type, TypeProblem>;

/// The type of an expression over these columns.
///
/// # Errors
/// The first thing that does not fit, in evaluation order.
pub fn type_of(expr: &Expr, columns: Columns<'_>) -> Typed {
    if expr.size().is_none() {
        return Err(TypeProblem::new(format!(
            "an expression has at most {} parts, nested at most {} deep",
            limits::EXPRESSION_NODES,
            limits::EXPRESSION_DEPTH
        )));
    }
    typed(expr, columns)
}

/// Checks that an expression is a condition.
///
/// # Errors
/// As [`type_of`], or that it is something else.
pub fn check_condition(expr: &Expr, columns: Columns<'_>) -> Result<(), TypeProblem> {
    match type_of(expr, columns)? {
        Type::Bool => Ok(()),
        other => Err(TypeProblem::new(format!("expected a condition, found {}", other.name()))
            .hint("write a comparison, e.g. `age >= 18`")),
    }
}

fn typed(expr: &Expr, columns: Columns<'_>) -> Typed {
    let number = |part: &Expr| number(part, columns);
    let condition = |part: &Expr| expect(part, columns, &Type::Bool);
    match expr {
        Expr::Column(name) => columns.type_of(name),
        Expr::Literal(literal) => literal_type(literal),
        Expr::Not(of) => condition(of),
        Expr::And(parts) | Expr::Or(parts) => {
            if parts.is_empty() {
                return Err(TypeProblem::new("`and` and `or` need parts"));
            }
            parts.iter().try_for_each(|p| condition(p).map(drop)).map(|()| Type::Bool)
        }
        Expr::Compare { op, left, right } => compare(*op, left, right, columns),
        Expr::In { of, list } => {
            if list.is_empty() || list.len() > limits::IN_LIST {
                return Err(TypeProblem::new(format!("an `in` list has 1 to {} values", limits::IN_LIST)));
            }
            let of = typed(of, columns)?;
            list.iter().try_for_each(|l| equatable(&of, &Expr::Literal(l.clone()), columns)).map(|()| Type::Bool)
        }
        Expr::IsNull(of) => typed(of, columns).map(|_| Type::Bool),
        Expr::Prefix { of, prefix } => match typed(of, columns)? {
            Type::Text | Type::Code(_) if !prefix.is_empty() => Ok(Type::Bool),
            Type::Text | Type::Code(_) => Err(TypeProblem::new("the prefix is empty")),
            other => Err(TypeProblem::new(format!("`like` works on texts and codes, not on {}", other.name()))),
        },
        Expr::Arithmetic { left, right, .. } => {
            number(left)?;
            number(right)?;
            Ok(Type::Float)
        }
        Expr::Apply { of, .. } => number(of).map(|_| Type::Float),
        Expr::Between { from, to, .. } => match (typed(from, columns)?, typed(to, columns)?) {
            (a, b) if a == b && matches!(a, Type::Date | Type::Datetime) => Ok(Type::Float),
            (a, b) => {
                let found = format!("a difference needs two dates, found {} and {}", a.name(), b.name());
                let problem = TypeProblem::new(found);
                Err(match [from, to].map(|end| end.as_ref()) {
                    [Expr::Literal(Literal::Text(text)), _] | [_, Expr::Literal(Literal::Text(text))] => {
                        let moment = if [a, b].contains(&Type::Datetime) { "timestamp" } else { "date" };
                        problem.hint(format!("write {moment} '{text}': quotes alone make a text"))
                    }
                    _ => problem,
                })
            }
        },
        Expr::Case { branches, otherwise } => {
            if branches.is_empty() {
                return Err(TypeProblem::new("`case` needs a `when`"));
            }
            branches.iter().try_for_each(|b| condition(&b.when).map(drop))?;
            common(branches.iter().map(|b| &b.then).chain(otherwise.as_deref()), columns)
        }
        Expr::Cut { of, breaks } => {
            number(of)?;
            if breaks.is_empty() || breaks.len() > limits::BREAKS || !breaks.windows(2).all(|w| w[0] < w[1]) {
                return Err(
                    TypeProblem::new("`cut` needs 1 to 1000 ascending breaks").hint("e.g. cut(age, 40, 50, 60)")
                );
            }
            Ok(Type::Band(breaks.len() + 1))
        }
        Expr::Grouped { column, grouping } => grouped(column, grouping, columns),
        Expr::Periods(periods) => {
            columns.type_of(&periods.column)?;
            match columns {
                Columns::Contract(contract) => Ok(Type::Band(periods.edges(contract)?.len() + 1)),
                Columns::Source(_) => Err(TypeProblem::new("calendar periods belong to studies")),
            }
        }
        Expr::Coalesce(parts) => common(parts.iter(), columns),
        Expr::NullIf { of, equal } => {
            let of = typed(of, columns)?;
            equatable(&of, equal, columns).map(|()| of)
        }
        Expr::Parse { of, to } => match (columns, typed(of, columns)?) {
            (Columns::Source(_), Type::Text) => Ok(match to {
                super::ParseAs::Float => Type::Float,
                super::ParseAs::Date => Type::Date,
                super::ParseAs::Datetime => Type::Datetime,
                super::ParseAs::Bool => Type::Bool,
            }),
            _ => Err(TypeProblem::new("texts are read as values only when a snapshot is made")),
        },
    }
}

fn literal_type(literal: &Literal) -> Typed {
    match literal {
        Literal::Int(i) if i.unsigned_abs() <= limits::EXACT_INT.unsigned_abs() => Ok(Type::Int),
        Literal::Int(_) => Err(TypeProblem::new("an integer beyond ±(2^53 − 1)")),
        Literal::Float(x) if x.is_finite() => Ok(Type::Float),
        Literal::Float(_) => Err(TypeProblem::new("a number that is not finite")),
        Literal::Bool(_) => Ok(Type::Bool),
        Literal::Text(_) => Ok(Type::Text),
        Literal::Date(_) => Ok(Type::Date),
        Literal::Datetime(_) => Ok(Type::Datetime),
    }
}

fn expect(part: &Expr, columns: Columns<'_>, wanted: &Type) -> Typed {
    let found = typed(part, columns)?;
    if found == *wanted {
        return Ok(found);
    }
    Err(TypeProblem::new(format!("expected {}, found {}", wanted.name(), found.name())))
}

fn number(part: &Expr, columns: Columns<'_>) -> Typed {
    let found = typed(part, columns)?;
    if found.is_number() {
        return Ok(found);
    }
    Err(TypeProblem::new(format!("expected a number, found {}", found.name())))
}

fn compare(op: Comparison, left: &Expr, right: &Expr, columns: Columns<'_>) -> Typed {
    let of = typed(left, columns)?;
    equatable(&of, right, columns)?;
    let ordered = of.is_number() || matches!(of, Type::Date | Type::Datetime | Type::Text);
    if ordered || matches!(op, Comparison::Equal | Comparison::NotEqual) {
        return Ok(Type::Bool);
    }
    Err(TypeProblem::new(format!("{} has no order", of.name())).hint("use = or <> or in (…)"))
}

/// Whether `=` makes sense between a value of type `of` and `other`.
fn equatable(of: &Type, other: &Expr, columns: Columns<'_>) -> Result<(), TypeProblem> {
    if let (Type::Code(column), Expr::Literal(Literal::Text(code))) = (of, other) {
        return declared(column, code, columns);
    }
    let found = typed(other, columns)?;
    let comparable = match of {
        Type::Band(_) | Type::Group(..) => false,
        _ => *of == found || (of.is_number() && found.is_number()),
    };
    if comparable {
        return Ok(());
    }
    let problem = TypeProblem::new(format!("{} cannot be compared with {}", of.name(), found.name()));
    Err(match (of, &found) {
        (Type::Code(_), Type::Int | Type::Float) => problem.hint("codes are texts: put them in single quotes"),
        (Type::Date, Type::Text) => problem.hint("write a date as date '2020-01-31'"),
        (Type::Datetime, Type::Text) => problem.hint("write a datetime as timestamp '2020-01-31T00:00:00Z'"),
        (Type::Text, Type::Code(_)) => problem.hint("write the column on the left side"),
        (Type::Int | Type::Float, Type::Text) => problem.hint(match other {
            Expr::Literal(Literal::Text(text)) if text.trim().parse::<f64>().is_ok() => "a number has no quotes",
            _ => "whether a value is known is asked by `is null`",
        }),
        (Type::Bool, Type::Text | Type::Int) => {
            problem.hint("a condition stands by itself: write it, or `not` before it")
        }
        _ => problem,
    })
}

fn declared(column: &ColumnName, code: &str, columns: Columns<'_>) -> Result<(), TypeProblem> {
    let codes = columns.codes(column);
    if codes.iter().any(|c| c.code == code) {
        return Ok(());
    }
    let problem = TypeProblem::new(format!("`{code}` is not a code of `{column}`"));
    Err(match codes.iter().find(|c| c.label.eq_ignore_ascii_case(code)) {
        Some(meant) => problem.hint(format!("`{code}` is the label of code '{}'", meant.code)),
        None if codes.len() <= 30 => {
            let all: Vec<String> = codes.iter().map(|c| format!("'{}' {}", c.code, c.label)).collect();
            problem.hint(format!("its codes are {}", all.join(", ")))
        }
        None => problem,
    })
}

fn common<'a>(parts: impl Iterator<Item = &'a Expr>, columns: Columns<'_>) -> Typed {
    let mut found: Option<Type> = None;
    for part in parts {
        let next = typed(part, columns)?;
        found = Some(match found {
            None => next,
            Some(before) if before == next => next,
            Some(before) if before.is_number() && next.is_number() => Type::Float,
            Some(before) => {
                return Err(TypeProblem::new(format!("{} and {} in one place", before.name(), next.name()))
                    .hint("all results of `case` and `coalesce` must be of one type"));
            }
        });
    }
    found.ok_or_else(|| TypeProblem::new("`coalesce` needs parts"))
}

fn grouped(column: &ColumnName, grouping: &str, columns: Columns<'_>) -> Typed {
    columns.type_of(column)?;
    let Columns::Contract(contract) = columns else {
        return Err(TypeProblem::new("a source has no groupings"));
    };
    let column_spec = contract.column(column.as_str());
    if column_spec.and_then(|c| c.grouping(grouping)).is_some() {
        return Ok(Type::Group(column.clone(), grouping.to_owned()));
    }
    let names: Vec<&str> = column_spec.iter().flat_map(|c| &c.groupings).map(|g| g.name.as_str()).collect();
    let problem = TypeProblem::new(format!("`{column}` has no grouping `{grouping}`"));
    Err(if names.is_empty() { problem } else { problem.hint(format!("its groupings are {}", names.join(", "))) })
}
